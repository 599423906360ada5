"""Indexing, and the operations that pick or place elements by index."""

from __future__ import annotations

import operator
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import kernels
from minigrad.autograd.graph import apply
from minigrad.autograd.node import TensorBase, named, wrap
from minigrad.ops.arguments import axis_of, convert, require_tensor, type_name
from minigrad.ops.numbers import element_as
from minigrad.ops.shaping import reshape, unsqueeze

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

WHOLE = slice(None)
INDICES = {np.dtype(t) for t in (np.bool_, np.int64, np.int32)}
BASIC = {int, slice, type(None), type(Ellipsis)}


def numpy_index(i: Any) -> Any:
    """One index of PyTorch's (an int, a slice, None, ..., a bool, a mask, an index tensor, a list) as NumPy's."""
    if i is None or i is Ellipsis or isinstance(i, bool):
        return i
    if isinstance(i, slice):
        if i.step is None and type(i.start) in (int, type(None)) and type(i.stop) in (int, type(None)):
            return i
        start, stop, step = (None if n is None else operator.index(n) for n in (i.start, i.stop, i.step))
        if step is not None and step <= 0:
            raise ValueError(f"step must be greater than zero, got {step}: flip() reverses a tensor")
        return slice(start, stop, step)
    if isinstance(i, TensorBase):
        i = i._array
    if isinstance(i, (np.ndarray, np.bool_)):
        return array_index(i)
    if isinstance(i, (list, tuple, range)):
        array = np.asarray([x._array.item() if isinstance(x, TensorBase) else x for x in i])
        return array if array.size else array.astype(np.int64)
    if isinstance(i, (str, bytes)):
        raise TypeError(
            f"new(): invalid data type '{type(i).__name__}': a tensor is indexed by ints, slices, masks, index tensors"
        )
    try:
        return operator.index(i)
    except TypeError:
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), None and long or byte tensors are valid indices, got "
            f"{i} ({type(i).__name__})"
        ) from None


def array_index(i: Any) -> Any:
    """A mask, or an array of ints, as an index; an array of one of them without dims as a bool or an int."""
    if i.dtype.char == "B":
        if i.ndim:
            warnings.warn("indexing with dtype torch.uint8 is deprecated: use torch.bool", UserWarning, stacklevel=5)
        i = i.astype(bool)
    if i.dtype not in INDICES:
        raise IndexError(
            f"tensors used as indices must be long, int, byte or bool tensors, got {i.dtype}: convert with .long()"
        )
    return i.copy() if i.ndim else i.item()  # a copy: the backward pass needs the index as it was


def width(i: Any) -> int:
    """How many dims an index takes."""
    if i is None or i is Ellipsis or isinstance(i, bool):
        return 0
    return i.ndim if isinstance(i, np.ndarray) and i.dtype.kind == "b" else 1


def one_ellipsis(entries: list[Any], ndim: int) -> list[Any]:
    """Without the second `...` and those after it, which PyTorch takes: each skips as many dims as the first does."""
    first, second, *_ = (place for place, i in enumerate(entries) if i is Ellipsis)
    skipped = ndim - sum(map(width, entries))
    if skipped > 0 and any(map(width, entries[second:])):
        raise IndexError(f"too many indices: the second `...` skips {skipped} dims too, of {ndim} in all")
    return entries[: first + 1] + [i for i in entries[first + 1 :] if i is not Ellipsis]


def split_index(index: Any, ndim: int) -> tuple[Any, Any]:
    """An index as NumPy's; in two steps where ints stand beside masks or index tensors: a view, then its elements.

    NumPy would take these ints for arrays, and put the dims in another order. The first is None where one step does.
    """
    if not isinstance(index, (tuple, list)):
        return None, numpy_index(index)
    if isinstance(index, list):
        if not any(i is None or i is Ellipsis or isinstance(i, (TensorBase, slice, list, tuple)) for i in index):
            return None, numpy_index(index)
        warnings.warn(
            "Using a non-tuple sequence for multidimensional indexing is deprecated: write x[tuple(index)], or "
            "x[torch.tensor(index)]",
            UserWarning,
            stacklevel=4,
        )
    if BASIC.issuperset(map(type, index)) and index.count(Ellipsis) < 2:
        return None, tuple([i if type(i) is int else numpy_index(i) for i in index])
    entries = [numpy_index(i) for i in index]
    if len(entries) > 1 and sum(i is Ellipsis for i in entries) > 1:
        entries = one_ellipsis(entries, ndim)
    if not any(type(i) is int for i in entries) or not any(isinstance(i, np.ndarray) for i in entries):
        return None, tuple(entries)
    first: list[Any] = []
    then: list[Any] = []
    for i in entries:
        if isinstance(i, np.ndarray):
            first += [WHOLE] * width(i)
            then.append(i)
        elif isinstance(i, bool):
            first.append(None)
            then.append(np.arange(int(i)))
        else:
            first.append(i)
            then += [] if type(i) is int else [Ellipsis if i is Ellipsis else WHOLE]
    return tuple(first), tuple(then)


