"""Functions that make tensors."""

from __future__ import annotations

import functools
import math
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minigrad.autograd.inplace import resize
from minigrad.autograd.node import Array, TensorBase, wrap
from minigrad.metadata import (
    bool_,
    check_device,
    device,
    dtype,
    dtype_of,
    float64,
    get_default_dtype,
    int64,
    memory_format,
    preserve_format,
    wants_contiguous,
)
from minigrad.ops.arguments import convert, ints, promote_dtypes, require_tensor, result_dtype, shape_of
from minigrad.ops.numbers import element_as, index_of, number, number_as, number_dtype
from minigrad.ops.placing import laid_out, options, placing

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

Device = str | device | None
_python_types = {float: float64, int: int64, bool: bool_}


def numpy_dtype(d: Any) -> np.dtype[Any]:
    """NumPy's dtype of one of PyTorch's, or of Python's float, int or bool; TypeError for anything else."""
    if not isinstance(d, dtype):
        if d not in (float, int, bool):
            raise TypeError(f"argument 'dtype' must be torch.dtype, not {type(d).__name__}: got {d!r}")
        d = _python_types[d]
    return d.numpy  # type: ignore[no-any-return]


def target_dtype(d: Any, out: Tensor | None) -> np.dtype[Any]:
    """The dtype of a new tensor: that of `out`, or the one given, or the default. RuntimeError where they differ."""
    target = get_default_dtype().numpy if d is None else numpy_dtype(d)
    if d is not None and out is not None and out._array.dtype != target:
        raise RuntimeError(f"dtype {dtype_of(target)} does not match dtype of out parameter ({out.dtype})")
    return target if out is None else out._array.dtype


def finished(array: Array, requires_grad: bool, device: Device, out: Tensor | None = None) -> Tensor:
    """A new tensor of `array`, or `out` filled with it; RuntimeError where integers are to require gradients."""
    check_device(device)
    if out is None:
        tensor = wrap(array)
    else:
        if out.requires_grad:
            raise RuntimeError(
                "functions with out=... arguments don't support automatic differentiation, but `out` requires grad"
            )
        tensor = out
        if out._array.shape != array.shape:
            resize(out, array.shape)
        out.copy_(wrap(array))
    if requires_grad:
        tensor.requires_grad_()
    return tensor


@placing
def tensor(data: Any, *, dtype: dtype | None = None, device: Device = None, requires_grad: bool = False) -> Tensor:
    """A copy of `data` as a tensor: numbers, nested lists, arrays. Floats get the default dtype, arrays keep theirs."""
    if isinstance(data, TensorBase):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=3,
        )
    return finished(array_of(data, dtype), requires_grad, device)


def array_of(data: Any, dtype: dtype | None) -> Array:
    """A new array of `data`, in the dtype given or that PyTorch infers."""
    target = None if dtype is None else numpy_dtype(dtype)
    if isinstance(data, TensorBase):
        data = data._array
    if isinstance(data, np.ndarray):
        check_array(data)
        with np.errstate(invalid="ignore", over="ignore"):
            return np.array(data, target, order="C")
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    shape = nested_shape(data)
    if target is None:
        target = inferred_dtype(data) or get_default_dtype().numpy
    numbers = flatten(data, shape) if 0 not in shape else []
    kinds = set(map(type, numbers))
    if not kinds <= _python_types.keys() or target.kind == "b":
        numbers = [number_in(x, target) for x in numbers]
    if target.kind in "iu":
        numbers = integers(numbers, target)
    with np.errstate(over="ignore"):
        array = np.array(numbers, np.int64 if target.kind == "u" else target)
    return array.astype(target, copy=False).reshape(shape)


def is_sequence(data: Any) -> bool:
    if isinstance(data, (list, tuple)):
        return True
    if isinstance(data, (TensorBase, np.generic, Mapping)):  # a tensor in a list counts as a number
        return False
    return hasattr(type(data), "__getitem__") and hasattr(type(data), "__len__")


