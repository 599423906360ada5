"""What a tensor is described by: dtype, device, Size. PyTorch's objects, names and text."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, SupportsIndex, overload

import numpy as np


class dtype:
    """The type of a tensor's elements; `torch.float32` and its siblings are the only instances."""

    __module__ = "minigrad"
    __slots__ = ("is_floating_point", "itemsize", "legacy", "name", "numpy")

    def __init__(self, name: str, legacy: str) -> None:
        self.name = name
        self.numpy: np.dtype[Any] = np.dtype(name)
        self.legacy = legacy  # FloatTensor of torch.FloatTensor
        self.itemsize = self.numpy.itemsize
        self.is_floating_point = self.numpy.kind == "f"

    is_complex = False

    @property
    def is_signed(self) -> bool:
        return self.numpy.kind in "if"

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


float16 = dtype("float16", "HalfTensor")
float32 = dtype("float32", "FloatTensor")
float64 = dtype("float64", "DoubleTensor")
uint8 = dtype("uint8", "ByteTensor")
int8 = dtype("int8", "CharTensor")
int16 = dtype("int16", "ShortTensor")
int32 = dtype("int32", "IntTensor")
int64 = dtype("int64", "LongTensor")
bool_ = dtype("bool", "BoolTensor")


class memory_format:
    """How a copy lies in memory: in the order of the indices, or in that of what is copied."""

    __module__ = "minigrad"
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


class layout(memory_format):
    """How a tensor is stored. All are strided."""

    __slots__ = ()


contiguous_format, preserve_format = memory_format("contiguous_format"), memory_format("preserve_format")
strided = layout("strided")


def wants_contiguous(form: memory_format | None, function: str) -> bool:
    """Whether an argument `memory_format` asks for the order of the indices; TypeError unless it is one, or None."""
    if form is not None and type(form) is not memory_format:
        raise TypeError(
            f"{function}(): argument 'memory_format' must be torch.memory_format, not {type(form).__name__}: there are "
            "torch.contiguous_format and torch.preserve_format"
        )
    return form is contiguous_format


dtypes = (float16, float32, float64, uint8, int8, int16, int32, int64, bool_)
by_numpy = {d.numpy: d for d in dtypes}


def dtype_of(numpy_dtype: np.dtype[Any]) -> dtype:
    """The torch dtype of a NumPy dtype; TypeError where minigrad has none."""
    try:
        return by_numpy[numpy_dtype]
    except KeyError:
        raise TypeError(
            f"minigrad has no tensors of {numpy_dtype}; the supported dtypes are "
            f"{', '.join(d.name for d in dtypes)}: convert with .astype() first"
        ) from None


class _Default:
    dtype = float32


def get_default_dtype() -> dtype:
    """The dtype of tensors made from Python floats; torch.float32 unless set."""
    return _Default.dtype


def set_default_dtype(d: dtype) -> None:
    """Make `d` the dtype of tensors made from Python floats. TypeError unless it is a floating dtype."""
    if not (isinstance(d, dtype) and d.is_floating_point):
        raise TypeError(f"only floating-point types are supported as the default type, got {d}")
    _Default.dtype = d


class Size(tuple[int, ...]):
    """A shape: a tuple of ints that prints as PyTorch's."""

    __module__ = "minigrad"
    __slots__ = ()

    def numel(self) -> int:
        return int(np.prod(self, dtype=np.int64))

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    @overload
    def __getitem__(self, index: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Size: ...
    def __getitem__(self, index: Any) -> Any:
        item = tuple.__getitem__(self, index)
        return Size(item) if isinstance(index, slice) else item

    def __add__(self, other: Iterable[int]) -> Size:  # type: ignore[override]
        return Size(tuple.__add__(self, tuple(other)))


@functools.total_ordering
class device:
    """Where a tensor lives. Tensors live on the CPU; other devices can be named, as PyTorch's CPU build lets one."""

    __module__ = "minigrad"
    __slots__ = ("index", "type")
    index: int | None
    type: str
    kinds = ("cpu", "cuda", "mps", "meta", "xpu")

    def __init__(self, type: str | device, index: int | None = None) -> None:
        if isinstance(type, device):
            self.type, self.index = type.type, type.index
            return
        if not isinstance(type, str):
            raise TypeError(f"device(): argument 'type' must be str, not {type.__class__.__name__}")
        if ":" in type and index is None:
            type, _, number = type.partition(":")
            if not number.isdecimal():
                raise RuntimeError(f"Invalid device string: '{type[:99]}:{number[:99]}'")
            index = int(number)
        if type not in self.kinds:
            raise RuntimeError(
                f"Expected one of {', '.join(self.kinds)} device type at start of device string: {type[:99]}"
            )
        self.type, self.index = type, index

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (")" if self.index is None else f", index={self.index})")

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __lt__(self, other: device) -> bool:
        return str(self) < str(other)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> Any:
        return device, (self.type, self.index)


CPU = device("cpu")


def check_device(d: str | device | int | None) -> None:
    """Pass where `d` names the CPU; else AssertionError, PyTorch's for a CUDA device in a CPU build."""
    if d is None or (isinstance(d, (str, device)) and device(d).type == "cpu"):
        return
    if isinstance(d, (int, str, device)):
        raise AssertionError(
            f"Torch not compiled with CUDA enabled: minigrad runs on the CPU alone, and device {d} was asked for; "
            "write device='cpu', or torch.device('cuda' if torch.cuda.is_available() else 'cpu')"
        )
    raise TypeError(f"device must be a torch.device, str or None, not {type(d).__name__}")
