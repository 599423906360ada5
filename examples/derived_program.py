"""The backward pass that minigrad derives, beside the one that was written by hand.

On the left the loop of `two_layer_net_numpy.py`, on the right the program that minigrad writes down when it runs a step
of `two_layer_net_autograd.py` once: NumPy alone, in the order of the user's code. Both then train, side by side. At the
end the program of a second derivative, and of one's own function.

Run: minigrad run examples/derived_program.py
"""

import os

import numpy as np
import torch
from torch import program

torch.manual_seed(0)

N, D_in, H, D_out = 64, 1000, 100, 10
x = torch.randn(N, D_in)
y = torch.randn(N, D_out)
w1 = torch.randn(D_in, H, requires_grad=True)
w2 = torch.randn(H, D_out, requires_grad=True)
learning_rate = 1e-6


def step(x, y):
    h = x.mm(w1)
    h_relu = h.clamp(min=0)
    y_pred = h_relu.mm(w2)
    loss = (y_pred - y).pow(2).sum()
    loss.backward()
    with torch.no_grad():
        w1.sub_(learning_rate * w1.grad)
        w2.sub_(learning_rate * w2.grad)
    w1.grad = w2.grad = None
    return loss


v1, v2 = w1.detach().numpy().copy(), w2.detach().numpy().copy()
u1, u2 = v1.copy(), v2.copy()
derived = program.trace(step, x, y)


def statements(text):
    """The lines of a program that compute something."""
    lines = [line.partition("  #")[0].strip() for line in text.splitlines()]
    return [line for line in lines if "= " in line and not line.startswith(("#", "for ", "def ", "if "))]


path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "two_layer_net_numpy.py")
with open(path, encoding="utf-8") as file:
    by_hand = file.read().partition("disable=None")[2].partition("plt.semilogy")[0]
print("by hand".ljust(48), "derived")
for left, right in zip(statements(by_hand), statements(derived.source), strict=True):
    print(left.ljust(48), right)
print()

# The two of them train
X, Y = x.numpy(), y.numpy()
for _ in range(50):
    loss = derived(X, Y, v1, v2)
    h = X.dot(u1)
    h_relu = np.maximum(h, 0)
    y_pred = h_relu.dot(u2)
    loss_by_hand = np.square(y_pred - Y).sum()
    grad_y_pred = 2.0 * (y_pred - Y)
    grad_w2 = h_relu.T.dot(grad_y_pred)
    grad_h = np.where(h > 0, grad_y_pred.dot(u2.T), 0)
    u1 -= learning_rate * X.T.dot(grad_h)
    u2 -= learning_rate * grad_w2
print(f"after 50 steps: loss {loss_by_hand:.6g} by hand, {loss:.6g} derived\n")


# A function of one's own, with its gradients
def bump(x, y):
    return torch.exp(-(x**2) - y**2).sum()


a, b = torch.randn(3, requires_grad=True), torch.randn(3, requires_grad=True)
print(program.trace(bump, a, b, grad=True).source)


# A Hessian-vector product: the derivative of a derivative
def hessian_vector_product(x, v):
    (g,) = torch.autograd.grad((x**4).sum(), x, create_graph=True)
    return torch.autograd.grad(g, x, v)[0]


print(program.trace(hessian_vector_product, a, torch.ones(3)).source)
