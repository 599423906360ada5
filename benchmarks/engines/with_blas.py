"""BLAS alone: the matrix products of a step, and nothing else, into memory that is there. No engine can be faster, but
by another BLAS."""

from __future__ import annotations

import numpy as np

from benchmarks.engines.loop import Backend, Loop, backend
from benchmarks.problems import Array, Problem


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
    calls = [(a, b, np.empty((len(a), b.shape[1]), np.float32)) for a, b in pairs]

    def step() -> None:
        for a, b, out in calls:
            np.matmul(a, b, out=out)

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
