"""compile(): what a compiled step leaves equals what an eager twin leaves, also when what it relies on changes."""

from collections.abc import Callable
from typing import Any

import pytest
from compiled_twins import Twin, nothing, run

import minigrad
from minigrad import nn, optim

T = minigrad
F = nn.functional


OPTIMIZERS: list[Any] = [
    (optim.SGD, {}),
    (optim.SGD, {"momentum": 0.9}),
    (optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    (optim.SGD, {"momentum": 0.9, "dampening": 0.5, "maximize": True}),
    (optim.Adam, {}),
    (optim.Adam, {"amsgrad": True, "weight_decay": 0.1}),
    (optim.AdamW, {}),
    (optim.Adagrad, {}),
    (optim.RMSprop, {"momentum": 0.5, "centered": True}),
    (optim.Adadelta, {}),
    (optim.Adamax, {}),
]


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS, ids=str)
def test_optimizers(optimizer: Any, options: Any, traces: list[int]) -> None:
    run(nothing, optimizer, **options)
    assert len(traces) <= 2  # the first step may make the state


def test_dropout_is_drawn_afresh() -> None:
    run(nothing, drop=0.5)
    run(lambda twin: twin.net.eval(), drop=0.5)


def set_lr(twin: Twin) -> None:
    twin.optimizer.param_groups[0]["lr"] = 0.03


def schedule(twin: Twin) -> None:
    twin.scheduler = optim.lr_scheduler.StepLR(twin.optimizer, 1, 0.5)  # type: ignore[attr-defined]
    twin.optimizer.step()
    twin.scheduler.step()  # type: ignore[attr-defined]


def set_momentum(twin: Twin) -> None:
    twin.optimizer.param_groups[0]["momentum"] = 0.5


def new_shape(twin: Twin) -> None:
    twin.x, twin.y = T.randn(4, 3), T.randn(4, 2)


def new_dtype(twin: Twin) -> None:
    twin.net.double()
    twin.x, twin.y = twin.x.double(), twin.y.double()


def new_strides(twin: Twin) -> None:
    twin.x = twin.x.t().clone().t()


def freeze(twin: Twin) -> None:
    twin.net.hidden.weight.requires_grad = False


def new_gradient(twin: Twin) -> None:
    twin.x.requires_grad = True


def replace_parameter(twin: Twin) -> None:
    twin.net.hidden.weight = nn.Parameter(twin.net.hidden.weight.detach() * 2)


def replace_module(twin: Twin) -> None:
    twin.net.hidden = nn.Linear(3, 8)


def replace_data(twin: Twin) -> None:
    twin.net.hidden.weight.data = twin.net.hidden.weight.data * 2


def new_data(twin: Twin) -> None:
    twin.x, twin.y = T.randn(6, 3), T.randn(6, 2)


def same_memory(twin: Twin) -> None:
    twin.y = twin.net.predict.bias.detach().expand(6, 2)


def view_of_parameter(twin: Twin) -> None:
    twin.x = twin.net.hidden.weight.detach()[:6]


def set_factor(twin: Twin) -> None:
    twin.factor = 0.5


def set_attribute(twin: Twin) -> None:
    twin.net.scale = 0.25


def set_reduction(twin: Twin) -> None:
    twin.criterion.reduction = "sum"


def add_group(twin: Twin) -> None:
    twin.optimizer.add_param_group({"params": [T.zeros(2, requires_grad=True)]})


def load(twin: Twin) -> None:
    twin.optimizer.load_state_dict(twin.optimizer.state_dict())


def no_gradients(twin: Twin) -> None:
    twin.optimizer.zero_grad()


CHANGES = [
    set_lr, schedule, set_momentum, new_shape, new_dtype, new_strides, freeze, new_gradient, replace_parameter,
    replace_module, replace_data, new_data, same_memory, view_of_parameter, set_factor, set_attribute, set_reduction,
    add_group, load, no_gradients,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS[:2] + OPTIMIZERS[4:5], ids=str)
def test_guards(change: Callable[[Twin], None], optimizer: Any, options: Any, traces: list[int]) -> None:
    if optimizer is optim.Adam and change in (set_momentum, new_dtype):
        pytest.skip("Adam has no momentum, and its state a dtype")
    run(change, optimizer, **options)
    fewest = 1 if optimizer is optim.SGD and not options else 2
    free = (set_lr, schedule, new_data) if change is not schedule else (set_lr,)
    assert len(traces) <= fewest + 2
    if change in free:
        assert len(traces) == fewest
