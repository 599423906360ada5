"""What is computed: data and initial parameters, made once by NumPy and the same for every engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

import minigrad

STEPS = 10  # after which the engines must agree
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Problem:
    """One problem, in arrays. Weights are (out, in), as in PyTorch's layers, but where a problem says otherwise."""

    x: Array
    y: Array
    start: tuple[Array, ...] = ()  # the initial parameters
    lr: float = 0.0
    reduction: str = "mean"  # of the squared errors
    reads_loss: bool = False  # the loop makes a Python number of the loss at each step
    batch: int = 0  # how many samples a step takes, where not all
    # Where a loop draws at random, each engine draws in its own way, but what the agreement is about is given:
    order: list[int] = field(default_factory=list)  # in which the first epoch takes the samples
    draws: tuple[Array, ...] = ()  # the random numbers of the first steps
    operation: str = ""
    mode: str = ""  # of an operation: forward, recording, backward; of a long graph: forward, backward
    length: int = 0  # of a long graph


def _float32(array: Any) -> Array:
    return np.ascontiguousarray(array, dtype=np.float32)


def _all_float32(*arrays: Any) -> tuple[Array, ...]:
    return tuple(map(_float32, arrays))


def linear_regression(points: int) -> Problem:
    """A line through so many points: listing 1 has 15."""
    rng = np.random.default_rng(1)
    x = (rng.standard_normal((points, 1), dtype=np.float32) + 5).clip(1, 10)
    y = 0.25 * x + 0.8 + 0.5 * rng.standard_normal((points, 1), dtype=np.float32)
    return Problem(_float32(x), _float32(y), start=_all_float32([[0.7]], [-0.3]), lr=0.01)


def no_bias() -> Problem:
    """Listing 10: three points, a weight alone, the sum of the squared errors, the costs collected."""
    x = np.array([[1.0], [2.0], [3.0]])
    return Problem(_float32(x), _float32(2 * x), start=_all_float32([[0.3]]), lr=0.01, reduction="sum", reads_loss=True)


def polynomial() -> Problem:
    """Listing 3: a cubic, from 32 random points a step, until the loss, which is read, is small. y: the cubic."""
    rng = np.random.default_rng(3)
    return Problem(
        _float32([]),
        _float32([0.5, 3.0, 2.4, 0.9]),
        start=_all_float32(rng.uniform(-0.5, 0.5, (1, 3)), [0.1]),
        lr=1e-3,
        batch=32,
        reads_loss=True,
        draws=_all_float32(*rng.standard_normal((STEPS + 1, 32))),
    )


def two_layer_net(batch: int = 64, hidden: int = 100) -> Problem:
    """Listing 5: two matrices, (in, hidden) and (hidden, out), without biases; the sum of the squared errors."""
    rng = np.random.default_rng(5)
    shapes = (batch, 1000), (batch, 10), (1000, hidden), (hidden, 10)
    x, y, w1, w2 = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
    lr = 1e-6 * min(1, 100 / hidden) * min(1, 64 / batch)  # the listing's; larger problems are steeper
    return Problem(x, y, start=(w1, w2), lr=lr, reads_loss=True)


def _layer(rng: np.random.Generator, inputs: int, outputs: int) -> tuple[Array, Array]:
    bound = inputs**-0.5
    return rng.uniform(-bound, bound, (outputs, inputs)), rng.uniform(-bound, bound, outputs)


def curve_fitting_net() -> Problem:
    """Listing 9: a 1-10-1 net with ReLU bends to a parabola of 100 points."""
    rng = np.random.default_rng(9)
    x = np.linspace(-1, 1, 100)[:, None]
    y = x**2 + 0.2 * rng.random((100, 1))
    return Problem(_float32(x), _float32(y), start=_all_float32(*_layer(rng, 1, 10), *_layer(rng, 10, 1)), lr=0.2)


def classifier() -> Problem:
    """784-256-10, batch 128: images (of noise) into ten classes by cross entropy."""
    rng = np.random.default_rng(784)
    x, y = rng.random((128, 784), dtype=np.float32), rng.integers(0, 10, 128)
    return Problem(x, y, start=_all_float32(*_layer(rng, 784, 256), *_layer(rng, 256, 10)), lr=0.1)


def deep_net(depth: int, width: int = 10, batch: int = 100) -> Problem:
    """So many square layers with ReLU between them. They begin near the identity, or no signal would get through."""
    rng = np.random.default_rng(depth)
    start = []
    for _ in range(depth):
        start += [np.eye(width) + 0.003 * rng.standard_normal((width, width)), np.zeros(width)]
    x, y = rng.random((batch, width)), rng.random((batch, width))
    return Problem(_float32(x), _float32(y), start=_all_float32(*start), lr=0.1 / depth)


def raw_tensors() -> Problem:
    """Listing 14: k x + b by two tensors of one element, on 100 points."""
    x = np.linspace(0, 100, 100)
    y = x + 10 * np.random.default_rng(14).standard_normal(100)
    return Problem(_float32(x), _float32(y), start=_all_float32([0.4], [0.6]), lr=1e-4)


def _synthetic(lr: float, order: list[int], start: tuple[Array, ...]) -> Problem:
    """The data of listings 15 and 16: 1,000 points of two features, in batches of 10."""
    rng = np.random.default_rng(15)
    x = rng.standard_normal((1000, 2))
    y = x @ [[2.0], [-3.4]] + 4.2 + 0.01 * rng.standard_normal((1000, 1))
    return Problem(_float32(x), _float32(y), start=start, lr=lr, batch=10, order=order)


def from_scratch() -> Problem:
    """Listing 15: minibatches by indexing, SGD by hand. The weight is (2, 1)."""
    order = np.random.default_rng(0).permutation(1000).tolist()
    return _synthetic(0.03, order, _all_float32([[0.01], [-0.02]], [0.0]))


def shuffled(samples: int) -> list[int]:
    """The order in which a DataLoader takes them whose generator has seed 0."""
    loader = minigrad.utils.data.DataLoader(range(samples), samples, True, generator=seeded(minigrad))
    return [int(i) for i in next(iter(loader))]


def seeded(T: Any) -> Any:
    """A generator of PyTorch's or minigrad's that gives `shuffled`."""
    generator = T.Generator()
    generator.manual_seed(0)
    return generator


def concise() -> Problem:
    """Listing 16: `DataLoader`, `nn.Linear`, `MSELoss`, `SGD`."""
    return _synthetic(0.03, shuffled(1000), _all_float32([[0.01, -0.02]], [0.0]))


def epoch(batch: int, samples: int = 10_000) -> Problem:
    """An epoch of a shuffling loader, and nothing else."""
    x = np.random.default_rng(7).standard_normal((samples, 2), dtype=np.float32)
    return Problem(x, x[:, :1].copy(), batch=batch)


def operation(name: str, mode: str) -> Problem:
    """One operation on 10 x 10 positive numbers: so small that all is overhead."""
    x, y = np.random.default_rng(10).random((2, 10, 10), dtype=np.float32) + 0.5
    return Problem(x, y, operation=name, mode=mode)


def long_graph(length: int, mode: str) -> Problem:
    """A chain of so many additions to a tensor of one element."""
    return Problem(_float32([1.0]), _float32([]), length=length, mode=mode)
