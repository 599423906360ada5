"""Indexing against torch: every kind of index in every order, read and written, with what it shares and its gradients.

`seen` does the same to either engine: it builds the tensor in some layout, indexes it, and gives all that shows of the
result. All numbers are small integers, so that they are equal to the last bit in whatever order they are added up.
"""

import re
import warnings
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import BOOLS, ENGINE, SEEDS, Shape, drawn_by, shapes, up_to

from minigrad.program import TracingError

INTS = ("int64", "int64", "int32", "uint8", "int8", "int16")


@dataclass(frozen=True, eq=False)
class Given:
    """A tensor, or an array of NumPy's, that stands in an index."""

    values: np.ndarray
    tensor: bool

    def __repr__(self) -> str:
        return f"{'tensor' if self.tensor else 'array'}({self.values.tolist()}, {self.values.dtype})"


def build(T: Any, index: Any) -> Any:
    """The index as it is given to an engine."""
    if isinstance(index, Given):
        values = index.values.copy("K")
        return T.from_numpy(values) if index.tensor else values
    if isinstance(index, (list, tuple, deque)):
        return type(index)(build(T, i) for i in index)
    return index


KINDS = st.sampled_from((
    "int", "int", "slice", "slice", "whole", "whole", "new", "...", "...", "list", "list", "ints", "ints", "mask",
    "mask", "bool", "single", "single", "array", "array of floats", "nested", "floats", "range", "tuple", "scalar",
    "tensors in a list", "mask in lists", "uint8", "stop", "stop",
))  # fmt: skip
WRONG = tuple(Given(np.ones(2, dtype), tensor=True) for dtype in ("float32", "int8"))
ODD = st.sampled_from((
    1.5, "a", b"a", ["a"], {}, {0}, np.bool_(True), np.float64(1), slice(None, None, -1), slice(0.5),
    slice(None, None, 0), [None], [[0, 1], [0]], 1j, [1j], int, deque([0]), (), [], [[]], [()], [slice(0, 1)],
    np.zeros((0, 2), bool), np.zeros(0), [np.nan], *WRONG, [np.float32(1)], np.array(["a"]), [..., 0], [0, None],
    [[0], [0]], [True], [False, True],
))  # fmt: skip


