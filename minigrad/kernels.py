"""Functions on arrays that NumPy lacks, each beside its adjoint. They are rows of the table of derivatives.

Arrays are positional, parameters keywords. Each answers to NumPy's dispatch protocol, so that a rule can call it on
arrays and on Tensors alike. Those without `@dispatched` are compositions, written in the language of the rules.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = Any  # an ndarray, or a Tensor where a rule is differentiated again
Shape = tuple[int, ...]


def dispatched(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let `function` answer to NumPy's dispatch protocol, so that a rule may call it on arrays and on Tensors."""

    @functools.wraps(function)
    def call(*arrays: Any, **params: Any) -> Any:
        for x in arrays:
            if type(x) is not np.ndarray and hasattr(x, "__array_function__"):
                return x.__array_function__(call, (type(x),), arrays, params)
        return function(*arrays, **params)

    return call


@dispatched
def reshape(x: Array, *, shape: Shape) -> Array:
    return x.reshape(shape)


@dispatched
def reshape_view(x: Array, *, shape: Shape) -> Array:
    """x with dims of length 1 put in: always a view."""
    return x.reshape(shape)


@dispatched
def squeeze(x: Array, *, shape: Shape) -> Array:
    """x with dims of length 1 taken away: always a view."""
    return x.reshape(shape)


@dispatched
def t(x: Array) -> Array:
    """The transpose of a matrix."""
    return x.T


@dispatched
def swapaxes(x: Array, *, axis1: int, axis2: int) -> Array:
    return x.swapaxes(axis1, axis2)


@dispatched
def permute(x: Array, *, axes: Shape) -> Array:
    return x.transpose(axes)


@dispatched
def broadcast(x: Array, *, shape: Shape) -> Array:
    """A view of x with stride 0 along the axes that are new or stretched, as writeable as x."""
    lead = len(shape) - x.ndim
    strides = (0,) * lead + tuple(
        [0 if n == 1 != m else step for n, m, step in zip(x.shape, shape[lead:], x.strides, strict=True)]
    )
    try:
        return np.ndarray(shape, x.dtype, x, 0, strides)  # a fifth of what np.broadcast_to takes
    except ValueError:  # x is not contiguous
        out = np.broadcast_to(x, shape)
        out.flags.writeable = x.flags.writeable
        return out


def sum_to(g: Array, shape: Shape) -> Array:
    """The adjoint of broadcasting: sum `g` over the axes that broadcasting from `shape` added or stretched."""
    lead = g.ndim - len(shape)
    if g.shape[lead:] == shape:
        return np.add.reduce(g, axis=tuple(range(lead)), keepdims=False)
    axis = tuple(i for i in range(g.ndim) if i < lead or (shape[i - lead] == 1 and g.shape[i] != 1))
    return reshape(np.add.reduce(g, axis=axis, keepdims=False), shape=shape)


def restore(reduced: Array, shape: Shape, axis: Shape, keepdims: bool) -> Array:
    """Give a reduction's result the reduced axes back, with length 1."""
    if keepdims:
        return reduced
    return reshape(reduced, shape=tuple(1 if i in axis else n for i, n in enumerate(shape)))


def spread(g: Array, shape: Shape, axis: Shape, keepdims: bool) -> Array:
    """The adjoint of a sum over `axis`: every summand gets the sum's gradient."""
    return broadcast(restore(g, shape, axis, keepdims), shape=shape)


def count(shape: Shape, axis: Shape) -> int:
    """How many elements a reduction over `axis` puts into one."""
    return math.prod(map(shape.__getitem__, axis))


@dispatched
def cast(x: Array, *, dtype: np.dtype[Any]) -> Array:
    return x.astype(dtype)


@dispatched
def discrete(x: Array, *, dtype: np.dtype[Any]) -> Array:
    """x in an integer dtype, or bool: what no gradient passes."""
    return x.astype(dtype)


@dispatched
def getitem(x: Array, *, index: Any) -> Array:
    out = x[index]
    if type(out) is np.ndarray:
        return out
    return x[(*index, ...) if isinstance(index, tuple) else (index, ...)]  # a 0-d view, where NumPy gives a scalar


@dispatched
def select(x: Array, *, index: Any) -> Array:
    """x[index] for ints, slices, None and ...: always a view."""
    if type(index) is int:
        return x[index, ...]
    return x[index] if Ellipsis in index else x[(*index, ...)]


@dispatched
def take(x: Array, *, index: Any) -> Array:
    """x[index] where masks or arrays of ints are among the indices: a copy."""
    return x[index]


