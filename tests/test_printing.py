"""minigrad.printing against torch's repr, character for character."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigrad import printing
from minigrad.printing import tensor_text

FLOATS = [np.float16, np.float32, np.float64]
DTYPES = [np.bool_, np.uint8, np.int8, np.int16, np.int32, np.int64, *FLOATS]
shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4) | st.integers(0, 40).map(lambda n: (n,))


@st.composite
def arrays(draw):
    """Arrays whose elements share a scale, so that each notation turns up; few of them NaN, infinite or zero."""
    dtype, shape = draw(st.sampled_from(DTYPES)), draw(shapes)
    if dtype not in FLOATS:
        return draw(hnp.arrays(dtype, shape))
    scale = 10.0 ** draw(st.integers(-9, 12))
    plain = st.floats(-5, 5) | st.integers(-2000, 2000).map(float)
    special = st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan])
    elements = draw(st.sampled_from([plain, plain | special, special, st.floats()]))
    with np.errstate(over="ignore"):
        return (draw(hnp.arrays(np.float64, shape, elements=elements)) * scale).astype(dtype)


@pytest.fixture(autouse=True)
def _defaults():
    yield
    for module in (torch, printing):
        module.set_printoptions(profile="default")


def check(array, **notes):
    assert tensor_text(array, **notes) == repr(torch.from_numpy(np.asarray(array)))


@given(array=arrays())
@example(np.array([0.0, math.nan]))
@example(np.array([1e8, 1e5], np.float32))
@example(np.array([1e8 + 8, 1e7], np.float32))
@example(np.array([1e-4, 1e-2]))
@example(np.array([0.999e-4, 1e-2]))
@example(np.array([1.0, 1000.0]))
@example(np.array([1.0, 1001.0]))
@example(np.array([5e-324, 1.7e308]))
@example(np.array([0.5, 1.5, 2.5, -0.0]))
@example(np.zeros((0, 3)))
@example(np.zeros(0, np.int64))
def test_any_array(array):
    check(array)


@given(dtype=st.sampled_from(FLOATS), exponent=st.integers(-6, 10), shape=shapes, data=st.data())
def test_floats_with_digits(dtype, exponent, shape, data):
    digits = data.draw(hnp.arrays(np.int64, shape, elements=st.integers(-99999, 99999)))
    with np.errstate(over="ignore"):
        check((digits * 10.0**exponent).astype(dtype))


@given(
    shape=st.sampled_from([(1000,), (1001,), (2000,), (40, 30), (2, 600), (600, 2), (7, 11, 13, 2), (1, 1, 1500)]),
    dtype=st.sampled_from(DTYPES),
    scale=st.sampled_from([1, 0.37, 1e-5, 1e6]),
    seed=st.integers(0, 99),
)
def test_long_arrays(shape, dtype, scale, seed):
    values = np.random.default_rng(seed).integers(-40, 40, shape) * (scale if dtype in FLOATS else 1)
    with np.errstate(over="ignore"):
        check(values.astype(dtype))


options = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.integers(0, 9),
        "threshold": st.sampled_from([0, 5, 20, math.inf]),
        "edgeitems": st.integers(0, 4),
        "linewidth": st.integers(1, 130),
        "profile": st.sampled_from(["default", "short", "full", "other"]),
        "sci_mode": st.booleans() | st.none(),
    },
)


@given(array=arrays(), first=options, second=options)
def test_options(array, first, second):
    for module in (torch, printing):
        module.set_printoptions(profile="default")
        module.set_printoptions(**first)
        module.set_printoptions(**second)
    assert printing.get_printoptions() == torch._tensor_str.get_printoptions()
    check(array)


@given(array=arrays(), double=st.booleans(), kind=st.sampled_from(["", "leaf", "node"]), width=st.integers(20, 100))
def test_notes(array, double, kind, width):
    default = np.float64 if double else np.float32
    tensor = torch.from_numpy(np.asarray(array))
    notes = {}
    if kind and tensor.is_floating_point():
        tensor.requires_grad_()
        notes["requires_grad"] = True
        if kind == "node":
            tensor = tensor.clone()
            notes["grad_fn"] = type(tensor.grad_fn).__name__
    for module in (torch, printing):
        module.set_printoptions(profile="default", linewidth=width)
    torch.set_default_dtype(torch.float64 if double else torch.float32)
    try:
        expected = repr(tensor)
    finally:
        torch.set_default_dtype(torch.float32)
    assert tensor_text(array, default_float=default, **notes) == expected


class LongerName(torch.Tensor):
    """torch indents by the name of the class."""


@given(array=arrays())
def test_prefix(array):
    expected = repr(torch.from_numpy(np.asarray(array)).as_subclass(LongerName))
    assert tensor_text(array, prefix="LongerName(") == expected


def test_views_print_without_a_copy():
    array = np.arange(24.0).reshape(2, 3, 4)
    check(array.T)
    check(array[:, ::2, 1])


def test_options_are_their_own_arguments():
    printing.set_printoptions(precision=1, sci_mode=True)
    before = printing.get_printoptions()
    printing.set_printoptions(profile="full")
    assert tensor_text(np.array([0.25])) == "tensor([0.2500], dtype=torch.float64)"
    printing.set_printoptions(**before)
    assert tensor_text(np.array([0.25])) == "tensor([2.5e-01], dtype=torch.float64)"


def test_imports_numpy_alone():
    code = "import sys; from importlib.util import spec_from_file_location as s, module_from_spec as m; "
    code += f"p = s('p', {printing.__file__!r}); q = m(p); sys.modules['p'] = q; p.loader.exec_module(q); "
    code += "assert not {'torch', 'minigrad'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
