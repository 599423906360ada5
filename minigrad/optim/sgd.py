"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.autograd.node import wrap
from minigrad.kernels import PIECE, descend
from minigrad.optim.optimizer import Gradients, Optimizer, plus, rate, update, wide
from minigrad.tensor import Tensor


class SGD(Optimizer):
    """p -= lr * grad, with momentum, dampening, weight decay and Nesterov's lookahead as in PyTorch.

    ValueError for negative hyper-parameters.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr._array.size != 1:
            raise ValueError("Tensor lr must be 1-element")
        if lr < 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _update(self, group: dict[str, Any], gradients: Gradients) -> None:
        lr, momentum = float(group["lr"]), group["momentum"]
        for p, grad in gradients:
            if momentum:
                entries = self.state[p]
                buffer = entries.get("momentum_buffer")
                if buffer is None:
                    buffer = entries["momentum_buffer"] = wrap(grad.astype(p._array.dtype))
                else:
                    update(np.multiply, buffer._array, momentum)
                    buffer._array += rate(1 - group["dampening"], buffer._array) * grad
                grad = plus(grad, momentum, buffer._array) if group["nesterov"] else wide(buffer._array)
            x = p._array
            if x.itemsize == 2:
                x -= rate(lr, x) * grad
            elif x.size > PIECE:
                descend(x, grad, rate=lr)
            else:
                x -= lr * grad
