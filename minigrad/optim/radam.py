"""RAdam: Adam whose first steps, where the second moment is not yet known well, are rectified."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.optim.optimizer import Gradients, Optimizer, check_betas, check_not_negative, lerp, number, update, wide
from minigrad.tensor import Tensor


class RAdam(Optimizer):
    """RAdam of Liu et al. (2020, https://arxiv.org/abs/1908.03265), algorithm 2, with eps as in Adam.

    ValueError for hyper-parameters out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, eps=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _update(self, group: dict[str, Any], gradients: Gradients) -> None:
        lr, eps, (beta1, beta2) = float(number(group["lr"])), group["eps"], group["betas"]
        for p, grad in gradients:
            step, exp_avg, exp_avg_sq = self._advance(p, "exp_avg", "exp_avg_sq")
            lerp(exp_avg, grad, 1 - beta1, p._array.dtype)
            update(np.multiply, exp_avg_sq, beta2)
            exp_avg_sq += (1 - beta2) * grad * grad
            correction = 1 - beta2**step
            change = wide(exp_avg) / (1 - beta1**step) * lr
            # rho is the length of the simple moving average that the exponential one is like.
            limit = 2 / (1 - beta2) - 1
            rho = limit - 2 * step * beta2**step / correction
            if rho > 5.0:
                rectified = ((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)) ** 0.5
                change = change * (correction**0.5 / update(np.add, np.sqrt(exp_avg_sq), eps)) * rectified
            p._array -= change
