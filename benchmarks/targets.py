"""The numbers to reach: `--check` compares with them what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.engines import BASELINE, BLAS, PEER, SUBJECT
from benchmarks.results import Result, Run
from benchmarks.workloads import SWEEPS

# minigrad's time by NumPy's, at most; by PyTorch's, at most; the engines that it must be ahead of.
LOOPS: dict[str, tuple[float | None, float, tuple[str, ...]]] = {
    "1": (1.6, 1 / 7, ()),
    "9": (1.65, 1 / 4.5, ()),
    "14": (2.5, 1 / 3, ()),
    "15": (None, 1 / 4, ()),
    "16": (None, 1 / 6, ()),
    "5": (1.1, 1.0, ("jax.jit", "MyGrad", "HIPS autograd", "tinygrad")),
    "784": (1.1, 1.0, ()),
}
IMPORT = 1.5  # times `import numpy`
MEMORY = 1.1  # times what PyTorch's step holds
LINEAR = 1.5  # how much longer a node of the longest graph may take than one of the shortest
MOSTLY_PRODUCTS = 0.9  # of the time of PyTorch's step: from there on BLAS is the measure,
NEAR_BLAS = 1.05  # and minigrad's step may take so many times as long


@dataclass(frozen=True)
class Finding:
    """A ratio and its bound. `value` is None where one of the two was not measured, which counts as a miss."""

    what: str
    value: float | None
    bound: float

    @property
    def holds(self) -> bool:
        return self.value is not None and self.value <= self.bound

    def __str__(self) -> str:
        value = "not measured" if self.value is None else f"{self.value:.3f}"
        return f"{'ok  ' if self.holds else 'MISS'} {self.what}: {value} (at most {self.bound:.3f})"


def at_most(result: Result, other: str, bound: float) -> Finding:
    """minigrad's time by another engine's, within the rounds."""
    found = result.ratio(SUBJECT, other)
    return Finding(f"{result.title}: {SUBJECT} / {other}", found.median if found else None, bound)


def loop(result: Result) -> Iterator[Finding]:
    to_numpy, to_torch, others = LOOPS.get(result.name, (None, 1.0, ()))
    if to_numpy is not None:
        yield at_most(result, BASELINE, to_numpy)
    yield at_most(result, PEER, to_torch)
    for other in others:
        yield at_most(result, other, 1.0)


def never_slower(result: Result) -> Iterator[Finding]:
    """minigrad takes no longer than PyTorch; where PyTorch's step is nearly all matrix product, within 5 percent of
    what BLAS takes for the products."""
    products = result.ratio(BLAS, PEER)
    if products and products.median > MOSTLY_PRODUCTS:
        yield at_most(result, BLAS, NEAR_BLAS)
    else:
        yield at_most(result, PEER, 1.0)


def linear_graph(results: Sequence[Result]) -> Iterator[Finding]:
    """The time of backward for each node, at the longest graph by that at the shortest over 100,000 nodes."""
    long = [r for r in results if r.name.startswith("graph-backward") and r.size and r.size > 100_000]
    if len(long) > 1:
        first, last = (r.median(SUBJECT) for r in (long[0], long[-1]))
        value = (last / long[-1].size) / (first / long[0].size) if first and last else None  # type: ignore[operator]
        yield Finding(f"backward for each node, {long[-1].size:,} by {long[0].size:,} nodes", value, LINEAR)


RULES: dict[str, Callable[[Result], Iterator[Finding]]] = {
    "loops": loop,
    **dict.fromkeys(SWEEPS, never_slower),
    "operations": lambda result: iter([at_most(result, PEER, 1.0)]),
    "graph": lambda result: iter([at_most(result, PEER, 1.0)]),
    "loader": lambda result: iter([at_most(result, PEER, 1.0)]),
    "import": lambda result: iter([at_most(result, BASELINE, IMPORT)]),
    "memory": lambda result: iter([at_most(result, PEER, MEMORY)]),
}


def check(run: Run) -> list[Finding]:
    """Every number to reach that concerns a workload of the run."""
    findings = [finding for result in run.results for finding in RULES[result.group](result)]
    return [*findings, *linear_graph(run.group("graph"))]
