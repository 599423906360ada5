"""Sums as exact as PyTorch's along every axis, and the adjoints of broadcasting and repeating, which are sums.

NumPy adds by pairs along the innermost axis alone; along any other it adds row after row, and float32 loses a digit
with each decade of rows. `total` leaves to NumPy what is short or lies innermost in memory, and cuts the rest into
blocks of rows, whose sums are added up in float64. (Higham, "The accuracy of floating point summation", 1993,
https://doi.org/10.1137/0914050, compares such orders.)
"""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np

from minigrad.kernels.layout import Array, Shape, count, dispatched, in_order, inverse, ndarray, reshape

ROWS = 128  # terms that may be added one after the other
STRIDED_ROWS = 16  # in blocks that BLAS can't read, where nothing else keeps the rounding errors small


@dispatched
def total(x: Array, *, axis: Shape, keepdims: bool, dtype: Any = None) -> Array:
    """The sum over `axis`, in the dtype of x; `dtype` must say it again for integers, which NumPy would widen."""
    if dtype is not None:
        return np.add.reduce(x, axis=axis, dtype=dtype, keepdims=keepdims)
    n = x.size
    if n > ROWS or 4 < n < 8 or x.itemsize == 2:
        return unusual_total(x, axis, keepdims)
    out = np.add.reduce(x, axis=axis, keepdims=keepdims)
    return out if out.ndim < 2 else in_order(out)


total_of_array = inspect.unwrap(total)  # which doesn't ask for NumPy's protocol


def unusual_total(x: Array, axis: Shape, keepdims: bool) -> Array:
    """The sum of 5, 6 or 7 elements, of many, or of float16, which is added up in float32."""
    if x.itemsize == 2:
        return total(x.astype(np.float32), axis=axis, keepdims=keepdims).astype(x.dtype)
    if x.size > ROWS and len(axis) == x.ndim and x.flags.c_contiguous:
        return np.add.reduce(x, axis=axis, keepdims=keepdims)
    shape = tuple(1 if i in axis else n for i, n in enumerate(x.shape) if keepdims or i not in axis)
    if 4 < x.size < 8 and x.flags.c_contiguous and count(x.shape, axis) == x.size:
        return np.add.reduce(in_torchs_order(x.reshape(-1))).reshape(shape)
    while terms_in_turn(x, axis) > ROWS:
        # Along the axis whose neighbours lie furthest apart; a stride of 0 doesn't say how NumPy takes it.
        x = sum_of_blocks(x, axis=max(axis, key=lambda i: (x.shape[i] > 1, abs(x.strides[i]) or math.inf)))
        if count(x.shape, axis) == 1:
            return in_order(x.reshape(shape))
    return in_order(np.add.reduce(x, axis=axis, keepdims=keepdims))


def in_torchs_order(x: Array) -> Array:
    """5, 6 or 7 terms in PyTorch's order, the same on every processor (aten/src/ATen/native/cpu/SumKernel.cpp)."""
    return x[[i for i in (0, 4, 5, 6, 1, 2, 3) if i < len(x)]]


def total_of_all(x: Array) -> Array:
    return total(x, axis=tuple(range(x.ndim)), keepdims=False)


def terms_in_turn(x: Array, axis: Shape) -> int:
    """How many terms np.add.reduce adds one after the other: all but those of the run that lies innermost in memory."""
    shape, strides = x.shape, x.strides
    terms, step = count(shape, axis), 0
    if terms <= ROWS:
        return terms
    for i in sorted([i for i, n in enumerate(shape) if n > 1], key=lambda i: abs(strides[i])):
        if i not in axis or not strides[i] or (step and strides[i] != step):
            break
        terms //= shape[i]
        step = strides[i] * shape[i]
    return terms


@dispatched
def sum_of_blocks(x: Array, *, axis: int) -> Array:
    """The sum over one axis, which keeps the length 1: blocks of rows, and then their sums in float64."""
    dtype = x.dtype
    order = tuple(sorted(range(x.ndim), key=lambda i: -abs(x.strides[i])))  # as the axes lie in memory
    x, axis, back = x.transpose(order), order.index(axis), inverse(order)
    rows = ROWS if x.flags.c_contiguous else STRIDED_ROWS
    blocks, before, after = x.shape[axis] // rows, x.shape[:axis], x.shape[axis + 1 :]
    whole = (slice(None),) * axis
    out = np.add.reduce(x[(*whole, slice(blocks * rows, None))], axis=axis, dtype=np.float64, keepdims=True)
    if blocks:
        head = x[(*whole, slice(blocks * rows))].reshape(*before, blocks, rows, *after)
        if rows == ROWS:  # BLAS takes a fraction of the time, and adds several rows at once
            sums = np.matmul(np.ones(rows, dtype), head.reshape(*before, blocks, rows, -1))
        else:
            sums = np.add.reduce(head, axis=axis + 1)
        sums = sums.reshape(*before, blocks, *after).astype(np.float64)
        out += total(sums, axis=(axis,), keepdims=True)
    return out.astype(dtype).transpose(back)


@dispatched
def running_total(x: Array, *, axis: int, dtype: Any = None) -> Array:
    """The sums of the first 1, 2, 3... elements along an axis, added up in float64, as PyTorch's; `dtype` as above."""
    return np.add.accumulate(x, axis=axis, dtype=dtype or np.float64).astype(dtype or x.dtype)


def sum_to(g: Array, shape: Shape) -> Array:
    """The adjoint of broadcasting: sum `g` over the axes that broadcasting from `shape` added or stretched."""
    whole = g.shape
    lead = len(whole) - len(shape)
    add = total_of_array if type(g) is ndarray else total
    if whole[lead:] == shape:
        return add(g, axis=(0,) if lead == 1 else tuple(range(lead)), keepdims=False)
    axis = tuple([i for i, n in enumerate((1,) * lead + shape) if n != whole[i]])
    out = add(g, axis=axis, keepdims=True)
    return reshape(out, shape=shape) if lead else out


def fold(g: Array, shape: Shape, sizes: Shape) -> Array:
    """The adjoint of `repeat`: the sum of the repetitions."""
    pairs = zip(sizes, (1,) * (len(sizes) - len(shape)) + shape, strict=True)
    parts = reshape(g, shape=tuple(k for pair in pairs for k in pair))
    return reshape(total(parts, axis=tuple(range(0, 2 * len(sizes), 2)), keepdims=False), shape=shape)
