"""DLPack, the exchange of tensors between libraries without copies."""

from minigrad.ops import from_dlpack, to_dlpack

__all__ = ["from_dlpack", "to_dlpack"]
