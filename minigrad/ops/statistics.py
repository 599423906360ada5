"""Counting, ordering and summing up: what elements there are, how many, and where they stand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from minigrad import kernels
from minigrad.autograd.graph import apply
from minigrad.autograd.node import TensorBase, named, wrap
from minigrad.ops.arguments import axis_of, numpy_names, require_tensor, type_name, written
from minigrad.ops.arithmetic import lerp
from minigrad.ops.indexing import take_along
from minigrad.ops.numbers import Number, index_of, number_as
from minigrad.ops.pointwise import mul, sub, where
from minigrad.ops.reduction import (
    along,
    mean,
    order,
    pair_written,
    return_type,
    std,
    var,
)
from minigrad.ops.shaping import reshape, stack, unbind

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

_median = return_type("median")


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements, or slices along `dim`, in order; with where each element went, and how many there were."""
    require_tensor(input, "unique")
    array = input._array
    axis = None if dim is None else axis_of(dim, array.ndim)
    if axis is not None and 0 in array.shape[:axis] + array.shape[axis + 1 :]:
        raise RuntimeError("There are 0 sized dimensions, and they aren't selected, so unique cannot be applied")
    _, first, inverse, counts = np.unique(array, True, True, True, axis, equal_nan=False)
    if axis is None:
        flat = reshape(input, (array.size,))
        found = [named(apply(kernels.distinct, flat, index=(first,)), "Unique2Backward0", input)]
    else:
        picked = apply(kernels.distinct, input, index=(slice(None),) * axis + (first,))
        found = [named(picked, "UniqueDimBackward0")]
    if return_inverse:
        found.append(wrap(inverse.reshape(array.shape if dim is None else -1)))
    if return_counts:
        found.append(wrap(counts))
    return found[0] if len(found) == 1 else tuple(found)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, ... occurs in a vector of integers, or the sum of the weights of these."""
    require_tensor(input, "bincount")
    array = input._array
    if array.dtype.kind not in "iu":
        raise NotImplementedError(
            f"bincount only supports integral inputs, got {type_name(input)}: convert with .long()"
        )
    if array.ndim != 1 or array.min(initial=0) < 0:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if weights is None or not array.size:
        return wrap(np.bincount(array, minlength=minlength))
    if weights._array.shape != array.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    dtype = weights._array.dtype if weights._array.dtype == np.float32 else np.float64
    sums = np.zeros(builtin_max(minlength, int(array.max()) + 1), dtype)
    np.add.at(sums, array, weights._array.astype(dtype))
    return wrap(sums)


builtin_max = max


def histc(input: Tensor, bins: int = 100, min: Number = 0, max: Number = 0, *, out: Tensor | None = None) -> Tensor:
    """How many elements fall into each of `bins` equal parts of min..max, or of the input's range where both are 0."""
    require_tensor(input, "histc")
    array = input._array
    if array.dtype.kind != "f":
        raise NotImplementedError(f"\"histogram_cpu\" not implemented for '{type_name(input)}': convert with .float()")
    if bins <= 0:
        raise RuntimeError(f"bins must be > 0, got {bins}")
    bins = index_of(bins, "bins")
    low, high = (float(number_as(x, array.dtype)) for x in (min, max))
    if low == high and array.size:
        low, high = float(array.min()), float(array.max())
    if low == high:
        low, high = low - 1, high + 1
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError("max must be larger than min")
    kind = array.dtype.type
    inside = array[(array >= kind(low)) & (array <= kind(high))]
    place = ((inside - kind(low)) * kind(bins) / (kind(high) - kind(low))).astype(np.int64)
    counts = np.bincount(np.minimum(place, bins - 1), minlength=bins).astype(array.dtype)
    return written(wrap(counts), out)


@numpy_names
def median(input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Any = None) -> Any:
    """The middle element, the lower of two; NaN where there is one. Along `dim`, (values, indices)."""
    require_tensor(input, "median")
    if dim is None:
        return apply(kernels.median, input)
    axis = axis_of(dim, input._array.ndim)
    if not input._array.ndim:
        return pair_written(
            _median, named(apply(kernels.take, input, index=()), "MedianBackward1"), wrap(np.zeros((), np.int64)), out
        )
    if not input._array.shape[axis]:
        raise IndexError(f"median(): Expected reduction dim {axis} to have non-zero size.")
    values, indices = along(input, middle(input, axis), axis, keepdim)
    return pair_written(_median, named(values, "MedianBackward1", input), indices, out)


