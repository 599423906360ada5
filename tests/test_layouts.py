"""Where the elements of results lie in memory: strides are PyTorch's, since views of them and writes show it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from strategies import ENGINE

LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "contiguous": lambda T: numbers(T, 3, 4),
    "transposed": lambda T: numbers(T, 4, 3).t(),
    "expanded": lambda T: numbers(T, 3, 1).expand(3, 4),
    "expanded rows": lambda T: numbers(T, 1, 4).expand(3, 4),
    "sliced": lambda T: numbers(T, 3, 8)[:, ::2],
    "three dims": lambda T: numbers(T, 2, 3, 4),
    "permuted": lambda T: numbers(T, 4, 2, 3).permute(1, 2, 0),
    "permuted otherwise": lambda T: numbers(T, 3, 2, 4).permute(1, 0, 2),
    "three dims expanded": lambda T: numbers(T, 2, 1, 4).expand(2, 3, 4),
}


def numbers(T: Any, *shape: int) -> Any:
    return T.arange(1.0, 1 + torch.Size(shape).numel()).reshape(*shape)


def grad_of(T: Any, x: Any) -> Any:
    """A gradient that comes in the opposite layout: x keeps it in its own."""
    (x * numbers(T, *x.shape[::-1]).permute(*reversed(range(x.ndim)))).sum().backward()
    return x.grad


def zeros(T: Any, x: Any) -> Any:
    return T.zeros(x.shape, dtype=T.int64)


CALLS: dict[str, Callable[[Any, Any], Any]] = {
    **{name: lambda T, x, name=name: getattr(T, name)(x) for name in
       ("neg", "exp", "sqrt", "tanh", "sigmoid", "relu", "floor", "square", "log", "clone", "round", "zeros_like",
        "ones_like", "rand_like", "isnan", "tril", "triu", "logical_not")},
    **{name: lambda T, x, name=name: getattr(x, name)(0) for name in
       ("softmax", "log_softmax", "cumsum", "sum", "mean", "std", "var", "prod", "amax", "logsumexp", "argmax", "flip",
        "argsort", "all", "any")},
    **{f"{name}, last dim": lambda T, x, name=name: getattr(x, name)(-1) for name in
       ("softmax", "log_softmax", "cumsum", "sum", "mean", "std", "prod", "amax", "flip", "argsort")},
    "sum, keepdim": lambda T, x: x.sum(1, keepdim=True),
    "norm": lambda T, x: x.norm(dim=0),
    "max": lambda T, x: x.max(0)[0],
    "sort": lambda T, x: x.sort(0)[0],
    "topk": lambda T, x: x.topk(2)[0],
    "logsigmoid": lambda T, x: T.nn.functional.logsigmoid(x),
    "x + x": lambda T, x: x + x,
    "x + row": lambda T, x: x + x[0],
    "row + x": lambda T, x: x[0] + x,
    "2 * x": lambda T, x: 2 * x,
    "2 ** x": lambda T, x: 2**x,
    "x ** 2": lambda T, x: x**2,
    "1 / x": lambda T, x: 1 / x,
    "x > 2": lambda T, x: x > 2,
    "where": lambda T, x: T.where(x > 2, x, 0.0),
    "clamp": lambda T, x: x.clamp(1, 3),
    "addcmul": lambda T, x: T.addcmul(x, x, x),
    "alpha": lambda T, x: T.add(x, x, alpha=2),
    "cat": lambda T, x: T.cat([x, x], -1),
    "stack": lambda T, x: T.stack([x, x]),
    "masked_fill": lambda T, x: x.masked_fill(x > 2, 0.0),
    "masked_scatter": lambda T, x: x.masked_scatter(x > 2, x),
    "masked_select": lambda T, x: x[x > 2],
    "scatter": lambda T, x: x.scatter(0, zeros(T, x)[:1], 0.0),
    "gather": lambda T, x: x.gather(0, zeros(T, x)),
    "one_hot": lambda T, x: T.nn.functional.one_hot(x.long()),
    "double": lambda T, x: x.double(),
    "int": lambda T, x: x.int(),
    "roll": lambda T, x: x.roll(1, -1),
    "repeat": lambda T, x: x.repeat(*[2] * x.ndim),
    "repeat_interleave": lambda T, x: x.repeat_interleave(2, 0),
    "repeat_interleave, last dim": lambda T, x: x.repeat_interleave(2, -1),
    "index_select": lambda T, x: x.index_select(-1, T.tensor([1, 0, 2])),
    "x[:, list]": lambda T, x: x[:, [2, 0, 1]],
    "x[..., list]": lambda T, x: x[..., [2, 0]],
    "gradient": lambda T, x: T.autograd.grad(x.requires_grad_().exp().sum(), x)[0],
    ".grad": lambda T, x: grad_of(T, x.requires_grad_()),
    "half()[True]": lambda T, x: x.half()[True],
}  # fmt: skip


def strides(x: Any) -> tuple[int, ...]:
    """Of the dims that have any."""
    return tuple(step for step, n in zip(x.stride(), x.shape, strict=True) if n > 1)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", CALLS)
def test_strides(name: str, layout: str) -> None:
    ours, theirs = (CALLS[name](T, LAYOUTS[layout](T)) for T in (ENGINE, torch))
    assert (tuple(ours.shape), strides(ours)) == (tuple(theirs.shape), strides(theirs))


def test_strides_of_a_long_sum() -> None:
    ours, theirs = (T.ones(257, 4, 300)[1:].permute(2, 1, 0).sum(2, True) for T in (ENGINE, torch))
    assert strides(ours) == strides(theirs)
