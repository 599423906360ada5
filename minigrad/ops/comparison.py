"""Comparisons, logic and bits: results without derivatives."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import kernels
from minigrad.autograd.graph import apply
from minigrad.autograd.node import TensorBase, named
from minigrad.ops.arguments import (
    floating,
    pair,
    promote,
    refuse,
    require_tensor,
    type_name,
)
from minigrad.ops.pointwise import Operand, require_one

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


def comparison(function: Callable[..., Any], name: str, symbol: str) -> Callable[..., Tensor]:
    def compare(input: Tensor, other: Operand, *, out: Tensor | None = None) -> Tensor:
        if not isinstance(input, TensorBase):
            require_tensor(input, name)
        x, y = pair(input, other)
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


def written(function: Callable[..., Tensor], ufunc: np.ufunc) -> Callable[..., Tensor]:
    """A comparison for its in-place form, whose result takes the place of numbers, and has a history."""

    @functools.wraps(function)
    def compare(input: Tensor, other: Operand, *, out: Tensor | None = None) -> Tensor:
        if out is not None:
            return function(input, other, out=out)
        x, y = pair(input, other)
        result = apply(kernels.cast, apply(kernels.compared, x, y, ufunc=ufunc), dtype=input._array.dtype)
        number = int(isinstance(other, TensorBase))
        return named(result, f"{function.__name__.title()}Backward{number}", input, other)

    return compare


def logical(function: Callable[..., Any], name: str, symbol: str) -> Callable[..., Tensor]:
    def operate(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
        require_tensor(input, name)
        require_tensor(other, name, "other")
        return apply(function, input, other, out=out)

    operate.__name__ = operate.__qualname__ = name
    operate.__doc__ = f"input {symbol} other, as bools, where all but 0 is true; shapes broadcast."
    return operate


logical_and = logical(np.logical_and, "logical_and", "and")
logical_or = logical(np.logical_or, "logical_or", "or")
logical_xor = logical(np.logical_xor, "logical_xor", "xor")


def bitwise(
    function: Callable[..., Any],
    name: str,
    symbol: str,
    refused: str = "f",
    what: str = "bit by bit, for integers and bools",
) -> Callable[..., Tensor]:
    def operate(input: Operand, other: Operand, *, out: Tensor | None = None) -> Tensor:
        require_one(input, other, name)
        x, y = promote(input, other)
        if x._array.dtype.kind in refused:
            refuse(f"{name}_cpu", x, y, out)
        return apply(function, x, y, out=out)

    operate.__name__ = operate.__qualname__ = name
    operate.__doc__ = f"input {symbol} other, {what}."
    return operate


bitwise_and = bitwise(np.bitwise_and, "bitwise_and", "&")
bitwise_or = bitwise(np.bitwise_or, "bitwise_or", "|")
bitwise_xor = bitwise(np.bitwise_xor, "bitwise_xor", "^")
_moved = "the bits moved, for integers; 0, or -1 for the right shift of a negative one, where all are moved out"
bitwise_left_shift = bitwise(np.left_shift, "bitwise_left_shift", "<<", "fb", _moved)
bitwise_right_shift = bitwise(np.right_shift, "bitwise_right_shift", ">>", "fb", _moved)


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
    require_tensor(input, "bitwise_not")
    if input._array.dtype.kind == "f":
        raise NotImplementedError(
            f"\"bitwise_not_cpu\" not implemented for '{type_name(input)}': integers and bools only"
        )
    return apply(np.invert, input, out=out)


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Where |input - other| <= atol + rtol * |other|. RuntimeError for different dtypes."""
    require_tensor(input, "isclose")
    require_tensor(other, "isclose", "other")
    if input._array.dtype != other._array.dtype:
        raise RuntimeError(f"{type_name(input)} did not match {type_name(other)}: convert one with .to()")
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if not tolerance >= 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {tolerance}")
    x, y = floating(input), floating(other)
    return apply(kernels.close, x, y, rtol=float(rtol), atol=float(atol), equal_nan=equal_nan)


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether |input - other| <= atol + rtol * |other| everywhere."""
    return bool(isclose(input, other, rtol, atol, equal_nan)._array.all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and elements."""
    require_tensor(input, "equal")
    require_tensor(other, "equal", "other")
    return np.array_equal(input._array, other._array)
