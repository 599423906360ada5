"""In-place draws: each sets the elements of a tensor to random numbers, in the order in which they lie in memory."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import kernels
from minigrad.autograd.graph import apply
from minigrad.autograd.inplace import check_writable
from minigrad.autograd.node import Array, TensorBase, wrap
from minigrad.ops.arguments import convert
from minigrad.ops.creation import require_float
from minigrad.ops.numbers import index_of
from minigrad.ops.placing import laid_out
from minigrad.ops.shaping import broadcast_to
from minigrad.random import Generator, default_generator
from minigrad.stream import Stream

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

# What C++ calls the dtypes, in PyTorch's errors for values that don't fit.
C_NAMES = {
    "float16": "c10::Half", "float32": "float", "float64": "double", "uint8": "unsigned char", "int8": "signed char",
    "int16": "short int", "int32": "int", "int64": "long int", "bool": "bool",
}  # fmt: skip


# arguments


def source(generator: Generator | None, function: str) -> Stream:
    """The generator to draw from; TypeError unless it is one."""
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        raise TypeError(f"{function}(): argument 'generator' must be torch.Generator, not {type(generator).__name__}")
    return generator


def real(x: Any, function: str, argument: str) -> float:
    """A parameter as a float; TypeError unless it is a number, or a tensor without dims."""
    if not isinstance(x, (int, float, np.number, np.bool_)) and not (isinstance(x, TensorBase) and not x._array.ndim):
        raise TypeError(f"{function}(): argument '{argument}' must be float, not {type(x).__name__}")
    return float(x)  # type: ignore[arg-type]


def whole(x: Any, function: str, argument: str) -> int:
    """A parameter as an int; TypeError unless it is one, ValueError where it is no int64."""
    n = index_of(x, argument)
    if not -(2**63) <= n < 2**63:
        raise ValueError(f"Overflow when unpacking long long: {argument}={n} of {function}() is no int64")
    return n


def require(condition: bool, message: str) -> None:
    """RuntimeError unless the condition holds."""
    if not condition:
        raise RuntimeError(message)


def continuous(x: Tensor, kind: str) -> None:
    """RuntimeError, PyTorch's, where numbers of a continuous distribution are to go into integers."""
    require(
        x._array.dtype.kind == "f",
        f"{kind} distribution is a continuous probability distribution. dtype must be a floating point but you "
        f"specified {C_NAMES[x.dtype.name]}",
    )


# values, in the dtype of an array and laid out in memory as it is


def uniform_values(like: Array, low: float, high: float, stream: Stream) -> Array:
    """Uniform numbers in [low, high), bounds that the dtype holds. NotImplementedError unless it is a floating one."""
    require_float(like.dtype, "check_uniform_bounds")
    return laid_out(like, lambda shape: stream.uniform(shape, like.dtype, low, high))


def normal_values(like: Array, mean: float, std: float, stream: Stream) -> Array:
    """Normal numbers; RuntimeError where std is negative."""
    require(std >= 0.0, f"normal expects std >= 0.0, but found std {std:g}")
    if like.size:
        require_float(like.dtype, "normal_kernel_cpu")
    contiguous = like.flags.c_contiguous
    return laid_out(like, lambda shape: stream.normal(shape, like.dtype, mean, std, contiguous=contiguous))


def integer_values(like: Array, low: Any, high: Any, stream: Stream) -> Array:
    """Integers of [low, high), to the end of the dtype's range where `high` is None; errors of integer_range."""
    first, end = integer_range(low, high, like.dtype)
    return laid_out(like, lambda shape: stream.integers(shape, like.dtype, first, end))


