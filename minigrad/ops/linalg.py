"""Products of matrices and vectors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from minigrad import kernels
from minigrad.autograd.graph import apply
from minigrad.autograd.node import TensorBase, named
from minigrad.ops.arguments import convert, require_tensor, result_dtype, type_name
from minigrad.ops.numbers import Number, factor_as, number
from minigrad.ops.pointwise import mul
from minigrad.ops.shaping import transpose

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


def same_dtype(x: Tensor, y: Tensor, name: str) -> None:
    require_tensor(x, name)
    require_tensor(y, name, "other")
    if x._array.dtype != y._array.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {type_name(x).lower()} != {type_name(y).lower()}; "
            "convert one with .to(other.dtype)"
        )


def mm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of two matrices, (n, k) and (k, m)."""
    check_matrices(input, mat2, "mm")
    return apply(kernels.matmul, input, mat2, out=out)


def check_matrices(x: Tensor, y: Tensor, name: str) -> None:
    """RuntimeError unless these are two matrices of one dtype that can be multiplied."""
    same_dtype(x, y, name)
    if x._array.ndim != 2 or y._array.ndim != 2:
        raise RuntimeError(f"{name} needs two matrices, got shapes {list(x._array.shape)} and {list(y._array.shape)}")
    if x._array.shape[1] != y._array.shape[0]:
        (a, b), (c, d) = x._array.shape, y._array.shape
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({a}x{b} and {c}x{d})")


def mv(input: Tensor, vec: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of a matrix (n, k) and a vector (k,)."""
    same_dtype(input, vec, "mv")
    shape, length = input._array.shape, vec._array.shape
    if len(shape) != 2 or len(length) != 1 or shape[1] != length[0]:
        raise RuntimeError(f"size mismatch, got a matrix of shape {list(shape)} and a vector of shape {list(length)}")
    product = apply(kernels.matmul, input, column(vec))
    return named(reshaped(product, shape[:1], out), "MvBackward0", input, vec)


def reshaped(product: Tensor, shape: tuple[int, ...], out: Tensor | None) -> Tensor:
    """A product in the shape that it is to have. It is no view to the user, who never meets what it is a view of."""
    result = apply(kernels.reshape, product, shape=shape, out=out)
    result._view = None
    return result


def column(vec: Tensor) -> Tensor:
    return apply(kernels.reshape_view, vec, shape=(vec._array.size, 1))


def row(vec: Tensor) -> Tensor:
    return apply(kernels.reshape_view, vec, shape=(1, vec._array.size))


def bmm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The products of a batch of matrices, (b, n, k) and (b, k, m)."""
    x = batched(input, mat2, "bmm")
    a, b = x._array.shape, mat2._array.shape
    if len(a) != 3 or len(b) != 3 or a[0] != b[0] or a[2] != b[1]:
        raise RuntimeError(f"bmm needs shapes (b, n, k) and (b, k, m), got {list(a)} and {list(b)}")
    return named(apply(kernels.matmul, x, mat2, out=out), "BmmBackward0")


def batched(x: Tensor, y: Tensor, name: str) -> Tensor:
    """x, for a product of batches with y: where nothing is to be multiplied, PyTorch goes by the dtype of y."""
    if isinstance(x, TensorBase) and isinstance(y, TensorBase) and not (x._array.size and y._array.size):
        dtype = y._array.dtype
        if dtype.kind == "f" or not x._requires_grad:
            x = convert(x, dtype)
    same_dtype(x, y, name)
    return x


def dot(input: Tensor, tensor: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inner product of two vectors."""
    same_dtype(input, tensor, "dot")
    a, b = input._array.shape, tensor._array.shape
    if len(a) != 1 or len(b) != 1:
        raise RuntimeError(f"1D tensors expected, but got {len(a)}D and {len(b)}D tensors")
    if a != b:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor {list(a)} and src {list(b)} to have the same number of elements"
        )
    if input._array.dtype.kind == "b":
        raise NotImplementedError("\"dot\" not implemented for 'Bool': convert with .float()")
    product = apply(kernels.matmul, row(input), column(tensor))
    return named(reshaped(product, (), out), "DotBackward0", input, tensor)


def outer(input: Tensor, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """All products of an element of one vector with one of another: (n,) and (m,) to (n, m)."""
    require_tensor(input, "outer")
    require_tensor(vec2, "outer", "vec2")
    for name, x in (("self", input), ("vec2", vec2)):
        if x._array.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {x._array.ndim}-D")
    return mul(apply(kernels.reshape, input, shape=(input._array.size, 1)), vec2, out=out)


def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of vectors, matrices or batches of matrices, whose leading dims broadcast."""
    require_tensor(input, "matmul")
    require_tensor(other, "matmul", "other")
    a, b = input._array.ndim, other._array.ndim
    if a == 2 and b == 2:
        return mm(input, other, out=out)
    if b > 2 and (a > 2 or (a == 2 and not input._requires_grad)):
        input = batched(input, other, "matmul")
    else:
        same_dtype(input, other, "matmul")
    if not a or not b:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {a}D and {b}D")
    if a == 1 and b == 1:
        return dot(input, other, out=out)
    x = row(input) if a == 1 else input
    y = column(other) if b == 1 else other
    if x._array.shape[-1] != y._array.shape[-2]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied: {list(input._array.shape)} and {list(other._array.shape)}"
        )
    try:
        product = apply(kernels.matmul, x, y, out=out if (a != 1 and b != 1) or (a == 1 and b == 2) else None)
    except ValueError:
        raise RuntimeError(
            f"the leading dims of {list(input._array.shape)} and {list(other._array.shape)} don't broadcast"
        ) from None
    if a != 1 and b != 1:
        return named(product, "UnsafeViewBackward0")
    shape = product._array.shape
    shape = shape[:-2] + shape[-1:] if a == 1 else shape[:-1]
    if product is out:  # PyTorch resizes `out` to one row, and warns, before it takes the row
        out._array = out._array.reshape(shape)
        return out
    result = reshaped(product, shape, out)
    if a == 2:
        return named(result, "MvBackward0", input, other)
    return named(result, "SqueezeBackward4" if b == 2 else "UnsafeViewBackward0")


def addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Number = 1, alpha: Number = 1, out: Tensor | None = None
) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2); what 0 multiplies is not read: its NaN don't spread."""
    check_matrices(mat1, mat2, "addmm")
    same_dtype(input, mat2, "addmm")
    dtype = input._array.dtype
    beta, alpha = number(beta, "argument 'beta'"), number(alpha, "argument 'alpha'")
    if dtype.kind == "b" and 0 not in (*mat1._array.shape, mat2._array.shape[1]):
        raise NotImplementedError("\"addmm_impl_cpu_\" not implemented for 'Bool': convert with .float()")
    if dtype.kind != "f":
        (n, k), m = mat1._array.shape, mat2._array.shape[1]
        if n and m and beta != 0 and (k == 0 or dtype.kind == "b") and result_dtype(input, beta) != dtype:
            raise RuntimeError(
                f"addmm with beta={beta}: the result can't be cast to {input.dtype}; convert with .float() first"
            )
    beta, alpha = (factor_as(x, dtype, f"argument '{name}'") for name, x in (("beta", beta), ("alpha", alpha)))
    return apply(kernels.addmm, input, mat1, mat2, beta=beta, alpha=alpha, out=out)


