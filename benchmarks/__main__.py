"""The command line of the benchmark suite."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import limit_threads


def count(text: str) -> int:
    """A whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is below 1")
    return number


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Every workload on every engine that is installed: agreement first, then time. Exit status 1 where "
        "engines disagree, or --check finds a number that is not reached.",
    )
    parser.add_argument("--workloads", nargs="+", default=[], metavar="NAME", help="names, patterns (points-*), groups")
    parser.add_argument("--engines", nargs="+", default=[], metavar="NAME", help="names or patterns ('pytorch*')")
    parser.add_argument(
        "--list", action="store_true", help="show the workloads and the engines, and why some can't run"
    )
    parser.add_argument("--threads", type=count, default=1, metavar="N", help="for every engine (default: 1)")
    parser.add_argument("--rounds", type=count, metavar="N", help="of a workload, at most (default: 41)")
    parser.add_argument("--seconds", type=float, metavar="S", help="for a workload, about (default: 20)")
    parser.add_argument("--quick", action="store_true", help="small sizes, few rounds: shows that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw; needs Matplotlib")
    parser.add_argument("--check", action="store_true", help="compare with the numbers to reach")
    parser.add_argument("--from", dest="files", type=Path, nargs="+", metavar="FILE", help="JSON: measure nothing")
    return parser


def show(workloads: Sequence[Any], engines: Sequence[Any]) -> None:
    """--list."""
    from benchmarks.session import find

    print("workloads:")
    for workload in workloads:
        print(f"  {workload.name:24} {workload.group:12} {workload.title}")
    _, absent = find(engines)
    print("engines:")
    for engine in engines:
        note = "" if engine.default else "  (where --engines names it)"
        print(f"  {engine.name:24} {absent.get(engine.name, 'ready')}{note}")


def progress(workloads: Sequence[Any]) -> Iterable[Any]:
    """The workloads, with a bar where there are a terminal and tqdm."""
    try:
        from tqdm import tqdm
    except ImportError:
        return workloads
    bar: Iterable[Any] = tqdm(workloads, unit=" workloads", disable=None)
    return bar


def measured(options: argparse.Namespace) -> list[Any]:
    """The runs: measured now, or read."""
    from benchmarks import engines, results, session, workloads

    if options.files:
        return results.merge([results.read(path) for path in options.files])
    rounds = options.rounds or (3 if options.quick else 41)
    seconds = options.seconds or (0.05 if options.quick else 20.0)
    settings = session.Settings(rounds, seconds, options.threads)
    chosen = workloads.select(options.workloads, options.quick)
    return [session.run(progress(chosen), engines.select(options.engines), settings)]


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    limit_threads(options.threads)
    # From here on NumPy may be loaded: it reads the number of threads when it is.
    from benchmarks import engines, plots, report, results, targets, workloads

    try:
        if options.list:
            show(workloads.select(options.workloads, options.quick), [*engines.ENGINES])
            return 0
        if options.plots:
            plots.require()  # before an hour of measuring, not after
        runs = measured(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"python -m benchmarks: {error}", file=sys.stderr)
        return 2
    print("\n".join(report.text(run) for run in runs))
    if options.json:
        for i, run in enumerate(runs):
            results.write(run, options.json if i == 0 else options.json.with_stem(f"{options.json.stem}_{i + 1}"))
    if options.markdown:
        options.markdown.write_text("\n".join(report.markdown(run) for run in runs))
    if options.plots:
        for path in plots.draw(runs, options.plots):
            print(path)
    failed = any(run.errors() for run in runs)
    if options.check:
        findings = [finding for run in runs for finding in targets.check(run)]
        print("\n".join(map(str, findings)))
        failed |= not all(finding.holds for finding in findings)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
