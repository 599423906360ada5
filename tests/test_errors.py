"""Where torch refuses, so does minigrad: the same type of error, and a message with the values at hand."""

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from strategies import ENGINE


@dataclass(frozen=True)
class Bad:
    """A call that raises, and what the message must name: each number or word by itself, in any order."""

    name: str
    call: Callable[[Any], Any]  # of the module
    names: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return self.name


def x(T: Any, *shape: int, dtype: str = "float32", grad: bool = False) -> Any:
    """1, 2, 3, ... in this shape."""
    values = np.arange(1, 1 + int(np.prod(shape))).reshape(shape).astype(dtype)
    return T.from_numpy(values).requires_grad_(grad)


def ints(T: Any, *shape: int) -> Any:
    return x(T, *shape, dtype="int64")


def detached(T: Any) -> Any:
    with T.no_grad():
        return x(T, 3, grad=True).sum()


def squared(T: Any, change: Callable[[Any], Any]) -> Any:
    """Backward through y * y where y was changed in between."""
    leaf = x(T, 3, grad=True)
    y = leaf * 2
    z = (y * y).sum()
    change(y)
    return z.backward()


def twice(T: Any) -> Any:
    leaf = x(T, 3, grad=True)
    z = (leaf * leaf).sum()
    z.backward()
    return z.backward()


def set_at(target: Any, index: Any, value: Any) -> None:
    target[index] = value


