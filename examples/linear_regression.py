"""Linear regression: a line through 15 points, with `nn.Linear`, `nn.MSELoss` and `optim.SGD`.

Every PyTorch training loop has the five lines of this one: predict, measure the loss, clear the old gradients,
backpropagate, step. Prints the loss, draws the line as it turns, and saves the model.

Run: minigrad run examples/linear_regression.py
"""

import matplotlib.pyplot as plt
import numpy as np
import plots
import torch
import torch.nn as nn

# Hyper-parameters
input_size = 1
output_size = 1
num_epochs = 100
learning_rate = 0.01

torch.manual_seed(5)

# Toy dataset
x_train = np.array(
    [
        [3.3], [4.4], [5.5], [6.71], [6.93], [4.168], [9.779], [6.182],
        [7.59], [2.167], [7.042], [10.791], [5.313], [7.997], [3.1],
    ],
    dtype=np.float32,
)  # fmt: skip
y_train = np.array(
    [
        [1.7], [2.76], [2.09], [3.19], [1.694], [1.573], [3.366], [2.596],
        [2.53], [1.221], [2.827], [3.465], [1.65], [2.904], [1.3],
    ],
    dtype=np.float32,
)  # fmt: skip


# Linear regression model
class LinearRegression(nn.Module):
    def __init__(self, input_size, output_size):
        super().__init__()
        self.linear = nn.Linear(input_size, output_size)

    def forward(self, x):
        return self.linear(x)


model = LinearRegression(input_size, output_size)

# Loss and optimizer
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)

plt.plot(x_train, y_train, "ro", label="Original data")
plt.plot(x_train, model(torch.from_numpy(x_train)).detach().numpy(), color="grey", label="Before training")

# Train the model
for epoch in range(num_epochs):
    # Convert numpy arrays to torch tensors
    inputs = torch.from_numpy(x_train)
    targets = torch.from_numpy(y_train)

    # Forward pass
    outputs = model(inputs)
    loss = criterion(outputs, targets)

    # Backward and optimize
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

    if (epoch + 1) % 5 == 0:
        print(f"Epoch [{epoch + 1}/{num_epochs}], Loss: {loss.item():.4f}")

        # The line so far: the later, the darker
        predicted = model(torch.from_numpy(x_train)).detach().numpy()
        label = f"Epoch {epoch + 1}" if epoch + 1 in (5, num_epochs) else None
        plt.plot(x_train, predicted, color=plt.cm.Blues(0.2 + 0.8 * epoch / num_epochs), label=label)
        plt.legend()
        plots.redraw()

plt.xlabel("x")
plt.ylabel("y")
plt.title(f"A line through 15 points, drawn every 5 epochs (loss {loss.item():.4f})")
plots.save("linear_regression")

# Save the model checkpoint
torch.save(model.state_dict(), "model.ckpt")
