"""Operations that rearrange elements. Views share memory with their input, as in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from minigrad import kernels
from minigrad.autograd.graph import apply
from minigrad.autograd.node import TensorBase, named, wrap
from minigrad.metadata import contiguous_format, memory_format, preserve_format, wants_contiguous
from minigrad.ops.arguments import Dims, axes_of, axis_of, ints, numpy_names, promote, require_tensor, type_name
from minigrad.ops.numbers import index_of
from minigrad.storage import memory, strides

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


def completed(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    """A shape with its -1 worked out; RuntimeError where it doesn't fit `size` elements."""
    known = math.prod(shape)
    if -1 not in shape:
        if known == size and (not shape or min(shape) >= 0):
            return shape
    elif known < 0 and size % known == 0 and shape.count(-1) == 1 and min(shape) == -1:
        i = shape.index(-1)
        return (*shape[:i], size // -known, *shape[i + 1 :])
    if shape.count(-1) > 1:
        raise RuntimeError(f"only one dimension can be inferred, got shape {list(shape)}")
    if min(shape, default=0) < -1:
        raise RuntimeError(f"invalid shape dimension {min(shape)} in {list(shape)}")
    if -1 in shape and known == 0 == size:
        raise RuntimeError(
            f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified dimension size "
            "-1 can be any value and is ambiguous"
        )
    raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {size}")


def reshape(input: Tensor, shape: Sequence[int]) -> Tensor:
    """The elements in another shape, where one size may be -1; a view where possible, else a copy."""
    require_tensor(input, "reshape")
    return reshaped(input, completed(ints(shape, "reshape", "shape"), input._array.size))


def reshaped(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The elements in that shape; a view where possible, else a copy."""
    out = apply(kernels.reshape, input, shape=shape)
    if input._array.flags.c_contiguous:
        return out
    return named(out, "UnsafeViewBackward0" if out._view is None else "ReshapeAliasBackward0")


def view(input: Tensor, size: Sequence[int]) -> Tensor:
    """The elements in another shape, always sharing memory; RuntimeError where the strides don't allow that."""
    shape = completed(ints(size, "view", "size"), input._array.size)
    out = apply(kernels.reshape, input, shape=shape)
    if input._array.size and not np.may_share_memory(out._array, input._array):
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            f"contiguous subspaces): shape {list(input._array.shape)}, stride {input.stride()}. "
            "Use .reshape(...) instead."
        )
    return out


def view_as_dtype(input: TensorBase, to: np.dtype[Any]) -> Tensor:
    """The same memory read as another dtype; where its elements have another size, the last dim has another length.

    As in PyTorch, the result has no history. RuntimeError where the elements do not fit.
    """
    x, size = input._array, to.itemsize
    if size != x.itemsize:
        ratio, steps = size / x.itemsize, strides(x)
        what = f"to view {type_name(input)} as {to} (different element sizes)"
        if not x.ndim or steps[-1] != 1:
            raise RuntimeError(f"self.stride(-1) must be 1 {what}, but the strides are {list(steps)}")
        rest = (x.shape[-1], *steps[:-1], memory(x)[1] // x.itemsize)
        if any(n % ratio for n in rest):
            raise RuntimeError(
                f"self.size(-1), the other strides and self.storage_offset() must be divisible by {ratio} {what}, but "
                f"they are {list(rest)}"
            )
    return wrap(x.view(to), input._counter)


@numpy_names
def squeeze(input: Tensor, dim: Dims = None) -> Tensor:
    """Without the dims of length 1: all, or those named."""
    require_tensor(input, "squeeze")
    shape = input._array.shape
    several = isinstance(dim, (tuple, list))
    axes = () if several and not dim else axes_of(dim, len(shape))  # here, as in any(), an empty list means no dims
    out = apply(kernels.squeeze, input, shape=tuple(n for i, n in enumerate(shape) if n != 1 or i not in axes))
    return out if dim is None else named(out, f"SqueezeBackward{2 if several else 1}")


@numpy_names
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a dim of length 1 put in at `dim`."""
    require_tensor(input, "unsqueeze")
    shape = input._array.shape
    axis = axis_of(dim, len(shape) + 1)
    return apply(kernels.reshape_view, input, shape=(*shape[:axis], 1, *shape[axis:]))


def permute(input: Tensor, dims: Sequence[int]) -> Tensor:
    """With the dims in another order. RuntimeError unless each is named once."""
    require_tensor(input, "permute")
    dims, ndim = ints(dims, "permute", "dims"), input._array.ndim
    if len(dims) != ndim:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
            f"ordering of dimensions i.e. input.dim() = {ndim} is not equal to len(dims) = {len(dims)}"
        )
    axes = tuple(axis_of(d, ndim) for d in dims)
    if len(set(axes)) != ndim:
        raise RuntimeError(f"permute(): duplicate dims are not allowed: {list(dims)}")
    return apply(kernels.permute, input, axes=axes)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """With two dims swapped."""
    require_tensor(input, "transpose")
    ndim = input._array.ndim
    i, j = axis_of(dim0, ndim), axis_of(dim1, ndim)
    return apply(kernels.swapaxes, input, axis1=i, axis2=j) if ndim else alias(input, "TransposeBackward0")


def alias(input: Tensor, name: str) -> Tensor:
    """A view of all of `input`, from an operation of that name which leaves it as it is."""
    return named(apply(kernels.permute, input, axes=tuple(range(input._array.ndim))), name)


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; 0-d and 1-d tensors as they are. RuntimeError beyond 2-d."""
    require_tensor(input, "t")
    ndim = input._array.ndim
    if ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {ndim}D")
    return apply(kernels.t, input)


def reverse_dims(input: TensorBase) -> Tensor:
    """With the order of the dims reversed."""
    return apply(kernels.permute, input, axes=tuple(reversed(range(input._array.ndim))))


def movedim(input: Tensor, source: Dims, destination: Dims) -> Tensor:
    """With the dims `source` moved to the places `destination`, the others in their order."""
    require_tensor(input, "movedim")
    ndim = input._array.ndim
    if isinstance(source, (tuple, list)) is not isinstance(destination, (tuple, list)):
        raise TypeError(
            f"movedim(): source and destination must both be ints or both tuples, got {source}, {destination}"
        )
    sources = source if isinstance(source, (tuple, list)) else (source,)
    destinations = destination if isinstance(destination, (tuple, list)) else (destination,)
    if len(sources) != len(destinations):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({list(sources)} dims) should contain the same "
            f"number of dims as destination ({list(destinations)} dims)"
        )
    start, end = [axis_of(d, ndim) for d in sources], [axis_of(d, ndim) for d in destinations]
    for axes, name in ((start, "source"), (end, "destination")):
        if len(set(axes)) != len(axes):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({axes})")
    if not ndim:
        return alias(input, "AliasBackward0")
    axes = [i for i in range(ndim) if i not in start]
    for i, j in sorted(zip(end, start, strict=True)):
        axes.insert(i, j)
    return apply(kernels.permute, input, axes=tuple(axes))


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """With the dims from start_dim to end_dim made one. RuntimeError where they are in the wrong order."""
    require_tensor(input, "flatten")
    shape = input._array.shape
    i, j = axis_of(start_dim, len(shape)), axis_of(end_dim, len(shape))
    if i > j:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if i == j and shape:
        return input
    return reshaped(input, (*shape[:i], math.prod(shape[i : j + 1]), *shape[j + 1 :]))


def ravel(input: Tensor) -> Tensor:
    """All elements in one dim."""
    require_tensor(input, "ravel")
    return apply(kernels.reshape, contiguous(input), shape=(input._array.size,))


def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """A view with dims of length 1 stretched and new ones in front; -1 keeps a length. RuntimeError if impossible."""
    require_tensor(input, "broadcast_to")
    shape, size = input._array.shape, ints(size, "broadcast_to", "size")
    lead = len(size) - len(shape)
    if lead < 0:
        raise RuntimeError(
            f"expand(tensor{{{list(shape)}}}, size={list(size)}): the number of sizes provided ({len(size)}) must be "
            f"greater or equal to the number of dimensions in the tensor ({len(shape)})"
        )
    target = list(size)
    for i, n in enumerate(size):
        have = shape[i - lead] if i >= lead else None
        if n == -1 and have is not None:
            target[i] = have
        elif n < 0:
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) isn't allowed in a leading, non-existing dimension {i}"
            )
        elif have is not None and have not in (1, n):
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) must match the existing size ({have}) at non-singleton "
                f"dimension {i}.  Target sizes: {list(size)}.  Tensor sizes: {list(shape)}"
            )
    return apply(kernels.broadcast, input, shape=tuple(target))


