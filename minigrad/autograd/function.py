"""Functions of one's own: a forward and a backward in Python, as one operation of the graph.

The node of a Function has a single edge, to a node that stands for all its inputs together: the function's `backward`
gives the gradients of all of them at once, and that node hands each one on. It is the mirror image of `Part`, which
gathers the gradients of several results.
"""

from __future__ import annotations

import functools
import inspect
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.autograd.grad_mode import no_grad, state
from minigrad.autograd.hooks import users_code
from minigrad.autograd.inplace import any_requires_grad, bump, check_writable, rebase
from minigrad.autograd.node import (
    NOTHING,
    Array,
    Node,
    Part,
    Parts,
    TensorBase,
    attach,
    caller,
    kept,
    next_number,
    record,
    shown_at,
    wrap,
)
from minigrad.metadata import dtype_of
from minigrad.primitive import Primitive

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


class FunctionCtx:
    """What a Function's forward tells its backward: tensors, marks, and any attribute that the user sets."""

    needs_input_grad: tuple[bool, ...]

    def __init__(self, function: type[Function], inputs: Sequence[Any]) -> None:
        self._function = function
        self._inputs = [(x._array.shape, x._array.dtype) if isinstance(x, TensorBase) else None for x in inputs]
        self._outputs: list[tuple[tuple[int, ...], Any] | None] = []
        self._several = False  # whether forward returned a tuple
        self._saved: list[Any] = []  # tensors; of results only their arrays and numbers, since a result holds the node
        self._node: weakref.ref[FunctionNode] | None = None
        self._to_save: tuple[Any, ...] = ()
        self._dirty: tuple[Any, ...] = ()
        self._non_differentiable: tuple[Any, ...] = ()
        self._materialize = True
        self.needs_input_grad = tuple(any_requires_grad((x,)) for x in inputs)

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors, inputs and results among them, for backward, which finds them in `saved_tensors`."""
        self._to_save = tensors

    def mark_dirty(self, *args: Tensor) -> None:
        """Say which inputs forward has written to; it must return them."""
        self._dirty = args

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Say which results have no gradient."""
        self._non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward is given zeros (as it is by default) or None for results that were not used."""
        if not isinstance(value, bool):
            raise TypeError(f"set_materialize_grads received {value!r}, but expected (bool)")
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What save_for_backward kept. RuntimeError where it is freed, or was written to since."""
        node = None if self._node is None else self._node()
        if node is None:
            return ()
        node.check()
        return tuple(x if x is None or isinstance(x, TensorBase) else node.result(*x) for x in self._saved)

    def _apply_marks(self, outputs: Sequence[Any]) -> None:
        """Count the writes to what was marked dirty. RuntimeError where a mark is on what can't have it."""
        for name, verb, marked in (
            ("mark_dirty", "can only accept variables", self._dirty),
            ("mark_non_differentiable", "only accepts variable arguments", self._non_differentiable),
        ):
            for i, x in enumerate(marked):
                if not isinstance(x, TensorBase):
                    raise RuntimeError(f"{name} {verb}, but argument {i} is of type {type(x).__name__}")
        for x in self._dirty:
            if not any(x is out for out in outputs):
                raise RuntimeError(
                    "Some elements marked as dirty during the forward method were not returned as output. The inputs "
                    "that are modified inplace must all be outputs of the Function: return the tensor itself, of shape "
                    f"{list(x.shape)}, from the forward of {self._function.__name__}"
                )
            bump(x, f"{self._function.__name__}.apply")

    def _check_as_is(self, inputs: Sequence[Any], output: Any) -> None:
        """RuntimeError where setup_context saves an input that is returned as it came: as which of the two?"""
        outputs = output if isinstance(output, tuple) else (output,)
        as_is = {id(x) for x in inputs} & ({id(x) for x in outputs} - {id(x) for x in self._dirty})
        if any(isinstance(x, TensorBase) and id(x) in as_is for x in self._to_save):
            raise RuntimeError(
                "An input that has been returned as-is as output is being saved for backward. This is not supported if "
                "you override setup_context. You should return and save a view of the input instead, e.g. with "
                "x.view_as(x) or setup ctx inside the forward function itself."
            )

    def _save(self, node: FunctionNode, outputs: Sequence[Any]) -> None:
        """Take over what save_for_backward was given, once the results are known."""
        self._node = weakref.ref(node)
        for i, x in enumerate(self._to_save):
            if x is None:
                self._saved.append(None)
                continue
            if not isinstance(x, TensorBase):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {i} is of type {type(x).__name__}: set "
                    "it as an attribute of ctx"
                )
            number = next((j for j, out in enumerate(outputs) if out is x), None)
            self._saved.append(x if number is None else (x._array, x._counter, number))
            node.checks = [*node.checks, kept(f"saved tensor {i}", x._counter)]
        self._to_save = ()

    def _gradients(self, g: Any) -> Parts:
        """What backward makes of the gradients of the results: the gradient of each input, or None."""
        name = f"{self._function.__name__}Backward"
        given = list(g) if type(g) is Parts else [g]
        recorded = any(isinstance(x, TensorBase) for x in given)
        if self._materialize:
            given = [np.zeros(*o) if x is None and o else x for x, o in zip(given, self._outputs, strict=True)]
        # Copies in both directions: the user may keep what is given and what is returned, and write to it.
        tensors = [x if x is None or isinstance(x, TensorBase) else wrap(np.copy(x)) for x in given]
        with users_code():
            result = self._function._backward()(self, *tensors)
        grads = list(result) if isinstance(result, tuple) else [result]
        count = len(self._inputs)
        if len(grads) < count or any(x is not None for x in grads[count:]):
            raise RuntimeError(
                f"function {name} returned an incorrect number of gradients (expected {count}, got {len(grads)}): "
                "backward returns one for each argument of forward, None for those that have none"
            )
        for i, (x, expected) in enumerate(zip(grads, self._inputs, strict=False)):
            if x is not None and expected is None:
                raise RuntimeError(
                    f"function {name} returned a gradient different than None at position {i + 1}, but the "
                    "corresponding forward input was not a Variable"
                )
            if x is not None and not isinstance(x, TensorBase):
                raise RuntimeError(
                    f"expected Variable or None (got {type(x).__name__}): gradient {i} that {name} returned must be a "
                    "Tensor, or None"
                )
        return Parts(
            self._checked(i, x, recorded, name) if need and x is not None else None
            for i, (x, need) in enumerate(zip(grads, self.needs_input_grad, strict=False))
        )

    def _checked(self, i: int, x: Any, recorded: bool, name: str) -> Any:
        """A gradient that backward returned, in the dtype of its input. RuntimeError where it can't be one."""
        expected = self._inputs[i]
        assert expected is not None
        (shape, dtype), given = expected, x._array.shape
        lead = len(given) - len(shape)
        if lead < 0 or any(n not in (1, m) for n, m in zip(shape, given[lead:], strict=True)):
            raise RuntimeError(
                f"Function {name} returned an invalid gradient at index {i} - got {list(given)} but expected shape "
                f"compatible with {list(shape)}"
            )
        return x.to(dtype_of(dtype)) if recorded else x._array.astype(dtype)