@dispatched
def scatter(g: Array, *, index: Any, shape: Shape) -> Array:
    """The adjoint of x[index]: zeros of `shape` with `g` added at `index`, places met twice counted twice."""
    x = np.zeros(shape, g.dtype)
    entries = index if isinstance(index, tuple) else (index,)
    if any(isinstance(i, np.ndarray) and i.dtype.kind != "b" for i in entries):
        np.add.at(x, index, g)
    else:
        x[index] = g
    return x


@dispatched
def put(x: Array, y: Array, *, index: Any) -> Array:
    """A copy of x with x[index] = y."""
    out = x.copy()
    out[index] = y
    return out


@dispatched
def concatenate(*arrays: Array, sizes: Sequence[int], axis: int) -> Array:
    return np.concatenate(arrays, axis)


@dispatched
def split(x: Array, *, sizes: Sequence[int], axis: int) -> list[Array]:
    """The adjoint of `concatenate`: views of x cut along `axis` into pieces of the given sizes."""
    ends, whole = itertools.accumulate(sizes), (slice(None),) * axis
    return [x[(*whole, slice(end - size, end))] for size, end in zip(sizes, ends, strict=True)]


def section(sizes: Sequence[int], i: int, axis: int) -> tuple[slice, ...]:
    """The index of the i-th of pieces of the given sizes along `axis`."""
    start = sum(sizes[:i])
    return (slice(None),) * axis + (slice(start, start + sizes[i]),)


@dispatched
def unbind(x: Array, *, axis: int) -> list[Array]:
    """The views of x at each place along `axis`."""
    whole = (slice(None),) * axis
    return [x[(*whole, i, ...)] for i in range(x.shape[axis])]


@dispatched
def stack(*arrays: Array, axis: int) -> Array:
    return np.stack(arrays, axis)


@dispatched
def repeat(x: Array, *, sizes: Shape) -> Array:
    """x put side by side so many times along each axis; `sizes` may name more axes than x has."""
    return np.tile(x, sizes)


def fold(g: Array, shape: Shape, sizes: Shape) -> Array:
    """The adjoint of `repeat`: the sum of the repetitions."""
    pairs = zip(sizes, (1,) * (len(sizes) - len(shape)) + shape, strict=True)
    parts = reshape(g, shape=tuple(k for pair in pairs for k in pair))
    return reshape(np.add.reduce(parts, axis=tuple(range(0, 2 * len(sizes), 2)), keepdims=False), shape=shape)


@dispatched
def flip(x: Array, *, axis: Shape) -> Array:
    return np.flip(x, axis).copy()


@dispatched
def diagonal(x: Array, *, offset: int, axis1: int, axis2: int) -> Array:
    out = np.diagonal(x, offset, axis1, axis2)
    out.flags.writeable = x.flags.writeable
    return out


@dispatched
def put_diagonal(g: Array, *, shape: Shape, offset: int, axis1: int, axis2: int) -> Array:
    """The adjoint of `diagonal`: zeros of `shape` with g on the diagonal."""
    x = np.zeros(shape, g.dtype)
    diagonal(x, offset=offset, axis1=axis1, axis2=axis2)[...] = g
    return x


class Geometry(NamedTuple):
    """Where a view's elements lie in its base's memory; strides and offset in elements."""

    base_shape: Shape
    base_strides: Shape
    shape: Shape
    strides: Shape
    offset: int

    def lay(self, x: Array) -> tuple[Array, Array]:
        """A new buffer that holds x as the base's memory does: all of it, and its part laid out as the base."""
        extent = 1 + sum((n - 1) * s for n, s in zip(self.base_shape, self.base_strides, strict=True))
        buffer = np.zeros(max(extent, 0) if 0 not in self.base_shape else 0, x.dtype)
        base = strided_view(buffer, self.base_shape, self.base_strides)
        base[...] = x
        return buffer, base


def strided_view(buffer: Array, shape: Shape, strides: Shape, offset: int = 0) -> Array:
    steps = tuple(s * buffer.itemsize for s in strides)
    return np.lib.stride_tricks.as_strided(buffer[offset:], shape, steps)


@dispatched
def strided(x: Array, *, geometry: Geometry) -> Array:
    """The elements of the base x that a view of that geometry shows."""
    return strided_view(geometry.lay(x)[0], geometry.shape, geometry.strides, geometry.offset).copy()


@dispatched
def scatter_strided(g: Array, *, geometry: Geometry) -> Array:
    """The adjoint of `strided`: zeros of the base's shape with `g` added where the view's elements lie."""
    buffer, base = geometry.lay(np.zeros((), g.dtype))
    places = strided_view(np.arange(buffer.size), geometry.shape, geometry.strides, geometry.offset)
    np.add.at(buffer, places, g)
    return base.copy()


@dispatched
def put_strided(x: Array, y: Array, *, geometry: Geometry) -> Array:
    """A copy of the base x with a view's elements set to y."""
    buffer, base = geometry.lay(x)
    strided_view(buffer, geometry.shape, geometry.strides, geometry.offset)[...] = y
    return base.copy()


