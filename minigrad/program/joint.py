"""A compiled forward pass whose results require gradients: its backward pass is a program too, behind one node."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.autograd import graph
from minigrad.autograd.function import Function
from minigrad.autograd.grad_mode import state
from minigrad.autograd.node import TensorBase, wrap
from minigrad.program.lowering import Lowering, indented
from minigrad.program.moment import SLOTS
from minigrad.program.recorder import Recorder, refused
from minigrad.program.representation import Statement, Trace, Value
from minigrad.program.symbol import TracingError
from minigrad.program.tracing import SLOT
from minigrad.utils._pytree import tree_leaves


def freed(x: TensorBase) -> bool:
    """Whether a backward pass through what made a tensor would raise."""
    return any(node.saved is None for node in graph.below([graph.edge_of(x)]))  # type: ignore[arg-type]


def seed_of(x: TensorBase) -> TensorBase:
    """A gradient at a result, for the trace: a tensor from outside, so far as that can tell."""
    made = object.__new__(type(x))
    real = SLOT.__get__(x)
    SLOT.__set__(made, np.ones(real.shape, real.dtype))
    for name, value in {
        "_counter": [0, None],
        "_grad": None,
        "_node": None,
        "_requires_grad": False,
        "_view": None,
    }.items():
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
        if not state.grad:
            raise refused("it records operations, by enable_grad(), where its caller does not", "Leave it uncompiled")
        nodes = graph.below([graph.edge_of(x) for x in self.outputs])  # type: ignore[arg-type]
        edges = [edge for node in nodes for edge, *_ in node.edges]
        self.leaves = [x for x in dict.fromkeys(edges) if isinstance(x, TensorBase)]
        self.reached = [self.leaves_below(x) for x in self.outputs]
        self.seeds = [seed_of(x) for x in self.outputs]
        options: Any = {"retain_graph": True, "allow_unused": True}
        try:
            self.gradients = [*graph.grad(self.outputs, self.leaves, self.seeds, **options)]  # type: ignore[arg-type]
        except TracingError:
            raise
        except RuntimeError as error:
            raise refused(f"its backward pass would raise ({error})", "Mend that, or leave it uncompiled") from error

    def leaves_below(self, x: TensorBase) -> list[bool]:
        """Which of the leaves a result depends on."""
        root = graph.edge_of(x)  # type: ignore[arg-type]
        found = {edge for node in graph.below([root]) for edge, *_ in node.edges}
        return [leaf in found for leaf in self.leaves]

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
        return compiled_function(self.backward, bool(self.saved), self.reached)


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


def compiled_function(program: Backward, saves: bool, reached: list[list[bool]]) -> type[Function]:
    busy = threading.RLock()  # the program's buffers serve one call at a time
    running: list[bool] = []  # whether this thread, which has the lock, is running it

    class CompiledFunction(Function):
        """The node of a compiled forward pass; PyTorch's name."""

        @staticmethod
        def forward(ctx: Any, arrays: Any, counters: Any, saved: Any, kept: Any, places: Any, *leaves: Any) -> Any:
            results = tuple(wrap(x, [*counter]) for x, counter in zip(arrays, counters, strict=True))
            ctx.arrays, ctx.shapes = saved, [(x.shape, x.dtype) for x in arrays]
            ctx.set_materialize_grads(False)
            marks = [*kept, *(results[i] for i in places)]
            ctx.save_for_backward(*(marks or ([wrap(np.zeros(()))] if saves else [])))
            return results

        @staticmethod
        def backward(ctx: Any, *given: Any) -> Any:
            if state.grad:  # create_graph: the program's results would have no history
                raise RuntimeError("torch.compile with aot_autograd does not currently support double backward")
            ctx.saved_tensors  # noqa: B018  # raises where one was written to
            used = [below for g, below in zip(given, reached, strict=True) if g is not None]
            arrays = [
                np.zeros(*like) if g is None else np.ascontiguousarray(g._array).reshape(like[0])
                for g, like in zip(given, ctx.shapes, strict=True)
            ]
            with busy:
                if running:
                    raise RuntimeError("a signal handler can't run the compiled backward pass it came in the midst of")
                running.append(True)
                try:
                    found = program(ctx.arrays, arrays)
                finally:
                    running.clear()
            wanted = [any(below) for below in zip(*used, strict=True)]
            return *(None,) * 5, *(
                wrap(x) if want and x is not None else None for x, want in zip(found, wanted, strict=True)
            )

    return CompiledFunction
