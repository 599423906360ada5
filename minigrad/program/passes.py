"""Passes over a trace: each makes it shorter and leaves what it computes as it was, bit for bit.

They rest on two questions that the storages answer: whether anything writes to a value's memory, and whether two
statements read the same version of it. A value is replaced by another only where nobody can tell them apart.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.program.representation import Kind, Method, Statement, Storage, Trace, Value, mapped

ELEMENTWISE = (np.add, np.subtract, np.multiply, np.divide)
COPIES = (Method("copy"), np.copy)
SHAPING = (Method("reshape"), Method("transpose"), Method("swapaxes"), Method("astype"), np.broadcast_to, np.transpose)
TRANSPOSES = (Method("swapaxes"), Method("transpose"), np.transpose)


def simplify(trace: Trace) -> Trace:
    """All passes, until none of them finds anything more to do."""
    while True:
        before = len(trace.statements), sum(len(list(s.inputs())) for s in trace.statements)
        for apply in PASSES:
            apply(trace)
        if before == (len(trace.statements), sum(len(list(s.inputs())) for s in trace.statements)):
            return trace


def replace(trace: Trace, old: Value, new: Any, start: int = 0) -> None:
    """Let `new` stand wherever `old` did, from a statement on."""
    swap: Callable[[Any], Any] = lambda x: new if x is old else x
    for s in trace.statements[start:]:
        if any(v is old for v in s.inputs()):
            s.args, s.kwargs = mapped(swap, s.args), mapped(swap, s.kwargs)
            if isinstance(new, Value):
                # Nothing writes to its storage from here on, unless it is a new one, which takes over the old versions
                version = s.reads.get(old.storage, 0) if new.storage.version == 0 else new.storage.version
                s.reads = {v.storage: s.reads.get(v.storage, version) for v in s.inputs()}
        s.writes = tuple(map(swap, s.writes))
        if s.writes:
            s.results = list(map(swap, s.results))
    if isinstance(new, Value):
        trace.outputs = [swap(x) for x in trace.outputs]
        trace.gradients = [(p, swap(v)) for p, v in trace.gradients]
        trace.state = [(p, name, swap(v)) for p, name, v in trace.state]
        trace.rebound = [(v, swap(w)) for v, w in trace.rebound]
        new.gradient_of += [edge for edge in old.gradient_of if all(edge is not e for e in new.gradient_of)]
        trace.roots = [swap(v) for v in trace.roots]
        trace.nodes = {node: swap(v) for node, v in trace.nodes.items()}
        new.name = new.name or old.name
        gone = old.storage
        for value in {v for t in trace.statements for v in (*t.inputs(), *t.results)}:
            if value.storage is gone:  # a view, which shows the other's memory now
                value.storage = new.storage


def remove(trace: Trace, gone: set[Statement]) -> None:
    if gone:
        trace.statements = [s for s in trace.statements if s not in gone]


def uses(trace: Trace) -> Counter[Value]:
    """How often each value stands in a statement, or is a result of the program."""
    return Counter([v for s in trace.statements for v in s.inputs()] + trace.results())


def uniform(value: Any, written: set[Storage]) -> Any:
    """The one number that an array of a constant is full of; None where it isn't one."""
    if isinstance(value, Value) and value.statement is not None and value.storage not in written:
        s = value.statement
        if s.function is np.full:
            return s.args[1]
        if s.function is np.broadcast_to and not isinstance(s.args[0], Value):
            return s.args[0]
    return None


def fold_constants(trace: Trace) -> None:
    """Arrays that are full of one number become that number, where broadcasting gives the same; x * 1 is x."""
    written = trace.written()
    for i, s in enumerate(trace.statements):
        if not s.pure or len(s.results) != 1 or s.several:
            continue
        (result,) = s.results
        if s.function in ELEMENTWISE and len(s.args) == 2 and not s.kwargs:
            args = list(s.args)
            for j in (0, 1):
                number, other = uniform(args[j], written), args[1 - j]
                if number is None or not isinstance(other, Value) or uniform(other, written) is not None:
                    continue
                if other.shape == result.shape and other.dtype == result.dtype == args[j].dtype:
                    args[j] = number
            s.args = tuple(args)
        inputs = list(s.inputs())
        if inputs and s.function is not np.full and all(uniform(v, written) is not None for v in inputs):
            real = result.real
            folds = isinstance(s.function, np.ufunc) or s.function in SHAPING
            if folds and result.storage not in written and np.size(real) and isinstance(real, (np.ndarray, np.generic)):
                s.function, s.args, s.kwargs = np.full, (real.shape, np.asarray(real).flat[0].item(), real.dtype), {}
        if (same := neutral(s)) is not None and can_replace(trace, result, same, i):
            replace(trace, result, same, i + 1)
            remove(trace, {s})
            return fold_constants(trace)
    return None


