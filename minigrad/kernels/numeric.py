"""Functions that compute and that NumPy lacks, or that are faster as one."""

from __future__ import annotations

import math

import numpy as np

from minigrad.kernels.layout import Array, Shape, count, dispatched
from minigrad.kernels.sums import total


@dispatched
def power(x: Array, *, exponent: float) -> Array:
    """x to a power that is a Python number; of float16 in float32, in rules too."""
    if x.dtype == np.float16:
        return power(x.astype(np.float32), exponent=exponent).astype(x.dtype)
    if exponent == 3:
        return x * x * x
    return 1 / np.sqrt(x) if exponent == -0.5 else x**exponent  # NumPy has its own short cuts for 2, 0.5 and -1


@dispatched
def twice(x: Array) -> Array:
    return 2 * x


@dispatched
def rounded(x: Array, *, decimals: int) -> Array:
    """x rounded to so many digits after the point; before it, where there are less than none."""
    scale = 10.0 ** abs(decimals)
    return np.rint(x * scale) / scale if decimals > 0 else np.rint(x / scale) * scale


@dispatched
def add_scaled(x: Array, y: Array, *, alpha: float) -> Array:
    """x + alpha * y."""
    return x + y * alpha


@dispatched
def addcmul(x: Array, y: Array, z: Array, *, value: float) -> Array:
    """x + value * y * z."""
    return x + (y * z if value == 1 else y * value * z)


@dispatched
def addcdiv(x: Array, y: Array, z: Array, *, value: float) -> Array:
    """x + value * y / z."""
    return x + (y / z if value == 1 else y * value / z)


@dispatched
def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


@dispatched
def expit(x: Array) -> Array:
    """The sigmoid for rules: exact in both tails. Its own rule reads x, where 1 - sigmoid(x) would have no digits."""
    e = np.exp(-np.absolute(x))
    return np.absolute((x >= 0) - e / (1 + e))  # e / (1 + e) below 0, 1 - e / (1 + e) above


@dispatched
def log_sigmoid(x: Array) -> Array:
    """log(sigmoid(x)), without overflow."""
    return np.minimum(x, 0) - np.log1p(np.exp(-np.absolute(x)))


@dispatched
def keep(x: Array, mask: Array) -> Array:
    """np.where(mask, x, 0), without its branches, which a mask in no order makes slow: the bits of x, or none."""
    bits = np.negative(mask, dtype=INTEGERS[x.dtype.char])
    bits &= x.view(bits.dtype)
    return bits.view(x.dtype)


INTEGERS = {"e": np.int16, "f": np.int32, "d": np.int64}  # of the widths of the floating dtypes


@dispatched
def threshold(x: Array, y: Array) -> Array:
    """The gradient of relu: x where its result y is above 0, or NaN; 0 elsewhere."""
    bits = np.subtract(y <= 0, 1, dtype=INTEGERS[x.dtype.char])
    bits &= x.view(bits.dtype)
    return bits.view(x.dtype)


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
    out = np.log(total(np.exp(x - top), axis=axis, keepdims=True)) + top
    return out if keepdims else out.reshape([n for i, n in enumerate(x.shape) if i not in axis])


@dispatched
def softmax(x: Array, *, axis: int) -> Array:
    e = np.exp(x - np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf))
    return e / total(e, axis=(axis,), keepdims=True)


@dispatched
def log_softmax(x: Array, *, axis: int) -> Array:
    z = x - np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf)
    return z - np.log(total(np.exp(z), axis=(axis,), keepdims=True))


@dispatched
def var(x: Array, *, axis: Shape, correction: float, keepdims: bool) -> Array:
    """In float64, as PyTorch's: a float32 mean of large numbers is too far off."""
    n, wide = count(x.shape, axis), x.astype(np.float64)
    d = wide - total(wide, axis=axis, keepdims=True) / n
    return (total(d * d, axis=axis, keepdims=keepdims) / max(n - correction, 0.0)).astype(x.dtype)


@dispatched
def std(x: Array, *, axis: Shape, correction: float, keepdims: bool) -> Array:
    return np.sqrt(var(x.astype(np.float64), axis=axis, correction=correction, keepdims=keepdims)).astype(x.dtype)


@dispatched
def norm(x: Array, *, p: float, axis: Shape, keepdims: bool) -> Array:
    """The p-norm over `axis`: (sum |x|**p)**(1/p), the number of nonzeros for p = 0, the largest |x| for p = inf."""
    size = np.absolute(x)
    if p == 2:
        return np.sqrt(total(size * size, axis=axis, keepdims=keepdims))
    if p == 1:
        return total(size, axis=axis, keepdims=keepdims)
    if p == 0:
        return total((x != 0).astype(x.dtype), axis=axis, keepdims=keepdims)
    if math.isinf(p):
        reduce = np.maximum.reduce if p > 0 else np.minimum.reduce
        return reduce(size, axis=axis, keepdims=keepdims, **({"initial": 0.0} if p > 0 else {}))
    return total(size**p, axis=axis, keepdims=keepdims) ** (1 / p)


