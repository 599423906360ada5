"""Which kernels a program spells in another way than by their own bodies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.kernels.numeric import sum_of_squares

# In these, the body has a trick for the sake of speed, or asks what NumPy has a function for. The same numbers, for
# NaN too.
READABLE: dict[str, Callable[..., Any]] = {
    "keep": lambda x, mask: np.where(mask, x, 0),
    "threshold": lambda x, y: np.where(y <= 0, 0, x),
    "linear": lambda x, weight, bias: x @ weight.T + bias,
    "broadcast": lambda x, shape: np.broadcast_to(x, shape),
    "fill": lambda x, y: np.broadcast_to(y, x.shape).astype(x.dtype),
    "getitem": lambda x, index: getitem(x, index),
    "mse_loss": lambda x, y, reduction: mse_loss(x, y, reduction),
    "descend": lambda x, y, rate: descend(x, y, rate),
}

# These fill arrays of their own, call LAPACK, look at values or at the memory: a program calls them, and has their
# definitions above.
OPAQUE = {
    "scatter", "put", "put_diagonal", "put_slice", "strided", "scatter_strided", "put_strided", "median", "normal_cdf",
    "nll_loss", "nll_loss2d", "nll_spread", "svd", "distinct", "repeat", "diagonal", "sum_of_blocks", "put_reduced",
    "frequency",
}  # fmt: skip


def getitem(x: Any, index: Any) -> Any:
    """x[index], which is a view also where it has no dims."""
    out = x[index]
    entries = index if isinstance(index, tuple) else (index,)
    return out if out.ndim or any(i is Ellipsis for i in entries) else x[(*entries, ...)]


def mse_loss(x: Any, y: Any, reduction: str) -> Any:
    """For one size and dtype, which are those of the trace."""
    d = (x - y).ravel()
    total = sum_of_squares(d)
    return total if reduction == "sum" else total / d.size


def descend(x: Any, y: Any, rate: Any) -> None:
    """In one piece."""
    x -= rate * y
