"""Operations that put, add or pick elements at places given by index tensors or masks."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import kernels
from minigrad.autograd.graph import apply
from minigrad.autograd.node import TensorBase, named, wrap
from minigrad.ops.arguments import axis_of, convert, numpy_names, packed, require_tensor, type_name, written
from minigrad.ops.indexing import getitem, grid, numbers_of, rows
from minigrad.ops.numbers import Number, number_as
from minigrad.ops.pointwise import add, mul
from minigrad.ops.reduction import sum
from minigrad.ops.shaping import reshape

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

REDUCTIONS = {"add": np.add, "multiply": np.multiply}


def of_vectors(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function for 0-d tensors too, which PyTorch takes for vectors of one element here."""

    @functools.wraps(function)
    def call(input: Tensor, *args: Any, out: Tensor | None = None, **kwargs: Any) -> Tensor:
        require_tensor(input, function.__name__)
        if input._array.ndim:
            return function(input, *args, out=out, **kwargs)
        vector = function(vector_of(input), *args, **kwargs)
        result = apply(kernels.reshape, vector, shape=(), out=out)
        return named(result, vector._node.label, input, *args, *kwargs.values()) if vector._node else result

    return call


def vector_of(x: Tensor) -> Tensor:
    """A 0-d tensor as a vector of one element; other tensors as they are."""
    return x if x._array.ndim else reshape(x, (1,))


def places(input: Tensor, dim: int, index: Tensor, src: Any, name: str) -> tuple[tuple[Any, ...], Any]:
    """The index that scatter() and its kin write to, and the part of `src` that they read; PyTorch's errors."""
    require_tensor(index, name, "index")
    index, of_tensor = vector_of(index), isinstance(src, TensorBase)
    src = vector_of(src) if of_tensor else src
    axis, shape, given = axis_of(dim, input._array.ndim), input._array.shape, index._array.shape
    if index._array.size and index._array.dtype not in (np.int64, np.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index, got {index.dtype}")
    if of_tensor and src._array.dtype != input._array.dtype:
        raise RuntimeError(
            f"{name}(): Expected self.dtype to be equal to src.dtype, got {type_name(input)} and {type_name(src)}"
        )
    if index._array.size:
        limits = [shape, src._array.shape] if of_tensor else [shape]
        if any(len(given) != len(limit) for limit in limits):
            raise RuntimeError("Index tensor must have the same number of dimensions as self tensor, and as src")
        for i, n in enumerate(given):
            if (i != axis and n > shape[i]) or (of_tensor and n > src._array.shape[i]):
                raise RuntimeError(
                    f"Expected index {list(given)} to be no larger than self {list(shape)} apart from dimension {axis}"
                    + (f" and to be no larger size than src {list(src._array.shape)}" if of_tensor else "")
                )
        wrong = index._array[(index._array < 0) | (index._array >= shape[axis])]
        if wrong.size:
            raise RuntimeError(f"index {wrong[0]} is out of bounds for dimension {axis} with size {shape[axis]}")
        if of_tensor and src._array.shape != given:
            src = getitem(src, tuple(slice(n) for n in given))
    else:  # nothing goes anywhere
        return (slice(0),), sum(getitem(reshape(src, (src._array.size,)), slice(0))) if of_tensor else src
    return grid(index._array.copy(), axis), src


@numpy_names
@of_vectors
def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Number | None = None,
    reduce: str = "",
    out: Tensor | None = None,
) -> Tensor:
    """input with out[index[i][j]][j] = src[i][j] for dim 0, and so on; `src` is a tensor or a number.

    Where `index` names a place more than once, one of the values stands there, and the gradient is not defined.
    `reduce="add"` or "multiply" adds to what is there, or multiplies it, for each time; without a gradient.
    """
    if src is None and isinstance(value, TensorBase) and not value._array.ndim:
        value = value._array.item()
    if (src is None) is (value is None) or not isinstance(src, (TensorBase, int, float, np.generic, type(None))):
        raise TypeError(f"scatter() takes either a tensor `src` or a number `value`, got {src} and {value}")
    if reduce != "" and isinstance(src, TensorBase):
        warnings.warn(
            "The reduce argument of torch.scatter with Tensor src is deprecated and will be removed in a future "
            'PyTorch release: for reduce="add" use scatter_add().',
            UserWarning,
            stacklevel=4,
        )
    if reduce != "" and reduce not in REDUCTIONS:
        kind = RuntimeError if isinstance(reduce, str) else TypeError
        raise kind(f"scatter(): reduce argument must be either add or multiply, got {reduce!r}")
    src = value if src is None else src
    where, value = places(input, dim, index, src, "scatter")
    if not isinstance(value, TensorBase):
        value = number_as(value, input._array.dtype)
    if reduce:
        return apply(kernels.put_reduced, input, value, index=where, ufunc=REDUCTIONS[reduce], out=out)
    result = packed(apply(kernels.put, input, value, index=where, out=out), out)
    return named(result, f"ScatterBackward{int(not isinstance(src, TensorBase))}", input, src)


