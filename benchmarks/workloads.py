"""The workloads: every problem under a name, in groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial

from benchmarks import problems
from benchmarks.problems import Problem

GROUPS = {
    "loops": "The documents' loops",
    "points": "Linear regression over so many points",
    "hidden": "Two-layer net, batch 64: hidden width",
    "batch": "Two-layer net, 100 hidden units: batch",
    "depth": "Net of 10-10 layers on 100 points: depth",
    "operations": "One operation on 10 x 10 numbers",
    "graph": "A chain of additions: its length",
    "loader": "An epoch of 10,000 samples from a shuffling loader: size of the batch",
    "import": "A process that imports the engine",
    "memory": "Peak live memory of a step",
}
SWEEPS = ("points", "hidden", "batch", "depth")  # the groups whose time is drawn against size
OPERATIONS = (
    "add", "mul", "div", "exp", "tanh", "relu", "sum", "mean", "matmul", "softmax", "reshape", "getitem", "cat",
    "where",
)  # fmt: skip
MODES = {"forward": "forward alone", "recording": "recorded", "backward": "recorded, and backward"}


@dataclass(frozen=True)
class Workload:
    """A problem under a name. `family` names the function of an engine's file that solves it."""

    name: str
    title: str
    group: str
    family: str
    problem: Callable[[], Problem]
    size: int | None = None  # in a group that sweeps over sizes
    once: bool = False  # a step uses up what was made ready for it: one step a block
    quick: bool = False  # belongs to --quick
    unit: str = "µs"


def _loops() -> list[Workload]:
    def loop(name: str, title: str, family: str, problem: Callable[[], Problem]) -> Workload:
        return Workload(name, title, "loops", family, problem, quick=True)

    return [
        loop("1", "1: linear regression, 15 points", "linear", partial(problems.linear_regression, 15)),
        loop("3", "3: cubic from random batches of 32", "polynomial", problems.polynomial),
        loop("5", "5: two-layer net 64-1000-100-10", "two_layer_net", problems.two_layer_net),
        loop("9", "9: 1-10-1 net, 100 points", "net", problems.curve_fitting_net),
        loop("10", "10: no bias, 3 points", "linear", problems.no_bias),
        loop("14", "14: k*x+b by raw tensors", "raw_tensors", problems.raw_tensors),
        loop("15", "15: from scratch, batch 10 by indexing", "from_scratch", problems.from_scratch),
        loop("16", "16: DataLoader, batch 10", "concise", problems.concise),
        loop("784", "784-256-10, batch 128", "classifier", problems.classifier),
    ]


def _sweep(
    group: str, family: str, sizes: Sequence[int], problem: Callable[[int], Problem], quick: int
) -> list[Workload]:
    return [
        Workload(f"{group}-{n}", f"{group} {n:,}", group, family, partial(problem, n), n, quick=n <= quick)
        for n in sizes
    ]


def _growth() -> list[Workload]:
    return [
        *_sweep("points", "linear", [10**k for k in range(1, 8)], problems.linear_regression, 100),
        *_sweep(
            "hidden",
            "two_layer_net",
            (10, 32, 100, 320, 1024, 4096),
            lambda n: problems.two_layer_net(hidden=n),
            32,
        ),
        *_sweep("batch", "two_layer_net", (1, 4, 16, 64, 256, 1024, 4096), problems.two_layer_net, 4),
        *_sweep("depth", "deep", (1, 3, 10, 30, 100, 300, 1000), problems.deep_net, 3),
    ]


def _operations() -> list[Workload]:
    return [
        Workload(
            f"{name}-{mode}",
            f"{name}, {words}",
            "operations",
            "operation",
            partial(problems.operation, name, mode),
            quick=name in ("add", "getitem"),
        )
        for name in OPERATIONS
        for mode, words in MODES.items()
    ]


def _others() -> list[Workload]:
    graphs = [
        Workload(
            f"graph-{mode}-{length}",
            f"{mode}, {length:,} additions",
            "graph",
            "long_graph",
            partial(problems.long_graph, length, mode),
            length,
            once=True,
            quick=length <= 10_000,
        )
        for mode, lengths in (("forward", (10_000, 1_000_000)), ("backward", (10_000, 250_000, 500_000, 1_000_000)))
        for length in lengths
    ]
    loaders = [
        Workload(f"loader-{n}", f"batches of {n}", "loader", "epoch", partial(problems.epoch, n), n, quick=n >= 1000)
        for n in (1, 10, 100, 1000)
    ]
    memory = [
        Workload(
            f"memory-{width}",
            f"10 layers {width}-{width}, batch {width}",
            "memory",
            "deep",
            partial(problems.deep_net, 10, width, width),
            quick=width < 100,
            unit="MiB",
        )
        for width in (64, 512)
    ]
    nothing = partial(problems.long_graph, 0, "")
    imports = Workload("import", "import", "import", "import", nothing, once=True, quick=True)
    return [*graphs, *loaders, imports, *memory]


WORKLOADS = [*_loops(), *_growth(), *_operations(), *_others()]


def select(patterns: Sequence[str], quick: bool) -> list[Workload]:
    """The workloads whose name or group matches one of the patterns. ValueError for a pattern that matches none."""
    for pattern in patterns:
        if not any(fnmatchcase(w.name, pattern) or w.group == pattern for w in WORKLOADS):
            raise ValueError(f"no workload is called {pattern!r}: --list shows their names and groups")
    chosen = [w for w in WORKLOADS if not patterns or any(fnmatchcase(w.name, p) or w.group == p for p in patterns)]
    return [w for w in chosen if w.quick or not quick]
