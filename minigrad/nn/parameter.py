"""Parameter: a tensor that a module registers, and an optimizer trains."""

from __future__ import annotations

from typing import Any

from minigrad.autograd.node import TensorBase
from minigrad.metadata import float32
from minigrad.tensor import Tensor, legacy, rebuild


class Parameter(Tensor):
    """A leaf tensor that shares the memory of `data`; a module takes note of it when it becomes an attribute."""

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        source: Tensor = legacy(float32, ()) if data is None else data
        if not isinstance(source, TensorBase):
            raise TypeError(f"Parameter data has to be a tensor, but got {type(data).__name__}")
        parameter = rebuild(cls, source._array, False, None, {})
        parameter._counter = source._counter
        parameter.requires_grad = requires_grad
        return parameter  # type: ignore[return-value]

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        """All is done in __new__, which a subclass with another signature may rely on."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        copy = super().__deepcopy__(memo)
        copy._grad = None  # as PyTorch's: unlike that of a tensor, a parameter's copy has no gradient
        return copy  # type: ignore[return-value]

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