def middle(input: Tensor, axis: int) -> Tensor:
    """Where along `axis` the median stands, or the first NaN."""
    array = input._array
    ranks = order(input, axis, False)._array
    at = np.take(ranks, [(array.shape[axis] - 1) // 2], axis)
    if array.dtype.kind == "f":
        isnan = np.isnan(array)
        at = np.where(isnan.any(axis, keepdims=True), isnan.argmax(axis, keepdims=True), at)
    return wrap(at)


@numpy_names
def quantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    out: Tensor | None = None,
) -> Tensor:
    """The q-th quantile (0..1, a number or a vector) along `dim`, or of all: between two elements, a line."""
    return quantiles(input, q, dim, keepdim, interpolation, False, out)


@numpy_names
def nanquantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    out: Tensor | None = None,
) -> Tensor:
    """quantile() of the elements that are not NaN; NaN where there is none."""
    return quantiles(input, q, dim, keepdim, interpolation, True, out)


def quantiles(
    input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, without_nan: bool, out: Tensor | None
) -> Tensor:
    require_tensor(input, "quantile")
    if input._array.dtype not in (np.float32, np.float64):
        raise RuntimeError(f"quantile() input tensor must be either float or double dtype, got {type_name(input)}")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            "quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got "
            f"{interpolation}"
        )
    if not input._array.size:
        raise RuntimeError("quantile() input tensor must be non-empty")
    if not isinstance(q, TensorBase):
        q = wrap(np.asarray(float(q), input._array.dtype))
    if q._array.dtype != input._array.dtype:
        raise RuntimeError("quantile() q tensor must be same dtype as the input tensor")
    if q._array.ndim > 1:
        raise RuntimeError("quantile() q must be a scalar or 1D tensor")
    if not ((q._array >= 0) & (q._array <= 1)).all():
        raise RuntimeError(f"quantile() q values must be in the range [0, 1], got {q._array}")
    ndim = input._array.ndim
    axis = 0 if dim is None else axis_of(dim, ndim)
    x = reshape(input, (input._array.size,)) if dim is None or not ndim else input
    shares = unbind(q) if q._array.ndim else (q,)
    results = [quantile_at(x, share, axis, interpolation, without_nan) for share in shares]
    shape = list(x._array.shape)
    del shape[axis]
    if keepdim:
        shape = [1] * ndim if dim is None or not ndim else [*shape[:axis], 1, *shape[axis:]]
    results = [reshape(result, shape) for result in results]
    stacked = (
        results[0] if not q._array.ndim else stack(results) if results else wrap(np.zeros((0, *shape), q._array.dtype))
    )
    return written(named(stacked, "SqueezeBackward4"), out)


def quantile_at(x: Tensor, share: Tensor, axis: int, interpolation: str, without_nan: bool) -> Tensor:
    """One quantile along `axis`, whose dim stays, of length 1."""
    array, order_of = x._array, order(x, axis, False)._array
    isnan, last = np.isnan(array), array.shape[axis] - 1  # NaN is sorted to the end
    if without_nan:
        place = mul(share, wrap(np.maximum(last - isnan.sum(axis, keepdims=True), 0).astype(array.dtype)))
    else:
        place = where(wrap(isnan.any(axis, keepdims=True)), float(last), mul(share, float(last)))
    rounded = {"lower": np.floor, "higher": np.ceil, "nearest": np.rint}.get(interpolation, np.floor)(place._array)

    def element(rank: Any) -> Tensor:
        return take_along(x, wrap(np.take_along_axis(order_of, rank.astype(np.int64), axis)), axis)

    if interpolation not in ("linear", "midpoint"):
        return element(rounded)
    weight = sub(place, wrap(rounded))
    if interpolation == "midpoint":
        weight = wrap(np.where(weight._array > 0, 0.5, 0.0).astype(array.dtype))
    return lerp(element(rounded), element(np.ceil(place._array)), weight)


