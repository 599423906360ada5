"""Which values share memory: decided by what their arrays did in the trace, and checked once the passes are done."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.program.representation import Statement, Storage, Trace
from minigrad.program.tracing import root_of


def check_storages(trace: Trace) -> None:
    """AssertionError where two values whose arrays share memory do not share their storage.

    The passes, and what decides which memory may be used again, look at storages alone.
    """
    found: dict[int, Storage] = {}
    for v in {v for s in trace.statements for v in (*s.inputs(), *s.results, *s.writes)} | {*trace.results()}:
        if isinstance(v.real, np.ndarray):
            other = found.setdefault(id(root_of(v.real)), v.storage)
            if other is not v.storage:
                raise AssertionError(f"{v} shares memory, and not its storage, with another value of the trace")


def check_buffers(statements: list[Statement], taken: list[tuple[int, Storage, Any]], kept: set[Storage]) -> None:
    """AssertionError where a place in memory is taken while what is there is still to be read.

    `taken` are the statements' numbers at which storages came to lie in slabs of memory.
    """
    last = {v.storage: i for i, s in enumerate(statements) for v in (*s.inputs(), *s.results, *s.writes)}
    owners: dict[int, Storage] = {}
    for place, storage, slab in taken:
        before = owners.get(id(slab))
        if before is not None and before is not storage and (before in kept or last[before] > place):
            raise AssertionError(f"the memory of a value is used again at {statements[place]} before its last use")
        owners[id(slab)] = storage
