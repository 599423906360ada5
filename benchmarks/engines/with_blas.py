"""BLAS alone: the matrix products of a step, and nothing else, into memory that is there. An engine is faster only by
another BLAS."""

from __future__ import annotations

import timeit
from functools import partial
from typing import Any

import numpy as np

from benchmarks.engines.loop import Backend, Loop, backend
from benchmarks.problems import Array, Problem


def faster(a: Array, b: Array, out: Array) -> Any:
    """np.matmul or np.dot: they call different functions of BLAS for some shapes, matmul none for an outer product."""
    times = {}
    for multiply in (np.matmul, np.dot):
        timer = timeit.Timer(partial(multiply, a, b, out))
        times[multiply] = min(timer.repeat(5, 1))
    return min(times, key=lambda multiply: times[multiply])


def products(problem: Problem, weights: list[Array], transposed: bool = True) -> Loop:
    """The products of a chain of layers with ReLU between them: x @ w.T where they are `transposed`, as in PyTorch's
    layers, else x @ w; and those of the gradients, in the layouts in which they come."""
    pairs: list[tuple[Array, Array]] = []
    x = problem.x
    for i, w in enumerate(weights):
        d_out = np.ones((len(x), len(w) if transposed else w.shape[1]), np.float32)
        pairs.append((x, w.T if transposed else w))
        pairs.append((d_out.T, x) if transposed else (x.T, d_out))  # the gradient of the weight
        if i:
            pairs.append((d_out, w if transposed else w.T))  # that of the input; nobody asks for that of the data
        x = np.ones_like(d_out)
    outs = [np.empty((len(a), b.shape[1]), np.float32) for a, b in pairs]
    calls = [(faster(a, b, out), a, b, out) for (a, b), out in zip(pairs, outs, strict=True)]

    def step() -> None:
        for multiply, a, b, out in calls:
            multiply(a, b, out)

    return Loop(step, list)


def load() -> Backend:
    return backend(
        {
            "linear": lambda problem: products(problem, list(problem.start[:1])),
            "two_layer_net": lambda problem: products(problem, list(problem.start), transposed=False),
            "net": lambda problem: products(problem, list(problem.start[::2])),
            "classifier": lambda problem: products(problem, list(problem.start[::2])),
            "deep": lambda problem: products(problem, list(problem.start[::2])),
        },
        "no chain of matrix products",
    )