def neutral(s: Statement) -> Value | None:
    """The operand that an operation leaves as it is: x of x * 1, 1 * x, x / 1, x - 0."""
    if s.kwargs or len(s.args) != 2:
        return None
    x, y = s.args

    def one(z: Any) -> bool:
        return isinstance(z, (int, float, np.generic)) and bool(z == 1)

    found = None
    if s.function is np.multiply and one(x):
        found = y
    elif (s.function in (np.multiply, np.divide, operator.pow) and one(y)) or (
        s.function is np.subtract and isinstance(y, (int, float)) and y == 0
    ):
        found = x
    if isinstance(found, Value) and (found.shape, found.dtype) == (s.results[0].shape, s.results[0].dtype):
        return found
    return None


def can_replace(trace: Trace, old: Value, new: Value, place: int) -> bool:
    """Whether `old`, made by the statement at a place, may be `new`, which holds the same numbers there."""
    kept = {v.storage for v in trace.results()}
    if old.storage in kept and (not new.storage.local or new.storage in kept):
        return False  # the caller gets memory of its own
    if old.strides != new.strides and old.shape != ():
        return False  # sums would run in another order
    for s in trace.statements[place + 1 :]:
        for v in s.writes:
            if v.storage is old.storage or v.storage is new.storage:
                return False
    return True


def take_over_copies(trace: Trace) -> None:
    """A copy of what nobody uses any more is the original."""
    count = uses(trace)
    of_storage = Counter(v.storage for v in count.elements())
    for i, s in enumerate(trace.statements):
        if s.function not in COPIES or not isinstance(s.args[0], Value):
            continue
        x, (copy,) = s.args[0], s.results
        if x.dtype != copy.dtype or (x.strides != copy.strides and x.shape != ()) or x.is_number:
            continue
        later = trace.statements[i + 1 :]
        used_later = any(v.storage is x.storage for t in later for v in t.inputs()) or any(
            v.storage is x.storage for v in trace.results()
        )
        fixed = isinstance(x.real, np.ndarray) and not x.real.flags.writeable  # as what broadcast_to() gives
        alone = x.storage.local and not used_later and of_storage[x.storage] and not fixed
        if alone or can_replace(trace, copy, x, i):
            x.needs_array = x.needs_array or copy.needs_array or (x.shape == () and copy.storage in trace.written())
            if alone:
                merge(trace, copy.storage, x.storage, later)
            replace(trace, copy, x, i + 1)
            remove(trace, {s})
            return take_over_copies(trace)
    return None


def merge(trace: Trace, old: Storage, new: Storage, later: list[Statement]) -> None:
    """Let the values of one storage lie in another, which nobody has used any more: its versions go on from there."""
    for value in dict.fromkeys([*(v for t in later for v in (*t.inputs(), *t.results)), *trace.results()]):
        if value.storage is old:
            value.storage = new
    for t in later:
        if old in t.reads:
            t.reads[new] = t.reads.pop(old) + new.version + 1
    new.version += old.version + 1


def name_transposes(trace: Trace) -> None:
    """Every spelling of the transpose of a matrix is one."""
    for s in trace.statements:
        if s.function in TRANSPOSES and not s.kwargs and isinstance(s.args[0], Value) and len(s.args[0].shape) == 2:
            x, *axes = s.args
            axes = list(axes[0]) if axes and isinstance(axes[0], (tuple, list)) else axes
            if s.function.__class__ is Method and s.function.name == "swapaxes":
                crossed = {a % 2 for a in axes} == {0, 1}
            else:
                crossed = [a % 2 for a in axes] in ([], [1, 0])
            if crossed:
                s.function, s.args = np.transpose, (x,)


