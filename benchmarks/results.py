"""What was measured: as objects, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.engines import BASELINE
from benchmarks.measuring import Spread, ratio

FORMAT = 1


@dataclass
class Row:
    """An engine on a workload: its times (or MiB) by round; or an error; or the reason why there is nothing."""

    engine: str
    times: list[float] = field(default_factory=list)
    error: str = ""
    reason: str = ""


@dataclass
class Result:
    """A workload on all engines."""

    name: str
    title: str
    group: str
    size: int | None
    unit: str
    rows: list[Row]

    def timed(self) -> dict[str, list[float]]:
        """The engines that ran."""
        return {row.engine: row.times for row in self.rows if row.times}

    def median(self, engine: str) -> float | None:
        times = self.timed().get(engine)
        return Spread.of(times).median if times else None

    def ratio(self, engine: str, to: str) -> Spread | None:
        """Of two engines within the rounds; None where one of them didn't run."""
        timed = self.timed()
        return ratio(timed[engine], timed[to]) if engine in timed and to in timed else None

    def baseline(self) -> str | None:
        """What the others are compared with: NumPy by hand, or where that can't be, the first."""
        timed = self.timed()
        return BASELINE if BASELINE in timed else next(iter(timed), None)


@dataclass
class Run:
    """All that was measured on a machine. `absent` gives the reasons for the engines that didn't run."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    absent: dict[str, str]
    results: list[Result]

    def errors(self) -> list[str]:
        return [f"{r.title}: {row.engine}: {row.error}" for r in self.results for row in r.rows if row.error]

    def group(self, name: str) -> list[Result]:
        return [result for result in self.results if result.group == name]


def rounded(times: Sequence[float]) -> list[float]:
    return [float(f"{time:.5g}") for time in times]


def write(run: Run, path: Path) -> None:
    """JSON, a line an engine, so that a difference can be read."""
    head = {"format": FORMAT, "machine": run.machine, "settings": run.settings, "absent": run.absent}
    lines = [json.dumps(head, indent=1)[:-2], ',\n "results": [\n']
    for i, result in enumerate(run.results):
        rows = []
        for row in result.rows:
            found = {key: value for key, value in asdict(row).items() if value}
            rows.append("    " + json.dumps({**found, "times": rounded(row.times)}))
        facts = {key: value for key, value in asdict(result).items() if key != "rows"}
        start = json.dumps(facts)[:-1]
        end = "," if i + 1 < len(run.results) else ""
        lines.append(f'  {start}, "rows": [\n' + ",\n".join(rows) + f"\n  ]}}{end}\n")
    path.write_text("".join([*lines, " ]\n}\n"]))


def read(path: Path) -> Run:
    """ValueError where the file is something else."""
    try:
        found = json.loads(path.read_text())
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']}; this program reads {FORMAT}")
        results = [Result(**{**result, "rows": [Row(**row) for row in result["rows"]]}) for result in found["results"]]
        return Run(found["machine"], found["settings"], found["absent"], results)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} does not hold results of `python -m benchmarks --json`: {error!r}") from error


def merge(runs: Sequence[Run]) -> list[Run]:
    """Runs on one machine with one number of threads become one: of a workload that is in both, the later stays.
    Times on different machines have nothing in common, so those stay apart."""
    merged: dict[str, Run] = {}
    for run in runs:
        place = json.dumps([{k: v for k, v in run.machine.items() if k != "date"}], sort_keys=True)
        if place not in merged:
            merged[place] = Run(run.machine, run.settings, dict(run.absent), list(run.results))
            continue
        into = merged[place]
        results = {result.name: result for result in [*into.results, *run.results]}
        present = {row.engine for result in results.values() for row in result.rows}
        absent = {name: why for name, why in {**into.absent, **run.absent}.items() if name not in present}
        merged[place] = Run(run.machine, run.settings, absent, list(results.values()))
    return list(merged.values())
