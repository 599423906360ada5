"""Layers and losses as functions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad import kernels, ops
from minigrad.autograd.graph import apply
from minigrad.autograd.inplace import in_place
from minigrad.autograd.node import wrap
from minigrad.metadata import dtype as Dtype
from minigrad.nn.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    l1_loss,
    mse_loss,
    nll_loss,
)
from minigrad.ops import bernoulli, sigmoid, tanh
from minigrad.ops.arguments import require_tensor, type_name
from minigrad.ops.linalg import linear
from minigrad.ops.numbers import factor_as, index_of, number, number_as
from minigrad.tensor import Tensor

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "dropout", "elu", "elu_", "embedding",
    "gelu", "hardtanh", "hardtanh_", "l1_loss", "leaky_relu", "leaky_relu_", "linear", "log_softmax", "logsigmoid",
    "mse_loss", "nll_loss", "one_hot", "relu", "relu6", "relu_", "selu", "selu_", "sigmoid", "silu", "softmax",
    "softplus", "softsign", "tanh", "tanhshrink",
]  # fmt: skip


def implicit_dim(name: str, ndim: int, stacklevel: int) -> int:
    """The dim that softmax takes where none is given, with PyTorch's warning."""
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        UserWarning,
        stacklevel=stacklevel + 1,
    )
    return 0 if ndim in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Dtype | None = None) -> Tensor:
    """exp(input) / sum(exp(input)) along `dim`, computed in `dtype`."""
    dim = implicit_dim("softmax", input.ndim, _stacklevel) if dim is None else dim
    return input.softmax(dim, dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Dtype | None = None) -> Tensor:
    """log(softmax(input)) along `dim`, without overflow, computed in `dtype`."""
    dim = implicit_dim("log_softmax", input.ndim, _stacklevel) if dim is None else dim
    return input.log_softmax(dim, dtype)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """While `training`, zeros with probability p, and the rest divided by 1 - p; else the input itself.

    Srivastava et al., "Dropout", J. Mach. Learn. Res. 15 (2014), 1929. ValueError unless 0 <= p <= 1.
    """
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    require_tensor(input, "dropout")
    if p != p:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p}")
    if p == 0 or not training or not input._array.size:
        return input
    if p == 1:
        mask = wrap(np.zeros((), input._array.dtype))
    elif input._array.dtype.kind != "f":
        raise RuntimeError(f"result type Float can't be cast to the desired output type {type_name(input)}")
    else:
        mask = dropout_mask(input._array, 1 - float(p))
    return input.mul_(mask) if inplace else input * mask  # type: ignore[no-any-return]


