"""Indexing, and the operations that pick or place elements by index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import kernels
from minigrad.autograd.graph import apply
from minigrad.autograd.node import TensorBase, wrap
from minigrad.ops.arguments import axis_of, convert, number_dtype, require_tensor, type_name

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


def numpy_index(index: Any) -> Any:
    """An index of PyTorch's (ints, slices, None, ..., bools, masks, index tensors, lists) as NumPy's."""
    if isinstance(index, tuple):
        return tuple(numpy_index(i) for i in index)
    if isinstance(index, TensorBase):
        array = index._array
        if array.dtype.kind == "f":
            raise IndexError(
                f"tensors used as indices must be long, int, byte or bool tensors, got {type_name(index)}: "
                "convert with .long()"
            )
        if array.dtype == np.uint8:
            array = array.astype(bool)
        return array if array.ndim or array.dtype.kind == "b" else int(array)
    if isinstance(index, slice):
        parts = [None if i is None else i.__index__() for i in (index.start, index.stop, index.step)]
        if parts[2] is not None and parts[2] <= 0:
            raise ValueError(f"step must be greater than zero, got {parts[2]}: flip() reverses a tensor")
        return slice(*parts)
    if isinstance(index, (list, range)):
        array = np.asarray([i.item() if isinstance(i, TensorBase) else i for i in index])
        return array if array.size else array.astype(np.int64)
    if isinstance(index, str):
        raise TypeError("new(): invalid data type 'str': a tensor is indexed by ints, slices, masks and index tensors")
    return index


def getitem(input: Tensor, index: Any) -> Tensor:
    """input[index]: a view for ints, slices, None and ...; a copy for masks and index tensors. IndexError as NumPy's."""
    if isinstance(input, TensorBase) and not input._array.ndim and type(index) is int:
        raise IndexError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python to convert a 0-dim tensor to a number"
        )
    return apply(kernels.getitem, input, index=index if type(index) is int else numpy_index(index))


def setitem(input: Tensor, index: Any, value: Any, *, out: Any = None) -> Tensor:
    """input with input[index] = value; the in-place form is tensor[index] = value."""
    dtype = input._array.dtype
    index = numpy_index(index)
    if isinstance(value, TensorBase):
        value = convert(value, dtype)
        room = np.ndim(input._array[index]) if not kernels.has_arrays(index) else value._array.ndim
        while value._array.ndim > room and value._array.shape[0] == 1:  # PyTorch drops leading dims of length 1
            value = value[0]
    else:
        if isinstance(value, np.ndarray):
            raise TypeError("can't assign a numpy.ndarray to a torch tensor: convert it with torch.from_numpy() first")
        if isinstance(value, (list, tuple)):
            raise TypeError(
                f"can't assign a {type(value).__name__} to a torch tensor: convert it with torch.tensor() first"
            )
        number_dtype(value)
        value = wrap(np.asarray(value).astype(dtype))
    if out is not None:
        put_into(out._array, index, value._array)
        return out  # type: ignore[no-any-return]
    return apply(kernels.put, input, value, index=index)


def put_into(array: Any, index: Any, value: Any) -> None:
    """array[index] = value, with PyTorch's error where the shapes don't fit."""
    try:
        array[index] = value
    except ValueError:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to indexing result of shape "
            f"{list(array[index].shape)}"
        ) from None


def take_along(input: Tensor, indices: Tensor, dim: int) -> Tensor:
    """The elements of `input` at `indices` along `dim`; the indices of the other dims are those of `indices`."""
    if not input._array.ndim:
        return apply(kernels.clone, input)
    return apply(kernels.getitem, input, index=grid(indices._array, axis_of(dim, input._array.ndim)))


def grid(indices: Any, axis: int) -> tuple[Any, ...]:
    """The index that has `indices` along `axis` and each place's own number along the others."""
    own = np.ogrid[tuple(slice(n) for n in indices.shape)]
    return tuple(indices if i == axis else o for i, o in enumerate(own))


def gather(input: Tensor, dim: int, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """out[i][j] = input[index[i][j]][j] for dim 0, and so on. RuntimeError unless index is an int64 tensor that fits."""
    require_tensor(input, "gather")
    require_tensor(index, "gather", "index")
    axis = axis_of(dim, input._array.ndim)
    if index._array.dtype != np.int64:
        raise RuntimeError(f"gather(): Expected dtype int64 for index, got {index.dtype}")
    shape, given = input._array.shape, index._array.shape
    if len(shape) != len(given) and index._array.size:
        raise RuntimeError(
            f"Index tensor must have the same number of dimensions as input tensor: {list(given)} and {list(shape)}"
        )
    for i, (n, m) in enumerate(zip(shape, given, strict=False)):
        if i != axis and m > n:
            raise RuntimeError(
                f"Size does not match at dimension {i} expected index {list(given)} to be no larger than self "
                f"{list(shape)} apart from dimension {axis}"
            )
    length = shape[axis] if shape else 1
    if index._array.size and (index._array.min() < 0 or index._array.max() >= length):
        raise RuntimeError(f"index {index._array.max()} is out of bounds for dimension {axis} with size {length}")
    return (
        apply(kernels.clone, take_along(input, index, dim), out=out)
        if out is not None
        else take_along(input, index, dim)
    )


def index_select(input: Tensor, dim: int, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The slices of `input` along `dim` at the places in the 1-d tensor `index`."""
    require_tensor(input, "index_select")
    axis = axis_of(dim, input._array.ndim)
    if index._array.ndim > 1:
        raise IndexError(f"index_select(): Index is supposed to be a vector, got shape {list(index._array.shape)}")
    if index._array.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"index_select(): Expected dtype int32 or int64 for index, got {index.dtype}")
    places = index._array.reshape(-1)
    length = input._array.shape[axis] if input._array.ndim else 1
    if places.size and (places.min() < 0 or places.max() >= length):
        raise IndexError(f"index out of range in self: {places.max()} for dim {axis} of length {length}")
    if not input._array.ndim:
        return apply(kernels.clone, input, out=out)
    picked = apply(kernels.getitem, input, index=(slice(None),) * axis + (places,))
    return picked if out is None else apply(kernels.clone, picked, out=out)


def masked_select(input: Tensor, mask: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elements where `mask`, which broadcasts with input, holds; 1-d."""
    require_tensor(input, "masked_select")
    if mask._array.dtype.kind != "b":
        raise RuntimeError(f"masked_select: expected BoolTensor for mask, got {type_name(mask)}")
    try:
        shape = np.broadcast_shapes(input._array.shape, mask._array.shape)
    except ValueError:
        raise RuntimeError(
            f"The size of tensor a {list(input._array.shape)} must match the size of tensor b {list(mask._array.shape)}"
        ) from None
    whole = apply(kernels.broadcast, input, shape=shape)
    picked = apply(kernels.getitem, whole, index=np.broadcast_to(mask._array, shape))
    return picked if out is None else apply(kernels.clone, picked, out=out)


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not 0: a row each, or (`as_tuple`) a tensor for each dim."""
    require_tensor(input, "nonzero")
    if as_tuple:
        return tuple(wrap(i) for i in np.atleast_1d(input._array).nonzero())
    return wrap(np.argwhere(input._array))
