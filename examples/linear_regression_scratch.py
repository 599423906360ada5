"""Linear regression from scratch: the data, the batches, the model, the loss and SGD, from tensors and autograd alone.

Beside what SGD finds: the closed-form solution of the same problem, and what a learning rate too small and too
large does.

Run: minigrad run examples/linear_regression_scratch.py
"""

import random

import matplotlib.pyplot as plt
import numpy as np
import plots
import torch

torch.manual_seed(0)
random.seed(0)


def synthetic_data(w, b, num_examples):
    """y = Xw + b + noise."""
    X = torch.normal(0, 1, (num_examples, len(w)))
    y = torch.matmul(X, w) + b
    y += torch.normal(0, 0.01, y.shape)
    return X, y.reshape((-1, 1))


true_w = torch.tensor([2, -3.4])
true_b = 4.2
features, labels = synthetic_data(true_w, true_b, 1000)
print("features:", features[0], "\nlabel:", labels[0])

plt.scatter(features[:, 1].detach().numpy(), labels.detach().numpy(), 2)
plt.xlabel("second feature")
plt.ylabel("label")
plt.title("The label falls by 3.4 per unit of the second feature")
plots.save("linear_regression_scratch_data")


def data_iter(batch_size, features, labels):
    """All examples in batches, in random order."""
    num_examples = len(features)
    indices = list(range(num_examples))
    random.shuffle(indices)
    for i in range(0, num_examples, batch_size):
        batch_indices = torch.tensor(indices[i : min(i + batch_size, num_examples)])
        yield features[batch_indices], labels[batch_indices]


def linreg(X, w, b):
    """The linear regression model."""
    return torch.matmul(X, w) + b


def squared_loss(y_hat, y):
    """Half the squared error of each example."""
    return (y_hat - y.reshape(y_hat.shape)) ** 2 / 2


def sgd(params, lr, batch_size):
    """One step of minibatch stochastic gradient descent."""
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad / batch_size
            param.grad.zero_()


batch_size = 10
w = torch.normal(0, 0.01, size=(2, 1), requires_grad=True)
b = torch.zeros(1, requires_grad=True)

lr = 0.03
num_epochs = 3
net = linreg
loss = squared_loss

for epoch in range(num_epochs):
    for X, y in data_iter(batch_size, features, labels):
        l = loss(net(X, w, b), y)  # the loss of each example of the batch
        # l has shape (batch_size, 1); the gradient of its sum is divided by the batch size in sgd
        l.sum().backward()
        sgd([w, b], lr, batch_size)
    with torch.no_grad():
        train_l = loss(net(features, w, b), labels)
        print(f"epoch {epoch + 1}, loss {float(train_l.mean()):f}")

print(f"error in estimating w: {true_w - w.reshape(true_w.shape)}")
print(f"error in estimating b: {true_b - b}")

# The closed form: least squares on the features and a column of ones. No step, no learning rate, and no loss
# is lower on these data; SGD ends within the noise of it.
A = np.concatenate([features.numpy(), np.ones((1000, 1), dtype=np.float32)], axis=1)
solution = np.linalg.lstsq(A, labels.numpy(), rcond=None)[0].reshape(-1)
print(f"closed form: w = [{solution[0]:.4f}, {solution[1]:.4f}], b = {solution[2]:.4f}")
print(f"SGD:         w = [{w[0].item():.4f}, {w[1].item():.4f}], b = {b.item():.4f}")


def train(lr):
    """One epoch from zeros: the mean loss of each batch before its step."""
    w = torch.zeros(2, 1, requires_grad=True)
    b = torch.zeros(1, requires_grad=True)
    random.seed(0)
    losses = []
    for X, y in data_iter(batch_size, features, labels):
        l = loss(net(X, w, b), y)
        losses.append(l.mean().item())
        l.sum().backward()
        sgd([w, b], lr, batch_size)
    return losses


# The features have variance 1, so the loss has curvature about 1 and a step of more than about 2 lands further
# from the bottom than it started
for lr, what in ((0.001, "too small"), (0.03, "right"), (2.0, "too large")):
    losses = train(lr)
    print(f"learning rate {lr}: loss {losses[0]:.3g} at the first batch, {losses[-1]:.3g} at the last ({what})")
    plt.semilogy(range(1, len(losses) + 1), losses, label=f"{lr}, {what}")
plt.xlabel("Step")
plt.ylabel("Loss of the batch")
plt.title("One epoch at three learning rates")
plt.legend()
plots.save("linear_regression_scratch_rates")
