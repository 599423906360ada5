"""autograd.Function and tensor hooks: the same program under torch and minigrad, and what it saw on the way."""

from __future__ import annotations

import gc
import re
import warnings
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from programs import both, leaf, plain

import minigrad


def function(T: Any, forward: Any, backward: Any, setup: Any = None) -> Any:
    """A Function of these methods."""
    methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    if setup is not None:
        methods["setup_context"] = staticmethod(setup)
    return type("Mine", (T.autograd.Function,), methods)


def save_result(ctx: Any, x: Any) -> Any:
    out = x.exp()
    ctx.save_for_backward(out)
    return out


def times_result(ctx: Any, g: Any) -> Any:
    (out,) = ctx.saved_tensors
    return g * out


def first_second_third(T: Any) -> Any:
    x = leaf(T, 0.5, 2.0)
    y = function(T, save_result, times_result).apply(x)
    seen = [y, y.grad_fn.name(), repr(y), y.grad_fn.next_functions[0][0].name()]
    for _ in range(3):
        (y,) = T.autograd.grad(y.sum(), x, create_graph=True)
        seen.append(y)
    return seen


def what_the_methods_see(T: Any) -> Any:
    log: list[Any] = []

    def forward(ctx: Any, x: Any, y: Any, k: Any) -> Any:
        log.append((T.is_grad_enabled(), x.requires_grad, y.requires_grad, ctx.needs_input_grad))
        ctx.save_for_backward(x, None, y)
        ctx.k = k
        return x * y * k

    def backward(ctx: Any, g: Any) -> Any:
        log.append((T.is_grad_enabled(), g.requires_grad, ctx.needs_input_grad, len(ctx.saved_tensors)))
        x, _, y = ctx.saved_tensors
        return g * y * ctx.k, g * x * ctx.k, None

    x = leaf(T, 1.0, 2.0)
    out = function(T, forward, backward).apply(x, T.ones(2, dtype=T.float64), 3)
    out.sum().backward(retain_graph=True)
    T.autograd.grad(out.sum(), x, create_graph=True)
    return log, x.grad, [entry[0] is None for entry in out.grad_fn.next_functions]


def set_up_apart(T: Any) -> Any:
    def setup(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs, output)

    def backward(ctx: Any, g: Any) -> Any:
        x, y, out = ctx.saved_tensors
        return g * y * out, g * x

    x, y = leaf(T, 2.0), leaf(T, 3.0)
    made = function(T, lambda x, y: x * y, backward, setup)
    return [*T.autograd.grad(made.apply(x, y=y).sum(), (x, y)), made.apply(x.detach(), y.detach()).requires_grad]


def several_results(T: Any, materialize: bool) -> Any:
    log: list[Any] = []

    def forward(ctx: Any, x: Any) -> Any:
        ctx.set_materialize_grads(materialize)
        still = x * 5
        ctx.mark_non_differentiable(still)
        return x * 2, x * 3, "a word", still, x > 1

    def backward(ctx: Any, *gs: Any) -> Any:
        log.append(plain(gs))
        a, b = (0 if g is None else g for g in gs[:2])
        return a * 2 + b * 3

    x = leaf(T, 1.0, 2.0)
    a, b, word, still, mask = function(T, forward, backward).apply(x)
    a.sum().backward(retain_graph=True)
    (a * b).sum().backward()
    return log, x.grad, word, still.requires_grad, mask, repr(b)


