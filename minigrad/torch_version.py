"""The type of torch.__version__: a string that compares as a version."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any


def release(version: Any) -> tuple[int, ...]:
    """The numbers of a version: (1, 10) of "1.10.0+cpu", of "1.10" and of (1, 10, 0)."""
    if isinstance(version, str):
        match = re.match(r"v?(\d+(?:\.\d+)*)", version)
        if match is None:
            raise ValueError(f"{version!r} is not a version, such as '2.13.0'")
        version = match[1].split(".")
    elif not isinstance(version, Iterable):
        version = (version,)
    numbers = [int(part) for part in version]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


class TorchVersion(str):
    """A version that compares by its numbers, with strings and tuples: "2.13.0" is greater than "2.9"."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __lt__(self, other: Any) -> bool:
        return release(self) < release(other)

    def __le__(self, other: Any) -> bool:
        return release(self) <= release(other)

    def __gt__(self, other: Any) -> bool:
        return release(self) > release(other)

    def __ge__(self, other: Any) -> bool:
        return release(self) >= release(other)
