"""Random tensors, in-place draws, initialisers and samplers against torch: the same numbers, bit for bit."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sampling_programs import BY_MKL, PROGRAMS, as_drawn

import minigrad

ENGINES = (minigrad, torch)
DTYPES = ("float16", "float32", "float64")
seeds = st.integers(0, 2**64 - 1)
lengths = st.sampled_from([15, 16, 17, 31, 32, 33, 48, 100]) | st.integers(0, 40)
numbers = st.floats(-3, 3, width=16)


def facts(x: Any) -> Any:
    """All that can be seen of a result: of a tensor its dtype, shape, strides and bits."""
    if not isinstance(x, (minigrad.Tensor, torch.Tensor)):
        return x
    strides = [step for step, n in zip(x.stride(), x.shape, strict=True) if n > 1] if x.numel() else []
    return str(x.dtype), tuple(x.shape), strides, x.requires_grad, as_drawn(x.detach().numpy())


def names(T: Any) -> dict[str, Any]:
    """What the expressions of PROGRAMS are evaluated in."""
    return {
        "T": T, "init": T.nn.init, "zeros": T.zeros, "ones": T.ones, "nan": float("nan"), "inf": float("inf"),
        "longs": lambda n=3: T.zeros(n, dtype=T.int64), "bools": lambda n=3: T.zeros(n, dtype=T.bool),
        "leaf": lambda: T.zeros(3, requires_grad=True),
    }  # fmt: skip


def outcome(program: str, T: Any) -> Any:
    """What a program gives, its warnings, and the state after it; or the type of its error."""
    T.manual_seed(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = facts(eval(program, names(T)))
        except Exception as error:
            return type(error)
    if BY_MKL and re.search("bernoulli|exponential|multinomial", program):
        return found[:3]
    return found, {w.category for w in caught}, T.get_rng_state().tolist()


@pytest.mark.parametrize("function", PROGRAMS)
def test_programs(function: str) -> None:
    for program in filter(None, map(str.strip, re.split("[;\n]", PROGRAMS[function]))):
        assert outcome(program, minigrad) == outcome(program, torch), program


LAYOUTS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.permute(2, 1, 0),
    "turned": lambda x: x.permute(1, 2, 0),
    "every second column": lambda x: x[:, :, ::2],
    "every second row": lambda x: x[:, ::2],
    "every second row, turned": lambda x: x[:, ::2].transpose(0, 1),
    "a part": lambda x: x[1:, :, 1:],
    "one column": lambda x: x[:, :, 0],
}
IN_PLACE = {
    "uniform_": lambda x, a, b: x.uniform_(min(a, b), max(a, b)),
    "normal_": lambda x, a, b: x.normal_(a, abs(b)),
    "random_": lambda x, a, b: x.random_(),
    "random_ between": lambda x, a, b: x.random_(int(100 * min(a, b)), int(100 * max(a, b)) + 1),
    "bernoulli_": lambda x, a, b: x.bernoulli_(abs(a) / 3),
    "exponential_": lambda x, a, b: x.exponential_(abs(a) + 0.5),
    "geometric_": lambda x, a, b: x.geometric_(abs(a) / 4 + 0.1),
    "log_normal_": lambda x, a, b: x.log_normal_(a, abs(b) + 0.5),
    "cauchy_": lambda x, a, b: x.cauchy_(a, abs(b) + 0.5),
}
if BY_MKL:
    del IN_PLACE["bernoulli_"], IN_PLACE["exponential_"]


@pytest.mark.parametrize("name", IN_PLACE)
@given(
    seed=seeds,
    layout=st.sampled_from(list(LAYOUTS)),
    dtype=st.sampled_from(DTYPES),
    shape=st.tuples(*[st.integers(0, 5)] * 2, st.integers(0, 9)),
    a=numbers,
    b=numbers,
)
def test_in_place_draws_fill_as_the_tensor_lies_in_memory(
    name: str, seed: int, layout: str, dtype: str, shape: tuple[int, ...], a: float, b: float
) -> None:
    found = []
    for T in ENGINES:
        T.manual_seed(seed)
        base = T.zeros(shape, dtype=getattr(T, dtype))
        if not base.numel():
            return
        view = LAYOUTS[layout](base)
        version = view._version
        assert IN_PLACE[name](view, a, b) is view
        found.append((facts(base), facts(view), view._version - version, T.get_rng_state().tolist()))
    assert found[0] == found[1]


@given(seed=seeds, layout=st.sampled_from(list(LAYOUTS)), dtype=st.sampled_from(DTYPES), n=st.integers(1, 6))
def test_tensors_like_others_lie_as_these(seed: int, layout: str, dtype: str, n: int) -> None:
    found = []
    for T in ENGINES:
        T.manual_seed(seed)
        like = LAYOUTS[layout](T.zeros(n, 4, 3, dtype=getattr(T, dtype)))
        drawn = [T.rand_like(like), T.randn_like(like), T.randint_like(like, 9), T.bernoulli(like + 0.5)]
        drawn += [T.normal(like, 2.0), T.normal(0.3, like + 2), T.normal(like + 1, like + 3), T.poisson(like + 2)]
        drawn += [T.zeros_like(like), T.ones_like(like), T.full_like(like, 2), T.empty_like(like).fill_(1)]
        drawn += [T.rand(like.shape, out=like.clone()), T.randn(like.shape, dtype=like.dtype, out=like)]
        found.append((list(map(facts, drawn)), T.get_rng_state().tolist()))
    assert found[0] == found[1]


@given(
    seed=seeds,
    shape=st.lists(st.integers(1, 3), max_size=4),
    steps=st.lists(st.tuples(st.integers(0, 2), st.randoms(use_true_random=False)), max_size=3),
)
def test_expanded_tensors_are_followed_in_torchs_order(seed: int, shape: list[int], steps: Any) -> None:
    found = []
    plans = [(kind, random.random(), random.randint(0, 9)) for kind, random in steps]
    for T in ENGINES:
        T.manual_seed(seed)
        x = T.zeros(shape)
        for kind, share, k in plans:
            dims = np.random.RandomState(k).permutation(x.ndim).tolist()
            if kind == 0 and dims:
                x = x.permute(dims)
            elif kind == 1 and dims:
                x = x.transpose(0, dims[0])[::2].transpose(0, dims[0])
            elif kind == 2:
                x = x.expand([2 + k % 2 if n == 1 and share < 0.7 else n for n in x.shape])
        found.append(facts(T.rand_like(x)))
    assert found[0] == found[1]


@given(seed=seeds, n=st.integers(0, 300), p=st.floats(0, 1), dtype=st.sampled_from([*DTYPES, "int64", "bool"]))
def test_bernoulli_with_a_number_compares_doubles(seed: int, n: int, p: float, dtype: str) -> None:
    """The plain stream is the reference; torch may have taken MKL's, which `BY_MKL` tells from its state."""
    plain = torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) < p
    ours, theirs = (
        T.zeros(n, dtype=getattr(T, dtype)).bernoulli_(p, generator=T.Generator().manual_seed(seed)) for T in ENGINES
    )
    assert ours.tolist() == plain.to(theirs.dtype).tolist()
    assert BY_MKL or theirs.tolist() == ours.tolist()


