"""Gradients kept within bounds, in place. `foreach` is PyTorch's choice of implementation, and changes nothing here."""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterable

from minigrad import ops
from minigrad.autograd.grad_mode import no_grad
from minigrad.autograd.node import TensorBase
from minigrad.tensor import Tensor

Tensors = Tensor | Iterable[Tensor]


def listed(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, TensorBase) else list(tensors)


@no_grad()
def get_total_norm(
    tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm of all tensors' elements, as of one vector. RuntimeError, if asked for, where it is not finite."""
    norm_type = float(norm_type)
    norms = [ops.norm(x, norm_type) for x in listed(tensors)]
    if not norms:
        return ops.tensor(0.0)
    total = ops.norm(ops.stack(norms), norm_type)
    if error_if_nonfinite and not ops.isfinite(total):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return total


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients by max_norm / total_norm, where that is less than 1."""
    scale = ops.clamp(float(max_norm) / (total_norm + 1e-6), max=1.0)
    for p in listed(parameters):
        if p.grad is not None:
            p.grad.mul_(scale)


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients so that their norm, taken together, is at most max_norm; returns the norm before.

    Pascanu, Mikolov and Bengio (2013, https://arxiv.org/abs/1211.5063), algorithm 1.
    """
    several = listed(parameters)
    if isinstance(parameters, types.GeneratorType) and not several:
        warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", UserWarning, stacklevel=2)
    max_norm = float(max_norm)
    total = get_total_norm([p.grad for p in several if p.grad is not None], norm_type, error_if_nonfinite)
    clip_grads_with_norm_(several, max_norm, total)
    return total


def clip_grad_norm(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The old name of clip_grad_norm_."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


@no_grad()
def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Clamp every element of the gradients to [-clip_value, clip_value]. RuntimeError where there is no gradient."""
    clip_value = float(clip_value)
    grads = [p.grad for p in listed(parameters) if p.grad is not None]
    if not grads:
        raise RuntimeError("clip_grad_value_: none of the parameters has a gradient; call backward() before")
    for grad in grads:
        grad.clamp_(-clip_value, clip_value)
