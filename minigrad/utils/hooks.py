"""What registering a hook returns, under PyTorch's name."""

from minigrad.autograd.hooks import RemovableHandle

__all__ = ["RemovableHandle"]
