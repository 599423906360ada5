"""Every operation against torch: value, dtype, shape, first and second gradient, memory, forms and errors.

`observe` does the same thing to either engine and writes down all that a user can see; `compare` wants the two records
equal. Where torch raises or warns, the same type must be raised or warned.
"""

import dataclasses
import functools
import itertools
import operator
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from op_samples import SAMPLES
from samples import Sample, Tolerance
from strategies import DTYPES, ENGINE, FLOATS, SEEDS, Drawn, drawn_by, rarely, up_to

# How far a value may be from torch's. The unit is the spacing of the dtype's numbers at the scale of the comparison:
# the value itself (ELEMENTWISE), or the largest number that was added up (REDUCTION and every gradient), where a
# cancellation leaves the rounding errors of the terms.
ULP = {"float16": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-52}
RELATIVE = {"float16": 4 * ULP["float16"], "float32": 8 * ULP["float32"], "float64": 1e-12}


@dataclass(frozen=True)
class Seen:
    """Something that an engine gave: a tensor, a number, or the type of what it raised or warned of."""

    what: str
    value: Any
    dtype: str = ""
    grad: tuple[bool, bool] = (False, False)  # requires_grad, is_leaf
    shares: tuple[bool, ...] = ()  # memory with each of the inputs
    strides: tuple[int, ...] = ()  # of what shares memory
    message: str = ""


def leaves_of(found: Any) -> Iterator[Any]:
    """The leaves of nested tuples, lists and dicts."""
    if isinstance(found, dict):
        found = found.values()
    elif not isinstance(found, (tuple, list)):
        yield found
        return
    for entry in found:
        yield from leaves_of(entry)


def build(T: Any, drawn: Any, make: Callable[[Drawn], Any], key: str = "") -> Any:
    """The arguments with a tensor for every Drawn and a dtype for its name."""
    if isinstance(drawn, Drawn):
        return make(drawn)
    if isinstance(drawn, dict):
        return {key: build(T, value, make, key) for key, value in drawn.items()}
    if isinstance(drawn, (tuple, list)):
        return type(drawn)(build(T, entry, make) for entry in drawn)
    return getattr(T, drawn) if key == "dtype" and isinstance(drawn, str) else drawn


@dataclass(frozen=True)
class Case:
    """One call as drawn."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    needs: int = 0  # a bit for each tensor that requires grad
    seed: int = 0  # of the cotangents
    special: float | None = None  # what stands somewhere in them
    mixed: bool = False  # the last tensor has the other float dtype
    method: bool = False  # x.add(y) instead of torch.add(x, y)

    def arguments(self, T: Any, dtype: str) -> tuple[tuple[Any, ...], dict[str, Any], list[Any]]:
        """Positional and keyword arguments, and the tensors among them that may require grad, from fresh memory."""
        inputs: list[Any] = []
        count = sum(isinstance(d, Drawn) and d.role == "value" for d in leaves_of((self.args, self.kwargs)))

        def make(drawn: Drawn) -> Any:
            if drawn.role != "value":
                return drawn.tensor(T, dtype)
            last = self.mixed and count > 1 and len(inputs) == count - 1
            own = FLOATS[dtype == "float32"] if last else dtype
            inputs.append(drawn.tensor(T, own, own.startswith("float") and bool(self.needs >> len(inputs) & 1)))
            return inputs[-1]

        return build(T, self.args, make), build(T, self.kwargs, make), inputs

    def cotangent(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        rng = np.random.default_rng(self.seed)
        drawn = np.asarray(rng.standard_normal(shape))
        if self.special is not None and drawn.size:
            drawn.reshape(-1)[rng.integers(drawn.size)] = self.special
        return drawn.astype(dtype)


SPECIAL = st.sampled_from((None, None, None, None, 0.0, np.inf))


@drawn_by
def cases(draw: st.DrawFn, sample: Sample, differentiate: bool) -> Case:
    args, kwargs = sample.arguments(draw)
    method = sample.has_method and draw(up_to(3)) == 3
    if not differentiate:
        return Case(args, kwargs, method=method)
    return Case(args, kwargs, 7 - draw(up_to(7)), draw(SEEDS), draw(SPECIAL), rarely(draw), method)


def name_of(dtype: Any) -> str:
    return str(dtype).rpartition(".")[2]


def seen(what: str, found: Any, inputs: Sequence[Any] = ()) -> Seen:
    if not hasattr(found, "requires_grad"):
        return Seen(what, found)
    array = found.detach().numpy(force=True)
    shares = tuple(np.shares_memory(array, x.detach().numpy()) for x in inputs)
    steps = tuple(n for n, side in zip(array.strides, array.shape, strict=True) if side > 1) if any(shares) else ()
    return Seen(what, array.copy(), name_of(found.dtype), (found.requires_grad, found.is_leaf), shares, steps)


def seen_gradient(what: str, gradient: Any) -> Seen:
    """Its value: whether it requires grad again depends on what was found out to be zero."""
    return dataclasses.replace(seen(what, gradient), grad=(False, False))


def attempt(record: list[Seen], what: str, action: Callable[[], Any]) -> Any:
    """The result of the action, or None with the error in the record; warnings go to the record."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = action()
        except Exception as error:
            record.append(Seen(f"{what}: raised", type(error).__name__, message=str(error)))
            result = None
    record += [Seen(f"{what}: warned", one.category.__name__, message=str(one.message)) for one in caught]
    return result


