"""A simplified trace as the text of a Python function that needs NumPy alone."""

from __future__ import annotations

import operator
import re
from collections import Counter
from typing import Any

import numpy as np

from minigrad.program import naming
from minigrad.program.definitions import definitions
from minigrad.program.expressions import ATOM, INFIX, OR, UNARY, Text, bracketed, expression, literal, number
from minigrad.program.naming import Names
from minigrad.program.origins import where_text
from minigrad.program.representation import Kind, Phase, Statement, Trace, Value, check
from minigrad.program.tracing import SLOT

WIDTH = 88
OPERATORS = 3  # how many an expression may have on one line
AUGMENTED = {np.add: "+=", np.subtract: "-=", np.multiply: "*=", np.divide: "/="}
ORDER = (Kind.ARGUMENT, Kind.CAPTURED, Kind.PARAMETER, Kind.GRADIENT, Kind.STATE, Kind.DRAW, Kind.NUMBER)
TITLES = {Phase.FORWARD: "Forward", Phase.BACKWARD: "Backward", Phase.UPDATE: "Update"}


class Writer:
    """Writes one trace."""

    def __init__(self, trace: Trace, arguments: dict[int, str]) -> None:
        self.trace = trace
        self.names = Names()
        self.imports, self.defined = definitions(needed_definitions(trace))
        heads = re.findall(r"^(?:def |class |import )?(\w+)", "\n".join([*self.defined, *self.imports]), re.M)
        self.names.taken.update(heads)
        naming.name_inputs(trace, self.names, arguments)
        self.inputs = sorted(trace.inputs, key=lambda v: ORDER.index(v.kind))
        self.updated = [v for v in self.inputs if v.storage in trace.written()]
        self.updated += [v for v, _ in trace.rebound if v not in self.updated]
        trains = any(v.tensor is not None and v.tensor._requires_grad for v in self.updated)
        self.gradients = [] if trains else [v for _, v in trace.gradients if v is not None]
        self.returned = [*trace.outputs, *self.gradients, *(v for *_, v in trace.state)]
        self.named = naming.name_results(trace, self.names)
        self.about: dict[Value, str] = {}
        self.places = {v: i for i, s in enumerate(trace.statements) for v in s.results if v.statement is s}
        for i, s in enumerate(trace.statements):
            for v in s.results:
                self.places.setdefault(v, i)
        self.makers = {v: trace.statements[i] for v, i in self.places.items()}
        needed = [v for v in self.returned if isinstance(v, Value)] + [v for _, v in trace.rebound]
        self.uses = Counter([v for s in trace.statements for v in s.inputs()] + needed)
        self.needed = set(needed)
        self.written = {v for s in trace.statements for v in s.writes}
        self.phases = phases(trace)
        self.tensors = {id(SLOT.__get__(t)) for t in trace.tensors}
        self.texts: dict[Value, Text] = {}
        self.inlined = self.candidates()
        for s in trace.statements:
            for v in s.results:
                if self.phases[s] is Phase.FORWARD and v not in self.inlined:
                    self.name(v)
        self.about = naming.name_gradients(trace, self.names)
        self.inlined = self.candidates()

    # which values stand in the expression that uses them

    def candidates(self) -> set[Value]:
        """The values that are used once, or are as short as a name, and have no name of the user's."""
        found: set[Value] = set()
        users: dict[Value, list[int]] = {}
        for i, s in enumerate(self.trace.statements):
            for v in s.inputs():
                users.setdefault(v, []).append(i)
        ends: dict[Value, int] = {}  # the statement in whose line it will stand
        for i in range(len(self.trace.statements) - 1, -1, -1):
            s = self.trace.statements[i]
            if not s.pure or s.several or len(s.results) != 1:
                continue
            (v,) = s.results
            if v in self.needed or v in self.named or v in self.about or v in self.written or v.needs_array:
                continue
            places = [self.end(j, found, ends) for j in users.get(v, [])]
            if not places or (len(places) > 1 and not self.short(s, places)):
                continue
            if any(self.disturbed(s, i, place) for place in places):
                continue
            found.add(v)
            ends[v] = max(places)
        return found

    def end(self, j: int, found: set[Value], ends: dict[Value, int]) -> int:
        results = self.trace.statements[j].results
        return ends[results[0]] if results and results[0] in found else j

    def short(self, s: Statement, places: list[int]) -> bool:
        """Whether it is one operator between names, better written twice than named."""
        if s.function is np.transpose:
            return True
        if s.results[0].is_number and all(v.kind is Kind.NUMBER for v in s.inputs()):
            return True
        elementwise = s.function in INFIX and s.function is not np.matmul and not s.kwargs
        operands = [v for v in s.inputs() if v in self.makers and v not in self.names.of]
        return elementwise and len(places) == 2 and not operands and len(list(s.inputs())) == 2

    def disturbed(self, s: Statement, start: int, end: int) -> bool:
        """Whether memory that a statement reads is written to between its place and a later one."""
        reads = {v.storage for v in s.inputs()}
        return any(v.storage in reads for t in self.trace.statements[start + 1 : end] for v in t.writes)

    # expressions

    def lookup(self, v: Value) -> Text:
        if v in self.inlined:
            if v not in self.texts:
                s = self.makers[v]
                self.texts[v] = expression(s.function, s.args, s.kwargs, self.lookup)
            return self.texts[v]
        return self.name(v), ATOM

    def name(self, v: Value) -> str:
        maker = self.makers.get(v)
        if v in self.names.of or maker is None:
            return self.names.give(v, "value")
        return self.names.give(v, naming.fallback(v, maker, id(v.real) in self.tensors, self.trace))

    def statement(self, s: Statement) -> str:
        """The line of a statement."""

        def text(x: Any) -> str:
            return literal(x, self.lookup)

        if s.function is check:
            found, expected = self.lookup(s.args[0]), s.args[1]
            if isinstance(expected, (bool, np.bool_)):
                return f"assert {found[0]}" if expected else f"assert not {bracketed(found, UNARY)}"
            return f"assert {bracketed(found, OR)} == {text(expected)}"
        if s.function is operator.setitem:
            x, index, value = s.args
            place = expression(operator.getitem, (x, index), {}, self.lookup)[0]
            return f"{place} = {text(value)}"
        if s.function is np.copyto and set(s.kwargs) <= {"casting"}:
            return f"{text(s.args[0])}[...] = {text(s.args[1])}"
        out = s.kwargs.get("out")
        if isinstance(out, Value) and s.function in AUGMENTED and s.args[0] is out and set(s.kwargs) == {"out"}:
            return f"{text(out)} {AUGMENTED[s.function]} {self.operand(s.args[1], out)}"
        if s.writes:
            return expression(s.function, s.args, s.kwargs, self.lookup)[0]
        made = expression(s.function, s.args, s.kwargs, self.lookup)[0]
        if not s.results:
            return made
        if any(v.needs_array for v in s.results):
            made = f"np.asarray({made})"
        targets = ", ".join(self.lookup(v)[0] for v in s.results)
        return f"{targets}{',' if s.several and len(s.results) == 1 else ''} = {made}"

    def operand(self, x: Any, beside: Value) -> str:
        return number(x, beside, self.lookup)[0]

    def lines(self) -> list[tuple[Statement, str]]:
        """Each statement that has a line of its own, with it; long ones are cut by naming what stands in them."""
        while True:
            self.texts.clear()
            found = []
            cut: Value | None = None
            for s in self.trace.statements:
                if len(s.results) == 1 and s.results[0] in self.inlined and not s.writes:
                    continue
                if any(v.kind is Kind.DRAW for v in s.results):
                    continue
                line = self.statement(s)
                inner = [v for v in s.inputs() if v in self.inlined]
                full = self.operators(s) > OPERATORS and s.function is not check
                if inner and (full or len(line) + 4 > WIDTH):
                    cut = max(inner, key=lambda v: len(self.lookup(v)[0]))
                    break
                found.append((s, line))
            if cut is None:
                return found
            self.inlined.discard(cut)

    def operators(self, s: Statement) -> int:
        """How many operations on arrays stand in the line of a statement."""
        inner = [self.makers[v] for v in s.inputs() if v in self.inlined]
        own = s.function in INFIX and not all(v.is_number for v in s.results)
        return own + sum(map(self.operators, inner))

    # the whole

    def source(self, name: str) -> str:
        body = self.body()
        head = [*sorted(self.imports), *([""] if self.imports else []), "import numpy as np"]
        blocks = ["\n".join(head), *self.defined, "\n".join([*self.signature(name), *self.docstring(name), *body])]
        return "\n\n\n".join(blocks) + "\n"

    def signature(self, name: str) -> list[str]:
        parameters = [
            f"{self.names.of[v]}={literal(v.real, self.lookup)}" if v.kind is Kind.NUMBER else self.names.of[v]
            for v in self.inputs
        ]
        one = f"def {name}({', '.join(parameters)}):"
        if len(one) <= WIDTH:
            return [one]
        packed = wrapped(", ".join(parameters), 4)
        return [
            f"def {name}(",
            *([*packed[:-1], packed[-1] + ","] if len(packed) == 1 else [f"    {p}," for p in parameters]),
            "):",
        ]

    def docstring(self, name: str) -> list[str]:
        shapes = [f"{self.names.of[v]} {v.shape}" for v in self.inputs if v.kind is not Kind.NUMBER and v.shape]
        returned = ", ".join(self.lookup(v)[0] if isinstance(v, Value) else repr(v) for v in self.returned)
        text = []
        if self.updated:
            text.append(f"Updates {', '.join(self.names.of[v] for v in self.updated)} in place.")
        text.append(f"Returns {returned}." if returned else "Returns nothing.")
        draws = [self.names.of[v] for v in self.inputs if v.kind is Kind.DRAW]
        if draws:
            text.append(f"Give new random numbers each time as {', '.join(draws)}.")
        lines = [f'    """{text[0]}'] + ["    " + t for t in text[1:]]
        lines = [piece for line in lines for piece in wrapped(line.strip(), 4)]
        if shapes:
            lines += ["", *wrapped("Shapes: " + ", ".join(shapes) + ".", 4)]
        if len(lines) == 1 and len(lines[0]) + 3 <= WIDTH:
            return [lines[0] + '"""']
        return [*lines, '    """']

    def body(self) -> list[str]:
        lines: list[str] = []
        phase: Phase | None = None
        comment = ""
        trains = len({self.phases[s] for s, _ in self.lines()}) > 1
        for s, line in self.lines():
            if self.phases[s] is not phase and trains:
                phase = self.phases[s]
                lines += [*([""] if lines else []), f"    # {TITLES[phase]}"]
                comment = ""
            if self.phases[s] is Phase.FORWARD and (said := where_text(s)) != comment:
                comment = said
                if said and plain(said) != plain(line):
                    lines += cut_comment(said)
            notes = [f"d {self.root()} / d {self.about[v]}" for v in s.results if v in self.about and not s.writes]
            label = operation(s)
            note = f"  # {notes[0]}{': ' + label if label else ''}" if notes else ""
            if len(line) + 4 + len(note) <= WIDTH:
                lines.append(f"    {line}{note}")
            else:
                lines += [f"    {note.strip()}"] * bool(note) + broken(line)
        for v, new in self.trace.rebound:
            lines.append(f"    {self.names.of[v]}[...] = {self.lookup(new)[0]}")
        returned = [self.lookup(v)[0] if isinstance(v, Value) else literal(v, self.lookup) for v in self.returned]
        if returned:
            lines += broken(f"return {', '.join(returned)}")
        return lines or ["    pass"]

    def root(self) -> str:
        """The name of what is being differentiated."""
        return next((self.names.of[v] for v in self.trace.roots if v in self.names.of), "loss")


