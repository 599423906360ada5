"""Where Python keeps what a function reads: variables, attributes and containers, each as it was when first seen."""

from __future__ import annotations

import dis
import functools
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from types import CodeType, ModuleType
from typing import Any

CONSTANTS = (bool, int, float, complex, str, bytes, type(None))
MUTABLE = (list, dict, OrderedDict, defaultdict, set, deque)
MISSING: Any = type("Missing", (), {"__repr__": lambda self: "nothing"})()


def same(x: Any, was: Any) -> bool:
    """Whether it is what it was: constants by value, the sign of zero included, all else by identity."""
    if x is was:
        return True
    if type(x) is not type(was) or not isinstance(x, CONSTANTS):
        return False
    return bool(x == was or (x != x and was != was)) and (bool(x) or str(x) == str(was))


class Place:
    """A variable: an entry of a dict, an attribute, a closure's cell. `text` reads it, behind its holder's name."""

    __slots__ = ("get", "holder", "path", "put", "text", "was")

    def __init__(self, path: str, holder: Any, text: str, get: Callable[[], Any], put: Callable[[Any], None]) -> None:
        self.path, self.holder, self.text, self.get, self.put = path, holder, text, get, put
        self.was = get()


def entry(path: str, space: Any, key: Any) -> Place:
    """One of a dict."""

    def put(x: Any) -> None:
        if x is MISSING:
            dict.pop(space, key, None)
        else:
            dict.__setitem__(space, key, x)

    return Place(path, space, f"[{key!r}]", lambda: dict.get(space, key, MISSING), put)


def of_class(path: str, cls: type, names: Any, name: str) -> Place:
    """One of a class, whose dict can't be written to."""

    def put(x: Any) -> None:
        if x is MISSING:
            type.__delattr__(cls, name)
        else:
            type.__setattr__(cls, name, x)

    return Place(path, names, f"[{name!r}]", lambda: names.get(name, MISSING), put)


def slot(path: str, holder: Any, name: str) -> Place:
    def get() -> Any:
        try:
            return object.__getattribute__(holder, name)
        except AttributeError:
            return MISSING

    def put(x: Any) -> None:
        if x is not MISSING:
            object.__setattr__(holder, name, x)
        elif get() is not MISSING:
            object.__delattr__(holder, name)

    return Place(path, holder, f".{name}", get, put)


def cell(name: str, holder: Any) -> Place:
    def get() -> Any:
        try:
            return holder.cell_contents
        except ValueError:
            return MISSING

    def put(x: Any) -> None:
        if x is MISSING:
            del holder.cell_contents
        else:
            holder.cell_contents = x

    return Place(name, holder, ".cell_contents", get, put)


def part(function: Any, name: str) -> Place:
    """A function's __code__, __defaults__ or __kwdefaults__."""
    put = functools.partial(setattr, function, name)
    return Place(f"{function.__name__}.{name}", function, f".{name}", lambda: getattr(function, name), put)


def parts_of(x: Any) -> list[Any]:
    """What is in a container: of a dict its keys, then its values."""
    if isinstance(x, dict):
        return [*dict.keys(x), *dict.values(x)]
    return [*(list.__iter__(x) if isinstance(x, list) else x)]


class Contents:
    """A container of the user's, and what was in it."""

    def __init__(self, path: str, x: Any) -> None:
        self.path, self.x, self.was = path, x, parts_of(x)
        self.set = set(x) if isinstance(x, set) else None

    def same(self) -> bool:
        if self.set is not None:
            return bool(self.x == self.set)
        now = parts_of(self.x)
        return len(now) == len(self.was) and all(map(same, now, self.was))

    def restore(self) -> None:
        x, was = self.x, self.was
        if isinstance(x, list):
            list.__setitem__(x, slice(None), was)
        elif isinstance(x, dict):
            n = len(was) // 2
            dict.clear(x)
            dict.update(x, zip(was[:n], was[n:], strict=True))
        else:
            x.clear()
            (x.update if isinstance(x, set) else x.extend)(was)


class Space:
    """Where attributes are looked up by names: in an object, a class, a module, a function."""

    def __init__(self, path: str, holder: Any, names: Any, slots: frozenset[str] = frozenset()) -> None:
        self.path, self.holder, self.names, self.slots = path, holder, names, slots
        self.had = frozenset(names)
        self.seen: set[str] = set()  # that have been looked at

    def place(self, name: str) -> Place:
        path = f"{self.path}.{name}"
        if isinstance(self.holder, type):
            return of_class(path, self.holder, self.names, name)
        return slot(path, self.holder, name) if name in self.slots else entry(path, self.names, name)

    def unseen(self, wanted: set[str] | None) -> list[str]:
        """The wanted names (all, if None) that it had and that haven't been looked at. Python's own are left out."""
        there = {name for name in (*self.had, *self.slots) if name not in self.seen and isinstance(name, str)}
        if isinstance(self.holder, (type, ModuleType)):
            there = {name for name in there if not (name.startswith("__") and name.endswith("__"))}
        return sorted(there if wanted is None else there & wanted)

    def added(self, wanted: set[str] | None) -> list[str]:
        """The wanted names (all, if None) that have come since."""
        if len(self.names) == len(self.had) and self.had >= self.names.keys():
            return []
        return [name for name in self.names if name not in self.had and (wanted is None or name in wanted)]


# what a function's code names


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """A function's code, and that of the functions defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_in(constant)


@functools.cache
def globals_read(code: CodeType) -> tuple[str, ...]:
    """The names that a function, and those defined in it, look up or set in their module."""
    looking = [i for c in codes_in(code) for i in dis.get_instructions(c)]
    return tuple(dict.fromkeys(i.argval for i in looking if "GLOBAL" in i.opname or i.opname == "LOAD_NAME"))


@functools.cache
def names_read(code: CodeType) -> frozenset[str]:
    """The names of attributes that a function, and those defined in it, look up, set or import."""
    looking = [i for c in codes_in(code) for i in dis.get_instructions(c)]
    return frozenset(i.argval for i in looking if "ATTR" in i.opname or i.opname in ("LOAD_METHOD", "IMPORT_FROM"))


@functools.cache
def modules_imported(code: CodeType) -> tuple[str, ...]:
    """The modules that a function, and those defined in it, import."""
    return tuple(i.argval for c in codes_in(code) for i in dis.get_instructions(c) if i.opname == "IMPORT_NAME")


def line_naming(code: CodeType, name: str) -> int:
    """The line of a function that a name stands in, or its first one."""
    for c in codes_in(code):
        for i in dis.get_instructions(c):
            if i.argval == name and i.positions is not None and i.positions.lineno is not None:
                return i.positions.lineno
    return code.co_firstlineno
