"""Tools around training."""

from minigrad.utils import data, hooks

__all__ = ["data", "hooks"]
