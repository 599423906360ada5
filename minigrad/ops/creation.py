"""Functions that make tensors."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.autograd.node import Array, TensorBase, wrap
from minigrad.metadata import check_device, device, dtype, dtype_of, get_default_dtype
from minigrad.ops.arguments import Number, number_dtype, require_tensor, shape_of

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

Device = str | device | None


def finished(array: Array, requires_grad: bool, device: Device, out: Tensor | None = None) -> Tensor:
    """A new tensor of `array`; RuntimeError where an integer tensor is to require gradients."""
    check_device(device)
    if out is not None:
        return out.copy_(wrap(array))
    tensor = wrap(array)
    if requires_grad:
        tensor.requires_grad_()
    return tensor


def tensor(data: Any, *, dtype: dtype | None = None, device: Device = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of `data`: numbers, nested lists, arrays. Floats get the default dtype, arrays keep theirs."""
    if isinstance(data, TensorBase):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
    return finished(array_of(data, dtype), requires_grad, device)


def array_of(data: Any, dtype: dtype | None) -> Array:
    """A new array of `data`, in the dtype given or that PyTorch infers."""
    if isinstance(data, TensorBase):
        data = data._array
    if isinstance(data, (np.ndarray, np.generic)):
        if dtype is None:
            dtype_of(data.dtype)  # TypeError for those that tensors can't have
        return np.array(data, dtype.numpy if dtype else None, order="C")
    shape = nested_shape(data)
    flat = flatten(data, shape)
    if dtype is None:
        kinds = {number_dtype(x) if not isinstance(x, np.generic) else x.dtype for x in flat}
        target = max(kinds, key=lambda d: ("biuf".index(d.kind), d.itemsize), default=get_default_dtype().numpy)
        dtype_of(target)
    else:
        target = dtype.numpy
    if target.kind in "iu" and any(isinstance(x, float) for x in flat):
        flat = [int(x) for x in flat]
    try:
        array = np.array(flat, target) if flat else np.empty(0, target)
    except OverflowError as error:
        raise RuntimeError(
            f"value cannot be converted to type {dtype_of(target).name} without overflow: {error}"
        ) from None
    return array.reshape(shape)


def nested_shape(data: Any) -> tuple[int, ...]:
    """The shape of nested sequences, taken from the first of each."""
    shape = []
    while isinstance(data, (Sequence, TensorBase, np.ndarray)) and not isinstance(data, str):
        if not isinstance(data, Sequence):
            return (*shape, *data.shape)
        shape.append(len(data))
        if not data:
            break
        data = data[0]
    return tuple(shape)


def flatten(data: Any, shape: tuple[int, ...], dim: int = 0) -> list[Any]:
    """The numbers in nested sequences. ValueError where a sequence's length is not its shape's."""
    if isinstance(data, TensorBase):
        return list(data._array.reshape(-1)) if data._array.ndim else [data._array[()]]
    if isinstance(data, np.ndarray):
        return list(data.reshape(-1))
    if dim == len(shape):
        if isinstance(data, (Sequence, bytes)) or not isinstance(data, (int, float, np.generic)):
            if isinstance(data, str):
                raise TypeError("new(): invalid data type 'str'")
            if isinstance(data, Sequence):
                raise ValueError(
                    f"too many dimensions: a sequence of length {len(data)} stands at dim {dim}, beside numbers"
                )
            raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
        return [data]
    if not isinstance(data, Sequence):
        raise TypeError(f"expected a sequence of length {shape[dim]} at dim {dim}, got {type(data).__name__}")
    if len(data) != shape[dim]:
        raise ValueError(f"expected sequence of length {shape[dim]} at dim {dim} (got {len(data)})")
    if dim == len(shape) - 1 and all(type(x) in (float, int, bool) for x in data):
        return list(data)
    return [x for item in data for x in flatten(item, shape, dim + 1)]


def as_tensor(data: Any, dtype: dtype | None = None, device: Device = None) -> Tensor:
    """`data` as a tensor, without a copy where it is a tensor or an array of the right dtype."""
    if isinstance(data, TensorBase):
        return data.to(dtype) if dtype else data  # type: ignore[attr-defined, no-any-return]
    if isinstance(data, np.ndarray) and (dtype is None or data.dtype == dtype.numpy):
        check_device(device)
        return from_numpy(data)
    return finished(array_of(data, dtype), False, device)