def needed_definitions(trace: Trace) -> list[Any]:
    """The kernels that a program calls, and the types of what it gives them."""
    found: dict[Any, None] = {}

    def note(x: Any) -> None:
        if isinstance(x, (tuple, list)):
            if hasattr(x, "_fields"):
                found[type(x)] = None
            for item in x:
                note(item)

    for s in trace.statements:
        note((*s.args, *s.kwargs.values()))
        if hasattr(s.function, "__wrapped__") and s.function.__module__.startswith("minigrad"):
            found[s.function] = None
    return list(found)


def phases(trace: Trace) -> dict[Statement, Phase]:
    """The part of the program that each statement belongs to: what the user writes after the backward pass, and what
    only that uses, is the update where it changes an input."""
    found: dict[Statement, Phase] = {}
    seen = [i for i, s in enumerate(trace.statements) if s.phase is Phase.BACKWARD]
    users: dict[Value, list[Statement]] = {}
    for s in trace.statements:
        for v in s.inputs():
            users.setdefault(v, []).append(s)
    results = set(trace.results())
    for i in range(len(trace.statements) - 1, -1, -1):
        s = trace.statements[i]
        found[s] = s.phase
        if s.phase is Phase.FORWARD and seen and i > seen[-1]:
            after = [found[t] for v in s.results if not s.writes for t in users.get(v, [])]
            changes = any(not v.storage.local for v in s.writes)
            if changes or (after and all(p is Phase.UPDATE for p in after) and not results & set(s.results)):
                found[s] = Phase.UPDATE
    return found


