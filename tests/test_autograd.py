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

import minigrad

ENGINES = pytest.mark.parametrize("T", [minigrad, torch], ids=["minigrad", "torch"])


def both(program: Any) -> None:
    """Run a program on either engine; what it returns must be the same, an error's type included."""
    found = []
    for T in (minigrad, torch):
        try:
            result = program(T)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            result = type(error).__name__
        found.append(plain(result))
    np.testing.assert_equal(*found)


def plain(x: Any) -> Any:
    if isinstance(x, (tuple, list)):
        return [plain(item) for item in x]
    return x.detach().numpy().tolist() if hasattr(x, "detach") else x


def leaf(T: Any, *values: float) -> Any:
    return T.tensor(values, dtype=T.float64, requires_grad=True)


def accumulate(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0)
    grads = []
    for _ in range(3):
        (x * x).sum().backward()
        grads.append(x.grad.clone())
    held = x.grad
    (x * 3).sum().backward()
    return *grads, held is x.grad, held


def two_leaves_do_not_share(T: Any) -> Any:
    x, y = leaf(T, 1.0), leaf(T, 2.0)
    (x + y).backward()
    x.grad.add_(10)
    return x.grad, y.grad


def the_seed_is_not_shared(T: Any) -> Any:
    x, seed = leaf(T, 1.0, 2.0), T.ones(2, dtype=T.float64)
    (x + 0).backward(seed)
    seed.zero_()
    return x.grad


