"""PyTorch's API, written once for PyTorch and minigrad: T is either. Each problem is spelled as in its listing.

A problem becomes a `Training`: a function that makes one step, whole, so that it can also be compiled or captured as a
CUDA graph, and where the data change from step to step, what draws the next of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.engines.loop import nothing
from benchmarks.problems import Array, Problem, seeded


@dataclass(frozen=True)
class Training:
    """`train(*next(draws))`, or `train()` where there are no draws, is one step and gives the loss."""

    train: Callable[..., Any]
    results: Callable[[], list[Any]]
    draws: Iterator[Any] | None = None
    begin: Callable[[], Any] = nothing


class API:
    """PyTorch's API on a device."""

    def __init__(self, T: Any, device: str = "cpu") -> None:
        self.T, self.device = T, device

    def tensors(self, *arrays: Array) -> list[Any]:
        """Tensors on the device; copies, since the engines share the arrays."""
        return [self.T.from_numpy(array.copy()).to(self.device) for array in arrays]

    def leaves(self, *arrays: Array) -> list[Any]:
        return [tensor.requires_grad_() for tensor in self.tensors(*arrays)]

    def supervised(self, problem: Problem, model: Any, criterion: Any, draws: Iterator[Any] | None = None) -> Training:
        """The five lines of every training loop: on the next draw, or on all of the data."""
        model.load_state_dict(dict(zip(model.state_dict(), self.tensors(*problem.start), strict=True)))
        model = model.to(self.device)
        optimizer = self.T.optim.SGD(model.parameters(), lr=problem.lr)

        def train_on(inputs: Any, targets: Any) -> Any:
            outputs = model(inputs)
            loss = criterion(outputs, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        if draws is not None:
            return Training(train_on, lambda: list(model.parameters()), draws)
        x, y = self.tensors(problem.x, problem.y)

        def train() -> Any:
            return train_on(x, y)

        return Training(train, lambda: list(model.parameters()))


def linear(api: API, problem: Problem) -> Training:
    nn = api.T.nn
    model = nn.Linear(1, 1, bias=len(problem.start) == 2)
    return api.supervised(problem, model, nn.MSELoss(reduction=problem.reduction))


def polynomial(api: API, problem: Problem) -> Training:
    T = api.T
    W_target, b_target = api.tensors(problem.y[:3, None], problem.y[3:])

    def get_batch(random: Any) -> tuple[Any, Any]:
        x = random.unsqueeze(1)
        x = T.cat([x**i for i in range(1, 4)], 1)
        return x, x.mm(W_target) + b_target[0]

    def draws() -> Iterator[Any]:
        for given in api.tensors(*problem.draws):
            yield (given,)
        while True:
            yield (T.randn(problem.batch, device=api.device),)

    training = api.supervised(problem, T.nn.Linear(3, 1), T.nn.MSELoss(), draws())

    train_on = training.train

    def train(random: Any) -> Any:
        return train_on(*get_batch(random))

    return replace(training, train=train)


def concise(api: API, problem: Problem) -> Training:
    T = api.T
    dataset = T.utils.data.TensorDataset(T.from_numpy(problem.x), T.from_numpy(problem.y))
    # The generator makes the first epoch's order known; a device gets its batches one by one, as most scripts do it.
    loader = T.utils.data.DataLoader(dataset, problem.batch, shuffle=True, generator=seeded(T))

    def draws() -> Iterator[Any]:
        while True:
            yield from loader

    def moved() -> Iterator[Any]:
        for batch in draws():
            yield [tensor.to(api.device) for tensor in batch]

    batches = draws() if api.device == "cpu" else moved()
    return api.supervised(problem, T.nn.Sequential(T.nn.Linear(2, 1)), T.nn.MSELoss(), batches)


def net(api: API, problem: Problem) -> Training:
    T = api.T

    class Net(T.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.hidden = T.nn.Linear(1, 10)
            self.predict = T.nn.Linear(10, 1)

        def forward(self, x: Any) -> Any:
            return self.predict(T.nn.functional.relu(self.hidden(x)))

    return api.supervised(problem, Net(), T.nn.MSELoss())


def classifier(api: API, problem: Problem) -> Training:
    nn = api.T.nn
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    return api.supervised(problem, model, nn.CrossEntropyLoss())


def deep(api: API, problem: Problem) -> Training:
    nn, width = api.T.nn, len(problem.start[0])
    layers = [layer for _ in problem.start[::2] for layer in (nn.Linear(width, width), nn.ReLU())]
    # The ReLUs have no parameters: what a Sequential is loaded with goes to its layers in their order.
    return api.supervised(problem, nn.Sequential(*layers[:-1]), nn.MSELoss())


def two_layer_net(api: API, problem: Problem) -> Training:
    T, learning_rate = api.T, problem.lr
    x, y = api.tensors(problem.x, problem.y)
    w1, w2 = api.leaves(*problem.start)

    def train() -> Any:
        nonlocal w1, w2
        y_pred = x.mm(w1).clamp(min=0).mm(w2)
        loss = (y_pred - y).pow(2).sum()
        loss.backward()
        with T.no_grad():
            w1 -= learning_rate * w1.grad
            w2 -= learning_rate * w2.grad
            w1.grad.zero_()
            w2.grad.zero_()
        return loss

    return Training(train, lambda: [w1, w2])


def raw_tensors(api: API, problem: Problem) -> Training:
    T, learning_rate = api.T, problem.lr
    x, y = api.tensors(problem.x, problem.y)
    k, b = api.leaves(*problem.start)

    def train() -> Any:
        if k.grad is not None and b.grad is not None:
            k.grad.data.zero_()
            b.grad.data.zero_()
        predictions = k.expand_as(x) * x + b.expand_as(x)
        loss = T.mean((predictions - y) ** 2)
        loss.backward()
        k.data.add_(-learning_rate * k.grad.data)
        b.data.add_(-learning_rate * b.grad.data)
        return loss

    return Training(train, lambda: [k, b])


def from_scratch(api: API, problem: Problem) -> Training:
    T, lr, batch_size = api.T, problem.lr, problem.batch
    features, labels = api.tensors(problem.x, problem.y)
    w, b = api.leaves(*problem.start)

    def data_iter() -> Iterator[Any]:
        indices = list(problem.order)
        while True:
            for i in range(0, len(indices), batch_size):
                batch_indices = T.tensor(indices[i : i + batch_size], device=api.device)
                yield features[batch_indices], labels[batch_indices]
            random.shuffle(indices)

    def linreg(X: Any, w: Any, b: Any) -> Any:
        return T.matmul(X, w) + b

    def squared_loss(y_hat: Any, y: Any) -> Any:
        return (y_hat - y.reshape(y_hat.shape)) ** 2 / 2

    def sgd(params: list[Any]) -> None:
        with T.no_grad():
            for param in params:
                param -= lr * param.grad / batch_size
                param.grad.zero_()

    def train(X: Any, y: Any) -> Any:
        loss = squared_loss(linreg(X, w, b), y).sum()
        loss.backward()
        sgd([w, b])
        return loss

    return Training(train, lambda: [w, b], data_iter())


def operation(api: API, problem: Problem) -> Training:
    T, mode = api.T, problem.mode
    f = OPERATIONS[problem.operation]
    x, y = api.tensors(problem.x, problem.y)
    if mode == "forward":

        def forward() -> Any:
            with T.no_grad():
                return f(T, x, y)

        return Training(forward, lambda: [forward()])
    x.requires_grad_()
    y.requires_grad_()
    if mode == "recording":
        return Training(lambda: f(T, x, y), lambda: [f(T, x, y)])
    g = f(T, x, y).detach()  # ones would have no gradient through softmax

    def backward() -> None:
        x.grad = y.grad = None
        f(T, x, y).backward(g)

    return Training(backward, lambda: [t.grad for t in (x, y) if t.grad is not None])


OPERATIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "add": lambda T, x, y: x + y,
    "mul": lambda T, x, y: x * y,
    "div": lambda T, x, y: x / y,
    "exp": lambda T, x, y: x.exp(),
    "tanh": lambda T, x, y: x.tanh(),
    "relu": lambda T, x, y: x.relu(),
    "sum": lambda T, x, y: x.sum(),
    "mean": lambda T, x, y: x.mean(),
    "matmul": lambda T, x, y: x @ y,
    "softmax": lambda T, x, y: x.softmax(1),
    "reshape": lambda T, x, y: x.reshape(100),
    "getitem": lambda T, x, y: x[2:7],
    "cat": lambda T, x, y: T.cat([x, y]),
    "where": lambda T, x, y: T.where(x > 1, x, y),
}


def long_graph(api: API, problem: Problem) -> Training:
    (x,) = api.leaves(problem.x)
    y = x

    def forward() -> Any:
        nonlocal y
        y = x
        for _ in range(problem.length):
            y = y + 1.0
        return y.detach()

    def clear() -> None:
        nonlocal y
        x.grad, y = None, x

    def backward() -> None:
        y.backward()

    if problem.mode == "forward":
        return Training(forward, lambda: [y], begin=clear)

    def prepare() -> None:
        clear()
        forward()

    return Training(backward, lambda: [x.grad], begin=prepare)


def epoch(api: API, problem: Problem) -> Training:
    T = api.T
    dataset = T.utils.data.TensorDataset(T.from_numpy(problem.x), T.from_numpy(problem.y))
    loader = T.utils.data.DataLoader(dataset, problem.batch, shuffle=True)

    def step() -> None:
        for _ in loader:
            pass

    return Training(step, lambda: [sum(x.double().sum(0) for x, _ in loader)])


STEPS = {
    f.__name__: f
    for f in (
        linear, polynomial, concise, net, classifier, deep, two_layer_net, raw_tensors, from_scratch, operation,
    )
}  # fmt: skip
EAGER_ONLY = {f.__name__: f for f in (long_graph, epoch)}
