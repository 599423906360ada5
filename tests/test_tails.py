"""Nonlinearities and losses over all of float32: values, first and second derivatives, against 250 digits.

A result may be off by UNITS units in its last place, or by TIMES what torch is off by at this argument or one beside
it. Many of torch's formulas cancel: sigmoid's slope is out * (1 - out), which is 0 where out rounds to 1. So the bound
is torch's error where torch is wrong, and a few units where torch is right.
"""

import functools
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from mpmath import mp, mpf

import minigrad

UNITS = 6  # NumPy's exp is 2 off, and stands in most of these
TIMES = 4
BESIDE = 4  # where a derivative changes its sign, how far off it is depends on chance
SMALLEST = 2000 * 2.0**-149  # the subnormal numbers that products of tails are made of have few digits

Function = Callable[[Any, Any], Any]  # of an engine and a tensor
Truth = Callable[[Any], Any]  # of a number of mpmath


def beside(T: Any, x: Any, y: float) -> Any:
    """Rows of two: x and y."""
    return T.stack([x, T.full_like(x, y)], -1)


def loss(name: str, y: float, **weights: float) -> Function:
    def call(T: Any, x: Any) -> Any:
        constants = {key: T.full_like(x, value) for key, value in weights.items()}
        return getattr(T.nn.functional, name)(x, T.full_like(x, y), reduction="none", **constants)

    return call


def cross_entropy(T: Any, x: Any, **options: Any) -> Any:
    target = T.zeros(len(x), dtype=T.int64)
    return T.nn.functional.cross_entropy(beside(T, x, 0.0), target, reduction="none", **options)


def neural(name: str, *args: Any, **kwargs: Any) -> Function:
    return lambda T, x: getattr(T.nn.functional, name)(x, *args, **kwargs)


def plain(name: str) -> Function:
    return lambda T, x: getattr(T, name)(x)


