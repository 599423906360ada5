"""Changes that are made all at once: an interrupt finds all of them done, or none."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import starmap
from operator import call
from typing import Any

Change = tuple[Any, ...]  # a function that is written in C, such as setattr or dict.update, and its arguments


def at_once(changes: Iterable[Change]) -> None:
    """Call the functions, in one call of C.

    Python runs a signal handler, which may raise (Ctrl-C does), between two steps of a program in Python, and so
    nowhere in here. What the functions themselves could raise must be ruled out before.
    """
    deque(starmap(call, list(changes)), maxlen=0)
