"""compile(): what is read of Python's objects is looked at in each call; what is changed there is refused."""

import copy
import gc
import itertools
import threading
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.program import TracingError

T = minigrad
FACTOR = 0.0


def factor() -> float:
    return FACTOR


class Settings:
    rate = 0.0

    def __init__(self) -> None:
        self.k, self.seen = 0.0, []

    def scale(self) -> float:
        return self.k

    @property
    def more(self) -> float:
        return self.k + 1

    def count(self) -> None:
        self.k += 1

    def note(self) -> None:
        self.seen.append(1)


class Scaled(nn.Module):
    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, x: Any) -> Any:
        return x * self.settings.scale()


def scaled(x: Any, settings: Settings) -> Any:
    return x * settings.k


def of_object(use: Callable[[Any, Settings], Any]) -> Any:
    settings = Settings()
    return lambda x: use(x, settings), lambda k: setattr(settings, "k", k)


def of_module() -> Any:
    settings = Settings()
    return Scaled(settings), lambda k: setattr(settings, "k", k)


def of_global() -> Any:
    def change(k: float) -> None:
        global FACTOR
        FACTOR = k

    return lambda x: x * factor(), change


def of_closures() -> Any:
    k = 0.0

    def inner(x: Any) -> Any:
        return x * k

    def change(now: float) -> None:
        nonlocal k
        k = now

    return lambda x: inner(x) + 1, change


def of_class() -> Any:
    return lambda x: x * Settings.rate, lambda k: setattr(Settings, "rate", k)


def of_python_module() -> Any:
    config = types.ModuleType("config_of_a_user")
    config.k = 0.0  # type: ignore[attr-defined]
    return lambda x: x * config.k, lambda k: setattr(config, "k", k)  # type: ignore[attr-defined]


def of_sequential() -> Any:
    net = nn.Sequential(nn.Tanh())
    return net, lambda k: net.append(nn.Tanh())


def of_patched_forward() -> Any:
    net = nn.Tanh()
    return lambda x: net(x), lambda k: setattr(net, "forward", lambda x, k=k: x * k)


def of_default_dtype() -> Any:
    return lambda x: T.ones(2) * x, lambda k: T.set_default_dtype(T.float64 if k == 1 else T.float32)


CASES: list[Callable[[], Any]] = [
    lambda: of_object(lambda x, s: x * s.scale()),
    lambda: of_object(lambda x, s: x * s.more),
    lambda: of_object(lambda x, s: scaled(x, s)),
    lambda: of_object(lambda x, s: x * getattr(s, "k")),  # noqa: B009
    *(of_module, of_global, of_closures, of_class, of_python_module, of_sequential, of_patched_forward),
    of_default_dtype,
]


@pytest.mark.parametrize("make", CASES)
def test_what_is_read_in_python(make: Callable[[], Any]) -> None:
    found = []
    for compiled in (False, True):
        f, change = make()
        f = T.compile(f) if compiled else f
        for k in (0.0, 0.0, 1.0, 1.0, 2.0, -0.0, 0.0):
            change(k)
            y = f(T.full((2,), 2.0)).detach().numpy()
            found.append((str(y.dtype), str(y)))
    assert found[:7] == found[7:]


def test_an_object_that_is_an_argument() -> None:
    settings = Settings()
    f = T.compile(lambda x, settings: x * settings.k)
    for k in (1.0, 1.0, 2.0, 2.0):
        settings.k = k
        assert f(T.ones(1), settings).item() == k


def test_what_python_would_do_again_is_refused() -> None:
    settings, numbers = Settings(), itertools.count()
    net = Scaled(settings)

    def seeds(x: Any) -> Any:
        T.manual_seed(0)
        return x

    def counts(x: Any) -> Any:
        settings.count()
        return x * settings.k

    def notes(x: Any) -> Any:
        settings.note()
        return x

    def counts_in_module(x: Any) -> Any:
        net.settings.count()
        return net(x)

    for f in (seeds, counts, notes, counts_in_module, lambda x: x * next(numbers)):
        with pytest.raises(TracingError):
            T.compile(f)(T.ones(2))
        assert settings.k == 0 and not settings.seen


def test_grad_mode_in_another_thread() -> None:
    """Threads come and go, and their numbers come again."""
    w = T.ones(3, requires_grad=True)
    f = T.compile(lambda x: (w * x).sum())
    wrong = []

    def work(grad: bool) -> None:
        with T.set_grad_enabled(grad):
            if f(T.ones(3)).requires_grad is not grad:
                wrong.append(grad)

    for grad in (True, True, False, False, True, False):
        thread = threading.Thread(target=work, args=(grad,))
        thread.start()
        thread.join()
    assert not wrong


def test_enable_grad_under_no_grad() -> None:
    w = T.ones(3, requires_grad=True)

    @T.compile
    def f(x: Any) -> Any:
        with T.enable_grad():
            return (w * x).sum()

    for _ in range(3):
        assert f(T.ones(3)).requires_grad
        with T.no_grad(), pytest.raises(TracingError, match="enable_grad"):
            f(T.ones(3))


def test_deepcopy_of_a_compiled_module() -> None:
    net = nn.Linear(2, 1)
    compiled, x = T.compile(net), T.ones(1, 2)
    expected = compiled(x).detach().numpy().copy()
    other = copy.deepcopy(compiled)
    with T.no_grad():
        net.weight.add_(1)
    for _ in range(3):
        np.testing.assert_array_equal(other(x).detach().numpy(), expected)


collections = 0


def test_what_the_garbage_collector_calls_is_no_part_of_it(traces: list[int]) -> None:
    def called(phase: str, info: dict[str, int]) -> None:
        global collections
        collections += 1

    x, thresholds = T.ones(3), gc.get_threshold()
    step = T.compile(lambda: [x * i for i in range(20)][-1])
    gc.callbacks.append(called)
    gc.set_threshold(1)
    try:
        for _ in range(4):
            step()
            gc.collect()
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(called)
    assert collections and len(traces) == 1 and gc.isenabled()
