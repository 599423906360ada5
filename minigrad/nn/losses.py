"""Losses as functions, which minigrad.nn.functional gives out."""

from __future__ import annotations

import math
import warnings
from typing import Any, cast

import numpy as np

from minigrad import kernels
from minigrad.autograd.grad_mode import state
from minigrad.autograd.graph import apply
from minigrad.autograd.node import TensorBase, named, wrap
from minigrad.ops import abs, log_softmax, masked_fill, mean, mul, square, sub, sum
from minigrad.ops.arguments import convert, not_a_tensor, promote_dtypes, require_tensor, type_name
from minigrad.ops.distributions import real, whole
from minigrad.tensor import Tensor

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "l1_loss",
    "mse_loss",
    "nll_loss",
]

REDUCTIONS = ("mean", "sum", "none")


def reduction_of(size_average: bool | None, reduce: bool | None, reduction: str, stacklevel: int = 3) -> str:
    """The reduction that old arguments mean; with PyTorch's warning, where they are given."""
    if size_average is not None or reduce is not None:
        average = size_average is None or size_average
        reduction = "none" if reduce is False else "mean" if average else "sum"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            UserWarning,
            stacklevel=stacklevel,
        )
    return reduction


def chosen(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that the arguments of a loss mean; ValueError unless it is one."""
    if size_average is not None or reduce is not None:
        reduction = reduction_of(size_average, reduce, reduction, 4)
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction: write 'mean', 'sum' or 'none'")
    return reduction


def warn_of_sizes(input: Tensor, target: Tensor) -> None:
    """PyTorch's warning where the shapes of prediction and target differ: that broadcasts, and is rarely meant."""
    warnings.warn(
        f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will likely "
        "lead to incorrect results due to broadcasting. Please ensure they have the same size.",
        UserWarning,
        stacklevel=3,
    )


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(input - target)**2: its mean, sum, or (reduction="none") each.

    `weight`, of the shape of both, counts elements more or less; "mean" divides by the sum of the weights.
    """
    reduction = chosen(size_average, reduce, reduction)
    if not isinstance(target, TensorBase):
        raise not_a_tensor(target, "mse_loss", "target")
    x, y = input._array, target._array
    if x.shape != y.shape:
        warn_of_sizes(input, target)
    if weight is not None:
        return weighted(square(difference(input, target)), weight, input, reduction)
    input, target = alike(input, target)
    if input._array.dtype.kind != "f":
        raise NotImplementedError(f"\"mse_cpu\" not implemented for '{type_name(input)}': convert with .float()")
    if reduction != "none":
        return apply(kernels.mse_loss, input, target, reduction=reduction)
    return apply(kernels.squared_error, input, target)


def alike(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in one dtype. PyTorch promotes them as they are once broadcast, so that a number's dtype counts in full."""
    a, b = input._array.dtype, target._array.dtype
    if a is b:
        return input, target
    dtype = promote_dtypes(a, b)
    return convert(input, dtype), convert(target, dtype)


def difference(input: Tensor, target: Tensor) -> Tensor:
    """input - target in their common dtype; RuntimeError for bools."""
    kinds = input._array.dtype.kind + target._array.dtype.kind
    return sub(input, target) if "b" in kinds else sub(*alike(input, target))


def weighted(loss: Tensor, weight: Tensor, input: Tensor, reduction: str) -> Tensor:
    """The losses of elements, weighted and reduced; ValueError unless there is one weight for each."""
    if weight._array.shape != input._array.shape:
        raise ValueError(
            f"Weights and input must have the same size: {list(weight.shape)} is not {list(input.shape)}, so expand() "
            "the weights"
        )
    loss = mul(loss, weight)
    if reduction == "none":
        return loss
    return sum(loss) if reduction == "sum" else sum(loss) / sum(weight)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """abs(input - target): its mean, sum, or (reduction="none") each, weighted as by mse_loss."""
    reduction = chosen(size_average, reduce, reduction)
    if not isinstance(target, TensorBase):
        raise not_a_tensor(target, "l1_loss", "target")
    if input._array.shape != target._array.shape:
        warn_of_sizes(input, target)
    loss = abs(difference(input, target))
    if weight is not None:
        return weighted(loss, weight, input, reduction)
    return loss if reduction == "none" else mean(loss) if reduction == "mean" else sum(loss)


def refuse_gradients(function: str, **constants: Tensor | None) -> None:
    """RuntimeError where gradients are asked for of what PyTorch takes for constant."""
    for name, x in constants.items():
        if x is not None and state.grad and x.requires_grad:
            raise RuntimeError(
                f"The function '{function}' is not differentiable with respect to argument '{name}'. This input cannot "
                "have requires_grad True."
            )


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-input at the class that `target` names: of log-probabilities, the negative log-likelihood.

    `input` (N, C), (C,) or (N, C, ...), `target` of the same shape without C, of int64 or uint8. `weight` (C,) counts
    classes more or less; "mean" divides by the sum of these weights. Targets equal to `ignore_index` don't count.
    IndexError where a target is no class, ValueError or RuntimeError for wrong shapes, RuntimeError for wrong dtypes.
    """
    reduction = chosen(size_average, reduce, reduction)
    require_tensor(input, "nll_loss_nd")
    require_tensor(target, "nll_loss_nd", "target")
    ignore_index = whole(ignore_index, "nll_loss_nd", "ignore_index")
    shape, classes = input._array.shape, check_classes(input, target, weight)
    refuse_gradients("nll_loss_forward", weight=weight)
    labels = target._array
    wrong = labels[((labels < 0) | (labels >= classes)) & (labels != ignore_index)]
    if wrong.size:
        raise IndexError(f"Target {wrong[0]} is out of bounds.")
    options: dict[str, Any] = {"reduction": reduction, "ignore_index": ignore_index}
    if len(shape) == 1:
        return apply(kernels.nll_loss, input, target.reshape(()), weight, **options)
    if len(shape) == 2:
        return apply(kernels.nll_loss, input, target, weight, **options)
    if len(shape) == 4:
        return apply(kernels.nll_loss2d, input, target, weight, **options)
    flat = math.prod(shape[2:])  # the places of an image, or of a text, as one dim: PyTorch's graph
    scores, labels = input.reshape(shape[0], classes, 1, flat), target.reshape(shape[0], 1, flat)
    loss = apply(kernels.nll_loss2d, scores, labels, weight, **options)
    return loss.reshape(target.shape) if reduction == "none" else loss


def check_classes(input: Tensor, target: Tensor, weight: Tensor | None) -> int:
    """The number of classes. PyTorch's errors where shapes or dtypes of scores, targets and weights don't fit."""
    shape, given = input._array.shape, target._array.shape
    ndim, batch = len(shape), given[0] if given else 0
    if not ndim:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if ndim == 1 and len(given) == 1 and batch != 1:
        raise ValueError(f"For 1D input, 1D target must have size 1, but got target size: {batch}")
    if ndim > 1 and shape[0] != batch:
        raise ValueError(f"Expected input batch_size ({shape[0]}) to match target batch_size ({batch}).")
    if ndim < 3 and len(given) > 1:
        raise RuntimeError(
            f"0D or 1D target tensor expected, multi-target not supported: got a target of shape {list(given)}, for an "
            f"input of shape {list(shape)}"
        )
    if ndim > 2 and given[1:] != shape[2:]:
        raise RuntimeError(f"Expected target size {[shape[0], *shape[2:]]}, got {list(given)}")
    if target._array.dtype not in (np.int64, np.uint8):
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {type_name(target)}: convert it with .long()"
        )
    if input._array.dtype.kind != "f":
        raise NotImplementedError(f"\"nll_loss\" not implemented for '{type_name(input)}': convert with .float()")
    classes = shape[ndim > 1]
    if weight is not None:
        if weight._array.shape != (classes,):
            raise RuntimeError(
                f"weight tensor should be defined either for all {classes} classes or no classes but got weight tensor "
                f"of shape: {list(weight.shape)}"
            )
        if weight._array.dtype != input._array.dtype:
            raise RuntimeError(f"expected scalar type {type_name(input)} but found {type_name(weight)}")
    return int(classes)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """nll_loss of log_softmax(input): of scores, the cross entropy of the target's classes.

    Shapes, dtypes and errors as nll_loss; or `target` holds the probabilities of the classes, in the shape of `input`,
    and "mean" divides by the number of samples. `label_smoothing` mixes so much of the uniform distribution into it.
    """
    reduction = chosen(size_average, reduce, reduction)
    require_tensor(input, "cross_entropy_loss")
    require_tensor(target, "cross_entropy_loss", "target")
    ignore_index = whole(ignore_index, "cross_entropy_loss", "ignore_index")
    label_smoothing = real(label_smoothing, "cross_entropy_loss", "label_smoothing")
    if label_smoothing > 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    dim = 0 if input._array.ndim == 1 else 1
    if input._array.shape == target._array.shape:
        if target._array.dtype.kind != "f":
            raise RuntimeError(
                f"Expected floating point type for target with class probabilities, got {type_name(target)}: indices "
                "of classes have the shape of the input without its dim 1"
            )
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        return cross_entropy_of_probabilities(input, target, weight, reduction, label_smoothing, dim)
    x = log_softmax(input, dim)
    if label_smoothing > 0:
        return smoothed_cross_entropy(x, target, weight, reduction, ignore_index, label_smoothing, dim)
    return nll_loss(x, target, weight, ignore_index=ignore_index, reduction=reduction)


def cross_entropy_of_probabilities(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float, dim: int
) -> Tensor:
    x = log_softmax(input, dim)
    classes = x._array.shape[dim]
    if label_smoothing > 0:
        target = target * (1 - label_smoothing) + label_smoothing / (classes or math.nan)
    products = x * target
    if weight is not None:
        if weight._array.shape != (classes,):
            raise RuntimeError(
                f"cross_entropy: weight tensor should be defined either for all {classes} classes or no classes but "
                f"got weight tensor of shape: {list(weight.shape)}"
            )
        products = products * along_classes(weight, x._array.ndim)
    if reduction == "none":
        return -sum(products, dim)
    total = -sum(products)
    if reduction == "sum":
        return total
    return named(total / (products._array.size / classes if classes else 0), "DivBackward1")


def along_classes(weight: Tensor, ndim: int) -> Tensor:
    """The weights of classes as a tensor to multiply scores of `ndim` dims by."""
    return weight if ndim == 1 else weight.reshape(-1, *(1,) * (ndim - 2))


def smoothed_cross_entropy(
    x: Tensor, target: Tensor, weight: Tensor | None, reduction: str, ignore_index: int, smoothing: float, dim: int
) -> Tensor:
    """The mix of nll_loss and of the mean over all classes."""
    picked = nll_loss(x, target, weight, ignore_index=ignore_index, reduction=reduction)
    ignored = target._array == ignore_index
    total = -sum(x if weight is None else x * along_classes(weight, x._array.ndim), dim)
    smooth = masked_fill(total, wrap(ignored.reshape(total._array.shape)), 0.0)
    if reduction != "none":
        smooth = sum(smooth)
    if reduction == "mean":
        if weight is None:
            smooth = smooth / int(ignored.size - ignored.sum())
        else:
            smooth = smooth / wrap(weight._array[target._array[~ignored]].sum())
    share = smoothing / x._array.shape[dim]
    return picked * (1 - smoothing) + smooth * share  # type: ignore[no-any-return]


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-target log(input) - (1 - target) log(1 - input), of probabilities; the logarithms are no lower than -100.

    `weight` broadcasts to `target`. ValueError for shapes that differ, RuntimeError for numbers outside 0 ... 1.
    """
    reduction = chosen(size_average, reduce, reduction)
    require_size(input, target, "binary_cross_entropy")
    if input._array.shape != target._array.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is deprecated. "
            "Please ensure they have the same size."
        )
    if input._array.dtype != target._array.dtype:
        raise RuntimeError(f"Found dtype {type_name(target)} but expected {type_name(input)}")
    if input._array.dtype.kind != "f":
        raise NotImplementedError(f"\"binary_cross_entropy\" not implemented for '{type_name(input)}': use .float()")
    refuse_gradients("binary_cross_entropy", weight=weight)
    for name, x in (("input", input._array), ("target", target._array)):
        if not ((x >= 0) & (x <= 1)).all():
            raise RuntimeError(f"all elements of {name} should be between 0 and 1")
    factor = element_weight(weight, input)
    return apply(kernels.binary_cross_entropy, input, target, factor, reduction=reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """binary_cross_entropy of sigmoid(input), without overflow. `pos_weight` counts positive targets more or less.

    `weight` and `pos_weight` broadcast to `target`. ValueError for shapes that differ.
    """
    reduction = chosen(size_average, reduce, reduction)
    require_size(input, target, "binary_cross_entropy_with_logits")
    if input._array.shape != target._array.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    if input._array.dtype.kind != "f":
        raise NotImplementedError(f"\"log_sigmoid_cpu\" not implemented for '{type_name(input)}': use .float()")
    if target._array.dtype.kind != "f":
        raise RuntimeError(
            f"result type {type_name(input)} can't be cast to the desired output type {type_name(target)}: convert the "
            "target with .float()"
        )
    refuse_gradients("binary_cross_entropy_with_logits", weight=weight, pos_weight=pos_weight)
    x = convert(input, target._array.dtype)
    weights = element_weight(weight, x), element_weight(pos_weight, x)
    return apply(kernels.binary_cross_entropy_with_logits, x, target, *weights, reduction=reduction)


def require_size(input: Any, target: Any, function: str) -> None:
    """PyTorch's errors unless both are tensors."""
    for name, x in (("target", target), ("input", input)):
        if not isinstance(x, TensorBase):
            raise not_a_tensor(x, function, name)


def element_weight(weight: Tensor | None, x: Tensor) -> Tensor | None:
    """The weights of elements in the dtype of x; RuntimeError unless they broadcast to its shape."""
    if weight is None:
        return None
    try:
        fits = np.broadcast_shapes(weight._array.shape, x._array.shape) == x._array.shape
    except ValueError:
        fits = False
    if not fits:
        raise RuntimeError(
            f"output with shape {list(x.shape)} doesn't match the broadcast shape: a weight of shape "
            f"{list(weight.shape)} doesn't broadcast to it"
        )
    return cast(Tensor, convert(weight, x._array.dtype))
