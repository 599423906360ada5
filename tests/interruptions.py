"""Runs something, and calls a function in its midst: at each place in turn where Python runs a signal handler.

CPython asks for signals, and lets other threads run, when a function is entered and when a call returns, which are the
events that a profiler is told of. What is not between two of these is not interrupted.
"""

import os
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import minigrad

PACKAGE = os.path.dirname(minigrad.__file__)


class Place:
    """Counts the places in the package, and calls `handler` at one of them."""

    def __init__(self, number: int, handler: Callable[[], Any]) -> None:
        self.number, self.handler = number, handler
        self.count = 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if frame.f_code.co_filename.startswith((PACKAGE, "<compiled")):
            if self.count == self.number:
                self.count += 1
                sys.setprofile(None)
                self.handler()
                return
            self.count += 1


def run_interrupted(number: int, work: Callable[[], Any], handler: Callable[[], Any]) -> bool:
    """Run `work`, and call `handler` at a place; whether there are as many places. What the handler raises goes on."""
    place = Place(number, handler)
    sys.setprofile(place)
    try:
        work()
    finally:
        sys.setprofile(None)
    return place.count > number


def places(step: int = 1) -> Iterator[int]:
    """The numbers of the places, to be taken until one is beyond the last."""
    return iter(range(0, 100_000, step))
