"""Numbers as PyTorch takes them: Python's, NumPy's, and tensors without dims that stand for one."""

from __future__ import annotations

import math
import operator
from typing import Any, TypeAlias

import numpy as np

from minigrad.autograd.node import TensorBase
from minigrad.metadata import dtype_of, float16, float32, float64, get_default_dtype

Number: TypeAlias = int | float | bool
_bool, _int64, UINT64 = np.dtype(bool), np.dtype(np.int64), np.dtype(np.uint64)
_half = float16.numpy
_largest = {d.numpy: float(np.finfo(d.numpy).max) for d in (float16, float32, float64)}


def number(x: Any, argument: str = "an operand") -> Number:
    """A Python number. OverflowError for ints beyond 64 bits, TypeError for what is no number.

    NumPy's bool counts as a float, as in PyTorch.
    """
    if type(x) is float or type(x) is bool:
        return x
    if isinstance(x, TensorBase) and not x._array.ndim and not x._requires_grad:
        x = x._array.item()
    if x is True or x is False:
        return x
    if isinstance(x, (int, np.integer)):
        if not -(2**63) <= x < 2**64:
            raise OverflowError(f"int too big to convert: {x} has more than 64 bits; write it as a float")
        return int(x)
    if isinstance(x, (float, np.floating, np.bool_)):
        return float(x)
    raise TypeError(
        f"{argument} must be a Tensor or a number, not {type(x).__name__}: convert it with torch.tensor() first"
        if argument == "an operand"
        else f"{argument} must be Number, not {type(x).__name__}"
    )


def number_dtype(x: Any) -> np.dtype[Any]:
    """The dtype that a number counts as, uint64 where int64 can't hold it; errors of number()."""
    x = number(x)
    if type(x) is float:
        return get_default_dtype().numpy
    return _bool if type(x) is bool else _int64 if x < 2**63 else UINT64


def number_as(value: Any, target: np.dtype[Any]) -> Any:
    """A number in a dtype; RuntimeError where it doesn't fit. A negative int wraps around in uint8, as in PyTorch."""
    value = number(value)
    if target.kind == "b":
        return np.bool_(value)
    if target.kind == "f":
        require_fit(value, target)
        return target.type(value)
    info = np.iinfo(target)
    low = info.min if info.min or isinstance(value, float) else -info.max
    if not low <= value <= info.max:
        raise unfit(value, target)
    return np.int64(int(value)).astype(target)


def require_fit(value: Number, target: np.dtype[Any]) -> None:
    """RuntimeError where a number is too large for a floating dtype; infinity is not."""
    if _largest[target] < abs(value) < math.inf:
        raise unfit(value, target)


def unfit(value: Number, target: np.dtype[Any]) -> RuntimeError:
    return RuntimeError(f"value cannot be converted to type {dtype_of(target).name} without overflow: {value}")


def element_as(value: Any, target: np.dtype[Any]) -> Any:
    """A number that becomes an element: as number_as(), but float16 takes infinity for what is too large, as PyTorch's
    fill of a scalar does."""
    value = number(value)
    if target == _half and abs(value) >= 65520:  # which float16 rounds to infinity
        return np.float16(math.copysign(math.inf, value))
    return number_as(value, target)


def factor_as(value: Any, target: np.dtype[Any], argument: str) -> Any:
    """A number that elements of a dtype are computed with, as a Python number; RuntimeError where it doesn't fit.

    PyTorch computes with float16 in float32.
    """
    value = number(value, argument)
    if target.kind != "f":
        return number_as(value, target).item()
    require_fit(value, target if target.itemsize > 2 else float32.numpy)
    return value


def index_of(x: Any, argument: str) -> int:
    """A dim or a place as a Python int. TypeError for bools, arrays, and all else that PyTorch refuses."""
    if type(x) is int:
        return x
    if isinstance(x, np.ndarray) or (isinstance(x, TensorBase) and x._array.ndim):
        raise TypeError(f"argument '{argument}' must be int, not {type(x).__name__}")
    return size_of(x, argument)


def size_of(x: Any, argument: str) -> int:
    """One of several sizes or dims as a Python int, which arrays of one int may be, too; TypeError for bools."""
    if not isinstance(x, bool):
        try:
            return operator.index(x)
        except TypeError:
            pass
    raise TypeError(f"argument '{argument}' must be int, not {type(x).__name__}")
