"""Names for the values of a trace: the user's own where there are any."""

from __future__ import annotations

import builtins
import inspect
import keyword
import linecache
import re
from collections.abc import Callable, Iterator
from typing import Any

from minigrad.autograd.node import TensorBase, line_of
from minigrad.nn.modules.module import Module
from minigrad.program.representation import Kind, Phase, Statement, Trace, Value

TARGET = re.compile(r"(\w+)\s*(?::[^=]+)?=[^=]")
RESERVED = {*keyword.kwlist, *dir(builtins), "np", "math"}


class Names:
    """Gives each value a name that no other has."""

    def __init__(self) -> None:
        self.taken: set[str] = set(RESERVED)
        self.of: dict[Value, str] = {}

    def give(self, value: Value, name: str) -> str:
        """The value's name: the one that it has, or `name`, with a number where that is taken."""
        if value not in self.of:
            name = re.sub(r"\W", "_", name).strip("_") or "value"
            if name[0].isdigit():
                name = f"_{name}"
            number, free = 1, name
            while free in self.taken:
                number += 1
                free = f"{name}_{number}"
            self.taken.add(free)
            self.of[value] = free
        return self.of[value]


def variables(trace: Trace) -> dict[int, str]:
    """The user's names of tensors, by their ids: variables, and parameters of modules by their paths."""
    found: dict[int, str] = {}
    parameters: dict[str, list[tuple[str, TensorBase]]] = {}
    for variable, x in trace.locals.items():
        if isinstance(x, TensorBase) and variable.isidentifier():
            found.setdefault(id(x), variable)
        for module in modules_in(x):
            for path, p in [*module.named_parameters(), *module.named_buffers()]:
                owners = parameters.setdefault(path.rpartition(".")[2], [])
                if all(p is not q for _, q in owners):
                    owners.append((path, p))
    for short, owners in parameters.items():
        for path, parameter in owners:
            found[id(parameter)] = short if len(owners) == 1 else joined(path)
    return found


def joined(path: str) -> str:
    """A parameter's path as one name: hidden_weight, weight_0."""
    first, _, rest = path.partition(".")
    return (f"{rest}_{first}" if first.isdigit() else path).replace(".", "_").lstrip("_")


def modules_in(x: Any) -> Iterator[Module]:
    if isinstance(x, Module):
        yield x
    elif type(x) in (list, tuple):
        yield from (item for item in x if isinstance(item, Module))


def argument_names(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[int, str]:
    """The names of the parameters of a function that tensors are given as, by the ids of the tensors."""
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return {}
    found: dict[int, str] = {}
    for name, x in bound.arguments.items():
        many = type(x) in (list, tuple)
        for i, item in enumerate(x if many else [x]):
            if isinstance(item, TensorBase):
                found.setdefault(id(item), f"{name.rstrip('s') or name}_{i + 1}" if many else name)
    return found


def name_inputs(trace: Trace, names: Names, arguments: dict[int, str]) -> None:
    """Names for the inputs, in the order in which the program will take them."""
    known = variables(trace)
    by_leaf = {id(v.tensor): v for v in trace.inputs if v.tensor is not None}
    called: dict[int, str] = {**known, **arguments}
    for value in trace.inputs:
        if value.kind in (Kind.ARGUMENT, Kind.PARAMETER, Kind.CAPTURED):
            plain = {Kind.PARAMETER: "weight", Kind.CAPTURED: "data"}.get(value.kind, "x")
            name = called.get(id(value.tensor)) or value.name or plain
            names.give(value, name)
        elif value.kind in (Kind.NUMBER, Kind.DRAW):
            names.give(value, value.name)
    for value in trace.inputs:
        if value.kind in (Kind.GRADIENT, Kind.STATE):
            leaf = by_leaf.get(id(value.about))
            of = names.of[leaf] if leaf is not None else known.get(id(value.about), "weight")
            names.give(value, f"d_{of}" if value.kind is Kind.GRADIENT else f"{of}_{value.name}")


def name_results(trace: Trace, names: Names) -> set[Value]:
    """Names for the values that the user has a name for, and their gradients; these values."""
    named: set[Value] = set()
    by_array: dict[int, str] = {}
    for variable, x in trace.locals.items():
        if isinstance(x, TensorBase) and variable.isidentifier():
            by_array.setdefault(id(x._array), variable)
    last: dict[tuple[Any, int], Value] = {}
    for s in trace.statements:
        for v in s.results:
            if id(v.real) in by_array:
                names.give(v, by_array[id(v.real)])
                named.add(v)
            if s.phase is Phase.FORWARD and s.where is not None and not s.writes:
                last[line_of(s.where)[:2]] = v
    for (filename, line), v in last.items():
        target = TARGET.match(linecache.getline(filename, line).strip())
        if v not in names.of and target is not None:
            names.give(v, target[1])
            named.add(v)
    return named


def name_gradients(trace: Trace, names: Names) -> dict[Value, str]:
    """Names for the gradients of what has a name; of each value, the name of what it is the gradient of."""
    leaves = {id(v.tensor): v for v in trace.inputs if v.tensor is not None}
    about: dict[Value, str] = {}
    finals: dict[Value, Value] = {}
    for s in trace.statements:
        for v in s.results:
            for edge in v.gradient_of if s.phase is Phase.BACKWARD else []:
                of = leaves.get(id(edge)) if isinstance(edge, TensorBase) else trace.nodes.get(edge)
                if of is not None and of in names.of and v not in names.of:
                    finals[of] = v  # the last one: what was added up by then
    for p, gradient in trace.gradients:
        if gradient is not None and (leaf := leaves.get(id(p))) is not None:
            finals[leaf] = gradient
    for of, v in finals.items():
        if v not in about or len(names.of[of]) < len(about[v]):
            about[v] = names.of[of]
    for v, name in about.items():
        names.give(v, f"d_{name}")
    return about


NOUNS = {
    "subtract": "difference", "multiply": "product", "divide": "ratio", "add": "total", "reduce": "total",
    "negative": "opposite", "where": "selected", "transpose": "transposed", "getitem": "part", "square": "squares",
    "sub": "difference", "mul": "product", "truediv": "ratio", "sqrt": "root",
}  # fmt: skip


def fallback(v: Value, s: Statement, is_tensor: bool, trace: Trace) -> str:
    """A name for a value that the user has none for: what it is the gradient of, or its operation."""
    for node in v.gradient_of if s.phase is Phase.BACKWARD else []:
        of = trace.nodes.get(node)
        if of is not None and of.statement is not None:
            return f"d_{operation(of, of.statement, True)}"
    return operation(v, s, is_tensor)


def operation(v: Value, s: Statement, is_tensor: bool) -> str:
    """The name of an operation, or of what its function gives."""
    function = str(getattr(s.function, "name", None) or getattr(s.function, "__name__", "value"))
    if function == "item":
        return next(s.inputs()).name or "number"
    if s.label and is_tensor and s.phase is Phase.FORWARD:
        return s.label
    return NOUNS.get(function, function)
