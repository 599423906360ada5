"""Fitting a curve with a net: one input, 10 hidden ReLU units, one output, on x^2 plus noise.

The curve is redrawn every 10 steps (on screen it moves; each drawing is saved too): ten kinked lines bend into a
parabola.

Run: minigrad run examples/curve_fitting_net.py
"""

import matplotlib.pyplot as plt
import plots
import torch
import torch.nn.functional as F

torch.manual_seed(1)

x = torch.unsqueeze(torch.linspace(-1, 1, 100), dim=1)  # shape (100, 1)
y = x.pow(2) + 0.2 * torch.rand(x.size())  # noisy, shape (100, 1)


class Net(torch.nn.Module):
    def __init__(self, n_feature, n_hidden, n_output):
        super().__init__()
        self.hidden = torch.nn.Linear(n_feature, n_hidden)
        self.predict = torch.nn.Linear(n_hidden, n_output)

    def forward(self, x):
        x = F.relu(self.hidden(x))
        return self.predict(x)


net = Net(n_feature=1, n_hidden=10, n_output=1)
print(net)

optimizer = torch.optim.SGD(net.parameters(), lr=0.2)
loss_func = torch.nn.MSELoss()

for t in range(100):
    prediction = net(x)

    loss = loss_func(prediction, y)

    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

    if (t + 1) % 10 == 0:
        print(f"Step {t + 1}, Loss: {loss.item():.4f}")

        plt.cla()
        plt.scatter(x.data.numpy(), y.data.numpy(), s=12, label="x^2 + noise")
        plt.plot(x.data.numpy(), prediction.data.numpy(), "r-", lw=3, label="the net")
        plt.text(0.1, -0.06, f"Step {t + 1}, Loss={loss.item():.4f}", fontdict={"size": 13, "color": "red"})
        plt.xlabel("x")
        plt.ylabel("y")
        plt.ylim(-0.1, 1.25)
        plt.legend(loc="upper center")
        plots.redraw(f"curve_fitting_net_{t + 1:03d}")

plots.save("curve_fitting_net")
