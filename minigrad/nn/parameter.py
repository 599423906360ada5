"""Parameter: a tensor that a module registers, and an optimizer trains."""

from __future__ import annotations

from typing import Any, NoReturn, Self

import numpy as np

from minigrad.autograd.node import TensorBase, wrap
from minigrad.metadata import Size, dtype, float32, get_default_dtype
from minigrad.tensor import Tensor, legacy, rebuild


class Parameter(Tensor):
    """A leaf tensor that shares the memory of `data`; a module takes note of it when it becomes an attribute."""

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        source: Tensor = legacy(float32, ()) if data is None else data
        if not isinstance(source, TensorBase):
            raise TypeError(f"Parameter data has to be a tensor, but got {type(data).__name__}")
        parameter = rebuild(cls, source._array, False, {})
        parameter._counter = source._counter
        parameter.requires_grad = requires_grad
        return parameter  # type: ignore[return-value]

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        """All is done in __new__, which a subclass with another signature may rely on."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        """A parameter with memory of its own; unlike the copy of a tensor, without gradient and attributes."""
        copy = memo[id(self)] = rebuild(type(self), self._array.copy(order="K"), self.requires_grad, {})
        return copy  # type: ignore[return-value]

    def __repr__(self) -> str:
        plain = type(self) is Parameter
        text = self._text("tensor") if plain else f"Parameter({self._text(type(self).__name__)})"
        return f"Parameter containing:\n{text}"


class UninitializedParameter(Parameter):
    """A parameter without shape or memory, until materialize() makes it a Parameter: what lazy modules begin with."""

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: dtype | None = None) -> Self:
        parameter = object.__new__(cls)
        for field, value in (("_counter", [0, None]), ("_requires_grad", requires_grad)):
            setattr(parameter, field, value)
        parameter._grad = parameter._node = parameter._view = None
        parameter.__dict__["lazy_dtype"] = dtype or get_default_dtype()
        return parameter

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: dtype | None = None) -> None:
        """All is done in __new__, as for every Parameter."""

    def materialize(self, shape: tuple[int, ...]) -> None:
        """Become a Parameter of this shape, uninitialised."""
        dtype: Any = self.__dict__.pop("lazy_dtype")
        self.__class__ = Parameter  # type: ignore[assignment]
        self._array = np.empty(shape, dtype.numpy)  # type: ignore[misc, assignment]

    @property
    def _array(self) -> NoReturn:  # type: ignore[override]
        raise ValueError(
            "Attempted to use an uninitialized parameter. When using LazyModules call `forward` with a dummy batch to "
            "initialize the parameters before using them"
        )

    @property
    def shape(self) -> Size:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. Call `forward` to initialize the "
            "parameters before accessing their attributes, or before loading them into an initialized module."
        )

    @property
    def dtype(self) -> dtype:
        return self.__dict__["lazy_dtype"]  # type: ignore[no-any-return]

    @property
    def data(self) -> Tensor:
        """An empty tensor of its dtype."""
        return wrap(np.empty(0, self.dtype.numpy))

    @data.setter
    def data(self, data: Tensor) -> None:
        self.__dict__["lazy_dtype"] = data.dtype

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """ValueError: it has no memory yet."""
        return self._array

    def is_floating_point(self) -> bool:
        """True: parameters are to be trained."""
        return True

    def detach(self) -> Self:
        """Itself: how it stands in a state_dict()."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copy = memo[id(self)] = type(self)(self._requires_grad, None, self.dtype)
        return copy

    def __reduce__(self) -> Any:
        return type(self), (self._requires_grad, None, self.dtype)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"
