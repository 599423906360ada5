"""Checkpoints: the gradients as without, to the bit, PyTorch's errors and warnings, and memory that is really gone."""

from __future__ import annotations

import contextlib
import gc
import tracemalloc
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.checkpoint

import minigrad
from minigrad.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential

FLAGS = pytest.mark.parametrize("use_reentrant", [True, False])


def leaf(T: Any, *values: float) -> Any:
    return T.tensor(values, dtype=T.float64, requires_grad=True)


def through(T: Any, on: bool | None, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The function as a checkpoint with use_reentrant=`on`, or (None) plainly."""
    return function(*args) if on is None else T.utils.checkpoint.checkpoint(function, *args, use_reentrant=on, **kwargs)


# Each script returns tensors; it is run with and without checkpoints, under both engines.


def chain(T: Any, on: bool | None) -> Any:
    x, w = leaf(T, 1.0, 2.0), leaf(T, 3.0)
    through(T, on, lambda x: ((x * w).exp() * x).tanh().sum() + w, x * 1).backward()
    return x.grad, w.grad


def several_outputs(T: Any, on: bool | None) -> Any:
    x, y = leaf(T, 1.0, 2.0), leaf(T, 3.0)
    a, b, text = through(T, on, lambda x, y, n, text: (x * y * n, x.exp() * y, text), x, y, 2, "text")
    (a.sum() + (b * b).sum()).backward()
    assert text == "text"
    return a, b, x.grad, y.grad


def unused_output(T: Any, on: bool | None) -> Any:
    x = leaf(T, 1.0, 2.0)
    through(T, on, lambda x: (x.exp() * x, x.sin()), x)[0].sum().backward()
    return x.grad


def nested(T: Any, on: bool | None) -> Any:
    x, w = leaf(T, 0.5, 0.25), leaf(T, 3.0)

    def innermost(x: Any) -> Any:
        return (x * w).exp().sin()

    def inner(x: Any) -> Any:
        return through(T, on, innermost, x * x) * through(T, on, innermost, x)

    def outer(x: Any) -> Any:
        return through(T, on, inner, x.exp()).tanh() * through(T, on, inner, x)

    through(T, on, outer, x).sum().backward()
    return x.grad, w.grad


def retained(T: Any, on: bool | None) -> Any:
    x = leaf(T, 1.0, 2.0)
    out = through(T, on, lambda x: (x.exp() * x).sum(), x)
    out.backward(retain_graph=True)
    out.backward()
    return x.grad


def twice_in_a_graph(T: Any, on: bool | None) -> Any:
    x, layer = leaf(T, 1.0, 2.0), T.nn.Tanh()
    (through(T, on, layer, through(T, on, layer, x)) * x).sum().backward()
    return x.grad


def random_mask(T: Any, on: bool | None) -> Any:
    T.manual_seed(3)
    x = leaf(T, *range(1, 9))

    def drop(x: Any) -> Any:
        return (x * (T.rand(8, dtype=T.float64) < 0.5).double()).exp() * x

    out = through(T, on, drop, x * 1)
    between = T.rand(2)
    out.sum().backward()
    return x.grad, between, T.rand(2)


def written_inside(T: Any, on: bool | None) -> Any:
    x = leaf(T, 1.0, 2.0)

    def write(x: Any) -> Any:
        y = x * 2
        y[0] = x[1].exp()
        y.mul_(x)
        return y.exp()

    through(T, on, write, x).sum().backward()
    return x.grad


def output_written(T: Any, on: bool | None) -> Any:
    x = leaf(T, 1.0, 2.0)
    out = through(T, on, lambda x: x.sin() * x, x)
    out.mul_(2)
    out.sum().backward()
    return x.grad


def views_and_parts(T: Any, on: bool | None) -> Any:
    x = leaf(T, 1.0, 2.0, 3.0, 4.0)

    def parts(x: Any) -> Any:
        a, b = x.exp().reshape(2, 2).unbind(0)
        value, _ = (a * b).max(0)
        return value * a, b[:1]

    a, b = through(T, on, parts, x)
    (a.sum() * b.sum()).backward()
    return x.grad


def own_function(T: Any, on: bool | None) -> Any:
    class Square(T.autograd.Function):  # type: ignore[misc, name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            out = x * x * y
            ctx.save_for_backward(x, y, out)
            ctx.factor = 2
            return out, x + y

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            x, y, out = ctx.saved_tensors
            return g * ctx.factor * x * y + h, g * out / y + h

    x, y = leaf(T, 1.0, 2.0), leaf(T, 3.0, 4.0)
    a, b = through(T, on, lambda x, y: Square.apply(x.exp(), y.sin()), x, y)
    (a * b).sum().backward()
    return x.grad, y.grad


def hooks_inside(T: Any, on: bool | None) -> Any:
    x, seen = leaf(T, 0.5, 0.25), []
    layer = T.nn.Tanh()
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi[0] + go[0]).detach()) or (gi[0] * 2,))
    through(T, on, lambda x: layer(x.exp()).sin(), x).sum().backward()
    return x.grad, *seen


SCRIPTS = [
    chain, several_outputs, unused_output, nested, retained, twice_in_a_graph, random_mask, written_inside,
    output_written, views_and_parts, own_function, hooks_inside,
]  # fmt: skip


@FLAGS
@pytest.mark.filterwarnings("ignore:None of the inputs")  # PyTorch's, inside a reentrant one, where nothing is recorded
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_gradients(script: Callable[..., Any], use_reentrant: bool) -> None:
    found, without, expected = script(minigrad, use_reentrant), script(minigrad, None), script(torch, use_reentrant)
    for a, b, c in zip(*(x if isinstance(x, tuple) else (x,) for x in (found, without, expected)), strict=True):
        assert np.array_equal(a.detach().numpy(), b.detach().numpy())  # to the bit
        np.testing.assert_allclose(a.detach().numpy(), c.detach().numpy(), rtol=1e-12)
        assert a.requires_grad == c.requires_grad


# Without reentrance PyTorch can do all that a graph can.


def second(T: Any, **flag: Any) -> Any:
    x, w = leaf(T, 0.5, 0.25), leaf(T, 2.0)
    out = T.utils.checkpoint.checkpoint(lambda x: (x * w).exp().sin() * x, x, **flag).sum()
    g, h = T.autograd.grad(out, [x, w], create_graph=True)
    return g, h, *T.autograd.grad((g * g).sum() + h, [x, w])


def second_nested(T: Any, **flag: Any) -> Any:
    x, check = leaf(T, 0.5, 0.25), T.utils.checkpoint.checkpoint
    out = check(lambda x: check(lambda y: y.exp() * y, x.sin(), **flag).tanh(), x, **flag).sum()
    (g,) = T.autograd.grad(out, x, create_graph=True)
    return g, *T.autograd.grad(g.sum(), x)


def one_input(T: Any, **flag: Any) -> Any:
    x, w = leaf(T, 0.5), leaf(T, 2.0)
    T.utils.checkpoint.checkpoint(lambda x: (x * w).exp(), x, **flag).backward(inputs=[x])
    assert w.grad is None
    return x.grad


def keywords_and_structure(T: Any, **flag: Any) -> Any:
    x, w = leaf(T, 0.5), leaf(T, 2.0)
    out = T.utils.checkpoint.checkpoint(lambda x, scale: {"a": [x["x"].exp() * scale]}, {"x": x}, scale=w, **flag)
    out["a"][0].backward()
    return x.grad, w.grad


def nothing_required(T: Any, **flag: Any) -> Any:
    w = leaf(T, 2.0)
    T.utils.checkpoint.checkpoint(lambda x: (x * w).exp(), T.ones(1, dtype=T.float64), **flag).backward()
    return (w.grad,)


@pytest.mark.parametrize("script", [second, second_nested, one_input, keywords_and_structure, nothing_required])
def test_whatever_graphs_can_do(script: Callable[..., Any]) -> None:
    for a, b in zip(script(minigrad, use_reentrant=False), script(torch, use_reentrant=False), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:None of the inputs")
def test_where_pytorch_cant_the_gradients_are_right() -> None:
    for script in (second, second_nested, one_input):
        with pytest.raises(RuntimeError, match="use_reentrant=True"):
            script(torch, use_reentrant=True)
        for a, b in zip(script(minigrad, use_reentrant=True), script(torch, use_reentrant=False), strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12)


def test_numpy_within_a_function_is_not_recorded_when_it_runs_again() -> None:
    x = leaf(minigrad, 8.0)
    out = checkpoint(lambda x: x.exp() * np.cbrt(x.detach().numpy() + np.cbrt(x.detach())), x, use_reentrant=False)
    (g,) = minigrad.autograd.grad(out, x, create_graph=True)
    assert minigrad.autograd.grad(g, x)[0].item() == out.item()


# What both engines say, and how often they call.


def outcome(T: Any, script: Callable[..., Any]) -> Any:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = script(T, T.utils.checkpoint.checkpoint)
        except Exception as error:
            result = type(error).__name__, str(error).split(":")[0]
    return result, [(w.category.__name__, str(w.message).split(".")[:4]) for w in caught]


def none_required(T: Any, check: Any) -> Any:
    x, w = T.ones(1), leaf(T, 2.0)
    out = check(lambda x: x * w, x, use_reentrant=True)
    return out.requires_grad, w.grad, out.item()


def unrecorded(T: Any, check: Any) -> Any:
    calls = []
    with T.no_grad():
        out = check(lambda x: calls.append(T.is_grad_enabled()) or x.exp(), leaf(T, 1.0), use_reentrant=False)
    return calls, out.requires_grad


def calls(T: Any, check: Any) -> Any:
    log = []
    x = leaf(T, 1.0)
    out = check(lambda x: log.append((T.is_grad_enabled(), x.is_leaf)) or x.exp(), x * 1, use_reentrant=False)
    log.append("forward")
    out.backward()
    return log


def contexts(T: Any, check: Any) -> Any:
    log: list[str] = []

    @contextlib.contextmanager
    def context(name: str) -> Iterator[None]:
        log.append(name)
        yield

    both = lambda: (context("forward"), context("again"))
    out = check(lambda x: x.exp(), leaf(T, 1.0), use_reentrant=False, context_fn=both)
    log.append("between")
    out.backward()
    return log


def second_time(T: Any, check: Any, use_reentrant: bool = False) -> Any:
    out = check(lambda x: x.exp(), leaf(T, 1.0), use_reentrant=use_reentrant)
    out.backward()
    out.backward()


def argument_written(T: Any, check: Any, use_reentrant: bool = False) -> Any:
    y = leaf(T, 1.0) * 1
    out = check(lambda x: x.exp(), y, use_reentrant=use_reentrant)
    with T.no_grad():
        y.add_(1)
    out.backward()


def fewer(T: Any, check: Any) -> Any:
    log: list[int] = []
    out = check(
        lambda x: log.append(1) or (x.exp() if len(log) > 1 else x.exp().exp()), leaf(T, 1), use_reentrant=False
    )
    out.backward()


def other_shape(T: Any, check: Any) -> Any:
    log: list[int] = []
    out = check(lambda x: log.append(1) or x[: len(log)].exp().sum(), leaf(T, 1.0, 2.0), use_reentrant=False)
    out.backward()


SAID: list[Callable[..., Any]] = [
    none_required,
    unrecorded,
    calls,
    contexts,
    second_time,
    argument_written,
    fewer,
    other_shape,
    lambda T, check: check(T.exp, leaf(T, 1.0)).item(),
    lambda T, check: T.utils.checkpoint.checkpoint_sequential([T.exp, T.sin], 2, leaf(T, 1.0)).item(),
    lambda T, check: T.utils.checkpoint.checkpoint_sequential([T.exp], 2, leaf(T, 1.0), use_reentrant=False),
    lambda T, check: T.utils.checkpoint.checkpoint_sequential([T.exp], 1, leaf(T, 1.0), use_reentrant=False, x=1),
    lambda T, check: check(T.exp, leaf(T, 1.0), use_reentrant=True, x=1),
    lambda T, check: check(T.exp, leaf(T, 1.0), use_reentrant=True, debug=True),
    lambda T, check: check(T.exp, leaf(T, 1.0), use_reentrant=False, debug=True, context_fn=lambda: None),
    lambda T, check: check(T.exp, leaf(T, 1.0), use_reentrant=False, determinism_check="all"),
    lambda T, check: check(T.exp, leaf(T, 1.0), use_reentrant=False, early_stop=False).item(),
    lambda T, check: check(lambda x: 1 / 0, leaf(T, 1.0), use_reentrant=False),
    lambda T, check: check(
        lambda x: 1 / 0,
        leaf(T, 1.0),
        use_reentrant=False,
        context_fn=lambda: (contextlib.suppress(ZeroDivisionError), contextlib.nullcontext()),
    ),
    lambda T, check: second_time(T, check, True),
    lambda T, check: argument_written(T, check, True),
]


@pytest.mark.parametrize("script", SAID, ids=lambda script: script.__name__)
def test_what_is_said(script: Callable[..., Any]) -> None:
    (found, warned), (expected, expected_warned) = outcome(minigrad, script), outcome(torch, script)
    if isinstance(expected, tuple) and expected[0] == "RuntimeError" and "second time" in expected[1]:
        assert found[0] == "RuntimeError" and found[1] in expected[1]
    else:
        assert found == expected
    assert [(kind, text[0]) for kind, text in warned] == [(kind, text[0]) for kind, text in expected_warned]


@pytest.mark.parametrize("use_reentrant", [True, False])
@pytest.mark.parametrize("segments", [1, 2, 3, 5])
def test_sequential(segments: int, use_reentrant: bool) -> None:
    results = []
    for T in (minigrad, torch):
        calls: list[int] = []
        model = T.nn.Sequential(*(T.nn.Tanh() for _ in range(5)))
        x = leaf(T, 1.0, 2.0)
        check = T.utils.checkpoint.checkpoint_sequential
        out = check(model, segments, x, use_reentrant=use_reentrant, preserve_rng_state=False)
        for i, layer in enumerate(model):
            layer.register_forward_hook(lambda *args, i=i, calls=calls: calls.append(i))
        out.sum().backward()
        results.append((calls, x.grad.numpy()))
    size = 5 // segments
    assert sorted(results[0][0]) == list(range(size * (segments - 1)))  # all but the last segment, once
    if use_reentrant:  # else PyTorch stops where it has what it needs
        assert results[0][0] == results[1][0]
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-12)


# Where PyTorch gives a wrong gradient in silence, or another one than the function that ran first.


@FLAGS
def test_what_the_function_reads_must_stay(use_reentrant: bool) -> None:
    for write in (
        lambda w: w.add_(1),
        lambda w: setattr(w, "data", w.data + 1),
    ):
        x, w = leaf(minigrad, 1.0), leaf(minigrad, 3.0)
        out = checkpoint(lambda x, w=w: (x * w).exp() + w, x, use_reentrant=use_reentrant)
        with minigrad.no_grad():
            write(w)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.backward()


@FLAGS
def test_a_function_that_saves_more_the_second_time(use_reentrant: bool) -> None:
    log: list[int] = []
    out = checkpoint(
        lambda x: log.append(1) or (x.exp() if len(log) == 1 else x.exp().exp()),
        leaf(minigrad, 1.0),
        use_reentrant=use_reentrant,
    )
    with pytest.raises(CheckpointError, match="A different number of tensors"):
        out.backward()


def test_random_numbers_are_drawn_anew_where_asked_for() -> None:
    drawn: list[Any] = []
    x = leaf(minigrad, 1.0)
    for preserve in (True, False):
        out = checkpoint(
            lambda x: drawn.append(minigrad.rand(2).tolist()) or x.exp(),
            x,
            use_reentrant=False,
            preserve_rng_state=preserve,
        )
        out.backward()
    assert drawn[0] == drawn[1] and drawn[2] != drawn[3]


# Memory.


@contextlib.contextmanager
def no_garbage_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("on", [True, False, None])
def test_intermediates_are_gone_between_forward_and_backward(on: bool | None, depth: int) -> None:
    arrays: list[weakref.ref[Any]] = []

    def function(x: Any) -> Any:
        for _ in range(3):
            x = x.exp() * 0.1
            x = x.tanh()
            arrays.append(weakref.ref(x._array))
        x = x * 1
        return x + 1

    def deep(x: Any, depth: int) -> Any:
        return through(minigrad, on, function if depth == 1 else lambda x: deep(x, depth - 1) * 1, x)

    with no_garbage_collector():
        x = minigrad.ones(10, requires_grad=True)
        out = deep(x, depth)
        assert [a() is None for a in arrays] == [on is not None] * 3
        out.sum().backward()
        assert len(arrays) == (3 if on is None else 3 + 3 * depth)
        assert all(a() is None for a in arrays)  # and freed by backward, as without a checkpoint


@FLAGS
def test_a_graph_that_is_never_differentiated_is_freed(use_reentrant: bool) -> None:
    with no_garbage_collector():
        y = minigrad.ones(10, requires_grad=True) * 2
        node, array = weakref.ref(y.grad_fn), weakref.ref(y._array)
        out = checkpoint(lambda x: x.exp().tanh(), y, use_reentrant=use_reentrant)
        del y
        assert node() is not None
        del out
        assert node() is None and array() is None


@FLAGS
def test_bytes(use_reentrant: bool) -> None:
    """Twenty layers of 80 kB in five segments: what lives between forward and backward, and the peak."""

    def measure(segments: int | None) -> tuple[int, int]:
        model = minigrad.nn.Sequential(*(minigrad.nn.Tanh() for _ in range(20)))
        x = minigrad.ones(20000, requires_grad=True)
        gc.collect()
        tracemalloc.start()
        whole = segments is None
        out = model(x) if whole else checkpoint_sequential(model, segments, x, use_reentrant=use_reentrant)
        live = tracemalloc.get_traced_memory()[0]
        out.sum().backward()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return live, peak

    live, peak = measure(5)
    all_live, all_peak = measure(None)
    assert all_live > 20 * 80000
    assert live < 10 * 80000
    assert peak < 0.8 * all_peak
