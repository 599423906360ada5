"""Products over named dims, and what linear algebra makes of matrices."""

from __future__ import annotations

import math
import string
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import kernels
from minigrad.autograd.graph import apply
from minigrad.autograd.node import TensorBase, named
from minigrad.ops.arguments import axis_of, numpy_names, require_tensor, type_name
from minigrad.ops.joining import roll
from minigrad.ops.linalg import bmm, same_dtype
from minigrad.ops.pointwise import mul, sub
from minigrad.ops.reduction import sum
from minigrad.ops.shaping import broadcast_to, diagonal, movedim, permute, reshape, squeeze, tensor_list, unsqueeze

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


def einsum(equation: Any, *operands: Any) -> Tensor:
    """Sums of products over named dims: "ij,jk->ik" is the product of matrices. `...` stands for any leading dims.

    Without "->" the result has the letters that occur once, in alphabetical order. Instead of an equation each operand
    may be followed by a list of numbers for its dims, and all by one for the result's: einsum(x, [0, 1], y, [1, 2],
    [0, 2]). RuntimeError for an equation that does not fit the operands, ValueError where there is none.
    """
    if not operands:
        raise ValueError("einsum(): must specify the equation string and at least one operand, or sublists of numbers")
    if isinstance(equation, TensorBase):
        *pairs, last = (equation, *operands) if len(operands) % 2 == 0 else (equation, *operands, None)
        operands = tuple(pairs[::2])
        equation = ",".join(map(letters_of, pairs[1::2])) + ("" if last is None else f"->{letters_of(last)}")
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    tensors = tensor_list(operands, "einsum")
    if not tensors:
        raise RuntimeError("einsum(): must provide at least one operand")
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(tensors):
        fewer = "fewer" if len(terms) > len(tensors) else "more"
        raise RuntimeError(f"einsum(): {fewer} operands were provided than specified in the equation: {equation!r}")
    labelled = [labels_of(term, x, i) for i, (term, x) in enumerate(zip(terms, tensors, strict=True))]
    everything = [label for labels in labelled for label in labels]
    dots = sorted({label for label in everything if isinstance(label, int)})
    if arrow:
        wanted: list[Any] = []
        for before in right.replace("...", "."):
            wanted += dots if before == "." else [before]
    else:
        wanted = [*dots, *sorted({x for x in everything if not isinstance(x, int) and everything.count(x) == 1})]
    for label in wanted:
        if wanted.count(label) > 1 or label not in everything:
            raise RuntimeError(
                f"einsum(): output subscript {label} must appear once in the output, and in one of the operands"
            )
    operand, labels = single(tensors[0], labelled[0])
    for i, x in enumerate(tensors[1:], 1):
        later = {label for rest in labelled[i + 1 :] for label in rest}.union(wanted)
        operand, labels = contract(*thinned(operand, labels, *single(x, labelled[i]), later), later)
    dropped = [i for i, label in enumerate(labels) if label not in wanted]
    if dropped:
        operand = sum(operand, dropped)
        labels = [label for label in labels if label in wanted]
    return permute(operand, [labels.index(label) for label in wanted])


def letters_of(numbers: Any) -> str:
    """A list of numbers below 52, for dims, as letters; ... as itself."""
    if any(n is not Ellipsis and not 0 <= n < 52 for n in numbers):
        raise ValueError(f"einsum(): subscript in subscript list is not within the valid range [0, 52): {numbers}")
    return "".join("..." if n is Ellipsis else string.ascii_letters.swapcase()[n] for n in numbers)


def labels_of(term: str, x: Tensor, number: int) -> list[Any]:
    """A label for each dim of an operand: its letter, or for those under `...` a negative number from the end."""
    ndim, letters = x._array.ndim, term.replace("...", "")
    if not all(c.isascii() and c.isalpha() for c in letters) or term.count("...") > 1:
        raise RuntimeError(
            f"einsum(): invalid subscript given at operand {number}: {term!r}; letters and one '...' only"
        )
    covered = ndim - len(letters)
    if covered < 0 or (covered and "..." not in term):
        raise RuntimeError(
            f"einsum(): the number of subscripts in the equation ({len(letters)}) does not match the number of "
            f"dimensions ({ndim}) for operand {number}"
        )
    first, _, last = term.partition("...") if "..." in term else (term, "", "")
    return [*first, *range(-covered, 0), *last]


