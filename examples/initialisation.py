"""How the weights start: what an initialisation does to the activations of a deep net, and why zeros don't learn.

A net of 10 layers is fed with normal numbers. Too large weights push every sigmoid to 0 or 1, where its slope is
nothing; too small weights let the signal die out; Xavier's variance 2 / (fan_in + fan_out) keeps tanh alive, and
He's 2 / fan_in makes up for the half that ReLU cuts off. From zeros all units of a hidden layer get equal
gradients and stay equal for ever, while linear and logistic regression, which have no hidden layer, learn well.

Run: minigrad run examples/initialisation.py
"""

import matplotlib.pyplot as plt
import plots
import torch
import torch.nn as nn

torch.manual_seed(0)

num_layers = 10
width = 256
inputs = torch.randn(512, width)


def activations(init, activation):
    """What comes out of each layer of a net of 10 layers of 256 units."""
    layers = []
    for _ in range(num_layers):
        linear = nn.Linear(width, width)
        init(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
    net = nn.Sequential(*layers)

    x = inputs
    outputs = []
    with torch.no_grad():
        for layer in net:
            x = layer(x)
            if not isinstance(layer, nn.Linear):
                outputs.append(x)
    return outputs


cases = [
    ("zeros, tanh", nn.init.zeros_, nn.Tanh),
    ("normal(0, 1), sigmoid", lambda weight: nn.init.normal_(weight, 0, 1), nn.Sigmoid),
    ("normal(0, 0.01), tanh", lambda weight: nn.init.normal_(weight, 0, 0.01), nn.Tanh),
    ("Xavier, tanh", nn.init.xavier_normal_, nn.Tanh),
    ("Xavier, ReLU", nn.init.xavier_normal_, nn.ReLU),
    ("He, ReLU", lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"), nn.ReLU),
]

shown = (1, 4, 7, 10)
spreads = {}
fig, axes = plt.subplots(len(cases), len(shown), figsize=(11, 13))
for row, (name, init, activation) in zip(axes, cases, strict=True):
    outputs = activations(init, activation)
    spreads[name] = [output.std().item() for output in outputs]
    print(f"{name:22} std by layer: " + " ".join(f"{spread:.4f}" for spread in spreads[name]))
    for ax, layer in zip(row, shown, strict=True):
        values = outputs[layer - 1].reshape(-1).numpy()
        title = f"{name}: layer {layer}"
        if activation is nn.ReLU:  # the half that it sets to 0 would hide the rest
            values = values[values > 0]
            title += ", above 0"
        span = (0, 1) if activation is nn.Sigmoid else (-1, 1) if activation is nn.Tanh else (0, 3)
        ax.hist(values, bins=40, range=span, histtype="stepfilled")
        ax.set_yticks([])
        ax.set_title(title, fontsize=9)
for ax in axes[-1]:
    ax.set_xlabel("activation")
for ax in axes[:, 0]:
    ax.set_ylabel("units")
fig.tight_layout()
plots.save("initialisation_histograms")

for name, spread in spreads.items():
    if name != "zeros, tanh":  # zero, which a logarithmic axis can't show
        plt.semilogy(range(1, num_layers + 1), spread, "o-", label=name)
plt.xlabel("Layer")
plt.ylabel("Standard deviation of the activations")
plt.title("The signal through 10 layers")
plt.legend()
plots.save("initialisation_by_layer")

# Zeros in a net with a hidden layer: its 4 units start equal, get equal gradients, and remain one unit four times
x = torch.randn(64, 2)
y = torch.sin(2 * x[:, :1]) + x[:, 1:]
net = nn.Sequential(nn.Linear(2, 4), nn.Sigmoid(), nn.Linear(4, 1))
for parameter in net.parameters():
    nn.init.zeros_(parameter)
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
for _ in range(200):
    loss = criterion(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"hidden net from zeros: loss {loss.item():.4f}, and its units after 200 steps:")
print(net[0].weight.data)

# Linear regression from zeros: the loss is a bowl, any start will do
w_true = torch.Tensor([[2], [-3.4]])
y = x.mm(w_true) + 4.2
w = torch.zeros(2, 1, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
optimizer = torch.optim.SGD([w, b], lr=0.1)
for _ in range(200):
    loss = (x.mm(w) + b - y).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"linear regression from zeros: loss {loss.item():.6f}, w = {w.data.reshape(-1)}, b = {b.data}")

# Logistic regression from zeros: a bowl too. Classes split by the line 2 x1 - 3.4 x2 = 0
y = (x.mm(w_true) > 0).float()
w = torch.zeros(2, 1, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
optimizer = torch.optim.SGD([w, b], lr=1.0)
for _ in range(200):
    p = torch.sigmoid(x.mm(w) + b)
    loss = -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
accuracy = ((p > 0.5).float() == y).float().mean()
print(f"logistic regression from zeros: loss {loss.item():.4f}, accuracy {accuracy.item():.4f}")