def svd(input: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The thin singular value decomposition of each matrix: U, S, V with input = U @ diag(S) @ V.T."""
    if input._array.ndim < 2:
        raise RuntimeError(f"svd: The input tensor must have at least 2 dimensions, got {input._array.ndim}")
    u, s, vt = cast("tuple[Tensor, Tensor, Tensor]", apply(kernels.svd, input))
    return u, s, transpose(vt, -2, -1)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias: (..., in) with a weight of shape (out, in) to (..., out)."""
    if not isinstance(input, TensorBase):
        require_tensor(input, "linear")
    x, w = input._array, weight._array
    if x.dtype is not w.dtype:
        same_dtype(input, weight, "linear")
    shape = x.shape
    if w.ndim != 2 or not shape:
        if w.ndim == 0 or not shape:
            raise RuntimeError(f"both arguments to linear need to be at least 1D, but they are {x.ndim}D and {w.ndim}D")
        if w.ndim > 2 or bias is not None:
            raise RuntimeError(f"linear needs a weight of shape (out, in), or (in,) without bias; got {list(w.shape)}")
        return linear(input, row(weight)).squeeze(-1)
    if shape[-1] != w.shape[1]:
        rows = x.size // max(shape[-1], 1)
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{shape[-1]} and "
            f"{w.shape[1]}x{w.shape[0]}): linear got an input of shape {list(shape)} for a weight of shape "
            f"{list(w.shape)}"
        )
    if len(shape) != 2:  # PyTorch makes rows of them, too
        return linear_of_rows(input, weight, bias)
    if bias is None:
        return apply(kernels.linear_no_bias, input, weight)
    if bias._array.dtype is not w.dtype:
        same_dtype(bias, weight, "linear")
    return apply(kernels.linear, input, weight, bias)


def linear_of_rows(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """linear() of a vector, or of a batch of more dims than one."""
    shape = x._array.shape
    rows = apply(kernels.reshape, x, shape=(math.prod(shape[:-1]), shape[-1]))
    if bias is None and len(shape) == 1:
        named(rows, "UnsqueezeBackward0")
    name = "ViewBackward0" if bias is not None else "SqueezeBackward4" if len(shape) == 1 else "UnsafeViewBackward0"
    out = linear(rows, weight, bias)
    return named(apply(kernels.reshape, out, shape=(*shape[:-1], weight._array.shape[0])), name)
