"""Grad modes against torch: contexts, decorators, generators, threads."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

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
