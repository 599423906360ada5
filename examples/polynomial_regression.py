"""Polynomial regression: 0.9 + 0.5 x + 3 x^2 + 2.4 x^3 is linear in the features x, x^2, x^3.

A linear layer learns the four numbers from batches of 32 random points, until the loss is below 1e-3.

Run: minigrad run examples/polynomial_regression.py
"""

import matplotlib.pyplot as plt
import numpy as np
import plots
import torch
import torch.nn as nn
from torch.autograd import Variable
from tqdm import tqdm

torch.manual_seed(0)


def make_features(x):
    """The columns x, x^2, x^3."""
    x = x.unsqueeze(1)
    return torch.cat([x**i for i in range(1, 4)], 1)


W_target = torch.FloatTensor([0.5, 3, 2.4]).unsqueeze(1)
b_target = torch.FloatTensor([0.9])


def f(x):
    """The polynomial to be found."""
    return x.mm(W_target) + b_target[0]


def get_batch(batch_size=32):
    random = torch.randn(batch_size)
    x = make_features(random)
    y = f(x)
    return Variable(x), Variable(y)


class PolyModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.poly = nn.Linear(3, 1)

    def forward(self, x):
        return self.poly(x)


model = PolyModel()
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

epoch = 0
progress = tqdm(desc="until loss < 1e-3", unit=" batches", disable=None)
while True:
    batch_x, batch_y = get_batch()

    output = model(batch_x)
    loss = criterion(output, batch_y)
    print_loss = loss.item()

    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

    epoch += 1
    progress.update()
    if epoch % 50 == 0:
        tqdm.write(f"Epoch [{epoch}], Loss: {print_loss:.4f}")
    if print_loss < 1e-3:
        break
progress.close()

print(f"Loss: {print_loss:.6f} after {epoch} batches")
weight = model.poly.weight.data.cpu().numpy()[0]
bias = model.poly.bias.data.cpu().numpy()
print(f"==> Learned function: y = {bias[0]:.2f} + {weight[0]:.2f}*x + {weight[1]:.2f}*x^2 + {weight[2]:.2f}*x^3")
print("==> Actual function:  y = 0.90 + 0.50*x + 3.00*x^2 + 2.40*x^3")

# The fit on 30 points
x = torch.from_numpy(np.linspace(-1, 1, 30)).float()
features = make_features(x)
y = f(features)
predict = model(features).data.cpu().numpy()

plt.plot(np.array(x), np.array(y), "ro", label="Actual function")
plt.plot(np.array(x), predict, "b", label="Learned function")
plt.xlabel("x")
plt.ylabel("y")
plt.title(f"A cubic, found in {epoch} batches of 32")
plt.legend()
plots.save("polynomial_regression")

torch.save(model.state_dict(), "model.ckpt")
