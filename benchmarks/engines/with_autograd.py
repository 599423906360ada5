"""HIPS autograd as its documentation trains: a pure loss in `autograd.numpy`, `value_and_grad`, and parameters that
are arguments and results of the update, in NumPy."""

from __future__ import annotations

from typing import Any

import autograd.numpy as anp
from autograd import value_and_grad

from benchmarks.engines.loop import Backend, Loop
from benchmarks.engines.losses import Batches, Library, Loss
from benchmarks.problems import Array, Problem


def train(problem: Problem, loss: Loss, batches: Batches) -> Loop:
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


def cross_entropy(logits: Any, y: Array) -> Any:
    logits = logits - anp.max(logits, axis=1, keepdims=True)
    return anp.mean(anp.log(anp.sum(anp.exp(logits), axis=1)) - logits[anp.arange(len(y)), y])


def load() -> Backend:
    return Library(train, anp.mean, anp.sum, anp.dot, lambda x: anp.maximum(x, 0), cross_entropy).backend()
