"""Learning rate schedulers against torch: every rate of 50 epochs is the same number, to the last bit."""

from __future__ import annotations

import copy
import io
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad

ENGINES = pytest.mark.parametrize("T", [minigrad, torch], ids=["minigrad", "torch"])
RATES = st.floats(1e-6, 10)
FACTORS = st.floats(0.01, 1)
COUNTS = st.integers(1, 60)


class Halving:
    """A callable object, whose attributes are part of the state."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, epoch: int) -> float:
        self.calls += 1
        return 1 / (1 + epoch + self.calls)


FUNCTIONS = st.sampled_from([lambda e: 0.95**e, lambda e: 1 / (e + 1), lambda e: 1.1, None])
OPTIONS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "LambdaLR": {"lr_lambda": FUNCTIONS},
    "MultiplicativeLR": {"lr_lambda": FUNCTIONS},
    "StepLR": {"step_size": COUNTS, "gamma": FACTORS},
    "MultiStepLR": {"milestones": st.lists(COUNTS, max_size=5), "gamma": FACTORS},
    "ConstantLR": {"factor": FACTORS, "total_iters": COUNTS},
    "LinearLR": {"start_factor": FACTORS, "end_factor": FACTORS, "total_iters": COUNTS},
    "ExponentialLR": {"gamma": FACTORS},
    "PolynomialLR": {"total_iters": COUNTS, "power": st.floats(0.1, 4)},
    "CosineAnnealingLR": {"T_max": COUNTS, "eta_min": FACTORS},
    "CosineAnnealingWarmRestarts": {"T_0": COUNTS, "T_mult": st.integers(1, 3), "eta_min": FACTORS},
    "OneCycleLR": {
        "max_lr": RATES | st.lists(RATES, min_size=2, max_size=2),
        "total_steps": st.integers(51, 200),
        "pct_start": st.floats(0.1, 0.9),
        "anneal_strategy": st.sampled_from(["cos", "linear"]),
        "three_phase": st.booleans(),
        "cycle_momentum": st.booleans(),
        "div_factor": st.floats(2, 50),
    },
}
NAMES = pytest.mark.parametrize("name", OPTIONS)
SEVERAL = ("SequentialLR", "ChainedScheduler")


@st.composite
def schedules(draw: Any, name: str) -> tuple[str, dict[str, Any]]:
    options = {key: draw(values) for key, values in OPTIONS[name].items()}
    return name, options


@st.composite
def sequences(draw: Any) -> tuple[str, Any]:
    """Schedulers, and whether they follow one another at milestones or work together."""
    names = draw(st.lists(st.sampled_from([n for n in OPTIONS if n != "OneCycleLR"]), min_size=1, max_size=3))
    parts = [draw(schedules(name)) for name in names]
    size = len(parts) - 1
    milestones = sorted(draw(st.lists(COUNTS, min_size=size, max_size=size, unique=True)))
    return draw(st.sampled_from(SEVERAL)), (parts, milestones)


def optimizer_of(T: Any, kind: str = "SGD", rates: tuple[Any, Any] = (0.5, 0.01)) -> Any:
    params = [T.ones(1, requires_grad=True), T.ones(1, requires_grad=True)]
    options = {"momentum": 0.9} if kind == "SGD" else {}
    return getattr(T.optim, kind)([{"params": p, "lr": lr} for p, lr in zip(params, rates, strict=True)], **options)


def scheduler_of(T: Any, optimizer: Any, schedule: tuple[str, Any], **more: Any) -> Any:
    name, options = schedule
    cls = getattr(T.optim.lr_scheduler, name)
    if name in SEVERAL:
        parts = [scheduler_of(T, optimizer, part) for part in options[0]]
        return cls(optimizer, parts, options[1]) if name == "SequentialLR" else cls(parts)
    if "lr_lambda" in options and options["lr_lambda"] is None:
        options = {"lr_lambda": [Halving(), Halving()]}
    return cls(optimizer, **options, **more)


def seen(optimizer: Any, scheduler: Any) -> Any:
    """All numbers that a scheduler sets, and what it says of them."""
    groups = [{key: g[key] for key in g if key != "params"} for g in optimizer.param_groups]
    return repr(groups), scheduler.get_last_lr(), getattr(scheduler, "last_epoch", None)


def run(T: Any, kind: str, rates: Any, schedule: Any, epochs: int = 50) -> list[Any]:
    optimizer = optimizer_of(T, kind, rates)
    try:
        scheduler = scheduler_of(T, optimizer, schedule)
        history = [seen(optimizer, scheduler)]
        for epoch in range(epochs):
            optimizer.step()
            scheduler.step()
            if epoch == 30:  # what somebody else sets is where a chained scheduler goes on from
                optimizer.param_groups[0]["lr"] = 0.7
            history.append(seen(optimizer, scheduler))
    except (ZeroDivisionError, OverflowError, TypeError) as error:
        return [type(error)]
    return [*history, repr(scheduler.state_dict())]


@NAMES
@given(st.data(), st.sampled_from(["SGD", "Adam"]), st.tuples(RATES, RATES))
def test_every_rate(name: str, data: Any, kind: str, rates: Any) -> None:
    schedule = data.draw(schedules(name))
    ours, theirs = (run(T, kind, rates, schedule) for T in (minigrad, torch))
    assert without_addresses(ours) == without_addresses(theirs)


def without_addresses(history: list[Any]) -> list[Any]:
    return [str(x).replace(minigrad.__name__, "torch").split("<bound")[0].split("<test")[0] for x in history]


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@given(sequences())
def test_every_rate_of_several(schedule: Any) -> None:
    ours, theirs = (run(T, "SGD", (0.5, 0.01), schedule) for T in (minigrad, torch))
    assert without_addresses(ours) == without_addresses(theirs)


@given(
    st.fixed_dictionaries(
        {
            "mode": st.sampled_from(["min", "max"]),
            "factor": st.floats(0.1, 0.9),
            "patience": st.integers(0, 3),
            "threshold": st.sampled_from([0, 1e-4, 0.1]),
            "threshold_mode": st.sampled_from(["rel", "abs"]),
            "cooldown": st.integers(0, 3),
            "min_lr": st.sampled_from([0, 1e-3, [1e-2, 1e-3]]),
            "eps": st.sampled_from([1e-8, 1e-3]),
        }
    ),
    st.lists(st.floats(-2, 2) | st.just(float("nan")), min_size=50, max_size=50),
    st.booleans(),
)
def test_plateau(options: Any, metrics: list[float], as_tensor: bool) -> None:
    histories = []
    for T in (minigrad, torch):
        optimizer = optimizer_of(T)
        scheduler = T.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        history = []
        for metric in metrics:
            scheduler.step(T.tensor(metric, dtype=T.float64) if as_tensor else metric)
            history.append((seen(optimizer, scheduler), scheduler.num_bad_epochs, scheduler.in_cooldown))
        histories.append((history, repr(scheduler.state_dict())))
    assert repr(histories[0]) == repr(histories[1])


DRAWN_ONCE = [
    ("LambdaLR", {"lr_lambda": None}),
    ("MultiplicativeLR", {"lr_lambda": lambda e: 0.9}),
    ("StepLR", {"step_size": 3}),
    ("MultiStepLR", {"milestones": [3, 3, 8]}),
    ("ConstantLR", {"total_iters": 12}),
    ("LinearLR", {"total_iters": 12}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("PolynomialLR", {"total_iters": 15, "power": 2.0}),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4, "T_mult": 2}),
    ("OneCycleLR", {"max_lr": 2.0, "epochs": 10, "steps_per_epoch": 4}),
    ("SequentialLR", ([("LinearLR", {"total_iters": 5}), ("ExponentialLR", {"gamma": 0.9})], [5])),
    ("ChainedScheduler", ([("LinearLR", {"total_iters": 5}), ("ExponentialLR", {"gamma": 0.9})], [])),
]
EACH = pytest.mark.parametrize("schedule", DRAWN_ONCE, ids=[name for name, _ in DRAWN_ONCE])
BOTH_WAYS = pytest.mark.parametrize(("writer", "reader"), [(minigrad, torch), (torch, minigrad), (minigrad, minigrad)])


@EACH
@BOTH_WAYS
def test_state_dict_goes_on_where_it_stopped(schedule: Any, writer: Any, reader: Any) -> None:
    optimizer = optimizer_of(writer)
    scheduler = scheduler_of(writer, optimizer, schedule)
    other = optimizer_of(reader)
    copied = scheduler_of(reader, other, schedule)
    for _ in range(7):
        optimizer.step()
        scheduler.step()
    file = io.BytesIO()
    writer.save([scheduler.state_dict(), optimizer.state_dict()], file)
    file.seek(0)
    state, groups = reader.load(file, weights_only=False)
    before = copy.deepcopy(state)
    copied.load_state_dict(state)
    assert state == before
    other.load_state_dict(groups)
    for _ in range(10):
        assert seen(optimizer, scheduler)[1:] == seen(other, copied)[1:]
        optimizer.step()
        scheduler.step()
        other.step()
        copied.step()


@EACH
@pytest.mark.parametrize("last_epoch", [0, 3])
def test_going_on_from_an_epoch(schedule: Any, last_epoch: int) -> None:
    if schedule[0] in SEVERAL:
        return
    histories = []
    for T in (minigrad, torch):
        optimizer = optimizer_of(T)
        with pytest.raises(KeyError, match="param 'initial_lr' is not specified in param_groups"):
            scheduler_of(T, optimizer, schedule, last_epoch=last_epoch)
        first = scheduler_of(T, optimizer, schedule)
        for _ in range(last_epoch):
            optimizer.step()
            first.step()
        scheduler = scheduler_of(T, optimizer, schedule, last_epoch=last_epoch)
        histories.append([seen(optimizer, scheduler)])
        for _ in range(10):
            optimizer.step()
            scheduler.step()
            histories[-1].append(seen(optimizer, scheduler))
    assert histories[0] == histories[1]


@EACH
@pytest.mark.filterwarnings("ignore:The epoch parameter in:UserWarning")
def test_a_given_epoch(schedule: Any) -> None:
    if schedule[0] in SEVERAL:
        return
    histories = []
    for T in (minigrad, torch):
        optimizer = optimizer_of(T)
        scheduler = scheduler_of(T, optimizer, schedule)
        optimizer.step()
        history = []
        for epoch in (1, 5, 2, 13, 30, None, None):
            scheduler.step(epoch)
            history.append(seen(optimizer, scheduler))
        histories.append(history)
    assert histories[0] == histories[1]


def test_restarts_at_fractions_of_epochs() -> None:
    histories = []
    for T in (minigrad, torch):
        optimizer = optimizer_of(T)
        scheduler = T.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 4, 2)
        rates = []
        for i in range(300):
            scheduler.step(i / 7)
            rates.append((scheduler.get_last_lr(), scheduler.T_cur, scheduler.T_i, scheduler.last_epoch))
        histories.append(rates)
    assert histories[0] == histories[1]


@EACH
def test_rates_may_be_tensors(schedule: Any) -> None:
    histories = []
    for T in (minigrad, torch):
        rates = T.tensor(0.5), T.tensor([0.25])
        optimizer = optimizer_of(T, rates=rates)
        scheduler = scheduler_of(T, optimizer, schedule)
        history = []
        for _ in range(10):
            history.append([lr.item() for lr in scheduler.get_last_lr()])
            optimizer.step()
            scheduler.step()
        assert [g["lr"] for g in optimizer.param_groups] == list(rates)
        assert all(g["lr"] is lr for g, lr in zip(optimizer.param_groups, rates, strict=True))
        assert not any(lr is rate for lr, rate in zip(scheduler.get_last_lr(), rates, strict=True))
        histories.append(history)
    for a, b in zip(*histories, strict=True):
        assert a == pytest.approx(b, rel=1e-6)


@ENGINES
def test_warnings_about_the_order(T: Any) -> None:
    optimizer = optimizer_of(T)
    optimizer.step()  # before there is a scheduler, which can't know of it
    scheduler = T.optim.lr_scheduler.StepLR(optimizer, 1)
    with pytest.warns(
        UserWarning, match=r"Detected call of `lr_scheduler.step\(\)` before `optimizer.step\(\)`"
    ) as given:
        scheduler.step()
    assert given[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()  # told once
        optimizer.step()
        T.optim.lr_scheduler.StepLR(optimizer, 1).step()
    optimizer = optimizer_of(T)
    scheduler = T.optim.lr_scheduler.StepLR(optimizer, 1)
    optimizer.step = lambda: None
    with pytest.warns(UserWarning, match=r"Seems like `optimizer.step\(\)` has been overridden"):
        scheduler.step()
    scheduler = T.optim.lr_scheduler.StepLR(optimizer_of(T), 1)
    with pytest.warns(UserWarning, match="please use `get_last_lr"):
        scheduler.get_lr()
    scheduler.optimizer.step()
    with pytest.warns(UserWarning, match=r"The epoch parameter in `scheduler.step\(\)` was not necessary") as given:
        scheduler.step(3)
    assert given[0].filename == __file__


@ENGINES
def test_the_step_of_a_users_optimizer_is_noted(T: Any) -> None:
    class Mine(T.optim.Optimizer):  # type: ignore[misc]
        def step(self, closure: Any = None) -> str:
            return "mine"

    optimizer = Mine([T.ones(1, requires_grad=True)], {"lr": 1.0})
    scheduler = T.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    assert optimizer.step() == "mine"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()
    assert scheduler.get_last_lr() == [0.5]


def bad_calls(T: Any) -> list[Any]:
    S, o = T.optim.lr_scheduler, optimizer_of(T)
    adagrad = T.optim.Adagrad([T.ones(1, requires_grad=True)])
    step, plateau = S.StepLR(o, 1), S.ReduceLROnPlateau(o)
    return [
        lambda: S.StepLR(3, 1),
        lambda: S.LambdaLR(o, [lambda e: 1.0]),
        lambda: S.MultiplicativeLR(o, [lambda e: 1.0]),
        lambda: S.MultiplicativeLR(o, 0.5),
        lambda: S.ConstantLR(o, factor=1.5),
        lambda: S.LinearLR(o, start_factor=0),
        lambda: S.LinearLR(o, end_factor=2),
        lambda: S.CosineAnnealingWarmRestarts(o, 0),
        lambda: S.CosineAnnealingWarmRestarts(o, 2.5),
        lambda: S.CosineAnnealingWarmRestarts(o, 2, 0),
        lambda: S.CosineAnnealingWarmRestarts(o, 2, eta_min="0"),
        lambda: S.CosineAnnealingWarmRestarts(o, 2).step(-1),
        lambda: S.OneCycleLR(3, 0.1, 10),
        lambda: S.OneCycleLR(o, 0.1),
        lambda: S.OneCycleLR(o, 0.1, epochs=3),
        lambda: S.OneCycleLR(o, 0.1, total_steps=0),
        lambda: S.OneCycleLR(o, 0.1, epochs=0, steps_per_epoch=2),
        lambda: S.OneCycleLR(o, 0.1, epochs=1, steps_per_epoch=2.0),
        lambda: S.OneCycleLR(o, 0.1, 10, pct_start=1.5),
        lambda: S.OneCycleLR(o, 0.1, 10, anneal_strategy="exp"),
        lambda: S.OneCycleLR(o, [0.1], 10),
        lambda: S.OneCycleLR(adagrad, 0.1, 10),
        lambda: [s.step() for s in [S.OneCycleLR(o, 0.1, 10)] if o.step() is None for _ in range(12)],
        lambda: S.SequentialLR(o, [], []),
        lambda: S.SequentialLR(o, [step], [1]),
        lambda: S.SequentialLR(o, [plateau], []),
        lambda: S.SequentialLR(o, [3], []),
        lambda: S.SequentialLR(adagrad, [step], []),
        lambda: S.ChainedScheduler([]),
        lambda: S.ChainedScheduler([step, S.StepLR(adagrad, 1)]),
        lambda: S.ReduceLROnPlateau(3),
        lambda: S.ReduceLROnPlateau(o, factor=1.0),
        lambda: S.ReduceLROnPlateau(o, mode="most"),
        lambda: S.ReduceLROnPlateau(o, threshold_mode="most"),
        lambda: S.ReduceLROnPlateau(o, min_lr=[0.1]),
    ]


@pytest.mark.parametrize("i", range(len(bad_calls(minigrad))))
def test_errors(i: int) -> None:
    with pytest.raises(Exception) as theirs:  # noqa: PT011  # whatever torch raises
        bad_calls(torch)[i]()
    with pytest.raises(theirs.type) as ours:
        bad_calls(minigrad)[i]()
    assert str(ours.value) == str(theirs.value)


def test_a_scheduler_of_the_users_that_refuses_its_state_leaves_all_as_they_were() -> None:
    class Strict(minigrad.optim.lr_scheduler.StepLR):
        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            raise ValueError("not mine")

    optimizer = minigrad.optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=1.0)
    schedulers = [minigrad.optim.lr_scheduler.StepLR(optimizer, 2), Strict(optimizer, 2)]
    both = minigrad.optim.lr_scheduler.ChainedScheduler(schedulers)
    state = both.state_dict()
    optimizer.step()
    both.step()
    before = both.state_dict()
    with pytest.raises(ValueError, match="not mine"):
        both.load_state_dict(state)
    assert both.state_dict() == before
    assert before != state
