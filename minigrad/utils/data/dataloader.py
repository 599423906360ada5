"""DataLoader: batches of a dataset, in the order of a sampler."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from minigrad.autograd.node import TensorBase, wrap
from minigrad.metadata import float64
from minigrad.ops import as_tensor, stack, tensor
from minigrad.random import Generator, default_generator
from minigrad.utils.data.dataset import IterableDataset, TensorDataset
from minigrad.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler
from minigrad.utils.data.worker import Worker, dealt, in_turn, own

FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


def default_collate(batch: Sequence[Any]) -> Any:
    """A batch from a list of samples: tensors stacked, numbers made a tensor, tuples and dicts collated by field."""
    first = batch[0]
    if isinstance(first, TensorBase):
        return stack(batch)
    if isinstance(first, (str, bytes)):  # NumPy's strings too
        return batch
    if isinstance(first, (np.ndarray, np.generic)):
        return stack([as_tensor(np.asarray(x)) for x in batch])
    if isinstance(first, float):
        return tensor(batch, dtype=float64)
    if isinstance(first, int):
        return tensor(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        fields = [default_collate(field) for field in zip(*batch, strict=True)]
        return type(first)(*fields) if hasattr(first, "_fields") else fields
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found "
        f"{type(first)}: pass a collate_fn"
    )


def default_convert(sample: Any) -> Any:
    """A sample where there are no batches: arrays become tensors, tuples lists; all else stays."""
    if isinstance(sample, (np.ndarray, np.generic)) and not isinstance(sample, (str, bytes)):
        return as_tensor(np.asarray(sample))
    if isinstance(sample, Mapping):
        return {key: default_convert(value) for key, value in sample.items()}
    if isinstance(sample, tuple) and hasattr(sample, "_fields"):
        return type(sample)(*map(default_convert, sample))
    if isinstance(sample, Sequence) and not isinstance(sample, (str, bytes)):
        return [default_convert(value) for value in sample]
    return sample


class DataLoader:
    """Iterates over batches of `dataset`: batch_size samples each, collated; shuffled anew in each epoch if asked for.

    Samples are loaded in this process. With `num_workers`, each worker loads its batches with random numbers of its
    own, and from its own copy of an IterableDataset. ValueError for options that exclude each other, a batch_size below
    1, and where the dataset, or how it is drawn from, is set later.
    """

    _initialized = False

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if timeout < 0:
            raise ValueError(f"timeout option should be non-negative, got {timeout}")
        if prefetch_factor is not None and (num_workers == 0 or prefetch_factor < 0):
            raise ValueError(
                f"prefetch_factor option should be non-negative, and needs num_workers > 0: got {prefetch_factor} with "
                f"num_workers={num_workers}; leave it out"
            )
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0: leave it out")
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        self.iterable = isinstance(dataset, IterableDataset)
        if self.iterable and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                "DataLoader with IterableDataset: expected unspecified shuffle, sampler and batch_sampler options"
            )
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size, drop_last = None, False
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None and not self.iterable:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None and not self.iterable:
            assert sampler is not None
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.sampler, self.batch_sampler, self.generator = sampler, batch_sampler, generator
        self.num_workers, self.pin_memory, self.timeout = num_workers, pin_memory, timeout
        self.persistent_workers = persistent_workers
        self._workers: list[Worker] = []
        batched = batch_sampler is not None or (self.iterable and batch_size is not None)
        self.collate_fn = collate_fn or (default_collate if batched else default_convert)
        self.worker_init_fn, self.prefetch_factor = worker_init_fn, prefetch_factor or (2 if num_workers else None)
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if num_workers > cpus:
            warnings.warn(
                f"This DataLoader will create {num_workers} worker processes in total. Our suggested max number of "
                f"worker in current system is {cpus}, which is smaller than what this DataLoader is going to create. "
                "Please be aware that excessive worker creation might get DataLoader running slow or even freeze, "
                "lower the worker number to avoid potential slowness/freeze if necessary.",
                UserWarning,
                stacklevel=2,
            )
        self._initialized = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._initialized and name in FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    def __iter__(self) -> Iterator[Any]:
        if self.pin_memory:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device pinned memory won't be "
                "used.",
                UserWarning,
                stacklevel=2,
            )
        # PyTorch draws the seed of its workers here, with or without them, before the sampler draws its own; but not
        # where the workers of the last epoch go on.
        workers = self._workers
        if not workers:
            seed = (self.generator or default_generator).int64()
            for i in range(self.num_workers):
                dataset = own(self.dataset) if self.iterable else self.dataset
                workers = [*workers, Worker(dataset, i, self.num_workers, seed, self.worker_init_fn)]
            if self.persistent_workers:
                self._workers = workers
        if self.iterable:
            return in_turn(workers, self._iterate) if workers else self._iterate(self.dataset)
        fetch = self._sample if self.batch_sampler is None else self._batch
        indices = self.sampler if self.batch_sampler is None else self.batch_sampler
        assert indices is not None
        return dealt(workers, fetch, indices) if workers else map(fetch, indices)

    def _sample(self, index: Any) -> Any:
        return self.collate_fn(self.dataset[index])

    def _batch(self, indices: list[int]) -> Any:
        fast = type(self.dataset) is TensorDataset and self.collate_fn is default_collate
        if fast and {*map(type, indices)} == {int}:
            return list(self.dataset[wrap(np.array(indices))])  # the same as stacking samples, in one step
        return self.collate_fn([self.dataset[i] for i in indices])

    def _iterate(self, dataset: Any) -> Iterator[Any]:
        samples = iter(dataset)
        if self.batch_size is None:
            yield from map(self.collate_fn, samples)
            return
        while batch := list(islice(samples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield self.collate_fn(batch)

    def __len__(self) -> int:
        if self.iterable:
            n = len(self.dataset)
            return (
                n if self.batch_size is None else n // self.batch_size if self.drop_last else -(-n // self.batch_size)
            )
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]
