"""Signal handlers and finalizers that compute, and threads that share leaves: nothing fails, and nothing is lost."""

import signal
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as torch
from minigrad.autograd.grad_mode import state
from tests.interruptions import places, run_interrupted

Work = Callable[[], Any]


def everywhere(prepare: Callable[[], tuple[Work, Work, Work]]) -> int:
    """Interrupt a piece of work at all places, each time anew: prepare() gives it, the handler, and what must hold."""
    for number in places():
        work, handler, check = prepare()
        if not run_interrupted(number, work, handler):
            return number
        check()
    raise AssertionError("it has no end")


def operations() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = (x * 3).exp().sum()
    y.backward()
    assert np.allclose(x.grad, 3 * np.exp([3.0, 6.0]))
    x.detach().neg_()
    assert x.tolist() == [-1, -2]


@pytest.mark.parametrize("again", [False, True])
def test_a_handler_computes_in_the_midst_of_anything(again: bool) -> None:
    def prepare() -> tuple[Work, Work, Work]:
        x = torch.tensor([0.5, 2.0], requires_grad=True)
        optimizer = torch.optim.Adam([x], lr=0.5)

        def work() -> None:
            (g,) = torch.autograd.grad((x * x).sum(), x, create_graph=True)
            if again:
                g = torch.autograd.grad(g.sum(), x, create_graph=True)[0]
            x.grad = torch.zeros(2)
            (g * x).sum().backward()
            optimizer.step()

        def check() -> None:
            assert x.grad.tolist() == ([2, 2] if again else [2, 8])
            assert x.detach().tolist() == pytest.approx([0.0, 1.5], abs=1e-6)

        return work, operations, check

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert everywhere(prepare) > 50


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("size", [2, 1000])
def test_a_handler_adds_to_the_same_gradient(first: bool, size: int) -> None:
    def prepare() -> tuple[Work, Work, Work]:
        x = torch.ones(size, requires_grad=True)
        if not first:
            x.grad = torch.zeros(size)

        def check() -> None:
            assert x.grad.unique().tolist() == [5]

        return lambda: (x * 2).sum().backward(), lambda: (x * 3).sum().backward(), check

    assert everywhere(prepare) > 20


def test_a_handler_finds_the_modes_of_the_program() -> None:
    """While rules run on Tensors, in a sweep that is recorded, NumPy's functions of a handler convert nevertheless."""
    found = []

    def prepare() -> tuple[Work, Work, Work]:
        x = torch.tensor([1.0, 2.0], requires_grad=True)

        def handler() -> None:
            found[:] = [np.negative(torch.ones(2)), np.concatenate([torch.ones(2)])]

        def check() -> None:
            negative, joined = found
            assert not isinstance(joined, torch.Tensor)
            assert not negative.requires_grad

        return lambda: torch.autograd.grad(x.exp().sum(), x, create_graph=True), handler, check

    assert everywhere(prepare) > 20


def test_a_handler_calls_the_compiled_function_that_it_interrupts() -> None:
    @torch.compile
    def f(x: torch.Tensor) -> torch.Tensor:
        return ((x * 2 + 1) * (x - 3)).exp().sum(0) * x.mean()

    x, y = torch.full((3, 3), 0.5), torch.full((3, 3), 0.25)
    want = f(x).tolist(), f(y).tolist()
    f(x)
    found = []

    def prepare() -> tuple[Work, Work, Work]:
        def check() -> None:
            assert (found[1], found[0]) == want

        found.clear()
        return lambda: found.append(f(x).tolist()), lambda: found.append(f(y).tolist()), check

    assert everywhere(prepare) > 10


def test_a_handler_goes_back_through_a_compiled_function() -> None:
    @torch.compile
    def f(x: torch.Tensor) -> torch.Tensor:
        return (x * x).exp().sum()

    for _ in range(2):
        f(torch.ones(2, requires_grad=True)).backward()
    refused = []

    def prepare() -> tuple[Work, Work, Work]:
        x, y = torch.zeros(2, requires_grad=True), torch.ones(2, requires_grad=True)
        a, b = f(x), f(y)

        def handler() -> None:
            try:
                b.backward()
            except RuntimeError as error:
                refused.append(str(error))

        def check() -> None:
            assert x.grad.tolist() == [0, 0]
            assert y.grad is None or np.allclose(y.grad, 2 * np.e)

        return a.backward, handler, check

    assert everywhere(prepare) > 10
    assert all("in the midst" in text for text in refused)


def test_a_real_signal() -> None:
    x, done, failed = torch.randn(200, 200), [], []

    def handler(*_: object) -> None:
        try:
            operations()
            done.append(1)
        except Exception as error:
            failed.append(error)

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        for _ in range(10_000):
            (x @ x).exp().sum(0)
            if len(done) + len(failed) >= 20:
                break
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not failed


def test_a_finalizer_computes() -> None:
    done = []

    class Garbage:
        def __del__(self) -> None:  # what it raises would be printed, and forgotten
            operations()
            done.append(1)

    def prepare() -> tuple[Work, Work, Work]:
        done.clear()
        x = torch.ones(3, requires_grad=True)

        def check() -> None:
            assert done == [1]
            assert x.grad.tolist() == [2, 2, 2]

        return lambda: (x * 2).sum().backward(), Garbage, check

    assert everywhere(prepare) > 20


@pytest.mark.parametrize("first", [True, False])
def test_another_thread_adds_to_the_same_gradient(first: bool) -> None:
    def prepare() -> tuple[Work, Work, Work]:
        x = torch.ones(2, requires_grad=True)
        if not first:
            x.grad = torch.zeros(2)
        other = threading.Thread(target=lambda: (x * 3).sum().backward())

        def handler() -> None:
            other.start()
            other.join(0.01)  # where it has to wait, it is for the one that was interrupted

        def check() -> None:
            other.join()
            assert x.grad.tolist() == [5, 5]

        return lambda: (x * 2).sum().backward(), handler, check

    assert everywhere(prepare) > 20


@pytest.mark.parametrize("first", [True, False])
def test_no_thread_loses_a_gradient(first: bool) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(5):
            w = torch.zeros(100_000, requires_grad=True)
            if not first:
                w.grad = torch.zeros(100_000)
            together(lambda w=w: (w * 1).sum().backward(), 4, 40)  # type: ignore[misc]
            assert w.grad.unique().tolist() == [160]
    finally:
        sys.setswitchinterval(interval)


def together(work: Work, threads: int, times: int) -> None:
    """Let threads do something several times, from the same moment on."""
    start, errors = threading.Barrier(threads), []

    def run() -> None:
        start.wait()
        try:
            for _ in range(times):
                work()
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert not errors


def test_an_error_in_the_midst_of_an_operation_is_pytorchs() -> None:
    """The operation that a handler interrupts has entered the engine's context already."""

    def interrupted() -> str:
        with pytest.raises(RuntimeError) as caught:
            torch.ones(2) + torch.ones(3)
        return str(caught.value)

    assert state.quiet(interrupted) == interrupted()
