"""What a tensor is to Python, to NumPy and to older tutorials: the same line run by either engine."""

import copy
import math
import operator
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from strategies import DTYPES, ENGINE


class Box:
    """What a line of a test can name besides T, and where it can leave something."""

    def set(self, target: Any, index: Any, value: Any) -> Any:
        target[index] = value
        return target

    def put(self, target: Any, name: str, value: Any) -> Any:
        setattr(target, name, value)
        return target

    def twice(self, x: Any) -> Any:
        """A deep copy of a list that holds one tensor twice holds one copy twice."""
        a, b = copy.deepcopy([x, x])
        return a is b, a is x, a


def told(T: Any, line: str) -> tuple[Any, ...]:
    """What a line gives, in words that the two engines share; the type of an error."""
    names = {"T": T, "np": np, "copy": copy, "pickle": pickle, "math": math, "operator": operator, "box": Box()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return in_words(T, eval(line, names))
        except Exception as error:
            return ("raised", type(error).__name__)


def in_words(T: Any, found: Any) -> tuple[Any, ...]:
    if T.is_tensor(found):
        return (
            "tensor",
            str(found.dtype),
            tuple(found.shape),
            repr(found.tolist()),
            found.requires_grad,
            found.is_leaf,
        )
    if isinstance(found, np.ndarray):
        return ("array", str(found.dtype), found.shape, repr(found.tolist()))
    if isinstance(found, (tuple, list)):
        return (type(found).__name__, *(in_words(T, entry) for entry in found))
    return (type(found).__name__, str(found))


PYTHON = """
len(T.ones(2, 3))
len(T.ones(0, 3))
[*T.tensor([1, 2])]
[*T.ones(2, 1, requires_grad=True)]
list(reversed(T.tensor([[1, 2], [3, 4]])))
dict(enumerate(T.tensor([1.5]).tolist()))
1 in T.tensor([1, 2])
3 in T.tensor([1, 2])
T.tensor(2) in T.tensor([1, 2])
"a" in T.tensor([1, 2])
None in T.tensor([1, 2])
T.tensor([1, 2, 3]) in T.tensor([1, 2])
bool(T.tensor([[0.5]]))
bool(T.tensor([]))
bool(T.tensor([0, 0]))
int(T.tensor(-2.7))
int(T.tensor(True))
int(T.tensor([1, 2]))
int(T.tensor(math.inf))
float(T.tensor([3]))
float(T.tensor([]))
complex(T.tensor(1.5))
operator.index(T.tensor([[2]]))
operator.index(T.tensor(True))
operator.index(T.tensor(2.0))
[10, 20, 30][T.tensor(1)]
[10, 20, 30][: T.tensor(2)]
[*range(T.tensor(3))]
"ab" * T.tensor(2)
math.sqrt(T.tensor(4.0))
math.floor(T.tensor(2.5))
round(T.tensor(2.5))
divmod(T.tensor(7), 2)
abs(T.tensor(-1.5))
+T.tensor([1.0])
sum(T.tensor([1.0, 2.0]))
max(T.tensor([1.0, 3.0, 2.0]))
sorted(T.tensor([3, 1, 2]))
f"{T.tensor(1.23456):.2f}"
f"{T.tensor(3):5d}"
f"{T.tensor([1.5])}"
f"{T.tensor([1.5]):.2f}"
"%.3f" % T.tensor(1.5)
"%d" % T.tensor([3])
str(T.tensor([1.5, 2.0]))
T.ones(2) == None
T.ones(2) != "a"
T.ones(2) == [1, 1]
T.ones(2) < None
T.ones(2) + "a"
len({T.ones(2), T.ones(2)})
(lambda x: x in {x})(T.ones(2))
(lambda x: {x: 1}[x])(T.ones(2))
(lambda x: hash(x) == hash(x.detach()))(T.ones(2))
box.put(T.ones(2), "label", "w").label
T.ones(2).no_such
"""

COPIES = """
copy.copy(T.tensor([1.0, 2.0], requires_grad=True))
(lambda x: copy.copy(x).data_ptr() == x.data_ptr())(T.ones(2))
copy.deepcopy(T.tensor([1.0, 2.0], requires_grad=True))
copy.deepcopy(T.ones(2, requires_grad=True) * 2)
(lambda x: copy.deepcopy(x).data_ptr() == x.data_ptr())(T.ones(2))
copy.deepcopy(box.put(T.ones(2, requires_grad=True), "grad", T.ones(2))).grad
copy.deepcopy(T.ones(2, 3).t()).stride()
box.twice(T.ones(2, requires_grad=True))
pickle.loads(pickle.dumps(T.tensor([[1.5], [2.5]], requires_grad=True)))
pickle.loads(pickle.dumps(T.tensor([True, False])))
pickle.loads(pickle.dumps(T.ones(3, 4)[1]))
pickle.loads(pickle.dumps(T.ones(2).shape))
pickle.loads(pickle.dumps(T.float64)) is T.float64
pickle.loads(pickle.dumps(T.device("cpu")))
"""

CONVERSIONS = """
T.tensor([1.7, -1.7]).int()
T.tensor([1.7, 0.0]).bool()
T.tensor([300.0]).to(T.int16)
T.tensor([2, 3]).half()
T.ones(2, requires_grad=True).double()
T.ones(2, requires_grad=True).long()
T.ones(2).to(T.float64, copy=True)
(lambda x: x.to(T.float32) is x)(T.ones(2))
(lambda x: x.to("cpu") is x)(T.ones(2))
(lambda x: x.to(x) is x)(T.ones(2))
(lambda x: x.cpu() is x)(T.ones(2))
(lambda x: x.to(x.dtype, copy=True) is x)(T.ones(2))
T.ones(2).to(T.device("cpu"), T.float64)
T.ones(2).to(device="cpu", dtype=T.int64)
T.ones(2).to(int)
T.ones(2).to(float)
T.ones(2).to(bool)
T.ones(2).to(T.tensor(1))
T.ones(2).to("cuda")
T.ones(2).to("cuda:0")
T.ones(2).to(T.device("cuda"))
T.ones(2).to("abacus")
T.ones(2).to(dtype="float32")
T.ones(2).cuda()
T.ones(2, device="cuda")
T.zeros(2, dtype="float32")
T.zeros(2, dtype=float)
T.cuda.is_available()
str(T.device("cuda", 1))
T.device("cpu") == "cpu"
T.ones(2).device == T.device("cpu")
T.ones(2).type()
T.tensor([1]).type()
T.tensor([True]).type()
T.ones(2).type(T.float64)
T.ones(2).type("torch.LongTensor")
T.ones(2).type(T.LongTensor)
T.ones(2).type("LongTensor")
T.ones(2).type("torch.NoTensor")
T.ones(2).type_as(T.tensor(1))
T.tensor(2.5).item()
T.tensor([[2]]).item()
T.tensor([True]).item()
T.tensor([1, 2]).item()
T.tensor([]).item()
T.tensor(1.5).tolist()
T.tensor([[1, 2]]).tolist()
"""

LEGACY = """
T.Tensor([1, 2.5])
T.Tensor([[1, 2], [3, 4]])
T.Tensor(2, 3).shape
T.Tensor(2).dtype
T.Tensor()
T.Tensor(T.Size([2, 1])).shape
T.Tensor((2, 3))
T.Tensor(range(3))
T.Tensor(np.array([1, 2]))
T.Tensor(np.array([1.5], np.float32))
T.Tensor(T.tensor([1, 2]))
T.Tensor(T.ones(2, requires_grad=True))
T.Tensor([[1, 2], [3]])
T.Tensor(2.5)
T.Tensor(True)
T.Tensor(None)
T.Tensor("a")
T.FloatTensor([1, 2])
T.FloatTensor(2, 3).shape
T.DoubleTensor([1])
T.HalfTensor([1])
T.LongTensor([1.5, 2])
T.LongTensor(2, 1).dtype
T.LongTensor(np.array([1.5]))
T.LongTensor(T.ones(2))
T.IntTensor([1])
T.ShortTensor([1])
T.CharTensor([-1])
T.ByteTensor([-1, 255])
T.ByteTensor([300])
T.BoolTensor([1, 0, 2])
isinstance(T.ones(2), T.Tensor)
isinstance(T.ones(2), T.FloatTensor)
isinstance(T.ones(2), T.DoubleTensor)
isinstance(T.ones(2).long(), T.LongTensor)
isinstance(1.0, T.Tensor)
isinstance(np.ones(2), T.FloatTensor)
T.is_tensor(T.ones(2)), T.is_tensor([1])
"""

DATA_AND_GRAD = """
T.ones(2, requires_grad=True).data
(T.ones(2, requires_grad=True) * 2).data
(lambda x: x.data.add_(1) is not x and x)(T.ones(2, requires_grad=True))
(lambda x: (x.data.add_(1), x._version))(T.ones(2, requires_grad=True))
box.put(T.ones(2, requires_grad=True), "data", T.zeros(3))
box.put(T.ones(2), "data", T.zeros(3, dtype=T.float64))
box.put(T.ones(2, requires_grad=True), "data", T.tensor([1]))
box.put(T.ones(2), "data", [1.0])
box.put(T.ones(2, requires_grad=True), "grad", T.zeros(2)).grad
box.put(T.ones(2, requires_grad=True), "grad", None).grad
box.put(T.ones(2, requires_grad=True), "grad", T.zeros(3))
box.put(T.ones(2, requires_grad=True), "grad", T.zeros(2, dtype=T.float64))
box.put(T.ones(2, requires_grad=True), "grad", 1.0)
(lambda x: box.put(x, "grad", x))(T.ones(2))
(lambda x: (delattr(x, "grad"), x.grad))(box.put(T.ones(2), "grad", T.ones(2)))
box.put(T.ones(2), "requires_grad", True)
box.put(T.ones(2), "requires_grad", 1)
box.put(T.tensor([1]), "requires_grad", True)
box.put(T.ones(2), "shape", (1, 2))
box.put(T.ones(2), "dtype", T.float64)
T.ones(2).requires_grad_().requires_grad_(False)
(T.ones(2, requires_grad=True) * 2).detach()
(T.ones(2, requires_grad=True) * 2).detach_()
"""

NUMPY = """
T.ones(2).numpy()
T.ones(2, requires_grad=True).numpy()
T.ones(2, requires_grad=True).detach().numpy()
T.ones(2, requires_grad=True).numpy(force=True)
(lambda x: (x.numpy().__iadd__(1), x))(T.zeros(2))
(lambda a: (T.from_numpy(a).add_(1), a))(np.zeros(2))
(lambda a: (T.as_tensor(a).add_(1), a))(np.zeros(2))
(lambda a: (T.tensor(a).add_(1), a))(np.zeros(2))
np.asarray(T.ones(2))
np.asarray(T.ones(2), np.float64)
np.asarray(T.ones(2, requires_grad=True))
np.array([T.tensor(1.0), T.tensor(2.0)])
np.sin(T.zeros(2))
np.sqrt(T.tensor(4.0))
np.exp(T.ones(2, requires_grad=True))
np.add(T.ones(2), 1)
np.add(np.ones(2), T.ones(2))
np.matmul(T.ones(2, 2), T.ones(2, 2))
np.concatenate([T.ones(2), T.ones(1)])
np.stack([T.ones(2), T.ones(2)])
np.where(T.tensor([True, False]), 1, 2)
np.allclose(T.ones(2), T.ones(2))
np.linalg.norm(T.ones(4))
np.float64(2) * T.ones(2)
np.float32(2) - T.ones(2, dtype=T.float64)
np.float64(2) * T.ones(2, requires_grad=True)
np.float64(2) ** T.ones(2)
np.int64(3) // T.tensor([2])
np.float64(0.5) < T.ones(2)
np.float64(0.5) < T.ones(2, requires_grad=True)
np.int64(1) >= T.ones(2, requires_grad=True)
np.array([1.0, 5.0]) == T.ones(2, requires_grad=True)
T.ones(2, requires_grad=True) == np.array([1.0, 5.0])
np.int64(3) & T.tensor([1, 2], dtype=T.uint8)
np.int64(3) ^ T.ones(2)
T.add(T.ones(2), T.ones(2), alpha=np.float32(0.5))
T.no_grad()(lambda: T.ones(2, requires_grad=True).numpy())()
T.no_grad()(lambda: np.asarray(T.ones(2, requires_grad=True)))()
T.inference_mode()(lambda: np.concatenate([T.ones(2, requires_grad=True), T.zeros(1)]))()
T.set_grad_enabled(False)(lambda: (T.ones(2, requires_grad=True) * 2).numpy())()
T.ones(2) * np.float64(2)
T.ones(2) + np.float32(1)
T.tensor([1]) * np.int64(2)
np.ones(2) == T.ones(2)
T.ones(3)[np.int64(1)]
T.ones(3)[np.array([0, 2])]
T.ones(3)[np.array([True, False, True])]
T.zeros(np.int64(2))
box.set(T.zeros(2), 0, np.float64(1))
box.set(T.zeros(2), 0, np.float32(1))
box.set(T.zeros(2), 0, np.int64(3))
box.set(T.zeros(2, dtype=T.uint8), T.tensor([0]), np.int64(300))
box.set(T.zeros(2), 0, np.uint64(2**63))
box.set(T.zeros(2), slice(None), np.ones(2))
"""

ASSIGNMENT = """
box.set(T.zeros(2, dtype=T.uint8), 0, -1)
box.set(T.zeros(2, dtype=T.uint8), 0, -1.5)
box.set(T.zeros(2, dtype=T.uint8), 0, 256)
box.set(T.zeros(2, dtype=T.uint8), 0, T.tensor(-1))
box.set(T.zeros(2, dtype=T.int64), 0, 2.7)
box.set(T.zeros(2, dtype=T.int64), T.tensor([0]), math.nan)
box.set(T.zeros(2, dtype=T.int64), T.tensor([0]), T.tensor([1.5]))
box.set(T.zeros(2, dtype=T.int64), T.tensor([True, False]), T.tensor([1.5]))
box.set(T.zeros(2, dtype=T.int64), slice(None), T.tensor([1.5, 2.5]))
box.set(T.zeros(2, dtype=T.bool), 0, -1.5)
box.set(T.zeros(2), 0, 1e40)
box.set(T.zeros(2), 0, [1.0])
box.set(T.zeros(2), 0, None)
box.set(T.zeros(2), [0, 1], 5)
box.set(T.zeros(2), True, 5)
box.set(T.zeros(2), False, 5)
box.set(T.tensor(1.0), (), 5)
box.set(T.tensor(1.0), 0, 5)
box.set(T.zeros(2, 3), 0, T.ones(1, 1, 3))
box.set(T.zeros(2, 3), (T.tensor([0, 1]), 1), T.tensor([5.0, 6.0]))
box.set(T.zeros(2, 3, 2), (0, slice(None), [0, 1]), T.arange(6.0).view(3, 2))
box.set(T.zeros(2, 3), (..., T.tensor([True, False, True])), 5)
box.set(T.zeros(3), T.tensor([True, False]), 5)
T.tensor(3.0).index_fill_(0, T.tensor([0]), 1.0)
T.tensor(3.0).index_fill(0, T.tensor([], dtype=T.int64), 1.0)
T.tensor(3.0, requires_grad=True).mul(2).index_fill_(0, T.tensor(0), 1.0)
T.zeros(2, dtype=T.uint8).index_fill(0, T.tensor([0]), T.tensor(300))
(lambda x: (x.t_(), x.stride()))(T.ones(3).expand(2, 3))
(lambda x: (x.squeeze_(), x.shape))((T.ones(3, requires_grad=True) * 2).expand(1, 2, 3))
(lambda x: (x.transpose_(0, 1), x.shape))((T.ones(3, requires_grad=True) * 2).expand(2, 3))
(lambda x: x.add_(1))((T.ones(3, requires_grad=True) * 2).expand(2, 3))
T.nn.functional.linear(T.ones(2, 3), T.ones(4, 2, 3))
T.nn.functional.linear(T.ones(2, 3), T.ones(3), T.ones(1))
T.nn.functional.linear(T.ones(2, 3), T.tensor(1.0))
T.nn.functional.linear(T.ones(2, 3), T.ones(3))
T.atan2(T.tensor(300), T.tensor([254], dtype=T.uint8))
T.lerp(T.tensor(1).half(), T.tensor(2).half(), T.tensor(0.5))
T.clamp(T.tensor([True]), T.tensor([True]), T.tensor([True]))
T.dot(T.tensor([True]), T.tensor([True]))
T.ones(2, 3, 4)[0, :, [0, 1]].shape
T.ones(2, 3, 4)[:, 0, T.tensor([0, 1])].shape
T.ones(2, 3, 4)[T.tensor([0, 1]), :, T.tensor([0, 1])].shape
T.ones(3, 3)[[0, slice(None)]].shape
T.ones(3)[T.tensor([1, 0, 1], dtype=T.uint8)]
T.ones(3)[T.tensor([1], dtype=T.int8)]
T.ones(2, requires_grad=True)[0].grad_fn.name()
T.ones(2, requires_grad=True)[:1].grad_fn.name()
T.ones(2, requires_grad=True)[None].grad_fn.name()
T.ones(2, requires_grad=True)[[0]].grad_fn.name()
"""

LINES = (PYTHON + COPIES + CONVERSIONS + LEGACY + DATA_AND_GRAD + NUMPY + ASSIGNMENT).split("\n")


@pytest.mark.parametrize("line", [line for line in LINES if line])
def test_the_same_line(line: str) -> None:
    assert told(ENGINE, line) == told(torch, line)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("other", DTYPES)
def test_dtype_conversion(dtype: str, other: str) -> None:
    values = np.array([0, 1, 2, 100]).astype(dtype)
    ours, theirs = (
        ENGINE.from_numpy(values).to(getattr(ENGINE, other)),
        torch.from_numpy(values).to(getattr(torch, other)),
    )
    assert in_words(ENGINE, ours) == in_words(torch, theirs)
    assert ours.type() == theirs.type()
    assert getattr(ENGINE, other).itemsize == ours.element_size() == theirs.element_size()


def test_a_number_of_what_requires_grad_warns() -> None:
    for T in (ENGINE, torch):
        with pytest.warns(UserWarning, match="detach"):
            float(T.ones(1, requires_grad=True))


@pytest.mark.parametrize("name", ["squeeze_", "t_", "unsqueeze_"])
def test_the_shape_changed_in_place(name: str) -> None:
    """The tensor and its views stay one memory, and gradients go through."""
    results = []
    for T in (ENGINE, torch):
        leaf = T.arange(3.0).view(1, 3).requires_grad_()
        y = leaf * 2
        view = y[0]
        assert getattr(y, name)(*[0][: name == "unsqueeze_"]) is y
        y.mul_(3)
        (y * y).sum().backward()
        results.append([in_words(T, x) for x in (y, view, leaf.grad)] + [y.stride(), y._version])
    assert results[0] == results[1]
