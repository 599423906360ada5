"""Operations that reduce dims, and those along one dim. `dim` is an int, a list of them, or None for all."""

from __future__ import annotations

import functools
import math
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad import kernels
from minigrad.autograd.grad_mode import state
from minigrad.autograd.graph import apply
from minigrad.autograd.node import TensorBase, as_array, named, wrap
from minigrad.metadata import dtype as Dtype
from minigrad.metadata import int64
from minigrad.ops.arguments import (
    Dims,
    as_dtype,
    axes_of,
    axis_of,
    floating,
    numpy_names,
    packed,
    pair,
    require_tensor,
    type_name,
    written,
)
from minigrad.ops.indexing import take_along
from minigrad.ops.linalg import svd
from minigrad.ops.numbers import Number, index_of, number

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


class ValuesAndIndices(NamedTuple):
    """What the operations along a dim return: the values, and where along the dim they stood."""

    values: Tensor
    indices: Tensor

    def __repr__(self) -> str:
        return f"torch.return_types.{type(self).__name__}(\nvalues={self.values!r},\nindices={self.indices!r})"


def return_type(name: str) -> type[ValuesAndIndices]:
    return type(name, (ValuesAndIndices,), {"__slots__": (), "__module__": "torch.return_types"})


_max, _min, _sort, _topk = map(return_type, ("max", "min", "sort", "topk"))


def pair_written(kind: type[ValuesAndIndices], values: Tensor, indices: Tensor, out: Any) -> ValuesAndIndices:
    """Values and indices, in the two tensors of `out` where they are given."""
    return kind(values, indices) if out is None else kind(written(values, out[0]), written(indices, out[1]))


@numpy_names
def sum(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Dtype | None = None, out: Tensor | None = None
) -> Tensor:
    """The sum over `dim`; of integers and bools, as int64 unless `dtype` says otherwise."""
    require_tensor(input, "sum")
    axis = axes_of(dim, input._array.ndim)
    if dtype is None and input._array.dtype.kind == "f":
        total = apply(kernels.total, input, axis=axis, keepdims=keepdim, out=out)
    else:
        total = totalled(kernels.total, input, dtype, axis=axis, keepdims=keepdim, out=out)
    return total if dim is None and not keepdim else named(total, "SumBackward1")


def totalled(function: Any, input: Tensor, dtype: Dtype | None, **params: Any) -> Tensor:
    """A sum or product in `dtype`: without one, of integers and bools, in int64."""
    if dtype is None and input._array.dtype.kind != "f":
        dtype = int64
    x = as_dtype(input, dtype)
    if x._array.dtype.kind != "f":
        if input._requires_grad and state.grad:
            raise RuntimeError(f"Autograd not support dtype: {type_name(x)}: a result that requires grad is floating")
        params["dtype"] = x._array.dtype  # else NumPy would widen it
    return apply(function, x, **params)


@numpy_names
def mean(
    input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Dtype | None = None, out: Tensor | None = None
) -> Tensor:
    """The mean over `dim`. RuntimeError for integers, unless a floating `dtype` is given."""
    require_tensor(input, "mean")
    x = input if dtype is None else as_dtype(input, dtype)
    if x._array.dtype.kind != "f":
        require_floating(
            x, "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype"
        )
    average = apply(kernels.mean, x, axis=axes_of(dim, x._array.ndim), keepdims=keepdim, out=out)
    return average if dim is None and not keepdim else named(average, "MeanBackward1")


def require_floating(x: Tensor, message: str) -> None:
    if x._array.dtype.kind != "f":
        raise RuntimeError(f"{message}. Got: {type_name(x)}; convert with .float() first")


