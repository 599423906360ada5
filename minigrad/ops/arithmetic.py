"""Pointwise operations made of those of `pointwise`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad import kernels
from minigrad.autograd.graph import apply
from minigrad.autograd.node import TensorBase, as_array, named, wrap
from minigrad.ops.arguments import promote, require_tensor, type_name
from minigrad.ops.comparison import ge, gt, le, lt, ne
from minigrad.ops.distributions import real
from minigrad.ops.numbers import Number, factor_as
from minigrad.ops.pointwise import acos, asin, atan, atan2, sub, trunc, where

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1, out: Tensor | None = None) -> Tensor:
    """input + value * tensor1 * tensor2."""
    require_tensors("addcmul", input, tensor1, tensor2)
    x, y, z = promote(input, tensor1, tensor2)
    if x._array.dtype.kind == "b":
        raise NotImplementedError("\"addcmul_cpu_out\" not implemented for 'Bool': convert with .to()")
    value = factor_as(value, x._array.dtype, "argument 'value'")
    return apply(kernels.addcmul, x, y, z, value=value, out=out)


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Number = 1, out: Tensor | None = None) -> Tensor:
    """input + value * tensor1 / tensor2. RuntimeError where both of the last are integers."""
    require_tensors("addcdiv", input, tensor1, tensor2)
    if tensor1._array.dtype.kind != "f" and tensor2._array.dtype.kind != "f":
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported: (input + value * torch.trunc(tensor1 / "
            "tensor2)).to(input.dtype) is what it was; convert with .float() for a true division"
        )
    x, y, z = promote(input, tensor1, tensor2)
    value = factor_as(value, x._array.dtype, "argument 'value'")
    return apply(kernels.addcdiv, x, y, z, value=value, out=out)


def require_tensors(name: str, *tensors: Tensor) -> None:
    for argument, x in zip(("input", "tensor1", "tensor2"), tensors, strict=True):
        require_tensor(x, name, argument)


def lerp(input: Tensor, end: Tensor, weight: Tensor | float, *, out: Tensor | None = None) -> Tensor:
    """input + weight * (end - input): from input, at weight 0, to end, at weight 1."""
    require_tensor(input, "lerp")
    require_tensor(end, "lerp", "end")
    given = [input, end, *([weight] if isinstance(weight, TensorBase) else [])]
    scalar = isinstance(weight, TensorBase) and not weight._array.ndim
    for x in given[1 : 2 if scalar else 3]:
        if x._array.dtype != input._array.dtype:
            raise RuntimeError(f"expected dtype {input.dtype} for lerp, but got dtype {x.dtype}")
    if scalar:
        input, end, weight = promote(*given)
    if input._array.dtype.kind != "f":
        raise NotImplementedError(f"\"lerp_kernel\" not implemented for '{type_name(input)}': convert with .float()")
    if isinstance(weight, TensorBase):
        return apply(kernels.lerp, input, end, weight, out=out)
    weight = float(factor_as(weight, input._array.dtype, "argument 'weight'"))
    return apply(kernels.lerp_by_number, input, end, out=out, weight=weight)


def nan_to_num(
    input: Tensor,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """NaN replaced by `nan` (0), infinities by `posinf` and `neginf` (the dtype's largest); gradient 0 there."""
    require_tensor(input, "nan_to_num")
    array = input._array
    if array.dtype.kind != "f":
        return apply(kernels.clone, input, out=out)
    top = float(np.finfo(array.dtype).max)
    values = [
        default if x is None else real(x, "nan_to_num", name)
        for name, x, default in (("nan", nan, 0.0), ("posinf", posinf, top), ("neginf", neginf, -top))
    ]
    replaced = np.select([np.isnan(array), array == np.inf], values[:2], values[2])
    replacements = wrap(as_array(replaced).astype(array.dtype))
    return named(where(wrap(np.isfinite(array)), input, replacements, out=out), "NanToNumBackward0", input)


def frac(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """What is left of input without its whole part: input - trunc(input)."""
    require_tensor(input, "frac")
    if input._array.dtype.kind != "f":
        raise NotImplementedError(f"\"frac_cpu\" not implemented for '{type_name(input)}': convert with .float()")
    return named(sub(input, trunc(input), out=out), "FracBackward0", input)


def hypot(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """sqrt(input**2 + other**2), without overflow."""
    require_tensor(input, "hypot")
    require_tensor(other, "hypot", "other")
    x, y = promote(input, other)
    if x._array.dtype.kind != "f":
        raise NotImplementedError(f"\"hypot_cpu\" not implemented for '{type_name(x)}': convert with .float()")
    return apply(np.hypot, x, y, out=out)


arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
fix = trunc
