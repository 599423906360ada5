"""Grad modes against torch: contexts, decorators, generators, threads."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.utils.checkpoint

import minigrad

ENGINES = pytest.mark.parametrize("T", [minigrad, torch], ids=["minigrad", "torch"])


def leaf(T: Any, *values: float) -> Any:
    return T.tensor(values, dtype=T.float64, requires_grad=True)


@ENGINES
def test_modes(T: Any) -> None:
    x = leaf(T, 1.0)
    assert T.is_grad_enabled()
    with T.no_grad():
        assert not (x * 2).requires_grad
        with T.enable_grad():
            assert (x * 2).requires_grad
        with T.set_grad_enabled(True):
            assert T.is_grad_enabled()
        assert not T.is_grad_enabled()
    assert T.is_grad_enabled()
    with pytest.raises(KeyError), T.no_grad():
        raise KeyError
    assert T.is_grad_enabled()

    @T.no_grad()
    def without() -> bool:
        return T.is_grad_enabled()

    @T.no_grad
    def bare() -> bool:
        return T.is_grad_enabled()

    @T.no_grad()
    def items() -> Any:
        yield T.is_grad_enabled()
        yield T.is_grad_enabled()

    assert not without()
    assert not bare()
    for found in items():
        assert not found
        assert T.is_grad_enabled()
    T.set_grad_enabled(False)
    assert not T.is_grad_enabled()
    T.set_grad_enabled(True)
    assert T.is_grad_enabled()


@ENGINES
def test_generators_are_sent_to_and_closed(T: Any) -> None:
    closed = []

    @T.no_grad()
    def echo() -> Any:
        received = None
        try:
            while True:
                try:
                    received = yield received, T.is_grad_enabled()
                except ValueError:
                    received = "caught"
        finally:
            closed.append(T.is_grad_enabled())

    generator = echo()
    next(generator)
    assert generator.send(3) == (3, False)
    assert generator.throw(ValueError()) == ("caught", False)
    generator.close()
    assert closed == [False]
    assert T.is_grad_enabled()


@ENGINES
def test_modes_are_per_thread(T: Any) -> None:
    found = []
    with T.no_grad():
        thread = threading.Thread(target=lambda: found.append(T.is_grad_enabled()))
        thread.start()
        thread.join()
    assert found == [True]


def modes(T: Any) -> tuple[bool, bool]:
    return T.is_grad_enabled(), T.is_inference_mode_enabled()


@ENGINES
def test_a_setting_restores_what_its_making_found(T: Any) -> None:
    setting = T.set_grad_enabled(False)
    T.set_grad_enabled(True)
    for _ in range(2):
        with setting:
            assert not T.is_grad_enabled()
        assert T.is_grad_enabled()
    assert repr(setting) == "torch.autograd.grad_mode.set_grad_enabled(mode=False)"
    for wrong in (1, "True", None):
        with pytest.raises(TypeError, match="must be bool"):
            T.set_grad_enabled(wrong)
    assert T.is_grad_enabled()


@ENGINES
@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
def test_decorated_classes_become_functions(T: Any, mode: str) -> None:
    class Noting:
        def __init__(self) -> None:
            self.found = modes(T)

    with pytest.warns(FutureWarning, match="Decorating classes is deprecated"):
        decorated: Any = getattr(T, mode)()(Noting)
    assert not isinstance(decorated, type)
    assert decorated().found == (False, mode == "inference_mode")
    assert isinstance(decorated(), Noting)


@ENGINES
def test_coroutines_run_in_the_mode_of_those_who_await_them(T: Any) -> None:
    @T.no_grad()
    async def found() -> tuple[bool, bool]:
        return modes(T)

    assert asyncio.run(found()) == (True, False)


@ENGINES
def test_inference_mode(T: Any) -> None:
    assert modes(T) == (True, False)
    with T.inference_mode():
        assert modes(T) == (False, True)
        with T.enable_grad():
            assert not (leaf(T, 1.0) * 2).requires_grad
        with T.inference_mode(False):
            assert modes(T) == (True, False)
            assert (leaf(T, 1.0) * 2).requires_grad
        with T.no_grad(), T.inference_mode():
            assert modes(T) == (False, True)
        assert modes(T) == (False, True)
    with T.no_grad():
        with T.inference_mode(False):
            assert modes(T) == (True, False)
        assert modes(T) == (False, False)
    with pytest.raises(KeyError), T.inference_mode():
        raise KeyError
    assert modes(T) == (True, False)


@ENGINES
def test_inference_mode_decorates(T: Any) -> None:
    @T.inference_mode
    def bare() -> tuple[bool, bool]:
        return modes(T)

    @T.inference_mode(mode=False)
    def ordinary() -> tuple[bool, bool]:
        return modes(T)

    @T.inference_mode()
    def items() -> Any:
        received = yield modes(T)
        yield received, modes(T)

    assert bare() == (False, True)
    generator = items()
    assert next(generator) == (False, True)
    assert modes(T) == (True, False)
    assert generator.send(3) == (3, (False, True))
    with T.inference_mode():
        assert ordinary() == (True, False)


@ENGINES
def test_inference_mode_is_per_thread(T: Any) -> None:
    found = []
    with T.inference_mode():
        thread = threading.Thread(target=lambda: found.append((modes(T), T.ones(1).is_inference())))
        thread.start()
        thread.join()
    assert found == [((True, False), False)]


def made_inside(T: Any) -> list[Any]:
    n = T.ones(2, dtype=T.float64)
    with T.inference_mode():
        return [
            T.ones(2), T.ones(2)[:1], n * 1, n.clone(), n.to(T.float32), n.max(0)[0], *(n * 1).unbind(0), T.rand(1),
            n, n[:1], n.view(2), n.detach(), n.data, *n.unbind(0), leaf(T, 1.0), T.nn.Parameter(T.ones(1)),
            T.nn.Linear(1, 1).weight, n.add_(1), T.ones(2).add_(1), leaf(T, 1.0) * 2, T.tensor([1]),
            *T.ones(1, 0).unbind(0),
        ]  # fmt: skip


def made_outside(T: Any) -> list[Any]:
    with T.inference_mode():
        x = T.ones(2)
    return [
        x.detach(), x.data, x.to(T.float32), x[:1], x.view(2), x.reshape(2, 1), x.t(), x.contiguous(), x.detach_(),
        x.clone(), x * 2, x.to(T.float64), T.from_numpy(x.numpy()), copy.deepcopy(x), T.cat([x, x]),
    ]  # fmt: skip


@pytest.mark.parametrize("make", [made_inside, made_outside])
def test_which_tensors_are_inference_tensors(make: Callable[[Any], list[Any]]) -> None:
    def what(x: Any) -> tuple[bool, ...]:
        return x.is_inference(), x._is_view(), x.requires_grad, x.is_leaf

    assert [what(x) for x in make(minigrad)] == [what(x) for x in make(torch)]


def product(T: Any) -> Any:
    """A Function that saves both of its inputs."""

    class Product(T.autograd.Function):  # type: ignore[misc, name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            ctx.save_for_backward(x, y)
            return x * y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            x, y = ctx.saved_tensors
            return g * y, g * x

    return Product.apply


def written_inside(T: Any, x: Any) -> None:
    out = x.exp()
    with T.inference_mode():
        out.add_(1)
    out.sum().backward()


def view_made_inside(T: Any, y: Any) -> Any:
    with T.inference_mode():
        return y[:1]


def backward_inside(T: Any, x: Any) -> Any:
    out = (x * x).sum()
    with T.inference_mode():
        out.backward()
    return x.grad


# What is done with i, an inference tensor, n, an ordinary one, and x, a leaf that requires gradients.
USES: dict[str, Callable[..., Any]] = {
    "version": lambda T, i, n, x: i._version,
    "saved": lambda T, i, n, x: x * i,
    "saved by a layer": lambda T, i, n, x: T.nn.Linear(2, 1).double()(i),
    "saved by a Function": lambda T, i, n, x: product(T)(x, i),
    "not saved": lambda T, i, n, x: (x + i).sum().backward(),
    "cloned": lambda T, i, n, x: x * i.clone(),
    "saved, unrecorded": lambda T, i, n, x: T.no_grad()(lambda: x * i)(),
    "add_": lambda T, i, n, x: i.add_(1),
    "add_ under no_grad": lambda T, i, n, x: T.no_grad()(lambda: i.add_(1))(),
    "add_ in inference mode": lambda T, i, n, x: T.inference_mode()(lambda: i.add_(1))(),
    "add_ of a view": lambda T, i, n, x: i[:1].add_(1),
    "copy_": lambda T, i, n, x: i.copy_(n),
    "fill_": lambda T, i, n, x: i.fill_(3),
    "uniform_": lambda T, i, n, x: i.uniform_(),
    "setitem": lambda T, i, n, x: i.__setitem__(0, 1.0),
    "out": lambda T, i, n, x: T.add(n, n, out=i),
    "squeeze_": lambda T, i, n, x: i.squeeze_(),
    "written into another": lambda T, i, n, x: n.add_(i),
    "added to a result": lambda T, i, n, x: (x * 1).add_(i),
    "multiplied into a result": lambda T, i, n, x: (x * 1).mul_(i),
    "requires_grad_": lambda T, i, n, x: i.requires_grad_(),
    "requires_grad_(False)": lambda T, i, n, x: i.requires_grad_(False),
    "requires_grad": lambda T, i, n, x: setattr(i, "requires_grad", True),
    "requires_grad_ of a clone": lambda T, i, n, x: i.clone().requires_grad_(),
    "requires_grad_ inside": lambda T, i, n, x: T.inference_mode()(lambda: i.requires_grad_())(),
    "ordinary written inside": lambda T, i, n, x: T.inference_mode()(lambda: n.add_(1))(),
    "leaf written inside": lambda T, i, n, x: T.inference_mode()(lambda: x.add_(1))(),
    "saved, then written inside": lambda T, i, n, x: written_inside(T, x),
    "view of a result, made inside": lambda T, i, n, x: view_made_inside(T, x * 1).add_(1),
    "view of an ordinary one, made inside": lambda T, i, n, x: view_made_inside(T, n).add_(1),
    "backward inside": lambda T, i, n, x: T.inference_mode()(lambda: (x * 1).sum().backward())(),
    "backward inside, recorded outside": lambda T, i, n, x: backward_inside(T, x),
    "checkpoint": lambda T, i, n, x: T.utils.checkpoint.checkpoint(T.add, i, x, use_reentrant=False),
}


@pytest.mark.parametrize("name", USES)
def test_what_can_be_done_with_inference_tensors(name: str) -> None:
    outcomes: list[Any] = []
    for T in (minigrad, torch):
        with T.inference_mode():
            i = T.ones(2, dtype=T.float64)
        n, x = T.ones(2, dtype=T.float64), leaf(T, 1.0, 2.0)
        try:
            result = USES[name](T, i, n, x)
        except RuntimeError as error:
            outcomes.append(str(error)[:16])
        else:
            if result is not None:
                result = result.tolist(), result.requires_grad, result.is_inference()
            outcomes.append((result, None if x.grad is None else x.grad.tolist()))
    assert outcomes[0] == outcomes[1]