def expand(input: Tensor, size: Sequence[int]) -> Tensor:
    """broadcast_to(), as the method is named."""
    return broadcast_to(input, size)


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """A view stretched to the shape of `other`."""
    return broadcast_to(input, other._array.shape)


def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """The elements in the shape of `other`; a view where possible, else a copy."""
    return reshape(input, other._array.shape)


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """The elements in the shape of `other`, always sharing memory."""
    return view(input, other._array.shape)


def repeat(input: Tensor, repeats: Sequence[int]) -> Tensor:
    """The tensor put side by side so many times along each dim. A method alone in PyTorch."""
    sizes, shape = ints(repeats, "repeat", "repeats"), input._array.shape
    if len(sizes) < len(shape):
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: "
            f"{list(sizes)} for shape {list(shape)}"
        )
    if any(n < 0 for n in sizes):
        raise RuntimeError(f"Trying to create tensor with negative dimension: shape {list(shape)} times {list(sizes)}")
    return apply(kernels.repeat, input, sizes=sizes)


def tile(input: Tensor, dims: Sequence[int]) -> Tensor:
    """The tensor repeated along each dim; missing dims count as 1."""
    require_tensor(input, "tile")
    sizes = ints(dims, "tile", "dims")
    return repeat(input, (1,) * (input._array.ndim - len(sizes)) + sizes)


