"""The handle by which a registered hook is removed again."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

Hooks = OrderedDict[int, Callable[..., Any]]


class RemovableHandle:
    """What registering a hook returns: remove() takes the hook out of its dict, and so does leaving a `with` block."""

    next_id = 0

    def __init__(self, hooks_dict: Hooks) -> None:
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1

    def remove(self) -> None:
        """Take the hook out; nothing happens the second time."""
        hooks = self.hooks_dict_ref()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()


def register(hooks: Hooks, hook: Callable[..., Any]) -> RemovableHandle:
    """Add a hook behind those that are there."""
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle
