"""Do the engines compute the same? Nothing is timed that doesn't."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.engines.loop import Loop
from benchmarks.problems import STEPS, Array, Problem

ROUNDING = 2e-6  # relative: what float32 may lose in STEPS steps, whatever the parameters have moved


@dataclass(frozen=True)
class Outcome:
    """What a loop has arrived at after STEPS steps."""

    losses: list[float]
    results: list[Array]


def number(loss: Any) -> float:
    """A loss as a Python number, from whatever the engine has."""
    return float(loss.item() if hasattr(loss, "item") else loss)


def outcome(loop: Loop, problem: Problem) -> Outcome:
    """Make the steps. A problem without parameters has no losses, and one step does."""
    losses = []
    for _ in range(STEPS if problem.start else 1):
        loop.begin()
        loss = loop.step()
        loop.finish()
        if problem.start:
            losses.append(number(loss))
    return Outcome(losses, [np.asarray(result, dtype=np.float64) for result in loop.results()])


def difference(problem: Problem, ours: Outcome, reference: Outcome, tolerance: float) -> str:
    """What differs, or "". Parameters are compared relative to how far they have moved from where they began."""
    for i, (loss, right) in enumerate(zip(ours.losses, reference.losses, strict=True)):
        if not abs(loss - right) <= tolerance * abs(right):
            return f"the loss of step {i + 1} is {loss:.6g}, not {right:.6g}"
    if len(ours.results) != len(reference.results):
        return f"{len(ours.results)} results, not {len(reference.results)}"
    for i, (result, expected) in enumerate(zip(ours.results, reference.results, strict=True)):
        if result.size != expected.size:
            return f"result {i} has {result.size} elements, not {expected.size}"
        start = problem.start[i].reshape(expected.shape) if problem.start else np.zeros_like(expected)
        moved = np.abs(expected - start).max(initial=0)
        allowed = tolerance * moved + ROUNDING * np.abs(expected).max(initial=0)
        error = np.abs(result.reshape(expected.shape) - expected).max(initial=0)
        if not error <= allowed:  # also where it is NaN
            return f"result {i} is off by {error:.2g}; {allowed:.2g} is allowed, where the reference moved {moved:.2g}"
    return ""