@numpy_names
def cat(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """Tensors joined along `dim`; their other dims must be equal."""
    tensors = tensor_list(tensors, "cat")
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    if len({x._array.dtype for x in tensors}) > 1:
        tensors = list(promote(*tensors))
    # PyTorch skips tensors of shape (0,), whatever the shape of the others.
    shape = tensors[0]._array.shape
    if shape == (0,):
        shape = next((x._array.shape for x in tensors if x._array.shape != (0,)), (0,))
    axis = axis_of(dim, len(shape)) if shape != (0,) else 0
    for i, x in enumerate(tensors):
        other = x._array.shape
        if not other:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated: use stack()")
        if other == (0,):
            tensors[i] = apply(kernels.reshape_view, x, shape=(*shape[:axis], 0, *shape[axis + 1 :]))
            continue
        if len(other) != len(shape):
            raise RuntimeError(f"Tensors must have same number of dimensions: got {len(shape)} and {len(other)}")
        if other != shape and other[:axis] + other[axis + 1 :] != shape[:axis] + shape[axis + 1 :]:
            raise RuntimeError(
                f"Sizes of tensors must match except in dimension {axis}. Expected shape {list(shape)} but got shape "
                f"{list(other)} for tensor number {i} in the list."
            )
    sizes = tuple([x._array.shape[axis] for x in tensors])
    return apply(kernels.concatenate, *tensors, sizes=sizes, axis=axis, out=out)


@numpy_names
def stack(tensors: Sequence[Tensor], dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """Tensors of one shape joined along a new dim."""
    tensors = tensor_list(tensors, "stack")
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    shape = tensors[0]._array.shape
    for i, x in enumerate(tensors):
        if x._array.shape != shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and "
                f"{list(x._array.shape)} at entry {i}"
            )
    return apply(kernels.stack, *promote(*tensors), axis=axis_of(dim, len(shape) + 1), out=out)


def tensor_list(tensors: Any, name: str) -> list[Tensor]:
    """A sequence of tensors as a list; TypeError for anything else."""
    if isinstance(tensors, TensorBase) or not isinstance(tensors, (list, tuple)):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not {type(tensors).__name__}"
        )
    for i, x in enumerate(tensors):
        if not isinstance(x, TensorBase):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(x).__name__}")
    return list(tensors)


