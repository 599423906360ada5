"""What was measured, as plots: bars of the ratios of the loops, and time against size, both axes logarithmic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from textwrap import fill
from typing import Any

from benchmarks.engines import BASELINE, ENGINES
from benchmarks.measuring import Spread
from benchmarks.results import Run
from benchmarks.workloads import GROUPS, SWEEPS

PALETTE = ["k", "C3", "C1", "C0", "C9", "C2", "C8", "limegreen", "C4", "C5", "C6", "navy", "gold", "0.6"]
COLORS = {engine.name: color for engine, color in zip(ENGINES, PALETTE, strict=True)}
LINES = ("-", "--", ":", "-.")


def crossing(ours: Mapping[int, float], theirs: Mapping[int, float]) -> int | None:
    """The first size from which on `theirs` takes less time than `ours`; None where that doesn't last to the end."""
    first = None
    for size in sorted(ours.keys() & theirs.keys()):
        if theirs[size] >= ours[size]:
            first = None
        elif first is None:
            first = size
    return first


def bars(run: Run, pyplot: Any) -> Any:
    """Each loop's ratio to NumPy by hand, for every engine that ran it."""
    results = [result for result in run.group("loops") if BASELINE in result.timed()]
    engines = [e for e in dict.fromkeys(e for r in results for e in r.timed()) if e != BASELINE]
    figure, axes = pyplot.subplots(figsize=(11, 5), layout="constrained")
    width = 0.85 / max(1, len(engines))
    for i, engine in enumerate(engines):
        found = [(j, r.ratio(engine, BASELINE)) for j, r in enumerate(results)]
        spreads = [(j + (i - (len(engines) - 1) / 2) * width, s) for j, s in found if s is not None]
        medians = [s.median for _, s in spreads]
        errors = [[s.median - s.low for _, s in spreads], [s.high - s.median for _, s in spreads]]
        axes.bar([j for j, _ in spreads], medians, width, yerr=errors, label=engine, color=COLORS.get(engine))
    axes.axhline(1, color="k", lw=1)
    axes.set_yscale("log")
    axes.set_xticks(range(len(results)), [fill(r.title, 16) for r in results])
    axes.tick_params(axis="x", labelsize=7)
    axes.set_ylabel(f"time of a step / {BASELINE}")
    axes.set_title(f"The documents' loops ({run.machine['processor']}, threads: {run.machine['threads']})", fontsize=10)
    axes.legend(fontsize=8, ncols=2)
    return figure


def curves(runs: Sequence[Run], group: str, pyplot: Any) -> Any:
    """Time against size; a kind of line for each machine, and a mark where the GPU overtakes NumPy for good."""
    figure, axes = pyplot.subplots(figsize=(7, 5), layout="constrained")
    for run, line in zip(runs, LINES * len(runs), strict=False):
        curve: dict[str, dict[int, float]] = {}
        for result in sorted(run.group(group), key=lambda r: r.size or 0):
            for engine, times in result.timed().items():
                curve.setdefault(engine, {})[result.size or 0] = Spread.of(times).median
        where = f" ({run.machine['gpu'] or run.machine['processor']})" if len(runs) > 1 else ""
        for engine, points in curve.items():
            x, y = list(points), list(points.values())
            axes.plot(x, y, line, marker=".", color=COLORS.get(engine), label=engine + where)
        for engine in (e for e in curve if "CUDA" in e and BASELINE in curve):
            size = crossing(curve[BASELINE], curve[engine])
            if size is not None:
                text = f"{engine} overtakes\nNumPy at {size:,}"
                axes.annotate(text, (size, curve[engine][size]), (0, -30), textcoords="offset points", fontsize=7)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(GROUPS[group])
    axes.set_ylabel("µs a step")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    return figure


def require() -> Any:
    """Matplotlib's pyplot, for files. ImportError where there is none: the suite runs without."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError("--plots needs Matplotlib: pip install matplotlib") from error
    matplotlib.use("Agg")
    return import_module("matplotlib.pyplot")


def draw(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Save every plot for which there are numbers."""
    pyplot = require()
    folder.mkdir(parents=True, exist_ok=True)
    figures = {}
    for i, run in enumerate(runs):
        if run.group("loops"):
            figures["loops" if i == 0 else f"loops_{i + 1}"] = bars(run, pyplot)
    for group in SWEEPS:
        there = [run for run in runs if run.group(group)]
        if there:
            figures[group] = curves(there, group, pyplot)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=150)
        pyplot.close(figure)
    return paths
