"""tinygrad as its documentation trains: lazy tensors, `nn.optim.SGD`, and the whole step under `TinyJit`, which
records the kernels of the second call and replays them. On the CPU it compiles them with clang."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from tinygrad import Context, Device, Tensor, TinyJit, Variable
from tinygrad.nn.optim import SGD

from benchmarks.engines.loop import Backend, Loop, Unavailable, backend
from benchmarks.problems import Problem

Loss = Callable[[list[Tensor], Tensor, Tensor], Tensor]


def train(problem: Problem, loss: Loss, draws: Iterator[Any] | None = None, batch: Any = lambda *data: data) -> Loop:
    """SGD on a loss of (parameters, x, y); x and y are all of the data, or what `batch` makes of the next draw, under
    the jit too."""
    parameters = [Tensor(p.copy()).realize() for p in problem.start]
    optimizer = SGD(parameters, lr=problem.lr)

    @TinyJit
    def update(*data: Any) -> Tensor:
        optimizer.zero_grad()
        value = loss(parameters, *batch(*data)).backward()
        return value.realize(*optimizer.schedule_step())

    x, y = Tensor(problem.x.copy()).realize(), Tensor(problem.y.copy()).realize()

    def step() -> Any:
        with Context(TRAINING=1):
            return update(x, y) if draws is None else update(*next(draws))

    read = (lambda: step().item()) if problem.reads_loss else step
    return Loop(read, lambda: [p.numpy() for p in parameters], finish=Device[Device.DEFAULT].synchronize)


def on_batches(problem: Problem, loss: Loss) -> Loop:
    """tinygrad has no loader. To make a tensor of each batch takes milliseconds: an epoch is put in order at once, and
    its batches are slices under the jit, whose place is a Variable."""
    size, last = problem.batch, len(problem.order) // problem.batch - 1
    place = Variable("i", 0, last)
    rng = np.random.default_rng()

    def draws() -> Iterator[Any]:
        order = np.array(problem.order)
        while True:
            x, y = Tensor(problem.x[order]).realize(), Tensor(problem.y[order]).realize()
            for i in range(last + 1):
                yield x, y, place.bind(i)
            rng.shuffle(order)

    def batch(x: Tensor, y: Tensor, i: Any) -> Any:
        rows = i * size, i * size + size
        return x.shrink((rows, None)), y.shrink((rows, None))

    return train(problem, loss, draws(), batch)


def squared(p: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    return (x.linear(p[0].T, p[1]) - y).square().mean()


def linear(problem: Problem) -> Loop:
    if problem.reduction == "sum":
        return train(problem, lambda p, x, y: (x.linear(p[0].T) - y).square().sum())
    return train(problem, squared)


def polynomial(problem: Problem) -> Loop:
    target, constant = Tensor(problem.y[:3].copy()).realize(), problem.y[3].item()
    draw = TinyJit(lambda: Tensor.randn(problem.batch).realize())
    for _ in range(3):
        draw()  # recorded now, not when it is timed

    def draws() -> Iterator[Any]:
        for random in problem.draws:
            yield (Tensor(random.copy()).realize(),)
        while True:
            yield (draw(),)

    def batch(random: Tensor) -> Any:
        x = Tensor.stack(random, random**2, random**3, dim=1)
        return x, (x.matmul(target) + constant).unsqueeze(1)

    return train(problem, squared, draws(), batch)


def concise(problem: Problem) -> Loop:
    return on_batches(problem, squared)


def from_scratch(problem: Problem) -> Loop:
    smaller = replace(problem, lr=problem.lr / problem.batch)  # the listing divides the gradients by the batch
    return on_batches(smaller, lambda p, x, y: (x.linear(p[0], p[1]) - y).square().sum() / 2)


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
