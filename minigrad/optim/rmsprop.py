"""RMSprop: steps scaled by a running mean of the squared gradient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.optim.optimizer import Gradients, Optimizer, check_not_negative, lerp, number, rate, update, wide
from minigrad.tensor import Tensor


class RMSprop(Optimizer):
    """RMSprop of Tieleman and Hinton (2012, Neural Networks for Machine Learning, lecture 6.5).

    `centered` divides by the deviation of the gradient (Graves 2013, https://arxiv.org/abs/1308.0850); eps is added
    after the square root. ValueError for negative hyper-parameters.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _update(self, group: dict[str, Any], gradients: Gradients) -> None:
        lr, alpha, momentum = float(number(group["lr"])), group["alpha"], group["momentum"]
        names = ["square_avg"] + ["momentum_buffer"] * (momentum > 0) + ["grad_avg"] * group["centered"]
        for p, grad in gradients:
            _, square_avg, *others = self._advance(p, *names)
            update(np.multiply, square_avg, alpha)
            square_avg += (1 - alpha) * grad * grad
            if group["centered"]:
                grad_avg = others[-1]
                lerp(grad_avg, grad, 1 - alpha, p._array.dtype)
                square_avg = square_avg - grad_avg * grad_avg
            denominator = np.sqrt(square_avg)
            denominator = update(np.add, denominator, group["eps"])
            if momentum > 0:
                buffer = others[0]
                update(np.multiply, buffer, momentum)
                buffer += grad / denominator
                p._array -= rate(lr, p._array) * wide(buffer)
            else:
                p._array -= lr * grad / denominator