def gradients(T: Any, case: Case, outs: list[Any], inputs: list[Any]) -> tuple[Any, list[Any]]:
    """The gradients of the outputs in a drawn direction, and the direction."""
    directions = [T.from_numpy(case.cotangent(tuple(out.shape), name_of(out.dtype))).requires_grad_() for out in outs]
    return T.autograd.grad(outs, inputs, directions, create_graph=True, allow_unused=True), directions


def observe(T: Any, sample: Sample, case: Case, dtype: str) -> list[Seen]:
    """All that shows of one call: its results, its gradient, the gradient of its gradient."""
    record: list[Seen] = []
    args, kwargs, inputs = case.arguments(T, dtype)
    method = case.method and sample.has_method
    call = getattr(args[0], sample.name, None) if method else functools.partial(sample.call, T)
    outs = [*leaves_of(attempt(record, "value", lambda: call(*args[method:], **kwargs)))]
    for i, out in enumerate(outs):
        attempt(record, "value", lambda out=out, i=i: record.append(seen(f"value {i}", out, inputs)))
    outs = [out for out in outs if getattr(out, "requires_grad", False)]
    leaves = [x for x in inputs if x.requires_grad]
    if not outs or not leaves:
        return record

    first, directions = attempt(record, "first gradient", lambda: gradients(T, case, outs, leaves)) or ((), [])
    record += [seen_gradient(f"first gradient {i}", gradient) for i, gradient in enumerate(first)]
    if not first or case.special == np.inf:  # which of inf and nan inf leaves in the second one is a matter of order
        return record

    # What does not depend on an argument may be found out to be zero, or may be computed as zeros: that is the same.
    leaves += directions
    again = [gradient for gradient in first if gradient is not None and gradient.requires_grad]
    second: Any = [None] * len(leaves)
    if again:
        second, _ = attempt(record, "second gradient", lambda: gradients(T, case, again, leaves)) or ((), [])
    for i, (gradient, x) in enumerate(zip(second, leaves, strict=False)):
        record.append(seen_gradient(f"second gradient {i}", T.zeros_like(x) if gradient is None else gradient))
    return record


def magnitude(*arrays: Any) -> float:
    """The largest finite number among these, at least 1."""
    largest = 1.0
    for array in arrays:
        if isinstance(array, np.ndarray) and array.size and array.dtype.kind == "f":
            finite = np.abs(array[np.isfinite(array)], dtype=np.float64)
            largest = max(largest, finite.max(initial=0.0))
    return largest


def compare(ours: list[Seen], theirs: list[Seen], sample: Sample, case: Case) -> None:
    """Asserts that two records agree, to the tolerance of the sample and of the coarsest float in them."""
    if theirs and "not implemented for" in theirs[0].message:  # a kernel that torch has not built is not a rule
        return
    if ours and theirs and "not implemented for" in ours[0].message and theirs[0].what.endswith("raised"):
        return  # two things are wrong: which one is found first is nobody's contract
    dtypes = {one.dtype for one in theirs} & ULP.keys()
    drawn = [d for d in leaves_of((case.args, case.kwargs)) if isinstance(d, Drawn)]
    dtypes |= {case.kwargs.get("dtype")} & ULP.keys() | ({"float32"} if case.mixed else set())
    relative = max((RELATIVE[dtype] for dtype in dtypes), default=0.0)
    size = max((d.values.size for d in drawn), default=1)
    inputs = magnitude(*(d.values for d in drawn)) ** sample.degree * max(size, 1)
    for one, other in itertools.zip_longest(ours, theirs):
        assert one is not None, f"torch gives {other}; missing here"
        assert other is not None, f"{one} here; not in torch."
        assert one.what == other.what, f"{one} here, {other} in torch."
        for field in ("dtype", "grad", "shares", "strides"):
            assert getattr(one, field) == getattr(other, field), f"{field} of {one.what}: {one}, {other} in torch"
        x, y = one.value, other.value
        if not isinstance(y, np.ndarray):
            assert repr(x) == repr(y), f"{one} here, {other} in torch"
            continue
        assert x.shape == y.shape, f"{one.what}: shape {x.shape}, {y.shape} in torch"
        where = f"{one.what}: {x.tolist()} here, {y.tolist()} in torch"
        if y.dtype.kind != "f" or (sample.tolerance is Tolerance.EXACT and one.what.startswith("value")):
            assert np.array_equal(x, y, equal_nan=y.dtype.kind == "f"), where
            numbers = ~np.isnan(y)
            assert np.array_equal(np.signbit(x[numbers]), np.signbit(y[numbers])) or y.dtype.kind != "f", (
                f"sign: {where}"
            )
            continue
        finite = np.isfinite(y)
        assert np.array_equal(x[~finite], y[~finite], equal_nan=True), f"inf and nan of {where}"
        elementwise = sample.tolerance is not Tolerance.REDUCTION and one.what.startswith("value")
        scale = np.abs(y[finite]) if elementwise else magnitude(y) if one.what.startswith("value") else 1.0
        if not elementwise:
            scale = max(magnitude(y), inputs)
        error = np.abs(x[finite].astype(np.float64) - y[finite].astype(np.float64))
        assert np.all(error <= relative * scale + np.finfo(y.dtype).tiny), f"{where}; off by {error.max()}"