SHAPES = [
    Bad("add: shapes", lambda T: x(T, 2, 3) + x(T, 4), (2, 3, 4)),
    Bad("mul: shapes", lambda T: T.mul(x(T, 2, 3), x(T, 2)), (2, 3)),
    Bad("maximum: shapes", lambda T: T.maximum(x(T, 5), x(T, 4)), (5, 4)),
    Bad("where: shapes", lambda T: T.where(x(T, 3) > 1, x(T, 4), x(T, 4)), (3, 4)),
    Bad("clamp: shapes", lambda T: T.clamp(x(T, 3), x(T, 4)), (3, 4)),
    Bad("eq: shapes", lambda T: x(T, 3) == x(T, 4), (3, 4)),
    Bad("add_: would grow", lambda T: x(T, 3).add_(x(T, 2, 3)), (2, 3)),
    Bad("+=: would grow", lambda T: x(T, 1).__iadd__(x(T, 4)), (1, 4)),
    Bad("mm: sizes", lambda T: T.mm(x(T, 2, 3), x(T, 4, 5)), (2, 3, 4, 5)),
    Bad("mm: 1-d", lambda T: T.mm(x(T, 3), x(T, 3, 2)), (3, 2)),
    Bad("mm: 3-d", lambda T: T.mm(x(T, 2, 3, 4), x(T, 4, 2)), (3,)),
    Bad("mv: sizes", lambda T: T.mv(x(T, 2, 3), x(T, 4)), (2, 3, 4)),
    Bad("mv: ranks", lambda T: T.mv(x(T, 3), x(T, 3)), (3,)),
    Bad("bmm: ranks", lambda T: T.bmm(x(T, 2, 3), x(T, 3, 2)), (3, 2)),
    Bad("bmm: batches", lambda T: T.bmm(x(T, 2, 3, 4), x(T, 3, 4, 5)), (2, 3)),
    Bad("bmm: sizes", lambda T: T.bmm(x(T, 2, 3, 4), x(T, 2, 5, 6)), (4, 5)),
    Bad("dot: sizes", lambda T: T.dot(x(T, 3), x(T, 4)), (3, 4)),
    Bad("dot: ranks", lambda T: T.dot(x(T, 3, 3), x(T, 3)), (2, 1)),
    Bad("outer: ranks", lambda T: T.outer(x(T, 3, 3), x(T, 3)), (2,)),
    Bad("matmul: 0-d", lambda T: T.matmul(x(T), x(T, 3))),
    Bad("matmul: sizes", lambda T: x(T, 2, 3) @ x(T, 4, 5), (2, 3, 4, 5)),
    Bad("matmul: batches", lambda T: x(T, 2, 3, 4) @ x(T, 3, 4, 5), (2, 3)),
    Bad("matmul: a number", lambda T: x(T, 2, 3) @ 2),
    Bad("addmm: sizes", lambda T: T.addmm(x(T, 2, 2), x(T, 2, 3), x(T, 4, 2)), (2, 3, 4)),
    Bad("linear: sizes", lambda T: T.nn.functional.linear(x(T, 2, 3), x(T, 5, 4)), (2, 3, 4, 5)),
    Bad("t: 3-d", lambda T: T.t(x(T, 2, 3, 4)), (3,)),
    Bad("mT: 1-d", lambda T: x(T, 3).mT, (1,)),
    Bad("reshape: size", lambda T: x(T, 2, 3).reshape(4, 2), (4, 2, 6)),
    Bad("reshape: two -1", lambda T: x(T, 2, 3).reshape(-1, -1)),
    Bad("reshape: -2", lambda T: x(T, 2, 3).reshape(-2, 3), (-2,)),
    Bad("reshape: -1 of nothing", lambda T: x(T, 0, 3).reshape(-1, 0)),
    Bad("view: size", lambda T: x(T, 2, 3).view(4), (4, 6)),
    Bad("view: not contiguous", lambda T: x(T, 2, 3).t().view(6)),
    Bad("expand: size", lambda T: x(T, 2, 3).expand(2, 4), (4, 3)),
    Bad("expand: fewer dims", lambda T: x(T, 2, 3).expand(3)),
    Bad("expand_as: size", lambda T: x(T, 2, 3).expand_as(x(T, 2, 4)), (4, 3)),
    Bad("broadcast_to: size", lambda T: T.broadcast_to(x(T, 2), (3,)), (2, 3)),
    Bad("repeat: fewer dims", lambda T: x(T, 2, 3).repeat(2)),
    Bad("cat: sizes", lambda T: T.cat([x(T, 2, 3), x(T, 2, 4)]), (3, 4)),
    Bad("cat: ranks", lambda T: T.cat([x(T, 2, 3), x(T, 3)]), (2, 1)),
    Bad("cat: nothing", lambda T: T.cat([])),
    Bad("cat: 0-d", lambda T: T.cat([x(T), x(T)])),
    Bad("cat: a tensor", lambda T: T.cat(x(T, 2, 3))),
    Bad("stack: sizes", lambda T: T.stack([x(T, 2), x(T, 3)]), (2, 3)),
    Bad("stack: nothing", lambda T: T.stack([])),
    Bad("split: sizes", lambda T: T.split(x(T, 5), [2, 2]), (5, 2)),
    Bad("split: 0", lambda T: T.split(x(T, 5), 0)),
    Bad("split: negative", lambda T: T.split(x(T, 5), -1), (-1,)),
    Bad("chunk: 0", lambda T: T.chunk(x(T, 5), 0), (0,)),
    Bad("masked_fill: shapes", lambda T: x(T, 3).masked_fill(x(T, 4) > 1, 0.0), (3, 4)),
    Bad("masked_select: shapes", lambda T: T.masked_select(x(T, 3), x(T, 4) > 1), (3, 4)),
    Bad("gather: ranks", lambda T: T.gather(x(T, 2, 3), 0, ints(T, 3))),
    Bad("gather: sizes", lambda T: T.gather(x(T, 2, 3), 0, ints(T, 2, 4) * 0), (2, 4, 3)),
    Bad("index_select: 2-d index", lambda T: T.index_select(x(T, 3), 0, ints(T, 1, 1))),
    Bad("topk: too many", lambda T: T.topk(x(T, 3), 4)),
    Bad("tril: 1-d", lambda T: T.tril(x(T, 3))),
    Bad("diagonal: one dim", lambda T: T.diagonal(x(T, 3, 3), 0, 1, 1), (1,)),
    Bad("mse_loss: shapes", lambda T: T.nn.functional.mse_loss(x(T, 3), x(T, 4)), (3, 4)),
    Bad("zeros: negative", lambda T: T.zeros(2, -1)),
    Bad("linspace: negative", lambda T: T.linspace(0, 1, -1)),
    Bad("linspace: no steps", lambda T: T.linspace(0, 1)),
    Bad("arange: wrong way", lambda T: T.arange(3, 1)),
    Bad("arange: step 0", lambda T: T.arange(1, 3, 0)),
    Bad("tensor: ragged", lambda T: T.tensor([[1, 2], [3]]), (2, 1)),
    Bad("norm: nuc of 1-d", lambda T: T.norm(x(T, 3), "nuc")),
    Bad("norm: unknown", lambda T: T.norm(x(T, 3, 3), "spectral"), ("spectral",)),
    Bad("max: empty", lambda T: T.max(x(T, 0))),
    Bad("max: empty dim", lambda T: T.max(x(T, 2, 0), 1), (1,)),
    Bad("argmax: empty", lambda T: T.argmax(x(T, 0))),
    Bad("amax: empty", lambda T: T.amax(x(T, 0))),
    Bad("clamp: no bounds", lambda T: T.clamp(x(T, 3))),
]

