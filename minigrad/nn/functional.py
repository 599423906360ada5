"""Layers and losses as functions."""

from __future__ import annotations

import warnings

from minigrad import kernels
from minigrad.autograd.graph import apply
from minigrad.autograd.node import TensorBase
from minigrad.ops import abs, log_softmax, mean, mul, sigmoid, softmax, sub, sum, tanh
from minigrad.ops import relu as _relu
from minigrad.ops.arguments import not_a_tensor, pair
from minigrad.ops.linalg import linear
from minigrad.tensor import Tensor

__all__ = ["l1_loss", "linear", "log_softmax", "mse_loss", "relu", "sigmoid", "softmax", "tanh"]


REDUCTIONS = ("mean", "sum", "none")


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0), in the memory of `input` where `inplace`; gradient 0 at 0."""
    return input.relu_() if inplace else _relu(input)


def reduction_of(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that old arguments mean; with PyTorch's warning, where they are given."""
    if size_average is not None or reduce is not None:
        average = size_average is None or size_average
        reduction = "none" if reduce is False else "mean" if average else "sum"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            UserWarning,
            stacklevel=3,
        )
    return reduction


def bad_reduction(reduction: str) -> ValueError:
    return ValueError(f"{reduction} is not a valid value for reduction: write 'mean', 'sum' or 'none'")


def warn_of_sizes(input: Tensor, target: Tensor) -> None:
    """PyTorch's warning where the shapes of prediction and target differ: that broadcasts, and is rarely meant."""
    warnings.warn(
        f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will likely "
        "lead to incorrect results due to broadcasting. Please ensure they have the same size.",
        UserWarning,
        stacklevel=3,
    )


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)**2: its mean, sum, or (reduction="none") each, weighted by `weight`, of its shape."""
    if size_average is not None or reduce is not None:
        reduction = reduction_of(size_average, reduce, reduction)
    if reduction not in REDUCTIONS:
        raise bad_reduction(reduction)
    if not isinstance(target, TensorBase):
        raise not_a_tensor(target, "mse_loss", "target")
    if input._array.shape != target._array.shape:
        warn_of_sizes(input, target)
    x, y = pair(input, target)
    if reduction != "none" and weight is None:
        return apply(kernels.mse_loss, x, y, reduction=reduction)
    loss = apply(kernels.squared_error, x, y)
    if weight is None:
        return loss
    weighted = mul(loss, weight)
    if reduction == "none":
        return weighted
    return sum(weighted) if reduction == "sum" else sum(weighted) / sum(weight)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """abs(input - target): its mean, sum, or (reduction="none") each."""
    if size_average is not None or reduce is not None:
        reduction = reduction_of(size_average, reduce, reduction)
    if reduction not in REDUCTIONS:
        raise bad_reduction(reduction)
    if not isinstance(target, TensorBase):
        raise not_a_tensor(target, "l1_loss", "target")
    if input._array.shape != target._array.shape:
        warn_of_sizes(input, target)
    loss = abs(sub(input, target))
    return loss if reduction == "none" else mean(loss) if reduction == "mean" else sum(loss)
