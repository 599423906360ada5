"""Functions that move elements and change none: shape, order, indexing, memory. Each stands beside its adjoint.

Arrays are positional, parameters keywords. Each answers to NumPy's dispatch protocol, so that a rule can call it on
arrays and on Tensors alike. Those without `@dispatched` are compositions, written in the language of the rules.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = Any  # an ndarray, or a Tensor where a rule is differentiated again
Shape = tuple[int, ...]


ndarray = np.ndarray  # looked up once, not in every call
POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD


def dispatched(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let `function` answer to NumPy's dispatch protocol, so that a rule may call it on arrays and on Tensors."""
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]

    @functools.wraps(function)
    def call_one(x: Any, **params: Any) -> Any:  # the same for one array, in a third of the time
        if type(x) is ndarray or not hasattr(x, "__array_function__"):
            return function(x, **params)
        return x.__array_function__(call_one, (type(x),), (x,), params)

    if kinds[0] is POSITIONAL and all(kind is inspect.Parameter.KEYWORD_ONLY for kind in kinds[1:]):
        return call_one

    @functools.wraps(function)
    def call_two(x: Any, y: Any) -> Any:  # and for two without parameters
        return function(x, y) if type(x) is ndarray and type(y) is ndarray else call(x, y)

    @functools.wraps(function)
    def call(*arrays: Any, **params: Any) -> Any:
        for x in arrays:
            if type(x) is not ndarray and hasattr(x, "__array_function__"):
                return x.__array_function__(chosen, (type(x),), arrays, params)
        return function(*arrays, **params)

    chosen = call_two if kinds == [POSITIONAL, POSITIONAL] else call
    return chosen


@dispatched
def reshape(x: Array, *, shape: Shape) -> Array:
    return x.reshape(shape)


@dispatched
def reshape_view(x: Array, *, shape: Shape) -> Array:
    """x with dims of length 1 put in: always a view."""
    return x.reshape(shape)


@dispatched
def squeeze(x: Array, *, shape: Shape) -> Array:
    """x with dims of length 1 taken away: always a view."""
    return x.reshape(shape)


@dispatched
def t(x: Array) -> Array:
    """The transpose of a matrix."""
    return x.T


@dispatched
def swapaxes(x: Array, *, axis1: int, axis2: int) -> Array:
    return x.swapaxes(axis1, axis2)


@dispatched
def permute(x: Array, *, axes: Shape) -> Array:
    return x.transpose(axes)


@dispatched
def broadcast(x: Array, *, shape: Shape) -> Array:
    """A view of x with stride 0 along the axes that are new or stretched, as writeable as x."""
    lead = len(shape) - x.ndim
    strides = (0,) * lead + tuple(
        [0 if n == 1 != m else step for n, m, step in zip(x.shape, shape[lead:], x.strides, strict=True)]
    )
    try:
        return np.ndarray(shape, x.dtype, x, 0, strides)  # a fifth of what np.broadcast_to takes
    except ValueError:  # x is not contiguous
        out = np.broadcast_to(x, shape)
        out.flags.writeable = x.flags.writeable
        return out


def restore(reduced: Array, shape: Shape, axis: Shape, keepdims: bool) -> Array:
    """Give a reduction's result the reduced axes back, with length 1, as far as broadcasting needs them."""
    if keepdims or not reduced.ndim:
        return reduced
    return reshape(reduced, shape=tuple(1 if i in axis else n for i, n in enumerate(shape)))


def spread(g: Array, shape: Shape, axis: Shape, keepdims: bool) -> Array:
    """The adjoint of a sum over `axis`: every summand gets the sum's gradient."""
    return broadcast(restore(g, shape, axis, keepdims), shape=shape)


def count(shape: Shape, axis: Shape) -> int:
    """How many elements a reduction over `axis` puts into one."""
    return math.prod(map(shape.__getitem__, axis))


@dispatched
def cast(x: Array, *, dtype: np.dtype[Any]) -> Array:
    """x in a floating dtype and the same layout; contiguous where x is expanded."""
    return x.astype(dtype, "C" if 0 in x.strides else "K")