def from_numpy(array: Array) -> Tensor:
    """A tensor that shares an array's memory. TypeError unless an ndarray of a supported dtype."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    dtype_of(array.dtype)
    if any(s < 0 for s in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
            "currently supported. (You can probably work around this by making a copy of your array with array.copy().)"
        )
    if not array.dtype.isnative:
        raise ValueError("given numpy array has byte order different from the native byte order: use .astype()")
    if not array.flags.writeable:
        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable tensors. Copy it to "
            "protect its data, or make it writable, before converting it to a tensor.",
            UserWarning,
            stacklevel=2,
        )
    return wrap(array.view(np.ndarray))


def default(dtype: dtype | None) -> np.dtype[Any]:
    return (dtype or get_default_dtype()).numpy


def sizes(shape: tuple[Any, ...]) -> tuple[int, ...]:
    result = shape_of(shape)
    if any(n < 0 for n in result):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(result)}: {list(result)}")
    return result


def filled(name: str, make: Callable[..., Array], doc: str) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """A function of a shape, and its `_like` twin."""

    def create(
        *size: Any,
        dtype: dtype | None = None,
        device: Device = None,
        requires_grad: bool = False,
        out: Tensor | None = None,
    ) -> Tensor:
        return finished(make(sizes(size), default(dtype)), requires_grad, device, out)

    def create_like(
        input: Tensor, *, dtype: dtype | None = None, device: Device = None, requires_grad: bool = False
    ) -> Tensor:
        require_tensor(input, f"{name}_like")
        like = input._array
        return finished(make(like.shape, dtype.numpy if dtype else like.dtype), requires_grad, device)

    create.__name__ = create.__qualname__ = name
    create_like.__name__ = create_like.__qualname__ = f"{name}_like"
    create.__doc__ = f"A tensor of the given shape {doc}."
    create_like.__doc__ = f"A tensor of the shape and dtype of `input` {doc}."
    return create, create_like


def require_float(dtype: np.dtype[Any], name: str) -> None:
    if dtype.kind != "f":
        raise NotImplementedError(f"\"{name}\" not implemented for '{dtype_of(dtype).legacy.removesuffix('Tensor')}'")


zeros, zeros_like = filled("zeros", np.zeros, "filled with 0")
ones, ones_like = filled("ones", np.ones, "filled with 1")
empty, empty_like = filled("empty", np.empty, "whose elements are whatever the memory held")


def full(
    size: Sequence[int],
    fill_value: Number,
    *,
    dtype: dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """A tensor of the given shape filled with a number, in its dtype unless another is given."""
    if isinstance(fill_value, TensorBase):
        fill_value = fill_value.item()  # type: ignore[attr-defined]
    target = dtype.numpy if dtype else number_dtype(fill_value)
    return finished(np.full(sizes((size,)), fill_value).astype(target), requires_grad, device, out)


def full_like(
    input: Tensor, fill_value: Number, *, dtype: dtype | None = None, device: Device = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of the shape and dtype of `input` filled with a number."""
    return full(input.shape, fill_value, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


def eye(
    n: int, m: int | None = None, *, dtype: dtype | None = None, device: Device = None, requires_grad: bool = False
) -> Tensor:
    """The n by m identity matrix."""
    return finished(np.eye(*sizes((n, n if m is None else m)), dtype=default(dtype)), requires_grad, device)


def arange(
    *bounds: Number, dtype: dtype | None = None, device: Device = None, requires_grad: bool = False, **named: Number
) -> Tensor:
    """start, start + step, ... up to before end: arange(end), arange(start, end), arange(start, end, step)."""
    start, end, step = named.get("start", 0), named.get("end"), named.get("step", 1)
    if len(bounds) == 1:
        (end,) = bounds
    elif bounds:
        start, end, step = (*bounds, step)[:3]
    if end is None:
        raise TypeError('arange() missing 1 required positional arguments: "end"')
    start, end, step = (x.item() if isinstance(x, (TensorBase, np.generic)) else x for x in (start, end, step))
    ints = all(isinstance(x, int) for x in (start, end, step))
    target = dtype.numpy if dtype else np.dtype(np.int64) if ints else get_default_dtype().numpy
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError(
            f"upper bound and lower bound inconsistent with step sign: start {start}, end {end}, step {step}"
        )
    count = math.ceil((end - start) / step)
    wide = np.int64 if ints else np.float64  # PyTorch accumulates in the wide type, and rounds once
    return finished((start + np.arange(count, dtype=wide) * step).astype(target), requires_grad, device)


def linspace(
    start: Number,
    end: Number,
    steps: int,
    *,
    out: Tensor | None = None,
    dtype: dtype | None = None,
    device: Device = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from start to end, both included, evenly spaced.

    As ATen's RangeFactories.cpp: the first half is counted up from start, the second down from end.
    """
    start, end = (x.item() if isinstance(x, TensorBase) else x for x in (start, end))  # type: ignore[attr-defined]
    steps = operator.index(steps)
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, got {steps}")
    target = default(dtype)
    i = np.arange(steps)
    if target.kind == "f":
        a, b = target.type(start), target.type(end)
        step = (b - a) / target.type(max(steps - 1, 1))
        # In double the product is exact for float32, and the sum is rounded once: a fused multiply-add.
        wide = np.longdouble if target.itemsize == 8 else np.float64
        up, down = wide(a) + wide(step) * i, wide(b) - wide(step) * (steps - 1 - i)
        array = np.where(i < steps // 2, up, down).astype(target)
        if steps == 1:
            array[:] = a
    else:
        step = (end - start) / max(steps - 1, 1)
        array = np.where(i < steps // 2, start + step * i, end - step * (steps - 1 - i)).astype(target)
        if steps == 1:
            array[:] = int(start)
    return finished(array, requires_grad, device, out)