def nested_shape(data: Any) -> tuple[int, ...]:
    """The shape of nested sequences, taken from the first of each."""
    shape: list[int] = []
    while is_sequence(data):
        if isinstance(data, (str, bytes)):
            raise ValueError(f"too many dimensions '{type(data).__name__}'")
        shape.append(len(data))
        if not len(data):
            break
        if len(shape) == 1 and type(data) is list and all(isinstance(x, np.ndarray) for x in data):
            warnings.warn(
                "Creating a tensor from a list of numpy.ndarrays is extremely slow: convert the list to a single "
                "numpy.ndarray with numpy.array() first",
                UserWarning,
                stacklevel=4,
            )
        data = data[0]
    return tuple(shape)


def inferred_dtype(data: Any) -> np.dtype[Any] | None:
    """The dtype that PyTorch gives numbers in nested sequences; None where there are none."""
    if isinstance(data, (TensorBase, np.ndarray, np.generic)):
        found: np.dtype[Any] = data._array.dtype if isinstance(data, TensorBase) else data.dtype
        dtype_of(found)  # TypeError for those that tensors can't have
        return found
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    if isinstance(data, complex):
        raise TypeError(f"minigrad has no complex tensors: got {data}")
    if isinstance(data, (int, float)):
        return number_dtype(type(data)())
    if not is_sequence(data):
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    kinds = set(map(type, data))
    if kinds and kinds <= _python_types.keys():
        return number_dtype(0.0 if float in kinds else 0 if int in kinds else False)
    dtypes = [d for d in map(inferred_dtype, data) if d is not None]
    return functools.reduce(promote_dtypes, dtypes) if dtypes else None


def flatten(data: Any, shape: tuple[int, ...], dim: int = 0) -> list[Any]:
    """What nested sequences hold, in order. ValueError where a sequence's length is not its shape's."""
    if dim == len(shape):
        return [data]
    if not is_sequence(data):
        raise TypeError(f"not a sequence: {data} stands at dim {dim}, beside sequences of length {shape[dim]}")
    if len(data) != shape[dim]:
        raise ValueError(f"expected sequence of length {shape[dim]} at dim {dim} (got {len(data)})")
    if dim == len(shape) - 1:
        return list(data)
    return [x for item in data for x in flatten(item, shape, dim + 1)]


def number_in(x: Any, target: np.dtype[Any]) -> Any:
    """An entry of a list as a Python number of the kind of `target`, by Python's own protocols."""
    if target.kind == "f":
        return float(x)
    if target.kind == "b" and isinstance(x, (int, float, np.bool_)):
        return bool(x)
    return x if isinstance(x, float) else operator.index(x)


def integers(numbers: list[Any], target: np.dtype[Any]) -> list[int]:
    """Numbers as ints. RuntimeError where one doesn't fit the dtype; negative ints wrap around in uint8."""
    for x in (min(numbers), max(numbers)) if set(map(type, numbers)) == {int} else numbers:
        if isinstance(x, int) and not -(2**63) <= x < 2**63:
            raise ValueError(f"Overflow when unpacking long long: {x} is no int64")
    if target == np.int64 and not any(isinstance(x, float) for x in numbers):
        return numbers
    return [int(number_as(x, target)) for x in numbers]


def check_array(array: Array) -> None:
    """TypeError or ValueError for arrays that PyTorch's tensors can't be made of."""
    dtype_of(array.dtype if array.dtype.isnative else array.dtype.newbyteorder("="))
    if any(s < 0 for s in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
            "currently supported. (You can probably work around this by making a copy of your array with array.copy().)"
        )
    if any(s % array.itemsize for s in array.strides):
        raise ValueError(
            "given numpy array strides not a multiple of the element byte size: use array.copy(), which has memory of "
            "its own"
        )
    if not array.dtype.isnative:
        raise ValueError("given numpy array has byte order different from the native byte order: use .astype()")


def as_tensor(data: Any, *, dtype: dtype | None = None, device: Device = None) -> Tensor:
    """`data` as a tensor, without a copy where it is a tensor or an array of the right dtype."""
    if isinstance(data, TensorBase):
        return convert(data, numpy_dtype(dtype) if dtype else data._array.dtype)  # type: ignore[no-any-return]
    if isinstance(data, np.ndarray) and (dtype is None or data.dtype == numpy_dtype(dtype)):
        check_device(device)
        return from_numpy(data)
    return finished(array_of(data, dtype), False, device)


