"""Operations that treat each element by itself, and comparisons."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import kernels
from minigrad.autograd.graph import apply
from minigrad.autograd.node import TensorBase, wrap
from minigrad.ops.arguments import (
    Number,
    convert,
    floating,
    number_dtype,
    pair,
    promote,
    require_tensor,
    result_dtype,
    type_name,
)

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

    Operand = Tensor | Number


def add(input: Operand, other: Operand, *, alpha: Number = 1, out: Tensor | None = None) -> Tensor:
    """input + alpha * other."""
    x, y = pair(input, other)
    return apply(np.add, x, y if alpha == 1 else scaled(x, y, alpha), out=out)


def sub(input: Operand, other: Operand, *, alpha: Number = 1, out: Tensor | None = None) -> Tensor:
    """input - alpha * other. RuntimeError for bools."""
    x, y = pair(input, other)
    if is_bool(input) or is_bool(other):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, "
            "use the `~` or `logical_not()` operator instead."
        )
    return apply(np.subtract, x, y if alpha == 1 else scaled(x, y, alpha), out=out)


def rsub(input: Operand, other: Operand, *, alpha: Number = 1) -> Tensor:
    """other - alpha * input."""
    return sub(other, input, alpha=alpha)


def is_bool(x: Any) -> bool:
    return x._array.dtype.kind == "b" if isinstance(x, TensorBase) else isinstance(x, bool)


def scaled(x: Any, y: Any, alpha: Number) -> Any:
    """alpha * y; RuntimeError where alpha is of a higher kind than the result."""
    kind = (x if isinstance(x, TensorBase) else y)._array.dtype.kind
    if isinstance(alpha, float) and kind != "f":
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    if isinstance(alpha, bool) and kind != "b":
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    return mul(y, alpha) if isinstance(y, TensorBase) else y * alpha


def mul(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """input * other."""
    return apply(np.multiply, *pair(input, other), out=out)


def div(input: Operand, other: Operand, *, rounding_mode: str | None = None, out: Tensor | None = None) -> Tensor:
    """input / other; of integers, floats. `rounding_mode` "floor" or "trunc" keeps integers integers."""
    x, y = pair(input, other)
    if rounding_mode is None:
        if (
            x is not input or y is not other or (isinstance(x, TensorBase) and x._array.dtype.kind != "f")
        ):  # promoted: to integers, perhaps
            x, y = floating(x), floating(y)
        return apply(np.divide, x, y, out=out)
    if rounding_mode == "floor":
        return floor_divide(x, y, out=out)
    if rounding_mode != "trunc":
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'"
        )
    x, y = promote(x, y)
    if x._array.dtype.kind == "f":
        return apply(np.trunc, apply(np.divide, x, y), out=out)
    refuse_zero_divisor(y)
    return apply(np.floor_divide, sub(x, apply(np.fmod, x, y)), y, out=out)


def refuse_zero_divisor(y: Tensor) -> None:
    """RuntimeError, PyTorch's, for an integer division by zero."""
    if y._array.dtype.kind != "f" and not y._array.all():
        raise RuntimeError("ZeroDivisionError: an integer tensor was divided by one that has zeros")


