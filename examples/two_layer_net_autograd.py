"""A two-layer net on autograd: `two_layer_net_numpy.py` without the backward pass.

`loss.backward()` fills `w1.grad` and `w2.grad`; the update is made under `no_grad`, because it is no part of the
function that is being differentiated, and clears the gradients, because `backward` adds to what is there.

Run: minigrad run examples/two_layer_net_autograd.py
"""

import matplotlib.pyplot as plt
import plots
import torch
from tqdm import tqdm

torch.manual_seed(0)

device = torch.device("cpu")

# N is the batch size, D_in the input's, H the hidden layer's and D_out the output's
N, D_in, H, D_out = 64, 1000, 100, 10

# Random input and output data
x = torch.randn(N, D_in, device=device)
y = torch.randn(N, D_out, device=device)

# Random weights; requires_grad=True asks for the gradients with respect to them
w1 = torch.randn(D_in, H, device=device, requires_grad=True)
w2 = torch.randn(H, D_out, device=device, requires_grad=True)

learning_rate = 1e-6
losses = []
for t in tqdm(range(500), unit=" steps", disable=None):  # silent where there is no terminal
    # Forward pass. No intermediate value is kept by hand: there is no backward pass to write
    y_pred = x.mm(w1).clamp(min=0).mm(w2)

    # The loss is a tensor without dimensions; loss.item() is its number
    loss = (y_pred - y).pow(2).sum()
    losses.append(loss.item())
    if t % 50 == 49:
        tqdm.write(f"{t + 1} {loss.item():.6g}")

    # Backward pass: w1.grad and w2.grad now hold the gradients of the loss
    loss.backward()

    # Update the weights in place, unrecorded, and clear the gradients for the next step
    with torch.no_grad():
        w1 -= learning_rate * w1.grad
        w2 -= learning_rate * w2.grad
        w1.grad.zero_()
        w2.grad.zero_()

plt.semilogy(range(1, 501), losses)
plt.xlabel("Step")
plt.ylabel("Sum of squared errors")
plt.title("A two-layer net on autograd")
plots.save("two_layer_net_autograd")