@drawn_by
def index_of(draw: st.DrawFn, shape: Shape) -> Any:
    """What stands in the brackets. Most of it fits the shape, and broadcasts together."""
    entries: list[Any] = []
    place, side, odd, nested = 0, 1 + draw(up_to(2)), False, False
    rng = np.random.default_rng(draw(SEEDS))

    def places(n: int, dims: int = 1) -> np.ndarray:
        n += rng.integers(24) == 0
        return rng.integers(-n, n, (1 if rng.integers(3) == 0 else side,) * dims) if n else np.zeros((0,) * dims, int)

    for _ in range(draw(up_to(6))):
        kind = draw(KINDS)
        if kind == "..." and nested:  # a mask in lists counts as one dim there: torch takes the dims for others
            continue
        if kind == "stop" or (place >= len(shape) and rng.integers(6)):
            break
        n = shape[place] if place < len(shape) else 2
        used = 1
        entry: Any
        if kind in ("int", "scalar"):
            entry = int(rng.integers(-n, n + (rng.integers(16) == 0))) if n else 0
            entry = np.dtype(INTS[rng.integers(6)]).type(max(entry, 0)) if kind == "scalar" else entry
        elif kind == "slice":
            entry = slice(
                *(None if rng.integers(3) == 0 else int(i) for i in rng.integers(-4, 4, 2)), *SKIPS[rng.integers(4)]
            )
        elif kind == "whole":
            entry = slice(None)
        elif kind in ("new", "..."):
            entry, used = (None, 0) if kind == "new" else (..., max(len(shape) - place - int(rng.integers(0, 2)), 0))
        elif kind in ("bool", "single"):
            entry, used = bool(rng.integers(3)), 0
            if kind == "single":  # without dims: a bool, or an int
                dtype = ("bool", *INTS[1:])[rng.integers(6)]
                entry, used = (
                    Given(np.array(rng.integers(2), dtype), bool(rng.integers(2))),
                    dtype not in ("bool", "uint8"),
                )
        elif kind == "list":
            entry = places(n).tolist()
        elif kind == "nested":
            entry = places(n, 2).tolist()
        elif kind == "floats":
            entry = (places(n) + 0.5 * rng.integers(2)).tolist()
        elif kind == "range":
            entry = range(min(side, n))
        elif kind == "tuple":
            entry = tuple(places(n).tolist())
        elif kind == "tensors in a list":
            entry = [Given(np.array(i), True) if rng.integers(2) else i for i in places(n)]
        elif kind in ("mask", "uint8", "mask in lists"):
            used = min(1 + int(rng.integers(2)), max(len(shape) - place, 1))
            tensor = kind != "mask in lists" and bool(rng.integers(4))
            nested |= not tensor and used > 1
            values = rng.integers(0, 2, shape[place : place + used] + (1,) * int(rng.integers(24) == 0))
            if kind == "mask in lists":
                entry = (values > 0).tolist()
            else:
                entry = Given(values.astype("bool" if kind == "mask" else "uint8"), tensor)
        else:
            tensor = kind == "ints"
            values = places(n, 1 + int(rng.integers(2)))
            dtype = "float64" if kind == "array of floats" else INTS[rng.integers(4 if tensor else 6)]
            order = "F" if rng.integers(3) == 0 else "C"
            entry = Given((abs(values) if dtype == "uint8" else values).astype(dtype, order), tensor)
        if not odd and rng.integers(64) == 0:  # one is enough: which of two errors is found first is nobody's contract
            odd, entry = True, draw(ODD)
        entries.append(entry)
        place += used
    form = draw(up_to(9))
    if form == 0 and entries:
        return entries  # a list of indices, which PyTorch takes for a tuple
    return entries[0] if len(entries) == 1 and form < 6 else tuple(entries)


SKIPS = ((), (), (1,), (2,))
LAYOUTS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.transpose(0, -1),
    "permuted": lambda x: x.permute(*range(1, x.dim()), 0),
    "strided": lambda x: x[..., ::2],
    "expanded": lambda x: x[:1].expand(3 * len(x[:1]), *x.shape[1:]),
}


@dataclass(frozen=True)
class Case:
    """A tensor, a layout of it, and an index."""

    shape: Shape
    layout: str
    index: Any
    grad: bool
    seed: int

    def tensor(self, T: Any) -> tuple[Any, Any]:
        """A leaf, and what it is indexed as."""
        leaf = T.from_numpy(np.arange(float(np.prod(self.shape))).reshape(self.shape) % 7)
        leaf.requires_grad_(self.grad)
        return leaf, self.laid(leaf * 1)

    def laid(self, x: Any) -> Any:
        return LAYOUTS[self.layout](x) if self.shape else x

    def laid_shape(self) -> Shape:
        return tuple(self.laid(torch.empty(self.shape)).shape)

    def numbers(self, T: Any, shape: Any, requires_grad: bool = True) -> Any:
        """Small integers of a shape: factors, cotangents, values."""
        drawn = np.random.default_rng(self.seed).integers(-3, 4, tuple(shape))
        return T.from_numpy(np.asarray(drawn, float)).requires_grad_(requires_grad)


@drawn_by
def cases(draw: st.DrawFn, layouts: tuple[str, ...] = tuple(LAYOUTS)) -> Case:
    shape = draw(st.sampled_from(((2, 3, 4), (2, 3, 4), (3, 2), (4,), (2, 3, 2, 3))) if draw(up_to(2)) else shapes())
    case = Case(shape, draw(st.sampled_from(layouts)), None, draw(BOOLS), draw(SEEDS))
    return Case(case.shape, case.layout, draw(index_of(case.laid_shape())), case.grad, case.seed)


# What one row of the table stands for here: see tests/test_graph.py.
NODES = dict.fromkeys(("AliasBackward0", "UnsqueezeBackward0"), "SliceBackward0") | dict.fromkeys(
    ("torch::autograd::CopyBackwards", "FillBackward0", "FillBackward1", "FillBackward2", "FillBackward3"),
    "torch::autograd::CopySlices",
)


