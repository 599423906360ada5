"""Variable, which tensors have replaced: PyTorch keeps the name, and it returns a Tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minigrad.autograd.node import TensorBase, wrap

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


class _VariableMeta(type):
    def __instancecheck__(cls, x: object) -> bool:
        return isinstance(x, TensorBase)


class Variable(metaclass=_VariableMeta):
    """Variable(tensor, requires_grad=True) is a leaf tensor that shares the memory of `tensor`."""

    def __new__(cls, data: Any = None, requires_grad: bool = False, volatile: bool | None = None) -> Tensor:  # type: ignore[misc]
        if not isinstance(data, TensorBase):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        variable = wrap(data._array, data._counter)
        variable.requires_grad = requires_grad
        return variable
