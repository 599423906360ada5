"""Hooks of optimizers, and copies of optimizers, which leave them behind, against torch."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

import minigrad

ENGINES = pytest.mark.parametrize("T", [minigrad, torch], ids=["minigrad", "torch"])


@ENGINES
def test_hooks(T: Any) -> None:
    w = T.ones(1, requires_grad=True)
    w.grad = T.ones(1)

    calls: list[Any] = []

    class Mine(T.optim.SGD):  # type: ignore[misc]
        def step(self, closure: Any = None) -> Any:
            calls.append("step")
            return super().step(closure)

    # torch runs the hooks of Mine twice if its class SGD was used before, as the step() of both has them.
    for kind in (T.optim.SGD, Mine) if T is minigrad else (T.optim.SGD,):
        calls.clear()
        optimizer = kind([w], lr=0.5)
        first = optimizer.register_step_pre_hook(lambda o, args, kwargs: calls.append((o, args, kwargs)))
        optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, lambda: 7), {}))
        optimizer.register_step_post_hook(lambda o, args, kwargs: calls.append((w.item(), args[1](), kwargs)))
        before = w.item()
        assert optimizer.step() == 7
        own = ["step"] if kind is Mine else []
        assert calls == [(optimizer, (optimizer,), {}), *own, (before - 0.5, 7, {})]
        first.remove()
        first.remove()
        optimizer.step(None)
        assert len(calls) == 3 + 2 * len(own)
    with optimizer.register_step_pre_hook(lambda *args: 3), pytest.raises(RuntimeError, match="must return None or a"):
        optimizer.step()
    optimizer.step()


@ENGINES
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"])
def test_hooks_and_schedulers_stay_behind(T: Any, copied: Any) -> None:
    w, calls = T.ones(1, requires_grad=True), []
    optimizer = T.optim.SGD([w], lr=1.0, momentum=0.5)
    optimizer.register_step_post_hook(lambda *args: calls.append(args))
    T.optim.lr_scheduler.StepLR(optimizer, 1)
    w.grad = T.ones(1)
    optimizer.step()
    other = copied(optimizer)
    (v,) = other.param_groups[0]["params"]
    v.grad = T.ones(1)
    other.step()
    assert (len(calls), v.item(), other.param_groups[0]["initial_lr"]) == (1, -1.5, 1.0)
    other.register_step_post_hook(lambda *args: calls.append(args))
    scheduler = T.optim.lr_scheduler.StepLR(other, 1)
    other.step()
    scheduler.step()
    assert (len(calls), v.item(), other.param_groups[0]["lr"]) == (2, -3.25, 0.1)


@ENGINES
def test_a_copy_steps_on_its_own(T: Any) -> None:
    w = T.ones(1, requires_grad=True)
    optimizer = T.optim.Adam([w], lr=0.5)
    optimizer.register_step_post_hook(lambda *args: None)
    w.grad = T.ones(1)
    optimizer.step()
    other = copy.deepcopy(optimizer)
    (v,) = other.param_groups[0]["params"]
    v.grad = T.ones(1)
    other.step()
    assert w.item() == pytest.approx(0.5) and v.item() == pytest.approx(0, abs=1e-6)
    assert (optimizer.state[w]["step"], other.state[v]["step"]) == (1, 2)
