"""Numbers where PyTorch takes them: beyond the range of a dtype, and NumPy's, on both sides of every operator.

Each function is asked with every number and dtype, in both engines: the value, its dtype, or the type of the error.
"""

from __future__ import annotations

import itertools
import math
import operator
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minigrad

DTYPES = ("float16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool")
BEYOND = (
    300, -129, 70000, 2**31, -(2**31) - 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 2**70, 1e5, 65520.0, 1e39, -1e39,
    1e300, math.inf, -math.inf, math.nan, 2.5, -0.5, 127.5, True, -1, 255,
)  # fmt: skip
NUMPYS = (
    *(kind(2) for kind in (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)),
    np.float16(0.5), np.float32(0.1), np.float64(0.1), np.longdouble(0.5), np.bool_(True), np.float32("nan"),
    np.int64(-300), np.float64(1e39),
)  # fmt: skip
Call = Callable[[Any, Any, Any], Any]  # of the engine, a tensor, and a number


def placed(index: Callable[[Any], Any]) -> Call:
    def call(T: Any, x: Any, n: Any) -> Any:
        x = x.clone()
        x[index(T)] = n
        return x

    return call


def method(name: str, *before: Any, **options: Any) -> Call:
    return lambda T, x, n: getattr(x.clone(), name)(*before, n, **options)


FILLING: dict[str, Call] = {
    "full": lambda T, x, n: T.full((2,), n, dtype=x.dtype),
    "full of its own": lambda T, x, n: T.full((2,), n),
    "full_like": lambda T, x, n: T.full_like(x, n),
    "new_full": lambda T, x, n: x.new_full((2,), n),
    "fill_": method("fill_"),
    "copy_": method("copy_"),
    "masked_fill": lambda T, x, n: x.masked_fill(x > 0, n),
    "where": lambda T, x, n: T.where(x > 0, n, x),
    "where of two": lambda T, x, n: T.where(x > 0, 1, n),
    "x[0]": placed(lambda T: 0),
    "x[mask]": placed(lambda T: T.tensor([True, False])),
    "x[index]": placed(lambda T: T.tensor([1])),
    "index_fill": lambda T, x, n: x.index_fill(0, T.tensor([0]), n),
    "scatter": lambda T, x, n: x.scatter(0, T.tensor([[0]]), n),
    "linspace": lambda T, x, n: T.linspace(0, n, 3, dtype=x.dtype),
    "linspace of one": lambda T, x, n: T.linspace(n, 0, 1, dtype=x.dtype),
    "nan_to_num": lambda T, x, n: T.nan_to_num(x * math.nan, n),
}
COMPUTING: dict[str, Call] = {
    "add alpha": lambda T, x, n: T.add(x, x, alpha=n),
    "add alpha of a number": lambda T, x, n: T.add(x, 1, alpha=n),
    "sub alpha": lambda T, x, n: T.sub(x, x, alpha=n),
    "add_ alpha": lambda T, x, n: x.clone().add_(x, alpha=n),
    "index_add": lambda T, x, n: T.index_add(x, 0, T.tensor([0, 1]), x, alpha=n),
    "addcmul": lambda T, x, n: T.addcmul(x, x, x, value=n),
    "addcdiv": lambda T, x, n: T.addcdiv(x, x, x + 1, value=n),
    "lerp": lambda T, x, n: T.lerp(x, x + 1, n),
    "addmm": lambda T, x, n: T.addmm(x, x[:, :2], x, beta=n),
    "clamp": lambda T, x, n: T.clamp(x, n),
    "clamp above": lambda T, x, n: T.clamp(x, 0, n),
    "clamp_max": method("clamp_max"),
    "pow": lambda T, x, n: T.pow(x, n),
    "leaky_relu": lambda T, x, n: T.nn.functional.leaky_relu(-x, n),
    "elu": lambda T, x, n: T.nn.functional.elu(1 - x, n) if math.isfinite(n) else 0,
    "softplus": lambda T, x, n: T.nn.functional.softplus(x, 1.0, n),
    "cross_entropy": lambda T, x, n: T.nn.functional.cross_entropy(x, T.tensor([0, 1]), label_smoothing=n),
    "hardtanh": lambda T, x, n: T.nn.functional.hardtanh(x, 0, n),
    "mul_": method("mul_"),
    "sub_": method("sub_"),
}
OPERATORS = (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "lt",
    "le",
    "gt",
    "ge",
    "eq",
    "ne",
    "and_",
    "or_",
    "xor",
)
for name in OPERATORS:
    symbol = getattr(operator, name)
    COMPUTING[f"x {name} n"] = lambda T, x, n, symbol=symbol: symbol(x, n)
    COMPUTING[f"n {name} x"] = lambda T, x, n, symbol=symbol: symbol(n, x + 1 if x.dtype != T.bool else x)
NUMERIC = FILLING | COMPUTING


def seen(T: Any, call: Call, dtype: str, n: Any, grad: bool = False) -> Any:
    """What a call gives: dtype, shape and elements; or the type of its error."""
    x = T.tensor([[1, 2, 3], [0, 1, 2]]).to(getattr(T, dtype)).requires_grad_(grad)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = call(T, x, n)
    except Exception as error:
        return type(error)
    return (str(result.dtype), result.requires_grad, result.detach().numpy()) if hasattr(result, "detach") else result


def agree(call: Call, dtype: str, n: Any, grad: bool = False) -> bool:
    ours, theirs = (seen(T, call, dtype, n, grad) for T in (minigrad, torch))
    if ours is OverflowError or theirs is OverflowError:  # which of two faults is found first is nobody's contract
        return ours is theirs or (isinstance(ours, type) and isinstance(theirs, type))
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        a, b = np.float64(ours[2]), np.float64(theirs[2])
        return ours[:2] == theirs[:2] and np.allclose(a, b, rtol=1e-3 if "16" in ours[0] else 1e-6, equal_nan=True)
    return ours is theirs or ours == theirs