class FunctionNode(Node):
    """The node of a Function: one edge, to its inputs together."""

    __slots__ = ()
    row = Primitive(tuple, "", False, 0, {"x": lambda g, ctx: ctx._gradients(g)})

    def __init__(self, ctx: FunctionCtx, inputs: Sequence[Any]) -> None:
        self.label, self.plan = f"{ctx._function.__name__}Backward", self.row.plan(1)
        self.where = caller()
        self.edges = [(Inputs(inputs, self), *self.plan.edges[0][1:], None)]
        self.saved = {"ctx": ctx}
        self.checks = NOTHING
        self.watch = None
        self.sequence = next_number()

    def whole(self, g: Parts) -> Parts:
        return g  # whether results that were not used get zeros or None is for the ctx to say

    def take_over(self, other: Node) -> None:
        super().take_over(other)
        if self.saved:
            self.saved["ctx"]._node = weakref.ref(self)

    def result(self, array: Array, counter: list[Any], number: int) -> Tensor:
        """A saved result as a Tensor with its history."""
        ctx = self.check()["ctx"]
        return attach(array, Part(self, number, ctx._outputs) if ctx._several else self, counter)


class Inputs(Node):
    """All inputs of a Function together: hands each one the gradient that is its own."""

    __slots__ = ("arguments",)
    row = Primitive(tuple, "", False, 0, {"each": lambda i, g: g[i]})

    def __init__(self, inputs: Sequence[Any], function: FunctionNode) -> None:
        needs = sum(1 << i for i, x in enumerate(inputs) if isinstance(x, TensorBase) and x._requires_grad)
        self.label, self.plan = "", self.row.plan(needs)
        self.edges = [(inputs[i]._node or inputs[i], *rule, inputs[i]._array.shape) for i, *rule in self.plan.edges]
        self.arguments = [i for i, x in enumerate(inputs) if isinstance(x, TensorBase)]
        self.saved, self.checks = {}, NOTHING
        self.watch = None
        self.sequence = next_number()
        self.where = function.where

    def whole(self, g: Parts) -> Parts:
        return g

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        edges = {i: edge for (i, *_), (edge, *_) in zip(self.plan.edges, self.edges, strict=True)}
        return tuple(entry for i in self.arguments for entry in shown_at(edges.get(i)))


