"""Random programs, step by step under both engines: after each step every value, version and gradient must agree.

Tensors are made, computed with, viewed, written to in place, detached, and gone back from, inside and outside of
no_grad. A step that raises under torch must raise the same under minigrad, and change nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from hypothesis import Phase, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import minigrad

ENGINES = (minigrad, torch)
VALUES = st.sampled_from((-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0))
SHAPES = st.sampled_from(((), (1,), (2,), (3,), (2, 3), (3, 3), (1, 3), (2, 1)))

Step = Callable[[Any, Any], Any]  # of the engine and a tensor
UNARY: dict[str, Step] = {
    "exp": lambda T, x: (x * 0.1).exp(),
    "tanh": lambda T, x: x.tanh(),
    "relu": lambda T, x: x.relu(),
    "scale": lambda T, x: x * 1.5,
    "minus": lambda T, x: 1 - x,
    "square": lambda T, x: x**2,
    "sum": lambda T, x: x.sum(),
    "mean": lambda T, x: x.mean(),
    "sum over 0": lambda T, x: x.sum(0, keepdim=True),
    "max": lambda T, x: x.max(),
    "clone": lambda T, x: x.clone(),
    "where": lambda T, x: T.where(x > 0, x, x * 2),
    "masked": lambda T, x: x[x > 0],
    "picked": lambda T, x: x[[0, 0]],
    "stack": lambda T, x: T.stack([x, x]),
    "cat": lambda T, x: T.cat([x, x * 2]),
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "matmul": lambda x, y: x @ y,
}
VIEWS: dict[str, Step] = {
    "t": lambda T, x: x.t(),
    "flat": lambda T, x: x.view(-1),
    "reshape": lambda T, x: x.reshape(-1, 1),
    "first": lambda T, x: x[0],
    "last": lambda T, x: x[..., -1],
    "tail": lambda T, x: x[1:],
    "column": lambda T, x: x[:, 1],
    "every other": lambda T, x: x[::2],
    "expand": lambda T, x: x.expand(2, *x.shape),
    "unsqueeze": lambda T, x: x.unsqueeze(0),
    "squeeze": lambda T, x: x.squeeze(),
    "diagonal": lambda T, x: x.diagonal(),
    "detach": lambda T, x: x.detach(),
}
WRITES: dict[str, Step] = {
    "add_": lambda T, x: x.add_(1),
    "mul_": lambda T, x: x.mul_(0.5),
    "relu_": lambda T, x: x.relu_(),
    "clamp_": lambda T, x: x.clamp_(-1, 1),
    "zero_": lambda T, x: x.zero_(),
    "fill_": lambda T, x: x.fill_(2.0),
    "tanh_": lambda T, x: x.tanh_(),
    "first": lambda T, x: x.__setitem__(0, 1.5),
    "column": lambda T, x: x.__setitem__((slice(None), 1), -1.0),
    "mask": lambda T, x: x.__setitem__(x > 0, 0.25),
    "masked_fill_": lambda T, x: x.masked_fill_(x > 1, 0.75),
    "t then add_": lambda T, x: x.t().add_(1),
    "row times": lambda T, x: x[0].mul_(2),
    "iadd": lambda T, x: x.__iadd__(1),
}
WRITES_FROM: dict[str, Callable[[Any, Any], Any]] = {
    "add_": lambda x, y: x.add_(y),
    "mul_": lambda x, y: x.mul_(y),
    "sub_": lambda x, y: x.sub_(y),
    "copy_": lambda x, y: x.copy_(y),
    "first": lambda x, y: x.__setitem__(0, y),
    "column": lambda x, y: x.__setitem__((slice(None), 1), y),
}


# Where torch has lost what it needs, and minigrad has kept it: the index of x[index], which torch frees too; a result
# that detach_() was called on; a leaf that was written to after it was used, and has a history since.
KEPT = ("a second time", "detached in-place", "moved into the graph interior")


def plain(x: Any) -> Any:
    return None if x is None else x.detach().numpy()


def same(mine: Any, theirs: Any, what: str) -> None:
    assert (mine is None) == (theirs is None), what
    if theirs is not None:
        assert mine.shape == theirs.shape, what
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-12, err_msg=what)


class Programs(RuleBasedStateMachine):
    """Pairs of tensors, minigrad's and torch's, that went through the same steps."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[Any, Any]] = []
        self.ahead: list[int] = []  # by how much torch's version is: its product of a vector and a matrix begins with 1
        self.log: list[str] = []

    def teardown(self) -> None:
        for T in ENGINES:
            T.set_grad_enabled(True)

    def both(self, name: str, step: Callable[[Any, Any], Any], *pairs: tuple[Any, Any]) -> tuple[Any, Any] | None:
        """The step under both engines; None where it raises under both."""
        name += "".join(f" {i}" for pair in pairs for i, known in enumerate(self.pairs) if known is pair)
        found: list[Any] = []
        for i, T in enumerate(ENGINES):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch warns of .grad of non-leaves, and of reshaped t()
                try:
                    found.append(step(T, *(pair[i] for pair in pairs)))
                except Exception as error:
                    found.append(error)
        self.log.append(name)
        errors = [type(x).__name__ if isinstance(x, Exception) else None for x in found]
        if errors[0] is None and any(text in str(found[1]) for text in KEPT):
            return None
        assert errors[0] == errors[1], f"{self.log}: {found}".replace("\n", " ")
        return None if errors[0] else (found[0], found[1])

    def keep(self, pair: tuple[Any, Any] | None) -> None:
        if pair is not None and pair[1].numel() <= 36:
            self.pairs.append(pair)
            self.ahead.append(pair[1]._version - pair[0]._version)

    def pick(self, data: st.DataObject) -> tuple[Any, Any]:
        """One of the tensors, the younger the likelier."""
        return self.pairs[-1 - data.draw(st.integers(0, len(self.pairs) - 1))]

    def shared(self, pair: tuple[Any, Any]) -> bool:
        """Whether another tensor shows the same memory, or what this one is a view of."""
        others = [x for _, x in self.pairs if x is not pair[1]]
        return (
            pair[0]._is_view()
            or pair[1]._is_view()
            or any(np.may_share_memory(plain(x), plain(pair[1])) for x in others)
        )

    @initialize(values=st.lists(VALUES, min_size=6, max_size=6))
    def begin(self, values: list[float]) -> None:
        self.leaf(values, (2, 3), True)

    @rule(values=st.lists(VALUES, min_size=9, max_size=9), shape=SHAPES, requires_grad=st.booleans())
    def leaf(self, values: list[float], shape: tuple[int, ...], requires_grad: bool) -> None:
        array = np.resize(np.array(values), shape)
        self.keep(self.both("leaf", lambda T: T.tensor(array.tolist(), dtype=T.float64).requires_grad_(requires_grad)))

    @rule(data=st.data(), name=st.sampled_from([*UNARY]))
    def compute(self, data: st.DataObject, name: str) -> None:
        self.keep(self.both(name, UNARY[name], self.pick(data)))

    @rule(data=st.data(), name=st.sampled_from([*BINARY]))
    def combine(self, data: st.DataObject, name: str) -> None:
        self.keep(self.both(name, lambda T, x, y: BINARY[name](x, y), self.pick(data), self.pick(data)))

    @rule(data=st.data(), name=st.sampled_from([*VIEWS]))
    def look(self, data: st.DataObject, name: str) -> None:
        pair = self.pick(data)
        assume(torch.is_grad_enabled() or not pair[1].requires_grad)  # torch raises at each look at such a view
        self.keep(self.both(f"view {name}", VIEWS[name], pair))

    @rule(data=st.data(), name=st.sampled_from([*WRITES]))
    def write(self, data: st.DataObject, name: str) -> None:
        pair = self.pick(data)
        assume(0 not in pair[1].stride())  # torch writes to a row of an expanded tensor: DEVIATIONS.md
        self.both(f"write {name}", WRITES[name], pair)

    @rule(data=st.data(), name=st.sampled_from([*WRITES_FROM]))
    def write_from(self, data: st.DataObject, name: str) -> None:
        x, y = self.pick(data), self.pick(data)
        assume(0 not in x[1].stride())  # as above
        shared = np.may_share_memory(plain(x[1]), plain(y[1])) and x is not y
        assume(not shared)  # torch refuses some overlaps: DEVIATIONS.md
        self.both(f"write {name} from", lambda T, x, y: WRITES_FROM[name](x, y), x, y)

    @rule(data=st.data())
    def detach_in_place(self, data: st.DataObject) -> None:
        pair = self.pick(data)
        assume(not pair[1].retains_grad)  # an internal error of torch, later
        assume(not self.shared(pair))  # views can't be detached; what torch takes for one differs in corners
        self.both("detach_", lambda T, x: x.detach_(), pair)

    @rule(data=st.data(), flag=st.booleans())
    def require(self, data: st.DataObject, flag: bool) -> None:
        pair = self.pick(data)
        assume(not self.shared(pair))  # in torch the history of its views changes with it
        self.both(f"requires_grad_({flag})", lambda T, x: x.requires_grad_(flag), pair)

    @rule(data=st.data())
    def retain(self, data: st.DataObject) -> None:
        self.both("retain_grad", lambda T, x: x.retain_grad(), self.pick(data))

    @rule(flag=st.booleans())
    def mode(self, flag: bool) -> None:
        self.both(f"mode {flag}", lambda T: T.set_grad_enabled(flag) and None)

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        self.both("grad = None", lambda T, x: setattr(x, "grad", None), self.pick(data))

    @rule(data=st.data(), retain=st.booleans())
    def backward(self, data: st.DataObject, retain: bool) -> None:
        pair = self.pick(data)
        done = self.both("backward", lambda T, x: x.backward(T.ones_like(x), retain_graph=retain) or True, pair)
        if done is None:  # half a pass may have been done under torch
            self.pairs.clear()
            self.ahead.clear()
            self.begin([1.0, 2.0, 3.0, -1.0, 0.0, 0.5])

    @rule(data=st.data(), create_graph=st.booleans())
    def grad(self, data: st.DataObject, create_graph: bool) -> None:
        def gradient(T: Any, x: Any, y: Any) -> Any:
            return T.autograd.grad(x, y, T.ones_like(x), retain_graph=True, create_graph=create_graph)[0]

        pair = self.both("grad", gradient, self.pick(data), self.pick(data))
        self.keep(pair)
        if pair is None:  # half a pass may have been done under torch
            for x in (x for known in self.pairs for x in known if x.retains_grad):
                x.grad = None

    @invariant()
    def all_agree(self) -> None:
        for i, (mine, theirs) in enumerate(self.pairs):
            what = f"tensor {i} after {self.log}"
            same(plain(mine), plain(theirs), f"value of {what}")
            for name in ("requires_grad", "is_leaf"):
                seen = [getattr(x, name) for x in (mine, theirs)]
                assert seen[0] == seen[1], f"{name} of {what}: {seen}"
            assert theirs._version - mine._version == self.ahead[i], f"version of {what}"
            if theirs.is_leaf or theirs.retains_grad:
                same(plain(mine.grad), plain(theirs.grad), f"gradient of {what}")


TestPrograms = Programs.TestCase
TestPrograms.settings = settings(stateful_step_count=30, phases=[Phase.generate])  # to shrink one takes minutes