def integer_range(low: Any, high: Any, dtype: np.dtype[Any]) -> tuple[int, int]:
    """The range [low, high) of random integers in a dtype, to its end where `high` is None; RuntimeError where it
    doesn't hold them. In a floating dtype the bounds move inwards to the next numbers that it has."""
    name = C_NAMES[dtype.name]
    low, high = whole(low, "random_", "from"), None if high is None else whole(high, "random_", "to")
    require(high is None or low < high, f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    if dtype.kind != "f":
        least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        exact = most
    else:
        most = int(np.finfo(dtype).max)
        least, exact = -most, 2 ** (np.finfo(dtype).nmant + 1)
    if high is None and low == -(2**63):
        if dtype.char == "e":
            raise NotImplementedError("\"random_full_64_bits_range_kernel_cpu\" not implemented for 'Half'")
        require(dtype.char in "qldf", "random_full_64_bits_range_kernel_cpu handles only int64, double and float")
        return low, 2**63
    end = exact + 1 if high is None else high
    for value, bound in ((low, "from"), (end - 1, "to - 1")):
        require(least <= value <= most, f"{bound} is out of bounds for {name}: got {value}")
        if dtype.kind == "f" and abs(value) > exact:
            digits = exact.bit_length() - 1
            warnings.warn(
                f"{bound} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision limitations {name} can "
                f"support discrete uniform distribution only within this range: got {value}",
                UserWarning,
                stacklevel=3,
            )
    if dtype.kind == "f":
        if (rounded := int(dtype.type(low + 1))) < low:
            low = rounded + 2 ** abs(low + 1).bit_length() // exact
        if high is not None and (rounded := int(dtype.type(end - 1))) >= end:
            end = rounded - 2 ** abs(end - 1).bit_length() // exact
        require(low < end, f"random_ expects 'from' casted to dtype to be less than 'to', but got {low} >= {end}")
    return low, end


def bernoulli_values(like: Array, p: Tensor | float, stream: Stream) -> Tensor:
    """1 with probability p, else 0; errors where p is no probability, or a tensor that doesn't broadcast to `like`."""
    if not isinstance(p, TensorBase):
        number = real(p, "bernoulli_", "p")
        require(0.0 <= number <= 1.0, f"bernoulli_ expects p to be in [0, 1], but got p={number:g}")
        return wrap((laid_out(like, lambda shape: stream.uniform(shape, np.float64)) < number).astype(like.dtype))
    require_float(p._array.dtype, "bernoulli_tensor_cpu_p_")
    if not np.all((p._array >= 0) & (p._array <= 1)):
        raise RuntimeError(f"Expected p_in >= 0 && p_in <= 1 to be true, but got false: the probabilities are {p}")
    try:
        probability = np.broadcast_to(p._array, like.shape)
    except ValueError:
        raise RuntimeError(
            f"The expanded size of the tensor {list(like.shape)} must match the shape of p, {list(p.shape)}"
        ) from None
    precision = np.float64 if p._array.dtype == np.float64 else np.float32
    values = laid_out(like, lambda shape: stream.uniform(shape, precision)) < probability
    return constant(values.astype(like.dtype), p)


def constant(values: Array, *inputs: Tensor) -> Tensor:
    """A tensor of random values, whose gradient at the inputs that they were drawn for is 0, as PyTorch has it."""
    out = wrap(values)
    for x in inputs:
        if x.requires_grad and values.dtype.kind == "f":
            out = apply(kernels.fill, broadcast_to(convert(x, values.dtype), values.shape), out)
    return out


# in place


def fill(x: Tensor, name: str, values: Array | Tensor) -> Tensor:
    """Set the elements of x."""
    return x._overwrite(wrap(values) if isinstance(values, np.ndarray) else values, name)


def uniform_(x: Tensor, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Set the elements to uniform numbers in [from, to)."""
    low, high, stream = real(from_, "uniform_", "from"), real(to, "uniform_", "to"), source(generator, "uniform_")
    check_writable(x)
    dtype = x._array.dtype
    require_float(dtype, "check_uniform_bounds")
    largest = float(np.finfo(dtype).max)
    for end, bound in ((low, "from"), (high, "to")):
        require(-largest <= end <= largest, f"{bound} is out of bounds for {C_NAMES[x.dtype.name]}: got {end:g}")
    require(low <= high, f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}")
    require(
        high - low <= largest,
        f"uniform_ expects to-from <= {largest:g}, the largest {x.dtype.name}, but found to={high:g} and from={low:g}",
    )
    return fill(x, "uniform_", uniform_values(x._array, low, high, stream))


def normal_(x: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Set the elements to normal numbers of a mean and a standard deviation."""
    mean, std, stream = real(mean, "normal_", "mean"), real(std, "normal_", "std"), source(generator, "normal_")
    check_writable(x)
    return fill(x, "normal_", normal_values(x._array, mean, std, stream))


def bernoulli_(x: Tensor, p: Tensor | float = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Set the elements to 1 with probability p, else to 0; a tensor p broadcasts to this one."""
    check_writable(x)
    return fill(x, "bernoulli_", bernoulli_values(x._array, p, source(generator, "bernoulli_")))


def random_(x: Tensor, *bounds: int | None, to: int | None = None, generator: Generator | None = None) -> Tensor:
    """Set the elements to integers: random_() from 0 to the end of the dtype's range, random_(to) in [0, to),
    random_(from, to) in [from, to).

    A floating dtype's range ends where it ceases to hold every integer: float32's at 2**24.
    """
    stream, dtype = source(generator, "random_"), x._array.dtype
    if to is not None:
        bounds = (*(bounds or (0,)), to)
    elif len(bounds) == 1:
        bounds = 0, whole(bounds[0], "random_", "to")
    if len(bounds) > 2:
        raise TypeError(f"random_() takes from and to, got {bounds}")
    check_writable(x)
    if not bounds:
        return fill(x, "random_", laid_out(x._array, lambda shape: stream.random(shape, dtype)))
    low, high = bounds
    return fill(x, "random_", integer_values(x._array, low, high, stream))


def exponential_(x: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Set the elements to exponential numbers of a rate, that is, of mean 1 / lambd."""
    rate, stream = real(lambd, "exponential_", "lambd"), source(generator, "exponential_")
    check_writable(x)
    require(rate > 0.0, f"exponential_ expects lambda > 0.0, but found lambda={rate:g}")
    if x._array.size:
        continuous(x, "Exponential")
    return fill(x, "exponential_", laid_out(x._array, lambda shape: stream.exponential(shape, x._array.dtype, rate)))


def geometric_(x: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Set the elements to how many trials of probability p it took until the first success."""
    p, stream, dtype = real(p, "geometric_", "p"), source(generator, "geometric_"), x._array.dtype
    check_writable(x)
    require(0.0 < p < 1.0, f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    if x._array.size and dtype.kind == "b":
        raise NotImplementedError("\"geometric_cpu\" not implemented for 'Bool'")
    return fill(x, "geometric_", laid_out(x._array, lambda shape: stream.geometric(shape, dtype, p)))


def log_normal_(x: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None) -> Tensor:
    """Set the elements to numbers whose logarithms are normal, of the given mean and standard deviation."""
    mean, std = real(mean, "log_normal_", "mean"), real(std, "log_normal_", "std")
    stream = source(generator, "log_normal_")
    check_writable(x)
    require(std > 0.0, f"log_normal_ expects std > 0.0, but found std={std:g}")
    if x._array.size:
        require_float(x._array.dtype, "log_normal_cpu")
    return fill(x, "log_normal_", laid_out(x._array, lambda shape: stream.log_normal(shape, x._array.dtype, mean, std)))


def cauchy_(x: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Set the elements to Cauchy numbers of a median and a half width."""
    median, sigma = real(median, "cauchy_", "median"), real(sigma, "cauchy_", "sigma")
    stream = source(generator, "cauchy_")
    check_writable(x)
    require(sigma > 0.0, f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    continuous(x, "Cauchy")
    return fill(x, "cauchy_", laid_out(x._array, lambda shape: stream.cauchy(shape, x._array.dtype, median, sigma)))
