"""torch.random: generators, and the functions of the default one."""

from __future__ import annotations

import copy
import pickle
import re
import sys
import threading
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_programs import as_drawn

import minigrad

ENGINES = (minigrad, torch)
seeds = st.integers(-(2**63), 2**64 - 1)


def drawn(T: Any, g: Any) -> list[Any]:
    """Numbers of each kind, which end amid a pair of normals, and the state after them."""
    numbers = [T.rand(3, generator=g), T.randn(3, generator=g), T.randn(20, generator=g), T.randperm(5, generator=g)]
    return [as_drawn(x.numpy()) for x in (*numbers, T.rand(1, generator=g), g.get_state())]


@given(seed=seeds)
def test_a_seed_decides_all_that_is_drawn(seed: int) -> None:
    ours, theirs = (drawn(T, T.Generator().manual_seed(seed)) for T in ENGINES)
    assert ours == theirs
    assert minigrad.Generator().manual_seed(seed).initial_seed() == torch.Generator().manual_seed(seed).initial_seed()


@given(seed=seeds)
def test_the_default_generator(seed: int) -> None:
    found = []
    for T in ENGINES:
        assert T.random.manual_seed(seed) is T.default_generator is T.random.default_generator
        state = T.random.get_rng_state()
        numbers = [T.rand(2).tolist(), T.get_rng_state().tolist(), T.initial_seed(), T.random.initial_seed()]
        T.random.set_rng_state(state)
        found.append((numbers, T.rand(2).tolist()))
    assert found[0] == found[1]
    assert found[0][0][0] == found[0][1]


def test_manual_seed_forgets_the_second_normal() -> None:
    g = minigrad.Generator().manual_seed(1)
    first = minigrad.randn(2, generator=g).tolist()
    minigrad.randn(1, generator=g)
    assert g.manual_seed(1) is g
    assert minigrad.randn(2, generator=g).tolist() == first


def test_seeds_of_the_system() -> None:
    assert minigrad.Generator().initial_seed() == torch.Generator().initial_seed()
    g = minigrad.Generator()
    seed = g.seed()
    assert seed == g.initial_seed() != minigrad.Generator().initial_seed()
    theirs = torch.rand(3, generator=torch.Generator().manual_seed(seed))
    assert minigrad.rand(3, generator=g).tolist() == theirs.tolist()
    with minigrad.random.fork_rng():
        assert minigrad.random.seed() == minigrad.initial_seed()
        assert minigrad.seed() != minigrad.seed()


def test_the_state_is_a_tensor_that_moves_between_the_engines() -> None:
    ours, theirs = (T.Generator().manual_seed(3) for T in ENGINES)
    drawn(torch, theirs)
    state = theirs.get_state()
    assert minigrad.Generator().get_state().dtype is minigrad.uint8
    ours.set_state(minigrad.from_numpy(state.numpy()))
    assert ours.get_state().tolist() == state.tolist()
    other = torch.Generator()
    other.set_state(torch.from_numpy(ours.get_state().numpy()))
    assert drawn(minigrad, ours) == drawn(torch, other) == drawn(torch, theirs)


COPIES = [copy.deepcopy, copy.copy, lambda g: pickle.loads(pickle.dumps(g)), lambda g: g.clone_state()]


@pytest.mark.parametrize("copied", COPIES, ids=["deepcopy", "copy", "pickle", "clone_state"])
def test_copies_go_their_own_way(copied: Any) -> None:
    found = []
    for T in ENGINES:
        g = T.Generator().manual_seed(7)
        drawn(T, g)
        twin = copied(g)
        found.append((twin.initial_seed(), drawn(T, twin), drawn(T, g), drawn(T, twin)))
    assert found[0] == found[1]
    assert found[0][1] == found[0][2]


@pytest.mark.parametrize("T", ENGINES)
def test_threads_that_share_a_generator_lose_no_normals(T: Any) -> None:
    generator, drawn = T.Generator().manual_seed(0), []

    def draw() -> None:
        drawn.extend(T.randn(1, generator=generator).item() for _ in range(500))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=draw) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    alone = T.Generator().manual_seed(0)
    assert sorted(drawn) == sorted(T.randn(1, generator=alone).item() for _ in range(2000))


