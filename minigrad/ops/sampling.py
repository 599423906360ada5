"""Random tensors, from PyTorch's generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.autograd.inplace import resize
from minigrad.autograd.node import Array, TensorBase, wrap
from minigrad.metadata import check_device, dtype, dtype_of, memory_format, wants_contiguous
from minigrad.ops.arguments import ints, require_tensor, type_name
from minigrad.ops.creation import (
    Device,
    finished,
    numpy_dtype,
    require_float,
    sizes,
    target_dtype,
)
from minigrad.ops.distributions import (
    bernoulli_values,
    constant,
    integer_values,
    normal_values,
    real,
    require,
    source,
    uniform_values,
    whole,
)
from minigrad.ops.numbers import number_as
from minigrad.ops.placing import laid_out, options, placing
from minigrad.random import Generator

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


def place(shape: tuple[int, ...], dtype: np.dtype[Any], device: Device, out: Tensor | None = None) -> Array:
    """An array to lay out numbers as: a new one, or that of `out`, which gets the shape (here without a warning)."""
    check_device(device)
    if out is None:
        return np.empty(shape, dtype)
    if out._array.shape != shape:
        out._array = np.empty(shape, out._array.dtype)
    return out._array


def place_like(
    input: Tensor, dtype: dtype | None, device: Device, function: str, memory_format: memory_format | None
) -> Array:
    """An array to lay out numbers as, in the shape, dtype and order in memory of a tensor."""
    require_tensor(input, function)
    check_device(device)
    target = numpy_dtype(dtype) if dtype else input._array.dtype
    contiguous = wants_contiguous(memory_format, function)
    return laid_out(input._array, lambda shape: np.empty(shape, target), contiguous)


@placing
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
    like = place(shape, target, device, out)
    return finished(uniform_values(like, 0.0, 1.0, source(generator, "rand")), requires_grad, device, out)


@placing
def rand_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
    memory_format: memory_format | None = None,
) -> Tensor:
    """Uniform numbers in [0, 1), of the shape and dtype of `input`."""
    like = place_like(input, dtype, device, "rand_like", memory_format)
    return finished(uniform_values(like, 0.0, 1.0, source(generator, "rand_like")), requires_grad, device)


@placing
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
    like = place(shape, target, device, out)
    return finished(normal_values(like, 0.0, 1.0, source(generator, "randn")), requires_grad, device, out)


@placing
def randn_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
    memory_format: memory_format | None = None,
) -> Tensor:
    """Standard normal numbers, of the shape and dtype of `input`."""
    like = place_like(input, dtype, device, "randn_like", memory_format)
    return finished(normal_values(like, 0.0, 1.0, source(generator, "randn_like")), requires_grad, device)


@placing
def normal(
    mean: Tensor | float,
    std: Tensor | float = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers: of `size` for numbers mean and std, else of the shape that the tensors broadcast to.

    The result has the dtype of the first tensor, and is no function of them: gradients at them are 0.
    """
    stream = source(generator, "normal")
    tensors = [x for x in (mean, std) if isinstance(x, TensorBase)]
    if not tensors:
        if size is None:
            raise TypeError("normal() needs a size where mean and std are numbers: normal(mean, std, size)")
        m, s = real(mean, "normal", "mean"), real(std, "normal", "std")
        like = place(sizes((ints(size, "normal", "size"),)), target_dtype(dtype, out), device, out)
        return finished(normal_values(like, m, s, stream), requires_grad, device, out)
    if size is not None or dtype is not None or device is not None or requires_grad:
        raise TypeError("normal() of tensors takes no size, dtype, device or requires_grad: the tensors decide")
    deviation = 1.0 if isinstance(std, TensorBase) else real(std, "normal", "std")
    # As in PyTorch, `out` counts among the shapes where std is a number, and is given the right one elsewhere.
    shapes = [x._array.shape for x in (tensors if out is None or isinstance(std, TensorBase) else [*tensors, out])]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise RuntimeError(f"The shapes {', '.join(str(list(s)) for s in shapes)} don't broadcast") from None
    if out is not None and out._array.shape != shape:
        resize(out, shape)
    like = place(shape, tensors[0]._array.dtype, None, out)
    if isinstance(std, TensorBase) and not np.all(std._array >= 0):
        raise RuntimeError(f"normal expects all elements of std >= 0.0, but found std {std}")
    drawn = wrap(normal_values(like, 0.0, deviation, stream))
    if isinstance(std, TensorBase):
        drawn.mul_(std.detach())
    drawn.add_(mean.detach() if isinstance(mean, TensorBase) else real(mean, "normal", "mean"))
    return constant(drawn._array, *tensors) if out is None else finished(drawn._array, False, None, out)


