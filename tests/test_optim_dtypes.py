"""Optimizers in float16, and where the dtype of a model changes after their first step."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from strategies import PORTABLE

import minigrad


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.01}], ids=str)
@pytest.mark.parametrize("name", ["SGD", "SGD with momentum", "Adam", "AdamW", "RMSprop", "Adagrad", "Adamax"])
def test_steps_in_float16_are_torchs_to_the_last_digit(name: str, options: dict[str, Any]) -> None:
    """Its vectors, which 64 elements fill, compute an operation in float32; its portable kernels round products too."""
    name, _, momentum = name.partition(" with ")
    options = options | ({momentum: 0.9, "nesterov": True} if momentum else {})
    rng = np.random.default_rng(0)
    start, *gradients = rng.standard_normal((11, 64)).astype(np.float16)
    seen = []
    for T in (minigrad, torch):
        p = T.nn.Parameter(T.from_numpy(start.copy()))
        optimizer = getattr(T.optim, name)(
            [p], lr=0.1, **({"eps": 1e-4} if "A" in name or "R" in name else {}), **options
        )
        for gradient in gradients:
            p.grad = T.from_numpy(gradient.copy())
            optimizer.step()
        seen.append(p.detach().numpy())
    ours, theirs = seen
    once_a_step = len(gradients) * float(np.spacing(np.abs(theirs).max()))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=once_a_step if PORTABLE else 0)


@pytest.mark.parametrize("name", ["SGD", "Adadelta", "Adam", "NAdam", "RAdam"])
def test_a_large_parameter_in_float16(name: str) -> None:
    """Larger than a piece that SGD updates at a time."""
    rng = np.random.default_rng(0)
    start, *gradients = rng.standard_normal((4, 257, 256)).astype(np.float16)
    seen = []
    for T in (minigrad, torch):
        p = T.nn.Parameter(T.from_numpy(start.copy()))
        optimizer = getattr(T.optim, name)([p], lr=0.1, **({} if name == "SGD" else {"eps": 1.0001e-3}))
        for gradient in gradients:
            p.grad = T.from_numpy(gradient.copy())
            optimizer.step()
        seen.append(p.detach().numpy().astype(np.float32))
    np.testing.assert_allclose(*seen, rtol=0, atol=3 * float(np.spacing(np.float16(4))))


@pytest.mark.parametrize("dtypes", [*itertools.permutations(["half", "float", "double"], 2)], ids="-".join)
@pytest.mark.parametrize("name", ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop"])
def test_a_model_converted_after_the_first_step(name: str, dtypes: tuple[str, str]) -> None:
    """Only where its step interpolates, PyTorch refuses the state of the other dtype."""
    options = {"RMSprop": {"centered": True}, "SGD": {"momentum": 0.9}}.get(name, {})
    found = []
    for T in (minigrad, torch):
        net = T.nn.Linear(2, 1)
        optimizer = getattr(T.optim, name)(net.parameters(), **options)
        try:
            for dtype in dtypes:
                getattr(net, dtype)()
                optimizer.zero_grad()
                net(T.ones(1, 2).to(net.weight.dtype)).sum().backward()
                optimizer.step()
            found.append(False)
        except RuntimeError as error:
            found.append("expected dtype" in str(error))
    assert found[0] == found[1]
