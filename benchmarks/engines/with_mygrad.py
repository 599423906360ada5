"""MyGrad as its documentation trains: data are arrays, parameters tensors, `backward` on the loss, and the update
written to the parameters' `.data`. Gradients of the step before vanish by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import mygrad as mg
from mygrad.nnet import softmax_crossentropy
from mygrad.nnet.activations import relu

from benchmarks.engines.loop import Backend, Loop, backend, cubic, minibatches, random_numbers
from benchmarks.problems import Array, Problem

Loss = Callable[[list[Any], Array, Array], Any]


def train(problem: Problem, loss: Loss, batches: Iterator[tuple[Array, Array]] | None = None) -> Loop:
    """SGD on a loss of (parameters, x, y); on the next batch, or on all of the data."""
    lr, x, y = problem.lr, problem.x, problem.y
    parameters = [mg.tensor(p.copy()) for p in problem.start]

    def step() -> Any:
        data = (x, y) if batches is None else next(batches)
        value = loss(parameters, *data)
        value.backward()
        for p in parameters:
            p.data -= lr * p.grad
        return value

    read = (lambda: step().item()) if problem.reads_loss else step
    return Loop(read, lambda: [p.data.copy() for p in parameters])


def squared(p: list[Any], x: Array, y: Array) -> Any:
    return mg.mean((mg.matmul(x, p[0].T) + p[1] - y) ** 2)


def linear(problem: Problem) -> Loop:
    if problem.reduction == "sum":
        return train(problem, lambda p, x, y: mg.sum((mg.matmul(x, p[0].T) - y) ** 2))
    return train(problem, squared)


def polynomial(problem: Problem) -> Loop:
    return train(problem, squared, (cubic(problem, random) for random in random_numbers(problem)))


def concise(problem: Problem) -> Loop:
    """MyGrad has no loader: batches from NumPy."""
    return train(problem, squared, minibatches(problem))


def from_scratch(problem: Problem) -> Loop:
    smaller = replace(problem, lr=problem.lr / problem.batch)  # the listing divides the gradients by the batch
    return train(smaller, lambda p, x, y: mg.sum((mg.matmul(x, p[0]) + p[1] - y) ** 2) / 2, minibatches(problem))


def raw_tensors(problem: Problem) -> Loop:
    return train(problem, lambda p, x, y: mg.mean((p[0] * x + p[1] - y) ** 2))


def two_layer_net(problem: Problem) -> Loop:
    return train(problem, lambda p, x, y: mg.sum((mg.matmul(relu(mg.matmul(x, p[0])), p[1]) - y) ** 2))


def hidden_layer(p: list[Any], x: Array) -> Any:
    w1, b1, w2, b2 = p
    return mg.matmul(relu(mg.matmul(x, w1.T) + b1), w2.T) + b2


def net(problem: Problem) -> Loop:
    return train(problem, lambda p, x, y: mg.mean((hidden_layer(p, x) - y) ** 2))


def classifier(problem: Problem) -> Loop:
    return train(problem, lambda p, x, y: softmax_crossentropy(hidden_layer(p, x), y))


def deep(problem: Problem) -> Loop:
    def loss(parameters: list[Any], x: Array, y: Array) -> Any:
        out = mg.matmul(x, parameters[0].T) + parameters[1]
        for w, b in zip(parameters[2::2], parameters[3::2], strict=True):
            out = mg.matmul(relu(out), w.T) + b
        return mg.mean((out - y) ** 2)

    return train(problem, loss)


LOOPS = {
    f.__name__: f
    for f in (linear, polynomial, concise, from_scratch, raw_tensors, two_layer_net, net, classifier, deep)
}


def load() -> Backend:
    return backend(LOOPS)
