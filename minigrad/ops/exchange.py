"""Tensors of memory that other libraries own, and theirs of a tensor's: buffers, arrays, DLPack."""

from __future__ import annotations

import ctypes
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.autograd.node import Array, TensorBase, wrap
from minigrad.metadata import check_device, dtype, get_default_dtype
from minigrad.ops.arguments import convert
from minigrad.ops.creation import Device, array_of, check_array, finished, from_numpy, numpy_dtype
from minigrad.storage import memory

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

CPU_DEVICE = (1, 0)  # DLPack's kDLCPU
VERSIONED = np.lib.NumpyVersion(np.__version__) >= "2.1.0"  # whether NumPy has DLPack 1.0, which can say "read-only"


def asarray(
    obj: Any,
    *,
    dtype: dtype | None = None,
    device: Device = None,
    copy: bool | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """`obj` as a tensor that shares its memory, where it is a tensor, an array, a DLPack producer or a buffer.

    It is copied where the dtype changes, where it is a sequence or number, and with copy=True. ValueError where
    copy=False can't be had.
    """
    check_device(device)
    if isinstance(obj, (np.ndarray, np.generic)):
        source: Any = from_numpy(np.asarray(obj))
    elif isinstance(obj, TensorBase):
        source = obj
    elif hasattr(obj, "__dlpack__"):
        source = from_dlpack(obj)
    elif isinstance(obj, (bytes, bytearray, memoryview)):
        source = frombuffer(obj, dtype=dtype or get_default_dtype())
    elif copy is False:
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    else:
        return finished(array_of(obj, dtype), bool(requires_grad), device)
    result: Tensor = convert(source, numpy_dtype(dtype)) if dtype else source
    if copy is False and result is not source:
        raise ValueError(f"can't alias tensor with dtype '{source.dtype}' into dtype '{result.dtype}'.")
    if copy and result is source:
        result = source.clone()
    if requires_grad is None and source is obj and source.requires_grad:
        warnings.warn(
            "torch.asarray: unspecified requires_grad now defaults to obj.requires_grad instead of False. Pass "
            "requires_grad=False explicitly to get the old behavior and silence this warning.",
            UserWarning,
            stacklevel=2,
        )
    if requires_grad is False or (requires_grad is None and source is not obj):
        result = result.detach()
    elif requires_grad and result.is_leaf:
        result.requires_grad_()
    return result


def frombuffer(buffer: Any, *, dtype: dtype, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A 1-d tensor that shares a buffer's memory: `count` elements (-1: all) from byte `offset` on."""
    try:
        view = memoryview(buffer)
    except TypeError:
        raise ValueError(f"object does not implement Python buffer protocol: {type(buffer).__name__}") from None
    size, width = view.nbytes, numpy_dtype(dtype).itemsize
    if not size or not count:
        raise ValueError(f"both buffer length ({size}) and count ({count}) must not be 0")
    if not 0 <= offset < size:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({size} bytes) minus 1"
        )
    if count < 0 and (size - offset) % width:
        raise ValueError(
            f"buffer length ({size} bytes) after offset ({offset} bytes) must be a multiple of element size ({width})"
        )
    if count * width > size - offset:
        raise ValueError(
            f"requested buffer length ({count} * {width} bytes) after offset ({offset} bytes) must not be greater than "
            f"actual buffer length ({size} bytes)"
        )
    array = np.frombuffer(view, numpy_dtype(dtype), count if count > 0 else -1, offset)
    return finished(from_numpy(array)._array, requires_grad, None)


def export(array: Array, max_version: Any) -> Any:
    """A DLPack capsule of an array. BufferError where it is read-only, and the consumer doesn't ask for DLPack 1.0."""
    return array.__dlpack__(max_version=max_version) if VERSIONED else array.__dlpack__()


class Capsule:
    """A DLPack capsule as NumPy wants it: an object that makes one."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return CPU_DEVICE


def from_dlpack(ext_tensor: Any, *, device: Device = None, copy: bool | None = None) -> Tensor:
    """A tensor that shares the memory of a DLPack producer, such as an array, or of a capsule, which it uses up.

    RuntimeError where it is neither; what the producer raises, where it can't; TypeError for dtypes that minigrad
    lacks. A read-only array gives a tensor that can't be written to.
    """
    check_device(device)
    capsule = ext_tensor
    if hasattr(ext_tensor, "__dlpack__"):
        if tuple(ext_tensor.__dlpack_device__()) != CPU_DEVICE:
            raise BufferError(f"minigrad's tensors are on the CPU, and this one on {ext_tensor.__dlpack_device__()}")
        try:
            capsule = ext_tensor.__dlpack__(max_version=(1, 0) if VERSIONED else None)
        except TypeError:  # a producer of DLPack's first versions
            capsule = ext_tensor.__dlpack__()
    name = capsule_name(capsule)
    array = np.from_dlpack(Capsule(capsule))
    check_array(array)
    if name == b"dltensor" and not array.flags.writeable:  # NumPy can't know, and so forbids it
        data, start = memory(array)
        array = np.ndarray(array.shape, array.dtype, data, start, array.strides)
    return wrap(array.copy() if copy else array)


def capsule_name(capsule: Any) -> bytes:
    """The name of a DLPack capsule that is not used up. RuntimeError where it is none."""
    get_name = ctypes.pythonapi.PyCapsule_GetName
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    name: bytes | None = get_name(capsule) if type(capsule).__name__ == "PyCapsule" else None
    if name is None or name not in (b"dltensor", b"dltensor_versioned"):
        raise RuntimeError(
            "from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only once, so you "
            f"might have already constructed a tensor from it once: got {capsule!r}"
        )
    return name


def to_dlpack(tensor: Tensor) -> Any:
    """A DLPack capsule of a tensor's memory, for a from_dlpack that takes one."""
    return export(tensor._array, None)
