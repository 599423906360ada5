"""What a training step holds in memory, and how deep a net may be."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import minigrad


def training_step(T: Any, width: int, layers: int) -> Callable[[], None]:
    """A step of a net of linear layers with ReLU between them, on a batch of as many rows as they are wide."""
    T.manual_seed(0)
    modules = [module for _ in range(layers) for module in (T.nn.Linear(width, width), T.nn.ReLU())]
    model = T.nn.Sequential(*modules[:-1])
    optimizer = T.optim.SGD(model.parameters(), lr=0.01)
    x, y = T.randn(width, width), T.randn(width, width)
    criterion = T.nn.MSELoss()

    def step() -> None:
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def peak_of_minigrad(step: Callable[[], None]) -> int:
    """The most bytes that a step has allocated and not yet freed; NumPy tells tracemalloc of its arrays."""
    gc.disable()
    tracemalloc.start()
    try:
        step()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()


def peak_of_torch(step: Callable[[], None]) -> int:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    return int(np.cumsum([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]).max())


def test_a_step_holds_no_more_than_that_of_torch() -> None:
    peaks = []
    for T, peak in ((minigrad, peak_of_minigrad), (torch, peak_of_torch)):
        step = training_step(T, 1024, 10)
        step()  # what is made once is made
        peaks.append(peak(step))
    assert peaks[0] <= 1.1 * peaks[1]  # 1.0005 was measured
    assert peaks[1] > 40 * 2**20  # ten activations of 4 MB, at least


def test_a_net_of_ten_thousand_layers() -> None:
    grads = []
    for T in (minigrad, torch):
        model = T.nn.Sequential(*(T.nn.Linear(1, 1) for _ in range(10_000)))
        with T.no_grad():
            for parameter in model.parameters():
                parameter.fill_(1.0)
        out = model(T.ones(2, 1))
        out.sum().backward()
        grads.append((out.tolist(), model[0].weight.grad.item(), model[9_999].weight.grad.item()))
    assert grads[0] == grads[1] == ([[10_001.0], [10_001.0]], 2.0, 20_000.0)


@pytest.mark.parametrize("layers", [1, 10])
def test_nothing_is_left_after_a_step(layers: int) -> None:
    """But the gradients: a second step needs no more than the first."""
    step = training_step(minigrad, 64, layers)
    step()
    tracemalloc.start()
    gc.disable()
    try:
        step()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(5):
            step()
        assert tracemalloc.get_traced_memory()[0] - before < 10_000
    finally:
        gc.enable()
        tracemalloc.stop()
