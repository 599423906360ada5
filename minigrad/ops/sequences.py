"""Functions that make tensors of numbers in a row, and of places in a matrix."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.metadata import dtype as Dtype
from minigrad.metadata import int64
from minigrad.ops.creation import Device, bound, finished, linspace, numpy_dtype, target_dtype
from minigrad.ops.distributions import real
from minigrad.ops.numbers import index_of
from minigrad.ops.placing import placing

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


@placing
def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    out: Tensor | None = None,
    dtype: Dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` powers of `base`, whose exponents go from `start` to `end` in equal steps."""
    target, base = target_dtype(dtype, out), real(base, "logspace", "base")
    if target.kind == "b" and steps > 1:
        raise NotImplementedError("\"logspace_cpu\" not implemented for 'Bool'")
    if target.kind != "f":  # PyTorch's ends are numbers of the dtype, their powers are not
        start, end = (int(bound(x, "logspace", name)) for x, name in ((start, "start"), (end, "end")))
    exponents = linspace(start, end, steps, dtype=dtype if target.kind == "f" else None)._array
    powers = np.power(target.type(base) if target.kind == "f" else base, exponents)
    return finished(powers.astype(target), requires_grad, device, out)


@placing
def range(
    start: float = 0,
    end: float | None = None,
    step: float = 1,
    *,
    out: Tensor | None = None,
    dtype: Dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers from `start` to `end`, which counts, as floats; arange() stops before its end."""
    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is inconsistent with "
        "Python's range builtin. Instead, use torch.arange, which produces values in [start, end).",
        UserWarning,
        stacklevel=3,
    )
    if end is None:
        start, end = 0, start
    start, end, step = bound(start, "range", "start"), bound(end, "range", "end"), bound(step, "range", "step")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) / step < 0:
        raise RuntimeError("upper bound and larger bound inconsistent with step sign")
    count = math.floor((end - start) / step) + 1
    values = start + step * np.arange(count)
    return finished(values.astype(target_dtype(dtype, out)), requires_grad, device, out)


@placing
def tril_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: Dtype = int64,
    device: Device = "cpu",
    requires_grad: bool = False,
) -> Tensor:
    """The places on and below the diagonal of a matrix, which `offset` moves to the right: (2, n), rows and columns."""
    return places(np.tril_indices, row, col, offset, dtype, device, requires_grad)


@placing
def triu_indices(
    row: int,
    col: int,
    offset: int = 0,
    *,
    dtype: Dtype = int64,
    device: Device = "cpu",
    requires_grad: bool = False,
) -> Tensor:
    """The places on and above the diagonal of a matrix, which `offset` moves to the right: (2, n), rows and columns."""
    return places(np.triu_indices, row, col, offset, dtype, device, requires_grad)


def places(function: Any, row: int, col: int, offset: int, dtype: Dtype, device: Device, requires_grad: bool) -> Tensor:
    row, col, offset = (index_of(n, "row, col or offset") for n in (row, col, offset))
    for name, n in (("row", row), ("col", col)):
        if n < 0:
            raise RuntimeError(f"{name} must be non-negative, got {n}")
    return finished(np.stack(function(row, offset, col)).astype(numpy_dtype(dtype)), requires_grad, device)