def check(sample: Sample, dtype: str, data: st.DataObject) -> None:
    """Draws one call of the operation and compares it with torch's, with its first and second gradients."""
    case = data.draw(cases(sample, differentiate=True), label=str(sample))
    compare(observe(ENGINE, sample, case, dtype), observe(torch, sample, case, dtype), sample, case)


every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=str)


@every_sample
@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_values_and_gradients(sample: Sample, dtype: str, data: st.DataObject) -> None:
    check(sample, dtype, data)


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.others], ids=str)
@given(data=st.data())
def test_other_dtypes(sample: Sample, data: st.DataObject) -> None:
    case = data.draw(cases(sample, differentiate=False), label=str(sample))
    for dtype in sample.others:
        compare(observe(ENGINE, sample, case, dtype), observe(torch, sample, case, dtype), sample, case)


# Forms: in-place methods, operators, out= -------------------------------------------------------------------


def call_in_place(T: Any, sample: Sample, args: Any, kwargs: Any, case: Case) -> Any:
    """On a copy, which is no leaf. The version counts the writes."""
    x = args[0].clone()
    before = x._version
    result = getattr(x, sample.name + "_")(*args[1:], **kwargs)
    return result, result is x, x._version - before


def call_operator(T: Any, sample: Sample, args: Any, kwargs: Any, case: Case) -> Any:
    """x + y, y + x, and x += y on a copy."""
    function: Any = sample.operator
    if len(args) == 1:
        return function(*args)
    x = args[0].clone()
    written = getattr(operator, f"i{function.__name__}", function)(x, args[1])
    return function(*args), function(*reversed(args)), written, written is x


def call_with_out(T: Any, sample: Sample, args: Any, kwargs: Any, case: Case) -> Any:
    """Into tensors of the right shape (or an empty one, which grows) and, one time in four, of another dtype."""
    whole = sample.call(T, *args, **kwargs)
    dtype = {3: T.float64, 7: T.int64}.get(case.seed % 8)
    empty = case.seed % 5 == 4

    def room(x: Any) -> Any:
        return T.empty(0, dtype=dtype or x.dtype) if empty else T.zeros(x.shape, dtype=dtype or x.dtype)

    out = room(whole) if T.is_tensor(whole) else tuple(room(x) for x in whole)
    result = sample.call(T, *args, **kwargs, out=out)
    same = result is out if T.is_tensor(whole) else [x is y for x, y in zip(result, out, strict=True)]
    return result, same


FORMS: dict[str, tuple[Callable[..., Any], Callable[[Sample], bool], bool]] = {
    "in place": (call_in_place, lambda sample: sample.has_in_place, True),
    "operator": (call_operator, lambda sample: sample.operator is not None, True),
    "out": (call_with_out, lambda sample: sample.has_out, False),
}


@pytest.mark.parametrize(
    ("sample", "form"), [(sample, form) for sample in SAMPLES for form in FORMS if FORMS[form][1](sample)], ids=str
)
@given(data=st.data())
def test_forms(sample: Sample, form: str, data: st.DataObject) -> None:
    call, _, differentiate = FORMS[form]
    case = data.draw(cases(sample, differentiate), label=f"{sample}, {form}")
    form_of_it = dataclasses.replace(sample, function=lambda T, *args, **kwargs: call(T, sample, args, kwargs, case))
    for dtype in ("float32", "int64", "bool") if sample.others else ("float32",):
        theirs = observe(torch, form_of_it, case, dtype)
        if form != "out" or repr(theirs[0].value) != "'TypeError'":  # torch has out= for some overloads only
            compare(observe(ENGINE, form_of_it, case, dtype), theirs, sample, case)


