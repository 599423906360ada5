"""nn.utils against torch: gradients clipped, parameters as vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad

ENGINES = pytest.mark.parametrize("T", [minigrad, torch], ids=["minigrad", "torch"])
NORMS = st.sampled_from([2.0, 1, 0, 3, 0.5, np.inf, "inf"])
UNUSUAL = [0.0, np.inf, -np.inf, np.nan, 1e-40, 1e18]


@st.composite
def gradients(draw: Any) -> list[np.ndarray | None]:
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    grads: list[np.ndarray | None] = []
    for shape in draw(st.lists(st.sampled_from([(), (1,), (3, 2), (50,), None]), max_size=4)):
        if shape is None:
            grads.append(None)
            continue
        values = rng.standard_normal(shape) * draw(st.sampled_from([1e-4, 1, 100]))
        if draw(st.booleans()):
            values = np.where(rng.random(shape) < 0.2, rng.choice(UNUSUAL, shape), values)
        grads.append(np.asarray(values, draw(st.sampled_from(["float32", "float64"]))))
    return grads


def parameters(T: Any, grads: list[np.ndarray | None]) -> list[Any]:
    params = []
    for g in grads:
        p = T.ones(2) if g is None else T.from_numpy(np.ones_like(g))
        p.requires_grad_()
        p.grad = None if g is None else T.from_numpy(g.copy())
        params.append(p)
    return params


def assert_same_grads(ours: list[Any], theirs: list[Any]) -> None:
    for p, q in zip(ours, theirs, strict=True):
        assert (p.grad is None) == (q.grad is None)
        if q.grad is not None:
            rtol = 8 * np.finfo(q.grad.numpy().dtype).eps
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=rtol, atol=1e-44)


@given(gradients(), st.sampled_from([0.1, 1.0, 1e3, 0.0, np.inf]), NORMS, st.booleans())
def test_clip_grad_norm(grads: Any, max_norm: float, norm_type: Any, strict: bool) -> None:
    results = []
    for T in (minigrad, torch):
        params = parameters(T, grads)
        try:
            total = T.nn.utils.clip_grad_norm_(params, max_norm, norm_type, error_if_nonfinite=strict)
            results.append((params, str(total.dtype), total.numpy()))
        except RuntimeError as error:
            results.append((params, str(error), np.array(0)))
    (ours, dtype, norm), (theirs, expected_dtype, expected) = results
    assert dtype == expected_dtype
    np.testing.assert_allclose(norm, expected, rtol=8 * np.finfo("float32").eps)
    assert norm.dtype == expected.dtype
    assert_same_grads(ours, theirs)


@given(gradients(), st.sampled_from([0.5, 0, np.inf, -1.0, 1e-41]))
def test_clip_grad_value(grads: Any, value: float) -> None:
    if all(g is None for g in grads):
        for T in (minigrad, torch):
            with pytest.raises(RuntimeError):
                T.nn.utils.clip_grad_value_(parameters(T, grads), value)
        return
    ours, theirs = (parameters(T, grads) for T in (minigrad, torch))
    minigrad.nn.utils.clip_grad_value_(iter(ours), value)
    torch.nn.utils.clip_grad_value_(theirs, value)
    for p, q in zip(ours, theirs, strict=True):
        if q.grad is not None:
            np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())


@ENGINES
def test_clipping_is_in_place_and_not_recorded(T: Any) -> None:
    w = T.ones(2, requires_grad=True)
    (w.grad,) = T.autograd.grad((w * w).sum(), w, create_graph=True)
    held = w.grad
    assert T.nn.utils.clip_grad_norm_(w, 1.0).requires_grad is False
    assert w.grad is held and held._version >= 1
    assert float(T.nn.utils.get_total_norm(held).detach()) == pytest.approx(1)
    T.nn.utils.clip_grads_with_norm_([w], 1.0, T.tensor(2.0))
    T.nn.utils.clip_grad_value_(w, 0.25)
    assert held.tolist() == [0.25, 0.25]
    with pytest.warns(FutureWarning, match="clip_grad_norm` is now deprecated"):
        T.nn.utils.clip_grad_norm([w], 0.5)
    with pytest.warns(UserWarning, match="is an empty generator") as given:
        assert T.nn.utils.clip_grad_norm_((p for p in [w][:0]), 1.0) == 0
    assert given[0].filename == __file__


@ENGINES
def test_parameters_as_a_vector(T: Any) -> None:
    w, b = T.arange(4.0).reshape(2, 2).requires_grad_(), T.tensor(7.0, requires_grad=True)
    vector = T.nn.utils.parameters_to_vector(p for p in (w, b))
    assert vector.tolist() == [0, 1, 2, 3, 7]
    (vector * vector).sum().backward()
    assert w.grad.tolist() == [[0, 2], [4, 6]] and b.grad.item() == 14
    new = T.arange(5.0) * 10
    assert T.nn.utils.vector_to_parameters(new, [w, b]) is None
    assert w.tolist() == [[0, 10], [20, 30]] and b.item() == 40
    assert w.is_leaf and w.requires_grad
    new[4] = 5.0
    assert b.item() == 5


@pytest.mark.parametrize(
    "call",
    [
        lambda T, w: T.nn.utils.parameters_to_vector([]),
        lambda T, w: T.nn.utils.parameters_to_vector([w.t()]),
        lambda T, w: T.nn.utils.vector_to_parameters([1.0], [w]),
        lambda T, w: T.nn.utils.vector_to_parameters(T.ones(3), [w]),
        lambda T, w: T.nn.utils.clip_grad_norm_([w], "much"),
        lambda T, w: T.nn.utils.clip_grad_norm_([w], 1.0, "much"),
        lambda T, w: T.nn.utils.clip_grad_value_([w], "much"),
    ],
)
def test_errors(call: Any) -> None:
    raised = []
    for T in (minigrad, torch):
        with pytest.raises(Exception) as error:  # noqa: PT011  # whatever torch raises
            call(T, T.ones(2, 3, requires_grad=True))
        raised.append(error.type)
    assert raised[0] is raised[1]
