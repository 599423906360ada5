"""Views and in-place writes: who shares memory, who may write, and how gradients follow what was written.

An in-place operation is its out-of-place form, computed on the value as it was, whose result is then written into the
tensor's memory; the tensor takes over the result's node. Where the tensor is a view, its base takes over a node that
says "the base, with the view's elements replaced", and every view of that base makes its own node anew, as a view of
the new base, when it is next used.
"""

from __future__ import annotations

import functools
import warnings
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.autograd.grad_mode import Untracked, quietly, state, unless_entered
from minigrad.autograd.hooks import Watch
from minigrad.autograd.node import (
    Array,
    Node,
    Part,
    TensorBase,
    View,
    as_array,
    caller,
    kept,
    record,
    shape_error,
    wrap,
)
from minigrad.derivatives import table
from minigrad.kernels import Geometry, cast, put_strided, strided
from minigrad.metadata import dtype_of
from minigrad.primitive import HALF, Primitive

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


def join(tensor: Tensor, source: Tensor) -> None:
    """Note that `tensor` is a view of `source`, where their arrays share memory."""
    array, whole = tensor._array, source._array
    owner = array.base
    # NumPy's own answer takes as long as an operation: it is asked where the bases leave the question open.
    shares = owner is not None and (owner is whole or owner is whole.base or np.may_share_memory(array, whole))
    if shares or not array.size:
        tensor._counter = source._counter
        if type(tensor._counter) is Untracked:
            return
        base = source if source._view is None else source._view.base
        tensor._view = View(base, tensor._counter[0], state.grad)


def refresh(view: TensorBase) -> None:
    """Bring a view's node up to date, where its storage was written to since the node was made."""
    link = view._view
    if link is not None and link.version != view._counter[0]:
        version, base = view._counter[0], link.base
        if not link.recorded and view._node is not None:
            raise unrecorded_view(view, "its base or another view of its base has been")
        if base._requires_grad and link.recorded:
            set_node(view, strided_node(view, base))
        link.version = version  # now, since another thread that finds it takes the node for up to date


def strided_node(view: TensorBase, base: Tensor) -> Node | None:
    """A node that takes a view out of the base as it is now."""
    params = {"geometry": geometry(view._array, base._array)}
    return record(table[strided], (base,), (base._array,), params, 1, None, view._counter)


def set_node(tensor: TensorBase, node: Node | None) -> None:
    """Give a tensor the node of what was written into it; retain_grad() goes with the tensor."""
    old = tensor._node
    if old is not None and old.watch is not None and old.watch.retained is not None and old.watch.retained() is tensor:
        old.watch.retained = None
        if node is not None:
            node.watch = node.watch or Watch()
            node.watch.retained = weakref.ref(tensor)
    tensor._node, tensor._requires_grad = node, True


