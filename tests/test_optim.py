"""SGD against torch: every parameter and every state entry after each of many steps, for random hyper-parameters."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad

ENGINES = pytest.mark.parametrize("T", [minigrad, torch], ids=["minigrad", "torch"])
UNIT = st.floats(0, 1)


@st.composite
def hyper_parameters(draw: Any) -> dict[str, Any]:
    momentum = draw(st.sampled_from([0, 0.5, 0.9]))
    nesterov = momentum > 0 and draw(st.booleans())
    return {
        "lr": draw(UNIT),
        "momentum": momentum,
        "dampening": 0 if nesterov else draw(st.sampled_from([0, 0.3])),
        "weight_decay": draw(st.sampled_from([0, 0.01, 0.5])),
        "nesterov": nesterov,
        "maximize": draw(st.booleans()),
    }


def arrays(seed: int, dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in ((), (1,), (3, 2), (0, 2))]


def trained(T: Any, seed: int, dtype: str, groups: list[dict[str, Any]], steps: int) -> list[Any]:
    """Parameters and momentum after each step; the gradients are random, and missing now and then."""
    params = [T.from_numpy(a).requires_grad_() for a in arrays(seed, dtype)]
    optimizer = T.optim.SGD([{"params": params[:2], **groups[0]}, {"params": params[2:], **groups[1]}], lr=0.1)
    history = []
    for step in range(steps):
        for i, (p, g) in enumerate(zip(params, arrays(seed + step + 1, dtype), strict=True)):
            p.grad = None if (step + i) % 5 == 4 else T.from_numpy(g)
        optimizer.step()
        history += [p.detach().numpy().copy() for p in params]
        for p in params:
            buffer = optimizer.state.get(p, {}).get("momentum_buffer")
            history.append(None if buffer is None else buffer.numpy().copy())
    return history


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(st.integers(0, 1000), hyper_parameters(), hyper_parameters())
def test_every_step(dtype: str, seed: int, first: dict[str, Any], second: dict[str, Any]) -> None:
    # Each step rounds p + (-lr) * d once in torch (a fused multiply-add) and twice here.
    ulp, steps = np.finfo(dtype).eps, 8
    ours, theirs = (trained(T, seed, dtype, [first, second], steps) for T in (minigrad, torch))
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            scale = max(1.0, np.abs(b).max(initial=0))
            np.testing.assert_allclose(a, b, rtol=0, atol=4 * steps * ulp * scale)


@given(st.integers(0, 1000), hyper_parameters())
def test_state_dict_goes_on_where_it_stopped(seed: int, options: dict[str, Any]) -> None:
    def run(interrupted: bool) -> list[Any]:
        w = minigrad.from_numpy(arrays(seed, "float64")[2]).requires_grad_()
        optimizer = minigrad.optim.SGD([w], **options)
        for step in range(6):
            if interrupted and step == 3:
                state = copy.deepcopy(optimizer.state_dict())
                optimizer = minigrad.optim.SGD([w], lr=1e9)
                optimizer.load_state_dict(state)
            optimizer.zero_grad()
            ((w - step) ** 2).sum().backward()
            optimizer.step()
        return w.tolist()

    assert run(True) == run(False)


def test_state_dicts_are_interchangeable() -> None:
    dicts = []
    for T in (minigrad, torch):
        w, b = T.ones(2, requires_grad=True), T.zeros(1, requires_grad=True)
        optimizer = T.optim.SGD([{"params": [w], "lr": 0.5}, {"params": [b]}], lr=0.1, momentum=0.9)
        w.grad, b.grad = T.ones(2), T.ones(1)
        optimizer.step()
        state = optimizer.state_dict()
        state["state"] = {i: {k: v.tolist() for k, v in s.items()} for i, s in state["state"].items()}
        dicts.append((state, repr(optimizer)))
    assert dicts[0] == dicts[1]


@ENGINES
def test_closure(T: Any) -> None:
    w = T.ones(1, requires_grad=True)
    optimizer = T.optim.SGD([w], lr=0.1)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with T.no_grad():
        assert optimizer.step(closure).item() == 1
    assert w.item() == pytest.approx(0.8)


@ENGINES
def test_zero_grad(T: Any) -> None:
    w = T.ones(1, requires_grad=True)
    optimizer = T.optim.SGD([w], lr=0.1)
    (w * 2).backward()
    held = w.grad
    optimizer.zero_grad(set_to_none=False)
    assert w.grad is held and held.item() == 0
    optimizer.zero_grad()
    assert w.grad is None
    optimizer.step()
    assert w.item() == 1


@ENGINES
def test_a_step_counts_as_a_write(T: Any) -> None:
    w = T.ones(1, requires_grad=True)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    T.optim.SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def bad_calls(T: Any) -> list[Any]:
    w, other = T.ones(1, requires_grad=True), T.ones(1, requires_grad=True)
    SGD, one = T.optim.SGD, T.optim.SGD([w], lr=0.1)
    return [
        lambda: SGD([], lr=0.1),
        lambda: SGD([w], lr=-0.1),
        lambda: SGD([w], lr=0.1, momentum=-1),
        lambda: SGD([w], lr=0.1, weight_decay=-1),
        lambda: SGD([w], lr=0.1, nesterov=True),
        lambda: SGD([w], lr=0.1, momentum=0.9, dampening=0.1, nesterov=True),
        lambda: SGD(w, lr=0.1),
        lambda: SGD([3], lr=0.1),
        lambda: SGD([w * 2], lr=0.1),
        lambda: SGD([{"params": [w]}, {"params": [w]}], lr=0.1),
        lambda: SGD([{"params": {w, other}}], lr=0.1),
        lambda: one.add_param_group([w]),
        lambda: one.load_state_dict(SGD([w, other], lr=0.1).state_dict()),
        lambda: one.load_state_dict(SGD([{"params": [w]}, {"params": [other]}], lr=0.1).state_dict()),
    ]


@pytest.mark.parametrize("i", range(len(bad_calls(minigrad))))
def test_errors(i: int) -> None:
    with pytest.raises(Exception) as theirs:  # noqa: PT011  # whatever torch raises
        bad_calls(torch)[i]()
    with pytest.raises(theirs.type):
        bad_calls(minigrad)[i]()


@ENGINES
def test_duplicates_warn_and_names_are_kept(T: Any) -> None:
    w = T.ones(1, requires_grad=True)
    with pytest.warns(UserWarning, match="duplicate parameters"):
        T.optim.SGD([w, w], lr=0.1)
    optimizer = T.optim.SGD(T.nn.Linear(1, 1).named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert list(optimizer.state_dict()["param_groups"][0])[-1] == "params"


def test_add_param_group() -> None:
    w, b = minigrad.ones(1, requires_grad=True), minigrad.ones(1, requires_grad=True)
    optimizer = minigrad.optim.SGD([w], lr=0.1)
    optimizer.add_param_group({"params": b, "lr": 1.0})
    (w + b).backward()
    optimizer.step()
    assert (round(w.item(), 6), b.item()) == (0.9, 0.0)
