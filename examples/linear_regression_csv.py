"""Linear regression on a CSV file: 100 points read from `data.csv`, 2000 epochs.

The inputs run to 100, so the loss is steep in the slope (hence the learning rate of 1e-4) and flat in the
intercept: the slope is found in ten epochs, the intercept has hardly moved after 2000.

Run: minigrad run examples/linear_regression_csv.py
"""

import os

import matplotlib.pyplot as plt
import numpy as np
import plots
import torch
import torch.nn as nn

torch.manual_seed(0)

# Read the data: two columns of float32, each kept as a column of shape (100, 1)
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data.csv")
data = np.loadtxt(path, delimiter=",", skiprows=1, dtype=np.float32)
x_train = torch.from_numpy(data[:, [0]])
y_train = torch.from_numpy(data[:, [1]])

num_epochs = 2000
learning_rate = 1e-4


class LinearRegression(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x):
        return self.linear(x)


model = LinearRegression()
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)

plt.plot(x_train.numpy(), y_train.numpy(), "ro", markersize=4, label="data.csv")
plt.plot(x_train.numpy(), model(x_train).detach().numpy(), color="grey", label="Before training")

for epoch in range(num_epochs):
    outputs = model(x_train)
    loss = criterion(outputs, y_train)

    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

    if (epoch + 1) % 100 == 0:
        print(f"Epoch [{epoch + 1}/{num_epochs}], Loss: {loss.item():.4f}")

        predicted = model(x_train).detach().numpy()
        label = f"Epoch {epoch + 1}" if epoch + 1 in (100, num_epochs) else None
        plt.plot(x_train.numpy(), predicted, color=plt.cm.Blues(0.2 + 0.8 * epoch / num_epochs), label=label)
        plt.legend()
        plots.redraw()

weight, bias = model.linear.weight.item(), model.linear.bias.item()
print(f"y = {weight:.4f} x + {bias:.4f}")

plt.xlabel("x")
plt.ylabel("y")
plt.title(f"The line drawn every 100 epochs: y = {weight:.2f} x + {bias:.2f}")
plots.save("linear_regression_csv")
