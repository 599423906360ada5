"""Tools around training."""

from minigrad.utils import data

__all__ = ["data"]
