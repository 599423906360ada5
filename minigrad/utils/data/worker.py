"""The workers of a DataLoader. They are no processes here, but see what they would see there: who they are, a copy of
an IterableDataset, and random numbers of their own, from PyTorch's seeds."""

from __future__ import annotations

import copy
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.random import default_generator


@dataclass
class WorkerInfo:
    """What get_worker_info() tells a worker: which one it is, of how many, its seed, and its dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


class Current:
    info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """The worker that is at work; None where none is."""
    return Current.info


def states() -> tuple[Any, ...]:
    """The states of PyTorch's, Python's and NumPy's random numbers."""
    return default_generator.state(), random.getstate(), np.random.get_state()


def restore(before: tuple[Any, ...]) -> None:
    default_generator.restore(before[0])
    random.setstate(before[1])
    np.random.set_state(before[2])


def seeded(base_seed: int, worker: int) -> None:
    """Seed all three as PyTorch seeds a worker's (torch/utils/data/_utils/worker.py)."""
    default_generator.manual_seed(base_seed + worker)
    random.seed(base_seed + worker)
    entropy = [worker, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    np.random.seed(np.random.SeedSequence(entropy).generate_state(4))


def own(dataset: Any) -> Any:
    """A worker's copy of a dataset; a shallow one where it holds what can't be copied, such as a file."""
    try:
        return copy.deepcopy(dataset)
    except Exception:  # whatever a user's class raises
        return copy.copy(dataset)


class Worker:
    """One of a loader's workers."""

    def __init__(
        self, dataset: Any, number: int, count: int, base_seed: int, init: Callable[[int], None] | None
    ) -> None:
        self.info = WorkerInfo(number, count, base_seed + number, dataset)
        before = states()
        try:
            seeded(base_seed, number)
            self.states = states()
        finally:
            restore(before)
        if init is not None:
            self.run(init, number)

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function as this worker."""
        before, info = states(), Current.info
        restore(self.states)
        Current.info = self.info
        try:
            return function(*args)
        finally:
            self.states = states()
            restore(before)
            Current.info = info


def dealt(workers: list[Worker], fetch: Callable[[Any], Any], indices: Iterable[Any]) -> Iterator[Any]:
    """Batches of a dataset with indices: each worker fetches one in turn."""
    for i, chosen in enumerate(indices):
        yield workers[i % len(workers)].run(fetch, chosen)


def in_turn(workers: list[Worker], batches: Callable[[Any], Iterator[Any]]) -> Iterator[Any]:
    """Batches of datasets that are iterated over: one of each worker's in turn, for as long as it has any."""
    waiting = deque((worker, batches(worker.info.dataset)) for worker in workers)
    done = object()
    while waiting:
        worker, iterator = waiting[0]
        batch = worker.run(next, iterator, done)
        if batch is done:
            waiting.popleft()
            continue
        yield batch
        waiting.rotate(-1)


__all__ = ["Worker", "WorkerInfo", "dealt", "get_worker_info", "in_turn", "own"]
