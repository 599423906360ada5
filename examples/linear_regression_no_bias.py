"""Linear regression without a bias: y = w x on three points with `nn.Linear(1, 1, bias=False)`.

`size_average=False` is the old spelling of `reduction="sum"`: it works, and warns.

Run: minigrad run examples/linear_regression_no_bias.py
"""

import matplotlib.pyplot as plt
import plots
import torch
import torch.nn as nn
from torch.autograd import Variable

torch.manual_seed(2)

x_data = Variable(torch.Tensor([[1.0], [2.0], [3.0]]))
y_data = Variable(torch.Tensor([[2.0], [4.0], [6.0]]))

model = nn.Linear(1, 1, bias=False)
criterion = nn.MSELoss(size_average=False)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

print(list(model.parameters()))

costs = []
for epoch in range(20):
    y_pred = model(x_data)
    loss = criterion(y_pred, y_data)

    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

    # The documents write loss.data[0]. The loss has had no dimensions since PyTorch 0.4, so indexing it is an
    # IndexError today: loss.item() is its number.
    costs.append(loss.item())
    print(f"epoch {epoch + 1}, loss {costs[-1]:.6f}")

print(list(model.parameters()))

plt.plot(range(1, 21), costs, "o-")
plt.xticks(range(0, 21, 5))
plt.xlabel("Epoch")
plt.ylabel("Sum of squared errors")
plt.title(f"w = {model.weight.item():.4f} after 20 epochs")
plots.save("linear_regression_no_bias")