def dropout_mask(like: Any, keep: float) -> Tensor:
    """1 / keep with the probability `keep`, else 0: drawn in the order in which the input's elements lie in memory."""
    axes = list(range(like.ndim))
    if 0 not in like.strides:
        axes.sort(key=lambda i: -like.strides[i])
    mask = bernoulli(wrap(like.transpose(axes)), keep)._array
    wide = np.promote_types(mask.dtype, np.float32).type  # PyTorch divides float16 in float32
    mask *= wide(1) / wide(keep)
    return wrap(mask.transpose(kernels.inverse(tuple(axes))))


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` (n, features) that `input`, of any shape and of integers, names.

    The row `padding_idx` gets no gradient. With `max_norm`, the rows that are named and whose norm, of order
    `norm_type`, is larger are first scaled down to it, in place. `scale_grad_by_freq` divides the gradient of a row by
    how often it is named. IndexError for a number that is no row, NotImplementedError for `sparse`.
    """
    require_tensor(weight, "embedding", "weight")
    require_tensor(input, "embedding", "indices")
    check_embedding(sparse)
    if weight._array.ndim != 2:
        raise RuntimeError(f"'weight' must be 2-D, got shape {list(weight.shape)}")
    rows = weight._array.shape[0]
    padding = padding_row(padding_idx, rows)
    index = input._array
    if index.dtype not in (np.int64, np.int32):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            f"{input.type()} instead: convert it with .long()"
        )
    wrong = index[(index < 0) | (index >= rows)]
    if wrong.size:
        raise IndexError(f"index out of range in self: {wrong[0]}, for {rows} rows")
    if max_norm is not None:
        renormalise(weight, index, max_norm, norm_type)
    return apply(kernels.embedding, weight, index=index.copy(), padding=padding, by_frequency=bool(scale_grad_by_freq))


def renormalise(weight: Tensor, index: np.ndarray[Any, Any], max_norm: float, norm_type: float) -> None:
    """Scale the rows at `index` whose norm is above `max_norm` down to it, in place: ATen's embedding_renorm_."""
    rows = weight.detach()
    norms = rows.norm(norm_type, 1, True)._array.astype(np.float64)
    over = np.isin(np.arange(len(norms)), index)[:, None] & (norms > max_norm)
    rows.mul_(wrap(np.where(over, max_norm / (norms + 1e-7), 1.0).astype(weight._array.dtype)))


def check_embedding(sparse: bool) -> None:
    if sparse:
        raise NotImplementedError("embedding: sparse gradients are not supported: leave out sparse=True")


def padding_row(padding_idx: int | None, rows: int) -> int | None:
    """The row of the padding, counted from 0; AssertionError where there is no such row."""
    if padding_idx is None:
        return None
    padding_idx = index_of(padding_idx, "padding_idx")
    if not -rows <= padding_idx < rows:
        raise AssertionError("Padding_idx must be within num_embeddings")
    return padding_idx % rows


def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """1 at the class that `input`, of int64, names, 0 at the others: (...) to (..., num_classes).

    Without `num_classes` there are as many as the largest class asks for. RuntimeError for numbers that are no class.
    """
    require_tensor(input, "one_hot")
    index, num_classes = input._array, index_of(num_classes, "num_classes")
    if index.dtype != np.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if not index.size and num_classes <= 0:
        raise RuntimeError("Can not infer total number of classes from empty tensor.")
    if index.min(initial=0) < 0:
        raise RuntimeError("Class values must be non-negative.")
    if num_classes == -1:
        num_classes = int(index.max()) + 1
    elif index.max(initial=-1) >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return wrap((index[..., None] == np.arange(num_classes)).astype(np.int64, "C"))


def require_floats(x: Any, name: str, kernel: str) -> None:
    require_tensor(x, name)
    if x._array.dtype.kind != "f":
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{type_name(x)}': convert with .float()")


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0), in the memory of `input` where `inplace`; gradient 0 at 0."""
    return input.relu_() if inplace else ops.relu(input)


def relu_(input: Tensor) -> Tensor:
    """relu in the memory of `input`."""
    return input.relu_()  # type: ignore[no-any-return]


def leaky_relu(
    input: Tensor, negative_slope: float = 0.01, inplace: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """input where it is above 0, else input * negative_slope."""
    if inplace:
        return leaky_relu_(input, negative_slope)
    require_floats(input, "leaky_relu", "leaky_relu_cpu")
    slope = factor_as(negative_slope, input._array.dtype, "leaky_relu(): argument 'negative_slope'")
    return apply(kernels.leaky_relu, input, out=out, slope=slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False, *, out: Tensor | None = None) -> Tensor:
    """input where it is above 0, else alpha * (exp(input) - 1): Clevert et al. (2015)."""
    if inplace:
        return elu_(input, alpha)
    require_floats(input, "elu", "elu_cpu")
    alpha = factor_as(alpha, input._array.dtype, "elu(): argument 'alpha'")
    return apply(kernels.elu, input, out=out, alpha=alpha, scale=1.0)


def selu(input: Tensor, inplace: bool = False, *, out: Tensor | None = None) -> Tensor:
    """elu with the alpha and the scale that keep mean 0 and variance 1: Klambauer et al. (2017)."""
    if inplace:
        return selu_(input)
    require_floats(input, "selu", "elu_cpu")
    return apply(kernels.elu, input, out=out, alpha=1.6732632423543772, scale=1.0507009873554805)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0, *, out: Tensor | None = None) -> Tensor:
    """log(1 + exp(beta * input)) / beta; input itself where beta * input is above `threshold`."""
    require_floats(input, "softplus", "softplus_cpu")
    beta = factor_as(beta, input._array.dtype, "softplus(): argument 'beta'")
    threshold = factor_as(threshold, input._array.dtype, "softplus(): argument 'threshold'")
    return apply(kernels.softplus, input, out=out, beta=beta, threshold=threshold)


def silu(input: Tensor, inplace: bool = False, *, out: Tensor | None = None) -> Tensor:
    """input * sigmoid(input)."""
    if inplace:
        return silu_(input)
    require_floats(input, "silu", "silu_cpu")
    return apply(kernels.silu, input, out=out)


def gelu(input: Tensor, approximate: str = "none", *, out: Tensor | None = None) -> Tensor:
    """input times the normal distribution's function at it, or ("tanh") an approximation: Hendrycks, Gimpel (2016)."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"approximate argument must be either none or tanh, got {approximate!r}")
    require_floats(input, "gelu", "GeluKernelImpl")
    return apply(kernels.gelu if approximate == "none" else kernels.gelu_tanh, input, out=out)


def logsigmoid(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """log(sigmoid(input)), without overflow."""
    require_floats(input, "log_sigmoid", "log_sigmoid_cpu")
    return apply(kernels.log_sigmoid, input, out=out)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """input limited to min_val..max_val; unlike clamp's, the gradient at the bounds is 0."""
    require_tensor(input, "hardtanh")
    min_val, max_val = (number(x, "hardtanh(): a bound") for x in (min_val, max_val))
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if inplace:
        return hardtanh_(input, min_val, max_val)
    kind = input._array.dtype.kind
    if kind == "b":
        raise RuntimeError("Bool inputs not supported for hardtanh")
    if kind == "u" and min(min_val, max_val) < 0:
        raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
    if kind != "f":  # PyTorch drops what is behind the point first
        min_val, max_val = (number_as(x, np.dtype(np.int64)).item() for x in (min_val, max_val))
    low, high = (number_as(x, input._array.dtype).item() for x in (min_val, max_val))
    return apply(kernels.hardtanh, input, out=out, low=low, high=high)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """input limited to 0..6."""
    require_tensor(input, "relu6")
    return hardtanh(input, 0.0, 6.0, inplace)


def softsign(input: Tensor) -> Tensor:
    """input / (1 + |input|)."""
    return input / (input.abs() + 1)  # type: ignore[no-any-return]


def tanhshrink(input: Tensor) -> Tensor:
    """input - tanh(input)."""
    return input - input.tanh()  # type: ignore[no-any-return]


leaky_relu_: Callable[..., Tensor] = in_place(leaky_relu)
elu_: Callable[..., Tensor] = in_place(elu)
selu_: Callable[..., Tensor] = in_place(selu)
silu_: Callable[..., Tensor] = in_place(silu)
hardtanh_: Callable[..., Tensor] = in_place(hardtanh)