@placing
def randint(
    *bounds: Any,
    low: int | None = None,
    high: int | None = None,
    size: Any = None,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers from low (0) up to before high: randint(high, size) or randint(low, high, size)."""
    if size is None and bounds:
        *bounds, size = bounds  # type: ignore[assignment]
    first, end = bounds_of(bounds, low, high, "randint")
    shape = sizes((ints(size, "randint", "size"),), "randint")
    target = np.dtype(np.int64) if dtype is None and out is None else target_dtype(dtype, out)
    like = place(shape, target, device, out)
    return finished(integer_values(like, first, end, source(generator, "randint")), requires_grad, device, out)


@placing
def randint_like(
    input: Tensor,
    *bounds: Any,
    low: int | None = None,
    high: int | None = None,
    generator: Generator | None = None,
    dtype: dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
    memory_format: memory_format | None = None,
) -> Tensor:
    """Integers from low (0) up to before high, of the shape and dtype of `input`."""
    first, end = bounds_of(bounds, low, high, "randint_like")
    like = place_like(input, dtype, device, "randint_like", memory_format)
    return finished(integer_values(like, first, end, source(generator, "randint_like")), requires_grad, device)


def bounds_of(bounds: Sequence[Any], low: Any, high: Any, function: str) -> tuple[int, int]:
    """The bounds of random integers from (high,) or (low, high), given by place or by name; TypeError else."""
    if len(bounds) == 1 and high is None:
        high = bounds[0]
    else:
        names = [name for name, end in (("low", low), ("high", high)) if end is None]
        if len(bounds) == 2 and len(names) == 2:
            low, high = bounds
        elif len(bounds) == 1 and low is None:
            low = bounds[0]
        elif bounds:
            raise TypeError(f"{function}() takes high, or low and high: got {bounds}, low={low}, high={high}")
    if high is None:
        raise TypeError(f'{function}() missing 1 required positional argument: "high"')
    return whole(0 if low is None else low, function, "low"), whole(high, function, "high")


@placing
def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
) -> Tensor:
    """The integers 0 ... n - 1 in random order. RuntimeError where the dtype doesn't hold n - 1."""
    n, stream = whole(n, "randperm", "n"), source(generator, "randperm")
    target = np.dtype(np.int64) if dtype is None and out is None else target_dtype(dtype, out)
    sizes((n,))
    if target.kind == "b":
        raise NotImplementedError("\"randperm\" not implemented for 'Bool'")
    number_as(max(n - 1, 0), target)
    if target.kind == "f":
        largest = 2 ** (np.finfo(target.type).nmant + 1) + 1
        require(n <= largest, f"n cannot be greater than {largest} for {dtype_of(target).name}: got {n}")
    place((n,), target, device, out)
    return finished(stream.permutation(n).astype(target, copy=False), requires_grad, device, out)


def bernoulli(
    input: Tensor, p: float | None = None, *, generator: Generator | None = None, out: Tensor | None = None
) -> Tensor:
    """1 with the probabilities in `input`, or everywhere `p`, else 0; of its shape and dtype."""
    require_tensor(input, "bernoulli")
    stream = source(generator, "bernoulli")
    if p is not None and out is not None:
        raise TypeError("bernoulli() takes p or out, not both")
    like = place(input._array.shape, input._array.dtype, None, out)
    drawn = bernoulli_values(like, input if p is None else real(p, "bernoulli", "p"), stream)
    return drawn if out is None else finished(drawn._array, False, None, out)


def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Indices drawn with the weights in each row of `input`: (n,) or (m, n) to (num_samples,) or (m, num_samples).

    Without replacement they are those of the largest weight / exponential number (Efraimidis and Spirakis, Inf.
    Process. Lett. 97 (2006), 181); where more are asked for than have a weight, the rest come in order.
    """
    require_tensor(input, "multinomial")
    weights, stream, n = (
        input._array,
        source(generator, "multinomial"),
        whole(num_samples, "multinomial", "num_samples"),
    )
    if not isinstance(replacement, bool):
        raise TypeError(f"multinomial(): argument 'replacement' must be bool, not {type(replacement).__name__}")
    require(
        out is None or out._array.dtype == np.int64,
        f"multinomial expects Long tensor out, got: {None if out is None else type_name(out)}",
    )
    require(n > 0, f"cannot sample n_sample <= 0 samples: got {n}")
    require(weights.ndim in (1, 2), f"prob_dist must be 1 or 2 dim, got shape {list(input.shape)}")
    require(
        weights.dtype.kind == "f", f"multinomial only supports floating-point dtypes for input, got: {type_name(input)}"
    )
    require(
        replacement or n <= weights.shape[-1],
        f"cannot sample n_sample > prob_dist.size(-1) samples without replacement: {n} > {weights.shape[-1]}",
    )
    require(weights.shape[-1] <= 2**24, f"number of categories cannot exceed 2^24, got {weights.shape[-1]}")
    require(
        bool(np.all((weights >= 0) & np.isfinite(weights))),
        "probability tensor contains either `inf`, `nan` or element < 0",
    )
    require(bool(np.all(np.any(weights > 0, axis=-1))), "invalid multinomial distribution (sum of probabilities <= 0)")
    if replacement and n > 1:
        indices = stream.choices(np.atleast_2d(weights), n).reshape(*weights.shape[:-1], n)
    else:
        drawn = laid_out(weights, lambda shape: stream.exponential(shape, weights.dtype))
        with np.errstate(divide="ignore", invalid="ignore"):
            indices = np.argsort(-(weights / drawn), axis=-1, kind="stable")[..., :n].copy()
    place(indices.shape, indices.dtype, None, out)
    return finished(indices, False, None, out)


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Counts of the given mean rates, in the shape and dtype of `input`. RuntimeError for a negative rate."""
    require_tensor(input, "poisson")
    stream, rates = source(generator, "poisson"), input._array
    require_float(rates.dtype, "poisson_cpu")
    require(bool(np.all(rates >= 0)), "invalid Poisson rate, expected rate to be non-negative")
    return constant(stream.poisson(rates), input)
