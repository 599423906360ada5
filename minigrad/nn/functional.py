"""Layers and losses as functions."""

from __future__ import annotations

from minigrad.nn.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    l1_loss,
    mse_loss,
    nll_loss,
)
from minigrad.ops import log_softmax, sigmoid, softmax, tanh
from minigrad.ops import relu as _relu
from minigrad.ops.linalg import linear
from minigrad.tensor import Tensor

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "l1_loss", "linear", "log_softmax",
    "mse_loss", "nll_loss", "relu", "sigmoid", "softmax", "tanh",
]  # fmt: skip


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0), in the memory of `input` where `inplace`; gradient 0 at 0."""
    return input.relu_() if inplace else _relu(input)
