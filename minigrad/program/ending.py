"""The end of a trace: what the function returned, and in what state it left the tensors."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Any

from minigrad.autograd.node import Node, TensorBase
from minigrad.optim.optimizer import Optimizer
from minigrad.program.representation import Kind, Trace, Value
from minigrad.program.symbol import Symbol, SymbolicNumber, TracingError
from minigrad.program.tracing import SLOT, Tracer
from minigrad.utils._pytree import tree_flatten


def depth(frame: FrameType | None) -> int:
    """How many frames lie below it."""
    count = 0
    while frame is not None:
        frame, count = frame.f_back, count + 1
    return count


class End:
    """Finds out what a tracer's trace has led to, when the door is shut."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.of_nodes: dict[Any, Value] = {}

    def result_of(self, node: Any) -> Value | None:
        """The value of a recorded operation's result."""
        while self.tracer.unseen:
            tensor = self.tracer.unseen.pop()
            value = self.tracer.values.get(id(SLOT.__get__(tensor)))
            if tensor._node is not None and value is not None:
                self.of_nodes.setdefault(tensor._node, value)
        return self.of_nodes.get(node)

    def trace(self, result: Any) -> Trace:
        """The trace, when the function has returned `result` and the door is shut."""
        trace = self.tracer.trace
        leaves, trace.structure = tree_flatten(result)
        trace.outputs = [self.output(x) for x in leaves]
        roles = {id(p._grad): p for p in self.leaves() if p._grad is not None}
        for value in trace.inputs:
            tensor = value.tensor
            if tensor is not None and id(tensor) in roles:
                value.kind, value.about = Kind.GRADIENT, roles[id(tensor)]
            for optimizer in self.tracer.optimizers:
                for p, entries in optimizer.state.items():
                    for name, entry in entries.items():
                        if entry is tensor and tensor is not None:
                            value.kind, value.about, value.name = Kind.STATE, p, name
        for leaf in self.leaves():
            grad = leaf._grad
            if grad is not None and any(grad is t for t in trace.tensors):
                trace.gradients.append((leaf, self.known(grad)))
        for value in trace.inputs:
            if value.kind is Kind.NUMBER and isinstance(value.key[0], Optimizer):
                optimizer, place, name, *index = value.key
                now = optimizer.param_groups[place][name]
                if (now[index[0]] if index else now) != value.real:
                    raise TracingError(
                        f"the function changes its optimizer's {name!r}, which a program traced once can't: call "
                        "scheduler.step() outside of it"
                    )
        known_inputs = {id(t) for t, _ in self.tracer.inputs}
        for optimizer in self.tracer.optimizers:
            for p, entries in optimizer.state.items():
                for name, entry in entries.items():
                    if isinstance(entry, TensorBase) and id(entry) not in known_inputs:
                        value_ = self.known(entry)
                        if value_ is not None:
                            trace.state.append((p, name, value_))
        for tensor, value in self.tracer.inputs:
            now = self.known(tensor)
            if now is not None and now is not value:
                trace.rebound.append((value, now))
        roots = [self.result_of(edge) for edge in self.tracer.roots]
        trace.roots = [v for v in roots if v is not None]
        written = trace.written()
        for statement in trace.statements:
            for value in statement.results:
                value.needs_array = value.needs_array and value.storage in written
                for edge in value.gradient_of:
                    if isinstance(edge, Node) and (found := self.result_of(edge)) is not None:
                        trace.nodes[edge] = found
        frames = sorted(self.tracer.frames.values(), key=depth)  # names of the outer functions go before
        for frame in frames:
            for name, x in frame.f_locals.items():
                trace.locals.setdefault(name, x)
        for frame in frames:
            for name in frame.f_code.co_names:
                if name in frame.f_globals:
                    trace.locals.setdefault(name, frame.f_globals[name])
        self.tracer.frames.clear()
        return trace

    def leaves(self) -> list[TensorBase]:
        """The leaves that were read, and those of the optimizers."""
        found = {id(t): t for t, v in self.tracer.inputs if t._requires_grad}
        for optimizer in self.tracer.optimizers:
            found.update((id(p), p) for group in optimizer.param_groups for p in group["params"])
        return [*found.values()]

    def known(self, tensor: TensorBase) -> Value | None:
        array = SLOT.__get__(tensor)
        value = self.tracer.values.get(id(array))
        if value is None and id(array) in self.tracer.made:
            value = self.tracer.constant(array)
        return value

    def output(self, x: Any) -> Any:
        if isinstance(x, TensorBase):
            value = self.known(x)
            return value if value is not None else self.tracer.input(x, SLOT.__get__(x))
        if isinstance(x, (Symbol, SymbolicNumber)):
            raise TracingError("the function returns a number that stands for a tensor's value: return the tensor")
        return x


def traced(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Trace, Any]:
    """Run a function on its arguments, once; the trace, and what the function returned."""
    tracer = Tracer()
    arguments = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, TensorBase)]
    with tracer:
        for x in arguments:
            x._array.shape  # noqa: B018  # read first, arguments are the first inputs
        result = function(*args, **kwargs)
    trace = End(tracer).trace(result)
    trace.name = getattr(function, "__name__", "program")
    trace.arguments = arguments
    for value in trace.inputs:
        if any(value.tensor is x for x in arguments):
            value.kind = Kind.ARGUMENT
    return trace, result
