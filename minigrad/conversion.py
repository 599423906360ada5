"""Tensor's conversions. A file of their own, since methods named `float` and `int` hide the types in annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from minigrad.autograd.grad_mode import state
from minigrad.autograd.inplace import refresh
from minigrad.autograd.node import TensorBase
from minigrad.autograd.node import named as relabelled
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
    memory_format,
    uint8,
    wants_contiguous,
)
from minigrad.methods import varargs
from minigrad.ops import clone
from minigrad.ops.arguments import convert
from minigrad.ops.creation import numpy_dtype
from minigrad.ops.shaping import contiguous, view, view_as_dtype

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


view_as_shape = varargs(view, "size")


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

    def to(
        self,
        *args: Any,
        copy: Any = False,
        non_blocking: Any = False,
        memory_format: memory_format | None = None,
        **named: Any,
    ) -> Tensor:
        """In another dtype, or that of another tensor; itself where nothing changes, unless `copy`."""
        target, device, other = (named.pop(name, None) for name in ("dtype", "device", "tensor"))
        if named:
            raise TypeError(f"to() received an invalid argument {', '.join(named)}")
        flags = []
        for x in args if other is None else (*args, other):
            if isinstance(x, TensorBase):
                target = dtype_of(x._array.dtype)
            elif isinstance(x, (dtype, type)):
                target = x
            elif x is True or x is False:
                flags.append(x)
            else:
                device = x
        if len(flags) > 1:  # non_blocking, copy
            copy = flags[1]
        check_device(device)
        in_order = memory_format is not None and wants_contiguous(memory_format, "to")
        tensor = cast("Tensor", self)
        result: Tensor = tensor if target is None else convert(tensor, numpy_dtype(target))
        if result is self:
            return relabelled(clone(result, memory_format=memory_format), "ToCopyBackward0") if copy else result
        return relabelled(contiguous(result), "ToCopyBackward0", self) if in_order else result

    def view(self, *size: Any, **named: Any) -> Any:
        """The same memory in another shape, or read as another dtype, without history."""
        given = named["dtype"] if not size and named.keys() == {"dtype"} else size[0] if len(size) == 1 else 0
        if isinstance(given, (dtype, type)):
            return view_as_dtype(self, numpy_dtype(given))
        return view_as_shape(self, *size, **named)

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

    def cpu(self, memory_format: memory_format | None = None) -> Tensor:
        """The tensor itself, which is on the CPU."""
        return cast("Tensor", self)

    def cuda(self, device: Any = None, non_blocking: Any = False, memory_format: Any = None) -> Tensor:
        """AssertionError: minigrad runs on the CPU alone."""
        check_device("cuda")
        return cast("Tensor", self)

    def half(self, memory_format: memory_format | None = None) -> Tensor:
        """In float16."""
        return self.to(float16, memory_format=memory_format)

    def float(self, memory_format: memory_format | None = None) -> Tensor:
        """In float32."""
        return self.to(float32, memory_format=memory_format)

    def double(self, memory_format: memory_format | None = None) -> Tensor:
        """In float64."""
        return self.to(float64, memory_format=memory_format)

    def byte(self, memory_format: memory_format | None = None) -> Tensor:
        """In uint8."""
        return self.to(uint8, memory_format=memory_format)

    def char(self, memory_format: memory_format | None = None) -> Tensor:
        """In int8."""
        return self.to(int8, memory_format=memory_format)

    def short(self, memory_format: memory_format | None = None) -> Tensor:
        """In int16."""
        return self.to(int16, memory_format=memory_format)

    def int(self, memory_format: memory_format | None = None) -> Tensor:
        """In int32."""
        return self.to(int32, memory_format=memory_format)

    def long(self, memory_format: memory_format | None = None) -> Tensor:
        """In int64."""
        return self.to(int64, memory_format=memory_format)

    def bool(self, memory_format: memory_format | None = None) -> Tensor:
        """In bool."""
        return self.to(bool_, memory_format=memory_format)
