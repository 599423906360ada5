"""Tensor's conversions. A file of their own, since methods named `float` and `int` hide the types in annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from minigrad.autograd.grad_mode import state
from minigrad.autograd.inplace import refresh
from minigrad.autograd.node import TensorBase
from minigrad.metadata import (
    bool_,
    by_numpy,
    check_device,
    dtype,
    dtype_of,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from minigrad.ops import clone
from minigrad.ops.arguments import convert
from minigrad.ops.creation import numpy_dtype

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


class Conversions(TensorBase):
    """To other dtypes, to NumPy, to Python."""

    __slots__ = ()

    def item(self) -> Any:
        """The only element, as a Python number; RuntimeError where there is not exactly one."""
        if self._array.size != 1:
            raise RuntimeError(f"a Tensor with {self._array.size} elements cannot be converted to Scalar")
        return self._array.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self._array.tolist()

    def numpy(self, *, force: Any = False) -> np.ndarray[Any, Any]:
        """The elements as an array that shares memory; RuntimeError where gradients would be lost: in grad mode."""
        if self._view is not None:
            refresh(cast("Tensor", self))
        if self._requires_grad and state.grad and not force:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return self._array

    def to(self, *args: Any, copy: Any = False, non_blocking: Any = False, **named: Any) -> Tensor:
        """In another dtype, or that of another tensor; itself where nothing changes, unless `copy`."""
        target, device = named.pop("dtype", None), named.pop("device", None)
        if named:
            raise TypeError(f"to() received an invalid argument {', '.join(named)}")
        for x in args:
            if isinstance(x, TensorBase):
                target = dtype_of(x._array.dtype)
            elif isinstance(x, (dtype, type)):
                target = x
            elif x is not True and x is not False:
                device = x
        check_device(device)
        tensor = cast("Tensor", self)
        result: Tensor = tensor if target is None else convert(tensor, numpy_dtype(target))
        return clone(result) if copy and result is self else result

    def type(self, dtype: Any = None, non_blocking: Any = False) -> Any:
        """The old name of the tensor's type ('torch.FloatTensor'), or the tensor converted to a type."""
        if dtype is None:
            return f"torch.{dtype_of(self._array.dtype).legacy}"
        if isinstance(dtype, str):
            name = dtype.removeprefix("torch.")
            found = [d for d in by_numpy.values() if d.legacy == name]
            if not found or name == dtype:
                raise ValueError(f"invalid type: '{dtype}'")
            dtype = found[0]
        return self.to(getattr(dtype, "dtype", dtype))

    def type_as(self, other: Tensor) -> Tensor:
        """In the dtype of another tensor."""
        return self.to(other)

    def cpu(self) -> Tensor:
        """The tensor itself, which is on the CPU."""
        return cast("Tensor", self)

    def cuda(self, device: Any = None, non_blocking: Any = False) -> Tensor:
        """AssertionError: minigrad runs on the CPU alone."""
        check_device("cuda")
        return cast("Tensor", self)

    def half(self) -> Tensor:
        """In float16."""
        return self.to(float16)

    def float(self) -> Tensor:
        """In float32."""
        return self.to(float32)

    def double(self) -> Tensor:
        """In float64."""
        return self.to(float64)

    def byte(self) -> Tensor:
        """In uint8."""
        return self.to(uint8)

    def char(self) -> Tensor:
        """In int8."""
        return self.to(int8)

    def short(self) -> Tensor:
        """In int16."""
        return self.to(int16)

    def int(self) -> Tensor:
        """In int32."""
        return self.to(int32)

    def long(self) -> Tensor:
        """In int64."""
        return self.to(int64)

    def bool(self) -> Tensor:
        """In bool."""
        return self.to(bool_)
