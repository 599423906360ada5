"""Linear regression, the concise way: `TensorDataset`, `DataLoader`, `Sequential`, `MSELoss` and `SGD`.

The data are those of `linear_regression_scratch.py`, which builds the same training loop from tensors alone.

Run: minigrad run examples/linear_regression_concise.py
"""

import matplotlib.pyplot as plt
import plots
import torch
from torch import nn
from torch.utils import data

torch.manual_seed(0)


def synthetic_data(w, b, num_examples):
    """y = Xw + b + noise."""
    X = torch.normal(0, 1, (num_examples, len(w)))
    y = torch.matmul(X, w) + b
    y += torch.normal(0, 0.01, y.shape)
    return X, y.reshape((-1, 1))


true_w = torch.tensor([2, -3.4])
true_b = 4.2
features, labels = synthetic_data(true_w, true_b, 1000)


def load_array(data_arrays, batch_size, is_train=True):
    """An iterator over shuffled batches."""
    dataset = data.TensorDataset(*data_arrays)
    return data.DataLoader(dataset, batch_size, shuffle=is_train)


batch_size = 10
data_iter = load_array((features, labels), batch_size)
print(next(iter(data_iter)))

net = nn.Sequential(nn.Linear(2, 1))
print(net[0].weight)
net[0].weight.data.normal_(0, 0.01)
net[0].bias.data.fill_(0)
print(net[0].weight)

loss = nn.MSELoss()
trainer = torch.optim.SGD(net.parameters(), lr=0.03)

num_epochs = 3
losses = [loss(net(features), labels).item()]
for epoch in range(num_epochs):
    for X, y in data_iter:
        l = loss(net(X), y)
        trainer.zero_grad()
        l.backward()
        trainer.step()
    l = loss(net(features), labels)
    losses.append(l.item())
    print(f"epoch {epoch + 1}, loss {l:f}")

w = net[0].weight.data
print("error in estimating w:", true_w - w.reshape(true_w.shape))
b = net[0].bias.data
print("error in estimating b:", true_b - b)

plt.semilogy(range(num_epochs + 1), losses, "o-", label="MSE on the whole set")
plt.axhline(0.01**2, color="grey", ls="--", label="variance of the noise")
plt.xticks(range(num_epochs + 1))
plt.xlabel("Epoch")
plt.ylabel("MSE")
plt.title("1000 points in batches of 10")
plt.legend()
plots.save("linear_regression_concise")