UNARY_DIM = [
    "sum",
    "mean",
    "prod",
    "max",
    "min",
    "amax",
    "amin",
    "argmax",
    "argmin",
    "var",
    "std",
    "logsumexp",
    "all",
    "any",
    "count_nonzero",
    "cumsum",
    "sort",
    "argsort",
    "unbind",
    "squeeze",
    "flip",
]
DIMS = [
    *(Bad(f"{name}: dim 2", lambda T, name=name: getattr(T, name)(x(T, 2, 3), 2), (-2, 1, 2)) for name in UNARY_DIM),
    *(Bad(f"{name}: dim -3", lambda T, name=name: getattr(T, name)(x(T, 2, 3), -3), (-2, 1, -3)) for name in UNARY_DIM),
    *(
        Bad(f"{name}: dim twice", lambda T, name=name: getattr(T, name)(x(T, 2, 3), dim=(0, 0)))
        for name in ("sum", "mean", "amax", "amin", "var", "std", "logsumexp", "all", "any", "norm", "squeeze")
    ),
    Bad("softmax: dim", lambda T: T.softmax(x(T, 2, 3), 2), (-2, 1, 2)),
    Bad("norm: dim", lambda T: T.norm(x(T, 2, 3), dim=2), (-2, 1, 2)),
    Bad("unsqueeze: dim", lambda T: x(T, 2, 3).unsqueeze(3), (-3, 2, 3)),
    Bad("transpose: dim", lambda T: x(T, 2, 3).transpose(0, 2), (-2, 1, 2)),
    Bad("permute: dim", lambda T: x(T, 2, 3).permute(0, 2), (-2, 1, 2)),
    Bad("permute: too few", lambda T: x(T, 2, 3).permute(0), (2, 1)),
    Bad("permute: twice", lambda T: x(T, 2, 3).permute(0, 0)),
    Bad("movedim: dim", lambda T: T.movedim(x(T, 2, 3), 0, 2), (-2, 1, 2)),
    Bad("movedim: lengths", lambda T: T.movedim(x(T, 2, 3), (0, 1), 0)),
    Bad("flatten: dim", lambda T: T.flatten(x(T, 2, 3), 2), (-2, 1, 2)),
    Bad("flatten: order", lambda T: T.flatten(x(T, 2, 3), 1, 0)),
    Bad("cat: dim", lambda T: T.cat([x(T, 2, 3)], 2), (-2, 1, 2)),
    Bad("stack: dim", lambda T: T.stack([x(T, 2, 3)], 3), (-3, 2, 3)),
    Bad("split: dim", lambda T: T.split(x(T, 2, 3), 1, 2), (-2, 1, 2)),
    Bad("chunk: dim", lambda T: T.chunk(x(T, 2, 3), 1, 2), (-2, 1, 2)),
    Bad("gather: dim", lambda T: T.gather(x(T, 2, 3), 2, ints(T, 2, 3)), (-2, 1, 2)),
    Bad("index_select: dim", lambda T: T.index_select(x(T, 2, 3), 2, ints(T, 1)), (-2, 1, 2)),
    Bad("topk: dim", lambda T: T.topk(x(T, 2, 3), 1, 2), (-2, 1, 2)),
    Bad("flip: twice", lambda T: T.flip(x(T, 2, 3), (0, 0))),
    Bad("size: dim", lambda T: x(T, 2, 3).size(2), (-2, 1, 2)),
    Bad("dim: a float", lambda T: x(T, 2, 3).sum(0.5)),
    Bad("dim: a string", lambda T: x(T, 2, 3).sum("0")),
]

