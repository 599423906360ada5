"""Indexing, and the operations that pick or place elements by index."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from minigrad import kernels
from minigrad.autograd.graph import apply
from minigrad.autograd.node import TensorBase, named, wrap
from minigrad.ops.arguments import axis_of, convert, numpy_names, require_tensor, type_name, written
from minigrad.ops.creation import is_sequence
from minigrad.ops.numbers import element_as, number_as
from minigrad.ops.shaping import reshape, unsqueeze

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

WHOLE = slice(None)
BASIC = {int, slice, type(None), type(Ellipsis)}
NUMBERS = {int, bool, float}


def numpy_index(i: Any) -> Any:
    """One index of PyTorch's as NumPy's: an int, a slice, None, ..., a bool, or an array of ints or bools."""
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
        return array_index(i._array)
    if is_sequence(i):
        return array_index(from_sequence(i))
    try:
        return operator.index(i)
    except TypeError:
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), None and long or byte tensors are valid indices, got "
            f"{i} ({type(i).__name__})"
        ) from None


def array_index(array: Any) -> Any:
    """A mask, or an array of ints, as an index; an array of one of them without dims as a bool or an int."""
    kind = array.dtype.char
    if kind == "B":
        if array.ndim:
            warnings.warn("indexing with dtype torch.uint8 is deprecated: use torch.bool", UserWarning, stacklevel=5)
        array = array.astype(bool)
    elif kind not in "?li" and (array.ndim or kind not in "bh"):
        raise IndexError(
            f"tensors used as indices must be long, int, byte or bool tensors, got {array.dtype}: convert with .long()"
        )
    # A copy, as the backward pass needs the index as it was; in its layout, which decides on that of the result.
    return array.copy("K") if array.ndim else array.item()


def from_sequence(data: Any) -> Any:
    """What stands in a NumPy array, or in nested sequences: bools, bytes (a mask, too), or ints; floats are cut."""
    array = data
    if not isinstance(data, np.ndarray):
        if isinstance(data, (str, bytes)):
            raise not_numbers(data)
        array = np.asarray(data if type(data) is list and NUMBERS.issuperset(map(type, data)) else entry(data))
        if not array.size:
            return array.astype(np.int64)
        if array.dtype == np.float64 and not np.isfinite(array).all():
            raise RuntimeError(f"value cannot be converted to type int64 without overflow: {data}")
        if array.dtype.kind == "f" and array.dtype != np.float64:
            raise not_numbers(data)
    if array.dtype.char in "?Bl":
        return array
    if array.dtype.kind == "O":
        raise RuntimeError(f"Could not infer dtype of what an index holds, or it does not fit into an int64: {data!r}")
    if array.dtype.kind not in "iuf":
        raise not_numbers(data)
    return array.astype(np.int64)


def entry(x: Any) -> Any:
    """An entry of a list: a tensor of one element as that element; nested sequences as lists."""
    if isinstance(x, TensorBase):
        byte = x._array.dtype.char in "?B" and x._array.size == 1
        return x._array.reshape(())[()] if byte else operator.index(cast("Tensor", x))
    return [entry(i) for i in x] if is_sequence(x) and not isinstance(x, (str, np.ndarray)) else x


def not_numbers(data: Any) -> TypeError:
    return TypeError(
        f"new(): invalid data type '{type(data).__name__}': a tensor is indexed by ints, slices, masks, index tensors, "
        f"lists of ints or bools, not by {data!r}"
    )


def counted(i: Any) -> int:
    """How many dims PyTorch takes an index to stand for, where it finds out how many are left for `...`."""
    if i is None or i is Ellipsis or isinstance(i, bool):
        return 0
    return i._array.ndim if isinstance(i, TensorBase) and i._array.dtype.char in "?B" else 1


def stands_for_tuple(index: Any) -> bool:
    """Whether PyTorch takes a sequence for a tuple of indices, and not for one index."""
    if isinstance(index, tuple):
        return True
    if isinstance(index, (TensorBase, slice, np.ndarray, str)) or not is_sequence(index) or len(index) >= 32:
        return False
    if NUMBERS.issuperset(map(type, index)) or not any(
        i is None or i is Ellipsis or isinstance(i, (TensorBase, slice)) or is_sequence(i) for i in index
    ):
        return False
    warnings.warn(
        "Using a non-tuple sequence for multidimensional indexing is deprecated: write x[tuple(index)], or "
        "x[torch.tensor(index)]",
        UserWarning,
        stacklevel=4,
    )
    return True


def last_step(input: Tensor, index: Any) -> tuple[Tensor, Any]:
    """A view of the tensor, and NumPy's index of what PyTorch's index means in it: a view, or elements.

    NumPy and PyTorch agree on whole dims beside masks and arrays of ints. Beside ints, bools and `...` NumPy would put
    the dims in another order: these make the view, in which a bool is a dim of length 1, of which 1 or 0 are taken.
    """
    if not stands_for_tuple(index):
        i = numpy_index(index)
        if not isinstance(i, bool):
            return input, checked(input, i, (i,)) if type(i) is np.ndarray and i.dtype.kind == "b" else i
        index = (index,)
    if BASIC.issuperset(map(type, index)) and index.count(Ellipsis) < 2:
        return input, tuple([i if type(i) is int else numpy_index(i) for i in index])
    ndim = input._array.ndim
    left = ndim - sum(map(counted, index))
    if left < 0:
        raise IndexError(f"too many indices for tensor of dimension {ndim}: {ndim - left}")
    view: list[Any] = []
    places: list[Any] = []
    for i in map(numpy_index, index):
        if i is Ellipsis:
            view += [WHOLE] * left
            places += [WHOLE] * left
        elif isinstance(i, bool):
            view.append(None)
            places.append(np.zeros(int(i), np.int64))
        elif type(i) in BASIC:
            view.append(i)
            places += [] if type(i) is int else [WHOLE]
        else:
            view += [WHOLE] * width(i)
            places.append(i)
    for entries in (view, places):  # the last of several `...` may go beyond the last dim
        while entries and covers_dim(entries[-1]):
            entries.pop()
    if not places:
        return input, tuple(view)
    if not all(map(covers_dim, view)):
        input = apply(kernel_for(tuple(view)), input, index=tuple(view))
    return input, checked(input, places[0] if len(places) == 1 else tuple(places), places)


def covers_dim(i: Any) -> bool:
    """Whether an index is that of a whole dim."""
    return type(i) is slice and i == WHOLE


def width(i: Any) -> int:
    """How many dims a mask, or another index, takes."""
    return i.ndim if type(i) not in BASIC and i.dtype.kind == "b" else 1


def checked(input: Tensor, index: Any, entries: Sequence[Any]) -> Any:
    """The index. IndexError where a mask without elements, which NumPy does not look at, has not the tensor's shape."""
    shape = input._array.shape
    for place, i in enumerate(entries):
        if type(i) not in BASIC and i.dtype.kind == "b" and 0 in i.shape:
            start = sum(map(width, entries[:place]))
            if i.shape != shape[start : start + i.ndim]:
                raise IndexError(
                    f"The shape of the mask {list(i.shape)} does not match the shape of the indexed tensor "
                    f"{list(shape)} at index {start}"
                )
    return index


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
    input, index = last_step(input, index)
    kernel = kernel_for(index)
    part = apply(kernel, input, index=index)
    if kernel is kernels.getitem and type(index) is not slice and is_whole(index, part._array, input._array):
        return named(part, "AliasBackward0")
    return part