@dispatched
def discrete(x: Array, *, dtype: np.dtype[Any]) -> Array:
    """x in an integer dtype, or bool: what no gradient passes."""
    return x.astype(dtype, "C" if 0 in x.strides else "K")


@dispatched
def getitem(x: Array, *, index: Any) -> Array:
    out = x[index]
    if type(out) is np.ndarray:
        return out
    return x[(*index, ...) if isinstance(index, tuple) else (index, ...)]  # a 0-d view, where NumPy gives a scalar


@dispatched
def select(x: Array, *, index: Any) -> Array:
    """x[index] for ints, slices, None and ...: always a view."""
    if type(index) is int:
        return x[index, ...]
    return x[index] if Ellipsis in index else x[(*index, ...)]


@dispatched
def put_slice(g: Array, *, index: Any, shape: Shape) -> Array:
    """The adjoint of x[index] where it is a view: zeros of `shape` with g there."""
    x = np.zeros(shape, g.dtype)
    x[index] = g
    return x


@dispatched
def take(x: Array, *, index: Any, packed: bool = False) -> Array:
    """x[index] where masks or arrays of ints stand beside whole dims: a copy, laid out as PyTorch's, or `packed`."""
    if type(index) is ndarray and (packed or index.flags.c_contiguous) and x.flags.c_contiguous:
        return x[index] if index.dtype.kind == "b" or not x.ndim else x.take(index, 0)  # in a third of the time
    entries = index if type(index) is tuple else (index,)
    if not entries or not x.ndim:
        return x[index]
    packed = packed or all(type(i) is slice or i.flags.c_contiguous for i in (x, *entries))
    single = entries[-1].dtype.kind != "b" and all(type(i) is slice for i in entries[:-1])
    if packed and single and x.flags.c_contiguous and len(entries) <= x.ndim:
        return x.take(entries[-1], len(entries) - 1)
    out = x[index]
    if packed:
        return in_order(out)
    axes = order_of_places(x, entries, out.shape)
    slowest_first = out.transpose(axes)
    return out if slowest_first.flags.c_contiguous else slowest_first.copy().transpose(inverse(axes))


def order_of_places(x: Array, entries: tuple[Any, ...], shape: Shape) -> Shape:
    """The order of the dims of x[index] in memory, slowest first, in which PyTorch's kernel goes through them."""
    arrays = [k for k, i in enumerate(entries) if type(i) is not slice]
    widths = [i.ndim if type(i) is not slice and i.dtype.kind == "b" else 1 for i in entries]
    starts = [*itertools.accumulate(widths, initial=0)]
    rest = [x.strides[starts[k]] for k, i in enumerate(entries) if type(i) is slice]
    rest += x.strides[starts[-1] :]
    beside = arrays[-1] - arrays[0] < len(arrays)  # if not, the dims that the arrays give come first
    before = arrays[0] if beside else 0
    given = len(shape) - len(rest)  # how many dims the arrays give
    operands = [(*rest[:before], *(0,) * given, *rest[before:])]
    for k in arrays:
        i = entries[k]
        mask = i.dtype.kind == "b"  # stands for the int64 places where it holds
        strides, sides = ((8,), (1,)) if mask else (i.strides, i.shape)
        strides = (0,) * (given - len(strides)) + strides
        sides = (1,) * (given - len(sides)) + sides
        broadcast = [0 if n == 1 != m else s for s, n, m in zip(strides, sides, shape[before:], strict=False)]
        operands.append((*(0,) * before, *broadcast, *(0,) * (len(rest) - before)))
    return iteration_order(shape, operands)


def iteration_order(shape: Shape, operands: Sequence[Shape]) -> Shape:
    """The order of dims, slowest first, in which PyTorch goes through operands of these strides: that of the result.

    The dims are sorted by the strides of the first operand that tells two of them apart, and stay where none does
    (TensorIterator::reorder_dimensions).
    """

    def outer(i: int, j: int) -> int:
        """Whether dim i goes outside of dim j (1), inside (-1), or either way (0)."""
        for strides in operands:
            if strides[i] and strides[j]:
                if strides[i] != strides[j]:
                    return 1 if strides[i] > strides[j] else -1
                if shape[i] > shape[j]:
                    return 1
        return 0

    order = [*range(len(shape) - 1, -1, -1)]  # fastest first
    for last in range(1, len(order)):
        at = last
        for i in range(last - 1, -1, -1):
            found = outer(order[i], order[at])
            if found > 0:
                order[i], order[at] = order[at], order[i]
                at = i
            elif found < 0:
                break
    return tuple(order[::-1])