@dispatched
def power(x: Array, *, exponent: float) -> Array:
    """x to a power that is a Python number."""
    return x * x * x if exponent == 3 else x**exponent  # NumPy has its own short cuts for 2, 0.5 and -1


@dispatched
def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


@dispatched
def keep(x: Array, mask: Array) -> Array:
    """np.where(mask, x, 0), without its branches, which a mask in no order makes slow: the bits of x, or none."""
    bits = mask.astype(INTEGERS[x.dtype.char])
    np.negative(bits, bits)
    return (bits & x.view(bits.dtype)).view(x.dtype)


INTEGERS = {"e": np.int16, "f": np.int32, "d": np.int64}  # of the widths of the floating dtypes


@dispatched
def threshold(x: Array, y: Array) -> Array:
    """The gradient of relu: x where its result y is above 0, or NaN; 0 elsewhere."""
    bits = (y <= 0).astype(INTEGERS[x.dtype.char])
    bits -= 1
    return (bits & x.view(bits.dtype)).view(x.dtype)


@dispatched
def relu(x: Array) -> Array:
    return np.maximum(0, x) if x.itemsize > 2 else np.maximum(x, 0)  # NumPy's choice of two zeros: -0.0 stays


@dispatched
def clamp(x: Array, *, low: float | None, high: float | None) -> Array:
    if low is not None:
        x = np.maximum(low, x)
    return x if high is None else np.minimum(high, x)


@dispatched
def logsumexp(x: Array, *, axis: Shape, keepdims: bool) -> Array:
    top = np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf)
    top = np.where(np.isinf(top), 0, top)
    out = np.log(np.add.reduce(np.exp(x - top), axis=axis, keepdims=True)) + top
    return out if keepdims else out.reshape([n for i, n in enumerate(x.shape) if i not in axis])


@dispatched
def softmax(x: Array, *, axis: int) -> Array:
    e = np.exp(x - np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf))
    return e / np.add.reduce(e, axis=axis, keepdims=True)


@dispatched
def log_softmax(x: Array, *, axis: int) -> Array:
    z = x - np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf)
    return z - np.log(np.add.reduce(np.exp(z), axis=axis, keepdims=True))


@dispatched
def var(x: Array, *, axis: Shape, correction: float, keepdims: bool) -> Array:
    d = x - np.add.reduce(x, axis=axis, keepdims=True) / count(x.shape, axis)
    return np.add.reduce(d * d, axis=axis, keepdims=keepdims) / max(count(x.shape, axis) - correction, 0.0)


@dispatched
def std(x: Array, *, axis: Shape, correction: float, keepdims: bool) -> Array:
    return np.sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


@dispatched
def norm(x: Array, *, p: float, axis: Shape, keepdims: bool) -> Array:
    """The p-norm over `axis`: (sum |x|**p)**(1/p), the number of nonzeros for p = 0, the largest |x| for p = inf."""
    size = np.absolute(x)
    if p == 2:
        return np.sqrt(np.add.reduce(size * size, axis=axis, keepdims=keepdims))
    if p == 1:
        return np.add.reduce(size, axis=axis, keepdims=keepdims)
    if p == 0:
        return np.add.reduce(x != 0, axis=axis, keepdims=keepdims, dtype=x.dtype)
    if math.isinf(p):
        reduce = np.maximum.reduce if p > 0 else np.minimum.reduce
        return reduce(size, axis=axis, keepdims=keepdims, **({"initial": 0.0} if p > 0 else {}))
    return np.add.reduce(size**p, axis=axis, keepdims=keepdims) ** (1 / p)


def inverse(axes: Shape) -> Shape:
    """The permutation that undoes `axes`."""
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


@dispatched
def swap(x: Array) -> Array:
    """The transpose of a matrix, or of each of a batch."""
    return x.swapaxes(-1, -2)


def rows(x: Array) -> Array:
    """A batch of vectors as one matrix."""
    return x if x.ndim == 2 else reshape(x, shape=(math.prod(x.shape[:-1]), x.shape[-1]))


@dispatched
def mean(x: Array, *, axis: Shape, keepdims: bool) -> Array:
    n = count(x.shape, axis)
    return np.add.reduce(x, axis=axis, keepdims=keepdims) / (n or math.nan)


@dispatched
def largest(x: Array) -> Array:
    """The largest element of all."""
    return np.maximum.reduce(x, axis=None)


@dispatched
def smallest(x: Array) -> Array:
    """The smallest element of all."""
    return np.minimum.reduce(x, axis=None)


@dispatched
def clone(x: Array) -> Array:
    """A copy in the same layout; contiguous where x is expanded."""
    return x.copy() if 0 in x.strides else x.copy("K")


