"""Datasets, samplers and loaders against torch: the same batches, in the same order, from the same seed."""

from __future__ import annotations

import random
import warnings
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.data
from hypothesis import given
from hypothesis import strategies as st

import minigrad

Point = namedtuple("Point", ["x", "y"])


def plain(x: Any) -> Any:
    """What a batch holds, and in which containers."""
    if isinstance(x, (minigrad.Tensor, torch.Tensor)):
        return str(x.dtype), x.tolist()
    if isinstance(x, dict):
        return {key: plain(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x).__name__, [plain(item) for item in x]
    return x


def same(program: Any) -> None:
    """A program gives the same in both engines, or the same type of error."""
    found = []
    for T in (minigrad, torch):
        T.manual_seed(7)
        try:
            found.append(plain(program(T)))
        except Exception as error:
            found.append(type(error))
    assert found[0] == found[1]


@given(
    n=st.integers(1, 40),
    batch_size=st.integers(1, 12),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    workers=st.just(0),
    own=st.booleans(),
)
def test_batches(n: int, batch_size: int, shuffle: bool, drop_last: bool, workers: int, own: bool) -> None:
    def epochs(T: Any) -> Any:
        x = T.arange(2.0 * n).reshape(n, 2)
        dataset = T.utils.data.TensorDataset(x, T.arange(n))
        generator = T.Generator().manual_seed(3) if own else None
        loader = T.utils.data.DataLoader(
            dataset, batch_size, shuffle, drop_last=drop_last, num_workers=workers, generator=generator
        )
        batches = [list(loader) for _ in range(2)]
        return len(loader), batches, T.rand(1)  # as many numbers are drawn

    same(epochs)


SAMPLES = [
    [1, 2, 3],
    [1.5, 2.5],
    [(1.5, 2), (3.5, 4)],
    [{"a": 1, "b": (2, 3.0)}, {"a": 4, "b": (5, 6.0)}],
    ["x", "y"],
    [Point(1, 2.0), Point(3, 4.0)],
    [[1, 2], [3, 4]],
    [np.float32(1), np.float32(2)],
    [np.arange(3), np.arange(3)],
    [True, False],
    [object(), object()],
    [(1, 2), (3,)],
]


@pytest.mark.parametrize("samples", SAMPLES, ids=[str(i) for i in range(len(SAMPLES))])
@pytest.mark.parametrize("batch_size", [1, 2, None])
def test_collation(samples: list[Any], batch_size: int | None) -> None:
    if batch_size is None and type(samples[0]) is object:
        return  # is passed on as it is
    same(lambda T: list(T.utils.data.DataLoader(samples, batch_size=batch_size)))


def test_collation_of_tensors_and_a_function_of_ones_own() -> None:
    same(lambda T: list(T.utils.data.DataLoader([T.ones(2), T.zeros(2)], batch_size=2)))
    same(lambda T: list(T.utils.data.DataLoader([1, 2, 3], batch_size=2, collate_fn=sum)))
    same(lambda T: T.utils.data.default_collate([(T.ones(1), 2), (T.zeros(1), 3)]))


def dataset_of(T: Any, n: int) -> Any:
    class Squares(T.utils.data.Dataset):  # type: ignore[misc, name-defined]
        def __len__(self) -> int:
            return n

        def __getitem__(self, i: int) -> Any:
            return T.tensor([float(i), i * i])

    return Squares()


def pairs(T: Any) -> Any:
    return T.utils.data.TensorDataset(T.arange(6.0).reshape(3, 2), T.arange(3))


PROGRAMS = {
    "dataset": lambda T: list(T.utils.data.DataLoader(dataset_of(T, 5), batch_size=2, shuffle=True)),
    "subset": lambda T: [T.utils.data.Subset(dataset_of(T, 5), [4, 2])[i] for i in range(2)],
    "concat": lambda T: [(dataset_of(T, 2) + dataset_of(T, 3))[i] for i in (0, 1, 2, 4, -1)],
    "concat too far": lambda T: (dataset_of(T, 2) + dataset_of(T, 3))[-6],
    "random_split": lambda T: [s.indices for s in T.utils.data.random_split(range(10), [3, 7])],
    "random_split by fractions": lambda T: [s.indices for s in T.utils.data.random_split(range(10), [0.25, 0.35, 0.4])],
    "random_split that doesn't add up": lambda T: T.utils.data.random_split(range(10), [3, 3]),
    "random sampler": lambda T: list(T.utils.data.RandomSampler(range(5), num_samples=12)),
    "with replacement": lambda T: list(T.utils.data.RandomSampler(range(5), replacement=True, num_samples=40)),
    "a sampler of one's own": lambda T: list(T.utils.data.DataLoader([1, 2, 3], batch_size=2, sampler=[2, 0, 1])),
    "a tensor as sampler": lambda T: list(T.utils.data.DataLoader(pairs(T), batch_size=2, sampler=T.tensor([2, 0, 1]))),
    "tuples as batches": lambda T: list(T.utils.data.DataLoader(pairs(T), batch_sampler=[(0, 1), (2,)])),
    "TensorDataset of lists": lambda T: T.utils.data.TensorDataset([1, 2], [3, 4]),
    "TensorDataset of arrays": lambda T: T.utils.data.TensorDataset(np.ones(2)),
    "batch sampler": lambda T: list(T.utils.data.DataLoader([1, 2, 3], batch_sampler=[[2, 0], [1]])),
    "BatchSampler": lambda T: list(T.utils.data.BatchSampler(range(5), 2, drop_last=True)),
    "strings of NumPy": lambda T: list(
        T.utils.data.DataLoader([(np.str_("a"), 1.0), (np.str_("b"), 2.0)], batch_size=2)
    ),
    "strings of NumPy, alone": lambda T: list(T.utils.data.DataLoader([np.str_("a"), np.str_("b")], batch_size=None)),
    "nothing": lambda T: list(T.utils.data.DataLoader([], batch_size=2)),
    "nothing, shuffled": lambda T: T.utils.data.DataLoader([], shuffle=True),
    "sampler and shuffle": lambda T: T.utils.data.DataLoader([1], shuffle=True, sampler=[0]),
    "batch_size 0": lambda T: T.utils.data.DataLoader([1], batch_size=0),
    "batch sampler and batch_size": lambda T: T.utils.data.DataLoader([1], batch_sampler=[[0]], batch_size=2),
    "no batches, drop_last": lambda T: T.utils.data.DataLoader([1], batch_size=None, drop_last=True),
    "negative workers": lambda T: T.utils.data.DataLoader([1], num_workers=-1),
    "unequal tensors": lambda T: T.utils.data.TensorDataset(T.ones(2), T.ones(3)),
    "index out of range": lambda T: T.utils.data.TensorDataset(T.ones(2))[5],
    "slice of a TensorDataset": lambda T: T.utils.data.TensorDataset(T.arange(5), T.arange(5))[1:3],
    "no __getitem__": lambda T: T.utils.data.Dataset()[0],
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_as_torch(name: str) -> None:
    same(PROGRAMS[name])


WORKERS: dict[str, Any] = {
    "batches": lambda T, D, sets: D.DataLoader(sets.counting(3), 2, num_workers=2),
    "one at a time": lambda T, D, sets: D.DataLoader(sets.counting(3), None, num_workers=2),
    "set up": lambda T, D, sets: D.DataLoader(sets.counting(3), 2, num_workers=2, worker_init_fn=sets.set_up),
    "split": lambda T, D, sets: D.DataLoader(sets.split(), 2, num_workers=2),
    "drop_last": lambda T, D, sets: D.DataLoader(sets.counting(5), 2, num_workers=2, drop_last=True),
    "random": lambda T, D, sets: D.DataLoader(sets.random(), 2, num_workers=2, shuffle=True),
    "persistent": lambda T, D, sets: D.DataLoader(sets.random(), 2, num_workers=2, persistent_workers=True),
}


class Sets:
    """Datasets of an engine that see which worker asks."""

    def __init__(self, T: Any) -> None:
        D = T.utils.data

        class Counting(D.IterableDataset):  # type: ignore[misc, name-defined]
            def __init__(self, n: int) -> None:
                self.start, self.n = 0, n

            def __iter__(self) -> Any:
                return iter(range(self.start, self.start + self.n))

        class Split(D.IterableDataset):  # type: ignore[misc, name-defined]
            def __iter__(self) -> Any:
                info = D.get_worker_info()
                return iter([(i, info.id, info.num_workers, info.seed) for i in range(info.id, 7, info.num_workers)])

        class Random(D.Dataset):  # type: ignore[misc, name-defined]
            def __len__(self) -> int:
                return 5

            def __getitem__(self, i: int) -> Any:
                return i, T.rand(2), random.random(), np.random.rand(), D.get_worker_info().id

        def set_up(number: int) -> None:
            dataset = D.get_worker_info().dataset
            dataset.start, dataset.n = 10 * number, 1 + 2 * number

        self.counting, self.split, self.random, self.set_up = Counting, Split, Random, set_up


@pytest.mark.parametrize("name", WORKERS)
def test_workers(name: str) -> None:
    """What PyTorch's processes see, in the same order; and the generators go on as they would."""
    before = random.getstate(), np.random.get_state()

    def program(T: Any) -> Any:
        random.seed(1)
        np.random.seed(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of more workers than processors, and of processes beside threads
            loader = WORKERS[name](T, T.utils.data, Sets(T))
            epochs = [list(loader) for _ in range(1 + ("pers" in name))]
        assert T.utils.data.get_worker_info() is None
        return epochs, T.rand(1), random.random(), np.random.rand()

    try:
        same(program)
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


def test_a_loader_that_is_made_is_fixed() -> None:
    for T in (minigrad, torch):
        loader = T.utils.data.DataLoader(range(4), batch_size=1)
        for name in ("batch_size", "sampler", "drop_last", "dataset", "batch_sampler", "persistent_workers"):
            with pytest.raises(ValueError, match=f"{name} attribute should not be set after DataLoader is initialized"):
                setattr(loader, name, None)
        with pytest.warns(UserWarning, match="This DataLoader will create 10000 worker processes in total"):
            T.utils.data.DataLoader(range(4), num_workers=10000)


def test_iterable_dataset() -> None:
    def program(T: Any) -> Any:
        class Counting(T.utils.data.IterableDataset):  # type: ignore[misc, name-defined]
            def __iter__(self) -> Any:
                return iter(range(5))

        return [list(T.utils.data.DataLoader(Counting(), batch_size=size)) for size in (1, 2, None)]

    same(program)