def told(x: Any, whole: Any) -> dict[str, Any]:
    """What there is to see of a result of indexing."""
    array = x.detach().numpy()
    view = bool(np.shares_memory(array, whole.detach().numpy()))
    return {
        "values": array.tolist(),
        "shape": array.shape,
        "dtype": str(x.dtype)[6:],
        "view": view,
        "strides": [n for n, side in zip(x.stride(), x.shape, strict=True) if side > 1] if x.numel() else None,
        "requires grad": x.requires_grad,
        "node": x.grad_fn and NODES.get(x.grad_fn.name(), x.grad_fn.name()),
    }


def gradients(T: Any, case: Case, out: Any, leaves: list[Any], weights: Any) -> list[Any]:
    """The gradients of the sum of weights * out**2, and those of a sum of these."""
    leaves = [x for x in (*leaves, weights) if x.requires_grad]
    first = T.autograd.grad((out**2 * weights).sum(), leaves, create_graph=True, allow_unused=True)
    found = [T.zeros_like(x) if g is None else g for g, x in zip(first, leaves, strict=True)]
    again = T.autograd.grad(sum((g * g).sum() for g in found), leaves, allow_unused=True, materialize_grads=True)
    return [g.tolist() for g in (*found, *again)]


def read(T: Any, case: Case) -> dict[str, Any]:
    leaf, x = case.tensor(T)
    out = x[build(T, case.index)]
    found = told(out, x) | {"version": x._version}
    if case.grad:
        found["gradients"] = gradients(T, case, out, [leaf], case.numbers(T, out.shape))
    return found


def write(T: Any, case: Case, value: Any, how: str) -> dict[str, Any]:
    leaf, x = case.tensor(T)
    index = build(T, case.index)
    if isinstance(value, tuple):
        shape, dtype, needs = value
        value = case.numbers(T, shape, False).to(getattr(T, dtype)).requires_grad_(needs and dtype == "float64")
    before = x._version
    if how == "+=":
        x[index] += value
    else:
        x[index] = value
    found = told(x, x) | {"version": x._version - before}
    if "slice" in repr(case.index):  # torch writes to no view where a slice is that of a whole dim
        del found["node"]
    leaves = [leaf, value] if isinstance(value, T.Tensor) else [leaf]
    if x.requires_grad:
        found["gradients"] = gradients(T, case, x, leaves, case.numbers(T, x.shape))
    return found