def graph_is_kept(T: Any) -> Any:
    x = leaf(T, 2.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    return x.grad


def second_backward_fails_and_changes_nothing(T: Any) -> Any:
    x = leaf(T, 2.0)
    y = x * x
    y.backward()
    try:
        y.backward()
    except RuntimeError:
        return x.grad
    return None


def nothing_saved_nothing_freed(T: Any) -> Any:
    x = leaf(T, 2.0, 3.0)
    y = (x + 1).sum()
    y.backward()
    y.backward()
    return x.grad


def inputs_alone(T: Any) -> Any:
    x, y = leaf(T, 2.0), leaf(T, 3.0)
    z = x * y
    w = z * z
    w.backward(inputs=[x], retain_graph=True)
    kept = x.grad.clone(), y.grad
    z.retain_grad()
    w.backward(inputs=[z])
    return *kept, x.grad, y.grad, z.grad


def retained(T: Any) -> Any:
    x = leaf(T, 2.0)
    y = x * x
    y.retain_grad()
    y.retain_grad()
    (y * y).backward()
    return y.grad, x.grad, y.retains_grad


def grad_with_unused(T: Any) -> Any:
    x, y = leaf(T, 2.0), leaf(T, 3.0)
    return (
        *T.autograd.grad(x * x, [x, y], allow_unused=True),
        *T.autograd.grad(x * x, [x, y], materialize_grads=True),
        x.grad,
    )


def grad_of_intermediate(T: Any) -> Any:
    x = leaf(T, 2.0)
    y = x * x
    return T.autograd.grad(y * y, [x, y])


def several_roots(T: Any) -> Any:
    x = leaf(T, 2.0)
    T.autograd.backward([x * x, x * 3], [T.tensor([1.0], dtype=T.float64), T.tensor([2.0], dtype=T.float64)])
    return x.grad


def same_root_twice(T: Any) -> Any:
    x = leaf(T, 2.0)
    y = x * x
    T.autograd.backward([y, y], retain_graph=True)
    return x.grad


def third_derivative(T: Any) -> Any:
    x = leaf(T, 0.3, -2.0)
    y = (x.sin() * x.exp()).sum()
    for _ in range(3):
        (g,) = T.autograd.grad(y, x, create_graph=True)
        y = g.sum()
    return g, g.requires_grad


def create_graph_accumulates(T: Any) -> Any:
    x = leaf(T, 2.0)
    (x**3).backward(create_graph=True)
    first = x.grad
    (x**3).backward(create_graph=True)
    return first, x.grad, x.grad.requires_grad


def grad_clears_history(T: Any) -> Any:
    x = leaf(T, 2.0)
    (x**3).backward(create_graph=True)
    (x * 2).backward()
    return x.grad


def zero_and_reset(T: Any) -> Any:
    x = leaf(T, 2.0)
    (x * x).backward()
    x.grad.zero_()
    (x * x).backward()
    x.grad = None
    (x * x).backward()
    return x.grad


def constant_loss(T: Any) -> Any:
    T.ones(1).backward()


def backward_in_no_grad(T: Any) -> Any:
    x = leaf(T, 2.0)
    with T.no_grad():
        y = x * x
    return y.requires_grad, y.is_leaf, y.grad_fn is None


def item_assignment(T: Any) -> Any:
    x, v = leaf(T, 1.0, 2.0, 3.0), leaf(T, 5.0)
    y = x * 2
    y[1:2] = v
    y[0] *= y[2]
    (y * y).sum().backward()
    return y, x.grad, v.grad, y._version


def view_then_write_base(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0, 3.0, 4.0)
    y = x * 1
    v = y.view(2, 2)
    y.mul_(3)
    (v * v).sum().backward()
    return x.grad, v


def write_view_of_view(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0, 3.0, 4.0)
    y = x * 1
    y.view(2, 2).t()[1].add_(10).mul_(2)
    (y * y).sum().backward()
    return y, x.grad


def write_into_what_needs_none(T: Any) -> Any:
    buffer, x = T.zeros(3, dtype=T.float64), leaf(T, 2.0)
    buffer[1:2] = x * x
    buffer[2] = 7
    (buffer * buffer).sum().backward()
    return buffer, x.grad, buffer.requires_grad, buffer.is_leaf


def transposed_in_place(T: Any) -> Any:
    x = leaf(T, 1.0, -2.0, 3.0, -4.0)
    y = (x * 2).reshape(2, 2)
    y.t().clamp_(min=0)
    y.sum().backward()
    return y, x.grad


def exp_in_place(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0)
    y = (x * 1).exp_()
    (y * 3).sum().backward()
    return x.grad, y._version


def saved_result_then_written(T: Any) -> Any:
    x = leaf(T, 1.0)
    y = x.exp()
    y.add_(1)
    y.backward()


def saved_input_then_detached_write(T: Any) -> Any:
    x = leaf(T, 1.0)
    y = x * 1
    z = y * y
    y.detach().zero_()
    z.backward()


def data_writes_go_unnoticed(T: Any) -> Any:
    x = leaf(T, 1.0)
    y = x * 1
    z = y * y
    y.data.zero_()
    z.backward()
    return x.grad


def leaf_written_between(T: Any) -> Any:
    w = leaf(T, 1.0)
    loss = w * w
    with T.no_grad():
        w -= 0.1
    loss.backward()


def second_order_sees_writes(T: Any) -> Any:
    x = leaf(T, 2.0)
    y = x * 1
    (g,) = T.autograd.grad(y**3, y, create_graph=True)
    y.add_(1)
    g.backward()


def multiplied_by_itself_in_place(T: Any) -> Any:
    x, w = leaf(T, 2.0), leaf(T, 3.0)
    y = x * 1
    y *= w
    y.backward()
    return x.grad, w.grad


def expanded_write(T: Any) -> Any:
    T.ones(1).expand(3).add_(1)


def requires_grad_of_integers(T: Any) -> Any:
    T.tensor([1]).requires_grad_()


def leaf_in_place(T: Any) -> Any:
    leaf(T, 1.0).add_(1)


def view_of_leaf_in_place(T: Any) -> Any:
    leaf(T, 1.0, 2.0)[0].fill_(3)


def index_changed_in_a_loop(T: Any) -> Any:
    x, i, total = leaf(T, 1.0, 2.0, 3.0), T.tensor([0]), 0
    for k in range(3):
        total = total + (k + 1) * x[i.clone()]
        i[0] = min(k + 1, 2)
    total.sum().backward()
    return x.grad


def out_counts_as_a_write(T: Any) -> Any:
    w, c = leaf(T, 1.0, 1.0), T.ones(2, dtype=T.float64)
    loss = (w * c).sum()
    T.add(c, 1, out=c)
    loss.backward()


def stale_view_as_a_value(T: Any) -> Any:
    w, b, z = leaf(T, 3.0), T.zeros(3, dtype=T.float64), T.zeros(2, dtype=T.float64)
    v = b[0]
    b += w
    z[0] = v
    u = T.zeros(1, dtype=T.float64)
    u.copy_(v)
    (z.sum() + u.sum()).backward()
    return z.requires_grad, w.grad


def view_made_under_no_grad(T: Any) -> Any:
    y = leaf(T, 1.0, 2.0) * 1
    with T.no_grad():
        v = y[0]
    v.mul_(2)


def retained_and_written(T: Any) -> Any:
    x = leaf(T, 1.0, 1.0)
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    y[0] = 5.0
    (y * y).sum().backward()
    return y.retains_grad, y.grad, x.grad


def detached_view_in_place(T: Any) -> Any:
    (leaf(T, 1.0, 2.0) * 2)[0].detach_()


def scalar_written_by_a_mask(T: Any) -> Any:
    x = T.tensor(2.0, requires_grad=True)
    y = x * 1.5
    y[y > 0] = 1.0
    y.backward()
    return x.grad


def gradient_used_then_accumulated(T: Any) -> Any:
    w, v = leaf(T, 1.0, 1.0), leaf(T, 1.0, 1.0)
    (w * w).sum().backward()
    loss = (w.grad * v).sum()
    (w * w).sum().backward()
    loss.backward()


def expanded_grad(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0)
    x.grad = T.ones(1, dtype=T.float64).expand(2)
    (x * x).sum().backward()


def second_backward_through_svd(T: Any) -> Any:
    y = T.eye(2, dtype=T.float64, requires_grad=True).norm(p="nuc")
    y.backward()
    y.backward()


def requires_grad_of_a_result(T: Any) -> Any:
    (leaf(T, 1.0) * 2).requires_grad = True


def copied_and_filled(T: Any) -> Any:
    x, v, s = leaf(T, 1.0, 2.0), leaf(T, 5.0), T.tensor(3.0, dtype=T.float64, requires_grad=True)
    y, z = x * 1, x * x
    y.copy_(v * v)
    z[0].fill_(s)
    (y * z).sum().backward()
    return y, z, x.grad, v.grad, s.grad


def overwritten_has_gradient_zero(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0)
    (x * 3).copy_(T.ones(2, dtype=T.float64)).sum().backward()
    return x.grad


def second_order_through_a_written_view(T: Any) -> Any:
    x, w = leaf(T, 1.0, 2.0, 3.0, 4.0), leaf(T, 0.5, -1.5)
    y = x * x * x
    square = y.view(2, 2)
    square[1].mul_(w)
    loss = (y * y).sum() + (square.t()[0] ** 3).sum()
    first = T.autograd.grad(loss, [x, w], create_graph=True)
    return *first, *T.autograd.grad(sum((g**2).sum() for g in first), [x, w])


def unbind_and_split(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    a, _, c = x.view(3, 2).unbind()
    head, tail = (x * x).split([2, 4])
    (a * c).sum().backward()
    (head.sum() * tail[0]).backward()
    return x.grad


def gradient_is_contiguous(T: Any) -> Any:
    x = T.ones(2, 3, dtype=T.float64, requires_grad=True)
    (x.t() @ T.ones(2, 2, dtype=T.float64)).sum().backward()
    y = leaf(T, 1.0)
    y.expand(4).sum().backward()
    return x.grad.is_contiguous(), y.grad.stride()


PROGRAMS = [
    value for value in list(globals().values()) if callable(value) and getattr(value, "__code__", None)
    and value.__code__.co_varnames[:1] == ("T",) and value.__code__.co_argcount == 1
]  # fmt: skip


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
