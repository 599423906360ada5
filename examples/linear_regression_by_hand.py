"""Linear regression by hand: y = w x on three points in NumPy, the gradient written out.

The loss is J = mean((w x - y)^2), so dJ/dw = mean(2 x (w x - y)).

Run: python examples/linear_regression_by_hand.py
"""

import numpy as np

x = np.array([1, 2, 3], dtype=np.float32)
y = np.array([2, 4, 6], dtype=np.float32)

w = 0.0


# Model output
def forward(x):
    return w * x


# The loss is the mean squared error
def loss(y, y_pred):
    return ((y_pred - y) ** 2).mean()


# Its derivative with respect to w
def gradient(x, y, y_pred):
    return (2 * x * (y_pred - y)).mean()


print(f"Prediction before training: f(5) = {forward(5):.3f}")

learning_rate = 0.1
n_iters = 10

for epoch in range(n_iters):
    # Forward pass
    y_pred = forward(x)

    # Loss
    l = loss(y, y_pred)

    # Gradient
    dw = gradient(x, y, y_pred)

    # Update
    w -= learning_rate * dw

    print(f"epoch {epoch + 1}: w = {w:.3f}, loss = {l:.8f}")

print(f"Prediction after training: f(5) = {forward(5):.3f}")