def single(x: Tensor, labels: list[Any]) -> tuple[Tensor, list[Any]]:
    """An operand each of whose labels occurs once: of those that occur twice, the diagonal."""
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            if x._array.shape[i] != x._array.shape[j]:
                raise RuntimeError(
                    f"einsum(): subscript {label} is repeated for operand, but the sizes don't match, "
                    f"{x._array.shape[j]} != {x._array.shape[i]}"
                )
            x = movedim(diagonal(x, dim1=i, dim2=j), -1, i)
            del labels[j]
    return x, labels


def thinned(
    x: Tensor, xs: list[Any], y: Tensor, ys: list[Any], later: set[Any]
) -> tuple[Tensor, list[Any], Tensor, list[Any]]:
    """Two operands, summed over the labels that nothing later needs and that have length 1 in one: PyTorch multiplies
    what is left, in whatever dtypes, where no sum is left."""
    lengths = [*zip(xs, x._array.shape, strict=True), *zip(ys, y._array.shape, strict=True)]
    thin = {label for label, n in lengths if n == 1 and label not in later}
    return *narrowed(x, xs, thin), *narrowed(y, ys, thin)


def narrowed(x: Tensor, labels: list[Any], thin: set[Any]) -> tuple[Tensor, list[Any]]:
    """The operand without those labels: summed over them, or seen without them where they have length 1."""
    shape = x._array.shape
    x = squeeze(x, [i for i, label in enumerate(labels) if label in thin and shape[i] == 1])
    labels = [label for i, label in enumerate(labels) if label not in thin or shape[i] != 1]
    return without(x, labels, set(labels) - thin)


def contract(x: Tensor, xs: list[Any], y: Tensor, ys: list[Any], later: set[Any]) -> tuple[Tensor, list[Any]]:
    """The product of two operands, summed over the labels that nothing later needs: one product of batches."""
    x, xs = without(x, xs, later.union(ys))
    y, ys = without(y, ys, later.union(xs))
    common = [label for label in xs if label in ys]
    sizes: dict[Any, int] = {}
    for operand, labels in ((x, xs), (y, ys)):
        for label, n in zip(labels, operand._array.shape, strict=True):
            if sizes.setdefault(label, n) not in (n, 1) and n != 1:
                raise RuntimeError(
                    f"einsum(): operands do not broadcast with remapped shapes: {label!r} is {sizes[label]} and {n}"
                )
            sizes[label] = n if sizes[label] == 1 else sizes[label]
    batch = [label for label in common if label in later]
    summed = [label for label in common if label not in later]
    free = [label for label in xs if label not in common], [label for label in ys if label not in common]
    labels = [*batch, *free[0], *free[1]]
    if not summed:
        return mul(placed(x, xs, labels), placed(y, ys, labels)), labels
    same_dtype(x, y, "einsum")
    left = stretched(x, xs, [*batch, *free[0], *summed], sizes)
    right = stretched(y, ys, [*batch, *summed, *free[1]], sizes)
    b, n, k, m = (math.prod(sizes[label] for label in group) for group in (batch, free[0], summed, free[1]))
    product = bmm(reshape(left, (b, n, k)), reshape(right, (b, k, m)))
    return reshape(product, [sizes[label] for label in labels]), labels


def without(x: Tensor, labels: list[Any], kept: set[Any]) -> tuple[Tensor, list[Any]]:
    """The operand summed over the labels that nothing else has."""
    alone = [i for i, label in enumerate(labels) if label not in kept]
    return (sum(x, alone), [label for label in labels if label in kept]) if alone else (x, labels)


