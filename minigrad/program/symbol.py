"""What stands for an array, and for a number, while a program is traced.

A Symbol answers as the array does that it stands for: NumPy's two protocols, operators, indexing, the attributes and
methods that the engine's code uses. Each answer is computed on the real array, so that shapes and strides are those of
the eager run, and is written down by the tracer. It is no ndarray: what is not listed here raises TracingError.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from minigrad.program.representation import Method, Value

if TYPE_CHECKING:
    from minigrad.program.tracing import Tracer


class TracingError(RuntimeError):
    """The function does what can't be written down as a program."""


def binary(function: Callable[..., Any]) -> Any:
    return lambda self, other: self._tracer.call(function, (self, other), {})


def reflected(function: Callable[..., Any]) -> Any:
    return lambda self, other: self._tracer.call(function, (other, self), {})


def in_place(function: Callable[..., Any]) -> Any:
    def write(self: Symbol, other: Any) -> Any:
        if isinstance(self._value.real, np.generic):  # a number, which Python binds anew
            return self._tracer.call(function, (self, other), {})
        return self._tracer.call(function, (self, other), {"out": self})

    return write


def unary(function: Callable[..., Any]) -> Any:
    return lambda self: self._tracer.call(function, (self,), {})


def decision(function: Callable[..., Any]) -> Any:
    return lambda self, other: self._tracer.decide(function, (self, other))


def method(name: str) -> Any:
    function = Method(name)
    return lambda self, *args, **kwargs: self._tracer.call(function, (self, *args), kwargs)


