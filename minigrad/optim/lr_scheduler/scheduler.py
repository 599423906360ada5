"""LRScheduler: what all learning rate schedulers have in common.

Most find a rate from the last one and not from the epoch (the "chained" form), so that a rate which somebody else
changes stays changed. The order of the operations decides the last bits of the rates; it is PyTorch's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from minigrad.at_once import Change, at_once
from minigrad.optim.optimizer import Optimizer
from minigrad.tensor import Tensor

Rates = list[Any]  # a float for each group, or a tensor where the group's is one

HELP = "See more details at https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
EPOCH = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. Please use "
    "`scheduler.step()` to step the scheduler. During the deprecation, if epoch is different from None, the closed "
    "form is used instead of the new chainable form, where available."
)


def check_optimizer(optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def values_of(optimizer: Optimizer, key: str) -> list[Any]:
    """An option of each group; copies of those that are tensors, which are to be changed in place."""
    values = [group[key] for group in optimizer.param_groups]
    return [value.clone() if isinstance(value, Tensor) else value for value in values]


def set_rate(group: dict[str, Any], lr: Any) -> None:
    """Set a group's rate: in place where it is a tensor."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(float(lr))
    else:
        group["lr"] = lr


def per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One value for each group, from a list of them or from a single one."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. {name} has {len(value)} values, "
            f"param_groups has {count}."
        )
    return list(value)


class LRScheduler:
    """Base of the schedulers: subclasses define get_lr(), from `last_epoch` and the groups' rates.

    It keeps each group's rate as "initial_lr" in the group. `last_epoch=-1` begins; with another one, the groups must
    come with their initial_lr from a checkpoint. After each epoch, call optimizer.step(), then scheduler.step().
    """

    _is_initial = False
    _get_lr_called_within_step = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                lr = group["lr"]
                group.setdefault("initial_lr", lr.clone() if isinstance(lr, Tensor) else lr)
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler with "
                    "last_epoch >= 0: load the optimizer's checkpoint first, or leave last_epoch at -1 to begin"
                )
        self.base_lrs: Rates = values_of(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        optimizer._observe()
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state_dict(), or nothing, where that fails; load that of the optimizer after it."""
        at_once(self._changes(state_dict))

    def _changes(self, state_dict: dict[str, Any]) -> list[Change]:
        """What takes over a state_dict()."""
        return [(dict.update, self.__dict__, dict(state_dict))]

    def get_last_lr(self) -> Rates:
        """The rates that the last step() set."""
        return self._last_lr

    def get_lr(self) -> Rates:
        """The rates of `last_epoch`; to be defined by subclasses, and called by step()."""
        raise NotImplementedError

    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch, and set the rates. UserWarning where the optimizer has made no step before."""
        if self._step_count == 1:
            if not hasattr(self.optimizer.step, "observed"):
                warnings.warn(
                    "Seems like `optimizer.step()` has been overridden after learning rate scheduler initialization. "
                    f"Please, make sure to call `optimizer.step()` before `lr_scheduler.step()`. {HELP}",
                    UserWarning,
                    stacklevel=2,
                )
            elif not self.optimizer._opt_called:
                warnings.warn(
                    "Detected call of `lr_scheduler.step()` before `optimizer.step()`. In PyTorch 1.1.0 and later, you "
                    "should call them in the opposite order: `optimizer.step()` before `lr_scheduler.step()`.  Failure "
                    f"to do this will result in PyTorch skipping the first value of the learning rate schedule. {HELP}",
                    UserWarning,
                    stacklevel=2,
                )
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        closed_form = None if epoch is None else getattr(self, "_get_closed_form_lr", None)
        self._set_rates(closed_form or self.get_lr)

    def _set_rates(self, rates: Callable[[], Rates]) -> None:
        self._get_lr_called_within_step = True
        try:
            values = rates()
        finally:
            self._get_lr_called_within_step = False
        for group, lr in zip(self.optimizer.param_groups, values, strict=True):
            set_rate(group, lr)
        self._last_lr = values_of(self.optimizer, "lr")

    def _rates(self) -> Rates:
        """The groups' rates, from which get_lr() finds the next. UserWarning where a user called get_lr()."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )
        return values_of(self.optimizer, "lr")