def is_whole(index: Any, part: Any, array: Any) -> bool:
    """Whether an index of slices and `...` gives the whole array."""
    entries = index if type(index) is tuple else (index,)
    return part.shape == array.shape and all(i is Ellipsis or (type(i) is slice and not i.start) for i in entries)


def kernel_for(index: Any) -> Any:
    """The row of the table that PyTorch names an index by."""
    entries = index if type(index) is tuple else (index,)
    if not BASIC.issuperset(map(type, entries)):
        return kernels.take
    for i in reversed(entries):
        if i is not Ellipsis and not covers_dim(i):
            return kernels.select if type(i) is int else kernels.getitem
    return kernels.getitem


def as_value(input: Tensor, value: Any) -> Any:
    """What is assigned to elements of `input`: a tensor as it is, or a number in the dtype of `input`."""
    if isinstance(value, TensorBase):
        return value
    if isinstance(value, (int, float, np.integer)):
        if not isinstance(value, float) and not -(2**63) <= value < 2**63:
            raise ValueError(f"Overflow when unpacking long long: {value} is no int64")
        return element_as(value, input._array.dtype)
    raise TypeError(
        f"can't assign a {type(value).__name__} to a torch.{input.dtype.legacy}: convert it with torch.tensor()"
    )


def setitem(input: Tensor, index: Any, value: Any, *, out: Any = None) -> Tensor:
    """input with input[index] = value, of last_step() and as_value(); the in-place form is tensor[index] = value."""
    arrays = [i for i in (index if isinstance(index, tuple) else (index,)) if type(i) not in BASIC]
    if isinstance(value, TensorBase):
        dtype = input._array.dtype
        if value._array.dtype != dtype:
            check_source(input, arrays, value)
            value = convert(value, dtype)
        if value._array.ndim:
            room = indexed_ndim(input._array, index, arrays)
            while value._array.ndim > room and value._array.shape[0] == 1:  # PyTorch drops leading dims of length 1
                value = getitem(value, 0)
            if value._array.ndim > room:  # NumPy lets it pass where there are no elements
                raise misfit(value._array.shape, indexed_shape(input._array, index))
    if out is not None:
        array = value._array if isinstance(value, TensorBase) else value
        try:
            out._array[index] = array
        except ValueError:
            raise misfit(np.shape(array), indexed_shape(out._array, index)) from None
        return out  # type: ignore[no-any-return]
    if arrays:
        return apply(kernels.put, input, value, index=index)
    if is_whole(index, np.asarray(input._array[index]), input._array):  # PyTorch writes to the tensor itself
        of_element = input._array.ndim and not (isinstance(value, TensorBase) and value._array.ndim)
        name = "FillBackward3" if of_element else "torch::autograd::CopyBackwards"
        return named(apply(kernels.fill, input, value), name)
    return named(apply(kernels.put, input, value, index=index), "torch::autograd::CopySlices")


