"""Where and how new tensors lie in memory, and the arguments that say so."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from minigrad.autograd.node import Array
from minigrad.metadata import layout

F = TypeVar("F", bound=Callable[..., Any])


def placing(function: F) -> F:
    """A function that makes tensors, with PyTorch's arguments for where: `layout` and `pin_memory`, of one value each.

    TypeError for another layout, RuntimeError for pinned memory.
    """
    name = function.__name__

    @functools.wraps(function)
    def make(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            if not isinstance(form := kwargs.pop("layout", None), (layout, type(None))):
                raise TypeError(f"{name}(): argument 'layout' must be torch.layout, not {type(form).__name__}")
            if kwargs.pop("pin_memory", False):
                raise RuntimeError(
                    f"{name}(): pin_memory=True requires a CUDA or other accelerator backend: leave it out"
                )
        return function(*args, **kwargs)

    return cast(F, make)


def options(function: str, named: dict[str, Any], *names: str) -> list[Any]:
    """The values of `names` among the keyword arguments that are left; TypeError for others."""
    for name in named:
        if name not in names:
            raise TypeError(f"{function}() got an unexpected keyword argument '{name}'")
    return [named[name] for name in names if name in named]


def memory_order(x: Array) -> list[int]:
    """The dims of x from the outermost in memory to the innermost, as PyTorch's insertion sort finds them: an
    expanded dim, of stride 0, compares equal to all."""
    order = list(range(x.ndim))[::-1]
    for i in range(1, x.ndim):
        at = i
        for j in reversed(range(i)):
            (a, m), (b, n) = ((x.strides[d], x.shape[d]) for d in (order[j], order[at]))
            if a and b:
                if (a, m) > (b, n):
                    order[j], order[at] = order[at], order[j]
                    at = j
                elif a < b:
                    break
    return order[::-1]


def laid_out(x: Array, make: Callable[[tuple[int, ...]], Array], contiguous: bool = False) -> Array:
    """What `make` gives, of the shape of x, filled and laid out in memory in the order of x, or `contiguous`."""
    if contiguous or x.flags.c_contiguous:
        return make(x.shape)
    order = memory_order(x)
    return make(tuple(x.shape[dim] for dim in order)).transpose(np.argsort(order).tolist())
