"""The border between PyTorch's arguments and NumPy's: dtype promotion, dims, shapes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar, cast

import numpy as np

from minigrad import kernels
from minigrad.autograd.graph import apply
from minigrad.autograd.inplace import Target
from minigrad.autograd.node import TensorBase, wrap
from minigrad.metadata import dtype, dtype_of, get_default_dtype
from minigrad.ops.numbers import UINT64, Number, index_of, number, number_dtype, size_of

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

Dims: TypeAlias = int | Sequence[int] | None
F = TypeVar("F", bound=Callable[..., Any])
_category = {"b": 0, "i": 1, "u": 1, "f": 2}


def numpy_names(function: F) -> F:
    """`function` with NumPy's names for its arguments too; `keepdim` without `dim` raises where PyTorch's does."""
    name = function.__name__

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            for theirs in kwargs.keys() & NUMPY_NAMES.keys():
                if (own := NUMPY_NAMES[theirs]) not in kwargs:
                    kwargs[own] = kwargs.pop(theirs)
            if "keepdim" in kwargs and len(args) < 2 and "dim" not in kwargs and name in NEED_DIM:
                raise TypeError(f"{name}() takes keepdim={kwargs['keepdim']} only together with dim: name the dims too")
        return function(*args, **kwargs)

    return cast(F, call)


NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim", "x": "input", "x1": "input", "a": "input"}
NEED_DIM = ("sum", "mean", "prod", "max", "min")


def pair(x: Any, y: Any) -> tuple[Any, Any]:
    """Two operands with one dtype, PyTorch's promotion of theirs. Python numbers stay numbers where NumPy agrees."""
    if isinstance(x, TensorBase):
        dtype = x._array.dtype
        if isinstance(y, TensorBase):
            if dtype is y._array.dtype:
                return x, y
        elif stays(y, dtype.kind):
            return x, y
    elif isinstance(y, TensorBase) and stays(x, y._array.dtype.kind):
        return x, y
    return promote(x, y)


def stays(x: Any, kind: str) -> bool:
    """Whether a Python number beside a tensor of that kind gives the same dtype and value in NumPy as in PyTorch."""
    if kind == "f":
        return type(x) is float or (type(x) is int and -(2**63) <= x < 2**64)
    return kind == "i" and type(x) is int and -128 <= x < 128


def promote(*operands: Any) -> tuple[Any, ...]:
    """The operands as tensors of one dtype, PyTorch's promotion of theirs."""
    target = result_dtype(*operands)
    return tuple(convert(x, target) for x in operands)


def convert(x: Any, target: np.dtype[Any]) -> Any:
    """A tensor or a number as a tensor of the given dtype."""
    if isinstance(x, TensorBase):
        if x._array.dtype == target:
            return x
        return apply(kernels.cast if target.kind == "f" else kernels.discrete, x, dtype=target)
    return wrap(np.asarray(number(x)).astype(target))


def result_dtype(*operands: Any) -> np.dtype[Any]:
    """torch.result_type: tensors with dimensions decide, then 0-d tensors, then numbers, unless of a higher kind.

    RuntimeError where it is uint64, as that of a number above all int64 may be.
    """
    result: np.dtype[Any] | None = None
    groups: tuple[list[np.dtype[Any]], ...] = ([], [], [])
    for x in operands:
        if isinstance(x, TensorBase):
            groups[0 if x._array.ndim else 1].append(x._array.dtype)
        else:
            groups[2].append(number_dtype(x))
    for group in groups:
        dtype = None
        for d in group:
            dtype = d if dtype is None else promote_dtypes(dtype, d)
        if dtype is not None and (result is None or _category[dtype.kind] > _category[result.kind]):
            result = dtype
    assert result is not None
    if result == UINT64:
        raise RuntimeError(
            "Promotion for uint16, uint32, uint64 types is not supported: there is a number above 2**63 - 1 among the "
            "operands; write it as a float"
        )
    return result