@given(
    seed=seeds,
    dtype=st.sampled_from(DTYPES),
    weights=st.lists(st.sampled_from([0.0, 0.25, 1.0, 3.5]) | st.floats(2**-6, 9, width=16), min_size=1, max_size=40),
    rows=st.integers(0, 3),
    share=st.floats(0, 1),
    replacement=st.booleans(),
    turned=st.booleans(),
)
def test_multinomial(
    seed: int, dtype: str, weights: list[float], rows: int, share: float, replacement: bool, turned: bool
) -> None:
    w = np.array(weights, dtype)
    if rows:
        w = np.stack([w * (i + 1) for i in range(rows)])
        w = np.asfortranarray(w) if turned else w
    with_weight = np.count_nonzero(weights)  # among those without, torch's order is that of C++'s partial_sort
    count = max(1, round(share * (with_weight or 1)))
    if with_weight and not BY_MKL:
        found = []
        for T in ENGINES:
            T.manual_seed(seed)
            found.append((T.multinomial(T.from_numpy(w), count, replacement).tolist(), T.get_rng_state().tolist()))
        assert found[0] == found[1]


def test_multinomial_takes_those_without_weight_last() -> None:
    for T in ENGINES:
        order = T.multinomial(T.tensor([0.0, 3.0, 0.0, 1.0]), 4).tolist()
        assert {*order[:2]} == {1, 3} and {*order[2:]} == {0, 2}


