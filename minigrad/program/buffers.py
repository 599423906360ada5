"""Memory for a compiled program: each array that only the program uses gets a place that another has left."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.program.representation import Statement, Storage, Trace, Value

ALIGNMENT = 64  # bytes: a line of the cache


def last_uses(trace: Trace) -> dict[Storage, int]:
    """The number of the last statement that touches each storage."""
    found: dict[Storage, int] = {}
    for i, s in enumerate(trace.statements):
        for v in (*s.inputs(), *s.results, *s.writes):
            found[v.storage] = i
    return found


class Buffers:
    """Hands out arrays, by the places in the program where they are last used."""

    def __init__(self, trace: Trace) -> None:
        self.last = last_uses(trace)
        self.of: dict[Storage, Any] = {}  # the slabs of bytes that are in use
        self.free: list[Any] = []
        self.taken: list[tuple[int, Storage, Any]] = []  # at which statement a storage came to lie in which memory

    def array(self, value: Value, place: int, s: Statement, arrays: dict[Value, Any]) -> Any:
        """An array of the shape, dtype and strides of a value that the statement at a place makes."""
        real = np.asarray(value.real)
        slab = self.operand(value, real, place, s, arrays) or self.slab(max(real.nbytes, 1))
        self.of[value.storage] = slab
        self.taken.append((place, value.storage, slab[1]))
        return np.ndarray(real.shape, real.dtype, slab[1], 0, dense(real))

    def operand(self, value: Value, real: Any, place: int, s: Statement, arrays: dict[Value, Any]) -> Any:
        """The slab of an operand that is used for the last time, which an operation on elements may overwrite."""
        if real.size < 2 or not isinstance(s.function, np.ufunc) or s.function.signature is not None:
            return None
        for v in s.inputs():
            slab, array = self.of.get(v.storage), arrays.get(v)
            if slab is None or array is None or self.last[v.storage] != place:
                continue
            same = (array.shape, array.itemsize, array.strides) == (real.shape, real.itemsize, dense(real))
            if same and array.ctypes.data == slab[1].ctypes.data:
                del self.of[v.storage]
                return slab
        return None

    def slab(self, size: int) -> Any:
        fits = [entry for entry in self.free if size <= entry[0] <= 4 * size + 256]
        if fits:
            best = min(reversed(fits), key=lambda entry: entry[0])
            self.free = [entry for entry in self.free if entry is not best]
            return best
        memory = np.empty(size + ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % ALIGNMENT
        return size, memory[start : start + size]

    def release(self, place: int, s: Statement) -> None:
        """Take back what is used for the last time at a place."""
        for v in (*s.inputs(), *s.results):
            if self.last.get(v.storage) == place and v.storage in self.of:
                self.free.append(self.of.pop(v.storage))


def dense(real: Any) -> tuple[int, ...]:
    """The strides of an array without gaps, in the order of its own."""
    order = sorted(range(real.ndim), key=lambda i: (-abs(real.strides[i]), i))
    strides, step = [0] * real.ndim, real.itemsize
    for i in reversed(order):
        strides[i] = step
        step *= max(real.shape[i], 1)
    return tuple(strides)