# Promotion -----------------------------------------------------------------------------------------------------------

PROMOTING: dict[str, Callable[[Any, Any, Any], Any]] = {
    name: lambda T, x, y, name=name: getattr(T, name)(x, y)
    for name in ("add", "mul", "div", "pow", "eq", "lt", "maximum", "floor_divide", "atan2", "logical_and")
} | {
    "where": lambda T, x, y: T.where(T.tensor([True, False]), x, y),
    "add_": lambda T, x, y: x.clone().add_(y),
    "div_": lambda T, x, y: x.clone().div_(y),
    "cat": lambda T, x, y: T.cat([x, y]),
    "result_type": lambda T, x, y: name_of(T.result_type(x, y)),
}


def operands(T: Any) -> Iterator[tuple[str, Any]]:
    """A 1-d and a 0-d tensor of every dtype, and Python's numbers."""
    for dtype in DTYPES:
        yield f"{dtype}[2]", T.from_numpy(np.array([1, 2]).astype(dtype))
        yield f"{dtype}[]", T.from_numpy(np.array(3).astype(dtype))
    yield from {"True": True, "2": 2, "2.5": 2.5}.items()


@pytest.mark.parametrize("name", PROMOTING)
def test_promotion(name: str) -> None:
    """Every pair of dtypes, of tensors with dims, without, and of Python numbers: dtype and value."""
    function, differences = PROMOTING[name], []
    for (label, x), (_, x2) in zip(operands(ENGINE), operands(torch), strict=True):
        for (other, y), (_, y2) in zip(operands(ENGINE), operands(torch), strict=True):
            if not (torch.is_tensor(x2) or torch.is_tensor(y2)):
                continue
            found: list[list[Seen]] = []
            for T, a, b in ((ENGINE, x, y), (torch, x2, y2)):
                found.append([])
                result = attempt(found[-1], "value", functools.partial(function, T, a, b))
                found[-1].append(seen("value", result))
            try:
                compare(*found, PROMOTION, Case((), {}))
            except AssertionError as difference:
                differences.append(f"{name}({label}, {other}): {difference}")
    assert not differences, "\n".join(differences)


PROMOTION = Sample("promotion", st.just(()), tolerance=Tolerance.ELEMENTWISE)


WIDE: dict[str, Callable[[Any, Any], Any]] = {
    "mean": lambda T, x: (200 * x.abs()).mean(),
    "var": lambda T, x: x.var(),
    "std": lambda T, x: x.std(0, unbiased=False),
    "norm": lambda T, x: x.norm(),
    "norm along a dim": lambda T, x: x.reshape(2, 2).norm(3, dim=1),
    "l1_loss": lambda T, x: T.nn.functional.l1_loss(200 * x, 0 * x),
    "mse_loss": lambda T, x: T.nn.functional.mse_loss(0.8 * x, 0 * x),
    "mse_loss, summed": lambda T, x: T.nn.functional.mse_loss(x / 2, 0 * x, reduction="sum"),
}


@pytest.mark.parametrize("name", WIDE)
def test_sums_in_float16_that_overflow_in_between(name: str) -> None:
    found = []
    for T in (ENGINE, torch):
        x = T.tensor([300.0, -300.0, 100.0, 5.0], dtype=T.float16, requires_grad=True)
        out = WIDE[name](T, x)
        out.sum().backward()
        found.append((str(out.dtype), out.tolist(), x.grad.tolist()))
    assert repr(found[0]) == repr(found[1])


# Completeness --------------------------------------------------------------------------------------------------------


# Compared with torch number by number in test_sampling.py; from_numpy makes every tensor of every record.
ELSEWHERE = {
    "from_numpy", "frombuffer", "asarray", "from_dlpack", "to_dlpack", "bernoulli", "multinomial", "normal", "poisson",
    "rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm",
}  # fmt: skip


def test_every_operation_has_a_record() -> None:
    ops = pytest.importorskip(f"{ENGINE.__name__}.ops")
    public = {name for name in ops.__all__ if callable(getattr(ops, name))}
    assert public - {sample.name.rpartition(".")[2] for sample in SAMPLES} - ELSEWHERE == set()


def test_names_of_the_records_are_distinct() -> None:
    names = [str(sample) for sample in SAMPLES]
    assert len(names) == len(set(names))
