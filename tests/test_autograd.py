"""The engine against torch: recording, accumulation, freeing, versions, views and in-place writes, modes, memory."""

from __future__ import annotations

import gc
import threading
import warnings
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from programs import PROGRAMS, both, leaf

import minigrad

ENGINES = pytest.mark.parametrize("T", [minigrad, torch], ids=["minigrad", "torch"])


@pytest.mark.filterwarnings(
    "ignore:Using backward.. with create_graph=True:UserWarning"
)  # both engines warn of the cycle
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_the_same_as_torch(program: Any) -> None:
    both(program)


def test_errors_name_both_places() -> None:
    x = leaf(minigrad, 1.0)
    y = x.exp()  # recorded here
    y.add_(1)  # written here
    line = test_errors_name_both_places.__code__.co_firstlineno
    with pytest.raises(
        RuntimeError, match=rf"(?s)ExpBackward0.*test_autograd.py:{line + 2}.*add_.*test_autograd.py:{line + 3}"
    ):
        y.backward()


def test_grad_of_non_leaf_warns() -> None:
    y = leaf(minigrad, 1.0) * 2
    with pytest.warns(UserWarning, match="not a leaf"):
        assert y.grad is None


def test_an_index_is_kept_as_it_was() -> None:
    """A deliberate deviation: torch raises here, since the index was written to."""
    x, i = leaf(minigrad, 1.0, 2.0, 3.0), minigrad.tensor([0])
    y = x[i]
    i[0] = 2
    y.sum().backward()
    assert x.grad.tolist() == [1, 0, 0]
    values, places = (x * 2).reshape(1, 3).max(1)
    places.zero_()
    values.sum().backward()
    assert x.grad.tolist() == [1, 0, 2]


def test_a_shape_is_not_parted_from_its_history() -> None:
    y = minigrad.ones(2, 3, requires_grad=True) * 2
    with minigrad.no_grad(), pytest.raises(RuntimeError, match="part the tensor from its history"):
        y.t_()


@ENGINES
def test_backward_with_create_graph_warns(T: Any) -> None:
    with pytest.warns(UserWarning, match="reference cycle"):
        leaf(T, 1.0).exp().backward(create_graph=True)


def test_a_failing_sweep_adds_nothing() -> None:
    x, w = leaf(minigrad, 2.0), leaf(minigrad, 3.0)
    y = (x * 1).exp()
    z = w * 2 + y
    y.zero_()
    with pytest.raises(RuntimeError, match="inplace"):
        z.backward()
    assert w.grad is None


def test_threads_train_as_one_after_the_other() -> None:
    def train(seed: int) -> list[float]:
        rng = np.random.default_rng(seed)
        x, y = (minigrad.tensor(rng.standard_normal((8, 3))) for _ in range(2))
        w = minigrad.tensor(rng.standard_normal((3, 3)), requires_grad=True)
        for _ in range(20):
            loss = ((x @ w).tanh() - y).pow(2).mean()
            loss.backward()
            with minigrad.no_grad():
                w -= 0.1 * w.grad
                w.grad = None
        return w.tolist()

    serial = [train(seed) for seed in range(8)]
    results: dict[int, Any] = {}
    threads = [threading.Thread(target=lambda s=seed: results.update({s: train(s)})) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results[seed] for seed in range(8)] == serial


def test_memory_returns_without_the_collector() -> None:
    gc.disable()
    try:
        x = leaf(minigrad, 1.0, 2.0)
        intermediate = x.exp()
        result = intermediate.tanh() * intermediate
        loss = result.sum()
        alive = [weakref.ref(t) for t in (intermediate, result)]
        nodes = [weakref.ref(t.grad_fn) for t in (intermediate, result, loss)]
        del intermediate, result
        assert [ref() for ref in alive] == [None, None]
        loss.backward()
        del loss
        assert [ref() for ref in nodes] == [None, None, None]
    finally:
        gc.enable()


def test_the_graph_holds_only_what_rules_name() -> None:
    x = minigrad.ones(1000, requires_grad=True)
    before = weakref.ref((x + 1)._array)
    y = x + 1
    z = y + 1  # the gradient of a sum names nothing: y's array may go
    array = weakref.ref(y._array)
    del y
    assert array() is None and before() is None
    z.sum().backward()


def test_a_chain_of_a_million() -> None:
    x = minigrad.ones(1, requires_grad=True)
    y = x
    for _ in range(1_000_000):
        y = y + 1
    y.backward()
    assert x.grad is not None and x.grad.item() == 1
    del y  # is freed without recursion, too


@given(st.lists(st.sampled_from(["mul", "tanh", "add", "self", "view", "neg"]), min_size=1, max_size=12), st.randoms())
def test_random_graphs(names: list[str], random: Any) -> None:
    choices = [random.random() for _ in range(40)]

    def program(T: Any) -> Any:
        pool = [leaf(T, 0.3, -0.7), leaf(T, 1.1, 0.2)]
        leaves, draw = list(pool), iter(choices)
        for name in names:
            a, b = (pool[int(next(draw) * len(pool))] for _ in range(2))
            pool.append({
                "mul": lambda a=a, b=b: a * b, "tanh": lambda a=a: a.tanh(), "add": lambda a=a, b=b: a + b,
                "self": lambda a=a: a * a, "view": lambda a=a: a.view(2, 1).t()[0], "neg": lambda a=a: -a,
            }[name]())  # fmt: skip
        total = sum((x * x).sum() for x in pool)
        grads = T.autograd.grad(total, leaves, create_graph=True)
        second = T.autograd.grad(sum((g * g).sum() for g in grads), leaves, allow_unused=True)
        return *grads, *(T.zeros(2, dtype=T.float64) if g is None else g for g in second)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours, theirs = program(minigrad), program(torch)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("gradient", [[1.0, 1.0], (1.0,), 1.0, "a", "ab", np.ones(2), (), [[1.0, 1.0]]])
def test_what_is_no_gradient(gradient: Any) -> None:
    """The error, and the beginning of its message."""
    for several in (False, True):
        found = []
        for T in (minigrad, torch):
            y = T.ones(2, requires_grad=True) * 2
            with pytest.raises((TypeError, RuntimeError)) as error:
                T.autograd.backward([y] if several else y, gradient)
            found.append((error.type, str(error.value)[:25]))
        assert found[0] == found[1]


def test_one_gradient_for_a_list_of_one() -> None:
    for T in (minigrad, torch):
        x = T.ones(2, requires_grad=True)
        T.autograd.backward([x * 2], T.ones(2))
        assert x.grad.tolist() == [2, 2]