def key(x: Any) -> Any:
    """Something to compare arguments by: constants by type and value, values by identity."""
    if isinstance(x, Value):
        return id(x)
    if isinstance(x, (tuple, list)):
        return type(x).__name__, tuple(map(key, x))
    if isinstance(x, dict):
        return tuple((name, key(item)) for name, item in x.items())
    if isinstance(x, slice):
        return "slice", key(x.start), key(x.stop), key(x.step)
    return type(x).__name__, repr(x)


def share(trace: Trace) -> None:
    """What was computed before, from the same versions of the same storages, isn't computed again."""
    written = trace.written()
    known: dict[Any, Statement] = {}
    gone: set[Statement] = set()
    kept = {v.storage for v in trace.results()}  # the caller gets memory of its own, also where he gets a view of it
    for s in trace.statements:
        if not s.pure or s.function in COPIES or s.function in (np.full, np.array):
            continue
        versions = tuple(s.reads.get(v.storage, 0) for v in s.inputs())
        place = s.function, key(s.args), key(s.kwargs), versions
        first = known.setdefault(place, s)
        if first is s or any(v.storage in kept or v.storage in written for v in (*s.results, *first.results)):
            continue
        for old, new in zip(s.results, first.results, strict=True):
            if old is not new:
                replace(trace, old, new)
        gone.add(s)
    remove(trace, gone)


def forget_old_gradients(trace: Trace) -> None:
    """A .grad that the function finds at 0 and leaves at 0, or that it sets to 0 first, is no input."""
    for value in [v for v in trace.inputs if v.kind is Kind.GRADIENT]:
        touching = [s for s in trace.statements if any(v.storage is value.storage for v in (*s.inputs(), *s.writes))]
        if not touching or any(v.storage is value.storage and v is not value for s in touching for v in s.inputs()):
            continue
        clears = [zeroes(s, value) for s in touching]
        first = touching[1] if clears[0] and len(touching) > 1 else touching[0]
        starts_at_zero = clears[0] or (clears[-1] and value.key == "zero")
        adds = first.function is np.add and first.kwargs.get("out") is value and first.args[0] is value
        if not (starts_at_zero and adds) or value in first.args[1:]:
            continue
        place = trace.statements.index(first)
        made = Value(value.real, Storage(value.storage.root), Kind.RESULT, first, about=value.about)
        made.gradient_of = list(value.gradient_of)
        g = first.args[1]
        first.function, first.args, first.kwargs = np.copy, (g,), {}
        first.writes, first.results, first.reads = (), [made], {v.storage: first.reads[v.storage] for v in (g,)}
        leaf = value.about
        kept = not clears[-1]
        replace(trace, value, made, place + 1)
        gone = {s for s, clear in zip(touching, clears, strict=True) if clear}
        remove(trace, gone)
        trace.inputs.remove(value)
        if kept and leaf is not None:
            trace.gradients.append((leaf, made))


def zeroes(s: Statement, value: Value) -> bool:
    """Whether a statement sets all of an array to 0."""
    return s.function is np.copyto and s.args[0] is value and not isinstance(s.args[1], Value) and not np.any(s.args[1])


def drop_dead(trace: Trace) -> None:
    """What no result depends on goes, and writes to memory of the program's own that nobody reads."""
    live = set(trace.results())
    memory = {v.storage for v in live}
    gone = set()
    for s in reversed(trace.statements):
        writes = any(not v.storage.local or v.storage in memory for v in s.writes)
        drawn = any(v.kind is Kind.DRAW for v in s.results)
        if writes or drawn or s.is_check or (not s.writes and any(v in live for v in s.results)):
            live.update(s.inputs())
            live.update(s.writes)
            memory.update(v.storage for v in (*s.inputs(), *s.writes))
        elif s.writes or not any(v in live for v in s.results):
            gone.add(s)
    remove(trace, gone)
    trace.inputs = [v for v in trace.inputs if v in live or v.kind in (Kind.ARGUMENT, Kind.DRAW)]


PASSES = (name_transposes, forget_old_gradients, fold_constants, take_over_copies, share, drop_dead)
