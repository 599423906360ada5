"""Random tensors, from PyTorch's generator."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.autograd.node import TensorBase, wrap
from minigrad.metadata import dtype, int64
from minigrad.ops.arguments import require_tensor
from minigrad.ops.creation import Device, finished, options, require_float, sizes, target_dtype
from minigrad.random import Generator, default_generator

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
    out: Tensor | None = None,
    **named: Any,
) -> Tensor:
    """Uniform numbers in [0, 1), of the given shape."""
    shape, target = sizes((*size, *options("rand", named, "size")), "rand"), target_dtype(dtype, out)
    require_float(target, "rand")
    return finished((generator or default_generator).uniform(shape, target), requires_grad, device, out)


def rand_like(
    input: Tensor, *, dtype: dtype | None = None, device: Device = None, requires_grad: bool = False
) -> Tensor:
    """Uniform numbers in [0, 1), of the shape and dtype of `input`."""
    require_tensor(input, "rand_like")
    return rand(input.shape, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
    out: Tensor | None = None,
    **named: Any,
) -> Tensor:
    """Standard normal numbers, of the given shape."""
    shape, target = sizes((*size, *options("randn", named, "size")), "randn"), target_dtype(dtype, out)
    require_float(target, "randn")
    return finished((generator or default_generator).normal(shape, target), requires_grad, device, out)


def randn_like(
    input: Tensor, *, dtype: dtype | None = None, device: Device = None, requires_grad: bool = False
) -> Tensor:
    """Standard normal numbers, of the shape and dtype of `input`."""
    require_tensor(input, "randn_like")
    return randn(input.shape, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


def normal(
    mean: Tensor | float = 0.0,
    std: Tensor | float = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers: of `size` for numbers mean and std, else of the shape that the tensors broadcast to."""
    source = generator or default_generator
    tensors = [x for x in (mean, std) if isinstance(x, TensorBase)]
    low = std._array.min(initial=0) if isinstance(std, TensorBase) else std
    if low < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {low}")
    if isinstance(mean, (int, float)) and isinstance(std, (int, float)):
        if size is None:
            raise TypeError("normal() needs a size where mean and std are numbers")
        return finished(source.normal(sizes((size,)), target_dtype(dtype, None), mean, std), requires_grad, device)
    try:
        shape = np.broadcast_shapes(*(x._array.shape for x in tensors))
    except ValueError:
        raise RuntimeError(f"the shapes of mean and std don't broadcast: {[list(x.shape) for x in tensors]}") from None
    target = tensors[0]._array.dtype
    require_float(target, "normal")
    m, s = (x._array if isinstance(x, TensorBase) else target.type(x) for x in (mean, std))
    return finished((source.normal(shape, target) * s + m).astype(target), requires_grad, device)


def randint(
    *args: Any,
    low: int | None = None,
    high: int | None = None,
    size: Any = None,
    generator: Generator | None = None,
    dtype: dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers from low (0) up to before high: randint(high, size) or randint(low, high, size)."""
    values = list(args)
    if values and isinstance(values[-1], (tuple, list)):
        size = values.pop()
    if len(values) == 1 and high is None:
        high = values[0]
    elif values:
        low, high = (*values, high)[:2]
    if high is None or size is None:
        raise TypeError("randint() needs high and size: randint(high, size) or randint(low, high, size)")
    low, high = operator.index(low or 0), operator.index(high)
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    target = (dtype or int64).numpy
    return finished((generator or default_generator).integers(sizes((size,)), target, low, high), requires_grad, device)


def randperm(n: int, *, generator: Generator | None = None, dtype: dtype = int64, device: Device = None) -> Tensor:
    """A random permutation of 0 .. n-1."""
    if n < 0:
        raise RuntimeError(f"n must be non-negative, got {n}")
    return finished((generator or default_generator).permutation(n).astype(dtype.numpy, copy=False), False, device)


def bernoulli(input: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probabilities in `input`, or everywhere `p`, else 0; of its shape and dtype."""
    require_tensor(input, "bernoulli")
    require_float(input._array.dtype, "bernoulli")
    probability = input._array if p is None else np.asarray(p)
    if not ((probability >= 0) & (probability <= 1)).all():
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
    return wrap((generator or default_generator).bernoulli(probability, input._array.shape, input._array.dtype))


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn with the weights in each row of `input`: (n,) or (m, n) to (num_samples,) or (m, num_samples)."""
    require_tensor(input, "multinomial")
    return wrap((generator or default_generator).multinomial(input._array, num_samples, replacement))
