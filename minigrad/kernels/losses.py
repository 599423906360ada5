"""Losses: each on arrays, and the compositions of the table's functions that are their gradients.

`reduction` is "mean", "sum" or "none"; the weights of elements and of classes may be None. Formulas as PyTorch's
(aten/src/ATen/native/Loss.cpp, LossNLL.cpp, version 2.13), which decide what happens at 0 and at 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels.layout import Array, dispatched
from minigrad.kernels.numeric import expit, log_sigmoid
from minigrad.kernels.sums import total_of_all

EPSILON = float(np.float32(1e-12))  # a float in PyTorch, whatever the dtype


def weighted(losses: Array, weight: Array | None, reduction: str) -> Array:
    """The losses of the elements, weighted and reduced."""
    if weight is not None:
        losses = losses * weight
    if reduction == "none":
        return losses
    out = total_of_all(losses)
    return out if reduction == "sum" else out / (losses.size or math.nan)


def shared(g: Array, x: Array, weight: Array | None, reduction: str) -> Array:
    """The adjoint of `weighted`, but for broadcasting: the gradient at each element of x."""
    if reduction == "mean":
        g = g / (math.prod(x.shape) or 1)
    return g if weight is None else g * weight


# Class indices.


def class_index(target: Array) -> tuple[Array, ...]:
    """Where each target's class stands in scores of the shape (classes), (n, classes) or (n, classes, ...)."""
    own = np.indices(target.shape, sparse=True)
    return (*own[:1], target, *own[1:])


def class_weights(target: Array, weight: Array | None, ignore_index: int, dtype: Any) -> tuple[Array, Array, Array]:
    """Which targets count; the targets, with class 0 for the others; the weights of their classes, 0 for the others."""
    kept = target != ignore_index
    target = np.where(kept, target, 0)
    return kept, target, kept.astype(dtype) if weight is None else np.where(kept, weight[target], 0)


@dispatched
def nll_loss(x: Array, target: Array, weight: Array | None, *, reduction: str, ignore_index: int) -> Array:
    """-x at the target's class, times the weight of the class; 0 where the target is `ignore_index`.

    "mean" divides the sum by the sum of these weights.
    """
    if not x.size:
        x = np.zeros((*target.shape[:1], 1, *target.shape[1:]), x.dtype)  # of no class: all targets are ignored
    kept, target, weights = class_weights(target, weight, ignore_index, x.dtype)
    losses = np.where(kept, -x[class_index(target)] * weights, 0)
    if reduction == "none":
        return losses
    out = total_of_all(losses)
    return out if reduction == "sum" else out / total_of_all(weights)


@dispatched
def nll_loss2d(x: Array, target: Array, weight: Array | None, *, reduction: str, ignore_index: int) -> Array:
    """nll_loss for x of 4 dims: PyTorch's name for its node."""
    return nll_loss(x, target, weight, reduction=reduction, ignore_index=ignore_index)


@dispatched
def nll_spread(g: Array, x: Array, target: Array, weight: Array | None, *, reduction: str, ignore_index: int) -> Array:
    """The adjoint of nll_loss: zeros of the shape of x with -g, weighted, at the targets' classes."""
    out = np.zeros(x.shape, g.dtype)
    kept, target, weights = class_weights(target, weight, ignore_index, g.dtype)
    if reduction == "mean":
        weights = weights / total_of_all(weights)
    if x.size:
        out[class_index(target)] = np.where(kept, -g * weights, 0)
    return out


def nll_rule(g: Array, x: Array, target: Array, weight: Array | None, reduction: str, ignore_index: int) -> Array:
    return nll_spread(g, x, target, weight, reduction=reduction, ignore_index=ignore_index)


# Probabilities.


@dispatched
def binary_cross_entropy(x: Array, y: Array, weight: Array | None, *, reduction: str) -> Array:
    """-y log(x) - (1 - y) log(1 - x), the logarithms no lower than -100."""
    losses = (y - 1) * np.maximum(np.log1p(-x), -100) - y * np.maximum(np.log(x), -100)
    return weighted(losses, weight, reduction)


@dispatched
def binary_cross_entropy_backward(g: Array, x: Array, y: Array) -> Array:
    """The gradient of binary_cross_entropy in x, from that of each element's loss."""
    return g * (x - y) / np.maximum((1 - x) * x, EPSILON)


def logistic_slope(x: Array) -> Array:
    """x (1 - x), but above 0: what PyTorch's second gradients of binary_cross_entropy divide by."""
    return (x + 1e-12) * (1 - x + 1e-12)


def binary_cross_entropy_rule(g: Array, x: Array, y: Array, weight: Array | None, reduction: str) -> Array:
    return binary_cross_entropy_backward(shared(g, x, weight, reduction), x, y)


def probability_rule(g: Array, x: Array, weight: Array | None, reduction: str) -> Array:
    """The gradient of binary_cross_entropy in y."""
    return shared(g, x, weight, reduction) * (np.log(1 - x) - np.log(x))


@dispatched
def binary_cross_entropy_with_logits(
    x: Array, y: Array, weight: Array | None, pos_weight: Array | None, *, reduction: str
) -> Array:
    """binary_cross_entropy of sigmoid(x), without overflow; y log(sigmoid(x)) counts `pos_weight` times."""
    factor = 1 if pos_weight is None else (pos_weight - 1) * y + 1
    return weighted((1 - y) * x - factor * log_sigmoid(x), weight, reduction)


def with_logits_rule(
    g: Array, x: Array, y: Array, weight: Array | None, pos_weight: Array | None, reduction: str
) -> Array:
    if pos_weight is None:  # expit(x) - y, exact in both tails
        slope = np.where(x < 0, expit(x) - y, 1 - y - expit(-x))
    else:
        slope = (1 - y) * expit(x) - pos_weight * y * expit(-x)
    return shared(g, x, weight, reduction) * slope


def logit_probability_rule(g: Array, x: Array, weight: Array | None, pos_weight: Array | None, reduction: str) -> Array:
    """The gradient of binary_cross_entropy_with_logits in y."""
    slope = -x if pos_weight is None else (1 - pos_weight) * log_sigmoid(x) - x
    return shared(g, x, weight, reduction) * slope