class Symbol:
    """Stands for an array while a program is traced."""

    __slots__ = ("_tracer", "_value")

    def __init__(self, tracer: Tracer, value: Value) -> None:
        self._tracer, self._value = tracer, value

    # what NumPy asks

    def __array_ufunc__(self, ufunc: np.ufunc, how: str, *inputs: Any, **params: Any) -> Any:
        out = params.get("out")
        if isinstance(out, tuple) and len(out) == 1:
            params["out"] = out[0]
        return self._tracer.call(ufunc if how == "__call__" else getattr(ufunc, how), inputs, params)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self._tracer.dispatch(function, tuple(args), dict(kwargs))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        self._tracer.refuse("an array of numbers is made of a tensor (np.array(), np.asarray(), .numpy())")

    # what shows no number

    shape: tuple[int, ...] = property(lambda self: self._value.real.shape)  # type: ignore[assignment]
    ndim = property(lambda self: self._value.real.ndim)
    size = property(lambda self: self._value.real.size)  # of what a mask picks, too: how much that is is checked
    dtype = property(lambda self: self._value.real.dtype)
    itemsize = property(lambda self: self._value.real.itemsize)
    nbytes = property(lambda self: self._value.real.nbytes)
    strides = property(lambda self: self._value.real.strides)
    flags = property(lambda self: self._value.real.flags)
    ctypes = property(lambda self: self._tracer.array(self._value).ctypes)

    @property
    def base(self) -> Any:
        return None if self._value.real.base is None else self

    def __len__(self) -> int:
        return len(self._value.real)

    # what shows numbers

    def __bool__(self) -> bool:
        return bool(self._tracer.look("a tensor's truth value is asked for (if, while, and, or, not)", bool, self))

    def item(self, *args: Any) -> Any:
        return self._tracer.item(self)

    def tolist(self) -> NoReturn:
        self._tracer.refuse("a tensor's numbers are asked for (.tolist(), print())")

    def __float__(self) -> NoReturn:
        self._tracer.refuse("a tensor is made a Python number (float(), .item(), math functions)")

    __int__ = __index__ = __complex__ = __float__
    __iter__ = __contains__ = __format__ = __repr__ = __str__ = tolist  # type: ignore[assignment]

    # what computes

    __hash__ = object.__hash__
    __add__, __radd__, __iadd__ = binary(np.add), reflected(np.add), in_place(np.add)
    __sub__, __rsub__, __isub__ = binary(np.subtract), reflected(np.subtract), in_place(np.subtract)
    __mul__, __rmul__, __imul__ = binary(np.multiply), reflected(np.multiply), in_place(np.multiply)
    __truediv__, __rtruediv__, __itruediv__ = binary(np.divide), reflected(np.divide), in_place(np.divide)
    __floordiv__, __rfloordiv__ = binary(np.floor_divide), reflected(np.floor_divide)
    __mod__, __rmod__ = binary(np.remainder), reflected(np.remainder)
    __pow__, __rpow__ = binary(operator.pow), reflected(operator.pow)  # np.power has not its short cuts
    __matmul__, __rmatmul__ = binary(np.matmul), reflected(np.matmul)
    __and__, __rand__, __iand__ = binary(np.bitwise_and), reflected(np.bitwise_and), in_place(np.bitwise_and)
    __or__, __ror__, __ior__ = binary(np.bitwise_or), reflected(np.bitwise_or), in_place(np.bitwise_or)
    __xor__, __rxor__, __ixor__ = binary(np.bitwise_xor), reflected(np.bitwise_xor), in_place(np.bitwise_xor)
    __eq__, __ne__, __lt__ = binary(np.equal), binary(np.not_equal), binary(np.less)
    __le__, __gt__, __ge__ = binary(np.less_equal), binary(np.greater), binary(np.greater_equal)
    __neg__, __abs__, __invert__ = unary(np.negative), unary(np.absolute), unary(np.invert)

    def __getitem__(self, index: Any) -> Any:
        return self._tracer.call(operator.getitem, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        self._tracer.call(operator.setitem, (self, index, value), {})

    @property
    def T(self) -> Any:
        return self._tracer.call(np.transpose, (self,), {})

    reshape, transpose, swapaxes, view = method("reshape"), method("transpose"), method("swapaxes"), method("view")
    astype, copy, ravel, dot, fill = method("astype"), method("copy"), method("ravel"), method("dot"), method("fill")
    min, max, sum, argmax, argmin = method("min"), method("max"), method("sum"), method("argmax"), method("argmin")
    any, all, take = method("any"), method("all"), method("take")
    mean, squeeze, repeat, cumsum, prod = (
        method("mean"), method("squeeze"), method("repeat"), method("cumsum"), method("prod")
    )  # fmt: skip
    flatten, argsort, diagonal, round, clip = (
        method("flatten"), method("argsort"), method("diagonal"), method("round"), method("clip")
    )  # fmt: skip

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._tracer.refuse(f"the array's {name!r} is used, which a program can't have")


class SymbolicNumber(float):
    """Stands for a Python number that the program is given or computes: a learning rate, a count of steps.

    It has the number's value, so that code which formats it or asks whether it is 0 works as in the eager run.
    """

    __slots__ = ("_tracer", "_value")
    _tracer: Tracer
    _value: Value

    def __new__(cls, tracer: Tracer, value: Value) -> SymbolicNumber:
        number = super().__new__(cls, value.real)
        number._tracer, number._value = tracer, value
        return number

    def __float__(self) -> float:
        """The same number as a plain float, which the tracer knows again by its identity."""
        return self._tracer.plain(self)

    __hash__ = float.__hash__
    __add__, __radd__ = binary(operator.add), reflected(operator.add)
    __sub__, __rsub__ = binary(operator.sub), reflected(operator.sub)
    __mul__, __rmul__ = binary(operator.mul), reflected(operator.mul)
    __truediv__, __rtruediv__ = binary(operator.truediv), reflected(operator.truediv)
    __pow__, __rpow__ = binary(operator.pow), reflected(operator.pow)
    __floordiv__, __rfloordiv__ = binary(operator.floordiv), reflected(operator.floordiv)
    __mod__, __rmod__ = binary(operator.mod), reflected(operator.mod)
    __neg__, __abs__ = unary(operator.neg), unary(operator.abs)
    __lt__, __le__, __eq__ = decision(operator.lt), decision(operator.le), decision(operator.eq)
    __gt__, __ge__, __ne__ = decision(operator.gt), decision(operator.ge), decision(operator.ne)

    def __bool__(self) -> bool:
        return bool(self._tracer.decide(operator.truth, (self,)))
