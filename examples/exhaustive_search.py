"""Exhaustive search: the loss of y = w x for every w from 0 to 4 by 0.1, and the best of them.

It works for one weight. With 41 values for each of a thousand weights there would be 41^1000 losses to compute,
which is why the other examples follow the gradient.

Run: python examples/exhaustive_search.py
"""

import matplotlib.pyplot as plt
import numpy as np
import plots

x_data = [1.0, 2.0, 3.0]
y_data = [2.0, 4.0, 6.0]


def forward(x):
    return x * w


def loss(x, y):
    y_pred = forward(x)
    return (y_pred - y) ** 2


w_list = []
mse_list = []
for w in np.arange(0.0, 4.1, 0.1):
    l_sum = 0
    for x_val, y_val in zip(x_data, y_data, strict=True):
        l_sum += loss(x_val, y_val)
    mse = l_sum / len(x_data)
    print(f"w={w:.1f} MSE={mse:.4f}")
    w_list.append(w)
    mse_list.append(mse)

best = np.argmin(mse_list)
print(f"best: w={w_list[best]:.1f}")

plt.plot(w_list, mse_list)
plt.plot(w_list[best], mse_list[best], "ro", label=f"best: w = {w_list[best]:.1f}")
plt.xlabel("w")
plt.ylabel("MSE")
plt.title("The loss of y = w x")
plt.legend()
plots.save("exhaustive_search")
