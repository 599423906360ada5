"""Tools around training."""

from minigrad.utils import data, dlpack, hooks

__all__ = ["data", "dlpack", "hooks"]
