"""A compiled forward pass whose results require gradients: its backward pass is a program too, behind one node."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.autograd import graph
from minigrad.autograd.function import Function, once_differentiable
from minigrad.autograd.node import TensorBase, wrap
from minigrad.program.lowering import Lowering, indented
from minigrad.program.recorder import SLOTS, Recorder, refused
from minigrad.program.representation import Statement, Trace, Value
from minigrad.program.tracing import SLOT
from minigrad.utils._pytree import tree_leaves


def freed(x: TensorBase) -> bool:
    """Whether a backward pass through what made a tensor would raise."""
    return any(node.checks and node.saved is None for node in graph.below([graph.edge_of(x)]))  # type: ignore[arg-type]


def seed_of(x: TensorBase) -> TensorBase:
    """A gradient at a result, for the trace: a tensor from outside, so far as that can tell."""
    made = object.__new__(type(x))
    real = SLOT.__get__(x)
    SLOT.__set__(made, np.ones(real.shape, real.dtype))
    for name, value in {"_counter": [0], "_grad": None, "_node": None, "_requires_grad": False, "_view": None}.items():
        SLOTS[name].__set__(made, value)
    return made


class Joint:
    """Runs, while the function is still being traced, the backward pass from its results to the leaves."""

    def __init__(self, recorder: Recorder, result: Any) -> None:
        found = {id(x): x for x in tree_leaves(result) if isinstance(x, TensorBase) and id(x) in recorder.own}
        self.outputs = [x for x in found.values() if x._requires_grad and x._node is not None and not freed(x)]
        self.seeds: list[TensorBase] = []
        self.leaves: list[TensorBase] = []
        self.gradients: list[TensorBase | None] = []
        self.forward = {*recorder.trace.statements}
        if not self.outputs:
            return
        nodes = graph.below([graph.edge_of(x) for x in self.outputs])  # type: ignore[arg-type]
        edges = [edge for node in nodes for edge, *_ in node.edges]
        self.leaves = [x for x in dict.fromkeys(edges) if isinstance(x, TensorBase)]
        self.seeds = [seed_of(x) for x in self.outputs]
        options: Any = {"retain_graph": True, "allow_unused": True}
        self.gradients = [*graph.grad(self.outputs, self.leaves, self.seeds, **options)]  # type: ignore[arg-type]

    def forget_seeds(self, recorder: Recorder, trace: Trace) -> None:
        """They are no inputs of the forward program."""
        ours = set(map(id, self.seeds))
        found = {id(t): v for t, v in recorder.inputs if id(t) in ours}
        self.seed_values = [found.get(id(t)) for t in self.seeds]
        recorder.inputs = [(t, v) for t, v in recorder.inputs if id(t) not in ours]
        trace.inputs = [v for v in trace.inputs if v not in found.values()]
        for t in self.seeds:
            recorder.met.pop(id(t), None)

    def split(self, trace: Trace, gradients: list[Value | None]) -> None:
        """Leave in the trace what the forward program does; the rest is the backward program."""
        after = [s for s in trace.statements if s not in self.forward]
        made = {v for s in after for v in s.results if v.statement is s}
        storages = {v.storage for v in made}
        for s in after:
            if s.is_check or any(v.storage not in storages for v in s.writes):
                raise refused("its backward pass looks at values, or writes to memory", "Let it call backward() itself")
        used = [v for s in after for v in s.inputs()] + [v for v in gradients if v is not None]
        seeds = {v for v in self.seed_values if v is not None}
        self.saved = [v for v in dict.fromkeys(used) if v not in made and v not in seeds]
        trace.statements = [s for s in trace.statements if s in self.forward]
        trace.outputs = [v for v in self.saved if v.statement is not None]
        trace.inputs = [v for v in trace.inputs if v not in seeds]
        self.backward, self.source = backward_program(after, self.saved, self.seed_values, gradients)

    def function(self) -> type[Function]:
        """What records a call of the forward program."""
        return compiled_function(self.backward, bool(self.saved))


Backward = Callable[[tuple[Any, ...], list[Any]], tuple[Any, ...]]


def backward_program(
    statements: list[Statement], saved: list[Value], seeds: list[Value | None], gradients: list[Value | None]
) -> tuple[Backward, str]:
    """backward(saved, given): the gradients of the leaves, from what forward kept and the gradients of the results."""
    names = {v: f"x{i}" for i, v in enumerate(saved)}
    names |= {v: f"g{i}" for i, v in enumerate(seeds) if v is not None}
    trace = Trace(statements=statements, inputs=[*names], outputs=[v for v in gradients if v is not None])
    low = Lowering(trace, names)
    lines = [f"{', '.join(f'x{i}' for i in range(len(saved)))}, = saved"] if saved else []
    lines += [f"{', '.join(f'g{i}' for i in range(len(seeds)))}, = given", *low.lines]
    lines.append(f"return ({''.join('None, ' if v is None else low.array(v) + ', ' for v in gradients)})")
    source = "\n".join(["def backward(saved, given):", *indented(lines)]) + "\n"
    exec(compile(source, "<compiled backward>", "exec"), low.space)
    return low.space["backward"], source


def compiled_function(program: Backward, saves: bool) -> type[Function]:
    busy = threading.Lock()  # the program's buffers serve one call at a time

    class CompiledFunction(Function):
        """The node of a compiled forward pass; PyTorch's name."""

        @staticmethod
        def forward(ctx: Any, arrays: Any, saved: Any, kept: Any, places: Any, *leaves: Any) -> Any:
            results = tuple(map(wrap, arrays))
            ctx.arrays = saved
            marks = [*kept, *(results[i] for i in places)]
            ctx.save_for_backward(*(marks or ([wrap(np.zeros(()))] if saves else [])))
            return results

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, *given: Any) -> Any:
            ctx.saved_tensors  # noqa: B018  # raises where one was written to
            with busy:
                found = program(ctx.arrays, [np.ascontiguousarray(g._array).reshape(g._array.shape) for g in given])
            return None, None, None, None, *(None if x is None else wrap(x) for x in found)

    return CompiledFunction
