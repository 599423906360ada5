"""What an engine makes of a problem: a step that can be timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.problems import Array, Problem


class Unavailable(Exception):
    """Why an engine does not run here, or not this problem."""


def nothing() -> None:
    """Where an engine needs no preparation."""


@dataclass(frozen=True)
class Loop:
    """A problem on an engine. Time goes from the first step of a block to the end of `finish`."""

    step: Callable[[], Any]  # gives the loss, in whatever form the engine has it
    results: Callable[[], list[Any]]  # what the engines must agree on: parameters, or values and gradients
    begin: Callable[[], Any] = nothing  # before a block of steps; untimed
    finish: Callable[[], Any] = nothing  # at the end of a block: waits until what the steps began is done


Backend = Callable[[str, Problem], Loop]  # from a family's name; raises Unavailable


def backend(loops: Mapping[str, Callable[[Problem], Loop]], why_not: str = "not written for this engine") -> Backend:
    """The Backend that looks a family up in a table."""

    def build(family: str, problem: Problem) -> Loop:
        if family not in loops:
            raise Unavailable(why_not)
        return loops[family](problem)

    return build


def minibatches(problem: Problem) -> Iterator[tuple[Array, Array]]:
    """Batches for ever, in random order, as NumPy's users draw them; the first epoch in the problem's order."""
    rng = np.random.default_rng()
    order = np.array(problem.order)
    while True:
        for i in range(0, len(order), problem.batch):
            indices = order[i : i + problem.batch]
            yield problem.x[indices], problem.y[indices]
        rng.shuffle(order)


def random_numbers(problem: Problem) -> Iterator[Array]:
    """Standard normal numbers for ever, as NumPy draws them; first those of the problem."""
    yield from problem.draws
    rng = np.random.default_rng()
    while True:
        yield rng.standard_normal(problem.batch, dtype=np.float32)


def cubic(problem: Problem, random: Array) -> tuple[Array, Array]:
    """Listing 3's batch: the columns x, x^2, x^3, and the polynomial that is to be found."""
    x = np.stack([random, random**2, random**3], axis=1)
    return x, (x @ problem.y[:3] + problem.y[3])[:, None]