def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Where each number of `input` would be put into the sorted vector: before the equal ones, or (`right`) after.

    Of a sequence that is not sorted, `sorter` has the indices that sort it.
    """
    require_tensor(sorted_sequence, "searchsorted", "sorted_sequence")
    if sorter is not None:
        sorted_sequence = sorted_by(sorted_sequence, sorter)
    if side not in (None, "left", "right"):
        raise RuntimeError(f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
    if right and side == "left":
        raise RuntimeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True"
        )
    sequence = sorted_sequence._array
    values = input._array if isinstance(input, TensorBase) else np.asarray(input)
    if sequence.ndim != 1 and (not sequence.ndim or sequence.shape[:-1] != values.shape[:-1]):
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of "
            f"boundaries tensor and input value tensor must match, got {list(sequence.shape)}, {list(values.shape)}"
        )
    return written(inserted(sequence, values, right or side == "right", out_int32), out)


def sorted_by(sequence: Tensor, sorter: Tensor) -> Tensor:
    """The elements in the order of `sorter`; PyTorch's errors."""
    require_tensor(sorter, "searchsorted", "sorter")
    if sequence._array.shape != sorter._array.shape:
        raise RuntimeError(
            "torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor "
            f"{list(sequence._array.shape)} and got sorter tensor {list(sorter._array.shape)}"
        )
    if sorter._array.dtype != np.int64:
        raise RuntimeError(f"torch.searchsorted(): sorter must be a tensor of long dtype but got dtype {sorter.dtype}")
    if sorter._array.size and not 0 <= sorter._array.min() <= sorter._array.max() < sequence._array.shape[-1]:
        raise RuntimeError("torch.searchsorted(): sorter index out of range")
    return take_along(sequence, sorter, -1)


def inserted(sequence: Any, values: Any, right: bool, out_int32: bool) -> Tensor:
    """Where NumPy would put the values in, row by row."""
    if sequence.dtype.kind == "b" and sequence.size and values.size:
        raise NotImplementedError("\"searchsorted_out_cpu\" not implemented for 'Bool': convert with .int()")
    found, side = np.zeros(values.shape, np.int32 if out_int32 else np.int64), cast("Any", "right" if right else "left")
    for row in np.ndindex(sequence.shape[:-1]):
        found[row or ...] = np.searchsorted(sequence[row], values[row], side)
    return wrap(found)


def bucketize(
    input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False, out: Tensor | None = None
) -> Tensor:
    """Between which of the sorted boundaries each number lies: searchsorted() with its arguments in another order."""
    require_tensor(boundaries, "bucketize", "boundaries")
    if boundaries._array.ndim != 1:
        raise RuntimeError(f"bucketize(): boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    values = input._array if isinstance(input, TensorBase) else np.asarray(input)
    return written(inserted(boundaries._array, values, right, out_int32), out)


def isin(
    elements: Any,
    test_elements: Any,
    *,
    assume_unique: bool = False,
    invert: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Where an element is among `test_elements`, as bools; or (`invert`) where it is not."""
    if not isinstance(elements, TensorBase) and not isinstance(test_elements, TensorBase):
        raise TypeError("isin(): one of the arguments must be a Tensor")
    x, y = (x._array if isinstance(x, TensorBase) else np.asarray(x) for x in (elements, test_elements))
    for array in (x, y):
        if array.dtype.kind == "b":
            raise RuntimeError("Unsupported input type encountered for isin(): Bool")
    return written(wrap(np.isin(x, y, invert=invert)), out)


@numpy_names
def std_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Number | None = None,
) -> tuple[Tensor, Tensor]:
    """std() and mean() over `dim`."""
    return with_mean(std, "StdMeanBackward0", input, dim, unbiased, keepdim, correction)


@numpy_names
def var_mean(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Number | None = None,
) -> tuple[Tensor, Tensor]:
    """var() and mean() over `dim`."""
    return with_mean(var, "VarMeanBackward0", input, dim, unbiased, keepdim, correction)


def with_mean(
    function: Any, name: str, input: Tensor, dim: Any, unbiased: bool | None, keepdim: bool, correction: Number | None
) -> tuple[Tensor, Tensor]:
    spread = function(input, dim, unbiased, keepdim, correction=correction)
    return named(spread, name), named(mean(input, None if isinstance(dim, bool) else dim, keepdim), name)
