"""Adamax: Adam with the largest recent gradient in place of the second moment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.optim.optimizer import Gradients, Optimizer, check_betas, check_not_negative, lerp, number, update, wide
from minigrad.tensor import Tensor


class Adamax(Optimizer):
    """AdaMax of Kingma and Ba (2015, https://arxiv.org/abs/1412.6980), algorithm 2.

    eps is added to the size of each gradient. ValueError for hyper-parameters out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, eps=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _update(self, group: dict[str, Any], gradients: Gradients) -> None:
        lr, eps, (beta1, beta2) = number(group["lr"]), group["eps"], group["betas"]
        for p, grad in gradients:
            step, exp_avg, exp_inf = self._advance(p, "exp_avg", "exp_inf")
            lerp(exp_avg, grad, 1 - beta1, p._array.dtype)
            update(np.multiply, exp_inf, beta2)
            np.maximum(exp_inf, np.abs(grad) + eps, out=exp_inf, casting="same_kind")
            p._array -= float(lr / (1 - beta1**step)) * wide(exp_avg) / exp_inf
