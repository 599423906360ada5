"""What a trace is made of: values in storages, and the statements that made them, in the order of their execution.

It is a straight list in single-assignment form, but for memory: a value is a variable that is bound once, to an array
or a number; arrays that share memory share a `Storage`, and a statement that writes in place gives the storages that
it writes to a new version. Each statement knows the versions that it read, so that passes can tell whether two reads
see the same numbers, and whether a statement may move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from minigrad.autograd.node import TensorBase, Where

Function = Callable[..., Any]


class Method:
    """A method of arrays, by name, as a function of the array and its arguments."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(x, self.name)(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return type(other) is Method and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Method({self.name!r})"


def check(value: Any, expected: Any) -> None:
    """A statement of its own: what the trace relies on. AssertionError where the value is another."""
    assert value == expected


class Kind(Enum):
    """Where a value comes from."""

    ARGUMENT = "an example input of the traced function"
    PARAMETER = "a leaf that requires gradients"
    GRADIENT = "the .grad of a leaf, from before"
    STATE = "the state of an optimizer"
    CAPTURED = "another tensor, or array, that the function reads"
    NUMBER = "a hyper-parameter: a Python number with a name"
    DRAW = "random numbers, drawn afresh in each run"
    RESULT = "the result of a statement"


class Phase(Enum):
    """Which part of the program a statement belongs to."""

    FORWARD = "forward"
    BACKWARD = "backward"
    UPDATE = "update"


@dataclass(eq=False)
class Storage:
    """The memory that one or several values show; `version` counts the writes to it."""

    root: Any  # the array that owns the memory in the trace; None of a number
    version: int = 0
    local: bool = True  # whether the program itself makes it


@dataclass(eq=False)
class Value:
    """A variable: what it was in the trace (of which shape, dtype and strides), and where it comes from."""

    real: Any  # an ndarray, a NumPy scalar, or a Python number
    storage: Storage
    kind: Kind = Kind.RESULT
    statement: Statement | None = None  # which made it; None of an input
    name: str = ""
    tensor: TensorBase | None = None  # of an input: whose array it is
    about: TensorBase | None = None  # of a gradient or a state: the leaf that it belongs to
    gradient_of: list[Any] = field(default_factory=list)  # the nodes and leaves that it is the gradient of
    needs_array: bool = False  # whether a number that NumPy gave must be made an array, since it is written to
    key: Any = None  # of a number: where it came from, such as (optimizer, group number, "lr")

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.real)

    @property
    def dtype(self) -> Any:
        return getattr(self.real, "dtype", None)

    @property
    def strides(self) -> tuple[int, ...]:
        return getattr(self.real, "strides", ())

    @property
    def is_number(self) -> bool:
        return isinstance(self.real, (bool, int, float)) and not isinstance(self.real, np.generic)

    def __repr__(self) -> str:
        return f"<{self.name or 'value'} {list(self.shape)} {self.dtype or type(self.real).__name__}>"


@dataclass(eq=False)
class Statement:
    """One call: results = function(*args, **kwargs), where Values stand in the arguments, also nested."""

    function: Function
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    results: list[Value]
    several: bool = False  # whether the function gives a sequence of results
    writes: tuple[Value, ...] = ()  # what it writes to in place
    reads: dict[Storage, int] = field(default_factory=dict)  # the versions that it read
    where: Where | None = None  # the place in the user's program
    phase: Phase = Phase.FORWARD
    label: str = ""  # the name of the operation's node in PyTorch, or of the kernel
    edge: Any = None  # in a backward pass: the node or leaf whose gradient it helps to make

    def inputs(self) -> Iterator[Value]:
        """The values that it uses, in order, as often as they stand there."""
        yield from values_in(self.args)
        yield from values_in(self.kwargs)

    @property
    def is_check(self) -> bool:
        return self.function is check

    @property
    def pure(self) -> bool:
        """Whether it can be left out where its results aren't used, and shared where it stands twice."""
        return not self.writes and not self.is_check and all(v.kind is Kind.RESULT for v in self.results)

    def __repr__(self) -> str:
        name = getattr(self.function, "__name__", repr(self.function))
        return f"{', '.join(map(repr, self.results))} = {name}{self.args}{self.kwargs or ''}"


@dataclass(eq=False)
class Trace:
    """A function, run once and written down."""

    name: str = "program"
    statements: list[Statement] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)  # in the order in which they were first read
    arguments: list[Any] = field(default_factory=list)  # the leaves of the example inputs
    outputs: list[Any] = field(default_factory=list)  # Values and constants: what the function returned, flattened
    structure: Any = None  # how the outputs are put together again
    gradients: list[tuple[TensorBase, Value | None]] = field(default_factory=list)  # each leaf's .grad at the end
    state: list[tuple[TensorBase, str, Value]] = field(default_factory=list)  # an optimizer's new entries: leaf, name
    rebound: list[tuple[Value, Value]] = field(default_factory=list)  # inputs whose tensor got another array: old, new
    roots: list[Value] = field(default_factory=list)  # what backward passes began at
    locals: dict[str, Any] = field(default_factory=dict)  # of the user's frames: name, object
    nodes: dict[Any, Value] = field(default_factory=dict)  # a recorded operation, and its result
    tensors: list[TensorBase] = field(default_factory=list)  # those that were made in the trace

    def release(self) -> None:
        """Forget the user's objects, once all has its name: the graph, the tensors, the variables."""
        self.tensors, self.nodes, self.locals = [], {}, {}
        for s in self.statements:
            s.edge = None
            for v in s.results:
                v.gradient_of = []

    def written(self) -> set[Storage]:
        """The storages that are written to in place."""
        return {v.storage for s in self.statements for v in s.writes}

    def results(self) -> list[Value]:
        """The values that must be there at the end."""
        found = [v for v in self.outputs if isinstance(v, Value)]
        found += [v for _, v in self.gradients if v is not None]
        return found + [v for *_, v in self.state] + [v for _, v in self.rebound]


def values_in(x: Any) -> Iterator[Value]:
    """The Values in nested tuples, lists, dicts and slices."""
    if isinstance(x, Value):
        yield x
    elif isinstance(x, (tuple, list)):
        for item in x:
            yield from values_in(item)
    elif isinstance(x, dict):
        for item in x.values():
            yield from values_in(item)
    elif isinstance(x, slice):
        yield from values_in((x.start, x.stop, x.step))


def mapped(f: Callable[[Any], Any], x: Any) -> Any:
    """x with f applied to what stands in nested tuples, lists, dicts and slices."""
    if type(x) is tuple or type(x) is list:
        return type(x)(mapped(f, item) for item in x)
    if isinstance(x, tuple):  # a named one
        return type(x)(*(mapped(f, item) for item in x))
    if type(x) is dict:
        return {name: mapped(f, item) for name, item in x.items()}
    if isinstance(x, slice):
        return slice(*(mapped(f, item) for item in (x.start, x.stop, x.step)))
    return f(x)


def run(trace: Trace, given: dict[Value, Any]) -> dict[Value, Any]:
    """Execute the statements, given the arrays and numbers of the inputs; what each value became.

    The reference for whatever else executes a trace.
    """
    found = dict(given)

    def lookup(x: Any) -> Any:
        return found[x] if isinstance(x, Value) else x

    for s in trace.statements:
        result = s.function(*mapped(lookup, s.args), **mapped(lookup, s.kwargs))
        results = list(result) if s.several else [result] * len(s.results)
        for value, item in zip(s.results, results, strict=True):
            found[value] = np.asarray(item) if value.needs_array else item
    return found
