"""Tensor's memory: where it lies, who shares it, and how other libraries get at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from minigrad.autograd.node import TensorBase
from minigrad.metadata import contiguous_format, memory_format
from minigrad.ops.exchange import CPU_DEVICE, export
from minigrad.storage import TypedStorage, UntypedStorage, address, memory, owner, strides

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


class Memory(TensorBase):
    """The memory that a tensor shows."""

    __slots__ = ()

    def stride(self, dim: int | None = None) -> Any:
        """How many elements apart neighbours along each dim, or one dim, lie in memory."""
        steps = strides(self._array)
        return steps if dim is None else steps[cast("Tensor", self)._axis(dim)]

    def is_contiguous(self, memory_format: memory_format = contiguous_format) -> bool:
        """Whether the elements lie in memory in the order of the indices."""
        if type(memory_format) is not type(contiguous_format):
            raise TypeError(f"is_contiguous(): argument 'memory_format' must be torch.memory_format: {memory_format}")
        return bool(self._array.flags.c_contiguous)

    def storage_offset(self) -> int:
        """How many elements into its storage the tensor begins."""
        return memory(self._array)[1] // self._array.itemsize

    def data_ptr(self) -> int:
        """The address of the first element; 0 where there is none."""
        return address(self._array) if self._array.size else 0

    def untyped_storage(self) -> UntypedStorage:
        """The bytes that the tensor shares with its views."""
        return UntypedStorage(memory(self._array)[0], id(owner(self._array)))

    def storage(self) -> TypedStorage:
        """The numbers that the tensor shares with its views."""
        return TypedStorage(memory(self._array)[0].view(self._array.dtype), id(owner(self._array)))

    def is_set_to(self, tensor: Tensor) -> bool:
        """Whether another tensor shows the same memory, in the same shape and strides."""
        if not isinstance(tensor, TensorBase):
            raise TypeError(f"is_set_to(): argument 'tensor' (position 1) must be Tensor, not {type(tensor).__name__}")
        a, b = self._array, tensor._array
        return owner(a) is owner(b) and (address(a), a.shape, a.strides) == (address(b), b.shape, b.strides)

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None
    ) -> Any:
        """A DLPack capsule of the same memory, or of a copy. BufferError where gradients would be lost."""
        if cast("Tensor", self).requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        if stream not in (None, -1):
            raise AssertionError("stream should be None on cpu.")
        if dl_device not in (None, CPU_DEVICE):
            raise NotImplementedError(f"minigrad's tensors are on the CPU, {CPU_DEVICE}, not on {dl_device}")
        return export(self._array.copy() if copy else self._array, max_version)

    def __dlpack_device__(self) -> tuple[int, int]:
        """DLPack's number of the CPU."""
        return CPU_DEVICE
