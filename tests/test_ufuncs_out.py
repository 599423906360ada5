"""NumPy's functions write into any memory: a function of NumPy's that does not is named here, and done without.

On processors with AVX-512, NumPy 2.4.6 is wrong where the output is not contiguous: `negative`, where its input has a
stride of 16 bytes (4-byte elements) or 64 bytes (8-byte elements), as if it had none; `isfinite`, `isinf`, `isnan` and
`signbit` for 16 elements and more. Other versions are right; should another function be wrong somewhere, this finds it.
"""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import minigrad as torch
from minigrad.autograd.inplace import WRONG_WRITERS

SOURCES = Path(torch.__file__).parent.rglob("*.py")
NAMES = {name for file in SOURCES for name in re.findall(r"\bnp\.(\w+)", file.read_text(encoding="utf-8"))}
UFUNCS = sorted((f for f in {getattr(np, name, None) for name in NAMES} if isinstance(f, np.ufunc)), key=str)
STRIDES = [*range(1, 71), *range(-70, 0)]
LENGTH = 19  # some vectors, and a rest


def spread(x: np.ndarray, stride: int) -> np.ndarray:
    """A copy of `x` with that many elements from one to the next."""
    memory = np.zeros((len(x) - 1) * abs(stride) + 1, x.dtype)
    view = memory[::stride]
    view[:] = x
    return view


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda f: f.__name__)
def test_out_of_any_stride(ufunc: np.ufunc) -> None:
    if ufunc.signature is not None:
        return  # a product: its operands are no vectors of the same length
    found = set()
    for char in "efdbhilB?":
        x = (np.arange(LENGTH) % 5 + 1).astype(char)
        x[::2] += np.asarray(1, char)
        if char in "efd":
            x[4], x[9], x[13] = np.nan, -np.inf, -2.0
        values = x, *[x[::-1].copy()] * (ufunc.nin - 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                right = ufunc(*values)
            except TypeError:
                continue  # not of this dtype
            results = right if isinstance(right, tuple) else (right,)
            for stride in STRIDES:
                inputs = [spread(x, stride) for x in values]
                for step in (3, stride):
                    outs = [np.zeros((LENGTH - 1) * abs(step) + 1, x.dtype)[::step] for x in results]
                    ufunc(*inputs, out=tuple(outs))
                    for x, y in zip(outs, results, strict=True):  # vectors and their rest may differ in the last digits
                        if not ((x == y) | (abs(x * 1.0 - y) <= 1e-3 * abs(y)) | ((x != x) & (y != y))).all():
                            found.add((ufunc, char, stride, step))
    assert {f for f, *_ in found} <= WRONG_WRITERS, found


def test_many_are_looked_at() -> None:
    assert {np.negative, np.add, np.exp, np.maximum, np.sign} <= {*UFUNCS}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.int32, torch.int64, torch.uint8])
def test_negative_writes_to_any_stride(dtype: torch.dtype) -> None:
    @torch.compile
    def compiled(x: torch.Tensor) -> None:
        x.neg_()

    for stride in (*range(1, 10), 16, 32, 64, 70):
        memory = torch.arange(9 * stride).to(dtype)
        right = -memory.numpy()[::stride]
        x, y, z = (memory.clone()[::stride] for _ in range(3))
        x.neg_()
        assert x.tolist() == right.tolist()
        out = torch.zeros(9 * 3, dtype=dtype)[::3]
        torch.neg(y, out=out)
        assert out.tolist() == right.tolist()
        compiled(z)  # traced
        assert z.tolist() == right.tolist()
        compiled(z)  # the program
        assert z.tolist() == (-right).tolist()


def test_the_gradient_of_a_column_that_was_negated() -> None:
    w = torch.ones(2, 4, requires_grad=True)
    y = w * torch.arange(1.0, 9).view(2, 4)
    y[:, 0].neg_()
    y.sum().backward()
    assert y.tolist() == [[-1, 2, 3, 4], [-5, 6, 7, 8]]
    assert w.grad.tolist() == [[-1, 2, 3, 4], [-5, 6, 7, 8]]
