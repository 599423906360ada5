"""Adam: steps scaled by running moments of the gradient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.optim.optimizer import Gradients, Optimizer, check_betas, check_not_negative, lerp, number, update, wide
from minigrad.tensor import Tensor


class Adam(Optimizer):
    """Adam of Kingma and Ba (2015, https://arxiv.org/abs/1412.6980), algorithm 1.

    `amsgrad` divides by the largest second moment so far (Reddi et al. 2018, https://openreview.net/forum?id=ryQu7f-RZ);
    `decoupled_weight_decay` makes it AdamW. ValueError for hyper-parameters out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and foreach and not capturable:
            raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
        check_not_negative(lr=lr, eps=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        if not (all(isinstance(b, float) for b in betas) or all(isinstance(b, Tensor) for b in betas)):
            raise ValueError("betas must be either both floats or both Tensors")
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _update(self, group: dict[str, Any], gradients: Gradients) -> None:
        lr, eps, (beta1, beta2) = number(group["lr"]), group["eps"], map(number, group["betas"])
        names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else ("exp_avg", "exp_avg_sq")
        for p, grad in gradients:
            step, exp_avg, exp_avg_sq, *largest = self._advance(p, *names)
            lerp(exp_avg, grad, float(1 - beta1), p._array.dtype)
            update(np.multiply, exp_avg_sq, float(beta2))
            exp_avg_sq += float(1 - beta2) * grad * grad
            for maximum in largest:
                exp_avg_sq = np.maximum(maximum, exp_avg_sq, out=maximum)
            denominator = np.sqrt(exp_avg_sq)
            denominator = update(np.divide, denominator, float((1 - beta2**step) ** 0.5))
            denominator = update(np.add, denominator, eps)
            p._array -= float(lr / (1 - beta1**step)) * wide(exp_avg) / denominator