def check_source(input: Tensor, arrays: list[Any], value: TensorBase) -> None:
    """RuntimeError unless PyTorch converts the value: into views it does, and one element into those of one mask."""
    if not arrays:
        return
    if value._array.size != 1 or len(arrays) > 1 or arrays[0].dtype.kind != "b":
        raise RuntimeError(
            f"Index put requires the source and destination dtypes match, got {type_name(input)} for the "
            f"destination and {type_name(value)} for the source: convert the value with .to(x.dtype)"
        )
    if input._array.dtype.kind in "iu":
        number_as(value._array.item(), input._array.dtype)


def indexed_ndim(array: Any, index: Any, arrays: list[Any]) -> int:
    """How many dims array[index] has."""
    if not arrays:
        return np.ndim(array[index])
    return int(array.ndim - sum(map(width, arrays)) + max(1 if i.dtype.kind == "b" else i.ndim for i in arrays))


def indexed_shape(array: Any, index: Any) -> tuple[int, ...]:
    """The shape of array[index]. IndexError where the indices don't fit, other than by naming a place too large."""
    entries = index if isinstance(index, tuple) else (index,)
    first = [i if type(i) in BASIC or i.dtype.kind == "b" else np.zeros_like(i) for i in entries]
    return np.shape(np.broadcast_to(False, array.shape)[tuple(first)])


def misfit(given: tuple[int, ...], shape: tuple[int, ...]) -> RuntimeError:
    return RuntimeError(
        f"shape mismatch: value tensor of shape {list(given)} cannot be broadcast to indexing result of shape "
        f"{list(shape)}"
    )


