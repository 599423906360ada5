"""micrograd: scalars alone, so the smallest loops alone. Its README's way: Values, `backward`, the update by hand."""

from __future__ import annotations

from typing import Any

from micrograd.engine import Value

from benchmarks.engines.loop import Backend, Loop, Unavailable, backend
from benchmarks.problems import Problem


def linear(problem: Problem) -> Loop:
    if len(problem.x) > 15:
        raise Unavailable("one object a number: the smallest loops only")
    xs, ys = problem.x[:, 0].tolist(), problem.y[:, 0].tolist()
    parameters = [Value(p.item()) for p in problem.start]
    scale = 1 / len(xs) if problem.reduction == "mean" else 1.0

    def step() -> Any:
        w, *bias = parameters
        loss = sum((sum(bias, w * x) - y) ** 2 for x, y in zip(xs, ys, strict=True)) * scale
        for p in parameters:
            p.grad = 0
        loss.backward()
        for p in parameters:
            p.data -= problem.lr * p.grad
        return loss.data

    return Loop(step, lambda: [p.data for p in parameters])


def load() -> Backend:
    return backend({"linear": linear}, "scalars only: the smallest loops only")
