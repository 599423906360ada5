"""PyTorch's own samples: what its test suite calls each operation with, that minigrad has, gives the same here.

The database is torch.testing's `op_db`; it has odd shapes, keyword arguments and errors that nobody would think of.
Compared are value, dtype, shape, the first gradients and the type of what is raised: of the function, the method and
the in-place form.
"""

import itertools
import operator
import re
import sys
import types
import unittest
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from strategies import ENGINE

with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
    warnings.simplefilter("ignore")
    if "expecttest" not in sys.modules:  # of which it wants no more than a base class of test cases
        patch.setitem(sys.modules, "expecttest", types.SimpleNamespace(TestCase=unittest.TestCase))
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.opinfo.core import SampleInput

DTYPES = (torch.float32, torch.int64)
MOST = 5  # samples of one operation and dtype: these, spread over the first hundred
UNLIKE = {
    # Random numbers, or memory as it was found: the samples seed the generator by torch's own functions.
    "bernoulli", "cauchy", "exponential", "geometric", "log_normal", "multinomial", "normal", "randn", "randn_like",
    "rand_like", "randint", "randint_like", "uniform", "nn.functional.dropout", "empty", "empty_like", "new_empty",
    "sort", "argsort", "topk", "msort",  # stable where torch's are not: DEVIATIONS.md
    "masked_fill", "narrow",  # a complex number, a bool or a vector as the start: TypeError
}  # fmt: skip


class Absent(Exception):
    """What minigrad has nothing of: complex numbers, other devices and layouts."""


def like(x: torch.Tensor) -> np.ndarray:
    """A fresh array with the elements and strides of a tensor."""
    if x.is_complex() or x.layout is not torch.strided or x.dim() > 64 or x.dtype is torch.bfloat16:
        raise Absent
    values = x.detach().resolve_neg().numpy()
    buffer = np.zeros(1 + sum((n - 1) * s for n, s in zip(x.shape, x.stride(), strict=True)) if x.numel() else 0)
    buffer = buffer.astype(values.dtype)
    steps = [s * values.itemsize for s in x.stride()]
    array = np.lib.stride_tricks.as_strided(buffer, values.shape, steps) if x.numel() else values.copy()
    array[...] = values
    return array


def translated(x: Any, T: Any) -> Any:
    """A sample's argument for an engine: tensors in fresh memory, dtypes and formats under their names."""
    if isinstance(x, torch.Tensor):
        return T.from_numpy(like(x)).requires_grad_(x.requires_grad)
    if isinstance(x, (torch.dtype, torch.memory_format, torch.layout)):
        name = str(x).rpartition(".")[2]
        if not hasattr(ENGINE, name):
            raise Absent
        return getattr(T, name)
    if isinstance(x, torch.device):
        return T.device(str(x))
    if isinstance(x, slice):
        return slice(*(translated(n, T) for n in (x.start, x.stop, x.step)))
    if isinstance(x, dict):
        return {name: translated(value, T) for name, value in x.items()}
    if isinstance(x, (list, tuple)):
        entries = [translated(value, T) for value in x]
        return entries if isinstance(x, list) else tuple(entries)
    return x


def forms(op: Any) -> Iterator[tuple[str, Callable[..., Any], Callable[..., Any]]]:
    """The function, the method and the in-place form, torch's and minigrad's, that both have."""
    try:
        theirs, ours = (operator.attrgetter(op.name)(T) for T in (torch, ENGINE))
    except AttributeError:
        pass
    else:
        if theirs is op.op:
            yield "function", theirs, ours
    for form, method in (("method", op.method_variant), ("in place", op.inplace_variant)):
        name = getattr(method, "__name__", "")
        if hasattr(torch.Tensor, name) and hasattr(ENGINE.Tensor, name):
            yield form, getattr(torch.Tensor, name), getattr(ENGINE.Tensor, name)


def leaves_of(x: Any) -> Iterator[Any]:
    if isinstance(x, (list, tuple)):
        for entry in x:
            yield from leaves_of(entry)
    elif isinstance(x, dict):
        yield from leaves_of(list(x.values()))
    elif hasattr(x, "requires_grad"):
        yield x