@numpy_names
def prod(
    input: Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    dtype: Dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The product over `dim`, one int or all; its gradient is right where elements are 0."""
    require_tensor(input, "prod")
    ndim = input._array.ndim
    axis = axes_of(None if dim is None else axis_of(dim, ndim), ndim)
    product = totalled(np.multiply.reduce, input, dtype, axis=axis, keepdims=keepdim, out=out)
    return product if dim is None else named(product, "ProdBackward1")


@numpy_names
def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None, out: Any = None) -> Any:
    """The largest element; over `dim` (values, indices); of two tensors, maximum(). NaN is the largest."""
    return extremum(input, dim if other is None else other, keepdim, out, np.maximum, kernels.largest, np.argmax, _max)


@numpy_names
def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None, out: Any = None) -> Any:
    """The smallest element; over `dim` (values, indices); of two tensors, minimum(). NaN is the smallest."""
    return extremum(input, dim if other is None else other, keepdim, out, np.minimum, kernels.smallest, np.argmin, _min)


def extremum(
    input: Tensor, dim: Any, keepdim: bool, out: Any, of_two: Any, of_all: Any, arg: Any, kind: type[ValuesAndIndices]
) -> Any:
    name = kind.__name__
    require_tensor(input, name)
    if isinstance(dim, TensorBase):
        return apply(of_two, *pair(input, dim), out=out)
    if dim is None:
        if not input._array.size:
            raise RuntimeError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim "
                "with the 'dim' argument."
            )
        return apply(of_all, input, out=out)
    indices = argextremum(input, dim, True, arg, name)
    values, indices = along(input, indices, dim, keepdim)
    return pair_written(kind, named(values, f"{name.title()}Backward0", input), indices, out)


def along(input: Tensor, indices: Tensor, dim: int, keepdim: bool) -> tuple[Tensor, Tensor]:
    """The values at `indices` along `dim`, and the indices, with or without the dim."""
    values = take_along(input, indices, dim)
    if keepdim:
        return values, indices
    values, indices = values.squeeze(dim), indices.squeeze(dim)
    values._view = indices._view = None  # the user never meets what they are views of
    return values, indices


def argextremum(input: Tensor, dim: int | None, keepdim: bool, arg: Any, name: str) -> Tensor:
    array = input._array
    if array.dtype.kind == "b" and name.startswith("arg"):
        raise RuntimeError(f"{name}(): does not support bool input; convert with .int() first")
    if dim is None:
        if not array.size:
            raise IndexError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.")
        indices = as_array(arg(array))
        return wrap(indices.reshape((1,) * array.ndim) if keepdim else indices)
    axis = axis_of(dim, array.ndim)
    if not array.ndim:
        return wrap(np.zeros((), np.int64))
    if not array.shape[axis]:
        raise IndexError(f"{name}(): Expected reduction dim {axis} to have non-zero size.")
    return wrap(arg(array, axis=axis, keepdims=keepdim))


@numpy_names
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Tensor | None = None) -> Tensor:
    """Where along `dim` (of the flattened tensor, without one) the largest element stands first. NaN is the largest."""
    return written(argextremum(input, dim, keepdim, np.argmax, "argmax"), out)


@numpy_names
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Tensor | None = None) -> Tensor:
    """Where along `dim` (of the flattened tensor, without one) the smallest element stands first."""
    return written(argextremum(input, dim, keepdim, np.argmin, "argmin"), out)


@numpy_names
def amax(input: Tensor, dim: Dims = (), keepdim: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The largest element over `dim`; ties share the gradient evenly."""
    return amaximum(input, dim, keepdim, out, np.maximum, "amax")


@numpy_names
def amin(input: Tensor, dim: Dims = (), keepdim: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The smallest element over `dim`; ties share the gradient evenly."""
    return amaximum(input, dim, keepdim, out, np.minimum, "amin")


def amaximum(input: Tensor, dim: Dims, keepdim: bool, out: Tensor | None, ufunc: np.ufunc, name: str) -> Tensor:
    require_tensor(input, name)
    shape = input._array.shape
    everything = dim is None or (isinstance(dim, (tuple, list)) and not dim)
    if everything and 0 in shape:
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0, got an input of shape "
            f"{list(shape)}. Specify the reduction dim with the 'dim' argument."
        )
    for d in () if everything else dim if isinstance(dim, (tuple, list)) else (dim,):
        if shape and not shape[axis_of(d, len(shape))]:
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
    axis = axes_of(dim, len(shape))
    return apply(ufunc.reduce, input, axis=axis, keepdims=keepdim, out=out)


@numpy_names
def var(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Number | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The variance over `dim`: squares of deviations, divided by their number less `correction` (1)."""
    return spread_of(kernels.var, input, dim, unbiased, keepdim, correction, out)


@numpy_names
def std(
    input: Tensor,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Number | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The standard deviation over `dim`, the square root of the variance; gradient 0 where it is 0."""
    return spread_of(kernels.std, input, dim, unbiased, keepdim, correction, out)


def spread_of(
    kernel: Any, input: Tensor, dim: Any, unbiased: bool | None, keepdim: bool, correction: Any, out: Tensor | None
) -> Tensor:
    require_tensor(input, kernel.__name__)
    require_floating(input, "std and var only support floating point and complex dtypes")
    if isinstance(dim, bool):  # var(unbiased)
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    elif unbiased is not None:
        raise TypeError(f"{kernel.__name__}() takes `unbiased` or `correction`, not both")
    axis, shape = axes_of(dim, input._array.ndim), input._array.shape
    correction = number(correction, "argument 'correction'")
    if (kernels.count(shape, axis) if 0 not in shape else 0) <= correction:
        warnings.warn(
            f"{kernel.__name__}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction "
            f"factor (input numel divided by output numel): it is {correction}, for shape {list(shape)} and dim {dim}.",
            UserWarning,
            stacklevel=4,
        )
        if dim is None or not shape:  # then the gradient is NaN or infinite, in PyTorch
            correction = math.inf
    return apply(kernel, input, axis=axis, correction=correction, keepdims=keepdim, out=out)


def norm(
    input: Tensor,
    p: float | str | None = "fro",
    dim: Dims = None,
    keepdim: bool = False,
    out: Tensor | None = None,
    dtype: Dtype | None = None,
) -> Tensor:
    """The p-norm over `dim`; "fro" is p = 2, "nuc" the sum of a matrix's singular values. Gradient 0 where it is 0."""
    require_tensor(input, "norm")
    require_floating(input, "linalg.vector_norm: Expected a floating point or complex tensor as input")
    if dtype is not None and not np.can_cast(input._array.dtype, dtype.numpy):
        raise RuntimeError(
            f"linalg.vector_norm: the dtype of the input ({input.dtype}) should be convertible without narrowing to "
            f"the specified dtype ({dtype}): convert the input with .to() first"
        )
    x = as_dtype(input, dtype)
    axis = axes_of(dim, x._array.ndim)
    if p == "nuc":
        return nuclear_norm(x, axis, keepdim, out)
    if p == "fro" and isinstance(dim, (tuple, list)) and len(dim) > 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {list(dim)}: name p=2 for more dims")
    if p is None or p == "fro":
        p = 2.0
    elif isinstance(p, str):
        raise RuntimeError(f"only valid p values are numbers, 'fro' and 'nuc', got {p!r}")
    p = number(p, "norm(): argument 'p'")
    if p < 0 or math.isinf(p):
        for i in axis:
            if not x._array.shape[i]:
                raise RuntimeError(
                    f"linalg.vector_norm cannot compute the {p} norm on the dimension {i} because this dimension is "
                    "empty and the operation does not have an identity"
                )
    return apply(kernels.norm, x, p=float(p), axis=axis, keepdims=keepdim, out=out)


def nuclear_norm(x: Tensor, axis: tuple[int, ...], keepdim: bool, out: Tensor | None) -> Tensor:
    if len(axis) != 2:
        raise RuntimeError(f"norm with p='nuc' needs two dims, got {list(axis)} of a tensor of {x._array.ndim} dims")
    if x._array.dtype == np.float16:
        raise RuntimeError(
            "linalg.matrix_norm: Low precision dtypes not supported. Got Half; convert with .float() first"
        )
    kept = tuple(i for i in range(x._array.ndim) if i not in axis)
    values = svd(apply(kernels.permute, x, axes=kept + axis))[1]
    total = sum(values, -1, out=None if keepdim else out)
    if not keepdim:
        return total
    shape = tuple(1 if i in axis else n for i, n in enumerate(x._array.shape))
    return apply(kernels.reshape, total, shape=shape, out=out)


@numpy_names
def logsumexp(input: Tensor, dim: Dims, keepdim: bool = False, *, out: Tensor | None = None) -> Tensor:
    """log(sum(exp(input))) over `dim`, without overflow."""
    require_tensor(input, "logsumexp")
    x = floating(input)
    return apply(kernels.logsumexp, x, axis=axes_of(dim, x._array.ndim), keepdims=keepdim, out=out)


@numpy_names
def softmax(input: Tensor, dim: int, dtype: Dtype | None = None, *, out: Tensor | None = None) -> Tensor:
    """exp(input) / sum(exp(input)) along `dim`."""
    return normalised(kernels.softmax, input, dim, dtype, out)


@numpy_names
def log_softmax(input: Tensor, dim: int, dtype: Dtype | None = None, *, out: Tensor | None = None) -> Tensor:
    """log(softmax(input)) along `dim`, without overflow."""
    return normalised(kernels.log_softmax, input, dim, dtype, out)


def normalised(kernel: Any, input: Tensor, dim: int, dtype: Dtype | None, out: Tensor | None) -> Tensor:
    name = kernel.__name__
    require_tensor(input, name)
    x = as_dtype(input, dtype)
    axis = axis_of(dim, x._array.ndim)
    if x._array.dtype.kind != "f":
        if not x._array.size:
            return apply(kernels.clone, x, out=out)
        raise NotImplementedError(f"\"{name}\" not implemented for '{type_name(x)}'; convert with .float() first")
    if not x._array.ndim:
        result = apply(kernels.reshape, apply(kernel, x.reshape(1), axis=0), shape=(), out=out)
        return named(result, "SoftmaxBackward0" if kernel is kernels.softmax else "LogSoftmaxBackward0", x)
    return apply(kernel, x, axis=axis, out=out)


@numpy_names
def cumsum(input: Tensor, dim: int, *, dtype: Dtype | None = None, out: Tensor | None = None) -> Tensor:
    """The sums of the elements up to each along `dim`."""
    require_tensor(input, "cumsum")
    axis = axis_of(dim, input._array.ndim)
    if not input._array.ndim:  # NumPy accumulates along dims alone
        sums = apply(kernels.reshape, cumsum(input.reshape(1), 0, dtype=dtype), shape=(), out=out)
        return named(sums, "CumsumBackward0", input)
    return totalled(kernels.running_total, input, dtype, axis=axis, out=out)


@numpy_names
@functools.wraps(cumsum)
def cumsum_in_its_dtype(input: Tensor, dim: int, *, dtype: Dtype | None = None, out: Tensor | None = None) -> Tensor:
    """cumsum for its in-place form, which keeps the dtype. RuntimeError if `dtype` is another."""
    axis_of(dim, input._array.ndim)
    if dtype is not None and dtype != input.dtype:
        raise RuntimeError(
            f"Bad in-place call: input tensor dtype {input.dtype} and output tensor dtype {dtype} should match"
        )
    return cumsum(input, dim, dtype=input.dtype, out=out)


@numpy_names
def all(input: Tensor, dim: Dims = None, keepdim: bool = False, *, out: Tensor | None = None) -> Tensor:
    """Whether all elements over `dim` are nonzero, as bool (of uint8, as uint8)."""
    return truth(input, dim, keepdim, out, np.logical_and)


@numpy_names
def any(input: Tensor, dim: Dims = None, keepdim: bool = False, *, out: Tensor | None = None) -> Tensor:
    """Whether any element over `dim` is nonzero, as bool (of uint8, as uint8)."""
    return truth(input, dim, keepdim, out, np.logical_or)


def truth(input: Tensor, dim: Dims, keepdim: bool, out: Tensor | None, ufunc: np.ufunc) -> Tensor:
    require_tensor(input, "all" if ufunc is np.logical_and else "any")
    none = isinstance(dim, (tuple, list)) and not dim  # here, as in squeeze(), an empty list means no dims
    axis = () if none else axes_of(dim, input._array.ndim)
    array = ufunc.reduce(input._array, axis=axis, keepdims=keepdim)
    result = packed(wrap(array.astype(np.uint8) if input._array.dtype == np.uint8 else array), None)
    return apply(kernels.clone, result, out=out)


@numpy_names
def count_nonzero(input: Tensor, dim: Dims = None) -> Tensor:
    """How many elements over `dim` are not 0, as int64."""
    require_tensor(input, "count_nonzero")
    return wrap(np.add.reduce(input._array != 0, axis=axes_of(dim, input._array.ndim), dtype=np.int64))


@numpy_names
def sort(
    input: Tensor, dim: int = -1, descending: bool = False, stable: bool | None = None, *, out: Any = None
) -> ValuesAndIndices:
    """Sorted along `dim`, NaN as the largest: (values, indices). Always stable."""
    require_tensor(input, "sort")
    indices = order(input, dim, descending)
    values = named(take_along(input, indices, dim), "SortBackward0" if stable is None else "SortBackward1")
    values._array = kernels.laid_as(values._array, input._array)
    return pair_written(_sort, values, indices, out)


@numpy_names
def argsort(
    input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The indices that sort `input` along `dim`. Always stable."""
    return written(order(input, dim, descending), out)


def order(input: Tensor, dim: int, descending: bool) -> Tensor:
    require_tensor(input, "argsort")
    array, axis = input._array, axis_of(dim, input._array.ndim)
    if not array.ndim:
        return wrap(np.zeros((), np.int64))
    if not descending:
        return wrap(kernels.laid_as(np.argsort(array, axis, kind="stable"), array))
    # The reverse of a stable ascending sort of the reversed array is a stable descending one.
    backwards = np.argsort(np.flip(array, axis), axis, kind="stable")
    return wrap(kernels.laid_as(array.shape[axis] - 1 - np.flip(backwards, axis), array))


@numpy_names
def topk(
    input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *, out: Any = None
) -> ValuesAndIndices:
    """The k largest (or smallest) elements along `dim`, in order: (values, indices)."""
    require_tensor(input, "topk")
    axis = axis_of(dim, input._array.ndim)
    length = input._array.shape[axis] if input._array.ndim else 1
    k = index_of(k, "k")
    if input._array.dtype.kind == "b":
        raise RuntimeError("topk does not support bool dtypes on CPU: convert with .int()")
    if not 0 <= k <= length:
        raise RuntimeError(f"selected index k out of range: k = {k}, and dim {dim} has {length} elements")
    indices = order(input, dim, largest)
    if input._array.ndim:
        indices = wrap(indices._array[(slice(None),) * axis + (slice(0, k),)])
    return pair_written(_topk, named(take_along(input, indices, dim), "TopkBackward0"), indices, out)