def check_fit(array: Any, index: Any, value: Any) -> None:
    """The error that PyTorch finds first: IndexError of the indices, then RuntimeError of the shape of the value."""
    shape = indexed_shape(array, index)
    given = value._array.shape if isinstance(value, TensorBase) else ()
    if any(n not in (1, m) for n, m in zip(given[::-1], shape[::-1], strict=False)):
        raise misfit(given, shape)


def take_along(input: Tensor, indices: Tensor, dim: int) -> Tensor:
    """The elements of `input` at `indices` along `dim`; the indices of the other dims are those of `indices`."""
    if not input._array.ndim:
        return apply(kernels.take, input, index=())
    return apply(kernels.take, input, index=grid(indices._array.copy(), axis_of(dim, input._array.ndim)), packed=True)


def grid(indices: Any, axis: int) -> tuple[Any, ...]:
    """The index that has `indices` along `axis` and each place's own number along the others."""
    own = np.ogrid[tuple(slice(n) for n in indices.shape)]
    return tuple(indices if i == axis else o for i, o in enumerate(own))


@numpy_names
def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False, out: Tensor | None = None) -> Tensor:
    """out[i][j] = input[index[i][j]][j] for dim 0, and so on. RuntimeError unless index is of ints, and fits."""
    require_tensor(input, "gather")
    if sparse_grad:
        raise NotImplementedError("gather(): sparse gradients are not supported: leave out sparse_grad=True")
    require_tensor(index, "gather", "index")
    axis = axis_of(dim, input._array.ndim)
    if not index._array.size:  # of any dtype and shape
        flat = reshape(input, (input._array.size,))
        picked = apply(kernels.take, flat, index=(np.zeros(index._array.shape, np.int64),))
        return written(named(picked, "GatherBackward0", input), out)
    if index._array.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"gather(): Expected dtype int32 or int64 for index, got {index.dtype}")
    source, shape, given = input, input._array.shape, index._array.shape
    if len(shape) + len(given) < 2 or (not shape and len(given) == 1):  # PyTorch takes a 0-d tensor for a 1-d one
        input, shape = reshape(input, (input._array.size,)), (input._array.size,)
    elif len(shape) != len(given):
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
    return written(picked, out)


def numbers_of(input: Tensor, dim: int, index: Tensor, name: str) -> tuple[int, Any]:
    """The axis, and the places along it that `index`, a vector or a 0-d tensor, names; PyTorch's errors."""
    require_tensor(input, name)
    require_tensor(index, name, "index")
    axis = axis_of(dim, input._array.ndim)
    if index._array.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector, got shape {list(index._array.shape)}")
    if index._array.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32 or int64 for index, got {index.dtype}")
    return axis, index._array.reshape(-1).copy()


def rows(input: Tensor, axis: int, numbers: Any) -> Any:
    """The index of the slices along the axis at these places: of a 0-d tensor, all of it or nothing. IndexError out of
    range."""
    length = input._array.shape[axis] if input._array.ndim else 1
    wrong = numbers[(numbers < 0) | (numbers >= length)]
    if wrong.size:
        raise IndexError(f"index out of range in self: {wrong[0]} for dim {axis} of length {length}")
    return (WHOLE,) * axis + (numbers,) if input._array.ndim else bool(numbers.size)


@numpy_names
def index_select(input: Tensor, dim: int, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The slices of `input` along `dim` at the places in the 1-d tensor `index`."""
    axis, numbers = numbers_of(input, dim, index, "index_select")
    if not input._array.ndim:
        count = index._array.size
        if count != 1:
            raise RuntimeError(f"index_select(): Index to scalar can have only 1 value, got {count} value(s)")
        rows(input, axis, numbers)  # IndexError out of range
        return written(named(apply(kernels.take, input, index=()), "IndexSelectBackward0"), out)
    places = rows(input, axis, numbers)
    picked = named(apply(kernels.take, input, index=places, packed=True), "IndexSelectBackward0")
    return written(picked, out)


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
    return written(picked, out)


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
