"""autograd.Function: the same program under torch and minigrad, and what it saw on the way."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from programs import both, function, leaf, plain

import minigrad


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


def test_a_view_from_no_grad_leaves_no_gradient_in_silence() -> None:
    """It says that it requires gradients, as in PyTorch, but they lead nowhere: an error, not a backward to nothing."""
    x = leaf(minigrad, 1.0, 2.0)
    with minigrad.no_grad():
        view = x.view(2)
    assert view.requires_grad
    out = function(minigrad, save_result, times_result).apply(view)
    assert not out.requires_grad
    with pytest.raises(RuntimeError, match="does not require grad"):
        out.sum().backward()
