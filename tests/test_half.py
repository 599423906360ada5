"""float16 as PyTorch computes it: each operation in float32, rounded once. Every record, to the last digit or the next.

The next: exp and log of PyTorch's vectors and of NumPy differ in float32's last digits, which shows where a result lies
between two numbers of float16. A value rounded after each step, as NumPy does, is off by more, or much more often.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from op_samples import SAMPLES
from samples import Sample, Tolerance
from strategies import ENGINE, PORTABLE
from test_ops import cases, observe

HALF = [sample for sample in SAMPLES if "float16" in sample.others]


def units_off(ours: np.ndarray, theirs: np.ndarray, scale: float) -> np.ndarray:
    """The distance of finite numbers in units of float16's last place, at the number's own size or at `scale`."""
    finite = np.isfinite(theirs)
    np.testing.assert_array_equal(ours[~finite], theirs[~finite])
    x, y = (a[finite].astype(np.float64) for a in (ours, theirs))
    with np.errstate(over="ignore"):  # of the largest number
        unit = np.spacing(np.maximum(np.abs(y), scale).astype(np.float16))
    return np.abs(x - y) / unit.astype(np.float64)


@pytest.mark.parametrize("sample", HALF, ids=str)
@settings(max_examples=15)
@given(data=st.data())
def test_values_to_the_last_digit(sample: Sample, data: st.DataObject) -> None:
    case = data.draw(cases(sample, differentiate=False), label=str(sample))
    ours, theirs = (observe(T, sample, case, "float16") for T in (ENGINE, torch))
    for one, other in zip(ours, theirs, strict=False):
        x, y = one.value, other.value
        if one.what == other.what and isinstance(y, np.ndarray) and y.dtype == np.float16:
            assert x.dtype == y.dtype
            # What was added up decides the scale where terms may cancel.
            scale = 1.0 if sample.tolerance is Tolerance.REDUCTION else 0.0
            assert np.all(units_off(x, y, scale) <= 1), f"{one.what}: {x.tolist()} here, {y.tolist()} in torch"


X = np.random.default_rng(0).standard_normal(1024).astype(np.float16)
EXACT = {
    "add": lambda T, x: x + 0.1,
    "sub": lambda T, x: 0.3 - x,
    "mul": lambda T, x: x * 0.3,
    "div": lambda T, x: x / 0.3,
    "alpha": lambda T, x: T.add(x, x * x, alpha=0.1),
    "in place": lambda T, x: x.clone().mul_(0.3).add_(x, alpha=0.1),
    "addcmul": lambda T, x: T.addcmul(x, x, x, value=0.1),
    "addcdiv": lambda T, x: T.addcdiv(x, x, x * x + 1, value=0.1),
    "lerp": lambda T, x: T.lerp(x, x * x, 0.1),
    "pow": lambda T, x: x.abs() ** 0.3,
    "leaky_relu": lambda T, x: T.nn.functional.leaky_relu(x, 0.1),
    "out": lambda T, x: T.mul(x, 0.3, out=T.empty_like(x)),
    "sum": lambda T, x: x.reshape(256, 4).sum(0),
    "mean": lambda T, x: x.mean(),
    "compiled": lambda T, x: compiled(T)(x),
}  # fmt: skip


def compiled(T: object) -> object:
    step = lambda x: (x * 0.3 + 0.1) * x
    return ENGINE.compile(step) if T is ENGINE else step


@pytest.mark.parametrize("name", EXACT)
def test_numbers_beside_float16(name: str) -> None:
    """All of torch's vectors give these; its portable kernels round alpha * x too."""
    ours, theirs = (EXACT[name](T, T.from_numpy(X.copy())).numpy() for T in (ENGINE, torch))
    off = units_off(ours, theirs, 1.0 if PORTABLE else 0.0)
    assert off.max() <= (1 if PORTABLE or name in ("sum", "mean", "pow") else 0)


def test_no_step_in_float16_overflows() -> None:
    found = []
    for T in (ENGINE, torch):
        x = T.full((5000, 2), 60.0, dtype=T.float16, requires_grad=True)
        y = x.softmax(0).sum(0) + x.mean(0) + x.var(0) + x.logsumexp(0) + x.norm(dim=0)
        b = T.zeros(2, dtype=T.float16, requires_grad=True)
        (x + b).sum().backward()
        found.append((y.tolist(), b.grad.tolist(), x.cumsum(0)[1000].tolist()))
    assert found[0][1:] == found[1][1:]
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=2**-10)


ROUNDED_ONCE = {
    "rsqrt": lambda T, x: x.rsqrt().detach() + 0 * x,  # its gradient is three operations
    "pow(0.5)": lambda T, x: x**0.5,
    "pow(-0.5)": lambda T, x: x**-0.5,
    "silu": lambda T, x: T.nn.functional.silu(x),
    "logsigmoid": lambda T, x: T.nn.functional.logsigmoid(x),
    "softplus": lambda T, x: T.nn.functional.softplus(x),
    "gelu": lambda T, x: T.nn.functional.gelu(x),
}


@pytest.mark.parametrize("name", ROUNDED_ONCE)
def test_single_operations_and_their_gradients_are_the_nearest(name: str) -> None:
    """But for few, which lie amid two of float16 to all digits of float32."""
    random = np.random.default_rng(0)
    numbers = (np.abs(random.standard_normal(400)) + 0.1).astype(np.float16)
    results = []
    for T, dtype in ((ENGINE, np.float16), (torch, np.float64)):
        x = T.from_numpy(numbers.astype(dtype)).requires_grad_()
        y = ROUNDED_ONCE[name](T, x)
        y.sum().backward()
        results.append(np.array([y.detach().numpy(), x.grad.numpy()]).astype(np.float16))
    assert np.mean(results[0] != results[1]) < 0.01
