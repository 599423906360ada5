"""Large outer and inner axes: sums, and gradients that are summed back over broadcasting, against float64.

A sum that adds row after row loses a digit with each decade of rows, which no small sample shows. The records tell
which operations reduce a dim and which broadcast: what torch does with (3, 2) and (2,) decides, so that a new record
is swept too. The error may be 4 times torch's and 4 units in the last place.
"""

import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from op_samples import SAMPLES
from strategies import ENGINE

SHAPES = {
    "float32": [(200_000, 3), (3, 200_000), (1000, 300), (60, 500, 10)],
    "float16": [(20_000, 3), (3, 20_000), (3000, 20), (60, 50, 10)],
}
LAYOUTS = ["contiguous", "transposed", "strided"]
UNIT = {"float16": 2.0**-10, "float32": 2.0**-23}


def succeeds(call: Callable[[], Any], shape: tuple[int, ...]) -> bool:
    """Whether a call of torch gives one differentiable tensor of that shape."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            out = call()
            out.sum().backward()
        except Exception:
            return False
    return out.shape == shape


def function_of(T: Any, name: str) -> Callable[..., Any]:
    return functools.reduce(getattr, name.split("."), T)


x, y = torch.rand(3, 2, requires_grad=True), torch.rand(2, requires_grad=True)
NAMES = sorted({sample.name for sample in SAMPLES if sample.function is None and not sample.name.startswith("Tensor.")})
REDUCING = [name for name in NAMES if succeeds(lambda n=name: function_of(torch, n)(x, dim=0), (2,))]
ALONG = [name for name in NAMES if succeeds(lambda n=name: function_of(torch, n)(x, dim=0), (3, 2))]
BROADCASTING = [name for name in NAMES if succeeds(lambda n=name: function_of(torch, n)(x, y), (3, 2))]


def test_the_records_are_found() -> None:
    assert {"sum", "mean", "std", "norm", "logsumexp"} <= {*REDUCING}
    assert {"softmax", "log_softmax", "cumsum"} <= {*ALONG}
    assert {"add", "mul", "div", "atan2", "maximum"} <= {*BROADCASTING}


def laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    if layout == "transposed":
        return np.ascontiguousarray(array.T).T
    if layout == "strided":
        every_other = (slice(None, None, 2),) * array.ndim
        room = np.zeros([2 * n for n in array.shape], array.dtype)
        room[every_other] = array
        return room[every_other]
    return array


def inputs(shape: tuple[int, ...], dtype: str) -> Iterator[np.ndarray]:
    """Random numbers, and one number that is no sum of few powers of 2: its rounding errors are all on one side."""
    rng = np.random.default_rng(0)
    yield (1 + rng.random(shape)).astype(dtype)
    yield np.full(shape, 0.1, dtype)


def engines(array: np.ndarray) -> list[tuple[Any, Any]]:
    """The engine, torch, and torch on the same numbers in float64; each with a leaf of the array."""
    return [
        (T, T.from_numpy(a).requires_grad_()) for T, a in ((ENGINE, array), (torch, array), (torch, array.astype("d")))
    ]


def compare(found: list[Any], dtype: str, where: Any) -> None:
    ours, theirs, right = (np.asarray(x.detach().numpy(), np.float64) for x in found)
    assert ours.shape == right.shape, where
    if not np.isfinite(theirs).all():  # out of the range of the dtype
        return
    scale = np.abs(right).max() or 1.0
    mine, torchs = (np.abs(x - right).max() / scale for x in (ours, theirs))
    assert mine <= 4 * torchs + 4 * UNIT[dtype], f"{where}: off by {mine:.2g}, torch by {torchs:.2g}"


@pytest.mark.parametrize("dtype", UNIT)
@pytest.mark.parametrize("name", [*REDUCING, *ALONG])
def test_along_each_dim(name: str, dtype: str) -> None:
    for shape, layout in ((shape, layout) for shape in SHAPES[dtype] for layout in LAYOUTS):
        for array in [*inputs(shape, dtype)][: 2 if name in REDUCING else 1]:
            for dim in range(len(shape)) if layout == "contiguous" else (0,):
                found = []
                for T, x in engines(laid_out(array, layout)):
                    out = function_of(T, name)(x, dim=dim)
                    out.sum().backward() if name in REDUCING else (out * out).sum().backward()
                    found.append((out, x.grad))
                for what, results in zip(("value", "gradient"), zip(*found, strict=True), strict=True):
                    compare([*results], dtype, (what, shape, layout, dim, array.flat[0]))


@pytest.mark.parametrize("dtype", UNIT)
@pytest.mark.parametrize("name", BROADCASTING)
def test_gradients_that_are_summed_back(name: str, dtype: str) -> None:
    for shape in SHAPES[dtype]:
        for small in {shape[1:], (*shape[:-1], 1), shape[-1:], (1,) * len(shape)}:
            found = []
            for (T, x), (_, y) in zip(
                engines(next(inputs(shape, dtype))), engines(0.5 * next(inputs(small, dtype))), strict=True
            ):
                function_of(T, name)(x, y).sum().backward()
                found.append(y.grad)
            compare(found, dtype, (shape, small))


OTHERS: dict[str, Callable[[Any, Any], Any]] = {
    "expand": lambda T, x: x[0].expand_as(x),
    "repeat": lambda T, x: x[0].repeat(len(x), *(1,) * (x.ndim - 1)),
    "index": lambda T, x: x[0][None][T.zeros(len(x), dtype=T.int64)],
    "linear": lambda T, x: T.nn.functional.linear(
        x, T.ones_like(x[:2]).reshape(2, -1)[:, : x.shape[-1]], x.flatten()[:2]
    ),
    "einsum": lambda T, x: T.einsum("i...->...", x),
    "dims": lambda T, x: x.sum(tuple(range(x.ndim))),
    "some dims": lambda T, x: x.mean((0, -1), keepdim=True),
    "batch statistics": lambda T, x: (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt(),
    "l1_loss, summed": lambda T, x: T.nn.functional.l1_loss(x / 256, x / 128, reduction="sum"),
}


@pytest.mark.parametrize("dtype", UNIT)
@pytest.mark.parametrize("name", OTHERS)
def test_what_is_made_of_sums(name: str, dtype: str) -> None:
    for shape in SHAPES[dtype]:
        found = []
        for T, x in engines(next(inputs(shape, dtype))):
            out = OTHERS[name](T, x)
            out.sum().backward()
            found.append((out, x.grad))
        for what, results in zip(("value", "gradient"), zip(*found, strict=True), strict=True):
            compare([*results], dtype, (what, shape))


@pytest.mark.parametrize("shape", [(1_000_000, 2), (10_000, 100), (1000, 1000), (3, 1_000_000), (100, 1000, 10)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_sum_itself(shape: tuple[int, ...], layout: str) -> None:
    for array in inputs(shape, "float32"):
        for dims in [(0,), (1,), *([(0, 1), (0, 2), (1, 2), (0, 1, 2)] if len(shape) > 2 else [(0, 1)])]:
            for keepdim in (False, True):
                x = laid_out(array, layout)
                found = [
                    T.from_numpy(a).sum(dims, keepdim) for T, a in ((ENGINE, x), (torch, x), (torch, x.astype("d")))
                ]
                compare(found, "float32", (dims, keepdim, array.flat[0]))


def test_numbers_of_the_tutorials() -> None:
    x = ENGINE.full((1_000_000, 2), 0.1)
    assert x.sum(0)[0].item() == pytest.approx(100_000, rel=1e-6)
    assert x.std(0)[0].item() == 0.0
    assert x.cumsum(0)[-1, 0].item() == 100_000
    y = 1000 + ENGINE.arange(1e6).remainder(7)[:, None].expand(-1, 3).contiguous()
    assert (y.mean(0)[0].item(), y.std(0)[0].item()) == (1003.0, pytest.approx(2.0, rel=1e-5))


def test_float16_counts_and_ties() -> None:
    assert ENGINE.ones(5000, 2).half().sum(0).tolist() == [5000, 5000]
    for name in ("max", "min", "amax", "amin", "median", "mean"):
        found = []
        for T in (ENGINE, torch):
            x = T.ones(70_000).half().requires_grad_()
            getattr(x, name)().backward()
            found.append(x.grad.max().item())
        assert found[0] == found[1], name