def test_no_gradient_goes_through_numbers_that_were_drawn() -> None:
    draws = [
        lambda T, x: T.normal(x, 1.0), lambda T, x: T.normal(0.0, x), lambda T, x: T.normal(x, x),
        lambda T, x: T.normal(x, T.ones(2, 3)), lambda T, x: T.bernoulli(x), lambda T, x: T.poisson(x),
        lambda T, x: T.zeros(2, 3).bernoulli_(x), lambda T, x: (x * 1).normal_(), lambda T, x: (x * 1).random_(4),
        lambda T, x: T.normal(T.zeros(3).double(), x),
    ]  # fmt: skip
    for draw in draws:
        for T in ENGINES:
            x = T.full((3,), 0.5, requires_grad=True)
            y = draw(T, x)
            assert y.requires_grad
            y.sum().backward()
            assert x.grad.tolist() == [0.0, 0.0, 0.0]
    assert not minigrad.bernoulli(minigrad.ones(3)).requires_grad
    with minigrad.no_grad():
        assert not minigrad.normal(minigrad.ones(3, requires_grad=True), 1.0).requires_grad


class Draws(RuleBasedStateMachine):
    """Draws of all kinds in any order, from one generator in each engine."""

    @initialize(seed=seeds)
    def start(self, seed: int) -> None:
        self.generators = {T: T.Generator().manual_seed(seed) for T in ENGINES}
        self.states = {T: g.get_state() for T, g in self.generators.items()}

    def both(self, draw: Any) -> None:
        ours, theirs = (facts(draw(T, self.generators[T])) for T in ENGINES)
        assert ours == theirs

    @rule(n=lengths, dtype=st.sampled_from(DTYPES))
    def rand(self, n: int, dtype: str) -> None:
        self.both(lambda T, g: T.rand(n, dtype=getattr(T, dtype), generator=g))

    @rule(n=lengths, dtype=st.sampled_from(DTYPES))
    def randn(self, n: int, dtype: str) -> None:
        self.both(lambda T, g: T.randn(n, dtype=getattr(T, dtype), generator=g))

    @rule(n=lengths, mean=numbers, std=numbers, dtype=st.sampled_from(DTYPES))
    def normal(self, n: int, mean: float, std: float, dtype: str) -> None:
        std = abs(std)
        self.both(lambda T, g: T.normal(mean, std, (n,), dtype=getattr(T, dtype), generator=g))
        self.both(lambda T, g: T.normal(T.full((n,), mean, dtype=getattr(T, dtype)), std, generator=g))
        self.both(lambda T, g: T.normal(mean, T.full((n,), std, dtype=getattr(T, dtype)), generator=g))

    @rule(n=lengths, dtype=st.sampled_from(DTYPES))
    def not_contiguous(self, n: int, dtype: str) -> None:
        self.both(lambda T, g: T.zeros(n, 2, dtype=getattr(T, dtype))[:, 0].normal_(generator=g))

    @rule(n=lengths, low=st.integers(-9, 9), span=st.integers(1, 2**40), dtype=st.sampled_from(["int64", "float64"]))
    def randint(self, n: int, low: int, span: int, dtype: str) -> None:
        self.both(lambda T, g: T.randint(low, low + span, (n,), dtype=getattr(T, dtype), generator=g))

    @rule(n=lengths)
    def randperm(self, n: int) -> None:
        self.both(lambda T, g: T.randperm(n, generator=g))

    @rule(n=lengths, mean=numbers)
    def log_normal(self, n: int, mean: float) -> None:
        self.both(lambda T, g: T.zeros(n).log_normal_(mean, generator=g))

    @rule()
    def save(self) -> None:
        self.states = {T: g.get_state() for T, g in self.generators.items()}

    @rule()
    def restore(self) -> None:
        for T, g in self.generators.items():
            g.set_state(self.states[T])

    @rule(seed=seeds)
    def reseed(self, seed: int) -> None:
        for g in self.generators.values():
            g.manual_seed(seed)

    @invariant()
    def the_states_are_equal(self) -> None:
        ours, theirs = (g.get_state().numpy().tobytes() for g in self.generators.values())
        assert ours == theirs


