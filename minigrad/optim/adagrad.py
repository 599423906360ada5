"""Adagrad: steps scaled by the sum of all squared gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.autograd.node import wrap
from minigrad.optim.optimizer import Gradients, Optimizer, check_not_negative, number, scalar, update
from minigrad.tensor import Tensor


class Adagrad(Optimizer):
    """Adagrad with diagonal matrices (Duchi, Hazan and Singer 2011, https://jmlr.org/papers/v12/duchi11a.html).

    In step t the rate is lr / (1 + (t - 1) * lr_decay). ValueError for negative hyper-parameters.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_not_negative(
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                self._begin(p)

    def _begin(self, p: Tensor) -> None:
        total = np.full_like(p._array, self.defaults["initial_accumulator_value"])
        self.state[p] = {"step": scalar(0.0), "sum": wrap(total)}

    def _update(self, group: dict[str, Any], gradients: Gradients) -> None:
        lr, lr_decay, eps = number(group["lr"]), group["lr_decay"], group["eps"]
        for p, grad in gradients:
            if not self.state[p]:
                self._begin(p)
            step, total = self._advance(p, "sum")
            total += grad * grad
            denominator = np.sqrt(total)
            denominator = update(np.add, denominator, eps)
            p._array -= float(lr / (1 + (step - 1) * lr_decay)) * grad / denominator