def picked(x: Array, index: Any) -> Array:
    """x[index], by the one or the other: where places are met twice, the adjoint of `take` alone adds them up."""
    entries = index if isinstance(index, tuple) else (index,)
    view = all(i is None or i is Ellipsis or isinstance(i, (int, slice)) for i in entries)
    return getitem(x, index=index) if view else take(x, index=index)


@dispatched
def distinct(x: Array, *, index: Any) -> Array:
    """x[index] where the index names one element, or slice, of each that is distinct."""
    return x[index]


@dispatched
def scatter(g: Array, *, index: Any, shape: Shape) -> Array:
    """The adjoint of `take`: zeros of `shape` with `g` added at `index`, places met twice counted twice."""
    x = np.zeros(shape, g.dtype)
    entries = index if isinstance(index, tuple) else (index,)
    if any(isinstance(i, np.ndarray) and i.dtype.kind != "b" for i in entries):
        np.add.at(x, index, g)
    else:
        x[index] = g
    return x


@dispatched
def embedding(x: Array, *, index: Array, padding: int | None, by_frequency: bool) -> Array:
    """The rows of x at `index`; the row `padding` is a constant."""
    return x[index]


def embedding_rule(g: Array, x_shape: Shape, index: Array, padding: int | None, by_frequency: bool) -> Array:
    """`by_frequency` gives a row the mean of its gradients."""
    if padding is not None:
        g = np.where((index == padding)[..., None], 0, g)
    if by_frequency:
        g = g * frequency(index, dtype=g.dtype)[..., None]
    return scatter(g, index=index, shape=x_shape)


@dispatched
def frequency(index: Array, *, dtype: np.dtype[Any]) -> Array:
    """For each number in `index`, one over how often it is there."""
    return (1 / np.bincount(index.reshape(-1))[index]).astype(dtype)


@dispatched
def put(x: Array, y: Array, *, index: Any) -> Array:
    """A copy of x with x[index] = y."""
    out = np.asarray(clone(x))  # a gradient without dims may be a number of NumPy's
    out[index] = y
    return out


@dispatched
def put_reduced(x: Array, y: Array, *, index: Any, ufunc: np.ufunc) -> Array:
    """A copy of x with x[index] = ufunc(x[index], y), once for each time that a place is met."""
    out = np.array(x)
    ufunc.at(out, index, y)
    return out


@dispatched
def concatenate(*arrays: Array, sizes: Sequence[int], axis: int) -> Array:
    return np.concatenate(arrays, axis)


@dispatched
def split(x: Array, *, sizes: Sequence[int], axis: int) -> list[Array]:
    """The adjoint of `concatenate`: views of x cut along `axis` into pieces of the given sizes."""
    ends, whole = itertools.accumulate(sizes), (slice(None),) * axis
    return [x[(*whole, slice(end - size, end))] for size, end in zip(sizes, ends, strict=True)]


def section(sizes: Sequence[int], i: int, axis: int) -> tuple[slice, ...]:
    """The index of the i-th of pieces of the given sizes along `axis`."""
    start = sum(sizes[:i])
    return (slice(None),) * axis + (slice(start, start + sizes[i]),)


@dispatched
def unbind(x: Array, *, axis: int) -> list[Array]:
    """The views of x at each place along `axis`."""
    whole = (slice(None),) * axis
    return [x[(*whole, i, ...)] for i in range(x.shape[axis])]


@dispatched
def stack(*arrays: Array, axis: int) -> Array:
    return np.stack(arrays, axis)


@dispatched
def repeat(x: Array, *, sizes: Shape) -> Array:
    """x put side by side so many times along each axis; `sizes` may name more axes than x has."""
    return np.tile(x, sizes)


