"""A two-layer net in NumPy, its gradients written by hand: what autograd must equal.

64 random inputs of 1000 numbers, 100 hidden ReLU units, 10 outputs; 500 steps of gradient descent on the sum of
the squared errors. `two_layer_net_autograd.py` is the same net without a line of backpropagation.

Run: python examples/two_layer_net_numpy.py
"""

import matplotlib.pyplot as plt
import numpy as np
import plots
from tqdm import tqdm

np.random.seed(0)

# N is the batch size, D_in the input's, H the hidden layer's and D_out the output's
N, D_in, H, D_out = 64, 1000, 100, 10

# Random input and output data
x = np.random.randn(N, D_in)
y = np.random.randn(N, D_out)

# Random weights
w1 = np.random.randn(D_in, H)
w2 = np.random.randn(H, D_out)

learning_rate = 1e-6
losses = []
for t in tqdm(range(500), unit=" steps", disable=None):  # silent where there is no terminal
    # Forward pass: predict y
    h = x.dot(w1)
    h_relu = np.maximum(h, 0)
    y_pred = h_relu.dot(w2)

    # The loss
    loss = np.square(y_pred - y).sum()
    losses.append(loss)
    if t % 50 == 49:
        tqdm.write(f"{t + 1} {loss:.6g}")

    # Backward pass: the gradients of the loss with respect to w1 and w2, from the loss back to the input
    grad_y_pred = 2.0 * (y_pred - y)
    grad_w2 = h_relu.T.dot(grad_y_pred)
    grad_h_relu = grad_y_pred.dot(w2.T)
    grad_h = np.where(h > 0, grad_h_relu, 0)
    grad_w1 = x.T.dot(grad_h)

    # Update the weights
    w1 -= learning_rate * grad_w1
    w2 -= learning_rate * grad_w2

plt.semilogy(range(1, 501), losses)
plt.xlabel("Step")
plt.ylabel("Sum of squared errors")
plt.title("A two-layer net by hand")
plots.save("two_layer_net_numpy")
