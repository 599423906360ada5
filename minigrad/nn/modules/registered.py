"""A module's parameters, buffers and modules as mappings, for code that reads and writes PyTorch's registries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minigrad.nn.modules.module import Module


class Registered(MutableMapping[str, Any]):
    """Those attributes of a module that are registered as one kind, by name: a view, with no memory of its own."""

    def __init__(self, module: Module, kind: type, register: Callable[[str, Any], None]) -> None:
        self._module = module
        self._kind = kind
        self._register = register

    def __getitem__(self, name: str) -> Any:
        if self._module._kind(name) is not self._kind:
            raise KeyError(name)
        return self._module.__dict__[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._register(name, value)

    def __delitem__(self, name: str) -> None:
        self[name]  # KeyError where it is none of these
        delattr(self._module, name)

    def __iter__(self) -> Iterator[str]:
        return iter([name for name in self._module.__dict__ if self._module._kind(name) is self._kind])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return repr(dict(self))
