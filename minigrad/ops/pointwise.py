"""Operations that treat each element by itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from minigrad import kernels
from minigrad.autograd.graph import apply
from minigrad.autograd.node import TensorBase, named, wrap
from minigrad.metadata import get_default_dtype
from minigrad.ops.arguments import (
    convert,
    floating,
    packed,
    pair,
    promote,
    refuse,
    require_tensor,
    result_dtype,
    type_name,
)
from minigrad.ops.numbers import Number, element_as, index_of, number, number_as, require_fit

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

Operand: TypeAlias = Union["Tensor", Number]


def add(input: Operand, other: Operand, *, alpha: Number = 1, out: Tensor | None = None) -> Tensor:
    """input + alpha * other."""
    x, y = pair(input, other)
    if type(alpha) is int and alpha == 1:
        return apply(np.add, x, y, out=out)
    x, y, factor = scaling(x, y, alpha)
    return apply(kernels.add_scaled, x, y, alpha=factor, out=out)


def sub(input: Operand, other: Operand, *, alpha: Number = 1, out: Tensor | None = None) -> Tensor:
    """input - alpha * other. RuntimeError for bools."""
    x, y = pair(input, other)
    if (x is not input or y is not other or is_bool(x)) and (is_bool(input) or is_bool(other)):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, "
            "use the `~` or `logical_not()` operator instead."
        )
    if type(alpha) is int and alpha == 1:
        return apply(np.subtract, x, y, out=out)
    x, y, factor = scaling(x, y, alpha, -1)
    return named(apply(kernels.add_scaled, x, y, alpha=factor, out=out), "SubBackward0")


def rsub(input: Tensor, other: Operand, *, alpha: Number = 1) -> Tensor:
    """other - alpha * input."""
    require_tensor(input, "rsub")
    plain = alpha == 1 and alpha is not True and isinstance(other, (int, float)) and not is_bool(other)
    if plain and input._array.dtype.kind == "f":
        return apply(kernels.rsub, *pair(input, other))
    return named(sub(other, input, alpha=alpha), "RsubBackward0" if isinstance(other, TensorBase) else "RsubBackward1")


def is_bool(x: Any) -> bool:
    return x._array.dtype.kind == "b" if isinstance(x, TensorBase) else isinstance(x, bool)


def scaling(x: Any, y: Any, alpha: Any, sign: int = 1) -> tuple[Any, Any, Any]:
    """x, y and sign * alpha in one dtype, for x + sign * alpha * y; RuntimeError where alpha is of a higher kind than
    that, or sign * alpha doesn't fit into it: PyTorch subtracts by adding."""
    alpha = number(alpha, "argument 'alpha'")
    dtype = (x if isinstance(x, TensorBase) else y)._array.dtype
    if isinstance(alpha, float) and dtype.kind != "f":
        raise RuntimeError(
            f"For integral input tensors, argument alpha must not be a floating point number: got {alpha} and {dtype}"
        )
    if isinstance(alpha, bool) and dtype.kind != "b":
        raise RuntimeError(f"Boolean alpha only supported for Boolean results: got {alpha}, and a result of {dtype}")
    return convert(x, dtype), convert(y, dtype), number_as(sign * alpha, dtype).item()


def mul(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """input * other."""
    x, y = pair(input, other)
    return apply(np.multiply, x, y, out=out)


def div(input: Operand, other: Operand, *, rounding_mode: str | None = None, out: Tensor | None = None) -> Tensor:
    """input / other; of integers, floats. `rounding_mode` "floor" or "trunc" keeps integers integers; gradient 0."""
    if rounding_mode is None:
        x, y = pair(input, other)
        if (x if isinstance(x, TensorBase) else y)._array.dtype.kind != "f":
            x, y = (floating(z) if isinstance(z, TensorBase) else float(z) for z in (input, other))
        return apply(np.divide, x, y, out=out)
    if rounding_mode == "floor":
        return apply(kernels.floor_divide, *dividing("div_floor_cpu", input, other, out), out=out)
    if rounding_mode == "trunc":
        return apply(kernels.trunc_divide, *dividing("div_trunc_cpu", input, other, out), out=out)
    raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'")


def dividing(kernel: str, input: Operand, other: Operand, out: Tensor | None) -> tuple[Tensor, Tensor]:
    """The operands of a division with remainder; NotImplementedError for bools, RuntimeError for integers by 0."""
    x, y = promote(input, other)
    if y._array.dtype.kind == "b":
        refuse(kernel, x, y, out)
    if y._array.dtype.kind != "f" and x._array.size and not y._array.all():
        raise RuntimeError("ZeroDivisionError: integers were divided by 0; convert to floats for inf and nan")
    return x, y


def floor_divide(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """input / other, rounded down; no gradient. RuntimeError for integers divided by zero."""
    return apply(np.floor_divide, *dividing("div_floor_cpu", input, other, out), out=out)


def remainder(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """input - input.div(other, rounding_mode="floor") * other: Python's %, with the sign of `other`."""
    require_one(input, other, "remainder")
    function = kernels.remainder if isinstance(input, TensorBase) else kernels.remainder_of_number
    rest = apply(function, *dividing("remainder_cpu", input, other, out), out=out)
    return rest if isinstance(other, TensorBase) else named(rest, "RemainderBackward0")


def fmod(input: Tensor, other: Operand, *, out: Tensor | None = None) -> Tensor:
    """input - input.div(other, rounding_mode="trunc") * other: C's fmod, with the sign of `input`."""
    require_tensor(input, "fmod")
    rest = apply(np.fmod, *dividing("fmod_cpu", input, other, out), out=out)
    return rest if isinstance(other, TensorBase) else named(rest, "FmodBackward0")


def require_one(x: Any, y: Any, function: str) -> None:
    """TypeError unless one of the operands is a tensor."""
    if not isinstance(x, TensorBase) and not isinstance(y, TensorBase):
        raise TypeError(f"{function}(): one argument must be a Tensor, got {type(x).__name__} and {type(y).__name__}")


def pow(input: Operand, exponent: Operand, *, out: Tensor | None = None) -> Tensor:
    """input ** exponent. RuntimeError for integers to a negative number."""
    if isinstance(exponent, TensorBase):
        x, y = promote(input, exponent)
        power = tensor_power(x, y, out)
        return power if isinstance(input, TensorBase) else named(packed(power, out), "PowBackward2")
    if not isinstance(input, TensorBase):
        raise TypeError(f"pow(): argument 'input' or 'exponent' must be a Tensor, got {input} and {exponent}")
    exponent = number(exponent)
    dtype = input._array.dtype
    if dtype.kind != "f":
        dtype = result_dtype(input, exponent)
    elif dtype.itemsize == 2:
        exponent = number_as(exponent, dtype).item()  # PyTorch converts, and checks, in float16 alone
    if dtype.kind == "f":
        x = convert(input, dtype)
        return apply(np.square, x, out=out) if exponent == 2 else apply(kernels.power, x, exponent=exponent, out=out)
    if exponent < 0:
        raise RuntimeError(f"Integers to negative integer powers are not allowed: {exponent}; convert to floats first")
    if dtype.kind == "b":  # x**True is x, x**False is True
        return apply(np.logical_or, input, not exponent, out=out)
    return apply(np.power, convert(input, dtype), int(number_as(exponent, dtype)), out=out)


def tensor_power(x: Tensor, y: Tensor, out: Tensor | None) -> Tensor:
    """x ** y of one dtype."""
    kind = y._array.dtype.kind
    if kind == "b":
        refuse("pow", x, y, out)
    if kind == "i" and (negative := y._array < 0).any():  # 1 and -1 alone have integer inverses; of others 0 is left
        vanishing = apply(np.logical_and, wrap(negative), wrap(np.absolute(x._array) != 1))
        x, y = apply(np.where, vanishing, 0, x), wrap(np.absolute(y._array))
    return apply(np.power, x, y, out=out)


def float_power(input: Operand, exponent: Operand, *, out: Tensor | None = None) -> Tensor:
    """input ** exponent, computed in float64."""
    require_one(input, exponent, "float_power")
    double = np.dtype(np.float64)
    if out is not None and out._array.dtype != double:
        raise RuntimeError(
            f"the output given to float_power has dtype {type_name(out)} but the operation's result requires dtype "
            "Double"
        )
    return pow(
        convert(input, double), convert(exponent, double) if isinstance(exponent, TensorBase) else exponent, out=out
    )


def unary(
    function: Callable[..., Any], name: str, doc: str, *, ints: str = "float", bools: type[Exception] | None = None
) -> Callable[..., Tensor]:
    """A torch function of one tensor. Of integers it computes in the default float dtype, in their own ("keep"), or
    gives a copy ("copy"); of bools it raises `bools`, where given."""

    def operation(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        if not isinstance(input, TensorBase):
            require_tensor(input, name)
        if input._array.dtype.kind != "f":
            if ints == "float":
                input = floating(input)
            elif bools is not None and is_bool(input):
                raise bools(f"{name}(): not supported for bool tensors; convert with .to(torch.int64) first")
            elif ints == "copy":
                return apply(kernels.clone, input, out=out)
        return apply(function, input, out=out)

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = f"{doc} Of the same shape; `out` is written into."
    return operation


neg = unary(np.negative, "neg", "-input.", ints="keep", bools=RuntimeError)
abs = unary(np.absolute, "abs", "The absolute value; gradient 0 at 0.", ints="keep", bools=NotImplementedError)
sign = unary(kernels.sign, "sign", "-1, 0 or 1; gradient 0. NaN gives 0, as in PyTorch.", ints="keep")
floor = unary(np.floor, "floor", "Rounded down.", ints="copy", bools=NotImplementedError)
ceil = unary(np.ceil, "ceil", "Rounded up.", ints="copy", bools=NotImplementedError)
trunc = unary(np.trunc, "trunc", "Rounded towards 0.", ints="copy", bools=NotImplementedError)
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
relu = unary(kernels.relu, "relu", "max(input, 0); gradient 0 at 0.", ints="keep", bools=RuntimeError)


def square(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """input * input; of bools, integers."""
    require_tensor(input, "square")
    return apply(np.square, convert(input, np.dtype(np.int64)) if is_bool(input) else input, out=out)


def round(input: Tensor, *, decimals: int = 0, out: Tensor | None = None) -> Tensor:
    """Rounded to the nearest, halves to even; gradient 0."""
    require_tensor(input, "round")
    decimals = index_of(decimals, "decimals")
    kind = input._array.dtype.kind
    if kind == "b" or (kind != "f" and decimals):
        raise NotImplementedError(f"\"round_cpu\" not implemented for '{type_name(input)}': convert to floats first")
    if kind != "f":
        return apply(kernels.clone, input, out=out)
    if decimals == 0:
        return apply(np.rint, input, out=out)
    return apply(kernels.rounded, input, out=out, decimals=decimals)


def atan2(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The angle of the point (other, input), in radians."""
    require_tensor(input, "atan2")
    require_tensor(other, "atan2", "other")
    dtype = result_dtype(input, other)
    if dtype.kind != "f":
        dtype = get_default_dtype().numpy  # from their own dtypes: the common one of integers may be too narrow
    return apply(np.arctan2, convert(input, dtype), convert(other, dtype), out=out)


def maximum(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The larger of each pair, NaN where either is; ties share the gradient evenly."""
    require_tensor(input, "maximum")
    require_tensor(other, "maximum", "other")
    x, y = pair(input, other)
    return apply(np.maximum, x, y, out=out)


def minimum(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The smaller of each pair, NaN where either is; ties share the gradient evenly."""
    require_tensor(input, "minimum")
    require_tensor(other, "minimum", "other")
    x, y = pair(input, other)
    return apply(np.minimum, x, y, out=out)


def clamp(
    input: Tensor, min: Operand | None = None, max: Operand | None = None, *, out: Tensor | None = None
) -> Tensor:
    """input limited to min..max, numbers or tensors; the gradient passes where input is between, bounds included."""
    require_tensor(input, "clamp")
    dtype = input._array.dtype
    if type(min) in _plain and type(max) in _plain and dtype.kind == "f" and min is not max:
        for b in (min, max):
            if b is not None:
                require_fit(number(b), dtype)
        return apply(kernels.clamp, input, out=out, low=min, high=max)
    bounds = [x for x in (min, max) if x is not None]
    if not bounds:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    dtype = result_dtype(input, *bounds)
    x = convert(input, dtype)
    if all(isinstance(b, TensorBase) for b in bounds):
        low, high = (None if b is None else convert(b, dtype) for b in (min, max))
        if low is None:
            return named(apply(kernels.clamp_max, x, high, out=out), "ClampBackward0")
        if high is None:
            return named(apply(kernels.clamp_min, x, low, out=out), "ClampBackward0")
        if dtype.kind != "b":
            return apply(kernels.clamp_tensor, x, low, high, out=out)
    if dtype.kind == "b":
        raise NotImplementedError("\"clamp_cpu\" not implemented for 'Bool': convert with .to(torch.int64) first")
    ends = [None if b is None else number_as(bound_of(b), dtype) for b in (min, max)]
    return apply(kernels.clamp, x, out=out, low=ends[0], high=ends[1])


_plain = {int, float, type(None)}


def bound_of(x: Any) -> Number:
    """A bound beside one that is a number: a number too, or a 0-d tensor that counts as one."""
    if not isinstance(x, TensorBase):
        return x  # type: ignore[no-any-return]
    if x._array.ndim or x._requires_grad:
        raise TypeError("clamp(): min and max must both be numbers or both be tensors")
    return x._array.item()  # type: ignore[no-any-return]


def clamp_min(input: Tensor, min: Operand, *, out: Tensor | None = None) -> Tensor:
    """clamp(input, min=min)."""
    if min is None:
        raise TypeError("clamp_min(): argument 'min' must be a Tensor or a number, not None")
    return named(clamp(input, min=min, out=out), f"ClampMinBackward{int(isinstance(min, TensorBase))}")


def clamp_max(input: Tensor, max: Operand, *, out: Tensor | None = None) -> Tensor:
    """clamp(input, max=max)."""
    if max is None:
        raise TypeError("clamp_max(): argument 'max' must be a Tensor or a number, not None")
    return named(clamp(input, max=max, out=out), f"ClampMaxBackward{int(isinstance(max, TensorBase))}")


def where(condition: Tensor, input: Any = None, other: Any = None, *, out: Tensor | None = None) -> Any:
    """`input` where `condition` holds, `other` elsewhere; with `condition` alone, its nonzero's indices per dim."""
    require_tensor(condition, "where", "condition")
    array = condition._array
    if input is None and other is None:
        return tuple(map(wrap, np.atleast_1d(array).nonzero()))
    if array.dtype == np.uint8:
        warnings.warn(
            "where received a uint8 condition tensor. This behavior is deprecated and will be removed in a future "
            "version of PyTorch. Use a boolean condition instead.",
            UserWarning,
            stacklevel=2,
        )
        condition = wrap(array != 0)
    elif array.dtype.kind != "b":
        raise RuntimeError(
            f"where expected condition to be a boolean tensor, but got a tensor with dtype {type_name(condition)}: "
            "compare it first, as in x != 0"
        )
    if isinstance(input, TensorBase) and isinstance(other, TensorBase):
        x, y = pair(input, other)
    else:
        dtype = result_dtype(input, other)
        x, y = (convert(z, dtype) if isinstance(z, TensorBase) else wrap(element_as(z, dtype)) for z in (input, other))
    return apply(np.where, condition, x, y, out=out)


def masked_fill(input: Tensor, mask: Tensor, value: Operand, *, out: Tensor | None = None) -> Tensor:
    """`value`, a number or a 0-d tensor, where `mask` holds; input elsewhere."""
    require_tensor(mask, "masked_fill", "mask")
    if mask._array.dtype.kind != "b":
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}: compare it first, as in "
            "x != 0"
        )
    dtype = input._array.dtype
    if not isinstance(value, TensorBase):
        filled = apply(np.where, mask, wrap(number_as(value, dtype)), input, out=out)
        return named(packed(filled, out), "MaskedFillBackward0")
    if value._array.ndim:
        raise RuntimeError(
            "masked_fill only supports a 0-dimensional value tensor, but got tensor with "
            f"{value._array.ndim} dimension(s)."
        )
    number_as(value._array.item(), dtype)  # RuntimeError unless it fits
    filled = apply(np.where, mask, convert(value, dtype), input, out=out)
    return named(packed(filled, out), "MaskedFillBackward0")


absolute, negative, clip = abs, neg, clamp
multiply, subtract, divide, true_divide = mul, sub, div, div