def logistic(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def softplus(x: Any) -> Any:
    return max(x, 0) + mp.log1p(mp.exp(-abs(x)))


def elu(alpha: float, scale: float = 1.0) -> Truth:
    return lambda x: scale * x if x > 0 else mpf(scale) * alpha * mp.expm1(x)


def single(x: float) -> Any:
    return mpf(float(np.float32(x)))


TANH = mpf(0.044715)
SWEPT: dict[str, tuple[Function, Truth]] = {
    "exp": (plain("exp"), mp.exp),
    "exp2": (plain("exp2"), lambda x: mpf(2) ** x),
    "expm1": (plain("expm1"), mp.expm1),
    "log": (plain("log"), mp.log),
    "log2": (plain("log2"), lambda x: mp.log(x, 2)),
    "log10": (plain("log10"), mp.log10),
    "log1p": (plain("log1p"), mp.log1p),
    "sqrt": (plain("sqrt"), mp.sqrt),
    "rsqrt": (plain("rsqrt"), lambda x: 1 / mp.sqrt(x)),
    "reciprocal": (plain("reciprocal"), lambda x: 1 / x),
    "square": (plain("square"), lambda x: x * x),
    "sin": (plain("sin"), mp.sin),
    "cos": (plain("cos"), mp.cos),
    "tan": (plain("tan"), mp.tan),
    "asin": (plain("asin"), mp.asin),
    "acos": (plain("acos"), mp.acos),
    "atan": (plain("atan"), mp.atan),
    "sinh": (plain("sinh"), mp.sinh),
    "cosh": (plain("cosh"), mp.cosh),
    "tanh": (plain("tanh"), mp.tanh),
    "sigmoid": (plain("sigmoid"), logistic),
    "atan2 of x": (lambda T, x: T.atan2(x, T.full_like(x, 3)), lambda x: mp.atan2(x, 3)),
    "atan2 at x": (lambda T, x: T.atan2(T.full_like(x, -3), x), lambda x: mp.atan2(-3, x)),
    "quotient": (lambda T, x: 3 / x, lambda x: 3 / x),
    "x**3": (lambda T, x: x**3, lambda x: x**3),
    "x**2.5": (lambda T, x: x**2.5, lambda x: x ** mpf(2.5)),
    "x**0.5": (lambda T, x: x**0.5, mp.sqrt),
    "x**-0.5": (lambda T, x: x**-0.5, lambda x: 1 / mp.sqrt(x)),
    "x**-2": (lambda T, x: x**-2, lambda x: 1 / x**2),
    "x**y": (lambda T, x: T.pow(x, T.full_like(x, -1.5)), lambda x: x ** mpf(-1.5)),
    "y**x": (lambda T, x: T.pow(0.75, x), lambda x: mpf(0.75) ** x),
    "elu": (neural("elu", 1.5), elu(1.5)),
    "selu": (neural("selu"), elu(1.6732632423543772, 1.0507009873554805)),
    "softplus": (neural("softplus"), lambda x: softplus(x) if x <= 20 else x),
    "softplus of 3 x": (neural("softplus", 3.0, 100.0), lambda x: softplus(3 * x) / 3 if 3 * x <= 100 else x),
    "logsigmoid": (neural("logsigmoid"), lambda x: -softplus(-x)),
    "silu": (neural("silu"), lambda x: x * logistic(x)),
    "gelu": (neural("gelu"), lambda x: x * mp.erfc(-x / mp.sqrt(2)) / 2),
    "gelu, tanh": (
        neural("gelu", approximate="tanh"),
        lambda x: x * logistic(2 * mp.sqrt(2 / mp.pi) * (x + TANH * x**3)),
    ),
    "softsign": (neural("softsign"), lambda x: x / (1 + abs(x))),
    "tanhshrink": (neural("tanhshrink"), lambda x: x - mp.tanh(x)),
    "softmax of x": (lambda T, x: T.softmax(beside(T, x, 1), -1)[:, 0], lambda x: logistic(x - 1)),
    "softmax beside x": (lambda T, x: T.softmax(beside(T, x, 1), -1)[:, 1], lambda x: logistic(1 - x)),
    "log_softmax": (lambda T, x: T.log_softmax(beside(T, x, 1), -1)[:, 1], lambda x: -softplus(x - 1)),
    "logsumexp": (lambda T, x: T.logsumexp(beside(T, x, 1), -1), lambda x: 1 + softplus(x - 1)),
    "cross_entropy": (cross_entropy, lambda x: softplus(-x)),
    "smoothed": (functools.partial(cross_entropy, label_smoothing=0.25), lambda x: softplus(x) - mpf(0.875) * x),
    "logits, 0": (loss("binary_cross_entropy_with_logits", 0), softplus),
    "logits, 1": (loss("binary_cross_entropy_with_logits", 1), lambda x: softplus(-x)),
    "logits, 0.25": (loss("binary_cross_entropy_with_logits", 0.25), lambda x: softplus(x) - x / 4),
    "logits, weighted": (
        loss("binary_cross_entropy_with_logits", 0.25, pos_weight=5.0),
        lambda x: (5 * softplus(-x) + 3 * softplus(x)) / 4,
    ),
    "probability, 0": (loss("binary_cross_entropy", 0), lambda x: -mp.log1p(-x) if 0 <= x < 1 else mp.nan),
    "probability, 1": (loss("binary_cross_entropy", 1), lambda x: -mp.log(x) if 0 < x <= 1 else mp.nan),
    "mse_loss": (loss("mse_loss", 1), lambda x: (x - 1) ** 2),
    "l1_loss": (loss("l1_loss", 1), lambda x: abs(x - 1)),
    "var": (lambda T, x: T.var(beside(T, x, 1), -1), lambda x: (x - 1) ** 2 / 2),
    "std": (lambda T, x: T.std(beside(T, x, 1), -1), lambda x: abs(x - 1) / mp.sqrt(2)),
    "norm": (lambda T, x: T.norm(beside(T, x, 1e5), dim=-1), lambda x: mp.sqrt(x * x + single(1e5) ** 2)),
    "norm 3": (lambda T, x: T.norm(beside(T, x, 1), 3, -1), lambda x: mp.cbrt(abs(x) ** 3 + 1)),
}
# Derivatives that are right where torch's are not: to so many units, the more where exp is taken of powers of x.
RIGHT = {"logsigmoid": UNITS, "softplus": UNITS, "logits, 0": UNITS, "logits, 1": UNITS, "silu": 200, "gelu": 200,
         "gelu, tanh": 1000}  # fmt: skip
# What comes of a rounding error of one unit in the result of NumPy's vectorised tanh, where torch's is right.
COARSE = {"tanh": 2.0**-22, "tanhshrink": 2.0**-22}


def arguments(name: str) -> np.ndarray:
    """Exponents from the smallest number to the largest, numbers around the kinks, and the special ones."""
    powers = 10 ** np.arange(-44.5, 38.6, 0.5)
    x = np.concatenate([powers, np.linspace(0.2, 30, 80), np.linspace(84, 105, 22), [3.4e38]])
    if name.startswith("probability"):
        x = x[x <= 0.5]
        return np.sort(np.concatenate([x, 1 - x]).astype(np.float32))
    x = np.sort(x.astype(np.float32))
    return np.concatenate([-x[::-1], x])


def true(f: Truth, x: float) -> list[float]:
    """f, f' and f'' at x, from differences, of 250 digits."""
    with mp.workdps(250):
        at, h = mpf(float(x)), mpf(10) ** -50 * min(abs(mpf(float(x))), 1)
        try:
            below, y, above = f(at - h), f(at), f(at + h)
            found = [y, (above - below) / (2 * h), (above - 2 * y + below) / h**2]
        except (ZeroDivisionError, ValueError, OverflowError):
            return [np.nan] * 3
    return [np.nan if isinstance(z, mpmath.mpc) else float(z) for z in found]


def derivatives(T: Any, f: Function, x: np.ndarray) -> list[np.ndarray]:
    leaf = T.from_numpy(x.copy()).requires_grad_()
    y = f(T, leaf)
    (g,) = T.autograd.grad(y, leaf, T.ones_like(y), create_graph=True)
    h = T.autograd.grad(g, leaf, T.ones_like(g), allow_unused=True)[0] if g.requires_grad else None
    found = (y, g, T.zeros_like(leaf) if h is None else h)
    return [z.detach().numpy(force=True).astype(np.float64) for z in found]


def around(errors: np.ndarray) -> np.ndarray:
    """The largest of these at each place and those beside it."""
    padded = np.pad(np.where(np.isfinite(errors), errors, 0), BESIDE)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * BESIDE + 1).max(-1)