def floor_divide(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """input / other, rounded down. RuntimeError for integers divided by zero."""
    x, y = promote(input, other)
    refuse_zero_divisor(y)
    return apply(kernels.floor_divide, x, y, out=out)


def remainder(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """input - input.div(other, rounding_mode="floor") * other: Python's %, with the sign of `other`."""
    x, y = promote(input, other)
    refuse_zero_divisor(y)
    return apply(np.remainder, x, y, out=out)


def fmod(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """input - input.div(other, rounding_mode="trunc") * other: C's fmod, with the sign of `input`."""
    x, y = promote(input, other)
    refuse_zero_divisor(y)
    return apply(np.fmod, x, y, out=out)


def pow(input: Operand, exponent: Operand, *, out: Tensor | None = None) -> Tensor:
    """input ** exponent. RuntimeError for integers to negative powers."""
    if isinstance(input, TensorBase) and not isinstance(exponent, TensorBase):
        dtype = result_dtype(input, exponent)
        number = exponent.item() if isinstance(exponent, np.generic) else exponent
        if dtype.kind == "f":
            return apply(kernels.power, convert(input, dtype), exponent=number, out=out)
    x, y = promote(input, exponent)
    if x._array.dtype.kind != "f" and not isinstance(exponent, TensorBase) and exponent < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    if x._array.dtype.kind == "i" and (y._array < 0).any():
        # As PyTorch: 1 and -1 have integer inverses, of all others 0 is left.
        powers = np.where(y._array % 2 == 0, 1, x._array)
        inverse = np.where(np.abs(x._array) == 1, powers, 0)
        positive = np.power(x._array, np.maximum(y._array, 0))
        return apply(np.add, wrap(np.where(y._array < 0, inverse, positive).astype(x._array.dtype)), 0, out=out)
    return apply(np.power, x, y, out=out)


def float_power(input: Operand, exponent: Operand) -> Tensor:
    """input ** exponent, computed in float64."""
    return pow(convert(input, np.dtype(np.float64)), exponent)


def unary(function: Callable[..., Any], name: str, doc: str, *, ints: str = "float") -> Callable[..., Tensor]:
    """A torch function of one tensor. Of integers it computes in the default float dtype, or ("keep") in their own."""

    def operation(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        if not isinstance(input, TensorBase):
            require_tensor(input, name)
        if input._array.dtype.kind != "f":
            if ints == "float":
                input = floating(input)
            elif is_bool(input) and name not in ("square", "abs"):
                raise RuntimeError(f"{name}(): not supported for bool tensors; convert with .to(torch.int64) first")
            elif ints == "same":
                return apply(np.add, input, 0, out=out)
        return apply(function, input, out=out)

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = f"{doc} Of the same shape; `out` is written into."
    return operation


neg = unary(np.negative, "neg", "-input.", ints="keep")
abs = unary(np.absolute, "abs", "The absolute value; gradient 0 at 0.", ints="keep")
square = unary(np.square, "square", "input * input.", ints="keep")
floor = unary(np.floor, "floor", "Rounded down.", ints="same")
ceil = unary(np.ceil, "ceil", "Rounded up.", ints="same")
trunc = unary(np.trunc, "trunc", "Rounded towards 0.", ints="same")
exp = unary(np.exp, "exp", "e ** input.")
exp2 = unary(np.exp2, "exp2", "2 ** input.")
expm1 = unary(np.expm1, "expm1", "exp(input) - 1, exact near 0.")
log = unary(np.log, "log", "The natural logarithm.")
log2 = unary(np.log2, "log2", "The logarithm to base 2.")
log10 = unary(np.log10, "log10", "The logarithm to base 10.")
log1p = unary(np.log1p, "log1p", "log(1 + input), exact near 0.")
sqrt = unary(np.sqrt, "sqrt", "The square root.")
rsqrt = unary(kernels.rsqrt, "rsqrt", "1 / sqrt(input).")
reciprocal = unary(np.reciprocal, "reciprocal", "1 / input.")
sin = unary(np.sin, "sin", "The sine; input in radians.")
cos = unary(np.cos, "cos", "The cosine; input in radians.")
tan = unary(np.tan, "tan", "The tangent; input in radians.")
asin = unary(np.arcsin, "asin", "The inverse sine, in radians.")
acos = unary(np.arccos, "acos", "The inverse cosine, in radians.")
atan = unary(np.arctan, "atan", "The inverse tangent, in radians.")
sinh = unary(np.sinh, "sinh", "The hyperbolic sine.")
cosh = unary(np.cosh, "cosh", "The hyperbolic cosine.")
tanh = unary(np.tanh, "tanh", "The hyperbolic tangent.")
sigmoid = unary(kernels.sigmoid, "sigmoid", "1 / (1 + exp(-input)).")
relu = unary(kernels.relu, "relu", "max(input, 0); gradient 0 at 0.", ints="keep")


def sign(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """-1, 0 or 1; gradient 0. NaN gives 0, as in PyTorch."""
    require_tensor(input, "sign")
    return apply(kernels.sign, input, out=out)


def round(input: Tensor, *, decimals: int = 0, out: Tensor | None = None) -> Tensor:
    """Rounded to the nearest, halves to even; gradient 0."""
    require_tensor(input, "round")
    if input._array.dtype.kind != "f":
        return apply(np.add, input, 0, out=out)
    if decimals == 0:
        return apply(np.rint, input, out=out)
    scale = 10.0 ** builtin_abs(decimals)
    if decimals > 0:
        return div(apply(np.rint, mul(input, scale)), scale, out=out)
    return mul(apply(np.rint, div(input, scale)), scale, out=out)


builtin_abs = int.__abs__


def atan2(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """The angle of the point (other, input), in radians."""
    x, y = promote(input, other)
    return apply(np.arctan2, floating(x), floating(y), out=out)


def maximum(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The larger of each pair, NaN where either is; ties share the gradient evenly."""
    require_tensor(other, "maximum", "other")
    return apply(np.maximum, *pair(input, other), out=out)


def minimum(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The smaller of each pair, NaN where either is; ties share the gradient evenly."""
    require_tensor(other, "minimum", "other")
    return apply(np.minimum, *pair(input, other), out=out)


def clamp(
    input: Tensor, min: Operand | None = None, max: Operand | None = None, *, out: Tensor | None = None
) -> Tensor:
    """input limited to min..max, numbers or tensors; the gradient passes where input is between, bounds included."""
    require_tensor(input, "clamp")
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    tensors = isinstance(min, TensorBase) or isinstance(max, TensorBase)
    if tensors and any(isinstance(x, (int, float)) for x in (min, max)):
        raise TypeError("clamp(): min and max must both be numbers or both be tensors")
    bounds = [x for x in (min, max) if x is not None]
    dtype = result_dtype(input, *bounds)
    x = convert(input, dtype)
    if tensors:
        low, high = (None if b is None else convert(b, dtype) for b in (min, max))
        if low is None:
            return apply(kernels.clamp_max, x, high, out=out)
        if high is None:
            return apply(kernels.clamp_min, x, low, out=out)
        return apply(kernels.clamp_tensor, x, low, high, out=out)
    return apply(kernels.clamp, x, low=min, high=max, out=out)


def clamp_min(input: Tensor, min: Operand) -> Tensor:
    """clamp(input, min=min)."""
    return clamp(input, min=min)


def clamp_max(input: Tensor, max: Operand) -> Tensor:
    """clamp(input, max=max)."""
    return clamp(input, max=max)


def where(condition: Tensor, input: Any = None, other: Any = None, *, out: Tensor | None = None) -> Any:
    """`input` where `condition` holds, `other` elsewhere; with `condition` alone, its nonzero's indices per dim."""
    require_tensor(condition, "where", "condition")
    if input is None and other is None:
        return tuple(
            wrap(i) for i in (condition._array.nonzero() if condition._array.ndim else condition._array[None].nonzero())
        )
    if condition._array.dtype.kind != "b":
        raise RuntimeError(
            f"where expected condition to be a boolean tensor, but got a tensor with dtype {type_name(condition)}"
        )
    return apply(np.where, condition, *promote(input, other), out=out)


def masked_fill(input: Tensor, mask: Tensor, value: Operand, *, out: Tensor | None = None) -> Tensor:
    """`value`, a number or a 0-d tensor, where `mask` holds; input elsewhere."""
    if mask._array.dtype.kind != "b":
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    if isinstance(value, TensorBase) and value._array.ndim:
        raise RuntimeError(
            f"masked_fill only supports a 0-dimensional value tensor, but got tensor with {value._array.ndim} dimension(s)."
        )
    dtype = input._array.dtype
    kind = value._array.dtype.kind if isinstance(value, TensorBase) else number_dtype(value).kind
    if kind == "f" and dtype.kind != "f":
        raise RuntimeError(f"value cannot be converted to type {type_name(input)} without overflow")
    return apply(np.where, mask, convert(value, dtype), input, out=out)


def comparison(function: Callable[..., Any], name: str, symbol: str) -> Callable[..., Tensor]:
    def compare(input: Tensor, other: Operand, *, out: Tensor | None = None) -> Tensor:
        x, y = promote(input, other)
        return apply(function, x, y, out=out)

    compare.__name__ = compare.__qualname__ = name
    compare.__doc__ = f"input {symbol} other, as bools; shapes broadcast."
    return compare


eq = comparison(np.equal, "eq", "==")
ne = comparison(np.not_equal, "ne", "!=")
lt = comparison(np.less, "lt", "<")
le = comparison(np.less_equal, "le", "<=")
gt = comparison(np.greater, "gt", ">")
ge = comparison(np.greater_equal, "ge", ">=")
logical_and = comparison(np.logical_and, "logical_and", "and")
logical_or = comparison(np.logical_or, "logical_or", "or")
logical_xor = comparison(np.logical_xor, "logical_xor", "xor")


def bitwise(function: Callable[..., Any], name: str, symbol: str) -> Callable[..., Tensor]:
    def operate(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
        x, y = promote(input, other)
        if x._array.dtype.kind == "f":
            raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{type_name(x)}'")
        return apply(function, x, y, out=out)

    operate.__name__ = operate.__qualname__ = name
    operate.__doc__ = f"input {symbol} other, bit by bit, for integers and bools."
    return operate


bitwise_and = bitwise(np.bitwise_and, "bitwise_and", "&")
bitwise_or = bitwise(np.bitwise_or, "bitwise_or", "|")
bitwise_xor = bitwise(np.bitwise_xor, "bitwise_xor", "^")


def predicate(function: Callable[..., Any], name: str, doc: str) -> Callable[..., Tensor]:
    def test(input: Tensor) -> Tensor:
        require_tensor(input, name)
        return apply(function, input)

    test.__name__ = test.__qualname__ = name
    test.__doc__ = f"{doc}, as bools."
    return test


isnan = predicate(np.isnan, "isnan", "Where input is NaN")
isinf = predicate(np.isinf, "isinf", "Where input is infinite")
isfinite = predicate(np.isfinite, "isfinite", "Where input is neither infinite nor NaN")


def logical_not(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Where input is zero, as bools."""
    require_tensor(input, "logical_not")
    return apply(np.logical_not, input, out=out)


def bitwise_not(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """~input, for integers and bools."""
    if input._array.dtype.kind == "f":
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return apply(np.invert, input, out=out)


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Where |input - other| <= atol + rtol * |other|. RuntimeError for different dtypes."""
    if input._array.dtype != other._array.dtype:
        raise RuntimeError(f"{type_name(input)} did not match {type_name(other)}")
    return apply(np.isclose, input, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether |input - other| <= atol + rtol * |other| everywhere."""
    return bool(isclose(input, other, rtol, atol, equal_nan)._array.all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and elements."""
    require_tensor(other, "equal", "other")
    return np.array_equal(input._array, other._array)
