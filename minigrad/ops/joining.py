"""Operations that join, cut, turn and repeat tensors, composed of those of `shaping` and `indexing`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import kernels
from minigrad.autograd.graph import apply
from minigrad.autograd.node import TensorBase, named, wrap
from minigrad.ops.arguments import axis_of, ints, numpy_names, require_tensor, type_name
from minigrad.ops.indexing import index_select
from minigrad.ops.numbers import index_of, size_of
from minigrad.ops.reduction import sum
from minigrad.ops.shaping import (
    broadcast_to,
    cat,
    completed,
    contiguous,
    diagonal,
    flatten,
    flip,
    movedim,
    reshape,
    stack,
    tensor_list,
    transpose,
    unsqueeze,
)

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


def atleast(x: Tensor, ndim: int) -> Tensor:
    """The tensor with dims of length 1 added as PyTorch does: first a leading dim, and the third at the end."""
    if not x._array.ndim:
        return reshape(x, (1,) * ndim)
    if ndim >= 2 and x._array.ndim == 1:
        x = unsqueeze(x, 0)
    return unsqueeze(x, -1) if ndim == 3 and x._array.ndim == 2 else x


def hstack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """Tensors side by side: along dim 0 where they are vectors, else along dim 1."""
    tensors = [atleast(x, 1) for x in joined(tensors, "hstack")]
    return cat(tensors, 0 if tensors[0]._array.ndim == 1 else 1, out=out)


def vstack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """Tensors below one another, along dim 0; vectors are rows."""
    return cat([atleast(x, 2) for x in joined(tensors, "vstack")], 0, out=out)


def dstack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """Tensors behind one another, along dim 2; vectors are rows."""
    return cat([atleast(x, 3) for x in joined(tensors, "dstack")], 2, out=out)


def column_stack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """Tensors side by side; vectors are columns."""
    tensors = joined(tensors, "column_stack")
    columns = [reshape(x, (x._array.size, 1)) if x._array.ndim < 2 else x for x in tensors]
    return hstack(columns, out=out)


def joined(tensors: Any, name: str) -> list[Tensor]:
    found = tensor_list(tensors, name)
    if not found:
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return found


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """For each vector a view of it as a grid over all: "ij" (the default) counts dims as arguments, "xy" as NumPy."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    vectors = tensor_list(tensors, "meshgrid")
    if indexing is None:
        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.",
            UserWarning,
            stacklevel=2,
        )
    if not vectors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    for x in vectors:
        if x._array.ndim > 1:
            raise RuntimeError(f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got {x.ndim}D")
        if x._array.dtype != vectors[0]._array.dtype:
            raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    swapped = indexing == "xy" and len(vectors) > 1
    if swapped:
        vectors[:2] = vectors[1::-1]
    shape = tuple(x._array.size for x in vectors)
    n = len(shape)
    grids = [
        broadcast_to(reshape(x, (1,) * i + (shape[i],) + (1,) * (n - 1 - i)), shape) for i, x in enumerate(vectors)
    ]
    if swapped:
        grids[:2] = grids[1::-1]
    return tuple(grids)


@numpy_names
def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """The view of `length` places along `dim`, from `start` on."""
    require_tensor(input, "narrow")
    if not input._array.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    length = index_of(length, "length")
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    axis = axis_of(dim, input._array.ndim)
    start, size = index_of(start, "start"), input._array.shape[axis]
    if not -size <= start <= size:
        raise IndexError(f"start out of range (expected to be in range of [{-size}, {size}], but got {start})")
    start += size * (start < 0)
    if start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return apply(kernels.getitem, input, index=(slice(None),) * axis + (slice(start, start + length),))


@numpy_names
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The view at one place along `dim`, without that dim."""
    require_tensor(input, "select")
    if not input._array.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    axis = axis_of(dim, input._array.ndim)
    size, index = input._array.shape[axis], index_of(index, "index")
    if not -size <= index < size:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input.shape)} at dimension {axis}"
        )
    return apply(kernels.select, input, index=(slice(None),) * axis + (index,))


def roll(input: Tensor, shifts: Any, dims: Any = ()) -> Tensor:
    """The elements moved along `dims`, from the end back to the start; without dims, in the flat tensor."""
    require_tensor(input, "roll")
    shifts = shifts if isinstance(shifts, (tuple, list)) else (shifts,)
    dims = dims if isinstance(dims, (tuple, list)) else (dims,)
    if not shifts:
        raise RuntimeError("`shifts` required")
    if len(shifts) != len(dims) and (dims or len(shifts) > 1):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}")
    array = input._array
    if dims and not array.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    axis = tuple(axis_of(dim, array.ndim) for dim in dims) if dims and array.size else None
    return apply(kernels.roll, input, shifts=tuple(size_of(n, "shifts") for n in shifts), axis=axis)


def fliplr(input: Tensor) -> Tensor:
    """The columns in reverse. RuntimeError below 2-d."""
    require_tensor(input, "fliplr")
    if input._array.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, (1,))


def flipud(input: Tensor) -> Tensor:
    """The rows in reverse. RuntimeError for a 0-d tensor."""
    require_tensor(input, "flipud")
    if not input._array.ndim:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, (0,))


def diag(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The matrix with a vector on its `diagonal`, or the diagonal of a matrix, as a copy. Above 0 is to the right."""
    require_tensor(input, "diag")
    ndim = input._array.ndim
    if ndim == 1:
        n = input._array.size + abs(diagonal)
        options = {"shape": (n, n), "offset": diagonal, "axis1": 0, "axis2": 1}
        return named(apply(kernels.put_diagonal, input, out=out, **options), "DiagEmbedBackward0")
    if ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {ndim}D")
    return named(apply(kernels.clone, diagonal_of(input, diagonal), out=out), "DiagonalBackward0_copy", input)


diagonal_of = diagonal


def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""
    require_tensor(input, "trace")
    if input._array.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input._array.ndim}")
    return named(sum(diagonal(input)), "TraceBackward0", input)


