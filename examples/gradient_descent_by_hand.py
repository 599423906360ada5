"""Gradient descent by hand: y = w x from w = 1, and two functions on which descent stalls.

Descent sees the slope under its feet and nothing else. It stops where the slope is zero, which may be the bottom
of the lesser of two valleys (a local minimum) or the top of a pass (a saddle). The derivatives written by hand are
checked against autograd.

Run: minigrad run examples/gradient_descent_by_hand.py
"""

import matplotlib.pyplot as plt
import numpy as np
import plots
import torch

x_data = [1.0, 2.0, 3.0]
y_data = [2.0, 4.0, 6.0]

w = 1.0


def forward(x):
    return x * w


def cost(xs, ys):
    total = 0
    for x, y in zip(xs, ys, strict=True):
        total += (forward(x) - y) ** 2
    return total / len(xs)


def gradient(xs, ys):
    grad = 0
    for x, y in zip(xs, ys, strict=True):
        grad += 2 * x * (forward(x) - y)
    return grad / len(xs)


print("Predict (before training)", 4, forward(4))

costs = []
for epoch in range(100):
    cost_val = cost(x_data, y_data)
    grad_val = gradient(x_data, y_data)

    # The same gradient from autograd
    w_auto = torch.tensor(w, dtype=torch.float64, requires_grad=True)
    error = torch.tensor(x_data, dtype=torch.float64) * w_auto - torch.tensor(y_data, dtype=torch.float64)
    error.pow(2).mean().backward()
    assert abs(w_auto.grad.item() - grad_val) < 1e-12

    w -= 0.01 * grad_val
    costs.append(cost_val)
    if (epoch + 1) % 10 == 0:
        print(f"Epoch: {epoch + 1} w={w:.6f} loss={cost_val:.6g}")

print("Predict (after training)", 4, f"{forward(4):.4f}")

plt.semilogy(range(1, 101), costs)
plt.xlabel("Epoch")
plt.ylabel("MSE")
plt.title(f"Gradient descent on y = w x: w = {w:.4f} after 100 epochs")
plots.save("gradient_descent_by_hand")


# A local minimum: two valleys, and descent ends in that of the side it starts from
def valleys(u):
    return u**4 - 2 * u**2 + 0.5 * u


def valleys_gradient(u):
    return 4 * u**3 - 4 * u + 0.5


print("Two valleys: u^4 - 2 u^2 + 0.5 u")
u_line = np.linspace(-1.6, 1.5, 200)
plt.figure(figsize=(10, 4))
plt.subplot(1, 2, 1)
plt.plot(u_line, valleys(u_line), "k", lw=1)
for start in (1.4, -0.5):
    u = start
    path = [u]
    for _ in range(100):
        u_auto = torch.tensor(u, dtype=torch.float64, requires_grad=True)
        valleys(u_auto).backward()
        assert abs(u_auto.grad.item() - valleys_gradient(u)) < 1e-12

        u -= 0.02 * valleys_gradient(u)
        path.append(u)
    print(f"  from {start}: u={u:.4f} value={valleys(u):.4f} gradient={abs(valleys_gradient(u)):.0e}")
    plt.plot(path, valleys(np.array(path)), ".-", label=f"from {start}: {valleys(u):.2f}")
plt.xlabel("u")
plt.ylabel("value")
plt.title("A local minimum stops descent")
plt.legend(loc="upper center")


# A saddle: flat at (0, 0), which is the lowest point along u and the highest along v
def saddle(u, v):
    return u**2 + v**4 / 4 - v**2 / 2


def saddle_gradient(u, v):
    return 2 * u, v**3 - v


print("A saddle: u^2 + v^4 / 4 - v^2 / 2")
plt.subplot(1, 2, 2)
u_grid, v_grid = np.meshgrid(np.linspace(-1.2, 1.2, 100), np.linspace(-1.5, 1.5, 100))
plt.contour(u_grid, v_grid, saddle(u_grid, v_grid), 20, cmap="Greys")
for start in (0.0, 0.01):
    u, v = 1.0, start
    path = [(u, v)]
    for _ in range(100):
        u_auto = torch.tensor(u, dtype=torch.float64, requires_grad=True)
        v_auto = torch.tensor(v, dtype=torch.float64, requires_grad=True)
        saddle(u_auto, v_auto).backward()
        grad_u, grad_v = saddle_gradient(u, v)
        assert abs(u_auto.grad.item() - grad_u) < 1e-12
        assert abs(v_auto.grad.item() - grad_v) < 1e-12

        u -= 0.1 * grad_u
        v -= 0.1 * grad_v
        path.append((u, v))
    print(f"  from (1.0, {start}): u={u:.4f} v={v:.4f} value={saddle(u, v):.4f}")
    plt.plot(*np.array(path).T, ".-", label=f"from (1, {start}): {saddle(u, v):.2f}")
plt.xlabel("u")
plt.ylabel("v")
plt.title("A saddle stops descent from v = 0")
plt.legend(loc="lower right")
plt.tight_layout()
plots.save("gradient_descent_stalls")
