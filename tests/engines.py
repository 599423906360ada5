"""Running the same expression under torch and minigrad, and comparing all that can be seen of what it gives."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.func

import minigrad

with warnings.catch_warnings():  # torch's forward mode warns of torch's own use of torch.jit, once
    warnings.simplefilter("ignore")
    torch.func.jvp(torch.sin, (torch.ones(1),), (torch.ones(1),))


def seen(x: Any) -> Any:
    """What there is to see of a result: structure, values, shape, dtype, whether it requires gradients."""
    if isinstance(x, (minigrad.Tensor, torch.Tensor)):
        array = x.detach().numpy()
        return {"values": array, "shape": array.shape, "dtype": str(x.dtype), "requires_grad": x.requires_grad}
    if isinstance(x, dict):
        return {"type": type(x).__name__} | {key: seen(value) for key, value in x.items()}
    if isinstance(x, (tuple, list)):
        return [type(x).__name__, *map(seen, x)]
    return x


@dataclass
class Raised:
    """An error, by the name of its type."""

    kind: str
    message: str


def evaluate(expression: str, names: dict[str, Any]) -> Any:
    """What an expression gives: a result, or an error."""
    try:
        return seen(eval(expression, names))
    except Exception as error:
        return Raised(type(error).__name__, str(error))


def same(found: Any, expected: Any) -> None:
    """Equal structures, with numbers equal to 1e-6 (float32) or 1e-12; errors whose messages begin alike."""
    assert type(found) is type(expected), (found, expected)
    if isinstance(found, Raised):
        assert found.kind == expected.kind
        assert found.message.startswith(expected.message[:45])
    elif isinstance(found, dict):
        assert found.keys() == expected.keys()
        for key in found:
            same(found[key], expected[key])
    elif isinstance(found, (list, tuple)):
        assert len(found) == len(expected), (found, expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif isinstance(found, np.ndarray):
        rtol = 1e-5 if found.dtype == np.float32 else 1e-12
        np.testing.assert_allclose(found, expected, rtol, rtol, equal_nan=True)
    else:
        assert found == expected


def lines(text: str) -> list[str]:
    return [line for line in text.strip().split("\n") if line and line[0] != "#"]