def getitem(input: Tensor, index: Any) -> Tensor:
    """input[index]: a view for ints, slices, None, ...; a copy for masks and index tensors. IndexError as NumPy's."""
    if type(index) is int:
        if not input._array.ndim:
            raise IndexError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python to convert a 0-dim tensor to a number"
            )
        return apply(kernels.select, input, index=index)
    if index is None:
        return unsqueeze(input, 0)
    first, then = split_index(index, input._array.ndim)
    if first is not None:
        input = apply(kernels.select, input, index=first)
    return apply(kernel_for(then), input, index=then)


def kernel_for(index: Any) -> Any:
    """The row of the table that PyTorch names an index by."""
    last = index
    if isinstance(index, tuple):
        last = index[-1] if index else None
        if type(last) is int and BASIC.issuperset(map(type, index)):
            return kernels.select
        last = None
        for i in index:
            if isinstance(i, (np.ndarray, bool)):
                return kernels.take
            if i is not Ellipsis and (type(i) is int or i != WHOLE):
                last = i
    if isinstance(last, (np.ndarray, bool)):
        return kernels.take
    return kernels.select if isinstance(last, int) else kernels.getitem


def setitem(input: Tensor, index: Any, value: Any, *, out: Any = None) -> Tensor:
    """input with input[index] = value, where the index is NumPy's; the in-place form is tensor[index] = value."""
    dtype = input._array.dtype
    if isinstance(value, TensorBase):
        if value._array.dtype != dtype:
            input._array[index]  # whether the index fits comes first
            if not takes_other_dtypes(index, value._array):
                raise RuntimeError(
                    f"Index put requires the source and destination dtypes match, got {type_name(input)} for the "
                    f"destination and {type_name(value)} for the source: convert the value with .to(x.dtype)"
                )
            value = convert(value, dtype)
        if value._array.ndim and value._array.shape[0] == 1:
            room = np.ndim(input._array[index])
            while value._array.ndim > room and value._array.shape[0] == 1:  # PyTorch drops leading dims of length 1
                value = getitem(value, 0)
    elif isinstance(value, (int, float, np.integer)):
        if not isinstance(value, float) and not -(2**63) <= value < 2**63:
            raise ValueError(f"Overflow when unpacking long long: {value} is no int64")
        value = element_as(value, dtype)
    else:
        raise TypeError(
            f"can't assign a {type(value).__name__} to a torch.{input.dtype.legacy}: convert it with torch.tensor()"
        )
    if out is not None:
        put_into(out._array, index, value._array if isinstance(value, TensorBase) else value)
        return out  # type: ignore[no-any-return]
    result = apply(kernels.put, input, value, index=index)
    return result if kernel_for(index) is kernels.take else named(result, "torch::autograd::CopySlices")


def takes_other_dtypes(index: Any, value: Any) -> bool:
    """Whether PyTorch converts the value: into views it does; into elements, that of one mask and a single element."""
    arrays = [np.asarray(i) for i in index if isinstance(i, (np.ndarray, bool))] if isinstance(index, tuple) else []
    arrays += [index] if isinstance(index, np.ndarray) else []
    return not arrays or (value.size == 1 and value.ndim < 2 and len(arrays) == 1 and arrays[0].dtype.kind == "b")


def put_into(array: Any, index: Any, value: Any) -> None:
    """array[index] = value, with PyTorch's error where the shapes don't fit."""
    try:
        array[index] = value
    except ValueError:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(np.shape(value))} cannot be broadcast to indexing result of "
            f"shape {list(array[index].shape)}"
        ) from None


def take_along(input: Tensor, indices: Tensor, dim: int) -> Tensor:
    """The elements of `input` at `indices` along `dim`; the indices of the other dims are those of `indices`."""
    if not input._array.ndim:
        return apply(kernels.take, input, index=())
    return apply(kernels.take, input, index=grid(indices._array.copy(), axis_of(dim, input._array.ndim)))


def grid(indices: Any, axis: int) -> tuple[Any, ...]:
    """The index that has `indices` along `axis` and each place's own number along the others."""
    own = np.ogrid[tuple(slice(n) for n in indices.shape)]
    return tuple(indices if i == axis else o for i, o in enumerate(own))


