"""Time: the engines take turns in short rounds, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.engines.loop import Loop

BLOCK = 0.01  # seconds: how long an engine runs at a stretch, at least
FEWEST = 3  # rounds, however long they take


@dataclass(frozen=True)
class Spread:
    """A median with the quartiles about it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


def ratio(times: Sequence[float], others: Sequence[float]) -> Spread:
    """The ratios within the rounds: what slowed a round down cancels. ValueError unless there are as many of each."""
    return Spread.of([x / y for x, y in zip(times, others, strict=True)])


def block(loop: Loop, count: int, clock: Callable[[], float]) -> float:
    """Seconds of so many steps, until what they began is done."""
    loop.begin()
    start = clock()
    for _ in range(count):
        loop.step()
    loop.finish()
    return clock() - start


def steps_a_block(loop: Loop, once: bool, seconds: float, clock: Callable[[], float]) -> int:
    """So many that a block takes the seconds; warms the loop up on the way."""
    if once:
        return 1
    taken, count = block(loop, 1, clock), 1
    while taken < seconds / 4:
        count *= 2
        taken = block(loop, count, clock)
    return max(1, math.ceil(count * seconds / taken))


def measure(
    loops: Mapping[str, Loop],
    rounds: int,
    seconds: float,
    once: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Microseconds a step of each engine in each round; at most `rounds`, and fewer where they'd take longer than
    `seconds` together. Who begins changes from round to round."""
    names = list(loops)
    gc.collect()
    gc.freeze()  # what the engines' modules hold is not searched for garbage again and again while one is timed
    try:
        each = min(BLOCK, seconds)
        counts = {name: steps_a_block(loop, once, each, clock) for name, loop in loops.items()}
        times: dict[str, list[float]] = {name: [] for name in names}
        start = clock()
        for i in range(rounds):
            if i >= min(FEWEST, rounds) and (clock() - start) * (i + 1) / i > seconds:
                break
            turn = i % len(names)
            for name in names[turn:] + names[:turn]:
                times[name].append(block(loops[name], counts[name], clock) / counts[name] * 1e6)
        return times
    finally:
        gc.unfreeze()