def outcome(T: Any, function: Callable[..., Any], form: str, sample: SampleInput) -> Any:
    """The arrays of the results and of their gradients; or the error."""
    args = translated((sample.input, *sample.args), T)
    kwargs = translated(sample.kwargs, T)
    leaves = [x for x in leaves_of((args, kwargs)) if x.requires_grad]
    if form == "in place" and args[0].requires_grad:
        args = (args[0].clone(), *args[1:])
    try:
        results = list(leaves_of(function(*args, **kwargs)))
        roots = [x for x in results if x.requires_grad]
        rng = np.random.default_rng(0)
        seeds = [T.from_numpy(rng.standard_normal(tuple(x.shape))).to(x.dtype) for x in roots]
        gradients = T.autograd.grad(roots, leaves, seeds, allow_unused=True) if roots and leaves else ()
    except Exception as error:
        return error
    return [None if x is None else x.detach().numpy() for x in (*results, *gradients)]


UNBUILT = re.compile("not implemented|not resizable")


def difference(ours: Any, theirs: Any) -> str:
    """What differs; "" where nothing does, or where torch has no kernel for the dtype, or can't grow NumPy's memory."""
    if isinstance(theirs, NotImplementedError) or (isinstance(theirs, Exception) and UNBUILT.search(str(theirs))):
        return ""
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        if isinstance(ours, NotImplementedError) and "not " in str(ours):
            return "" if isinstance(theirs, Exception) or "sparse" in str(ours) else repr(ours)
        return "" if type(ours) is type(theirs) else f"{ours!r} here, {str(theirs)[:200]!r} in torch"
    if len(ours) != len(theirs):
        return f"{len(ours)} results and gradients, {len(theirs)} in torch"
    for x, y in zip(ours, theirs, strict=True):
        if x is None or y is None:
            if x is not y:
                return f"{x} here, {y} in torch"
        elif (x.dtype, x.shape) != (y.dtype, y.shape):
            return f"{x.dtype}, {x.shape} here, {y.dtype}, {y.shape} in torch"
        elif x.dtype.kind != "f":
            if not np.array_equal(x, y):
                return f"{x} here, {y} in torch"
        else:
            largest = np.abs(y[np.isfinite(y)]).max(initial=0)
            if not np.allclose(x, y, 4e-5, 4e-6 * largest, equal_nan=True):
                return f"{x} here, {y} in torch"
    return ""


def samples_of(op: Any, dtype: torch.dtype) -> list[SampleInput]:
    """Some of torch's samples, spread over the first hundred."""
    if dtype not in op.supported_dtypes("cpu"):
        return []
    differentiable = dtype.is_floating_point and op.supports_autograd
    found = list(itertools.islice(op.sample_inputs("cpu", dtype, requires_grad=differentiable), 100))
    return found[:: max(1, len(found) // MOST)]


KNOWN = [op for op in op_db if op.name not in UNLIKE and any(True for _ in forms(op))]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "op", KNOWN, ids=lambda op: f"{op.name}{'-' * bool(op.variant_test_name)}{op.variant_test_name}"
)
def test_samples(op: Any) -> None:
    differences = []
    for dtype in DTYPES:
        for sample in samples_of(op, dtype):
            for form, theirs, ours in forms(op):
                if form == "in place" and (sample.broadcasts_input or not isinstance(sample.input, torch.Tensor)):
                    continue
                try:
                    what = difference(*(outcome(T, f, form, sample) for T, f in ((ENGINE, ours), (torch, theirs))))
                except Absent:
                    continue
                if what:
                    differences.append(f"{form}, {dtype}, {sample.summary()}: {what}")
    assert not differences, "\n".join(differences)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("op", [op for op in KNOWN if op.error_inputs_func], ids=lambda op: op.name)
def test_errors(op: Any) -> None:
    differences = []
    for wrong in op.error_inputs("cpu"):
        sample = wrong.sample_input
        for form, theirs, ours in forms(op):
            if form != "function" and (not isinstance(sample.input, torch.Tensor) or "out" in sample.kwargs):
                continue
            try:
                what = difference(*(outcome(T, f, form, sample) for T, f in ((ENGINE, ours), (torch, theirs))))
            except Absent:
                continue
            if what:
                differences.append(f"{form}, {sample.summary()}: {what}")
    assert not differences, "\n".join(differences)
