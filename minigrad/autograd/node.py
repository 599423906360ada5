"""What the graph is made of: the engine's fields of a tensor, and the node that a recorded operation leaves."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from minigrad.autograd import grad_mode
from minigrad.autograd.grad_mode import Untracked, state
from minigrad.derivatives import table
from minigrad.kernels import linear, linear_no_bias
from minigrad.primitive import Plan, Primitive, Pull

if TYPE_CHECKING:
    from minigrad.autograd.hooks import Watch
    from minigrad.tensor import Tensor

Array = np.ndarray[Any, Any]
Edge = Union["Node", "Tensor"]  # where a gradient goes: a recorded operation, or a leaf
Where = tuple[CodeType, int]  # a place in a user's program: code, and the offset of its instruction

PACKAGE = os.path.dirname(os.path.dirname(__file__))
# The files whose frames are not the user's. (pathlib takes a tenth of NumPy's time to import.)
INTERNAL = frozenset(os.path.join(folder, name) for folder, _, names in os.walk(PACKAGE) for name in names)
next_number = itertools.count().__next__
# The checks of all nodes that a backward pass does not free, told apart by identity: one list, as a deep graph has many
# such nodes. It stays empty: what keeps an array is freed, and has a list of its own.
NOTHING: list[Any] = []
UNWRITTEN: tuple[str, Any] = ("", None)  # the last write, where a node keeps the array and none came since
_new = object.__new__


class TensorBase:
    """The engine's fields of a Tensor."""

    __slots__ = ("__weakref__", "_array", "_counter", "_grad", "_node", "_requires_grad", "_view")

    _array: Array
    # [version, (name, place) of the last in-place write], one list for all views of a storage. While no node keeps the
    # array, nobody will ask for that name and place: they are None, and the place is not looked for.
    _counter: list[Any]
    _grad: Tensor | None
    _node: Node | None  # the operation that made it; None for a leaf
    _requires_grad: bool
    _view: View | None  # whose memory it shows, where gradients must follow writes
    # Not slots, since few leaves have any:
    watch: Watch | None = None  # its hooks
    level: int = -1  # which run of a transform of `func` it is an input of

    def is_inference(self) -> bool:
        """Whether the tensor was made in inference mode."""
        return type(self._counter) is Untracked

    @property
    def _version(self) -> int:
        """How many in-place writes the storage has seen."""
        if self.is_inference():
            raise RuntimeError("Inference tensors do not track version counter.")
        return int(self._counter[0])


class View:
    """The base of a view, the storage's version when the view's node was made, and whether grad mode was on then."""

    __slots__ = ("base", "recorded", "version")

    def __init__(self, base: Tensor, version: int, recorded: bool) -> None:
        self.base = base
        self.version = version
        self.recorded = recorded


_Tensor: type[Tensor]


def tensor_class(cls: type[Tensor]) -> type[Tensor]:
    """Announce the class that results are made of. (Decorates Tensor, which is defined in a file above this one.)"""
    global _Tensor
    _Tensor = cls
    return cls


def as_array(x: Any) -> Any:
    """A number of NumPy's as an array; what stands for an array, while a program is traced, as it is."""
    return x if hasattr(x, "__array_function__") else np.asarray(x)


def wrap(array: Any, counter: list[Any] | None = None) -> Tensor:
    """A tensor of `array`, without copy and without history; `counter` where it shares another tensor's storage."""
    tensor = _new(_Tensor)
    tensor._array = array if type(array) is np.ndarray else as_array(array)
    if counter is None:
        counter = [0, None] if not grad_mode.inference_used else grad_mode.new_counter()
    tensor._counter = counter
    tensor._grad = tensor._node = tensor._view = None
    tensor._requires_grad = False
    return tensor


class Dropped(dict[str, Any]):
    """Stands for what a node saved and a checkpoint dropped: its segment restores it when it is asked for."""

    def __init__(self, segment: Any, number: int) -> None:
        self.segment, self.number = segment, number  # number: which of the segment's nodes it is


