"""Adadelta: steps scaled by the ratio of the running means of squared steps and squared gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.kernels import Array
from minigrad.optim.optimizer import Gradients, Optimizer, check_not_negative, number, rate, update, wide
from minigrad.tensor import Tensor


class Adadelta(Optimizer):
    """Adadelta of Zeiler (2012, https://arxiv.org/abs/1212.5701), algorithm 1, its steps scaled by lr.

    ValueError for hyper-parameters out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_not_negative(eps=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _update(self, group: dict[str, Any], gradients: Gradients) -> None:
        lr, rho, eps = float(number(group["lr"])), group["rho"], group["eps"]
        for p, grad in gradients:
            _, square_avg, acc_delta = self._advance(p, "square_avg", "acc_delta")
            update(np.multiply, square_avg, rho)
            square_avg += (1 - rho) * grad * grad
            delta = root(acc_delta, eps) / root(square_avg, eps) * grad
            update(np.multiply, acc_delta, rho)
            acc_delta += (1 - rho) * delta * delta
            p._array -= rate(lr, p._array) * delta


def root(x: Array, eps: float) -> Array:
    """The square root of x + eps."""
    out: Array = np.sqrt((wide(x) + eps).astype(x.dtype, copy=False))
    return out