def outcome(action: Any, *args: Any) -> Any:
    """What an action gives, or its error, with the warnings, by their types."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = action(*args)
        except Exception as error:
            result = {"raised": type(error).__name__, "message": str(error)}
    return result | {"warned": sorted({one.category.__name__ for one in caught})}


REFUSED = (  # by torch alone: a number written by a mask of bytes; x[:] += y where x is a view that requires no grad
    "masked_fill_ only supports boolean masks",
    "a leaf Variable that requires grad is being used in an in-place operation",
)


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    messages = ours.pop("message", ""), theirs.pop("message", "")
    if any(text in messages[1] for text in REFUSED) or ("too many indices" in messages[1] and "raised" in ours):
        return
    if "raised" not in theirs and ("is out of bounds" in messages[0] or (0 in theirs["shape"] and "raised" in ours)):
        return  # torch does not look at places where another dim is empty
    for key in ours.keys() | theirs.keys():
        if key == "warned" and "raised" in theirs:
            continue
        assert ours.get(key) == theirs.get(key), f"{key}: {ours}, {theirs} in torch {messages}"


@settings(max_examples=400)
@given(case=cases())
def test_read(case: Case) -> None:
    same(outcome(read, ENGINE, case), outcome(read, torch, case))


@drawn_by
def writes(draw: st.DrawFn) -> tuple[Case, Any, str]:
    """A case, and what is written: a number, or the shape and dtype of a tensor, most of which fit."""
    case = draw(cases(tuple(layout for layout in LAYOUTS if layout != "expanded")))
    how = (
        "+=" if draw(up_to(3)) == 0 and repr(case.index) != "()" else "="
    )  # torch takes x[()] for a leaf where x is a view
    whole = case.laid(torch.arange(float(np.prod(case.shape))).reshape(case.shape))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            chosen = whole[build(torch, case.index)]
        shape, distinct = tuple(chosen.shape), len(chosen.unique()) == chosen.numel()
    except Exception:
        shape, distinct = (2,), False
    if not distinct:  # which value stays is not defined: one for all
        shape = (1,) * draw(up_to(2))
    elif draw(BOOLS):
        shape = tuple(1 if draw(up_to(2)) == 0 else n for n in shape)[draw(up_to(len(shape))) :]
    shape = draw(st.sampled_from([shape] * 6 + [(1, *shape), (1, 1, *shape), (5, *shape), (*shape, 5), (0, *shape)]))
    dtype = draw(st.sampled_from(("float64",) * 8 + ("float32", "int64", "bool")))
    number = draw(st.sampled_from((None, None, None, 2, 0.5, True, "a", None)))
    return case, (shape, dtype, draw(BOOLS)) if number is None else number, how


@settings(max_examples=400)
@given(drawn=writes())
def test_write(drawn: tuple[Case, Any, str]) -> None:
    case, value, how = drawn
    same(outcome(write, ENGINE, case, value, how), outcome(write, torch, case, value, how))


# One of each kind that a draw may miss: read where there is no `=`, else written.
EXAMPLES = """
x[:, [0, 1], ..., [1, 2]]                   x[:, True, :, -1]                 x[[1.5]]
x[np.zeros((2, 0), bool)]                   x[T.zeros(0, dtype=T.bool)]       x[T.tensor([[0, 1], [1, 0]]).t()]
x[:, [0, 1], ..., [1, 2]] = T.eye(2)        x[:, True, :, -1] = T.ones(2, 1, 3)
x[False] = 3                                x[False] = T.ones(5)              x[False] = "a"
x[x == 0] = T.ones(5, 3)                    x[[]] = T.ones(5, 0, 3, 4)        x[[0, 1]] = T.ones(5, 1, 3, 4)
x[:, 0:0][:, :, [0, 1]] = T.ones(5, 2, 0)   x[T.tensor(True)] = T.tensor(7)   x[x > 2] = T.tensor([[7]])
i[i > 2] = T.tensor(2.5)                    i[i > 2] = T.tensor(1e30)         i[i > 2] = T.tensor(float("nan"))
i[[9]] = T.ones(3)                          i[[9]] = T.tensor([1, 2])         i[[0, 1], [0, 1, 2]] = T.ones(7, 7)
"""


@pytest.mark.parametrize("text", [text for text in re.split(r"\n| {3,}", EXAMPLES) if text])
def test_example(text: str) -> None:
    def run(T: Any) -> dict[str, Any]:
        names = {"T": T, "np": np, "x": T.arange(24.0).reshape(2, 3, 4), "i": T.arange(24).reshape(2, 3, 4)}
        whole = names[text[0]]
        if " = " not in text:
            return told(eval(text, names), whole)
        exec(text, names)
        return told(whole, whole) | {"version": whole._version}

    same(outcome(run, ENGINE), outcome(run, torch))


PICKING = {
    "index_select": lambda T, x, d, i: x.index_select(d, i),
    "gather": lambda T, x, d, i: x.gather(d, T.zeros(x.shape, dtype=T.int64)),
    "gather, transposed index": lambda T, x, d, i: x.gather(d, T.zeros(x.shape[::-1], dtype=T.int64).permute(2, 1, 0)),
    "masked_select": lambda T, x, d, i: x.masked_select(x > 2),
    "take": lambda T, x, d, i: x.take(i),
    "take, transposed index": lambda T, x, d, i: x.take(T.arange(6).view(2, 3).t()),
    "split": lambda T, x, d, i: x.split(1, d)[0],
    "chunk": lambda T, x, d, i: x.chunk(2, d)[0],
    "unbind": lambda T, x, d, i: x.unbind(d)[0],
    "select": lambda T, x, d, i: x.select(d, -1),
    "narrow": lambda T, x, d, i: x.narrow(d, 0, 1),
    "diagonal": lambda T, x, d, i: x.diagonal(0, d, d - 1),
    "index_fill": lambda T, x, d, i: x.index_fill(d, i, 7.0),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", PICKING)
def test_layout(name: str, layout: str) -> None:
    """How the results of what picks elements lie in memory."""
    for d in range(3):
        found = []
        for T in (ENGINE, torch):
            x = LAYOUTS[layout](T.arange(24.0).reshape(2, 3, 4))
            found.append(told(PICKING[name](T, x, d, T.tensor([1, 0, 1])), x))
        assert found[0] == found[1]


# In compiled programs: x, a mask m and an index i change between the calls; what is drawn eagerly is what counts.
COMPILED = {
    "ellipsis of no dims": lambda x, m, i: x[:, [0, 1], ..., [1, 2]],
    "bool beside ints": lambda x, m, i: x[:, True, :, -1],
    "rows": lambda x, m, i: x[i],
    "list": lambda x, m, i: x[[1, 0]],
    "columns": lambda x, m, i: x[:, i, 1:],
    "beside an int": lambda x, m, i: x[1, i, ..., [0]],
    "apart": lambda x, m, i: x[i, :, i + 1],
    "new dims": lambda x, m, i: x[None, i, None, [[0], [1]]],
    "mask": lambda x, m, i: x[m],
    "mask and int": lambda x, m, i: x[m, 1],
    "mask that is computed": lambda x, m, i: x[x > 2.5],
    "no place": lambda x, m, i: x[False, ..., 0],
}


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("name", COMPILED)
def test_compiled(name: str, writes: bool) -> None:
    T = ENGINE

    def program(x: Any, m: Any, i: Any) -> Any:
        if not writes:
            found = COMPILED[name](x, m, i)
            return found.detach(), *T.autograd.grad((found * found).sum(), x)
        y = x * 1
        index: list[Any] = []
        COMPILED[name](Indexed(index), m, i)
        y[index[0]] = 2.0
        y[index[0]] += x[index[0]]
        return y.detach(), *T.autograd.grad((y * y).sum(), x)

    compiled = T.compile(program)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x = T.from_numpy(rng.integers(0, 6, (2, 3, 4)).astype(np.float32)).requires_grad_()
        m, i = T.from_numpy(rng.integers(0, 2, (2, 3)) > 0), T.from_numpy(rng.permutation(2))
        for found, expected in zip(compiled(x, m, i), program(x, m, i), strict=True):
            assert found.tolist() == expected.tolist() and found.shape == expected.shape


class Indexed:
    """Keeps what it is indexed by; it compares as a tensor does."""

    def __init__(self, index: list[Any]) -> None:
        self.index = index

    def __getitem__(self, index: Any) -> None:
        self.index.append(index)

    def __gt__(self, other: Any) -> Any:
        return ENGINE.arange(24.0).reshape(2, 3, 4) > other


def test_a_mask_that_is_drawn_is_not_compiled() -> None:
    """How many places it names decides on shapes: a program that finds another number has drawn already."""
    compiled = ENGINE.compile(lambda x: x[ENGINE.rand(6) > 0.5] * 2)
    with pytest.raises(TracingError, match="random numbers that it draws itself"):
        compiled(ENGINE.arange(6.0))


@pytest.mark.parametrize("index", [None, (..., None), True], ids=str)
def test_writing_to_a_result_without_dims(index: Any) -> None:
    seen = []
    for T in (ENGINE, torch):
        x = T.tensor(3.0, requires_grad=True)
        y, value = x * 1, T.tensor([2.0], requires_grad=True)
        y[index] = value
        (y * 5).backward()
        seen.append((y.item(), x.grad.item(), value.grad.tolist()))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("T", [ENGINE, torch], ids=["minigrad", "torch"])
def test_two_ellipses_beyond_the_dims(T: Any) -> None:
    with pytest.raises(IndexError):
        T.zeros(2, 1, 3)[..., ..., T.tensor([1, 0])]