class Node:
    """A recorded operation; PyTorch's `grad_fn`."""

    __slots__ = ("__weakref__", "checks", "edges", "label", "plan", "saved", "sequence", "watch", "where")

    label: str  # PyTorch's name of the operation; "" inside an operation that is one node in PyTorch
    plan: Plan
    edges: list[tuple[Edge, Pull, tuple[int, ...] | None]]  # where to, by which rule; the input's shape
    saved: dict[str, Any] | None  # what the rules name, by name; None once freed
    checks: list[tuple[str, list[Any], int]]  # kept arrays: name, the storage's counter, its version when kept
    sequence: int  # a later operation has a higher number
    watch: Watch | None  # of the result: its hooks, and whether it keeps its gradient
    where: Where

    def name(self) -> str:
        return self.label

    def __repr__(self) -> str:
        return f"<{self.name().rpartition('::')[2]} object at {id(self):#x}>"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that gradients go to next, as PyTorch shows them, each with the number of its result.

        For each argument of the operation that could have a gradient there is one: an AccumulateGrad where it is a
        leaf, None where it requires no gradient.
        """
        row = self.plan.primitive
        edges = {i: edge for (i, *_), (edge, *_) in zip(self.plan.edges, self.edges, strict=True)}
        numbers = range(max(edges) + 1) if row.each else [i for i, rule in enumerate(row.rules.values()) if rule]
        shown = [entry for i in numbers for entry in shown_at(edges.get(i))]
        if row is table[linear] or row is table[linear_no_bias]:
            x, weight, *bias = shown
            shown = [*bias, x, weight if weight[0] is None else (Transposed(weight), 0)]
        return tuple(shown)

    def check(self) -> dict[str, Any]:
        """The saved values; RuntimeError where they are freed, or were written to since."""
        while isinstance(self.saved, Dropped):  # more than once where checkpoints are nested
            self.saved.segment.restore()
        if self.saved is None:
            raise RuntimeError(
                f"Trying to backward through the graph a second time: {self.name() or self.plan.primitive.name}, "
                f"recorded at {place(self.where)}, "
                "has already freed what it saved. Specify retain_graph=True at the first backward() if you need the "
                "graph twice; in a training loop, compute the loss anew in every step, and detach() what is carried "
                "over from the last"
            )
        for name, counter, version in self.checks:
            if counter[0] != version:
                writer, where = counter[1]
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: "
                    f"{name} of {self.name()}, recorded at {place(self.where)}, is at version {counter[0]}; expected "
                    f"version {version} instead. It was last written by {writer} at {place(where)}. "
                    "Write the out-of-place form there, or clone() before it"
                )
        return self.saved

    def take_over(self, other: Node) -> None:
        """Have what another node of the same operation saved."""
        self.saved, self.checks = other.saved, other.checks

    def whole(self, g: Parts) -> Parts:
        """The gradients of several results, with zeros for those that got none."""
        outputs = self.check()["outputs"]
        return Parts(np.zeros(*o) if x is None else x for x, o in zip(g, outputs, strict=True))

    def tensors(self) -> dict[str, Any]:
        """The saved values as Tensors with their history, for rules that are to be recorded."""
        values = dict(self.check())
        counters = {name: counter for name, counter, _ in self.checks}
        edges = {i: edge for (i, *_), (edge, *_) in zip(self.plan.edges, self.edges, strict=True)}
        for name, i in self.plan.saves:
            if name in counters:
                values[name] = attach(values[name], edges.get(i), counters[name])
        if self.plan.out:
            values["out"] = self.attach_results(values["out"], counters["out"])
        return values

    def attach_results(self, out: Any, counter: list[Any]) -> Any:
        """The result, or the tuple of results, as Tensors that this node made."""
        if not isinstance(out, tuple):
            return attach(out, self, counter)
        outputs = [(x.shape, x.dtype) for x in out]
        return tuple(attach(x, Part(self, i, outputs), counter) for i, x in enumerate(out))


class AccumulateGrad:
    """The end of an edge at a leaf, as PyTorch shows it."""

    next_functions: tuple[()] = ()

    def __init__(self, variable: Tensor) -> None:
        self.variable = variable

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccumulateGrad) and other.variable is self.variable

    def __hash__(self) -> int:
        return id(self.variable)

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self.variable):#x}>"


class Transposed:
    """The transpose of a linear layer's weight, for which PyTorch has a node of its own."""

    def __init__(self, weight: tuple[Any, int]) -> None:
        self.next_functions = (weight,)

    def name(self) -> str:
        return "TBackward0"

    def __repr__(self) -> str:
        return f"<TBackward0 object at {id(self):#x}>"


def shown_at(edge: Edge | None) -> tuple[tuple[Any, int], ...]:
    """What PyTorch shows where an edge goes: mostly a node; those before it, where it has no name of its own."""
    if edge is None:
        return ((None, 0),)
    if isinstance(edge, Part):
        return ((edge.operation, edge.number),)
    if isinstance(edge, Node):
        return ((edge, 0),) if edge.label else edge.next_functions
    return ((AccumulateGrad(edge), 0),)


def named(result: Tensor, name: str, *inputs: Any) -> Tensor:
    """The result, its node under the name that PyTorch has for it, where that is not the row's.

    Where `inputs` are given, it is PyTorch's one node for all that was recorded between them and the result.
    """
    node = result._node
    if node is not None:
        node.label = name
        if isinstance(node, Part):
            node.operation.label = name
        if inputs:
            before = {x._node or x for x in inputs if isinstance(x, TensorBase)}
            inner = [node]
            for node in inner:  # grows while it is walked
                for edge, *_ in node.edges:
                    if isinstance(edge, Node) and edge not in before:
                        edge.label = ""
                        inner.append(edge)
    return result


class Parts(list[Any]):
    """The gradients of the results of an operation that has several; None for those that got none so far.

    The sweep treats it as any gradient: it adds up by `+`, and has no shape that broadcasting could have changed.
    """

    shape = None

    def __add__(self, other: Any) -> Parts:
        return Parts(y if x is None else x if y is None else x + y for x, y in zip(self, other, strict=True))


