"""MyGrad as its documentation trains: data are arrays, parameters tensors, `backward` on the loss, and the update
written to the parameters' `.data`. Gradients of the step before vanish by themselves."""

from __future__ import annotations

from typing import Any

import mygrad as mg
from mygrad.nnet import softmax_crossentropy
from mygrad.nnet.activations import relu

from benchmarks.engines.loop import Backend, Loop
from benchmarks.engines.losses import Batches, Library, Loss
from benchmarks.problems import Problem


def train(problem: Problem, loss: Loss, batches: Batches) -> Loop:
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


def load() -> Backend:
    return Library(train, mg.mean, mg.sum, mg.matmul, relu, softmax_crossentropy).backend()