@dispatched
def flip(x: Array, *, axis: Shape) -> Array:
    return clone(np.flip(x, axis))


@dispatched
def roll(x: Array, *, shifts: Shape, axis: Shape | None) -> Array:
    return np.roll(x, shifts, axis).copy()


@dispatched
def diagonal(x: Array, *, offset: int, axis1: int, axis2: int) -> Array:
    out = np.diagonal(x, offset, axis1, axis2)
    out.flags.writeable = x.flags.writeable
    return out


@dispatched
def put_diagonal(g: Array, *, shape: Shape, offset: int, axis1: int, axis2: int) -> Array:
    """The adjoint of `diagonal`: zeros of `shape` with g on the diagonal."""
    x = np.zeros(shape, g.dtype)
    diagonal(x, offset=offset, axis1=axis1, axis2=axis2)[...] = g
    return x


class Geometry(NamedTuple):
    """Where a view's elements lie in its base's memory; strides and offset in elements."""

    base_shape: Shape
    base_strides: Shape
    shape: Shape
    strides: Shape
    offset: int

    def lay(self, x: Array) -> tuple[Array, Array]:
        """A new buffer that holds x as the base's memory does: all of it, and its part laid out as the base."""
        extent = 1 + sum((n - 1) * s for n, s in zip(self.base_shape, self.base_strides, strict=True))
        buffer = np.zeros(max(extent, 0) if 0 not in self.base_shape else 0, x.dtype)
        base = strided_view(buffer, self.base_shape, self.base_strides)
        base[...] = x
        return buffer, base


def strided_view(buffer: Array, shape: Shape, strides: Shape, offset: int = 0) -> Array:
    steps = tuple(s * buffer.itemsize for s in strides)
    return np.lib.stride_tricks.as_strided(buffer[offset:], shape, steps)


@dispatched
def strided(x: Array, *, geometry: Geometry) -> Array:
    """The elements of the base x that a view of that geometry shows."""
    return strided_view(geometry.lay(x)[0], geometry.shape, geometry.strides, geometry.offset).copy()


@dispatched
def scatter_strided(g: Array, *, geometry: Geometry) -> Array:
    """The adjoint of `strided`: zeros of the base's shape with `g` added where the view's elements lie."""
    buffer, base = geometry.lay(np.zeros((), g.dtype))
    places = strided_view(np.arange(buffer.size), geometry.shape, geometry.strides, geometry.offset)
    np.add.at(buffer, places, g)
    return base.copy()


@dispatched
def put_strided(x: Array, y: Array, *, geometry: Geometry) -> Array:
    """A copy of the base x with a view's elements set to y."""
    buffer, base = geometry.lay(x)
    strided_view(buffer, geometry.shape, geometry.strides, geometry.offset)[...] = y
    return base.copy()


def inverse(axes: Shape) -> Shape:
    """The permutation that undoes `axes`."""
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


@dispatched
def swap(x: Array) -> Array:
    """The transpose of a matrix, or of each of a batch."""
    return x.swapaxes(-1, -2)


@dispatched
def clone(x: Array) -> Array:
    """A copy in the same layout; contiguous where x is expanded."""
    return x.copy() if 0 in x.strides else x.copy("K")


def laid_as(x: Array, like: Array) -> Array:
    """A copy of x in the layout of an array of the same shape; contiguous where that is expanded."""
    out = np.empty_like(like, x.dtype, "C" if 0 in like.strides else "K")
    out[...] = x
    return out


def in_order(x: Array) -> Array:
    """x, or a copy, with its elements in memory in the order of the indices."""
    return x if x.ndim < 2 or x.flags.c_contiguous else x.copy()


@dispatched
def contiguous(x: Array) -> Array:
    """A copy whose elements lie in the order of the indices."""
    return x.copy()


@dispatched
def fill(x: Array, y: Array) -> Array:
    """y in the shape and dtype of x."""
    return np.full(x.shape, y, x.dtype)


@dispatched
def tril(x: Array, *, k: int) -> Array:
    return np.tril(x, k)


@dispatched
def triu(x: Array, *, k: int) -> Array:
    return np.triu(x, k)