TestDraws = Draws.TestCase


# initialisers --------------------------------------------------------------------------------------------------------


@given(
    seed=seeds,
    dtype=st.sampled_from(DTYPES),
    n=lengths,
    mean=numbers,
    std=st.floats(0.25, 3, width=16),
    bounds=st.lists(st.floats(-4, 4, width=16), min_size=2, max_size=2, unique=True),
    turned=st.booleans(),
)
def test_truncated_normals(
    seed: int, dtype: str, n: int, mean: float, std: float, bounds: list[float], turned: bool
) -> None:
    a, b = sorted(bounds)
    if mean < a - 2 * std or mean > b + 2 * std or b - a < 0.25:
        return  # warned of in PROGRAMS; hardly any candidate is kept
    found = []
    for T in ENGINES:
        T.manual_seed(seed)
        x = T.zeros(n, 2, dtype=getattr(T, dtype))
        assert T.nn.init.trunc_normal_(x.t() if turned else x, mean, std, a, b) is not None
        found.append((facts(x), T.get_rng_state().tolist()))
    assert found[0] == found[1]


@given(seed=seeds, rows=st.integers(1, 40), columns=st.integers(1, 40), dtype=st.sampled_from(["float32", "float64"]))
def test_orthogonal_matrices(seed: int, rows: int, columns: int, dtype: str) -> None:
    """LAPACK's decompositions differ between builds, by up to 22 units of rounding, relative to 1, in 600 matrices."""
    found = []
    for T in ENGINES:
        T.manual_seed(seed)
        x = T.empty(rows, columns, dtype=getattr(T, dtype), requires_grad=True)
        assert T.nn.init.orthogonal_(x, gain=2) is x
        found.append((x.detach().numpy(), T.get_rng_state().tolist()))
    (ours, state), (theirs, expected) = found
    assert state == expected
    assert np.abs(ours - theirs).max() <= 100 * 2 * np.finfo(ours.dtype).eps
    gram = ours @ ours.T if rows <= columns else ours.T @ ours
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=400 * np.finfo(ours.dtype).eps)


@given(seed=seeds, rows=st.integers(1, 9), columns=st.integers(1, 9), sparsity=st.floats(0, 1))
def test_sparse_matrices(seed: int, rows: int, columns: int, sparsity: float) -> None:
    found = []
    for T in ENGINES:
        T.manual_seed(seed)
        drawn = [T.nn.init.sparse_(T.zeros(rows, columns), sparsity)]
        drawn.append(T.nn.init.sparse_(T.zeros(rows, columns), sparsity, 2.0, T.Generator().manual_seed(1)))
        found.append((list(map(facts, drawn)), T.get_rng_state().tolist()))
    assert found[0] == found[1]


# the order of samples ------------------------------------------------------------------------------------------------

SAMPLERS = {
    "random": lambda D, n, count, g: D.RandomSampler(range(n), num_samples=count, generator=g),
    "replacement": lambda D, n, count, g: D.RandomSampler(range(n), True, count, generator=g),
    "subset": lambda D, n, count, g: D.SubsetRandomSampler(range(0, n, 2), g),
    "weighted": lambda D, n, count, g: D.WeightedRandomSampler([1.0 + i % 3 for i in range(n)], count, generator=g),
    "weighted once": lambda D, n, count, g: D.WeightedRandomSampler([1.0 + i % 3 for i in range(n)], n, False, g),
}


