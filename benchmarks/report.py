"""What was measured, as tables: for the terminal, and in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.engines import BASELINE, BLAS, PEER, SUBJECT
from benchmarks.measuring import Spread
from benchmarks.results import Result, Run
from benchmarks.workloads import GROUPS


@dataclass
class Table:
    """A title, the heads of the columns, and the rows. The first column is words, the others are numbers."""

    title: str
    heads: list[str]
    rows: list[list[str]]

    def text(self) -> str:
        """In columns."""
        widths = [max(len(row[i]) for row in [self.heads, *self.rows]) for i in range(len(self.heads))]
        lines = []
        for row in [self.heads, *self.rows]:
            cells = [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
            lines.append("  ".join(cells).rstrip())
        return "\n".join([self.title, *("  " + line for line in lines), ""])

    def markdown(self) -> str:
        """As GitHub shows it."""
        rule = ["---", *["---:"] * (len(self.heads) - 1)]
        lines = ["| " + " | ".join(row) + " |" for row in [self.heads, rule, *self.rows]]
        return "\n".join([f"**{self.title}**", "", *lines, ""])


def figure(value: float | None) -> str:
    """Three digits, or all before the point."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def quartiles(spread: Spread) -> str:
    return f"{figure(spread.low)} to {figure(spread.high)}"


def by_engine(result: Result) -> Table:
    """One workload: each engine's time and its ratios, with the quartiles over the rounds."""
    baseline = result.baseline()
    heads = ["", result.unit, "quartiles", f"/ {baseline}", "quartiles", f"/ {SUBJECT}"]
    rows = []
    for row in result.rows:
        if not row.times or baseline is None:
            continue
        spread, ratio = Spread.of(row.times), result.ratio(row.engine, baseline)
        to_subject = result.ratio(row.engine, SUBJECT)
        rows.append(
            [
                row.engine,
                figure(spread.median),
                quartiles(spread),
                figure(ratio.median) if ratio else "-",
                quartiles(ratio) if ratio else "-",
                figure(to_subject.median) if to_subject else "-",
            ]
        )
    rounds = max((len(row.times) for row in result.rows), default=0)
    return Table(f"{result.title} (rounds: {rounds})", heads, rows)


def across(results: Sequence[Result], title: str) -> Table:
    """Workloads as rows, engines as columns: medians; then the ratios that the suite is about, with quartiles."""
    engines = list(dict.fromkeys(row.engine for result in results for row in result.rows if row.times))
    ratios = [(a, b) for a, b in ((SUBJECT, BASELINE), (PEER, SUBJECT)) if a in engines and b in engines]
    heads = ["", *engines, *(f"{a} / {b}" for a, b in ratios)]
    rows = []
    for result in results:
        found = [result.ratio(a, b) for a, b in ratios]
        rows.append(
            [
                result.title,
                *(figure(result.median(engine)) for engine in engines),
                *(f"{figure(ratio.median)} ({quartiles(ratio)})" if ratio else "-" for ratio in found),
            ]
        )
    unit = results[0].unit
    return Table(f"{title}, {unit}", heads, rows)


def per_size(results: Sequence[Result]) -> Table | None:
    """Of a chain of nodes, or samples: the time of one, which stays as it is where time is linear in them."""
    rows, engines = [], list(dict.fromkeys(engine for result in results for engine in result.timed()))
    for result in results:
        if result.size:
            medians = [result.median(engine) for engine in engines]
            rows.append([result.title, *(figure(m and m / result.size * 1e3) for m in medians)])
    return Table("ns a node", ["", *engines], rows) if rows else None


def throughput(results: Sequence[Result], samples: int = 10_000) -> Table:
    """Of the loaders: thousands of samples a second."""
    engines = list(dict.fromkeys(engine for result in results for engine in result.timed()))
    rows = []
    for result in results:
        medians = [result.median(engine) for engine in engines]
        rows.append([result.title, *(figure(m and samples / m * 1e3) for m in medians)])
    return Table("Loader, thousands of samples a second", ["", *engines], rows)


def summary(run: Run) -> list[Table]:
    """A table for each group that was measured."""
    tables = []
    for group, title in GROUPS.items():
        results = run.group(group)
        if not results:
            continue
        tables.append(across(results, title))
        if group == "graph" and (nodes := per_size(results)):
            tables.append(nodes)
        if group == "loader":
            tables.append(throughput(results))
    return tables


def heading(run: Run) -> list[str]:
    """Where it was measured, and what was not."""
    m = run.machine
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    lines = [
        f"{m['processor']}, {m['cores']} cores; threads: {m['threads']}; {m['gpu'] or 'no CUDA device'}",
        f"{m['system']}, {m['python']}, {versions}; {m['date']}",
        f"float32; medians of interleaved rounds; ratios are medians of the ratios within rounds; {BLAS} is the matrix "
        "products of a step and nothing else",
    ]
    if run.settings.get("interrupted"):
        lines.append("Interrupted: not all workloads were measured.")
    if run.absent:
        lines.append("Not measured: " + "; ".join(f"{name}: {reason}" for name, reason in run.absent.items()))
    return lines


def text(run: Run) -> str:
    """All of it for a terminal."""
    parts = ["\n".join(heading(run)), ""]
    parts += [by_engine(result).text() for result in run.group("loops")]
    parts += [table.text() for table in summary(run)]
    parts += [f"ERROR {error}" for error in run.errors()]
    return "\n".join(parts)


def markdown(run: Run) -> str:
    """All of it for a page."""
    parts = ["\n".join(f"{line}  " for line in heading(run)), ""]
    parts += [table.markdown() for table in summary(run)]
    loops = [by_engine(result).markdown() for result in run.group("loops")]
    if loops:
        parts += ["The loops by engine, with the quartiles over the rounds:", "", *loops]
    parts += [f"- error: {error}" for error in run.errors()]
    return "\n".join(parts).rstrip() + "\n"
