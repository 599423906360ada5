"""trace(): from a function on Tensors to the source of one on arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.autograd import graph
from minigrad.autograd.node import TensorBase
from minigrad.program.aliasing import check_storages
from minigrad.program.ending import traced
from minigrad.program.naming import argument_names
from minigrad.program.passes import simplify
from minigrad.program.representation import Kind, Trace, Value
from minigrad.program.source import Writer
from minigrad.program.symbol import TracingError
from minigrad.program.tracing import SLOT
from minigrad.program.wording import reword
from minigrad.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Input:
    """What a program takes: its name, shape and dtype, and what it was in the traced function."""

    name: str
    shape: tuple[int, ...]
    dtype: Any
    kind: str
    value: Value

    def current(self) -> Any:
        """The array, or number, that it is now: of a parameter or a state, the one that the tensor holds."""
        tensor = self.value.tensor
        return self.value.real if tensor is None else SLOT.__get__(tensor)


class Program:
    """A function on arrays, derived from one on Tensors.

    `source` is its text, which needs NumPy alone; a call executes that text. It takes the arrays in `inputs`, by
    position or by name (hyper-parameters have defaults), updates parameters and states in place, and returns what the
    function returned, as arrays; behind that, unless it updates parameters, the gradients that it left in `.grad`.
    """

    def __init__(self, trace: Trace, arguments: dict[int, str]) -> None:
        self.trace = trace
        writer = Writer(trace, arguments)
        self.name = trace.name if trace.name.isidentifier() else "program"
        self.source = writer.source(self.name)
        self.inputs = tuple(Input(writer.names.of[v], v.shape, v.dtype, v.kind.name.lower(), v) for v in writer.inputs)
        self.outputs = tuple(writer.lookup(v)[0] if isinstance(v, Value) else repr(v) for v in writer.returned)
        trace.release()
        self._function: Callable[..., Any] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._function is None:
            namespace: dict[str, Any] = {}
            exec(compile(self.source, f"<program {self.name}>", "exec"), namespace)
            self._function = namespace[self.name]
        return self._function(*args, **kwargs)

    def arguments(self) -> dict[str, Any]:
        """What each input is now, by its name: program(**program.arguments()) is the step once more."""
        return {x.name: x.current() for x in self.inputs}

    def __repr__(self) -> str:
        return f"<Program {self.name}({', '.join(x.name for x in self.inputs)})>"


def trace(function: Callable[..., Any], *args: Any, grad: bool = False, **kwargs: Any) -> Program:
    """Run a function once on example inputs, and derive the program of what it did.

    With `grad`, the program gives the gradients of the function's result, a single element, behind it: those of the
    example inputs that require gradients and of the parameters that the function uses.
    TracingError where the function does what no straight-line program can, such as an `if` on a tensor's value.
    """
    run = with_gradients(function) if grad else function
    found, _ = traced(run, args, kwargs)
    found.name = getattr(function, "__name__", "program")
    return program_of(found, argument_names(function, args, kwargs))


def program_of(found: Trace, arguments: dict[int, str]) -> Program:
    """The program of a trace, which is simplified."""
    for value in found.inputs:
        if value.kind is Kind.GRADIENT and value.tensor is not None and not np.any(SLOT.__get__(value.tensor)):
            value.key = "zero"
    changed = {v.storage for s in found.statements for v in s.writes} | {v.storage for v, _ in found.rebound}
    inputs = [v for v in found.inputs if v.storage in changed]
    for v in inputs:
        if any(w is not v and w.storage is v.storage for w in found.inputs):
            raise TracingError(
                f"{v} is written to, and shares its memory with another tensor that the function reads: let it read one"
            )
    if any(v.tensor is not None and v.tensor._requires_grad for v in inputs):
        found.gradients = []  # a training step: its gradients are its own
    simplify(found)
    check_storages(found)
    reword(found)
    return Program(found, arguments)


def with_gradients(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that leaves the gradients of its result in the .grad of the leaves, and takes them away again."""

    def run(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        outputs = [x for x in tree_leaves(result) if isinstance(x, TensorBase)]
        nodes = graph.below([graph.edge_of(outputs[0])])  # type: ignore[arg-type]
        leaves = list(dict.fromkeys(e for node in nodes for e, *_ in node.edges if isinstance(e, TensorBase)))
        wanted = [x for x in tree_leaves((args, kwargs)) if isinstance(x, TensorBase) and x in set(leaves)]
        wanted += [x for x in leaves if all(x is not y for y in wanted)]
        grads = graph.grad(outputs[0], wanted)  # type: ignore[arg-type]
        return result, grads

    return run