class Part(Node):
    """One of the results of an operation that has several."""

    __slots__ = ("number", "operation")
    row = Primitive(
        tuple, "", False, 0, {"x": lambda g, i, outputs: Parts(g if j == i else None for j in range(len(outputs)))}
    )

    def __init__(self, whole: Node, i: int, outputs: Sequence[tuple[tuple[int, ...], Any] | None]) -> None:
        self.operation, self.number = whole, i
        self.label, self.plan = whole.label, self.row.plan(1)
        self.edges = [(whole, *self.plan.edges[0][1:], None)]  # None, as the shape of Parts
        self.saved = {"i": i, "outputs": outputs}
        self.checks = NOTHING
        self.watch = None
        self.sequence = next_number()
        self.where = whole.where

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        return self.operation.next_functions


def attach(array: Array, edge: Edge | None, counter: list[Any]) -> Tensor:
    """A Tensor of a saved array, with the history that it had."""
    if isinstance(edge, TensorBase):
        if edge._array is not array:
            raise RuntimeError(
                "cannot differentiate again: the .data of a leaf was replaced after the forward pass; "
                "write into it (leaf.data.copy_(...)) under no_grad, or compute the result anew"
            )
        return edge
    tensor = wrap(array, counter)
    if edge is not None:
        tensor._node, tensor._requires_grad = edge, True
    return tensor


def caller() -> Where:
    """The place in the user's program that is being run: the innermost frame outside the package."""
    frame = sys._getframe(2)
    while frame.f_code.co_filename in INTERNAL and (back := frame.f_back) is not None:
        frame = back
    return frame.f_code, frame.f_lasti


def of_a_rule() -> bool:
    """Whether the NumPy function that was given a Tensor stands in a rule, in a sweep that is recorded.

    A signal handler or a finalizer may come in the midst of such a sweep; what it calls, its own file calls.
    """
    return state.rules and sys._getframe(2).f_code.co_filename in INTERNAL


def line_of(where: Where) -> tuple[str, int, str]:
    """The file, the line and the function of a place."""
    code, offset = where
    line = next((n for start, end, n in code.co_lines() if start <= offset < end), None)
    return code.co_filename, line or code.co_firstlineno, code.co_name


def place(where: Where) -> str:
    """file:line of a place."""
    filename, line, _ = line_of(where)
    return f"{filename}:{line}"


def kept(name: str, counter: list[Any]) -> tuple[str, list[Any], int]:
    """What a node that keeps an array notes of its storage; from now on a write there leaves its name and place."""
    version = counter[0]
    if counter[1] is None:
        counter[1] = UNWRITTEN
    return name, counter, version


def record(
    primitive: Primitive,
    inputs: Sequence[Any],
    arrays: Sequence[Any],
    params: dict[str, Any],
    needs: int,
    out: Any,
    counter: list[Any],
) -> Node | None:
    """The node of an operation, with what the rules of the inputs in `needs` name; None where no rule is asked for."""
    plan = primitive.plans.get(needs) or primitive.plan(needs)
    if not plan.edges:
        return None
    node: Node = _new(Node)
    node.label = primitive.name
    node.plan = plan
    node.edges = edges = []
    for i, rule in plan.edges:
        x = inputs[i]
        edges.append((x._node or x, rule, arrays[i].shape))
    if plan.out:
        params["out"] = out
        node.checks = checks = [kept("out", counter)]
    else:
        node.checks = checks = [] if plan.frees else NOTHING
    for name, i in plan.saves:
        params[name] = arrays[i]
        x = inputs[i]
        if isinstance(x, TensorBase):
            storage = x._counter
            checks.append((name, storage, storage[0]))  # as kept(), written out
            if storage[1] is None:
                storage[1] = UNWRITTEN
    for name, i, attribute in plan.metadata:
        params[name] = getattr(arrays[i], attribute)
    node.saved = params
    node.watch = None
    node.sequence = next_number()
    frame = sys._getframe(3)  # as caller(), written out: this is on the path of every operation
    while frame.f_code.co_filename in INTERNAL and (back := frame.f_back) is not None:
        frame = back
    node.where = frame.f_code, frame.f_lasti
    return node


def shape_error(arrays: Sequence[Any], error: ValueError) -> RuntimeError:
    """PyTorch's error for shapes that don't broadcast, from NumPy's."""
    shapes = [np.shape(x) for x in arrays]
    for a, b in itertools.combinations(shapes, 2):
        for i in range(1, min(len(a), len(b)) + 1):
            if a[-i] != b[-i] and 1 not in (a[-i], b[-i]):
                return RuntimeError(
                    f"The size of tensor a ({a[-i]}) must match the size of tensor b ({b[-i]}) at non-singleton "
                    f"dimension {max(len(a), len(b)) - i}: the shapes {', '.join(str(list(s)) for s in shapes)} "
                    "don't broadcast"
                )
    return RuntimeError(f"{error} (shapes {', '.join(str(list(s)) for s in shapes)})")
