"""The memory behind tensors: who owns it, and PyTorch's storages, which show it as a row of numbers or bytes."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minigrad.metadata import CPU, check_device, device, dtype, dtype_of

Array = np.ndarray[Any, Any]


def owner(array: Array) -> Array:
    """The array that has the memory of `array`; a tensor made by from_numpy ends at the array that it was given."""
    base: Any = array
    while base is not None:
        if isinstance(base, np.ndarray):
            array = base
            base = array.base
        else:  # what NumPy's as_strided, and memory() below, put between an array and its owner
            base = getattr(base, "base", getattr(base, "owner", None))
    return array


def memory(array: Array) -> tuple[Array, int]:
    """All bytes of the owner's memory, as an array that keeps the owner alive, and where in it `array` begins."""
    root = owner(array)
    if not root.size:
        return np.empty(0, np.uint8), 0
    low, high = np.lib.array_utils.byte_bounds(root)
    span: Any = (ctypes.c_ubyte * (high - low)).from_address(low)
    span.owner = root
    return np.frombuffer(span, np.uint8), address(array) - low


def address(array: Array) -> int:
    """Where the first element is."""
    return int(array.__array_interface__["data"][0])


def strides(array: Array) -> tuple[int, ...]:
    """How many elements apart neighbours along each dim lie; those that PyTorch gives a new tensor, where NumPy has 0
    throughout, as in arrays without elements."""
    steps = tuple(s // array.itemsize for s in array.strides)
    if array.size or any(steps):
        return steps
    counts = np.cumprod([1, *(max(n, 1) for n in array.shape[:0:-1])])
    return tuple(int(n) for n in counts[::-1])[: array.ndim]


class UntypedStorage:
    """The bytes of the memory that a tensor shares with its views.

    UntypedStorage(n) has n bytes of its own, whatever the memory held; UntypedStorage([1, 2]) those given. RuntimeError
    for anything else.
    """

    __module__ = "torch.storage"
    dtype: dtype | None = None

    def __init__(self, values: Any = 0, _cdata: int | None = None, *, device: device | str = CPU) -> None:
        check_device(device)
        self._values: Array = values if isinstance(values, np.ndarray) else bytes_of(values)
        # The same number for all tensors that share the memory.
        self._cdata = id(self._values) if _cdata is None else _cdata

    @property
    def device(self) -> device:
        return CPU

    def data_ptr(self) -> int:
        """The address of the first byte; 0 where there is none."""
        return address(self._values) if len(self._values) else 0

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._values.nbytes

    def size(self) -> int:
        """The number of elements."""
        return len(self._values)

    def element_size(self) -> int:
        """The bytes of an element."""
        return self._values.itemsize

    def tolist(self) -> list[Any]:
        """The elements as Python numbers."""
        return self._values.tolist()  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def _place(self, index: Any) -> Any:
        if not isinstance(index, int):
            raise RuntimeError(f"storages are indexed by one int, not by {index!r}: use the tensor")
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} out of range for storage of size {len(self)}")
        return index

    def __getitem__(self, index: Any) -> Any:
        return self._values[self._place(index)].item()

    def __setitem__(self, index: Any, value: Any) -> None:
        self._values[self._place(index)] = value

    def fill_(self, value: Any) -> UntypedStorage:
        """Set every element, unseen by the engine, as in PyTorch."""
        self._values[...] = value
        return self

    def clone(self) -> UntypedStorage:
        """A copy with memory of its own."""
        return type(self)(self._values.copy())

    def __repr__(self) -> str:
        kind = f"dtype={self.dtype}, " if self.dtype else ""
        name = f"{type(self).__module__}.{type(self).__name__}"
        return "\n".join([*(f" {x}" for x in self), f"[{name}({kind}device=cpu) of size {len(self)}]"])


def bytes_of(values: Any) -> Array:
    """So many bytes, or those of a sequence of ints, modulo 256."""
    if type(values) is int and values >= 0:
        return np.empty(values, np.uint8)
    if not isinstance(values, Sequence) or any(type(x) is not int for x in values):
        raise RuntimeError(f"torch.UntypedStorage(): Expected a size, or a sequence of ints, but got {values!r}")
    return np.array([x % 256 for x in values], np.uint8)


class TypedStorage(UntypedStorage):
    """The numbers in the memory that a tensor shares with its views."""

    __module__ = "torch.storage"

    def __init__(self, values: Array, _cdata: int | None = None) -> None:
        super().__init__(values, _cdata)
        self.dtype = dtype_of(values.dtype)

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return UntypedStorage(self._values.view(np.uint8), self._cdata)

    def type(self) -> str:
        """PyTorch's old name of the storage's type."""
        assert self.dtype is not None
        return f"torch.{self.dtype.legacy.replace('Tensor', 'Storage')}"


def is_storage(obj: object) -> bool:
    """Whether `obj` is a storage."""
    return isinstance(obj, UntypedStorage)