class Function:
    """An operation of one's own: subclass it, with static methods `forward` and `backward`, and call its `apply`.

        class Square(Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x

            @staticmethod
            def backward(ctx, g):
                (x,) = ctx.saved_tensors
                return 2 * x * g

        y = Square.apply(x)

    Or `forward(x)` without ctx beside `setup_context(ctx, inputs, output)`. forward runs unrecorded. backward is given
    a gradient for each result and returns one for each argument of forward, None for those that have none; where it is
    made of operations on tensors it can itself be differentiated.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(
            f"{type(self).__name__} should not be instantiated: its methods are static, and {type(self).__name__}"
            ".apply(...) runs it"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """What the function computes."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """What backward will need, where forward takes no ctx."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the arguments, given those of the results; `vjp` is another name for it."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    vjp = backward

    @classmethod
    def _backward(cls) -> Callable[..., Any]:
        if cls.vjp is not Function.vjp and cls.backward is not Function.backward:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only "
                f"implement one of them: {cls.__name__} has both"
            )
        return cls.backward if cls.vjp is Function.vjp else cls.vjp

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run forward, and record the function where an argument requires gradients."""
        own_setup = cls.setup_context is not Function.setup_context
        if kwargs or own_setup:
            bound = inspect.signature(cls.forward).bind(*([] if own_setup else [None]), *args, **kwargs)
            bound.apply_defaults()
            args = bound.args if own_setup else bound.args[1:]
        ctx = FunctionCtx(cls, args)
        with no_grad():
            if own_setup:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
                ctx._check_as_is(args, output)
            else:
                output = cls.forward(ctx, *args)
        ctx._several = isinstance(output, tuple)
        outputs = [*output] if ctx._several else [output]
        ctx._apply_marks(outputs)
        node = FunctionNode(ctx, args) if state.grad and any(ctx.needs_input_grad) else None
        ctx._outputs = [(x._array.shape, x._array.dtype) if isinstance(x, TensorBase) else None for x in outputs]
        results = []
        for i, x in enumerate(outputs):
            results.append(result_of(x, i, ctx, node, args) if isinstance(x, TensorBase) else x)
        if node is not None:
            ctx._save(node, results)
        return tuple(results) if ctx._several else results[0]


def result_of(x: Any, i: int, ctx: FunctionCtx, node: FunctionNode | None, args: Sequence[Any]) -> Tensor:
    """A result of forward with its place in the graph: what forward returned, or, of an input unchanged, a view."""
    given, dirty = any(x is y for y in args), any(x is y for y in ctx._dirty)
    if node is None or x._array.dtype.kind != "f" or any(x is y for y in ctx._non_differentiable):
        if x.requires_grad:
            return wrap(x._array, x._counter) if given or x._view is None else x
        return seen_again(x) if given and not dirty else x
    edge = Part(node, i, ctx._outputs) if ctx._several else node
    if dirty:
        if not given:
            warnings.warn(
                "ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that have been mutated "
                "should be passed to ctx.mark_dirty().",
                UserWarning,
                stacklevel=3,
            )
        check_writable(x)
        made = wrap(x._array, x._counter)
        made._node, made._requires_grad = edge, True
        rebase(x, made, edge)
        return x  # type: ignore[no-any-return]
    if given:
        x = seen_again(x)
    x._node, x._requires_grad = edge, True
    if x._view is not None:  # not to be written to: its base would not know, or this node not
        x._view.version, x._view.recorded = x._counter[0], False
    return x  # type: ignore[no-any-return]


@no_grad
def seen_again(x: Tensor) -> Tensor:
    """All of a tensor, as a view."""
    return x.view_as(x)


def refuse_twice(g: Array) -> Array:
    raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


DELAYED_ERROR = Primitive(np.positive, "torch::autograd::DelayedError", False, 0, {"x": refuse_twice})


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a backward that can't be differentiated itself: doing so raises RuntimeError."""

    @functools.wraps(fn)
    def backward(ctx: Any, *args: Any) -> Any:
        with no_grad():
            output = fn(ctx, *args)
        if not state.grad or not any(isinstance(x, TensorBase) and x.requires_grad for x in args):  # type: ignore[attr-defined]
            return output
        results = output if isinstance(output, tuple) else (output,)
        delayed = tuple(x if x is None else not_again(x) for x in results)
        return delayed if isinstance(output, tuple) else delayed[0]

    return backward


def not_again(x: Tensor) -> Tensor:
    """x with a history that ends in an error."""
    leaf, made = wrap(x._array), wrap(x._array)
    leaf._requires_grad = made._requires_grad = True
    made._node = record(DELAYED_ERROR, (leaf,), (x._array,), {}, 1, None, made._counter)
    return made
