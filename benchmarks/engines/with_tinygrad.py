"""tinygrad as its documentation trains: lazy tensors, `nn.optim.SGD`, and the whole step under `TinyJit`, which
records the kernels of the second call and replays them. On the CPU it compiles them with clang."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tinygrad import Context, Device, Tensor, TinyJit
from tinygrad.nn.optim import SGD

from benchmarks.engines.loop import Backend, Loop, Unavailable, backend, cubic, minibatches, random_numbers
from benchmarks.problems import Array, Problem

Loss = Callable[[list[Tensor], Tensor, Tensor], Tensor]


def train(problem: Problem, loss: Loss, batches: Iterator[tuple[Array, Array]] | None = None) -> Loop:
    """SGD on a loss of (parameters, x, y); on the next batch, or on all of the data."""
    parameters = [Tensor(p.copy()).realize() for p in problem.start]
    optimizer = SGD(parameters, lr=problem.lr)

    @TinyJit
    def update(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        value = loss(parameters, x, y).backward()
        return value.realize(*optimizer.schedule_step())

    x, y = Tensor(problem.x.copy()).realize(), Tensor(problem.y.copy()).realize()

    def step() -> Any:
        with Context(TRAINING=1):
            if batches is None:
                return update(x, y)
            return update(*(Tensor(array).realize() for array in next(batches)))

    read = (lambda: step().item()) if problem.reads_loss else step
    return Loop(read, lambda: [p.numpy() for p in parameters], finish=Device[Device.DEFAULT].synchronize)


def squared(p: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    return (x.linear(p[0].T, p[1]) - y).square().mean()


def linear(problem: Problem) -> Loop:
    if problem.reduction == "sum":
        return train(problem, lambda p, x, y: (x.linear(p[0].T) - y).square().sum())
    return train(problem, squared)


def polynomial(problem: Problem) -> Loop:
    return train(problem, squared, (cubic(problem, random) for random in random_numbers(problem)))


def concise(problem: Problem) -> Loop:
    """tinygrad has no loader: batches from NumPy."""
    return train(problem, squared, minibatches(problem))


def from_scratch(problem: Problem) -> Loop:
    smaller = replace(problem, lr=problem.lr / problem.batch)  # the listing divides the gradients by the batch
    return train(smaller, lambda p, x, y: (x.linear(p[0], p[1]) - y).square().sum() / 2, minibatches(problem))


def raw_tensors(problem: Problem) -> Loop:
    return train(problem, lambda p, x, y: (p[0] * x + p[1] - y).square().mean())


def two_layer_net(problem: Problem) -> Loop:
    return train(problem, lambda p, x, y: (x.matmul(p[0]).relu().matmul(p[1]) - y).square().sum())


def hidden_layer(p: list[Tensor], x: Tensor) -> Tensor:
    return x.linear(p[0].T, p[1]).relu().linear(p[2].T, p[3])


def net(problem: Problem) -> Loop:
    return train(problem, lambda p, x, y: (hidden_layer(p, x) - y).square().mean())


def classifier(problem: Problem) -> Loop:
    return train(problem, lambda p, x, y: hidden_layer(p, x).sparse_categorical_crossentropy(y))


def deep(problem: Problem) -> Loop:
    if len(problem.start) > 2 * 30:
        raise Unavailable("over 30 layers: compiling their kernels takes minutes")

    def loss(parameters: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
        out = x.linear(parameters[0].T, parameters[1])
        for w, b in zip(parameters[2::2], parameters[3::2], strict=True):
            out = out.relu().linear(w.T, b)
        return (out - y).square().mean()

    return train(problem, loss)


LOOPS = {
    f.__name__: f
    for f in (linear, polynomial, concise, from_scratch, raw_tensors, two_layer_net, net, classifier, deep)
}


def load() -> Backend:
    if shutil.which("clang") is None:
        raise Unavailable("needs clang")
    return backend(LOOPS)