def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views cut along `dim`: of the given sizes, or of one size, the last perhaps smaller."""
    require_tensor(tensor, "split")
    if not tensor._array.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    axis = axis_of(dim, tensor._array.ndim)
    length = tensor._array.shape[axis]
    equal = isinstance(split_size_or_sections, (int, TensorBase))
    if equal:
        size = index_of(split_size_or_sections, "split_size")
        if size < 0 or (size == 0 and length):
            raise RuntimeError(f"split expects split_size to be positive, but got split_size={size}")
        count = max(-(-length // size), 1) if size else 1
        sizes = tuple(min(size, length - i * size) for i in range(count))
    else:
        sizes = ints(split_size_or_sections, "split", "split_sizes")
        if sum(sizes) != length or any(n < 0 for n in sizes):
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {length} (input tensor's size at dimension "
                f"{axis}), but got split_sizes={list(sizes)}"
            )
    parts = cast("tuple[Tensor, ...]", apply(kernels.split, tensor, sizes=sizes, axis=axis))
    if not equal:
        for part in parts:
            named(part, "SplitWithSizesBackward0")
    return parts


@numpy_names
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of equal length along `dim`, the last perhaps smaller."""
    require_tensor(input, "chunk")
    if not input._array.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    chunks = index_of(chunks, "chunks")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    length = input._array.shape[axis_of(dim, input._array.ndim)]
    size = -(-length // chunks)
    return split(input, size, dim) if size else split(input, (0,) * chunks, dim)


@numpy_names
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The views at each place along `dim`, without it."""
    require_tensor(input, "unbind")
    axis = axis_of(dim, input._array.ndim)
    if not input._array.ndim:
        raise IndexError(f"unbind(): Dimension specified as {dim} but tensor has no dimensions")
    return cast("tuple[Tensor, ...]", apply(kernels.unbind, input, axis=axis))


def flip(input: Tensor, dims: Sequence[int]) -> Tensor:
    """A copy with the order along `dims` reversed."""
    require_tensor(input, "flip")
    ndim = input._array.ndim
    if not isinstance(dims, (tuple, list)):
        raise TypeError(
            f"flip(): argument 'dims' (position 2) must be tuple of ints, not {type(dims).__name__}: got {dims}; write "
            f"flip(x, (dim,)) with dims in [{-ndim}, {ndim - 1}]"
        )
    axis = axes_of(ints(dims, "flip", "dims"), ndim) if dims else ()
    return apply(kernels.flip, input, axis=axis)


def tril(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The lower triangle of a matrix, or of each of a batch; 0 above `diagonal`."""
    return triangle(kernels.tril, input, diagonal, out)


def triu(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The upper triangle of a matrix, or of each of a batch; 0 below `diagonal`."""
    return triangle(kernels.triu, input, diagonal, out)


def triangle(kernel: Any, input: Tensor, diagonal: int, out: Tensor | None) -> Tensor:
    require_tensor(input, kernel.__name__)
    if input._array.ndim < 2:
        raise RuntimeError(f"{kernel.__name__}: input tensor must have at least 2 dimensions, got {input._array.ndim}")
    return apply(kernel, input, k=index_of(diagonal, "diagonal"), out=out)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of the diagonal of two dims, which becomes the last dim; `offset` above it if positive."""
    require_tensor(input, "diagonal")
    i, j = axis_of(dim1, input._array.ndim), axis_of(dim2, input._array.ndim)
    if i == j:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return apply(kernels.diagonal, input, offset=offset, axis1=i, axis2=j)


def contiguous(input: Tensor, memory_format: memory_format = contiguous_format) -> Tensor:
    """The tensor itself where its elements lie in the order of the indices, else a copy in which they do."""
    if memory_format is not contiguous_format:
        kind = RuntimeError if memory_format is preserve_format else TypeError
        raise kind(f"contiguous(): memory_format must be torch.contiguous_format, not {memory_format}")
    return input if input._array.flags.c_contiguous else apply(kernels.contiguous, input)


def detach(input: Tensor) -> Tensor:
    """The same memory without history; writes to it count as writes to the tensor."""
    require_tensor(input, "detach")
    return wrap(input._array, input._counter)


def numel(input: Tensor) -> int:
    """The number of elements."""
    require_tensor(input, "numel")
    return input._array.size


def clone(input: Tensor, *, memory_format: memory_format | None = None) -> Tensor:
    """A copy, through which gradients pass, laid out in memory as `input` is unless contiguous_format is asked for."""
    require_tensor(input, "clone")
    in_order = memory_format is not None and wants_contiguous(memory_format, "clone")
    return apply(kernels.contiguous if in_order else kernels.clone, input)