@numpy_names
def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each place along `dim` (of the flat tensor, without one) so many times: one number, or one for each.

    Of counts alone, the places so many times. RuntimeError where `output_size` is given, and not what comes out.
    """
    require_tensor(input, "repeat_interleave")
    x: Tensor | None = None
    counts: TensorBase = input
    axis = 0
    if repeats is not None:
        x, axis = (flatten(input), 0) if dim is None else (input, axis_of(dim, input._array.ndim))
        counts = repeats if isinstance(repeats, TensorBase) else wrap(np.asarray(index_of(repeats, "repeats")))
    given = counts._array
    if given.dtype not in (np.int64, np.int32):
        raise NotImplementedError(f"\"repeat_interleave_cpu\" not implemented for '{type_name(counts)}': use .long()")
    shape = given.shape if x is None else x._array.shape
    length = shape[axis] if shape else 1
    if given.ndim != 1 if x is None else given.ndim > 1 or given.size not in (1, length):
        raise RuntimeError(
            "repeats must be a vector, and have the same size as input along dim, but its shape is "
            f"{list(given.shape)}, and the length {length}"
        )
    if (given < 0).any():
        raise RuntimeError("Repeats must be non-negative")
    places = np.arange(length).repeat(given.reshape(-1))
    if output_size is not None and index_of(output_size, "output_size") != places.size:
        raise RuntimeError(f"repeat_interleave: Invalid output_size, expected {places.size} but got {output_size}")
    if x is None:
        return wrap(places)
    if not isinstance(repeats, TensorBase) and shape:
        repeated = broadcast_to(unsqueeze(x, axis + 1), (*shape[: axis + 1], int(given), *shape[axis + 1 :]))
        return flatten(apply(kernels.contiguous, repeated), axis, axis + 1)
    return index_select(x, axis, wrap(places))


@numpy_names
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One dim made several, of which one size may be -1. RuntimeError where the sizes don't make up its length."""
    require_tensor(input, "unflatten")
    sizes, shape = ints(sizes, "unflatten", "sizes"), input._array.shape
    axis = axis_of(dim, len(shape))
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    try:
        parts = completed(sizes, shape[axis])
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {axis} ({shape[axis]}) in "
            "the input tensor"
        ) from None
    return apply(kernels.reshape, input, shape=(*shape[:axis], *parts, *shape[axis + 1 :]))


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All tuples of an element of each vector, a row each; of a single vector, the vector."""
    vectors = tensor_list(tensors, "cartesian_prod")
    for x in vectors:
        if x._array.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(x._array.shape)}")
    if len(vectors) == 1:
        return vectors[0]
    return stack([reshape(contiguous(x), (-1,)) for x in meshgrid(*vectors, indexing="ij")], 1)


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """transpose(), under NumPy's name."""
    return transpose(input, axis0, axis1)


concat = concatenate = cat
swapdims = transpose
moveaxis = movedim