INDEXING = [
    Bad("x[5]", lambda T: x(T, 3)[5], (5, 3)),
    Bad("x[-4]", lambda T: x(T, 3)[-4], (-4, 3)),
    Bad("x[:, 3]", lambda T: x(T, 2, 3)[:, 3], (3,)),
    Bad("x[0, 0, 0]", lambda T: x(T, 2, 3)[0, 0, 0], (2, 3)),
    Bad("x[tensor]: out of range", lambda T: x(T, 3)[ints(T, 3)], (3,)),
    Bad("x[mask]: shape", lambda T: x(T, 3)[x(T, 4) > 1], (3, 4)),
    Bad("x[tensors]: shapes", lambda T: x(T, 3, 3)[ints(T, 2) * 0, ints(T, 3) * 0], (2, 3)),
    Bad("x[0.5]", lambda T: x(T, 3)[0.5]),
    Bad("x['a']", lambda T: x(T, 3)["a"]),
    Bad("x[float tensor]", lambda T: x(T, 3)[x(T, 1)]),
    Bad("x[::-1]", lambda T: x(T, 3)[::-1]),
    Bad("x[::0]", lambda T: x(T, 3)[::0]),
    Bad("0-d[0]", lambda T: x(T)[0]),
    Bad("loss.data[0]", lambda T: x(T).data[0]),
    Bad("x[0:2] = three values", lambda T: set_at(x(T, 3), slice(0, 2), x(T, 3)), (3, 2)),
    Bad("x[5] = 1", lambda T: set_at(x(T, 3), 5, 1.0), (5, 3)),
    Bad("leaf[0] = 1", lambda T: set_at(x(T, 3, grad=True), 0, 1.0)),
    Bad("gather: out of range", lambda T: T.gather(x(T, 3), 0, ints(T, 3)), (3,)),
    Bad("index_select: out of range", lambda T: T.index_select(x(T, 3), 0, ints(T, 3))),
    Bad("gather: float index", lambda T: T.gather(x(T, 3), 0, x(T, 3))),
    Bad("masked_fill: float mask", lambda T: x(T, 3).masked_fill(x(T, 3), 0.0)),
    Bad("len of 0-d", lambda T: len(x(T))),
    Bad("iterate 0-d", lambda T: list(x(T))),
    Bad("numbers as an iterable", lambda T: [*T.tensor(2.0)]),
]