def test_how_a_generator_looks() -> None:
    for T in ENGINES:
        g = T.Generator(device="cpu:0")
        assert g.device == T.device("cpu")
        assert re.fullmatch("<torch._C.Generator object at 0x[0-9a-f]+>", repr(g))
        assert g.__reduce__()[1] == (T.device("cpu"),)
        assert len({g, T.Generator(), g}) == 2


def test_fork_rng() -> None:
    found = []
    for T in ENGINES:
        T.manual_seed(5)
        T.randn(1)
        numbers = []
        with T.random.fork_rng() as nothing:
            numbers.append(T.rand(1).item())
            T.manual_seed(1)
        assert nothing is None
        with T.random.fork_rng(enabled=False, devices=["cuda"]):
            numbers.append(T.rand(1).item())
        with pytest.raises(ZeroDivisionError), T.random.fork_rng(devices=[], device_type="cuda"):
            numbers.append(T.rand(1).item() / 0)

        @T.random.fork_rng()
        def draw(T: Any = T) -> Any:
            return T.rand(1).item()

        found.append([*numbers, draw(), draw(), T.randn(1).item()])
    assert found[0] == found[1]


ERRORS = {
    "cuda": lambda T: T.Generator("cuda"),
    "cuda:0": lambda T: T.Generator(device="cuda:0"),
    "a device": lambda T: T.Generator(T.device("cuda")),
    "mps": lambda T: T.Generator("mps"),
    "number": lambda T: T.Generator(0),
    "float": lambda T: T.Generator(1.5),
    "bool": lambda T: T.Generator(True),
    "no device": lambda T: T.Generator("foo"),
    "seed too large": lambda T: T.Generator().manual_seed(2**64),
    "seed too small": lambda T: T.Generator().manual_seed(-(2**63) - 1),
    "seed 1.5": lambda T: T.Generator().manual_seed(1.5),
    "seed a": lambda T: T.Generator().manual_seed("a"),
    "seed True": lambda T: T.Generator().manual_seed(True),
    "seed None": lambda T: T.Generator().manual_seed(None),
    "seed of NumPy": lambda T: T.Generator().manual_seed(np.int64(3)),
    "seed tensor": lambda T: T.Generator().manual_seed(T.tensor(3)),
    "default seed a": lambda T: T.manual_seed("a"),
    "default seed None": lambda T: T.manual_seed(None),
    "default seed too large": lambda T: T.manual_seed(2**64),
    "no tensor": lambda T: T.Generator().set_state(None),
    "array": lambda T: T.Generator().set_state(np.zeros(5056, np.uint8)),
    "floats": lambda T: T.Generator().set_state(T.zeros(5056)),
    "short": lambda T: T.Generator().set_state(T.zeros(3, dtype=T.uint8)),
    "zeros": lambda T: T.Generator().set_state(T.zeros(5056, dtype=T.uint8)),
    "not contiguous": lambda T: T.Generator().set_state(T.zeros(2 * 5056, dtype=T.uint8)[::2]),
    "default array": lambda T: T.set_rng_state(np.zeros(5056, np.uint8)),
    "default floats": lambda T: T.set_rng_state(T.zeros(5056)),
    "graphsafe_get_state": lambda T: T.Generator().graphsafe_get_state(),
    "graphsafe_set_state": lambda T: T.Generator().graphsafe_set_state(T.Generator()),
    "get_offset": lambda T: T.Generator().get_offset(),
    "set_offset": lambda T: T.Generator().set_offset(4),
    "attribute": lambda T: setattr(T.Generator(), "x", 1),
    "fork cuda": lambda T: T.random.fork_rng(devices=["cuda"]).__enter__(),
    "fork foo": lambda T: T.random.fork_rng(device_type="foo").__enter__(),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    before = minigrad.get_rng_state().tolist()
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        ERRORS[name](torch)
    with pytest.raises(theirs.type):
        ERRORS[name](minigrad)
    assert minigrad.get_rng_state().tolist() == before


@pytest.mark.parametrize("seed", [True, "12", 1.5, np.int64(4), np.float32(2.5), -1, "tensor"])
def test_the_default_seed_is_converted(seed: Any) -> None:
    found = [T.manual_seed(T.tensor(3) if seed == "tensor" else seed).initial_seed() for T in ENGINES]
    assert found[0] == found[1]