def geometry(view: Array, base: Array) -> Geometry:
    """Where `view` lies in the memory of `base`."""
    size = base.itemsize
    offset = (view.ctypes.data - base.ctypes.data) // size
    steps = tuple(s // size for s in view.strides)
    return Geometry(base.shape, tuple(s // size for s in base.strides), view.shape, steps, offset)


def bump(tensor: TensorBase, name: str) -> None:
    """Count a write into a tensor's storage, and note which operation wrote, and where."""
    counter = tensor._counter
    if type(counter) is Untracked:  # they have no versions
        return
    counter[0] += 1
    if counter[1] is not None:  # else no node keeps the array, so none will ask
        counter[1] = name, caller()


class Target(TensorBase):
    """The tensor that an in-place operation writes to: unlike an `out=`, it is never resized."""

    __slots__ = ()

    def __init__(self, array: Array, counter: list[Any]) -> None:
        self._array, self._counter = array, counter
        self._node, self._requires_grad = None, False


# NumPy 2.4 with AVX-512 writes wrong numbers into memory that is not contiguous: negative, where its input's stride is
# 16 or 64 bytes, the others always. What they make anew is right.
WRONG_WRITERS = {np.negative, np.isfinite, np.isinf, np.isnan, np.signbit}


def write_out(primitive: Primitive, arrays: list[Any], params: dict[str, Any], needs: int, out: Tensor | Target) -> Any:
    """Run an operation with its result going into `out`. RuntimeError where gradients would be lost."""
    if not isinstance(out, TensorBase):
        raise TypeError(f"argument 'out' must be Tensor, not {type(out).__name__}")
    if (needs or out._requires_grad) and state.grad:
        raise RuntimeError(
            "functions with out=... arguments don't support automatic differentiation, but one of the arguments "
            "requires grad. Drop out=, or compute under torch.no_grad()"
        )
    if type(out) is not Target:
        check_inference(out)
        check_overlap(out._array)
        bump(out, "out=")
    elif (
        isinstance(primitive.function, np.ufunc)
        and out._array.dtype != HALF
        and primitive.function not in WRONG_WRITERS
    ):
        try:
            state.quiet(primitive.function, *arrays, out=out._array)
            return out
        except (TypeError, ValueError):
            pass  # what NumPy refuses is judged by the rules below
        except RuntimeError as error:
            unless_entered(error)  # computed below
    try:
        value = as_array(quietly(partial(primitive.function, **params), *arrays))
        if value.dtype == HALF:
            value = as_array(quietly(partial(primitive.wide.function, **params), *arrays))
    except ValueError as error:
        raise shape_error(arrays, error) from None
    write(out, value)
    return out


def write(out: Tensor | Target, value: Array) -> None:
    """Copy a result into `out`; RuntimeError where its dtype can't take it, or its shape must not change."""
    target = out._array
    if not castable(value.dtype, target.dtype):
        raise RuntimeError(
            f"result type {dtype_of(value.dtype)} can't be cast to the desired output type {dtype_of(target.dtype)}: "
            "convert the tensor first, or use the out-of-place form"
        )
    if value.shape != target.shape:
        if type(out) is Target:
            raise RuntimeError(
                f"output with shape {list(target.shape)} doesn't match the broadcast shape {list(value.shape)}: "
                "an in-place operation can't grow its tensor; use the out-of-place form"
            )
        resize(out, value.shape)  # type: ignore[arg-type]
    quietly(partial(np.copyto, casting="unsafe"), out._array, value)


def resize(out: Tensor, shape: tuple[int, ...]) -> None:
    """Give an `out=` of another shape new memory of the right one, with PyTorch's warning where it held elements."""
    if out._array.size:
        warnings.warn(
            f"An output with one or more elements was resized since it had shape {list(out._array.shape)}, which does "
            f"not match the required output shape {list(shape)}. This behavior is deprecated",
            UserWarning,
            stacklevel=5,
        )
    out._array = np.empty(shape, out._array.dtype)


def castable(source: np.dtype[Any], target: np.dtype[Any]) -> bool:
    """PyTorch's rule for results written in place: floats don't go into integers, nothing but bool into bool."""
    rank = {"b": 0, "i": 1, "u": 1, "f": 2}
    return rank[source.kind] <= rank[target.kind]


def check_writable(tensor: Tensor, elements: bool = True) -> None:
    """RuntimeError where an in-place write to `tensor` would make gradients wrong, or write one place twice; the
    latter unless the shape alone is written."""
    if type(tensor._counter) is Untracked:
        check_inference(tensor)
    if tensor._view is not None:
        refresh(tensor)
        base = tensor._view.base
        if state.grad and not tensor._view.recorded and (base._requires_grad or tensor._node is not None):
            raise unrecorded_view(tensor)
        if state.grad and base._node is None and (base._requires_grad or tensor._requires_grad):
            raise RuntimeError(
                "a view of a leaf Variable that requires grad is being used in an in-place operation. "
                "Write under torch.no_grad(), or to a clone()"
            )
        if elements:
            check_overlap(tensor._array)
    if elements and not tensor._array.flags.writeable:
        raise RuntimeError(
            "the tensor shares the memory of a read-only array (or buffer), which can't be written to: use .clone()"
        )
    if tensor._requires_grad and tensor._node is None and state.grad:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation. "
            "Write under torch.no_grad(), or use the out-of-place form"
        )


def check_inference(tensor: TensorBase) -> None:
    """RuntimeError where an inference tensor is to be written to outside inference mode."""
    if type(tensor._counter) is Untracked and not state.inference:
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed. You can make a clone to get a "
            "normal tensor before doing inplace update."
        )


def unrecorded_view(view: TensorBase, written: str = "is being") -> RuntimeError:
    """The error for a write to the memory of a view whose history could not follow it, or its base's."""
    if view._node is None:
        return RuntimeError(
            "A view was created in no_grad mode and is being modified inplace with grad mode enabled: move both the "
            "view and the write into the no_grad block, or both out of it"
        )
    number = view._node.number if isinstance(view._node, Part) else 0
    return RuntimeError(
        f"Output {number} of {view._node.label.removesuffix('Backward')} is a view and {written} modified inplace. "
        "This view was created inside a custom Function (or because an input was returned as-is) and the autograd "
        "logic to handle view+inplace would override the custom backward associated with the custom Function, leading "
        "to incorrect gradients. This behavior is forbidden. You can fix this by cloning the output of the custom "
        "Function."
    )


def check_overlap(array: Array) -> None:
    """RuntimeError where several elements stand in one place of memory, as where a dim was expanded."""
    if (
        array.size > 0
        and 0 in array.strides
        and any(s == 0 and n > 1 for s, n in zip(array.strides, array.shape, strict=True))
    ):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory "
            "location. Please clone() the tensor before performing the operation."
        )


