"""minigrad.stream against torch's generator: every number, bit for bit."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_programs import BY_MKL, as_drawn

from minigrad.stream import STATE, Stream

DTYPES = {np.float16: torch.float16, np.float32: torch.float32, np.float64: torch.float64}
INTEGERS = {
    np.uint8: torch.uint8,
    np.int8: torch.int8,
    np.int16: torch.int16,
    np.int32: torch.int32,
    np.int64: torch.int64,
}
ALL = {**DTYPES, **INTEGERS, np.bool_: torch.bool}

seeds = st.integers(-(2**63), 2**64 - 1)
sizes = st.sampled_from([0, 1, 16, 17, 31, 32, 100, 1000, 1007]) | st.integers(0, 40)
floats = st.sampled_from(list(DTYPES))
means = st.sampled_from([0.0, 1.0]) | st.floats(2**-200, 3) | st.floats(-3, -(2**-200))
stds = st.sampled_from([0.0, 0.5, 1.0]) | st.floats(2**-200, 3)


def pair(seed):
    return Stream(seed % 2**64), torch.Generator().manual_seed(seed)


def same(ours, theirs):
    """Equal dtypes, shapes and bits (0.0 and -0.0 differ)."""
    theirs = theirs.numpy()
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    assert as_drawn(ours) == as_drawn(theirs)


def draw_uniform(g, t, n, dtype, a, b):
    same(g.uniform(n, dtype), torch.rand(n, dtype=DTYPES[dtype], generator=t))
    same(g.uniform(n, dtype, a - b, a + b), torch.empty(n, dtype=DTYPES[dtype]).uniform_(a - b, a + b, generator=t))


def draw_normal(g, t, n, dtype, mean, std):
    same(g.normal(n, dtype), torch.randn(n, dtype=DTYPES[dtype], generator=t))
    same(g.normal(n, dtype, mean, std), torch.empty(n, dtype=DTYPES[dtype]).normal_(mean, std, generator=t))


def draw_exponential(g, t, n, dtype, mean, std):
    rate = std + 0.1
    if BY_MKL:
        g.uniform(n, np.float64), torch.rand(n, dtype=torch.float64, generator=t)
        return
    same(g.exponential(n, dtype, rate), torch.empty(n, dtype=DTYPES[dtype]).exponential_(rate, generator=t))


def draw_geometric(g, t, n, dtype, mean, std):
    p = std / 4 + 0.01
    same(g.geometric(n, dtype, p), torch.empty(n, dtype=DTYPES[dtype]).geometric_(p, generator=t))


def draw_log_normal(g, t, n, dtype, mean, std):
    std += 0.1
    same(g.log_normal(n, dtype, mean, std), torch.empty(n, dtype=DTYPES[dtype]).log_normal_(mean, std, generator=t))


def draw_cauchy(g, t, n, dtype, mean, std):
    std += 0.1
    same(g.cauchy(n, dtype, mean, std), torch.empty(n, dtype=DTYPES[dtype]).cauchy_(mean, std, generator=t))


def draw_poisson(g, t, n, dtype, mean, std):
    rates = np.linspace(0, 8 * std, n).astype(dtype)
    same(g.poisson(rates), torch.poisson(torch.from_numpy(rates), generator=t))


def draw_permutation(g, t, n, dtype, mean, std):
    same(g.permutation(n), torch.randperm(n, generator=t))


def draw_int64(g, t, n, dtype, mean, std):
    assert g.int64() == torch.empty((), dtype=torch.int64).random_(generator=t).item()


DRAWS = [
    draw_uniform, draw_normal, draw_exponential, draw_geometric, draw_log_normal, draw_cauchy, draw_poisson,
    draw_permutation, draw_int64,
]  # fmt: skip


@pytest.mark.parametrize("draw", DRAWS)
@given(seed=seeds, n=sizes, dtype=floats, mean=means, std=stds)
def test_draw(draw, seed, n, dtype, mean, std):
    draw(*pair(seed), n, dtype, mean, std)


@given(seed=seeds, steps=st.lists(st.tuples(st.sampled_from(DRAWS), sizes, floats, means, stds), max_size=8))
def test_sequences_of_draws_keep_in_step(seed, steps):
    g, t = pair(seed)
    for draw, *arguments in steps:
        draw(g, t, *arguments)
        assert g.state().tobytes() == t.get_state().numpy().tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_large_draws(seed, dtype):
    g, t = pair(seed)
    for mean, std in [(0.0, 1.0), (1.3, 0.77), (-5.0, 2.0)]:
        draw_normal(g, t, 64007, dtype, mean, std)
        draw_uniform(g, t, 64007, dtype, mean, std)
        draw_exponential(g, t, 64007, dtype, mean, std)
    draw_permutation(g, t, 64007, dtype, mean, std)


@pytest.mark.parametrize("n", [998, 999, 1000, 1001, 1024, 5000, 1_000_003])
def test_permutations_short_and_long(n):
    for seed in range(1 if n > 9999 else 20):
        draw_permutation(*pair(seed), n, np.float32, 0.0, 1.0)


@pytest.mark.parametrize(("mean", "std"), [(6e-61, 3.0), (-6e-61, 3.0), (1e-17, 0.75), (1e-9, 1.1), (-1e3, 0.3)])
@pytest.mark.parametrize("n", [15, 1000])
def test_float64_is_rounded_once(n, mean, std):
    g, t = pair(3)
    draw_normal(g, t, n, np.float64, mean, std)
    same(g.uniform(n, np.float64, mean, mean + std), torch.empty(n).double().uniform_(mean, mean + std, generator=t))


@given(seed=seeds, n=sizes, dtype=st.sampled_from(list(ALL)), data=st.data())
def test_integers(seed, n, dtype, data):
    g, t = pair(seed)
    same(g.random(n, dtype), torch.empty(n, dtype=ALL[dtype]).random_(generator=t))
    if dtype in INTEGERS:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    else:
        low, high = 0, 1 if dtype is np.bool_ else 2 ** np.finfo(dtype).nmant
    low, high = sorted([data.draw(st.integers(low, high)), data.draw(st.integers(low, high))])
    if low < high:
        same(g.integers(n, dtype, low, high), torch.empty(n, dtype=ALL[dtype]).random_(low, high, generator=t))
    assert g.state().tobytes() == t.get_state().numpy().tobytes()


@pytest.mark.parametrize("span", [2**28 - 1, 2**28, 2**32, 2**63 - 1, 2**64 - 1])
def test_wide_integers_take_two_words(span):
    g, t = pair(5)
    low = -(2**63) if span > 2**63 else -3
    high = min(low + span, 2**63 - 1)
    same(g.integers(100, np.int64, low, high), torch.empty(100, dtype=torch.int64).random_(low, high, generator=t))
    same(
        g.integers(9, np.int64, -(2**63), 2**63), torch.empty(9, dtype=torch.int64).random_(-(2**63), None, generator=t)
    )


def test_draws_take_shapes_and_are_contiguous():
    g, t = pair(11)
    for draw in (g.uniform, g.normal, g.exponential, g.random):
        for shape in ((), (0, 3), (2, 3), (4, 5, 6), 7):
            out = draw(shape, np.float32)
            assert out.shape == (shape if isinstance(shape, tuple) else (shape,))
            assert out.flags.c_contiguous
            assert out.flags.writeable
    g.restart(11)
    same(g.normal((4, 5), np.float64), torch.randn(4, 5, dtype=torch.float64, generator=t))


def test_a_state_moves_between_generators_and_libraries():
    g, t = pair(7)
    for draws in (0, 1, 2, 311, 312, 313, 624):
        g.normal(1, np.float32)
        torch.randn(1, generator=t)
        g.uniform(draws, np.float64)
        torch.rand(draws, dtype=torch.float64, generator=t)
        state = g.state()
        assert state.shape == (STATE.itemsize,)
        other = torch.Generator()
        other.set_state(torch.from_numpy(state))
        mine = Stream()
        mine.restore(t.get_state().numpy())
        expected = torch.randn(3, generator=other)
        same(mine.normal(3, np.float32), expected)
        assert g.state().tobytes() == state.tobytes()


@pytest.mark.parametrize("state", [np.zeros(3, np.uint8), np.zeros(5056, np.uint8)], ids=["short", "empty"])
def test_what_is_no_state(state):
    with pytest.raises(RuntimeError):
        torch.Generator().set_state(torch.from_numpy(state))
    with pytest.raises(RuntimeError):
        Stream().restore(state)