@dispatched
def contiguous(x: Array) -> Array:
    """A copy whose elements lie in the order of the indices."""
    return x.copy()


@dispatched
def fill(x: Array, y: Array) -> Array:
    """y in the shape and dtype of x."""
    return np.full(x.shape, y, x.dtype)


@dispatched
def linear(x: Array, weight: Array, bias: Array) -> Array:
    """x @ weight.T + bias, for x of any number of leading dimensions."""
    out = x.dot(weight.T)
    out += bias
    return out


@dispatched
def linear_no_bias(x: Array, weight: Array) -> Array:
    """x @ weight.T, for x of any number of leading dimensions."""
    return x.dot(weight.T)


@dispatched
def weight_gradient(x: Array, y: Array) -> Array:
    """The adjoint of `linear` in its weight: x.T @ y, for the result's gradient x and the input y."""
    return x.T.dot(y) if x.ndim == 2 else rows(x).T.dot(rows(y))


@dispatched
def squared_error(x: Array, y: Array) -> Array:
    """(x - y)**2."""
    d = x - y
    return d * d


@dispatched
def mse_loss(x: Array, y: Array, *, reduction: str) -> Array:
    """The mean, or the sum, of (x - y)**2."""
    d = (x - y).ravel()
    total = d.dot(d)
    return total if reduction == "sum" else total / (d.size or math.nan)


@dispatched
def tril(x: Array, *, k: int) -> Array:
    return np.tril(x, k)


@dispatched
def triu(x: Array, *, k: int) -> Array:
    return np.triu(x, k)


@dispatched
def svd(x: Array) -> tuple[Array, Array, Array]:
    """The thin singular value decomposition: u, s, vt with x = (u * s) @ vt."""
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    return u, s, vt


@dispatched
def matmul(x: Array, y: Array) -> Array:
    return x @ y


@dispatched
def addmm(x: Array, y: Array, z: Array, *, beta: float, alpha: float) -> Array:
    """beta * x + alpha * (y @ z) in the dtype of x. What 0 multiplies is not read: its NaN don't spread.

    But in float16, where PyTorch multiplies the product even by 0.
    """
    out = y @ z if alpha != 0 or x.itemsize == 2 else np.zeros((y.shape[0], z.shape[1]), x.dtype)
    if alpha != 1:
        out *= np.asarray(alpha).astype(x.dtype)
    if beta != 0:
        out += x if beta == 1 else x * np.asarray(beta).astype(x.dtype)
    return out


@dispatched
def floor_divide(x: Array, y: Array) -> Array:
    """x / y rounded down."""
    return np.floor_divide(x, y)


@dispatched
def trunc_divide(x: Array, y: Array) -> Array:
    """x / y rounded towards 0."""
    return np.trunc(x / y) if x.dtype.kind == "f" else np.floor_divide(x - np.fmod(x, y), y)


@dispatched
def remainder(x: Array, y: Array) -> Array:
    """x - floor(x / y) * y. A zero has the sign of x, where NumPy's has that of y."""
    rest = np.fmod(x, y)
    return np.where((rest != 0) & ((rest < 0) != (y < 0)), rest + y, rest)


@dispatched
def remainder_of_number(x: Array, y: Array) -> Array:
    """The remainder of a Python number: a row of its own, since PyTorch has no derivative for it."""
    return remainder(x, y)


@dispatched
def compared(x: Array, y: Array, *, ufunc: np.ufunc) -> Array:
    """A comparison as its in-place form writes it: as numbers, with the gradient 0."""
    return ufunc(x, y).astype(x.dtype)


@dispatched
def close(x: Array, y: Array, *, rtol: float, atol: float, equal_nan: bool) -> Array:
    """Where x == y, or |x - y| <= atol + |rtol * y| and finite; `equal_nan`: or where both are NaN."""
    same = (x == y) | ((x != x) & (y != y)) if equal_nan else x == y
    distance = np.absolute(x - y)
    return same | (np.isfinite(distance) & (distance <= atol + np.absolute(rtol * y)))


@dispatched
def rsqrt(x: Array) -> Array:
    return 1 / np.sqrt(x)


@dispatched
def sign(x: Array) -> Array:
    """As NumPy's, but 0 for NaN."""
    return x.copy() if x.dtype.kind == "b" else np.where(x != x, 0, np.sign(x))


@dispatched
def clamp_tensor(x: Array, low: Array, high: Array) -> Array:
    return np.minimum(high, np.maximum(low, x))


@dispatched
def clamp_min(x: Array, low: Array) -> Array:
    return np.maximum(low, x)


@dispatched
def clamp_max(x: Array, high: Array) -> Array:
    return np.minimum(high, x)
