"""Where and how new tensors lie in memory, and the arguments that say so."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from minigrad.autograd.node import Array
from minigrad.kernels.layout import inverse, iteration_order
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


def laid_out(x: Array, make: Callable[[tuple[int, ...]], Array], contiguous: bool = False) -> Array:
    """What `make` gives, of the shape of x, filled and laid out in memory in the order of x, or `contiguous`."""
    if contiguous or x.flags.c_contiguous:
        return make(x.shape)
    order = iteration_order(x.shape, (x.strides,))
    return make(tuple(x.shape[dim] for dim in order)).transpose(inverse(order))
