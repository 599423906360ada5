"""Fitting k x + b with tensors alone: no module, no optimizer, the update written with `.data`.

`k.data` is k's memory without its history: what is done to it is not recorded. (Newer code writes
`with torch.no_grad(): k -= ...`, as `two_layer_net_autograd.py` does.)

Run: minigrad run examples/curve_fitting_tensors.py
"""

import matplotlib.pyplot as plt
import plots
import torch
from torch.autograd import Variable

torch.manual_seed(0)

x = Variable(torch.linspace(0, 100, 100).type(torch.FloatTensor))
rand = Variable(torch.randn(100)) * 10
y = x + rand

k = Variable(torch.rand(1), requires_grad=True)
b = Variable(torch.rand(1), requires_grad=True)
print("Initial k and b:", k.data.tolist(), b.data.tolist())

learning_rate = 0.0001
for i in range(1000):
    # Clear the gradients of the step before; in the first there are none
    if k.grad is not None and b.grad is not None:
        k.grad.data.zero_()
        b.grad.data.zero_()

    predictions = k.expand_as(x) * x + b.expand_as(x)
    loss = torch.mean((predictions - y) ** 2)
    loss.backward()

    k.data.add_(-learning_rate * k.grad.data)
    b.data.add_(-learning_rate * b.grad.data)

    if (i + 1) % 100 == 0:
        print(f"Step {i + 1}, Loss: {loss.item():.4f}")

print("Final k and b:", k.data.tolist(), b.data.tolist())

x_data = x.data.numpy()
plt.plot(x_data, y.data.numpy(), "o", markersize=4, label="x + 10 * normal")
plt.plot(x_data, k.data.numpy() * x_data + b.data.numpy(), label=f"{k.item():.3f} x + {b.item():.3f}")
plt.xlabel("x")
plt.ylabel("y")
plt.title("A line fitted with tensors alone")
plt.legend()
plots.save("curve_fitting_tensors")