def operation(s: Statement) -> str:
    """The operation whose rule a statement of a backward pass comes from."""
    name = re.sub(r"Backward\d*$", "", s.label).rpartition("::")[2]
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def plain(text: str) -> str:
    return re.sub(r"\W", "", text.replace("torch", "").replace("np", ""))


def wrapped(text: str, indent: int) -> list[str]:
    """Words in lines of at most 88 characters."""
    lines, line = [], " " * indent
    for word in text.split(" "):
        if len(line) + len(word) + 1 > WIDTH and line.strip():
            lines.append(line.rstrip())
            line = " " * indent
        line += word + " "
    return [*lines, line.rstrip()]


def cut_comment(text: str) -> list[str]:
    return [f"    # {text if len(text) <= WIDTH - 6 else text[: WIDTH - 9] + '...'}"]


def broken(line: str) -> list[str]:
    """A line of the body; where it is too long, its outermost bracket in lines of its own."""
    if len(line) + 4 <= WIDTH:
        return [f"    {line}"]
    start = line.find("(")
    if line.endswith(")") and start >= 0:
        return [f"    {line[: start + 1]}", *wrapped(line[start + 1 : -1], 8), "    )"]
    head, sign, rest = line.partition(" = ")
    if line.startswith("return "):
        return ["    return (", *wrapped(line[7:], 8), "    )"]
    if not sign or head.count("("):
        return [f"    {line}"]
    return [f"    {head} = (", *wrapped(rest, 8), "    )"]


def written(trace: Trace, arguments: dict[int, str], name: str) -> tuple[str, Writer]:
    """The source of a simplified trace, and who wrote it."""
    writer = Writer(trace, arguments)
    return writer.source(name), writer
