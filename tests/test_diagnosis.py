"""diagnose(): each way to NaN is found where it begins, and named."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as torch
from minigrad import nn
from minigrad.explain import diagnose

NAN, INF = math.nan, math.inf
W = [0.0, 1.0, 2.0]

# What is computed of w = [0, 1, 2], the operation to be named, the direction, the place, and the mechanism.
CASES: list[tuple[Any, str, str, tuple[int, ...], str]] = [
    (lambda w: torch.log(w * 1), "Log", "forward", (0,), "Logarithm of 0"),
    (lambda w: torch.log(w - 1), "Log", "forward", (0,), "negative number"),
    (lambda w: torch.log1p(w - 2), "Log1P", "forward", (0,), "log1p"),
    (lambda w: torch.exp(w * 100), "Exp", "forward", (1,), "Overflow in exp"),
    (lambda w: torch.exp(w * 100) / torch.exp(w * 100), "Exp", "forward", (1,), "Overflow in exp"),
    (lambda w: (w - 1).sqrt(), "Sqrt", "forward", (0,), "root of a negative"),
    (lambda w: 1 / w, "Reciprocal", "forward", (0,), "Division by zero"),
    (lambda w: w / (w * 0), "Div", "forward", (0,), "Division by zero"),
    (lambda w: w.rsqrt(), "Rsqrt", "forward", (0,), "Division by zero"),
    (lambda w: (w - 1) ** 0.5, "Pow", "forward", (0,), "fractional power"),
    (lambda w: w ** -1.5, "Pow", "forward", (0,), "negative power of 0"),
    (lambda w: torch.acos(w * 1), "Acos", "forward", (2,), "outside"),
    (lambda w: w * 1e30 * 1e30, "Mul", "forward", (1,), "Overflow: a number"),
    (lambda w: (w * 1e30).square().sum() - w.sum(), "Pow", "forward", (1,), "Overflow: a number"),
    (lambda w: w * torch.tensor([1.0, NAN, 2.0]), "Mul", "data", (1,), "came in"),
    (lambda w: (w + torch.tensor([1.0, NAN, 2.0])) ** 2, "Add", "forward", (1,), "What was added"),
    (lambda w: nn.functional.linear(torch.tensor([[1.0, INF, 2.0]]), torch.stack([w, w])), "Mm", "data", (0, 1),
     "came in"),
    (lambda w: torch.where(w > 0, w.sqrt(), 0.0), "Sqrt", "backward", (0,), "0 times infinity: sqrt"),
    (lambda w: (w * 1).sqrt(), "Sqrt", "backward", (0,), "derivative of sqrt at 0"),
    (lambda w: torch.where(w > 0, w ** 0.5, 0.0), "Pow", "backward", (0,), "0 times infinity: a root"),
    (lambda w: w ** 0.5, "Pow", "backward", (0,), "derivative of a root"),
    (lambda w: torch.acos(w.clamp(max=1)), "Acos", "backward", (1,), "derivative at -1 and 1"),
    (lambda w: w[1:2].std(), "Std", "forward", (), "Overflow|infinities"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:std")
@pytest.mark.parametrize("case", CASES, ids=lambda case: inspect.getsource(case[0]).strip().partition(":")[2][:40])
def test_the_mechanism_is_named(case: Any) -> None:
    compute, operation, direction, place, mechanism = case
    w = torch.tensor(W, requires_grad=True)
    loss = compute(w).sum()
    found = diagnose(loss)
    assert found.operation.startswith(f"{operation}Backward")
    assert (found.direction, found.place) == (direction, place)
    assert any(part in found.mechanism for part in mechanism.split("|"))
    assert found.filename == __file__
    assert found.line == case[0].__code__.co_firstlineno
    assert w.grad is None
    loss.backward()  # the graph is as it was
    assert not np.isfinite(float(loss.detach())) or not np.isfinite(w.grad.numpy()).all()


def test_the_report_shows_line_place_and_values() -> None:
    w = torch.tensor(W, requires_grad=True)
    text = str(diagnose(torch.where(w > 0, w.sqrt(), 0.0).sum()))
    assert "0 times infinity: sqrt at 0, behind a mask." in text
    assert "in the backward pass of SqrtBackward0" in text
    assert "text = str(diagnose(torch.where(w > 0, w.sqrt(), 0.0).sum()))" in text
    assert "at index [0]: x = 0, result = 0, g = 0" in text
    assert "torch.where(mask, x, 1)" in text


def test_all_is_well() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    loss = nn.MSELoss()(model(torch.randn(5, 3)), torch.randn(5, 1))
    found = diagnose(loss)
    assert found.operation == ""
    assert str(found) == "The loss and all gradients are finite."
    assert all(p.grad is None for p in model.parameters())


def test_what_cannot_be_diagnosed() -> None:
    with pytest.raises(RuntimeError, match="needs a loss with a graph"):
        diagnose(torch.ones(()))
    loss = (torch.ones((), requires_grad=True) * 2).exp()
    loss.backward()
    with pytest.raises(RuntimeError, match="already freed"):
        diagnose(loss)


def test_a_diverging_training_loop() -> None:
    """The loss of a learning rate that is too large: the step where numbers overflow, not those that inherit NaN."""
    x = torch.linspace(-3, 3, 20).reshape(-1, 1)
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=50.0)
    for _ in range(1000):
        loss = nn.MSELoss()(model(x), x * 2)
        found = diagnose(loss)
        if found.operation:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert found.direction in ("forward", "backward")
    assert found.mechanism.startswith("Overflow")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    assert diagnose(nn.MSELoss()(model(x), x * 2)).direction in ("data", "forward")


STEPS = st.lists(
    st.sampled_from(
        [torch.exp, torch.log, torch.sqrt, torch.sigmoid, torch.tanh, torch.square, torch.reciprocal, torch.abs,
         lambda x: x - 1, lambda x: x * 3, lambda x: x / (x - 1), lambda x: torch.where(x > 0, x, x * 0),
         lambda x: x.reshape(-1).flip((0,)), lambda x: x + x.sum(), lambda x: torch.softmax(x, 0)]
    ),
    min_size=1, max_size=6,
)  # fmt: skip


@given(steps=STEPS, values=st.lists(st.sampled_from([0.0, 1.0, -1.0, 2.0, 0.5, 50.0]), min_size=1, max_size=3))
def test_nothing_is_overlooked(steps: Any, values: Any) -> None:
    w = torch.tensor(values, requires_grad=True)
    x = w
    for step in steps:
        x = step(x)
    loss = x.sum()
    found = diagnose(loss)
    loss.backward()
    finite = np.isfinite(loss.item()) and np.isfinite(w.grad.numpy()).all()
    assert finite or found.operation