def results_saved_of_several(T: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        out = x.exp(), x * 2
        ctx.save_for_backward(*out)
        return out

    def backward(ctx: Any, g: Any, h: Any) -> Any:
        e, _ = ctx.saved_tensors
        return g * e + h * 2

    x = leaf(T, 1.0, 2.0)
    a, b = function(T, forward, backward).apply(x)
    (first,) = T.autograd.grad((a * b).sum(), x, create_graph=True)
    return first, T.autograd.grad(first.sum(), x)


def written_in_place(T: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        x.add_(1)
        ctx.mark_dirty(x)
        return x

    x = leaf(T, 1.0, 2.0)
    made = function(T, forward, lambda ctx, g: g * 7)
    y = x * 3
    z = made.apply(y)
    base = x * 2
    row = made.apply(base[0:1])
    return z is y, y, y._version, T.autograd.grad(y.sum(), x), base, row, T.autograd.grad(base.sum(), x)


def written_leaf(T: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_dirty(x)
        return x.add_(1)

    return function(T, forward, lambda ctx, g: g).apply(leaf(T, 1.0))


def returned_as_is(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0)
    y = function(T, lambda ctx, x: x, lambda ctx, g: g * 4).apply(x)
    return y is x, y, T.autograd.grad(y.sum(), x)


def returned_as_is_then_written(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0) * 1
    y = function(T, lambda ctx, x: x.view(2), lambda ctx, g: g * 4).apply(x)
    y.add_(1)


def saved_then_written(T: Any) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * 1

    x = leaf(T, 1.0) * 1
    y = function(T, forward, lambda ctx, g: g * ctx.saved_tensors[0]).apply(x)
    x.add_(1)
    y.backward()


def second_backward(T: Any) -> Any:
    y = function(T, save_result, times_result).apply(leaf(T, 1.0))
    y.backward()
    y.backward()


def second_backward_with_nothing_saved(T: Any) -> Any:
    x = leaf(T, 1.0)
    y = function(T, lambda ctx, x: x * 2, lambda ctx, g: g * 2).apply(x)
    y.backward()
    y.backward()
    return x.grad


def once(T: Any, again: bool) -> Any:
    backward = T.autograd.function.once_differentiable(times_result)
    x, g = leaf(T, 1.0, 2.0), leaf(T, 1.0, 1.0)
    y = function(T, save_result, backward).apply(x)
    (first,) = T.autograd.grad(y, x, g if again else g.detach(), create_graph=True)
    return T.autograd.grad(first.sum(), x) if again else (first, first.requires_grad)


def no_gradients_wanted(T: Any) -> Any:
    made = function(T, save_result, times_result)
    with T.no_grad():
        y = made.apply(leaf(T, 1.0))
    return y, y.requires_grad, made.apply(T.ones(2)).requires_grad


def wider_gradient(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0)
    made = function(T, lambda ctx, x: x * 1, lambda ctx, g: T.ones(3, 2))
    (g,) = T.autograd.grad(made.apply(x).sum(), x)
    return g, str(g.dtype)


def inside_another(T: Any) -> Any:
    """A backward that itself runs a backward."""

    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        with T.enable_grad():
            copy = x.detach().requires_grad_()
            (inner,) = T.autograd.grad((copy**3).sum(), copy)
        return g * inner

    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x**3

    x = leaf(T, 1.0, 2.0)
    return T.autograd.grad(function(T, forward, backward).apply(x).sum(), x)


@pytest.mark.parametrize(
    "program",
    [
        first_second_third, what_the_methods_see, set_up_apart, results_saved_of_several, written_in_place,
        written_leaf, returned_as_is, returned_as_is_then_written, saved_then_written, second_backward,
        second_backward_with_nothing_saved, no_gradients_wanted, wider_gradient, inside_another,
        *(lambda T, m=m: several_results(T, m) for m in (True, False)),
        *(lambda T, again=again: once(T, again) for again in (True, False)),
    ],
    ids=lambda program: program.__name__,
)  # fmt: skip
def test_the_same_as_torch(program: Any) -> None:
    both(program)


RETURNS = {
    "one too many": (lambda g: (g, g), "expected 1, got 2"),
    "None beyond": (lambda g: (g, None), None),
    "a number": (lambda g: 3, "expected Variable or None .got int.*gradient 0"),
    "a list": (lambda g: [g], "got list"),
    "too short": (lambda g: g[:1], r"index 0 - got \[1\] but expected shape compatible with \[2\]"),
    "None": (lambda g: None, None),
    "another dtype": (lambda g: g.float(), None),
    "integers": (lambda g: g.long(), None),
    "nothing": (lambda g: (), "expected 1, got 0"),
}


@pytest.mark.parametrize("name", RETURNS)
def test_what_backward_may_return(name: str) -> None:
    back, message = RETURNS[name]

    def program(T: Any) -> Any:
        x = leaf(T, 1.0, 2.0)
        y = function(T, lambda ctx, x: x * 1, lambda ctx, g: back(g)).apply(x)
        return T.autograd.grad(y.sum(), x, allow_unused=True)

    both(program)
    if message is not None:
        with pytest.raises(RuntimeError, match=f"unction MineBackward|expected Variable.*{message}|{message}"):
            program(minigrad)


def test_what_is_missing_is_named() -> None:
    x = leaf(minigrad, 1.0)
    with pytest.raises(NotImplementedError, match="forward function"):
        minigrad.autograd.Function.apply(x)
    only_forward = type("Half", (minigrad.autograd.Function,), {"forward": staticmethod(lambda ctx, x: x * 1)})
    with pytest.raises(NotImplementedError, match="backward or vjp"):
        only_forward.apply(x).backward()
    with pytest.raises(RuntimeError, match=r"Half should not be instantiated.*Half\.apply"):
        only_forward()
    save_number = function(minigrad, lambda ctx, x: ctx.save_for_backward(x, 3), times_result)
    with pytest.raises(TypeError, match="argument 1 is of type int"):
        save_number.apply(x)


def test_gradients_are_nobody_elses() -> None:
    """What backward is given and what it returns may be kept and written to."""
    kept = []

    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * 2

    def backward(ctx: Any, g: Any) -> Any:
        kept.append(g)
        g.mul_(5)
        return ctx.saved_tensors[0]

    x = leaf(minigrad, 1.0, 2.0)
    y = function(minigrad, forward, backward).apply(x)
    (y + x).sum().backward()
    assert x.grad.tolist() == [2, 3]
    x.grad.zero_()
    assert x.tolist() == [1, 2]
    assert kept[0].tolist() == [5, 5]


def test_nothing_is_left_of_the_graph() -> None:
    gc.disable()
    try:
        x = leaf(minigrad, 1.0, 2.0)
        made = function(minigrad, save_result, times_result)
        y = made.apply(x)
        z = made.apply(y)
        dead = [weakref.ref(t) for t in (y, z, y.grad_fn, z.grad_fn)]
        del y, z
        assert all(ref() is None for ref in dead)
    finally:
        gc.enable()


# Hooks


def order_of_hooks(T: Any) -> Any:
    log: list[Any] = []

    def seen(name: str) -> Any:
        return lambda g: log.append((name, plain(g), g.requires_grad, T.is_grad_enabled()))

    u, v, x = leaf(T, 1.0, 1.0), leaf(T, 1.0, 3.0), T.tensor([1.0, 2.0], dtype=T.float64)
    h = u * x
    k = h * v
    loss = (k + u).sum()
    for name, t in {"u": u, "v": v, "h": h, "k": k, "loss": loss}.items():
        t.register_hook(seen(name))
    for name, t in {"u": u, "v": v}.items():
        t.register_post_accumulate_grad_hook(lambda p, name=name: log.append(("after", name, plain(p.grad))))
    h.retain_grad()
    h.register_hook(lambda g: g * 10)
    h.register_hook(seen("h again"))
    loss.backward(retain_graph=True)
    loss.backward(inputs=[v], retain_graph=True)
    return log, h.grad, u.grad, T.autograd.grad(loss, u, create_graph=True), log


def hooks_of_what_was_written_to(T: Any) -> Any:
    log: list[Any] = []
    x = leaf(T, 1.0, 2.0)
    y = x * 2
    y.register_hook(lambda g: log.append(("before", plain(g))))
    y.retain_grad()
    y.mul_(3)
    y.register_hook(lambda g: log.append(("behind", plain(g))))
    y.sum().backward()
    return log, x.grad, y.grad


def removed_hooks(T: Any) -> Any:
    log: list[Any] = []
    x = leaf(T, 1.0)
    handles = [x.register_hook(lambda g, i=i: log.append(i)) for i in range(3)]
    handles[1].remove()
    handles[1].remove()
    with x.register_hook(lambda g: log.append("inside")):
        (x * 1).backward()
    (x * 1).backward()
    return log, x.grad


def hooks_of_a_root_leaf(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0)
    x.register_hook(lambda g: g * 3)
    x.backward(T.ones(2, dtype=T.float64))
    return x.grad


def hooks_of_one_of_several_results(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0)
    a, b = x.unbind()
    b.register_hook(lambda g: g * 3)
    (a * b).backward()
    return x.grad


def hook_that_steps(T: Any) -> Any:
    """An update in the backward pass."""
    x = leaf(T, 1.0, 2.0)

    def update(p: Any) -> None:
        with T.no_grad():
            p -= 0.5 * p.grad
        p.grad = None

    x.register_post_accumulate_grad_hook(update)
    for _ in range(3):
        (x * x).sum().backward()
    return x, x.grad


def error_in_a_hook(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0)
    x.register_hook(lambda g: g[5])
    try:
        (x * x).sum().backward()
    except IndexError:
        return x.grad is None, T.is_grad_enabled(), (x * 2).requires_grad


@pytest.mark.parametrize(
    "program",
    [order_of_hooks, hooks_of_what_was_written_to, removed_hooks, hooks_of_a_root_leaf, hook_that_steps,
     hooks_of_one_of_several_results, error_in_a_hook],
    ids=lambda program: program.__name__,
)  # fmt: skip
def test_hooks_are_those_of_torch(program: Any) -> None:
    both(program)


@pytest.mark.parametrize("of_leaf", [True, False])
@pytest.mark.parametrize("result", [lambda g: 3, lambda g: g[:1], lambda g: g.float(), lambda g: g.sum()])
def test_what_hooks_may_return(result: Any, of_leaf: bool) -> None:
    def program(T: Any) -> Any:
        x = leaf(T, 1.0, 2.0)
        y = x * 2
        (x if of_leaf else y).register_hook(lambda g: result(g))
        y.sum().backward()
        return x.grad

    both(program)
    with pytest.raises((TypeError, RuntimeError), match="hook '<lambda>'"):
        program(minigrad)


def test_where_hooks_are_refused() -> None:
    x = leaf(minigrad, 1.0)
    for tensor, register, message in (
        (minigrad.ones(1), "register_hook", "doesn't require gradient"),
        (minigrad.ones(1), "register_post_accumulate_grad_hook", "doesn't require gradient"),
        (x * 1, "register_post_accumulate_grad_hook", "non-leaf"),
    ):
        with pytest.raises(RuntimeError, match=message):
            getattr(tensor, register)(print)
        with pytest.raises(RuntimeError, match=message):
            getattr(torch.from_numpy(tensor.detach().numpy()).requires_grad_(tensor.requires_grad) * 1, register)(print)


def test_what_a_hook_keeps_stays_as_it_is() -> None:
    kept = []
    x = leaf(minigrad, 1.0, 2.0)
    y = x * 1 + 0
    y.register_hook(kept.append)
    x.register_hook(lambda g: kept.append(g) or g)
    y.sum().backward()
    x.grad.zero_()
    assert [g.tolist() for g in kept] == [[1, 1], [1, 1]]
    kept[1].fill_(9)
    assert x.grad.tolist() == [0, 0]


# Anomaly detection


def test_anomaly_names_the_rule_the_line_and_the_values() -> None:
    x = leaf(minigrad, 0.0, 1.0)
    line = test_anomaly_names_the_rule_the_line_and_the_values.__code__.co_firstlineno + 7
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        minigrad.autograd.set_detect_anomaly(True)
        y = minigrad.where(x > 0, x.sqrt(), 0.0)
        with pytest.raises(RuntimeError) as error:
            y.sum().backward()
        minigrad.autograd.set_detect_anomaly(False)
    place = rf"{re.escape(__file__)}:{line - 1}"
    assert re.search(
        rf"Function 'SqrtBackward0' returned nan values in its 0th output.*{place}.*at \[0\].*is 0.0 there.*out is 0.0",
        str(error.value),
    )
    assert f"line {line - 1}, in test_anomaly_names" in str(warned[0].message)
    assert "x.sqrt()" in str(warned[0].message)
    assert x.grad is None


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled", "ignore:Error detected in")
@pytest.mark.parametrize("check_nan", [True, False])
def test_anomaly_finds_what_torch_finds(check_nan: bool) -> None:
    def nan_at(T: Any, make: Any) -> Any:
        x = leaf(T, 0.0, 1.0)
        with T.autograd.detect_anomaly(check_nan):
            try:
                make(T, x).sum().backward()
            except RuntimeError as error:
                return re.match(r"Function '(.*)' returned nan values in its (\d)th output", str(error)).groups()
        return x.grad

    for make in (
        lambda T, x: x.sqrt() * 0,
        lambda T, x: x * np.nan,
        lambda T, x: T.ones(2, dtype=T.float64) / x * 0,
        lambda T, x: (x * 0) / x,
        lambda T, x: x.log() * x,
        lambda T, x: function(T, lambda ctx, x: x * 1, lambda ctx, g: g * np.nan).apply(x),
        lambda T, x: x.norm() + (x - 1).norm(),
    ):
        both(lambda T, make=make: nan_at(T, make))


def test_anomaly_mode_ends() -> None:
    for T in (minigrad, torch):
        switch = T.autograd.set_detect_anomaly
        with switch(True, check_nan=False):
            assert (T.is_anomaly_enabled(), T.is_anomaly_check_nan_enabled()) == (True, False)
        assert (T.is_anomaly_enabled(), T.is_anomaly_check_nan_enabled()) == (False, True)
        switch(True)
        assert T.is_anomaly_enabled()
        switch(False)
        assert not T.is_anomaly_enabled()
