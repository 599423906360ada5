"""HIPS autograd as its documentation trains: a pure loss in `autograd.numpy`, `value_and_grad`, and parameters that
are arguments and results of the update, in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import autograd.numpy as anp
from autograd import value_and_grad

from benchmarks.engines.loop import Backend, Loop, backend, cubic, minibatches, random_numbers
from benchmarks.problems import Array, Problem

Loss = Callable[[list[Any], Array, Array], Any]


def train(problem: Problem, loss: Loss, batches: Iterator[tuple[Array, Array]] | None = None) -> Loop:
    """SGD on a loss of (parameters, x, y); on the next batch, or on all of the data."""
    lr, x, y = problem.lr, problem.x, problem.y
    parameters = [p.copy() for p in problem.start]
    loss_and_grads = value_and_grad(loss)

    def step() -> Any:
        nonlocal parameters
        data = (x, y) if batches is None else next(batches)
        value, grads = loss_and_grads(parameters, *data)
        parameters = [p - lr * g for p, g in zip(parameters, grads, strict=True)]
        return value

    return Loop((lambda: float(step())) if problem.reads_loss else step, lambda: list(parameters))


def squared(p: list[Any], x: Array, y: Array) -> Any:
    return anp.mean((anp.dot(x, p[0].T) + p[1] - y) ** 2)


def linear(problem: Problem) -> Loop:
    if problem.reduction == "sum":
        return train(problem, lambda p, x, y: anp.sum((anp.dot(x, p[0].T) - y) ** 2))
    return train(problem, squared)


def polynomial(problem: Problem) -> Loop:
    return train(problem, squared, (cubic(problem, random) for random in random_numbers(problem)))


def concise(problem: Problem) -> Loop:
    """autograd has no loader: batches from NumPy."""
    return train(problem, squared, minibatches(problem))


def from_scratch(problem: Problem) -> Loop:
    smaller = replace(problem, lr=problem.lr / problem.batch)  # the listing divides the gradients by the batch
    return train(smaller, lambda p, x, y: anp.sum((anp.dot(x, p[0]) + p[1] - y) ** 2) / 2, minibatches(problem))


def raw_tensors(problem: Problem) -> Loop:
    return train(problem, lambda p, x, y: anp.mean((p[0] * x + p[1] - y) ** 2))


def two_layer_net(problem: Problem) -> Loop:
    return train(problem, lambda p, x, y: anp.sum((anp.dot(anp.maximum(anp.dot(x, p[0]), 0), p[1]) - y) ** 2))


def hidden_layer(p: list[Any], x: Array) -> Any:
    w1, b1, w2, b2 = p
    return anp.dot(anp.maximum(anp.dot(x, w1.T) + b1, 0), w2.T) + b2


def net(problem: Problem) -> Loop:
    return train(problem, lambda p, x, y: anp.mean((hidden_layer(p, x) - y) ** 2))


def classifier(problem: Problem) -> Loop:
    rows = anp.arange(len(problem.x))

    def loss(p: list[Any], x: Array, y: Array) -> Any:
        logits = hidden_layer(p, x)
        logits = logits - anp.max(logits, axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(logits), axis=1)) - logits[rows, y])

    return train(problem, loss)


def deep(problem: Problem) -> Loop:
    def loss(parameters: list[Any], x: Array, y: Array) -> Any:
        out = anp.dot(x, parameters[0].T) + parameters[1]
        for w, b in zip(parameters[2::2], parameters[3::2], strict=True):
            out = anp.dot(anp.maximum(out, 0), w.T) + b
        return anp.mean((out - y) ** 2)

    return train(problem, loss)


LOOPS = {
    f.__name__: f
    for f in (linear, polynomial, concise, from_scratch, raw_tensors, two_layer_net, net, classifier, deep)
}


def load() -> Backend:
    return backend(LOOPS)