def promote_dtypes(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """torch.promote_types: as NumPy within a kind; between kinds the higher one, unwidened."""
    if UINT64 in (a, b) and _category[a.kind] == _category[b.kind]:
        return UINT64
    if _category[a.kind] == _category[b.kind]:
        return np.promote_types(a, b)
    return a if _category[a.kind] > _category[b.kind] else b


def result_type(tensor1: Tensor | Number, tensor2: Tensor | Number) -> dtype:
    """The dtype of an operation on the two."""
    return dtype_of(result_dtype(tensor1, tensor2))


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The dtype of an operation on tensors of the two."""
    return dtype_of(promote_dtypes(type1.numpy, type2.numpy))


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether results of the first dtype may be written into tensors of the second: not floats into integers."""
    return _category[from_.numpy.kind] <= _category[to.numpy.kind]


def floating(x: Tensor) -> Tensor:
    """Integers and bools as the default floating dtype, which is what PyTorch's floating-point functions compute in."""
    return x if x._array.dtype.kind == "f" else apply(kernels.cast, x, dtype=get_default_dtype().numpy)


def require_tensor(x: Any, function: str, argument: str = "input") -> None:
    """TypeError, PyTorch's, unless x is a tensor."""
    if not isinstance(x, TensorBase):
        raise TypeError(f"{function}(): argument '{argument}' must be Tensor, not {type(x).__name__}")


def refuse(kernel: str, x: Tensor, y: Tensor, out: Tensor | None) -> NoReturn:
    """NotImplementedError, as PyTorch has no kernel for that dtype; RuntimeError where the shapes are wrong, too."""
    shape = apply(np.logical_or, x, y)._array.shape
    if isinstance(out, Target) and out._array.shape != shape:
        raise RuntimeError(
            f"output with shape {list(out._array.shape)} doesn't match the broadcast shape {list(shape)}: "
            "an in-place operation can't grow its tensor"
        )
    raise NotImplementedError(f"\"{kernel}\" not implemented for '{type_name(y)}': convert with .to()")


def not_a_tensor(x: Any, function: str, argument: str) -> Exception:
    """PyTorch's error where a function written in Python gets something else for a tensor."""
    kind = TypeError if isinstance(x, np.ndarray) else AttributeError
    return kind(f"{function}(): '{argument}' must be a Tensor, not {type(x).__name__}: convert it with torch.tensor()")


def as_dtype(x: Tensor, to: dtype | None) -> Tensor:
    """x in the given dtype; x itself where it has it, or none is given."""
    return x if to is None else convert(x, to.numpy)


def packed(result: Tensor, out: Tensor | None) -> Tensor:
    """A result that was just made, unless into `out`, with its elements in the order of the indices in memory."""
    if out is None and not result._array.flags.c_contiguous:
        result._array = result._array.copy()
    return result


def written(result: Tensor, out: Tensor | None) -> Tensor:
    """The result, in `out` where one is given. RuntimeError unless that has its dtype."""
    if out is None:
        return result
    if out._array.dtype != result._array.dtype:
        raise RuntimeError(f"Expected out tensor to have dtype {result.dtype}, but got {out.dtype} instead")
    return apply(kernels.clone, result, out=out)


def axis_of(dim: Any, ndim: int) -> int:
    """A dim as an axis from 0; IndexError out of range, TypeError unless an int. 0-d tensors count as 1-d."""
    axis = index_of(dim, "dim")
    n = ndim or 1
    if not -n <= axis < n:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {axis})")
    return axis % n


def axes_of(dim: Dims, ndim: int) -> tuple[int, ...]:
    """Dims as axes from 0; none, or an empty list of them, means all. RuntimeError where one is named twice."""
    if dim is None:
        return tuple(range(ndim))
    if isinstance(dim, (tuple, list)):
        if not dim:
            return tuple(range(ndim))
        axes = tuple(axis_of(size_of(d, "dim"), ndim) for d in dim)
        for axis in axes:
            if axes.count(axis) > 1:
                raise RuntimeError(f"dim {axis} appears multiple times in the list of dims")
    else:
        axes = (axis_of(dim, ndim),)
    return axes if ndim else ()


def shape_of(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """A shape given as separate ints or as one sequence; TypeError for anything else."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    return tuple([size_of(n, "size") for n in sizes])


def ints(given: Any, function: str, argument: str) -> tuple[int, ...]:
    """A sequence of ints as a tuple; TypeError for anything else."""
    if not isinstance(given, (tuple, list)):
        raise TypeError(f"{function}(): argument '{argument}' must be tuple of ints, not {type(given).__name__}")
    return tuple([size_of(n, argument) for n in given])


def type_name(x: TensorBase) -> str:
    """The name that PyTorch's messages give a tensor's dtype: Float, Long."""
    return dtype_of(x._array.dtype).legacy.removesuffix("Tensor")
