"""NAdam: Adam with Nesterov's lookahead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.optim.optimizer import Gradients, Optimizer, check_betas, check_not_negative, lerp, number, update, wide
from minigrad.tensor import Tensor


class NAdam(Optimizer):
    """NAdam of Dozat (2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ), with its schedule of the momentum.

    ValueError for hyper-parameters out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, eps=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay, momentum_decay=momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _update(self, group: dict[str, Any], gradients: Gradients) -> None:
        lr, eps, (beta1, beta2), decay = number(group["lr"]), group["eps"], group["betas"], group["momentum_decay"]
        for p, grad in gradients:
            step, mu_product, exp_avg, exp_avg_sq = self._advance(p, "exp_avg", "exp_avg_sq", mu_product=1.0)
            mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * decay))
            mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * decay))
            mu_product *= mu
            lerp(exp_avg, grad, 1 - beta1, p._array.dtype)
            update(np.multiply, exp_avg_sq, beta2)
            exp_avg_sq += (1 - beta2) * grad * grad
            denominator = np.sqrt(exp_avg_sq / (1 - beta2**step))
            denominator = update(np.add, denominator, eps)
            p._array -= float(lr * (1.0 - mu) / (1.0 - mu_product.item())) * grad / denominator
            p._array -= float(lr * mu_next / (1.0 - mu_product.item() * mu_next)) * wide(exp_avg) / denominator
