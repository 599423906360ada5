"""Variable, which tensors have replaced: PyTorch keeps the name, and it returns a Tensor."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.autograd.node import TensorBase, wrap
from minigrad.metadata import get_default_dtype

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


class _VariableMeta(type):
    def __instancecheck__(cls, x: object) -> bool:
        return isinstance(x, TensorBase)


class Variable(metaclass=_VariableMeta):
    """Variable(tensor, requires_grad=True) is a leaf tensor that shares the memory of `tensor`.

    `volatile=True` was what torch.no_grad() is now: it warns, and does nothing.
    """

    def __new__(cls, data: Any = None, requires_grad: bool = False, volatile: bool = False) -> Tensor:  # type: ignore[misc]
        if volatile:
            warnings.warn(
                "volatile was removed and now has no effect. Use `with torch.no_grad():` instead.",
                UserWarning,
                stacklevel=2,
            )
            if requires_grad:
                raise ValueError("Variable can't be volatile and require_grad at the same time!")
        if data is None:
            data = wrap(np.empty(0, get_default_dtype().numpy))
        if not isinstance(data, TensorBase):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        variable = wrap(data._array, data._counter)
        variable.requires_grad = requires_grad
        return variable
