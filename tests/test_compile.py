"""compile(): what a compiled step leaves equals what an eager twin leaves, also when what it relies on changes."""

from collections.abc import Callable
from typing import Any

import pytest
from compiled_twins import Twin, equal, nothing, run

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


def test_tensors_alone(traces: list[int]) -> None:
    """The update written with .data, and .grad.data.zero_()."""

    def make() -> Any:
        T.manual_seed(0)
        k, b = T.rand(1, requires_grad=True), T.rand(1, requires_grad=True)
        x = T.linspace(0, 100, 100)
        y, rate = x + T.randn(100) * 10, 0.0001

        def step() -> Any:
            if k.grad is not None and b.grad is not None:
                k.grad.data.zero_()
                b.grad.data.zero_()
            loss = T.mean((k.expand_as(x) * x + b.expand_as(x) - y) ** 2)
            loss.backward()
            k.data.add_(-rate * k.grad.data)
            b.data.add_(-rate * b.grad.data)
            return loss

        return step, k, b

    (eager, *ours), (plain, *theirs) = make(), make()
    step = T.compile(plain)
    for _ in range(6):
        assert eager().item() == step().item()
        for p, q in zip(ours, theirs, strict=True):
            equal([p.detach().numpy(), p.grad.numpy(), p._version, p.grad._version],
                  [q.detach().numpy(), q.grad.numpy(), q._version, q.grad._version])  # fmt: skip
    assert len(traces) == 2


def test_classification(traces: list[int]) -> None:
    left = []
    for compiled in (False, True):
        T.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.25), nn.Linear(6, 3))
        optimizer = optim.Adam(net.parameters(), lr=0.01)
        scheduler = optim.lr_scheduler.ExponentialLR(optimizer, 0.9)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()  # noqa: B023
            loss = F.cross_entropy(net(x), y)  # noqa: B023
            loss.backward()
            optimizer.step()  # noqa: B023
            return loss

        f = T.compile(step) if compiled else step
        found = []
        for _ in range(8):
            found.append(f(T.randn(5, 4), T.randint(0, 3, (5,))).item())
            scheduler.step()
        left.append([found, *(p.detach().numpy() for p in net.parameters()), T.get_rng_state().numpy()])
    equal(left[1], left[0])
    assert len(traces) == 2


def test_functions_in_closures_are_looked_into() -> None:
    """A number that a closure in a closure reads is relied on: where it changes, so does the program."""

    def twin(compiled: bool) -> tuple[Any, Any, Any]:
        T.manual_seed(0)
        w, factor = T.randn(2, 1, requires_grad=True), 2.0
        x, y = T.randn(10, 2), T.randn(10, 1)

        def predict(x: Any) -> Any:
            return x.matmul(w) * factor

        def step() -> Any:
            loss = (predict(x) - y).pow(2).sum()
            loss.backward()
            with T.no_grad():
                w.sub_(w.grad, alpha=0.01)
                w.grad.zero_()
            return loss

        def change(to: float) -> None:
            nonlocal factor
            factor = to

        return (T.compile(step) if compiled else step), change, w

    (eager, change_eager, v), (step, change, w) = twin(False), twin(True)
    for i in range(6):
        if i == 4:
            change_eager(3.0)
            change(3.0)
        assert eager().item() == step().item()
        assert v.detach().equal(w.detach())