@pytest.mark.parametrize("name", SWEPT)
def test_as_exact_as_torch(name: str) -> None:
    call, truth = SWEPT[name]
    x = arguments(name)
    exact = np.array([true(truth, one) for one in x]).T
    both = zip(derivatives(minigrad, call, x), derivatives(torch, call, x), exact, strict=True)
    with np.errstate(all="ignore"):
        for order, (ours, theirs, right) in enumerate(both):
            own = order > 0 and name in RIGHT
            rounded = right.astype(np.float32)
            allowed = (RIGHT[name] if own else UNITS) * np.spacing(np.abs(rounded)).astype(np.float64)
            allowed += SMALLEST + COARSE.get(name, 0) + (0 if own else TIMES * around(np.abs(theirs - right)))
            fine = (np.abs(ours - right) <= allowed) | (ours == rounded) | (np.isnan(ours) & np.isnan(right))
            if not own:
                fine |= (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
            wrong = np.stack([x, ours, theirs, right], -1)[~fine]
            assert not wrong.size, f"derivative {order}: x, minigrad, torch, right\n{wrong}"


@pytest.mark.parametrize("name", SWEPT)
def test_compiled_and_derived(name: str) -> None:
    """Programs have the numbers of eager runs."""
    x, call = arguments(name), SWEPT[name][0]

    def program(leaf: Any) -> Any:
        y = call(minigrad, leaf)
        (g,) = minigrad.autograd.grad(y, leaf, minigrad.ones_like(y), create_graph=True)
        h = minigrad.autograd.grad(g, leaf, minigrad.ones_like(g), allow_unused=True)[0] if g.requires_grad else None
        return [y.detach(), g.detach(), minigrad.zeros_like(g) if h is None else h]

    leaf = minigrad.from_numpy(x.copy()).requires_grad_()
    expected = [z.numpy() for z in program(leaf)]
    compiled, derived = minigrad.compile(program), minigrad.program.trace(program, leaf)
    for _ in range(3):
        for found, wanted in zip(compiled(leaf), expected, strict=True):
            np.testing.assert_array_equal(found.numpy(), wanted)
    with np.errstate(all="ignore"):
        for found, wanted in zip(derived(leaf=x), expected, strict=False):
            np.testing.assert_array_equal(found, wanted)


SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], np.float32)


@pytest.mark.parametrize("name", [name for name in SWEPT if not name.startswith("probability")])
def test_special_numbers(name: str) -> None:
    for ours, theirs in zip(*(derivatives(T, SWEPT[name][0], SPECIAL) for T in (minigrad, torch)), strict=True):
        assert np.all(np.isclose(ours, theirs, 1e-6, 0) | np.isnan(theirs)), (ours, theirs)
