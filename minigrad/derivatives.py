"""The table of derivatives: each differentiable operation is a NumPy function and one pure expression per argument.

    primitive(np.multiply, "Mul", x=lambda g, y: g * y, y=lambda g, x: g * x)

reads: the gradient of `np.multiply(x, y)` with respect to x is `g * y`, where g is the gradient of its result (the
expression is the vector-Jacobian product). A rule's parameters name what it needs: inputs by their names in the row,
the result as `out`, keyword parameters of the function by theirs, and `x_shape` or `x_dtype` where x's shape or dtype
is all it needs. So the names are also the list of what the forward pass keeps, and nothing else is kept.

Rules are run by two readers: by arrays in an ordinary backward pass, and by Tensors under `create_graph=True`, which
records them again and makes every higher derivative. A rule is therefore written in operators, NumPy functions that
are in the table or on the list of `constants`, the functions of this file, shapes and Python numbers: no methods,
no in-place writes, no question about who is reading. It ignores broadcasting: the engine sums a gradient back to its
input's shape, in one place. Masks select (`np.where`), they never multiply: zero times infinity is not zero.

Where torch's choice at a kink is a convention, the row follows torch (tools/autograd/derivatives.yaml, version 2.13).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.kernels import (
    Array,
    Shape,
    activations,
    add_scaled,
    addcdiv,
    addcmul,
    addmm,
    broadcast,
    cast,
    clamp,
    clamp_max,
    clamp_min,
    clamp_tensor,
    clone,
    close,
    compared,
    concatenate,
    contiguous,
    count,
    diagonal,
    discrete,
    distinct,
    embedding,
    embedding_rule,
    expit,
    fill,
    flip,
    floor_divide,
    fold,
    getitem,
    inverse,
    keep,
    largest,
    lerp,
    lerp_by_number,
    linear,
    linear_no_bias,
    log_sigmoid,
    log_softmax,
    logsumexp,
    losses,
    matmul,
    mean,
    median,
    mse_loss,
    norm,
    permute,
    picked,
    power,
    put,
    put_diagonal,
    put_reduced,
    put_slice,
    put_strided,
    relu,
    remainder,
    remainder_of_number,
    repeat,
    reshape,
    reshape_view,
    restore,
    roll,
    rounded,
    rsqrt,
    rsub,
    running_total,
    scatter,
    scatter_strided,
    section,
    select,
    sigmoid,
    sign,
    smallest,
    softmax,
    split,
    spread,
    squared_error,
    squeeze,
    stack,
    std,
    strided,
    svd,
    swap,
    swapaxes,
    t,
    take,
    threshold,
    total,
    tril,
    triu,
    trunc_divide,
    twice,
    unbind,
    var,
    weight_gradient,
)
from minigrad.primitive import Primitive, Rule, Table

table = Table()


def primitive(
    function: Callable[..., Any],
    name: str,
    view: bool = False,
    number: int = 0,
    in_single: str = "value",
    keeps: bool = False,
    packed: bool = False,
    **rules: Rule | None,
) -> None:
    """Add a row: `function`, the name of its node in PyTorch, and for each array argument, in order, its rule or None.

    `view` says that the result may share the first argument's memory. `in_single` says what PyTorch computes in float32
    and rounds once where the inputs are float16: the "value" alone, where the gradient is several operations, each
    rounded; "all", the gradient too; "nothing", where the result itself is several operations, or a mere conversion,
    or where PyTorch, like NumPy, converts numbers to float16 first. `keeps` says that PyTorch keeps a tensor for what
    is a parameter here (an index), so that a backward pass frees the node though its rules name no array. `packed`
    says that PyTorch's result is contiguous, whatever the layout of what came in.
    """
    table[function] = Primitive(function, name, view, number, rules, in_single, keeps, packed)


# What a rule may call besides the table: functions whose result does not depend on their arguments differentiably.
constants: set[Callable[..., Any]] = {
    np.isnan, np.isinf, np.logical_and, np.logical_or, np.logical_not, np.zeros_like, np.equal, np.not_equal,
    np.less, np.less_equal, np.greater, np.greater_equal,
}  # fmt: skip


def no_derivative(function: str, kind: type[Exception] = RuntimeError) -> Rule:
    """The rule of an argument for which PyTorch has none: an error of that kind."""

    def rule(g: Array) -> Array:
        raise kind(
            f"derivative for {function} is not implemented: detach() its argument where it counts as a constant; "
            "div(rounding_mode=...) has the gradient 0"
        )

    return rule


def inverse_square(x: Array, y: Array) -> Array:
    """1 / (x**2 + y**2), but 0 at the origin."""
    square = x * x + y * y
    return np.where(square == 0, 0, np.reciprocal(square))


def inside(x: Array, low: float | None, high: float | None) -> Array:
    """Where clamp left x as it is; its bounds count as inside."""
    if low is None:
        return x <= high
    return x >= low if high is None else np.logical_and(x >= low, x <= high)


def var_rule(g: Array, x: Array, axis: Shape, correction: float, keepdims: bool) -> Array:
    n = count(x.shape, axis)
    middle = mean(x, axis=axis, keepdims=True)
    g = restore(g, x.shape, axis, keepdims)
    if correction == math.inf:  # so ops marks that it is at least the number of elements, and all of them are reduced
        return g * np.where(x == middle, np.zeros_like(x) + math.nan, math.inf)
    return g * (2 / (n - correction) if n != correction else math.inf) * (x - middle)


def norm_rule(g: Array, x: Array, out: Array, p: float, axis: Shape, keepdims: bool) -> Array | None:
    g, out = restore(g, x.shape, axis, keepdims), restore(out, x.shape, axis, keepdims)
    size = np.absolute(x)
    if p == 0:
        return None
    if p == 1:
        return g * sign(x)
    if p == 2:
        return g * np.where(out == 0, 0, x / out)
    if math.isinf(p):
        top = np.logical_or(size == out, np.logical_and(np.isnan(size), np.isnan(out)))
        return sign(x) * np.where(top, g / how_many(top, x, axis), 0)
    if p < 1:
        return np.where(x == 0, 0, sign(x) * power(size, exponent=p - 1)) * g * power(out, exponent=1 - p)
    scale = np.where(out == 0, 0, g / power(out, exponent=p - 1))
    return sign(x) * power(size, exponent=p - 1) * scale if p < 2 else x * power(size, exponent=p - 2) * scale


def how_many(mask: Array, like: Array, axis: Shape) -> Array:
    """How many of `mask` hold along `axis`, in the dtype of `like`."""
    ones = np.zeros_like(like) + 1
    return total(np.where(mask, ones, 0), axis=axis, keepdims=True)


def amax_rule(g: Array, x: Array, out: Array, axis: Shape, keepdims: bool) -> Array:
    """amax and amin: the elements that tie share the gradient evenly. NaN ties with nothing: 0 / 0, as in PyTorch."""
    g, out = restore(g, x.shape, axis, keepdims), restore(out, x.shape, axis, keepdims)
    ties = np.where(x == out, np.zeros_like(x) + 1, 0)  # a factor, as PyTorch's: an infinite g times 0 is NaN
    return g * ties / total(ties, axis=axis, keepdims=True)


def max_rule(g: Array, x: Array, out: Array) -> Array:
    """max and min of all elements: those that tie share the gradient evenly, and NaN ties with NaN."""
    ties = np.logical_or(x == out, np.logical_and(np.isnan(x), np.isnan(out)))
    return np.where(ties, g / how_many(ties, x, tuple(range(x.ndim))), 0)


def products_of_others(x: Array) -> Array:
    """For each element along the last axis the product of all others, by pairs: right where elements are 0."""
    n = x.shape[-1]
    if n == 1:
        return np.zeros_like(x) + 1
    odd = n % 2
    last = getitem(x, index=(..., slice(n - odd, n)))
    pairs = reshape(getitem(x, index=(..., slice(0, n - odd))), shape=(*x.shape[:-1], n // 2, 2))
    products = getitem(pairs, index=(..., 0)) * getitem(pairs, index=(..., 1))
    others = products_of_others(concatenate(products, last, sizes=(n // 2, odd), axis=x.ndim - 1))
    swapped = flip(pairs, axis=(x.ndim,))
    inner = swapped * getitem(others, index=(..., slice(0, n // 2), None))
    tail = getitem(others, index=(..., slice(n // 2, n // 2 + odd)))
    return concatenate(reshape(inner, shape=(*x.shape[:-1], n - odd)), tail, sizes=(n - odd, odd), axis=x.ndim - 1)


def product_rule(g: Array, x: Array, axis: Shape, keepdims: bool) -> Array:
    """The product over the element; where the tensor has zeros, the product of the others."""
    zeros = how_many(x == 0, x, tuple(range(x.ndim))) != 0
    y = np.where(zeros, 1, x)
    quotients = np.multiply.reduce(y, axis=axis, keepdims=True) / y if axis else np.zeros_like(x) + 1
    x = np.where(zeros, x, 1)
    kept = tuple(i for i in range(x.ndim) if i not in axis)
    order = kept + axis
    moved = permute(x, axes=order)
    flat = reshape(moved, shape=(*moved.shape[: len(kept)], count(x.shape, axis)))
    others = reshape(products_of_others(flat), shape=moved.shape) if 0 not in x.shape else np.zeros_like(moved)
    return restore(g, x.shape, axis, keepdims) * np.where(zeros, permute(others, axes=inverse(order)), quotients)


def svd_rule(g: Array, out: Array) -> Array:
    """Townsend, "Differentiating the singular value decomposition" (2016), for a real matrix with distinct values."""
    (gu, gs, gvt), (u, s, vt) = g, out
    s_row, s_column = getitem(s, index=(..., None, slice(None))), getitem(s, index=(..., slice(None), None))
    eye = np.eye(s.shape[-1])
    gap = np.where(eye == 1, 1, s_row * s_row - s_column * s_column)
    left, right = swap(u) @ gu, swap(vt @ swap(gvt))
    left, right = (left - swap(left)) / gap, swap(right) - right
    core = (
        left * s_row + s_column * (right / gap) + np.where(eye == 1, restore(gs, (*gs.shape, 1), (gs.ndim,), False), 0)
    )
    out = u @ core @ vt
    out = out + (gu - u @ (swap(u) @ gu)) / s_row @ vt
    return out + u @ ((gvt - gvt @ swap(vt) @ vt) / s_column)


def mse_rule(g: Array, x: Array, y: Array, reduction: str) -> Array:
    d = x - y
    return d * (g * (2 if reduction == "sum" else 2 / (math.prod(d.shape) or 1)))


# The table.
# fmt: off

# arithmetic
primitive(np.add, "Add", in_single="nothing", x=lambda g: g, y=lambda g: g)
primitive(np.subtract, "Sub", in_single="nothing", x=lambda g: g, y=lambda g: -g)
primitive(add_scaled, "Add", x=lambda g: g, y=lambda g, alpha: g * alpha)
primitive(addcmul, "Addcmul", x=lambda g: g, y=lambda g, z, value: g * (z * value),
          z=lambda g, y, value: g * (y * value))
primitive(addcdiv, "Addcdiv", x=lambda g, z: g, y=lambda g, z, value: g * (value / z),
          z=lambda g, y, z, value: -g * (y * value / (z * z)))
primitive(rsub, "Rsub", number=1, in_single="nothing", x=lambda g: -g, y=None)  # y is a number
primitive(np.multiply, "Mul", x=lambda g, y: g * y, y=lambda g, x: g * x)
primitive(np.divide, "Div", x=lambda g, y: g / y, y=lambda g, x, y: -g * (x / y / y))
primitive(np.negative, "Neg", x=lambda g: -g)
primitive(power, "Pow", in_single="nothing", x=lambda g, x, exponent: g * (exponent * power(x, exponent=exponent - 1))
          if exponent != 0 else np.zeros_like(g))
primitive(np.power, "Pow", number=1, x=lambda g, x, y: np.where(y == 0, 0, g * (y * x ** (y - 1))),
          y=lambda g, x, y, out: g * np.where(np.logical_and(x == 0, y >= 0), 0, out * np.log(x)))
primitive(floor_divide, "Div", number=2, x=lambda g, y: np.zeros_like(g), y=lambda g, x, y: np.zeros_like(g))
primitive(trunc_divide, "Div", number=2, x=lambda g, y: np.zeros_like(g), y=lambda g, x, y: np.zeros_like(g))
primitive(np.floor_divide, "torch::autograd::NotImplemented", x=no_derivative("floor_divide"),
          y=no_derivative("floor_divide"))
primitive(remainder, "Remainder", number=1, x=lambda g: g, y=lambda g, x, y: -g * floor_divide(x, y))
primitive(remainder_of_number, "torch::autograd::NotImplemented", x=None, y=no_derivative("remainder"))
primitive(np.fmod, "Fmod", number=1, x=lambda g: g, y=lambda g, x, y: -g * trunc_divide(x, y))

# pointwise
primitive(np.absolute, "Abs", x=lambda g, x: g * sign(x))
primitive(sign, "Sign", x=lambda g: np.zeros_like(g))
primitive(np.floor, "Floor", x=lambda g: np.zeros_like(g))
primitive(np.ceil, "Ceil", x=lambda g: np.zeros_like(g))
primitive(np.rint, "Round", x=lambda g: np.zeros_like(g))
primitive(rounded, "Round", number=1, x=lambda g: np.zeros_like(g))
primitive(np.trunc, "Trunc", x=lambda g: np.zeros_like(g))
primitive(np.exp, "Exp", x=lambda g, out: g * out)
primitive(np.exp2, "Exp2", x=lambda g, out: g * out * math.log(2))
primitive(np.expm1, "Expm1", x=lambda g, out: g * (out + 1))
primitive(np.log, "Log", x=lambda g, x: g / x)
primitive(np.log2, "Log2", x=lambda g, x: g / (x * math.log(2)))
primitive(np.log10, "Log10", x=lambda g, x: g / (x * math.log(10)))
primitive(np.log1p, "Log1P", x=lambda g, x: g / (x + 1))
primitive(np.sqrt, "Sqrt", x=lambda g, out: g / (2 * out))
primitive(rsqrt, "Rsqrt", x=lambda g, out: -0.5 * g * (out * out * out))
primitive(np.square, "Pow", x=lambda g, x: g * twice(x))
primitive(twice, "Mul", x=lambda g, x: g * (2 * power(x, exponent=0)))  # x ** 1 in PyTorch, whose gradient has a graph
primitive(np.reciprocal, "Reciprocal", x=lambda g, out: -g * (out * out))
primitive(np.sin, "Sin", x=lambda g, x: g * np.cos(x))
primitive(np.cos, "Cos", x=lambda g, x: g * -np.sin(x))
primitive(np.tan, "Tan", x=lambda g, out: g * (1 + out * out))
primitive(np.arcsin, "Asin", x=lambda g, x: g / np.sqrt(1 - x * x))
primitive(np.arccos, "Acos", x=lambda g, x: -g / np.sqrt(1 - x * x))
primitive(np.arctan, "Atan", x=lambda g, x: g / (x * x + 1))
primitive(np.arctan2, "Atan2", x=lambda g, x, y: g * (y * inverse_square(x, y)),
          y=lambda g, x, y: g * (-x * inverse_square(x, y)))
primitive(np.hypot, "Hypot", x=lambda g, x, out: g * (x / out), y=lambda g, y, out: g * (y / out))
primitive(lerp, "Lerp", number=1, x=lambda g, z: g * (1 - z), y=lambda g, z: g * z, z=lambda g, x, y: g * (y - x))
primitive(lerp_by_number, "Lerp", x=lambda g, weight: g * (1 - weight), y=lambda g, weight: g * weight)
primitive(np.sinh, "Sinh", x=lambda g, x: g * np.cosh(x))
primitive(np.cosh, "Cosh", x=lambda g, x: g * np.sinh(x))
primitive(np.tanh, "Tanh", in_single="all", x=lambda g, out: g * (1 - out * out))
primitive(sigmoid, "Sigmoid", x=lambda g, out: g * (1 - out) * out)
primitive(expit, "Sigmoid", x=lambda g, x: g * expit(x) * expit(-x))
primitive(log_sigmoid, "LogSigmoid", packed=True, in_single="all", x=lambda g, x: g * expit(-x))
primitive(relu, "Relu", x=lambda g, out: threshold(g, out))
primitive(keep, "Where", x=lambda g, mask: keep(g, mask), mask=None)
primitive(threshold, "ThresholdBackward", x=lambda g, y: threshold(g, y), y=lambda g: np.zeros_like(g))
primitive(clamp, "Clamp", number=1, x=lambda g, x, low, high: keep(g, inside(x, low, high)))
primitive(clamp_min, "ClampMin", number=1, x=lambda g, x, low: np.where(x >= low, g, 0),
          low=lambda g, x, low: np.where(x < low, g, 0))
primitive(clamp_max, "ClampMax", number=1, x=lambda g, x, high: np.where(x <= high, g, 0),
          high=lambda g, x, high: np.where(x > high, g, 0))
primitive(clamp_tensor, "Clamp",
          x=lambda g, x, low, high: np.where(np.logical_and(x >= low, x <= high), g, 0),
          low=lambda g, x, low, high: np.where(np.logical_and(x < low, low < high), g, 0),
          high=lambda g, x, low, high: np.where(np.logical_or(x > high, high < low), g, 0))
primitive(np.maximum, "Maximum", x=lambda g, x, y: np.where(x == y, g / 2, np.where(x < y, 0, g)),
          y=lambda g, x, y: np.where(x == y, g / 2, np.where(x > y, 0, g)))
primitive(np.minimum, "Minimum", x=lambda g, x, y: np.where(x == y, g / 2, np.where(x > y, 0, g)),
          y=lambda g, x, y: np.where(x == y, g / 2, np.where(x < y, 0, g)))
primitive(np.where, "Where", condition=None, x=lambda g, condition: np.where(condition, g, 0),
          y=lambda g, condition: np.where(condition, 0, g))
primitive(activations.leaky_relu, "LeakyRelu",
          x=lambda g, x, slope: activations.leaky_relu_backward(g, x, slope=slope))
primitive(activations.leaky_relu_backward, "LeakyReluBackward",
          x=lambda g, y, slope: activations.leaky_relu_backward(g, y, slope=slope), y=lambda g: np.zeros_like(g))
primitive(activations.elu, "Elu", in_single="all", x=activations.elu_rule)
primitive(activations.softplus, "Softplus", in_single="all", x=activations.softplus_rule)
primitive(activations.silu, "Silu", in_single="all", x=activations.silu_rule)
primitive(activations.gelu, "Gelu", in_single="all", x=activations.gelu_rule)
primitive(activations.normal_cdf, "Cdf", x=lambda g, x: g * activations.normal_density(x))
primitive(activations.gelu_tanh, "Gelu", in_single="all", x=activations.gelu_tanh_rule)
primitive(activations.hardtanh, "Hardtanh",
          x=lambda g, x, low, high: activations.hardtanh_backward(g, x, low=low, high=high))
primitive(activations.hardtanh_backward, "HardtanhBackward",
          x=lambda g, y, low, high: activations.hardtanh_backward(g, y, low=low, high=high),
          y=lambda g: np.zeros_like(g))
primitive(compared, "Compare", x=lambda g: np.zeros_like(g), y=lambda g: np.zeros_like(g))
primitive(cast, "ToCopy", in_single="nothing", x=lambda g, x_dtype: cast(g, dtype=x_dtype))
primitive(discrete, "ToCopy", in_single="nothing", x=None)
primitive(clone, "Clone", x=lambda g: g)
primitive(contiguous, "Clone", x=lambda g: g)
primitive(fill, "torch::autograd::CopyBackwards", x=lambda g: np.zeros_like(g), y=lambda g: g)

_constant: Any
for _constant in (*constants, np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.left_shift, np.right_shift,
                  np.logical_xor, np.invert, np.isfinite, close):
    primitive(_constant, "")

# reductions
primitive(total, "Sum", in_single="nothing", x=lambda g, x_shape, axis, keepdims: spread(g, x_shape, axis, keepdims))
primitive(mean, "Mean", packed=True, in_single="all", x=lambda g, x_shape, axis, keepdims: spread(
    g / (count(x_shape, axis) or 1), x_shape, axis, keepdims))
primitive(np.multiply.reduce, "Prod", packed=True, in_single="nothing", x=product_rule)
primitive(np.maximum.reduce, "Amax", packed=True, in_single="all", x=amax_rule)
primitive(np.minimum.reduce, "Amin", packed=True, in_single="all", x=amax_rule)
primitive(largest, "Max", number=1, in_single="all", x=max_rule)
primitive(median, "Median", in_single="all", x=max_rule)
primitive(smallest, "Min", number=1, in_single="all", x=max_rule)
primitive(var, "Var", packed=True, x=var_rule)
primitive(std, "Std", packed=True, x=lambda g, x, out, axis, correction, keepdims: var_rule(
    np.where(out == 0, 0, g / (2 * out)), x, axis, correction, keepdims))
primitive(norm, "LinalgVectorNorm", packed=True, x=norm_rule)
primitive(logsumexp, "Logsumexp", packed=True, in_single="nothing",
          x=lambda g, x, out, axis, keepdims: restore(g, x.shape, axis, keepdims) * np.exp(
              x - restore(out, x.shape, axis, keepdims)))
primitive(softmax, "Softmax", packed=True, in_single="all",
          x=lambda g, out, axis: (g - total(g * out, axis=(axis,), keepdims=True)) * out)
primitive(log_softmax, "LogSoftmax", packed=True, in_single="all", x=lambda g, out, axis: g - np.exp(out) * total(
    g, axis=(axis,), keepdims=True))
primitive(running_total, "Cumsum", packed=True, x=lambda g, axis: flip(
    running_total(flip(g, axis=(axis,)), axis=axis), axis=(axis,)))

# shape
primitive(reshape, "View", view=True, x=lambda g, x_shape: reshape(g, shape=x_shape))
primitive(reshape_view, "Unsqueeze", view=True, x=lambda g, x_shape: reshape(g, shape=x_shape))
primitive(squeeze, "Squeeze", view=True, x=lambda g, x_shape: reshape(g, shape=x_shape))
primitive(t, "T", view=True, x=lambda g: t(g))
primitive(swap, "Transpose", view=True, x=lambda g: swap(g))
primitive(swapaxes, "Transpose", view=True, x=lambda g, axis1, axis2: swapaxes(g, axis1=axis1, axis2=axis2))
primitive(permute, "Permute", view=True, x=lambda g, axes: permute(g, axes=inverse(axes)))
primitive(broadcast, "Expand", view=True, x=lambda g: g)
primitive(repeat, "Repeat", x=lambda g, x_shape, sizes: fold(g, x_shape, sizes))
primitive(concatenate, "Cat", packed=True, each=lambda i, g, sizes, axis: getitem(g, index=section(sizes, i, axis)))
primitive(stack, "Stack", packed=True, each=lambda i, g, axis: getitem(g, index=(slice(None),) * axis + (i,)))
primitive(split, "Split", view=True, x=lambda g, sizes, axis: concatenate(*g, sizes=sizes, axis=axis))
primitive(unbind, "Unbind", view=True, x=lambda g, axis: stack(*g, axis=axis))
primitive(diagonal, "Diagonal", view=True, x=lambda g, x_shape, offset, axis1, axis2: put_diagonal(
    g, shape=x_shape, offset=offset, axis1=axis1, axis2=axis2))
primitive(put_diagonal, "DiagonalBackward", x=lambda g, offset, axis1, axis2: diagonal(
    g, offset=offset, axis1=axis1, axis2=axis2))
primitive(flip, "Flip", x=lambda g, axis: flip(g, axis=axis))
primitive(roll, "Roll", x=lambda g, shifts, axis: roll(g, shifts=tuple(-n for n in shifts), axis=axis))
primitive(tril, "Tril", packed=True, x=lambda g, k: tril(g, k=k))
primitive(triu, "Triu", packed=True, x=lambda g, k: triu(g, k=k))

# indexing
primitive(getitem, "Slice", view=True, x=lambda g, x_shape, index: put_slice(g, index=index, shape=x_shape))
primitive(select, "Select", view=True, x=lambda g, x_shape, index: put_slice(g, index=index, shape=x_shape))
primitive(put_slice, "SliceBackward", x=lambda g, index: getitem(g, index=index))
primitive(take, "Index", in_single="nothing", keeps=True,
          x=lambda g, x_shape, index: scatter(g, index=index, shape=x_shape))
primitive(distinct, "Unique2", x=no_derivative("unique", NotImplementedError))
primitive(scatter, "IndexBackward", keeps=True, x=lambda g, index: take(g, index=index))
primitive(embedding, "Embedding", keeps=True, x=embedding_rule)
primitive(put, "IndexPut", in_single="nothing", keeps=True, x=lambda g, index: put(g, 0, index=index),
          y=lambda g, index: picked(g, index))
primitive(put_reduced, "torch::autograd::NotImplemented", x=no_derivative("scatter"), y=no_derivative("scatter"))
primitive(strided, "AsStrided", x=lambda g, geometry: scatter_strided(g, geometry=geometry))
primitive(scatter_strided, "AsStridedBackward", x=lambda g, geometry: strided(g, geometry=geometry))
primitive(put_strided, "torch::autograd::CopySlices", keeps=True,
          x=lambda g, geometry: put_strided(g, 0, geometry=geometry),
          y=lambda g, geometry: strided(g, geometry=geometry))

# matrices
primitive(matmul, "Mm", x=lambda g, y: matmul(g, swap(y)), y=lambda g, x: matmul(swap(x), g))
table[np.matmul] = table[matmul]  # what array @ Tensor calls
primitive(addmm, "Addmm", in_single="nothing", x=lambda g, beta: g * beta, y=lambda g, z, alpha: g @ swap(z) * alpha,
          z=lambda g, y, alpha: swap(y) @ g * alpha)
primitive(linear, "Addmm", x=lambda g, weight: matmul(g, weight), weight=lambda g, x: weight_gradient(g, x),
          bias=lambda g: g)
primitive(linear_no_bias, "Mm", x=lambda g, weight: matmul(g, weight), weight=lambda g, x: weight_gradient(g, x))
primitive(weight_gradient, "T", x=lambda g, y: linear_no_bias(y, g), y=lambda g, x: matmul(x, g))
primitive(squared_error, "MseLoss", x=lambda g, x, y: g * (2 * (x - y)), y=lambda g, x, y: g * (2 * (y - x)))
primitive(mse_loss, "MseLoss", in_single="nothing", x=mse_rule,
          y=lambda g, x, y, reduction: mse_rule(g, y, x, reduction))
primitive(svd, "LinalgSvd", x=svd_rule)

# losses (that of regression stands above)
primitive(losses.nll_loss, "NllLoss", x=losses.nll_rule, target=None, weight=None)
primitive(losses.nll_loss2d, "NllLoss2D", x=losses.nll_rule, target=None, weight=None)
primitive(losses.nll_spread, "NllLossBackward", x=lambda g, target, weight, reduction, ignore_index: losses.nll_loss(
    g, target, weight, reduction=reduction, ignore_index=ignore_index), y=lambda g, y: np.zeros_like(y), target=None,
          weight=None)
primitive(losses.binary_cross_entropy, "BinaryCrossEntropy", in_single="nothing", x=losses.binary_cross_entropy_rule,
          y=losses.probability_rule, weight=None)
primitive(losses.binary_cross_entropy_backward, "BinaryCrossEntropyBackward", in_single="nothing",
          x=lambda g, y, z: g * (y - z) / losses.logistic_slope(y),
          y=lambda g, x, y, z: g * x * (y * y - 2 * y * z + z) / np.square(losses.logistic_slope(y)),
          z=lambda g, x, y: -g * x / np.maximum((1 - y) * y, 1e-12))
primitive(losses.binary_cross_entropy_with_logits, "BinaryCrossEntropyWithLogits", in_single="nothing",
          x=losses.with_logits_rule,
          y=losses.logit_probability_rule, weight=None, pos_weight=None)