@dispatched
def mean(x: Array, *, axis: Shape, keepdims: bool) -> Array:
    if x.itemsize == 2:  # the sum may overflow where the mean doesn't
        return mean(x.astype(np.float32), axis=axis, keepdims=keepdims).astype(x.dtype)
    n = count(x.shape, axis)
    return total(x, axis=axis, keepdims=keepdims) / (n or math.nan)


@dispatched
def largest(x: Array) -> Array:
    """The largest element of all."""
    return np.maximum.reduce(x, axis=None)


@dispatched
def smallest(x: Array) -> Array:
    """The smallest element of all."""
    return np.minimum.reduce(x, axis=None)


def product(x: Array, y: Array) -> Array:
    """x @ y of two matrices. np.dot takes half the time of small ones, but doesn't read what a single 0 multiplies."""
    return x.dot(y) if x.size > 1 and y.size > 1 and x.itemsize > 2 else x @ y


@dispatched
def linear(x: Array, weight: Array, bias: Array) -> Array:
    """x @ weight.T + bias."""
    out = product(x, weight.T)
    out += bias
    return out


@dispatched
def linear_no_bias(x: Array, weight: Array) -> Array:
    """x @ weight.T."""
    return product(x, weight.T)


@dispatched
def weight_gradient(x: Array, y: Array) -> Array:
    """The adjoint of `linear` in its weight: x.T @ y, for the result's gradient x and the input y."""
    return product(x.T, y)


@dispatched
def squared_error(x: Array, y: Array) -> Array:
    """(x - y)**2."""
    d = x - y
    return d * d


def sum_of_squares(x: Array) -> Array:
    """x @ x of a vector; few squares are rounded and added as PyTorch's are, and many as exactly as `total` does."""
    n = len(x)
    if 8 <= n <= MANY or not n:
        return x.dot(x)
    if n > 4:
        return total(x * x, axis=(0,), keepdims=False)
    out = x[0] * x[0]  # one after the other: numbers take a third of the time of arrays
    for i in range(1, n):
        out += x[i] * x[i]
    return out


MANY = 4096  # squares: BLAS adds 32 at a time, or fewer, and these sums one after the other


@dispatched
def mse_loss(x: Array, y: Array, *, reduction: str) -> Array:
    """The mean, or the sum, of (x - y)**2."""
    d = (x - y).ravel()
    if x.itemsize == 2:  # PyTorch rounds the squares, but not their sum
        summed = np.add.reduce(d * d, dtype=np.float32)
        return (summed if reduction == "sum" else summed / (d.size or math.nan)).astype(x.dtype)
    summed = sum_of_squares(d)
    return summed if reduction == "sum" else summed / (d.size or math.nan)


PIECE = 65536  # numbers at a time, so that temporaries stay in the cache


@dispatched
def descend(x: Array, y: Array, *, rate: float) -> None:
    """x -= rate * y in place. A temporary as large as the parameters of a wide layer costs more than the arithmetic."""
    if not (x.flags.c_contiguous and y.flags.c_contiguous):
        x -= rate * y
        return
    x, y, step = x.reshape(-1), y.reshape(-1), np.empty(PIECE, y.dtype)
    for start in range(0, x.size, PIECE):
        piece = x[start : start + PIECE]
        scaled = np.multiply(y[start : start + PIECE], rate, step[: piece.size])
        np.subtract(piece, scaled, piece)


@dispatched
def svd(x: Array) -> tuple[Array, Array, Array]:
    """The thin singular value decomposition: u, s, vt with x = (u * s) @ vt."""
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    return u, s, vt


@dispatched
def matmul(x: Array, y: Array) -> Array:
    return product(x, y) if x.ndim == y.ndim == 2 else x @ y


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
def rsub(x: Array, y: Array) -> Array:
    return y - x


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


@dispatched
def lerp(x: Array, y: Array, z: Array) -> Array:
    """x + z * (y - x), computed from the nearer end, which it then hits."""
    return np.where(np.absolute(z) < 0.5, x + z * (y - x), y - (y - x) * (1 - z))


@dispatched
def lerp_by_number(x: Array, y: Array, *, weight: float) -> Array:
    """x + weight * (y - x), computed from the nearer end, which it then hits."""
    return x + weight * (y - x) if abs(weight) < 0.5 else y - (y - x) * (1 - weight)


@dispatched
def median(x: Array) -> Array:
    """The middle element of all, the lower of two; NaN where there is one."""
    if x.size == 0 or np.isnan(x).any():
        return np.asarray(np.nan, x.dtype)
    return np.asarray(np.partition(x.reshape(-1), (x.size - 1) // 2)[(x.size - 1) // 2])