DTYPES_AND_VALUES = [
    Bad("integers require grad", lambda T: ints(T, 3).requires_grad_()),
    Bad("tensor of integers requires grad", lambda T: T.tensor([1, 2], requires_grad=True)),
    Bad("zeros of integers require grad", lambda T: T.zeros(2, dtype=T.int64, requires_grad=True)),
    Bad("int add_ 0.5", lambda T: ints(T, 3).add_(0.5), ("int64", "float32")),
    Bad("int mul_ float", lambda T: ints(T, 3).mul_(x(T, 3)), ("int64", "float32")),
    Bad("int div_ int", lambda T: ints(T, 3).div_(2), ("int64", "float32")),
    Bad("bool add_ 1", lambda T: (x(T, 3) > 1).add_(1), ("bool", "int64")),
    Bad("int sqrt_", lambda T: ints(T, 3).sqrt_(), ("int64", "float32")),
    Bad("int add alpha 0.5", lambda T: T.add(ints(T, 3), 1, alpha=0.5)),
    Bad("bool - bool", lambda T: (x(T, 3) > 1) - (x(T, 3) > 1)),
    Bad("-bool", lambda T: -(x(T, 3) > 1)),
    Bad("int ** -1", lambda T: ints(T, 3) ** -1),
    Bad("int // 0", lambda T: ints(T, 3) // 0),
    Bad("int % 0", lambda T: ints(T, 3) % 0),
    Bad("mean of int", lambda T: ints(T, 3).mean(), ("int64",)),
    Bad("std of int", lambda T: ints(T, 3).std()),
    Bad("norm of int", lambda T: ints(T, 3).norm()),
    Bad("softmax of int", lambda T: T.softmax(ints(T, 3), 0)),
    Bad("mm of two dtypes", lambda T: T.mm(x(T, 2, 2), ints(T, 2, 2)), ("float32", "int64")),
    Bad("matmul of two dtypes", lambda T: x(T, 2) @ x(T, 2, dtype="float64"), ("float32", "float64")),
    Bad("dot of two dtypes", lambda T: T.dot(x(T, 2), x(T, 2, dtype="float64")), ("float32", "float64")),
    Bad("where: condition of floats", lambda T: T.where(x(T, 3), x(T, 3), x(T, 3)), ("float32",)),
    Bad("rounding_mode", lambda T: T.div(x(T, 3), 2, rounding_mode="nearest"), ("nearest",)),
    Bad("reduction", lambda T: T.nn.functional.mse_loss(x(T, 3), x(T, 3), reduction="average"), ("average",)),
    Bad("add a string", lambda T: x(T, 3) + "a"),
    Bad("add None", lambda T: x(T, 3) + None),
    Bad("add a list", lambda T: T.add(x(T, 3), [1, 2, 3])),
    Bad("exp of a number", lambda T: T.exp(1.0)),
    Bad("sum of a list", lambda T: T.sum([1.0])),
    Bad("from_numpy of a list", lambda T: T.from_numpy([1.0]), ("list",)),
    Bad("tensor of a string", lambda T: T.tensor("a")),
    Bad("tensor of None", lambda T: T.tensor(None)),
    Bad("nan as an integer", lambda T: T.tensor(float("nan"), dtype=T.int64)),
    Bad("full of 2**70", lambda T: T.full((2,), 2**70)),
    Bad("item of three", lambda T: x(T, 3).item(), (3,)),
    Bad("bool of three", lambda T: bool(x(T, 3))),
    Bad("bool of none", lambda T: bool(x(T, 0))),
    Bad("float of three", lambda T: float(x(T, 3))),
    Bad("int of three", lambda T: int(x(T, 3))),
    Bad("int of nan", lambda T: int(T.tensor(float("nan")))),
    Bad("float as an index", lambda T: [1, 2][x(T)]),
    Bad("format of three", lambda T: f"{x(T, 3):.2f}"),
    Bad("no such keyword", lambda T: T.sum(x(T, 3), axes=0)),
    Bad("no such attribute", lambda T: x(T, 3).gradient),
    Bad("no such name", lambda T: T.no_such_function),
    Bad("device cuda", lambda T: x(T, 3).to("cuda")),
    Bad("device nonsense", lambda T: x(T, 3).to("abacus"), ("abacus",)),
]

AUTOGRAD = [
    Bad("numpy of what requires grad", lambda T: x(T, 3, grad=True).numpy()),
    Bad("asarray of what requires grad", lambda T: np.asarray(x(T, 3, grad=True))),
    Bad("numpy of a result", lambda T: (x(T, 3, grad=True) * 2).numpy()),
    Bad("leaf += 1", lambda T: x(T, 3, grad=True).__iadd__(1)),
    Bad("leaf.zero_", lambda T: x(T, 3, grad=True).zero_()),
    Bad("leaf.copy_", lambda T: x(T, 3, grad=True).copy_(x(T, 3))),
    Bad("view of a leaf, in place", lambda T: x(T, 3, grad=True)[0].mul_(2)),
    Bad("expanded, in place", lambda T: x(T, 1).expand(3).add_(1)),
    Bad("second backward", twice),
    Bad("backward of three values", lambda T: (x(T, 3, grad=True) * 2).backward(), (3,)),
    Bad("backward: shape", lambda T: (x(T, 3, grad=True) * 2).backward(x(T, 2)), (3, 2)),
    Bad("backward: nothing requires grad", lambda T: x(T, 3).sum().backward()),
    Bad("backward: integers", lambda T: ints(T).backward()),
    Bad("backward under no_grad", lambda T: detached(T).backward()),
    Bad("grad: unused", lambda T: T.autograd.grad(x(T, grad=True) * 2, x(T, grad=True))),
    Bad("grad: does not require", lambda T: T.autograd.grad(x(T, grad=True) * 2, x(T))),
    Bad("grad: lengths", lambda T: T.autograd.grad([x(T, grad=True) * 2], [x(T, grad=True)], [None, None])),
    Bad("saved, then add_", lambda T: squared(T, lambda y: y.add_(1)), (1, 0)),
    Bad("saved, then y[0] = 1", lambda T: squared(T, lambda y: set_at(y, 0, 1.0))),
    Bad("saved, then zero_ of a view", lambda T: squared(T, lambda y: y[1:].zero_())),
    Bad("saved, then zero_ of data's source", lambda T: squared(T, lambda y: y.detach().zero_())),
    Bad("out= of what requires grad", lambda T: T.add(x(T, 3, grad=True), 1, out=x(T, 3))),
    Bad("out= that requires grad", lambda T: T.add(x(T, 3), 1, out=x(T, 3, grad=True))),
    Bad("out=: dtype", lambda T: T.add(x(T, 3), 1, out=ints(T, 3)), ("float32", "int64")),
    Bad("out=: not a tensor", lambda T: T.add(x(T, 3), 1, out=np.zeros(3))),
    Bad("requires_grad = False of a result", lambda T: setattr(x(T, 3, grad=True) * 2, "requires_grad", False)),
    Bad("retain_grad of what does not require", lambda T: x(T, 3).retain_grad()),
    Bad("grad = another shape", lambda T: setattr(x(T, 3, grad=True), "grad", x(T, 2)), (3, 2)),
    Bad("grad = another dtype", lambda T: setattr(x(T, 3, grad=True), "grad", ints(T, 3))),
    Bad("grad = a number", lambda T: setattr(x(T, 3, grad=True), "grad", 1.0)),
    Bad("deepcopy of a result", lambda T: copy.deepcopy(x(T, 3, grad=True) * 2)),
    Bad("floor_divide has no derivative", lambda T: (x(T, 3, grad=True) // 2).sum().backward()),
]


# A dtype may be called by torch's older name.
SPOKEN = {
    "float32": "(float32|[Ff]loat)",
    "float64": "(float64|[Dd]ouble)",
    "int64": "(int64|[Ll]ong)",
    "bool": "[Bb]ool",
}

BAD = SHAPES + DIMS + INDEXING + DTYPES_AND_VALUES + AUTOGRAD


def raised(T: Any, call: Callable[[Any], Any]) -> Exception | None:
    try:
        call(T)
    except Exception as error:
        return error
    return None


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch warns before some of these errors
@pytest.mark.parametrize("bad", BAD, ids=str)
def test_the_same_error(bad: Bad) -> None:
    theirs, ours = raised(torch, bad.call), raised(ENGINE, bad.call)
    assert theirs is not None, "torch takes this"
    assert type(ours) is type(theirs), f"{ours!r} here, {theirs!r} in torch"
    if ENGINE is not torch:
        for name in bad.names:  # torch's own messages leave some of these out
            word = SPOKEN.get(name, re.escape(str(name)))
            assert re.search(rf"(?<![\d-]){word}(?!\d)", f"{ours}"), f"no {name} in: {ours}"


UNSUPPORTED = ("complex64", "complex128")


@pytest.mark.skipif(ENGINE is torch, reason="torch has these dtypes")
@pytest.mark.parametrize("dtype", UNSUPPORTED)
def test_dtypes_that_are_not_supported(dtype: str) -> None:
    """A deliberate deviation: TypeError that names the dtype."""
    for call in (lambda: ENGINE.from_numpy(np.zeros(2, dtype)), lambda: ENGINE.tensor(np.zeros(2, dtype))):
        with pytest.raises(TypeError, match=dtype):
            call()
    with pytest.raises(TypeError, match="complex"):
        ENGINE.tensor([1j])


@pytest.mark.skipif(ENGINE is torch, reason="torch names less")
def test_what_was_written_in_place_is_named() -> None:
    """The operation that needed the value, the one that wrote it, and both versions."""
    error = raised(ENGINE, lambda T: squared(T, lambda y: y.add_(1)))
    message = f"{error}".lower()
    assert "inplace" in message or "in-place" in message
    for part in ("mul", "add_", "version 1", "version 0"):
        assert part in message, f"no {part} in: {error}"
