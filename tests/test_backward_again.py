"""Once more through a graph, and once more through a gradient: every operation against torch.

Which nodes a backward pass frees, so that a second one raises; what a second one adds where the graph was retained;
and that a derivative's graph is as long as torch's, to the third derivative.
"""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from op_samples import SAMPLES
from samples import Sample
from strategies import Drawn
from test_ops import Case, cases, leaves_of, magnitude, name_of

import minigrad

FEWER = 4
every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=str)


def results(T: Any, sample: Sample, case: Case) -> tuple[list[Any], list[Any]]:
    """The results of a call that require grad, and the inputs that do; none where it raises."""
    args, kwargs, inputs = case.arguments(T, "float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            outs = [x for x in leaves_of(sample.call(T, *args, **kwargs)) if getattr(x, "requires_grad", False)]
        except Exception:  # test_ops compares the errors
            return [], []
    leaves = [x for x in inputs if x.requires_grad]
    return [x for x in outs if all(x is not y for y in leaves)], leaves


def directions(T: Any, case: Case, outs: list[Any]) -> list[Any]:
    return [T.from_numpy(case.cotangent(tuple(x.shape), name_of(x.dtype))) for x in outs]


def backward_twice(T: Any, sample: Sample, case: Case) -> str:
    """What the second backward pass does: "adds", or the beginning of its error."""
    outs, leaves = results(T, sample, case)
    if not outs:
        return "nothing"
    given = directions(T, case, outs)
    try:
        T.autograd.backward(outs, given, retain_graph=True)
    except (RuntimeError, NotImplementedError):  # no derivative: test_ops compares the errors
        return "no derivative"
    first = [None if x.grad is None else x.grad.numpy(force=True).copy() for x in leaves]
    T.autograd.backward(outs, given)
    for x, once in zip(leaves, first, strict=True):
        if once is not None:
            np.testing.assert_array_equal(x.grad.numpy(force=True), once + once)
    try:
        T.autograd.backward(outs, given)
    except RuntimeError as error:
        return str(error)[:50]
    return "adds"


@pytest.mark.filterwarnings("ignore:grad and param do not obey")  # torch, of tensors with expanded dims
@every_sample
@settings(max_examples=FEWER)
@given(data=st.data())
def test_a_backward_pass_frees_what_torch_frees(sample: Sample, data: st.DataObject) -> None:
    case = data.draw(cases(sample, differentiate=True), label=str(sample))
    assert backward_twice(minigrad, sample, case) == backward_twice(torch, sample, case)


def derivatives(T: Any, sample: Sample, case: Case, again: bool) -> list[Any]:
    """The first three derivatives: for each input its value, and whether it requires grad; or the error's type.

    `again`: the directions are differentiated too.
    """
    found: list[Any] = []
    outs, leaves = results(T, sample, case)
    if not all(x.numel() for x in outs):  # torch has ways of its own for tensors without elements
        return found
    for order in (1, 2, 3):
        if not outs or not leaves:
            break
        given = [x.requires_grad_(again) for x in directions(T, case, outs)]
        try:
            grads = T.autograd.grad(outs, leaves, given, create_graph=True, allow_unused=True)
        except Exception as error:
            return [*found, (order, type(error).__name__)]
        for x, g in zip(leaves, grads, strict=True):  # none at all, or zeros without a graph: that is the same
            value = np.zeros(tuple(x.shape)) if g is None else g.numpy(force=True)
            found.append((order, g is not None and g.requires_grad, value))
        leaves += given if again else []
        outs = [g for g in grads if g is not None and g.requires_grad]
    return found


# Where the graph is longer than torch's, for the sake of exactness
LONGER = {"nn.functional.binary_cross_entropy_with_logits": "1 - sigmoid(x) is sigmoid(-x), so y's factor, -1, has one"}


@pytest.mark.parametrize("sample", [s for s in SAMPLES if str(s) not in LONGER], ids=str)
@settings(max_examples=FEWER)
@given(data=st.data())
def test_graphs_of_derivatives_are_as_long_as_in_torch(sample: Sample, data: st.DataObject) -> None:
    case = data.draw(cases(sample, differentiate=True), label=str(sample))
    drawn = [d.values for d in leaves_of((case.args, case.kwargs)) if isinstance(d, Drawn)]
    if case.special is not None or not all(x.size and np.isfinite(x).all() for x in drawn):
        return  # what is left of inf is a matter of order
    exact = 1e-9 if case.kwargs.get("dtype") != "float32" else 1e-5
    for again in (False, True):
        here, there = (derivatives(T, sample, case, again) for T in (minigrad, torch))
        finite = next((i for i, x in enumerate(there) if len(x) > 2 and not np.isfinite(x[2]).all()), len(there))
        assert [x[:2] for x in here[:finite]] == [x[:2] for x in there[:finite]]
        for x, y in zip(here[:finite], there[:finite], strict=True):
            np.testing.assert_allclose(x[-1], y[-1], exact, exact * magnitude(y[-1])) if len(y) > 2 else None
