"""PyTorch's old tensor types, such as torch.FloatTensor."""

from __future__ import annotations

from typing import Any

from minigrad.metadata import (
    bool_,
    dtype,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from minigrad.tensor import Tensor, legacy


class TensorType:
    """An old tensor type, such as torch.FloatTensor: a constructor, and a class to isinstance()."""

    def __init__(self, dtype: dtype) -> None:
        self.dtype = dtype
        self.__name__ = dtype.legacy

    def __call__(self, *data: Any) -> Tensor:
        return legacy(self.dtype, data)

    def __instancecheck__(self, x: object) -> bool:
        return isinstance(x, Tensor) and x.dtype is self.dtype

    def __repr__(self) -> str:
        return f"<class 'torch.{self.__name__}'>"


HalfTensor, FloatTensor, DoubleTensor = TensorType(float16), TensorType(float32), TensorType(float64)
CharTensor, ShortTensor, IntTensor, LongTensor = (
    TensorType(int8),
    TensorType(int16),
    TensorType(int32),
    TensorType(int64),
)
ByteTensor, BoolTensor = TensorType(uint8), TensorType(bool_)
