"""Layers that reshape."""

from __future__ import annotations

import math
from typing import Any

from minigrad.nn.modules.module import Module
from minigrad.ops.arguments import axis_of
from minigrad.tensor import Tensor


class Flatten(Module):
    """The dims from start_dim to end_dim as one: (n, ...) to (n, features) by default."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """One dim as several, of the sizes `unflattened_size`, one of which may be -1."""

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        if not isinstance(unflattened_size, (tuple, list)):
            raise TypeError(
                f"unflattened_size must be a tuple of ints, but found type {type(unflattened_size).__name__}"
            )
        for i, size in enumerate(unflattened_size):
            if not isinstance(size, int):
                kind = type(size).__name__
                raise TypeError(f"unflattened_size must be tuple of ints, but found element of type {kind} at pos {i}")
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input: Tensor) -> Tensor:
        axis, sizes = axis_of(self.dim, input.ndim), list(self.unflattened_size)
        length, known = input.shape[axis], math.prod(size for size in sizes if size != -1)
        if not sizes:
            raise RuntimeError("unflatten: sizes must be non-empty")
        if sizes.count(-1) > 1 or not known or length % known or (known != length and -1 not in sizes):
            raise RuntimeError(
                f"unflatten: Provided sizes {sizes} don't multiply up to the size of dim {axis} ({length}) in the "
                "input tensor"
            )
        return input.reshape(*input.shape[:axis], *sizes, *input.shape[axis + 1 :])  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
