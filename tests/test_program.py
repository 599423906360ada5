"""Derived programs: what every operation's source computes, and what a training step's source looks like."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_samples import SAMPLES
from samples import Sample
from test_ops import Case, cases, leaves_of

import minigrad
from minigrad.program import TracingError
from minigrad.program.ending import traced
from minigrad.program.representation import Method, Trace, Value, run

T = minigrad
FEWER = max(settings().max_examples // 4, 1)  # each is run four times
# Operations that give numbers, or shapes that depend on numbers: no program can be traced of them.
REFUSED = {
    "where:condition", "allclose", "nonzero", "Tensor.item", "Tensor.tolist", "in", "bool", "int", "float",
    "argwhere", "unique", "unique:dim", "searchsorted", "searchsorted:side", "searchsorted:sorter", "bucketize",
}  # fmt: skip
SOMETIMES = {
    "getitem", "setitem:number", "setitem:tensor", "masked_scatter", "bincount:weights", "bincount", "histc",
    "histc:range", "nn.functional.one_hot", "repeat_interleave", "nn.functional.cross_entropy", "quantile",
    "quantile:dim", "equal", "repeat_interleave:size", "Tensor.view:dtype", "index_fill:tensor",
}  # fmt: skip


def with_gradients(sample: Sample) -> Callable[..., Any]:
    """The operation, and the gradients of its results."""

    def program(args: Any, kwargs: Any, inputs: Any, seeds: Any) -> Any:
        found = [x for x in leaves_of(sample.call(T, *args, **kwargs)) if isinstance(x, T.Tensor)]
        floats = [x for x in found if x.requires_grad and x.is_floating_point()]
        wanted = [x for x in inputs if x.requires_grad and x.is_leaf]
        if not floats or not wanted:
            return found
        return found, T.autograd.grad(floats, wanted, seeds, allow_unused=True)

    return program


def prepared(sample: Sample, case: Case) -> tuple[Any, Any] | None:
    """The cotangents, and what the operation gives in an eager run; None where it raises."""
    args, kwargs, _ = case.arguments(T, "float32")
    before = T.get_rng_state()
    try:
        found = [x for x in leaves_of(sample.call(T, *args, **kwargs)) if isinstance(x, T.Tensor)]
        floats = [x for x in found if x.requires_grad and x.is_floating_point()]
        seeds = [T.from_numpy(case.cotangent(tuple(x.shape), x.numpy(force=True).dtype.name)) for x in floats]
        T.set_rng_state(before)
        return seeds, with_gradients(sample)(*case.arguments(T, "float32"), seeds)
    except Exception:
        return None


def tensors_in(x: Any) -> list[Any]:
    return [y for y in leaves_of(x) if isinstance(y, T.Tensor)]


def same(found: Any, expected: Any, exact: bool = True) -> None:
    """Equal arrays, to the bit or (not `exact`) to a few units in the last place."""
    found, expected = list(leaves_of(found)), list(leaves_of(expected))
    assert len(found) == len(expected)
    for x, y in zip(found, expected, strict=True):
        if y is None:
            assert x is None
            continue
        x, y = (np.asarray(z.detach().numpy() if isinstance(z, T.Tensor) else z) for z in (x, y))
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
        if exact:
            np.testing.assert_array_equal(x, y)
        else:
            np.testing.assert_allclose(x, y, 1e-6, 1e-6)


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
@settings(max_examples=FEWER)
@given(data=st.data())
def test_every_operation(sample: Sample, data: st.DataObject) -> None:
    """The trace changes nothing, its statements give the eager values and gradients, and so does its source."""
    case = data.draw(cases(sample, True))
    before = T.get_rng_state()
    eager = prepared(sample, case)
    if eager is None:
        return
    seeds, expected = eager
    given_ = (*case.arguments(T, "float32"), seeds)
    T.set_rng_state(before)
    try:
        found, result = traced(with_gradients(sample), given_, {})
    except TracingError:
        assert str(sample) in REFUSED | SOMETIMES
        return
    assert str(sample) not in REFUSED
    same(result, expected)
    exact = bits_kept(found)
    for execute in (by_statement, by_source):
        fresh = tensors_in((*case.arguments(T, "float32"), seeds))
        arrays = {id(old): new.detach().numpy() for old, new in zip(tensors_in(given_), fresh, strict=True)}
        T.set_rng_state(before)
        with np.errstate(all="ignore"):  # NumPy warns where PyTorch, and the engine, give inf or NaN in silence
            got = execute(found, {v: arrays.get(id(v.tensor), v.real) for v in found.inputs})
        same(got, expected, exact or execute is by_statement)


def bits_kept(found: Trace) -> bool:
    """Whether the source has no other spelling for what the trace computes: it has for products by np.dot."""
    return all(s.function != Method("dot") for s in found.statements)


def halved(arguments: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
    """The arguments with other numbers."""
    for x in arguments[2]:
        if x.is_floating_point() and 0 not in x.stride():
            x.data.mul_(0.5)
    return arguments


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
@settings(max_examples=FEWER)
@given(data=st.data())
def test_on_other_numbers(sample: Sample, data: st.DataObject) -> None:
    """The source gives what an eager run gives on other numbers, or fails at what it relies on."""
    case = data.draw(cases(sample, True))
    before = T.get_rng_state()
    eager = prepared(sample, case)
    if eager is None:
        return
    seeds, _ = eager
    given_ = (*case.arguments(T, "float32"), seeds)
    T.set_rng_state(before)
    try:
        found, _ = traced(with_gradients(sample), given_, {})
        T.set_rng_state(before)
        expected = with_gradients(sample)(*halved(case.arguments(T, "float32")), seeds)
        exact = bits_kept(found)
    except Exception:  # the other numbers are none that the operation takes
        return
    fresh = tensors_in((*halved(case.arguments(T, "float32")), seeds))
    arrays = {id(old): new.detach().numpy() for old, new in zip(tensors_in(given_), fresh, strict=True)}
    with np.errstate(all="ignore"):
        try:
            got = by_source(found, {v: arrays.get(id(v.tensor), v.real) for v in found.inputs})
        except AssertionError:
            return
    same(got, expected, exact)


def by_statement(found: Any, given_: dict[Value, Any]) -> Any:
    values = run(found, {v: x for v, x in given_.items() if v.statement is None})
    return [values[x] if isinstance(x, Value) else x for x in found.outputs]


def by_source(found: Any, given_: dict[Value, Any]) -> Any:
    count = len(found.outputs)
    program = minigrad.program.derived.program_of(found, {})
    assert "minigrad" not in program.source
    got = program(**{x.name: given_[x.value] for x in program.inputs})
    return (list(got) if isinstance(got, tuple) else [got])[:count]