def from_numpy(array: Array) -> Tensor:
    """A tensor that shares an array's memory. TypeError unless an ndarray of a supported dtype."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    check_array(array)
    if not array.flags.writeable:
        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable tensors. Copy it to "
            "protect its data, or make it writable, before converting it to a tensor.",
            UserWarning,
            stacklevel=2,
        )
    own = np.asarray(array.data)  # not a view of `array`, whose base would be the storage
    return wrap(own if own.strides == array.strides else as_strided(own, array.shape, array.strides))


def sizes(shape: tuple[Any, ...], name: str = "new") -> tuple[int, ...]:
    if not shape:
        raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
    if type(shape[0]) is bool:
        raise TypeError(f"{name}(): argument 'size' must be tuple of ints, not bool")
    result = shape_of(shape)
    if any(n < 0 for n in result):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(result)}: {list(result)}")
    if math.prod(result) >= 2**60:
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(result)}")
    return result


def filled(name: str, make: Callable[..., Array], doc: str) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """A function of a shape, and its `_like` twin."""

    def create(
        *size: Any,
        dtype: dtype | None = None,
        device: Device = None,
        requires_grad: bool = False,
        out: Tensor | None = None,
        **named: Any,
    ) -> Tensor:
        if name == "empty" and named.pop("memory_format", None) is preserve_format:
            raise RuntimeError("unsupported memory format Preserve: leave it out")
        shape = sizes((*size, *options(name, named, "size")), name)
        return finished(make(shape, target_dtype(dtype, out)), requires_grad, device, out)

    def create_like(
        input: Tensor,
        *,
        dtype: dtype | None = None,
        device: Device = None,
        requires_grad: bool = False,
        memory_format: memory_format | None = None,
    ) -> Tensor:
        require_tensor(input, f"{name}_like")
        target = numpy_dtype(dtype) if dtype else input._array.dtype
        contiguous = wants_contiguous(memory_format, f"{name}_like")
        return finished(laid_out(input._array, lambda shape: make(shape, target), contiguous), requires_grad, device)

    create.__name__ = create.__qualname__ = name
    create_like.__name__ = create_like.__qualname__ = f"{name}_like"
    create.__doc__ = f"A tensor of the given shape {doc}."
    create_like.__doc__ = f"A tensor of the shape and dtype of `input` {doc}."
    return placing(create), placing(create_like)


def require_float(dtype: np.dtype[Any], name: str) -> None:
    if dtype.kind != "f":
        raise NotImplementedError(f"\"{name}\" not implemented for '{dtype_of(dtype).legacy.removesuffix('Tensor')}'")


zeros, zeros_like = filled("zeros", np.zeros, "filled with 0")
ones, ones_like = filled("ones", np.ones, "filled with 1")
empty, empty_like = filled("empty", np.empty, "whose elements are whatever the memory held")


@placing
def full(
    size: Sequence[int],
    fill_value: Any,
    *,
    out: Tensor | None = None,
    dtype: dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of the given shape filled with a number, whose kind decides the dtype where none is given."""
    shape = ints(size, "full", "size")
    sizes((shape,))
    fill_value = number(fill_value, "full(): argument 'fill_value'")
    target = result_dtype(fill_value) if dtype is None and out is None else target_dtype(dtype, out)
    return finished(np.full(shape, number_as(fill_value, target)), requires_grad, device, out)


@placing
def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
    memory_format: memory_format | None = None,
) -> Tensor:
    """A tensor of the shape and dtype of `input` filled with a number."""
    require_tensor(input, "full_like")
    filled = full(input.shape, fill_value, dtype=dtype or input.dtype, device=device)._array
    contiguous = wants_contiguous(memory_format, "full_like")
    return finished(laid_out(input._array, lambda shape: filled.reshape(shape), contiguous), requires_grad, device)


@placing
def eye(
    n: int,
    m: int | None = None,
    *,
    out: Tensor | None = None,
    dtype: dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
) -> Tensor:
    """The n by m identity matrix."""
    shape = ints((n, n if m is None else m), "eye", "n")
    if min(shape) < 0:
        raise RuntimeError(f"n and m must be greater or equal to 0, got {shape[0]} and {shape[1]}")
    return finished(np.eye(*shape, dtype=target_dtype(dtype, out)), requires_grad, device, out)


