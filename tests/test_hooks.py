"""Tensor hooks and anomaly detection: the same program under torch and minigrad, and what it saw on the way."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from engines import lines
from programs import both, function, leaf, plain

import minigrad


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


WRITTEN = """
v = y[:, :2]; v.register_hook(H('v')); v.mul_(3); v.sum().backward()
v = y[:, :2]; v.register_hook(H('v')); v.mul_(3); y.sum().backward()
v = y[:, :2]; v.register_hook(H('v')); y.mul_(3); v.sum().backward()
v = y[:, :2]; v.register_hook(H('v')); v.mul_(3); v.register_hook(H('w')); v.sum().backward()
v = y.view(3); v.register_hook(H('v')); v.mul_(2); y.mul_(2); v.sum().backward()
v = y.view(3); v.register_hook(H('v')); a = v * 1; y.mul_(2); (v * 1 + a).sum().backward()
v = y.view(3); v.register_hook(H('v')); v[0] = 5.0; v.sum().backward()
v = y.view(3); v.retain_grad(); a = v * 1; v.mul_(2); (v * 1 + a).sum().backward(); log.append(v.grad)
v = y[:, :2]; v.retain_grad(); v.mul_(3); v.mul_(2); v.sum().backward(); log.append((v.grad, v.retains_grad))
y.register_hook(H('y')); v = y[:, :2]; v.mul_(3); v.sum().backward()
y.register_hook(H('y')); y.mul_(3); y.register_hook(H('z')); y.mul_(2); y.sum().backward()
y.retain_grad(); v = y[:, :2]; v.mul_(3); y.sum().backward(); log.append(y.grad)
y.retain_grad(); y.t_(); (y * y).sum().backward(); log.append((y.grad, y.retains_grad))
y.retain_grad(); y.t_(); y.retain_grad(); (y * y).sum().backward(); log.append((y.grad, y.retains_grad))
y.retain_grad(); y.squeeze_(); y.sum().backward(); log.append((y.grad, y.retains_grad))
y.retain_grad(); y.unsqueeze_(0); y.sum().backward(); log.append((y.grad, y.retains_grad))
y.retain_grad(); y.transpose_(0, 1); y.sum().backward(); log.append((y.grad, y.retains_grad))
y.t_(); y.retain_grad(); (y * y).sum().backward(); log.append((y.grad, y.retains_grad))
y.register_hook(H('y')); y.squeeze_(0); y.sum().backward()
y.register_hook(H('y')); y.swapaxes_(0, 1); (y * y).sum().backward()
v = y[:, :2]; v.retain_grad(); v.t_(); (v * v).sum().backward(); log.append((v.grad, v.retains_grad))
v = y[:, :2]; v.register_hook(H('v')); v.t_(); (v * v).sum().backward()
v = y[:, :2]; v.t_(); v.mul_(2); (y * y).sum().backward()
v = y[:, :2]; y.t_(); (v * v).sum().backward()
y.register_hook(H('y')); y.detach_(); y.requires_grad_(); (y * 2).sum().backward(); log.append(y.grad)
x.register_hook(H('x')); x.detach_(); x.requires_grad_(); (x * 2).sum().backward()
y.sum().backward(inputs=[y]); log.append((y.grad, y.retains_grad))
y = x + 2; y.sum().backward(inputs=[y]); y.sum().backward(); log.append(y.grad)
y = x + 2; y.sum().backward(inputs=[y]); T.autograd.grad(y.sum(), y); log.append(y.grad)
y.sum().backward(inputs=[y, x]); log.append((y.grad, y.retains_grad))
y.register_hook(H('y')); y.sum().backward(inputs=[y]); log.append((y.grad, y.retains_grad))
y.retain_grad(); y.sum().backward(inputs=y); log.append((y.grad, y.retains_grad))
v = y[:, :2]; v.sum().backward(inputs=[v]); v.mul_(2); v.sum().backward(); log.append(v.grad)
"""


@pytest.mark.parametrize("line", lines(WRITTEN))
def test_hooks_and_retained_gradients_of_what_is_written_to(line: str) -> None:
    """H(name) makes a hook that notes the gradient and doubles it; y is a result of shape (1, 3) of the leaf x."""

    def program(T: Any) -> Any:
        log: list[Any] = []
        x = leaf(T, 1.0, 2.0, 3.0)
        names = {"T": T, "x": x, "y": x[None] * 1, "log": log}
        exec(line, names | {"H": lambda name: lambda g: (log.append((name, plain(g))), g * 2)[1]})
        return log, x.grad

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