# What float16 rounds on the way to its result is not the number's business.
ROUNDED = {"addcdiv", "addmm", "sub_", "x sub n", "n sub x", "x floordiv n"}


@pytest.mark.parametrize("name", NUMERIC)
def test_numbers_beyond_the_range(name: str) -> None:
    differ = [
        (dtype, n)
        for dtype, n in itertools.product(DTYPES[name in ROUNDED :], BEYOND)
        if not agree(NUMERIC[name], dtype, n)
    ]
    assert not differ


@pytest.mark.parametrize("name", NUMERIC)
def test_numbers_of_numpy(name: str) -> None:
    forms = [
        ("float32", True),
        *((dtype, False) for dtype in ("float32", "float64", "float16", "int64", "uint8", "bool")),
    ]
    if name in ROUNDED:
        forms.remove(("float16", False))
    differ = [(f, n) for f, n in itertools.product(forms, NUMPYS) if not agree(NUMERIC[name], f[0], n, f[1])]
    assert not differ


INTEGERS: dict[str, Call] = {
    "zeros": lambda T, x, n: T.zeros(n, n),
    "full": lambda T, x, n: T.full((n,), 1.0),
    "eye": lambda T, x, n: T.eye(n),
    "arange": lambda T, x, n: T.arange(n),
    "Tensor": lambda T, x, n: T.Tensor(n).mul(0).nan_to_num(0, 0, 0),
    "sum": lambda T, x, n: x.sum(n),
    "sum of dims": lambda T, x, n: x.sum((n,)),
    "max": lambda T, x, n: x.max(n)[0],
    "amax": lambda T, x, n: x.amax(n),
    "all": lambda T, x, n: x.all(n),
    "std": lambda T, x, n: x.std(correction=n),
    "softmax": lambda T, x, n: x.softmax(n),
    "topk": lambda T, x, n: x.topk(n)[0],
    "reshape": lambda T, x, n: x.reshape(n, -1),
    "expand": lambda T, x, n: x.expand(n, 2, 3),
    "repeat": lambda T, x, n: x.repeat(n, 1),
    "transpose": lambda T, x, n: x.transpose(0, n),
    "unsqueeze": lambda T, x, n: x.unsqueeze(n),
    "squeeze": lambda T, x, n: x[:, :1].squeeze(n),
    "flatten": lambda T, x, n: x.flatten(n),
    "chunk": lambda T, x, n: x.chunk(n)[0],
    "split": lambda T, x, n: x.split(n)[0],
    "narrow": lambda T, x, n: x.narrow(0, 0, n),
    "select": lambda T, x, n: x.select(1, n),
    "cat": lambda T, x, n: T.cat([x, x], n),
    "roll": lambda T, x, n: x.roll((n,), (0,)),
    "tril": lambda T, x, n: x.tril(n),
    "round": lambda T, x, n: (x / 7).round(decimals=n),
    "one_hot": lambda T, x, n: T.nn.functional.one_hot(T.tensor([0]), n),
    "nll_loss": lambda T, x, n: T.nn.functional.nll_loss(x, T.tensor([0, 1]), ignore_index=n),
    "padding": lambda T, x, n: T.nn.functional.embedding(T.tensor([1]), x, padding_idx=n),
    "x[n]": lambda T, x, n: x[:, n],
    "x[:n]": lambda T, x, n: x[:n],
}
COUNTS = (
    1, np.int8(1), np.int32(1), np.int64(1), np.uint8(1), np.int64(0), np.float32(1), np.float64(1), 1.0, True,
)  # fmt: skip


@pytest.mark.parametrize("name", INTEGERS)
def test_sizes_dims_and_places(name: str) -> None:
    forms = [("float32", False), ("float32", True)]
    assert not [(f, n) for f, n in itertools.product(forms, COUNTS) if not agree(INTEGERS[name], f[0], n, f[1])]


def test_what_a_number_is() -> None:
    """float('nan') where integers go, 2**63 beside bools, an int of more than 64 bits."""
    with pytest.raises(RuntimeError, match="value cannot be converted"):
        minigrad.zeros(2, dtype=minigrad.int64).fill_(math.nan)
    with pytest.raises(RuntimeError, match="2\\*\\*63"):
        minigrad.tensor([True]) + 2**63
    with pytest.raises(OverflowError, match="64 bits"):
        minigrad.ones(2) * 2**64
    with pytest.raises(TypeError, match="argument 'alpha' must be Number, not str"):
        minigrad.add(minigrad.ones(1), minigrad.ones(1), alpha="1")
    assert minigrad.full((1,), np.float16(2)).dtype is minigrad.float32


LOSSES = ("mse_loss", "l1_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("loss", LOSSES)
def test_losses_of_every_dtype(loss: str, reduction: str, weighted: bool) -> None:
    """Integers are refused where PyTorch has no kernel for them; a 0-d target's dtype counts as any other's."""

    def call(T: Any, x: Any, n: Any) -> Any:
        dtype, shape = n
        target = T.ones(shape).to(getattr(T, dtype))
        weight = {"weight": T.ones(x.shape)} if weighted else {}
        return getattr(T.nn.functional, loss)(
            x / 3 if x.is_floating_point() else x, target, reduction=reduction, **weight
        )

    targets = list(itertools.product(("float16", "float32", "float64", "int64", "uint8", "bool"), ((), (2, 3))))
    assert not [
        (d, n)
        for d, n in itertools.product(("float32", "float64", "int64", "int32", "bool"), targets)
        if not agree(call, d, n)
    ]
