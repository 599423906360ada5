"""A session: find the engines, let them agree on each workload, time them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import agreement, imports, machine, memory
from benchmarks.engines import Engine
from benchmarks.engines.loop import Backend, Loop, Unavailable
from benchmarks.measuring import measure
from benchmarks.results import Result, Row, Run
from benchmarks.workloads import Workload


@dataclass(frozen=True)
class Settings:
    """How much is measured."""

    rounds: int
    seconds: float  # for a workload, after the engines have agreed
    threads: int


def find(engines: Sequence[Engine]) -> tuple[dict[str, Backend], dict[str, str]]:
    """The engines that run here, and the reasons of the others."""
    backends, absent = {}, {}
    for engine in engines:
        try:
            backends[engine.name] = engine.load()
        except Unavailable as error:
            absent[engine.name] = str(error)
    return backends, absent


def ready(
    workload: Workload, engines: Sequence[Engine], backends: dict[str, Backend]
) -> tuple[dict[str, Loop], dict[str, Row]]:
    """The loops that agree with the first of them, and what keeps the others from running."""
    problem = workload.problem()
    loops: dict[str, Loop] = {}
    rows = {engine.name: Row(engine.name) for engine in engines}
    reference = None
    for engine in engines:
        row = rows[engine.name]
        try:
            loop = backends[engine.name](workload.family, problem)
            if engine.agrees:
                found = agreement.outcome(loop, problem)
                if reference is None:
                    reference = found
                row.error = agreement.difference(problem, found, reference, engine.tolerance)
        except Unavailable as error:
            row.reason = str(error)
            continue
        except Exception as error:  # an engine that fails must not end the session
            row.error = f"{type(error).__name__}: {error}".splitlines()[0]
        if not row.error:
            loops[engine.name] = loop
    return loops, rows


def run_workload(
    workload: Workload, engines: Sequence[Engine], backends: dict[str, Backend], settings: Settings
) -> Result:
    """Everything about one workload."""
    if workload.group == "import":
        importing = [engine for engine in engines if engine.imports]
        loops = {engine.name: imports.loop(engine.module) for engine in importing}
        rows = {engine.name: Row(engine.name) for engine in importing}
        for loop in loops.values():
            loop.step()  # what is compiled once is compiled
    else:
        loops, rows = ready(workload, engines, backends)
    if workload.group == "memory":
        ways = {engine.name: engine.memory for engine in engines}
        for name, loop in loops.items():
            try:
                rows[name].times = [memory.peak(loop, ways[name])]
            except Unavailable as error:
                rows[name].reason = str(error)
    elif loops:
        times = measure(loops, settings.rounds, settings.seconds, workload.once)
        for name in loops:
            rows[name].times = times[name]
    return Result(workload.name, workload.title, workload.group, workload.size, workload.unit, list(rows.values()))


def gpu_name() -> str | None:
    """The CUDA device that PyTorch would use."""
    try:
        import torch
    except ImportError:
        return None
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def run(workloads: Iterable[Workload], engines: Sequence[Engine], settings: Settings) -> Run:
    """Everything. `workloads` may show its progress. Ctrl-C ends it with the workloads that are done."""
    backends, absent = find(engines)
    if "torch" in {engine.module for engine in engines if engine.name in backends}:
        import torch

        torch.set_num_threads(settings.threads)
    present = [engine for engine in engines if engine.name in backends]
    how: dict[str, Any] = {"rounds": settings.rounds, "seconds": settings.seconds}
    results: list[Result] = []
    try:
        for workload in workloads:
            results.append(run_workload(workload, present, backends, settings))  # noqa: PERF401
    except KeyboardInterrupt:  # what has been measured until now is kept
        if not results:
            raise
        how["interrupted"] = True
    return Run(machine.describe(settings.threads, gpu_name()), how, absent, results)