def bound(x: Any, function: str, name: str) -> Any:
    """An end of a range as a Python number; TypeError unless a number."""
    return number(wrap(x._array) if isinstance(x, TensorBase) else x, f"{function}(): argument '{name}'")


@placing
def arange(
    *bounds: Any,
    out: Tensor | None = None,
    dtype: dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
    **named: Any,
) -> Tensor:
    """start, start + step, ... up to before end: arange(end), arange(start, end), arange(start, end, step)."""
    options("arange", named, "start", "end", "step")
    if len(bounds) == 1 and "end" not in named:
        named["end"] = bounds[0]
    else:
        named.update(zip(("start", "end", "step"), bounds, strict=False))
    if "end" not in named or len(bounds) > 3:
        raise TypeError(f"arange() takes end, or start and end, or start, end and step: got {bounds}")
    given = {"start": 0, "step": 1} | named
    start, end, step = (bound(given[name], "arange", name) for name in ("start", "end", "step"))
    if dtype is None and out is None and all(isinstance(x, int) for x in (start, end, step)):
        target = np.dtype(np.int64)
    else:
        target = target_dtype(dtype, out)
    if target.kind == "b":
        raise NotImplementedError("\"arange_cpu\" not implemented for 'Bool'")
    if step == 0 or step != step:
        raise RuntimeError(f"step must be nonzero, got {step}")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError(
            f"upper bound and lower bound inconsistent with step sign: start {start}, end {end}, step {step}"
        )
    # PyTorch accumulates in a wide type, and rounds once.
    wide = np.int64 if target.kind != "f" else np.float64 if target.itemsize > 2 else np.float32
    for x in (start, end, step):
        number_as(x, np.dtype(wide))
    if target == np.int64:
        start, end, step = int(start), int(end), int(step)
        if step == 0:
            raise ValueError(f"step must be nonzero in {target}: got {given['step']}")
    count = math.ceil((end - start) / step if target == np.int64 else (float(end) - start) / step)
    if target.kind != "f":
        start, step = int(start), int(step)
    return finished((start + np.arange(count, dtype=wide) * step).astype(target), requires_grad, device, out)


@placing
def linspace(
    start: Any,
    end: Any,
    steps: int | None = None,
    *,
    out: Tensor | None = None,
    dtype: dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from start to end, both included, evenly spaced.

    TypeError without `steps`, which older tutorials leave out. As ATen's RangeFactories.cpp: the first half is counted
    up from start, the second down from end.
    """
    if steps is None:
        raise TypeError(
            "linspace() missing 1 required positional argument: 'steps'. Older versions took 100: write "
            f"torch.linspace({start}, {end}, 100)"
        )
    for x in (start, end):
        if isinstance(x, TensorBase) and x._array.ndim:
            raise RuntimeError(
                f"linspace only supports 0-dimensional start and end tensors, but got {list(x._array.shape)}"
            )
    start, end, steps = bound(start, "linspace", "start"), bound(end, "linspace", "end"), index_of(steps, "steps")
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, got {steps}")
    target = target_dtype(dtype, out)
    if steps < 2:
        return finished(np.full(steps, element_as(start, target) if steps else 0, target), requires_grad, device, out)
    if target.kind == "b":
        raise NotImplementedError("\"linspace_cpu\" not implemented for 'Bool'")
    a, b = number_as(start, target), number_as(end, target)
    i = np.arange(steps)
    if target.kind == "f":
        with np.errstate(invalid="ignore", over="ignore"):
            step = (b - a) / target.type(steps - 1)
        # In double the product is exact for float32, and the sum is rounded once: a fused multiply-add.
        wide = np.longdouble if target.itemsize == 8 else np.float64
        with np.errstate(invalid="ignore"):
            up, down = wide(a) + wide(step) * i, wide(b) - wide(step) * (steps - 1 - i)
        array = np.where(i < steps // 2, up, down).astype(target)
    else:
        start, end = int(a), int(b)
        step = (end - start) / (steps - 1)
        array = np.where(i < steps // 2, start + step * i, end - step * (steps - 1 - i)).astype(target)
    return finished(array, requires_grad, device, out)