def in_place(function: Callable[..., Tensor]) -> Callable[..., Any]:
    """The in-place form of an operation: `x.add_(y)` from `add(x, y)`."""
    name = f"{function.__name__}_"

    @functools.wraps(function)
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_writable(self)
        if state.grad and any_requires_grad((self, *args, *kwargs.values())):
            commit(self, function(as_it_was(self), *args, **kwargs), name)
        else:
            function(self, *args, **kwargs, out=Target(self._array, self._counter))
            bump(self, name)
        return self

    method.__name__ = name
    return method


def any_requires_grad(values: tuple[Any, ...]) -> bool:
    for x in values:
        if isinstance(x, TensorBase):
            if x._view is not None:
                refresh(x)
            if x._requires_grad:
                return True
    return False


def as_it_was(tensor: Tensor) -> Tensor:
    """The value before a write, with its history.

    Without the hooks of a view: in PyTorch what is written to a view takes the way of its base.
    """
    before = wrap(tensor._array.copy())
    before._node, before._requires_grad = tensor._node, tensor._requires_grad
    if tensor._view is not None and tensor._node is not None and tensor._node.watch is not None:
        before._node = strided_node(tensor, tensor._view.base)
    return before


def commit(tensor: Tensor, result: Tensor, name: str) -> None:
    """Write `result` into the memory of `tensor`, and let its history be the tensor's."""
    if tensor._view is not None and not tensor._view.recorded and result._node is not None:
        raise unrecorded_view(tensor)
    write(Target(tensor._array, tensor._counter), result._array)
    bump(tensor, name)
    if result._node is None:
        return
    dtype = tensor._array.dtype
    if result._array.dtype != dtype:  # of the other floating dtype: its gradient must be converted back
        params = {"dtype": dtype}
        converted = wrap(result._array.astype(dtype))
        converted._node = record(table[cast], (result,), (result._array,), params, 1, None, converted._counter)
        converted._requires_grad = True
        result = converted
    node = result._node
    assert node is not None
    if node.plan.out and node.saved is not None:  # what a rule keeps of the result is the tensor itself from now on
        node.saved["out"] = tensor._array
        node.checks = [c if c[0] != "out" else kept("out", tensor._counter) for c in node.checks]
    rebase(tensor, result, node)


def rebase(tensor: Tensor, result: Tensor, node: Node) -> None:
    """Let `node`, which made the result that was written into a tensor, be the tensor's, and its base know of it."""
    if tensor._view is None:
        set_node(tensor, node)
        return
    base = tensor._view.base
    needs = 3 if base._requires_grad else 2
    params = {"geometry": geometry(tensor._array, base._array)}
    arrays = base._array, tensor._array
    set_node(base, record(table[put_strided], (base, result), arrays, params, needs, None, base._counter))
    tensor._view.version = -1  # its node is to be made anew, however the write was counted
    refresh(tensor)
