"""The libraries that PyTorch may compute with. minigrad has NumPy: they are named so that scripts can ask for them."""

from minigrad.backends import cudnn, mps

__all__ = ["cudnn", "mps"]