@numpy_names
@of_vectors
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor, *, out: Tensor | None = None) -> Tensor:
    """input with out[index[i][j]][j] += src[i][j] for dim 0, and so on; places named twice get both."""
    require_tensor(src, "scatter_add", "src")
    where, part = places(input, dim, index, src, "scatter_add")
    added = add(input, apply(kernels.scatter, part, index=where, shape=input._array.shape), out=out)
    return named(added, "ScatterAddBackward0", input, src)


@numpy_names
def index_add(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Number = 1, out: Tensor | None = None
) -> Tensor:
    """input with alpha times the slices of `source` added at the places `index` along `dim`."""
    require_tensor(source, "index_add", "source")
    axis, numbers = numbers_of(input, dim, index, "index_add")
    shape, given = input._array.shape, source._array.shape
    if source._array.dtype != input._array.dtype:
        raise RuntimeError(
            f"index_add_(): self ({type_name(input)}) and source ({type_name(source)}) must have the same scalar type"
        )
    if not given and numbers.size != 1:
        raise IndexError(f"index_add_(): the source has no dimensions, but there are {numbers.size} indices")
    expected = (*shape[:axis], numbers.size, *shape[axis + 1 :]) if shape else ()
    if given != expected:
        raise RuntimeError(
            f"index_add_(): the source has shape {list(given)}, but for this index it must be {list(expected)}"
        )
    added = apply(
        kernels.scatter,
        source if alpha == 1 else mul(source, wrap(number_as(alpha, input._array.dtype))),
        index=rows(input, axis, numbers),
        shape=shape,
    )
    return named(add(input, added, out=out), "IndexAddBackward0", input, source)


@numpy_names
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any, *, out: Tensor | None = None) -> Tensor:
    """input with `value`, a number or a 0-d tensor, at the places `index` along `dim`; negative ones count from the
    end."""
    require_tensor(input, "index_fill")
    require_tensor(index, "index_fill", "index")
    axis = axis_of(dim, input._array.ndim)
    if index._array.dtype != np.int64:
        raise IndexError(f"index_fill_(): Expected dtype int64 for index, got {index.dtype}")
    if index._array.ndim > 1:
        raise RuntimeError(f"index_fill_(): Index has to be a vector/scalar, got shape {list(index._array.shape)}")
    if isinstance(value, TensorBase):
        if value._array.ndim:
            raise RuntimeError(
                "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
                f"{value._array.ndim} dimension(s)."
            )
        if value._array.dtype != input._array.dtype:
            number_as(value._array.item(), input._array.dtype)  # RuntimeError unless it fits
            value = convert(value, input._array.dtype)
    else:
        value = number_as(value, input._array.dtype)
    length = input._array.shape[axis] if input._array.ndim else 1
    numbers = index._array + length * (index._array < 0)
    where = rows(input, axis, numbers.reshape(-1))
    if isinstance(value, TensorBase) and input._array.ndim:  # a mask: its gradient counts each place once
        where = (*where[:-1], np.isin(np.arange(length), where[-1]))
    filled = apply(kernels.put, input, value, index=where, out=out)
    return named(filled, f"IndexFillBackward{int(isinstance(value, TensorBase))}", input)


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor, *, out: Tensor | None = None) -> Tensor:
    """input with the first elements of `source` where `mask`, which broadcasts to it, holds."""
    require_tensor(input, "masked_scatter")
    require_tensor(mask, "masked_scatter", "mask")
    require_tensor(source, "masked_scatter", "source")
    if input._array.dtype != source._array.dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got {type_name(input)} and "
            f"{type_name(source)}"
        )
    if mask._array.dtype.kind != "b":
        raise RuntimeError(f"masked_scatter_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    shape = np.broadcast_shapes(input._array.shape, mask._array.shape)
    holds = np.broadcast_to(mask._array, shape).copy()
    count = int(holds.sum())
    if count > source._array.size:
        raise RuntimeError("Number of elements of source < number of ones in mask")
    flat = getitem(apply(kernels.reshape, source, shape=(source._array.size,)), slice(count))
    whole = input if input._array.shape == shape else apply(kernels.broadcast, input, shape=shape)
    result = packed(apply(kernels.put, whole, flat, index=holds, out=out), out)
    return named(result, "MaskedScatterBackward0", input, source)


def take(input: Tensor, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elements of the flattened input at `index`, in its shape; negative numbers count from the end."""
    require_tensor(input, "take")
    require_tensor(index, "take", "index")
    if index._array.dtype != np.int64:
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {type_name(index)}")
    size = input._array.size
    wrong = index._array[(index._array < -size) | (index._array >= size)]
    if wrong.size:
        raise IndexError(f"out of range: tried to access index {wrong[0]} on a tensor of {size} elements.")
    flat = apply(kernels.reshape, input, shape=(size,))
    return written(named(apply(kernels.take, flat, index=(index._array.copy(),)), "TakeBackward0", input), out)


def argwhere(input: Tensor) -> Tensor:
    """The indices of the elements that are not 0, a row each."""
    require_tensor(input, "argwhere")
    return wrap(np.argwhere(input._array))