def placed(x: Tensor, labels: list[Any], order: list[Any]) -> Tensor:
    """The operand with its dims in that order, and dims of length 1 for the labels that it lacks."""
    x = permute(x, [labels.index(label) for label in order if label in labels])
    for i, label in enumerate(order):
        if label not in labels:
            x = unsqueeze(x, i)
    return x


def stretched(x: Tensor, labels: list[Any], order: list[Any], sizes: dict[Any, int]) -> Tensor:
    return broadcast_to(permute(x, [labels.index(label) for label in order]), [sizes[label] for label in order])


def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Tensor:
    """The sum of products over the last `dims` dims of a and the first of b, or over two lists of dims."""
    require_tensor(a, "tensordot")
    require_tensor(b, "tensordot", "other")
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a._array.ndim, b._array.ndim):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        dims = (list(range(-dims, 0)), list(range(dims)))
    over_a, over_b = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(over_a) != len(over_b):
        raise RuntimeError("both dimension lists should have same length")
    i, j = [axis_of(d, a._array.ndim) for d in over_a], [axis_of(d, b._array.ndim) for d in over_b]
    for p, q in zip(i, j, strict=True):
        if a._array.shape[p] != b._array.shape[q] and 1 not in (a._array.shape[p], b._array.shape[q]):
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a._array.shape[p]} in dim {p} and second "
                f"has size {b._array.shape[q]} in dim {q}"
            )
    letters = [f"a{k}" for k in range(a._array.ndim)]
    others: list[Any] = [f"b{k}" for k in range(b._array.ndim)]
    for p, q in zip(i, j, strict=True):
        others[q] = letters[p]
    kept = {label for label in [*letters, *others] if (label in letters) != (label in others)}
    same_dtype(a, b, "tensordot")
    product, _ = contract(a, letters, b, others, kept)
    result = reshape(product, product._array.shape)
    return result if out is None else apply(kernels.clone, result, out=out)


def inner(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The sums of products over the last dims of both; with a 0-d tensor, the product."""
    require_tensor(input, "inner")
    require_tensor(other, "inner", "other")
    if not input._array.ndim or not other._array.ndim:
        return mul(input, other, out=out)
    if input._array.shape[-1] != other._array.shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input._array.shape)} and {list(other._array.shape)}"
        )
    return tensordot(input, other, ([-1], [-1]), out=out)


@numpy_names
def cross(input: Tensor, other: Tensor, dim: int | None = None, *, out: Tensor | None = None) -> Tensor:
    """The cross product along a dim of length 3: without `dim`, the first such."""
    require_tensor(input, "cross")
    require_tensor(other, "cross", "other")
    x, y = input, other
    if x._array.dtype != y._array.dtype:
        raise RuntimeError(f"expected scalar type {type_name(x)} but found {type_name(y)}")
    if x._array.ndim != y._array.ndim:
        raise RuntimeError(
            f"linalg.cross: inputs must have the same number of dimensions, got {x._array.ndim} and {y._array.ndim}"
        )
    shape = np.broadcast_shapes(x._array.shape, y._array.shape)
    if dim is None:
        if 3 not in x._array.shape:
            raise RuntimeError("no dimension of size 3 in input")
        dim = x._array.shape.index(3)
        warnings.warn(
            "Using torch.cross without specifying the dim arg is deprecated.\nPlease either pass the dim explicitly or "
            "simply use torch.linalg.cross.",
            UserWarning,
            stacklevel=3,
        )
    axis = axis_of(dim, x._array.ndim)
    if x._array.shape[axis] != 3 or y._array.shape[axis] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {axis} must have length 3. Got {x._array.shape[axis]} and "
            f"{y._array.shape[axis]}"
        )
    if x._array.dtype.kind == "b":
        raise NotImplementedError("\"cross\" not implemented for 'Bool': convert with .int()")
    x, y = broadcast_to(x, shape), broadcast_to(y, shape)
    first, second = mul(roll(x, -1, axis), roll(y, -2, axis)), mul(roll(x, -2, axis), roll(y, -1, axis))
    return named(sub(first, second, out=out), "LinalgCrossBackward0", input, other)
