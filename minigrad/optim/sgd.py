"""Stochastic gradient descent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from minigrad.autograd.grad_mode import enable_grad, state
from minigrad.autograd.node import Where, wrap
from minigrad.optim.optimizer import Optimizer
from minigrad.tensor import Tensor


class SGD(Optimizer):
    """p -= lr * grad, with momentum, dampening, weight decay and Nesterov's lookahead as in PyTorch.

    ValueError for negative hyper-parameters. `foreach`, `differentiable` and `fused` are PyTorch's choices of
    implementation; they are kept in the groups, and only `differentiable=True` is refused.
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
        if lr < 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        if differentiable:
            raise NotImplementedError("minigrad's SGD can't be differentiated through: write the update as operations")
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

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update each parameter that has a gradient. Returns the loss of `closure`, which is called first, if given."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        frame = sys._getframe(1)
        for group in self.param_groups:
            state.quiet(self._update, group, (frame.f_code, frame.f_lasti))
        return loss

    def _update(self, group: dict[str, Any], where: Where) -> None:
        lr, momentum, weight_decay = float(group["lr"]), group["momentum"], float(group["weight_decay"])
        maximize = group["maximize"]
        for p in group["params"]:
            if p._grad is None:
                continue
            array, d = p._array, p._grad._array
            if maximize:
                d = -d
            if weight_decay:
                d = d + weight_decay * array
            if momentum:
                entries = self.state[p]
                buffer = entries.get("momentum_buffer")
                if buffer is None:
                    buffer = entries["momentum_buffer"] = wrap(d.copy())
                else:
                    buffer._array *= momentum
                    buffer._array += (1 - group["dampening"]) * d
                d = d + momentum * buffer._array if group["nesterov"] else buffer._array
            array -= lr * d
            p._counter[:] = p._counter[0] + 1, "SGD.step", where
