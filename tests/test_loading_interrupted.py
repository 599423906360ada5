"""load_state_dict() interrupted at each step of it, as by Ctrl-C: all is loaded, or nothing."""

import copy
import functools
from collections.abc import Callable
from typing import Any

import pytest

import minigrad as torch
from tests.interruptions import places, run_interrupted

Case = tuple[Any, dict[str, Any], dict[str, Any]]  # what loads, a state, and the arguments beside


def model(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    found = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    found.append(found[0])  # the same module under two names
    found.register_buffer("mean", torch.rand(2))
    return found


def trained(kind: type, seed: int) -> tuple[torch.nn.Module, Any]:
    net = model(seed)
    optimizer = kind(net.parameters(), lr=0.1 * seed)
    for _ in range(seed):
        optimizer.zero_grad()
        net[1](net[0](torch.ones(2))).sum().backward()
        optimizer.step()
    return net, optimizer


def schedulers(seed: int) -> Any:
    _, optimizer = trained(torch.optim.SGD, seed)
    parts = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.9**epoch),
        torch.optim.lr_scheduler.StepLR(optimizer, 2),
    ]
    made = torch.optim.lr_scheduler.SequentialLR(optimizer, parts, [2])
    for _ in range(seed):
        optimizer.step()
        made.step()
    return made


CASES: dict[str, Callable[[], Case]] = {
    "module": lambda: (model(1), model(2).state_dict(), {}),
    "other dtype": lambda: (model(1), model(2).double().state_dict(), {}),
    "assign": lambda: (model(1), model(2).state_dict(), {"assign": True}),
    "lazy": lambda: (torch.nn.LazyLinear(2), model(2)[0].state_dict(), {}),
    "sgd": lambda: (trained(torch.optim.SGD, 1)[1], trained(torch.optim.SGD, 2)[1].state_dict(), {}),
    "adam to adamw": lambda: (trained(torch.optim.AdamW, 1)[1], trained(torch.optim.Adam, 2)[1].state_dict(), {}),
    "schedulers": lambda: (schedulers(1), schedulers(3).state_dict(), {}),
}

STEPS = {"adam to adamw": 4, "assign": 3}  # many places


def shown(x: Any) -> Any:
    """A state in a form that can be compared."""
    if isinstance(x, torch.Tensor):
        return repr(x) if isinstance(x, torch.nn.parameter.UninitializedParameter) else x.tolist()
    if isinstance(x, dict):
        return {key: shown(value) for key, value in x.items()}
    return [shown(value) for value in x] if isinstance(x, (list, tuple)) else x


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", CASES)
def test_all_or_nothing(name: str) -> None:
    outcomes = set()
    subject, state, options = CASES[name]()
    before = shown(copy.deepcopy(subject.state_dict()))
    subject.load_state_dict(copy.deepcopy(state), **options)
    after = shown(subject.state_dict())
    assert after != before
    for number in places(STEPS.get(name, 1)):
        subject, state, options = CASES[name]()
        load = functools.partial(subject.load_state_dict, state, **options)
        try:
            if not run_interrupted(number, load, interrupt):
                break
        except KeyboardInterrupt:
            found = shown(subject.state_dict())
            assert found in (before, after), number
            outcomes.add(found == after)
            load()  # nothing stands in the way of another try
            assert shown(subject.state_dict()) == after
    assert number > 5
    assert False in outcomes


def test_loading_counts_as_a_write_to_each_tensor() -> None:
    net = model(1)
    x = torch.ones(4, 2, requires_grad=True)
    loss = net[0](x).sum()
    versions = [p._version for p in net.parameters()]
    net.load_state_dict(model(2).state_dict())
    assert [p._version for p in net.parameters()] == [v + (2 if i < 2 else 1) for i, v in enumerate(versions)]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_nothing_is_loaded_where_one_can_not_be_written_to() -> None:
    net, state = model(1), model(2).state_dict()
    net[1].bias._array.flags.writeable = False
    before = shown(copy.deepcopy(net.state_dict()))
    with pytest.raises(RuntimeError, match="read-only"):
        net.load_state_dict(state)
    assert shown(net.state_dict()) == before


def test_a_state_of_the_wrong_number_of_schedulers_loads_nothing() -> None:
    subject, state = schedulers(1), schedulers(3).state_dict()
    before = shown(subject.state_dict())
    count = len(state["_schedulers"])
    del state["_schedulers"][1]
    with pytest.raises(ValueError, match=f"has {count} schedulers, but the state_dict is of {count - 1}$"):
        subject.load_state_dict(state)
    assert shown(subject.state_dict()) == before