@given(
    seed=seeds,
    n=st.integers(1, 70),
    batch=st.integers(1, 12),
    kind=st.sampled_from(["sequential", "shuffle", *SAMPLERS]),
    own=st.booleans(),
    drop_last=st.booleans(),
    count=st.integers(1, 100),
)
def test_loaders_draw_in_torchs_order(
    seed: int, n: int, batch: int, kind: str, own: bool, drop_last: bool, count: int
) -> None:
    if BY_MKL and "weighted" in kind:
        return
    found = []
    for T in ENGINES:
        T.manual_seed(seed)
        D = T.utils.data
        generator = T.Generator().manual_seed(seed // 2) if own else None
        sampler = SAMPLERS[kind](D, n, count, generator) if kind in SAMPLERS else None
        shuffle = kind == "shuffle"
        loader = D.DataLoader(
            range(n), batch, shuffle or None, sampler=sampler, drop_last=drop_last, generator=generator
        )
        batches = [(epoch, len(loader), x.tolist(), T.rand(1).item()) for epoch in range(2) for x in loader]
        states = [g.get_state().tolist() for g in (T.default_generator, generator) if g is not None]
        found.append((batches, None if sampler is None else len(sampler), states))
    assert found[0] == found[1]


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_change_neither_the_order_nor_the_state(persistent: bool) -> None:
    found = []
    for T in ENGINES:
        T.manual_seed(3)
        loader = T.utils.data.DataLoader(
            range(20), 6, shuffle=True, num_workers=1, worker_init_fn=init_worker, persistent_workers=persistent
        )
        epochs = [[x.tolist() for x in loader] for _ in range(3)]
        found.append((epochs, T.get_rng_state().tolist()))
    assert found[0] == found[1]


def init_worker(i: int) -> None:
    """Called in torch's worker processes alone."""


LOADERS = {
    "pinned": lambda D: [x.tolist() for x in D.DataLoader(range(3), pin_memory=True)],
    "fractions": lambda D: [s.indices for s in D.random_split(range(10), [0.5, 0.25, 0.25])],
    "an empty fraction": lambda D: [s.indices for s in D.random_split(range(2), [0.9, 0.05, 0.05])],
    "lengths": lambda D: [s.indices for s in D.random_split(range(10), [4, 6, 0])],
    "too long": lambda D: D.random_split(range(10), [4, 7]),
    "a fraction too large": lambda D: D.random_split(range(10), [1.5, -0.5]),
    "persistent without workers": lambda D: D.DataLoader(range(3), persistent_workers=True),
    "prefetch without workers": lambda D: D.DataLoader(range(3), prefetch_factor=2),
    "negative prefetch": lambda D: D.DataLoader(range(3), num_workers=1, prefetch_factor=-1),
    "negative timeout": lambda D: D.DataLoader(range(3), timeout=-1),
    "no samples": lambda D: D.WeightedRandomSampler([1.0], 0),
    "half a sample": lambda D: D.WeightedRandomSampler([1.0], 1.5),
    "replacement 1": lambda D: D.WeightedRandomSampler([1.0], 1, 1),
    "weights in rows": lambda D: D.WeightedRandomSampler([[1.0]], 1),
    "weights that are ints": lambda D: list(D.WeightedRandomSampler([1, 2, 3], 9)),
    "no weight": lambda D: list(D.WeightedRandomSampler([0.0], 1)),
    "too few": lambda D: list(D.WeightedRandomSampler([1.0, 2.0], 3, False)),
}


@pytest.mark.parametrize("name", LOADERS)
def test_loaders_and_samplers(name: str) -> None:
    found = []
    for T in ENGINES:
        T.manual_seed(1)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                result = LOADERS[name](T.utils.data)
            except Exception as error:
                result = type(error)
        known = result if isinstance(result, (list, type)) else None
        found.append((known, {w.category for w in caught}, T.get_rng_state().tolist()))
    assert found[0] == found[1]