def gather(input: Tensor, dim: int, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """out[i][j] = input[index[i][j]][j] for dim 0, and so on. RuntimeError unless index is of ints, and fits."""
    require_tensor(input, "gather")
    require_tensor(index, "gather", "index")
    axis = axis_of(dim, input._array.ndim)
    if index._array.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"gather(): Expected dtype int32 or int64 for index, got {index.dtype}")
    source, shape, given = input, input._array.shape, index._array.shape
    if len(shape) + len(given) < 2 or (not shape and len(given) == 1):  # PyTorch takes a 0-d tensor for a 1-d one
        input, shape = reshape(input, (input._array.size,)), (input._array.size,)
    elif len(shape) != len(given) and index._array.size:
        raise RuntimeError(
            f"Index tensor must have the same number of dimensions as input tensor: {list(given)} and {list(shape)}"
        )
    for i, (n, m) in enumerate(zip(shape, given, strict=False)):
        if i != axis and m > n:
            raise RuntimeError(
                f"Size does not match at dimension {i} expected index {list(given)} to be no larger than self "
                f"{list(shape)} apart from dimension {axis}"
            )
    wrong = index._array[(index._array < 0) | (index._array >= shape[axis])]
    if wrong.size:
        raise RuntimeError(f"index {wrong[0]} is out of bounds for dimension {axis} with size {shape[axis]}")
    picked = take_along(input, index, axis) if given else apply(kernels.take, input, index=(index._array.copy(),))
    picked = named(picked, "GatherBackward0", source)
    return picked if out is None else apply(kernels.clone, picked, out=out)


def rows(input: Tensor, dim: int, index: Tensor, name: str) -> tuple[int, tuple[Any, ...]]:
    """The axis, and the index of the slices along it that `index` names; PyTorch's errors."""
    require_tensor(input, name)
    require_tensor(index, name, "index")
    axis = axis_of(dim, input._array.ndim)
    if index._array.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector, got shape {list(index._array.shape)}")
    if index._array.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32 or int64 for index, got {index.dtype}")
    numbers = index._array.reshape(-1).copy()
    length = input._array.shape[axis] if input._array.ndim else 1
    wrong = numbers[(numbers < 0) | (numbers >= length)]
    if wrong.size:
        raise IndexError(f"index out of range in self: {wrong[0]} for dim {axis} of length {length}")
    return axis, (WHOLE,) * axis + (numbers,)


def index_select(input: Tensor, dim: int, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The slices of `input` along `dim` at the places in the 1-d tensor `index`."""
    _, places = rows(input, dim, index, "index_select")
    if not input._array.ndim:
        count = index._array.size
        if count != 1:
            raise RuntimeError(f"index_select(): Index to scalar can have only 1 value, got {count} value(s)")
        return named(apply(kernels.clone, input, out=out), "IndexSelectBackward0")
    picked = named(apply(kernels.take, input, index=places), "IndexSelectBackward0")
    return picked if out is None else apply(kernels.clone, picked, out=out)


def masked_select(input: Tensor, mask: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elements where `mask`, which broadcasts with input, holds; 1-d."""
    require_tensor(input, "masked_select")
    require_tensor(mask, "masked_select", "mask")
    if mask._array.dtype.kind != "b":
        raise RuntimeError(f"masked_select: expected BoolTensor for mask, got {type_name(mask)}")
    try:
        shape = np.broadcast_shapes(input._array.shape, mask._array.shape)
    except ValueError:
        raise RuntimeError(
            f"The size of tensor a {list(input._array.shape)} must match the size of tensor b {list(mask._array.shape)}"
        ) from None
    whole = apply(kernels.broadcast, input, shape=shape)
    picked = apply(kernels.take, whole, index=np.broadcast_to(mask._array.copy(), shape))
    picked = named(picked, "MaskedSelectBackward0", input)
    return picked if out is None else apply(kernels.clone, picked, out=out)


def nonzero(input: Tensor, *, as_tuple: bool = False, out: Tensor | None = None) -> Any:
    """The indices of the elements that are not 0: a row each, or (`as_tuple`) a tensor for each dim."""
    require_tensor(input, "nonzero")
    if as_tuple:
        if out is not None:
            raise RuntimeError("nonzero does not support the out kwarg when as_tuple is True")
        return tuple(wrap(i) for i in np.atleast_1d(input._array).nonzero())
    found = wrap(np.argwhere(input._array))
    if out is None:
        return found
    if out._array.dtype != np.int64:
        raise RuntimeError(f"nonzero: Expected out tensor to have scalar type Long but got {type_name(out)}")
    return apply(kernels.clone, found, out=out)
