"""Optimizers against torch: every parameter and every state entry after each of many steps, for random options."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad
from minigrad.kernels import descend

ENGINES = pytest.mark.parametrize("T", [minigrad, torch], ids=["minigrad", "torch"])
BOTH_WAYS = pytest.mark.parametrize(("writer", "reader"), [(minigrad, torch), (torch, minigrad), (minigrad, minigrad)])
UNIT = st.floats(0, 1)
BETAS = st.tuples(st.sampled_from([0.0, 0.3, 0.5, 0.9]), st.sampled_from([0.5, 0.9, 0.999]))
BOOLS = st.booleans()
EPS = st.sampled_from([1e-8, 1e-3, 1.0])
WEIGHT_DECAY = st.sampled_from([0, 0.01, 0.5])
COMMON = {"lr": UNIT, "weight_decay": WEIGHT_DECAY, "maximize": BOOLS, "foreach": st.sampled_from([None, False])}
ADAM = {**COMMON, "betas": BETAS, "eps": EPS, "amsgrad": BOOLS}
NADAM = {**COMMON, "betas": BETAS, "eps": EPS, "decoupled_weight_decay": BOOLS}
OPTIONS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "SGD": {**COMMON, "momentum": st.sampled_from([0, 0.5, 0.9]), "dampening": st.sampled_from([0, 0.3])},
    "Adam": {**ADAM, "decoupled_weight_decay": BOOLS},
    "AdamW": ADAM,
    "RMSprop": {
        **COMMON,
        "alpha": st.sampled_from([0.5, 0.9, 0.99]),
        "eps": EPS,
        "momentum": st.sampled_from([0, 0.9]),
        "centered": BOOLS,
    },
    "Adadelta": {**COMMON, "rho": st.sampled_from([0.0, 0.5, 0.9, 1.0]), "eps": EPS},
    "Adamax": {key: values for key, values in ADAM.items() if key != "amsgrad"},
    "NAdam": {**NADAM, "momentum_decay": st.sampled_from([0, 4e-3, 0.5])},
    "RAdam": NADAM,
    "Adagrad": {
        **COMMON,
        "lr_decay": st.sampled_from([0, 0.1]),
        "initial_accumulator_value": st.sampled_from([0, 0.5]),
        "eps": EPS,
    },
}
NAMES = pytest.mark.parametrize("name", OPTIONS)
SHAPES = ((), (1,), (3, 2), (0, 2), (40,))
UNUSUAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 5e-324, -1e18, 1e18]


@st.composite
def options_of(draw: Any, name: str) -> dict[str, Any]:
    options = {key: draw(values) for key, values in OPTIONS[name].items()}
    if name == "SGD":
        options["nesterov"] = options["momentum"] > 0 and not options["dampening"] and draw(BOOLS)
    return options


def arrays(seed: int, dtype: str, unusual: bool = False) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    made = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
    if unusual:
        with np.errstate(over="ignore"):
            made = [np.where(rng.random(x.shape) < 0.1, rng.choice(UNUSUAL, x.shape), x).astype(dtype) for x in made]
    return made


def trained(
    T: Any, name: str, seed: int, dtype: str, groups: list[dict[str, Any]], steps: int, unusual: bool
) -> list[dict[Any, np.ndarray]]:
    """Parameters and state after each step; the gradients are random, and missing now and then."""
    params = [T.from_numpy(a).requires_grad_() for a in arrays(seed, dtype)]
    optimizer = getattr(T.optim, name)([{"params": params[:2], **groups[0]}, {"params": params[2:], **groups[1]}])
    history = []
    for step in range(steps):
        for i, (p, g) in enumerate(zip(params, arrays(seed + step + 1, dtype, unusual), strict=True)):
            p.grad = None if (step + i) % 5 == 4 else T.from_numpy(g)
        optimizer.step()
        values = {i: p.detach().numpy().copy() for i, p in enumerate(params)}
        for i, p in enumerate(params):
            for key, entry in optimizer.state.get(p, {}).items():
                values[i, key] = entry.numpy().copy()
        history.append(values)
    return history


def assert_close(ours: list[dict[Any, Any]], theirs: list[dict[Any, Any]], ulps: float, decayed: bool) -> None:
    """Equal NaNs and infinities, and numbers within some units in the last place of the largest that stood there.

    Of 1 at least for parameters, which begin there, and where their decay may take most of a gradient away.
    """
    scale: dict[Any, np.ndarray] = {}
    for step, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert list(a) == list(b)
        for key in b:
            assert (a[key].dtype, a[key].shape) == (b[key].dtype, b[key].shape)
            finite = np.where(np.isfinite(b[key]), np.abs(b[key]), 0).astype("float64")
            scale[key] = np.maximum(scale.get(key, float(decayed or isinstance(key, int))), finite)
            info = np.finfo(b[key].dtype)
            bound = ulps * (step + 1) * (info.eps * scale[key] + info.smallest_subnormal)
            with np.errstate(invalid="ignore"):
                near = np.abs(a[key].astype("float64") - b[key]) <= bound
            same = (a[key] == b[key]) | (np.isnan(a[key]) & np.isnan(b[key]))
            assert (near | same).all(), (step, key, a[key], b[key])


@NAMES
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(st.data(), st.integers(0, 1000), BOOLS)
def test_every_step(name: str, dtype: str, data: Any, seed: int, unusual: bool) -> None:
    # torch rounds x + a * y once (a fused multiply-add), and we twice; its square root is 1 unit off now and then.
    groups = [data.draw(options_of(name)), data.draw(options_of(name))]
    ours, theirs = (trained(T, name, seed, dtype, groups, 8, unusual) for T in (minigrad, torch))
    # Where `centered` subtracts nearly equal numbers, their rounding shows.
    ulps = 1000 if any(g.get("centered") for g in groups) else 8
    assert_close(ours, theirs, ulps, decayed=any(g["weight_decay"] for g in groups))


def stepped(T: Any, name: str, steps: int = 3, **options: Any) -> tuple[Any, list[Any]]:
    """An optimizer after some steps, and its parameters."""
    params = [T.from_numpy(a).requires_grad_() for a in arrays(0, "float32")]
    optimizer = getattr(T.optim, name)([{"params": params[:2], "lr": 0.5}, {"params": params[2:]}], **options)
    for seed in range(1, steps + 1):
        step(T, optimizer, params, seed)
    return optimizer, params


def step(T: Any, optimizer: Any, params: list[Any], seed: int) -> None:
    for p, g in zip(params, arrays(seed, "float32"), strict=True):
        p.grad = T.from_numpy(g)
    optimizer.step()


def plain(x: Any) -> Any:
    """A state_dict with lists for tensors."""
    if isinstance(x, dict):
        return {key: plain(value) for key, value in x.items()}
    return (str(x.dtype), tuple(x.shape)) if hasattr(x, "dtype") else x


def plain_values(states: dict[int, dict[str, Any]]) -> list[Any]:
    return [entry.tolist() for entries in states.values() for entry in entries.values()]


FULL = {
    "SGD": {"momentum": 0.9},
    "Adam": {"amsgrad": True},
    "AdamW": {},
    "Adadelta": {},
    "Adamax": {},
    "NAdam": {},
    "RAdam": {},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "Adagrad": {},
}


@NAMES
def test_what_shows(name: str) -> None:
    (ours, _), (theirs, _) = (stepped(T, name, **FULL[name]) for T in (minigrad, torch))
    assert repr(ours) == repr(theirs)
    assert list(ours.defaults.items()) == list(theirs.defaults.items())
    assert repr(plain(ours.state_dict())) == repr(plain(theirs.state_dict()))
    first = [getattr(T.optim, name)([T.ones(1, requires_grad=True)]) for T in (minigrad, torch)]
    assert repr(first[0]) == repr(first[1])
    assert repr(plain(first[0].state_dict())) == repr(plain(first[1].state_dict()))


@NAMES
@BOTH_WAYS
def test_state_dict_goes_on_where_it_stopped(name: str, writer: Any, reader: Any) -> None:
    optimizer, params = stepped(writer, name, **FULL[name])
    file = io.BytesIO()
    writer.save([optimizer.state_dict(), [p.detach() for p in params]], file)
    file.seek(0)
    state, values = reader.load(file)
    copies = [v.requires_grad_() for v in values]
    other = getattr(reader.optim, name)([{"params": copies[:2]}, {"params": copies[2:]}], lr=1e9)
    other.load_state_dict(state)
    assert repr(plain(other.state_dict())) == repr(plain(optimizer.state_dict()))
    for seed in range(10, 13):
        step(writer, optimizer, params, seed)
        step(reader, other, copies, seed)
    for p, q in zip(params, copies, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-5, atol=1e-6)


@NAMES
def test_a_loaded_state_is_a_copy_in_the_parameters_dtype(name: str) -> None:
    optimizer, _ = stepped(minigrad, name, **FULL[name])
    state = optimizer.state_dict()
    doubles = [minigrad.from_numpy(a).requires_grad_() for a in arrays(0, "float64")]
    other = getattr(minigrad.optim, name)([{"params": doubles[:2]}, {"params": doubles[2:]}])
    other.load_state_dict(state)
    for i, p in enumerate(doubles):
        for key, entry in other.state[p].items():
            assert entry is not state["state"][i][key]
            assert entry.dtype is (minigrad.float32 if key == "step" else minigrad.float64)
    before = plain_values(state["state"])
    optimizer.load_state_dict(state)
    optimizer.step()
    assert plain_values(state["state"]) == before


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "Adagrad"])
def test_checkpoints_of_older_versions(name: str) -> None:
    later = ("maximize", "foreach", "capturable", "differentiable", "fused", "decoupled_weight_decay", "amsgrad")
    results = []
    for T in (minigrad, torch):
        optimizer, params = stepped(T, name)
        state = optimizer.state_dict()
        state["param_groups"] = [{k: v for k, v in g.items() if k not in later} for g in state["param_groups"]]
        state["state"] = {i: {**entries, "step": 3} for i, entries in state["state"].items()}
        optimizer.load_state_dict(state)
        step(T, optimizer, params, 9)
        results.append(
            (repr(optimizer), plain(optimizer.state_dict()["state"]), optimizer.state[params[0]]["step"].item())
        )
    assert results[0] == results[1]


@ENGINES
def test_adamw_decays_decoupled_also_with_the_state_of_adam(T: Any) -> None:
    (adam, _), (adamw, _) = stepped(T, "Adam"), stepped(T, "AdamW")
    adamw.load_state_dict(adam.state_dict())
    assert all(g["decoupled_weight_decay"] for g in adamw.param_groups)


@NAMES
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_learning_rate_may_be_a_tensor(name: str, dtype: str) -> None:
    results = []
    for T in (minigrad, torch):
        lr = T.tensor([0.25], dtype=getattr(T, dtype))
        optimizer, params = stepped(T, name, steps=0, lr=lr, weight_decay=0.1)
        step(T, optimizer, params, 1)
        lr.fill_(0.125)
        step(T, optimizer, params, 2)
        results.append(np.concatenate([p.detach().numpy().ravel() for p in params]))
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-6)


@ENGINES
def test_tensors_as_betas(T: Any) -> None:
    betas = (T.tensor(0.5), T.tensor([0.75]))
    optimizer, params = stepped(T, "Adam", betas=betas)
    _, same = stepped(T, "Adam", betas=(0.5, 0.75))
    assert isinstance(optimizer.param_groups[0]["betas"], tuple)
    for p, q in zip(params, same, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-5)


@ENGINES
def test_closure(T: Any) -> None:
    w = T.ones(1, requires_grad=True)
    optimizer = T.optim.SGD([w], lr=0.1)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with T.no_grad():
        assert optimizer.step(closure).item() == 1
    assert w.item() == pytest.approx(0.8)


@ENGINES
@NAMES
def test_an_exception_in_the_closure_changes_nothing(T: Any, name: str) -> None:
    optimizer, params = stepped(T, name)
    before = [p.detach().numpy().copy() for p in params]

    def closure() -> Any:
        raise KeyError("the data ended")

    with T.no_grad():
        with pytest.raises(KeyError, match="the data ended"):
            optimizer.step(closure)
        assert not T.is_grad_enabled()
    for p, b in zip(params, before, strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), b)
    assert all(float(s.get("step", 3)) == 3 for s in optimizer.state.values())


@ENGINES
def test_zero_grad(T: Any) -> None:
    w = T.ones(1, requires_grad=True)
    optimizer = T.optim.SGD([w], lr=0.1)
    (w * 2).backward()
    held = w.grad
    optimizer.zero_grad(set_to_none=False)
    assert w.grad is held and held.item() == 0
    optimizer.zero_grad()
    assert w.grad is None
    optimizer.step()
    assert w.item() == 1


@ENGINES
@NAMES
def test_a_step_counts_as_a_write(T: Any, name: str) -> None:
    w = T.ones(1, requires_grad=True)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    getattr(T.optim, name)([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation") as error:
        loss.backward()
    if T is minigrad:
        assert f"written by {name}.step at {__file__}" in str(error.value)


@ENGINES
@NAMES
def test_a_step_leaves_gradients_and_grad_fn_alone(T: Any, name: str) -> None:
    w = T.ones(2, requires_grad=True)
    optimizer = getattr(T.optim, name)([w], lr=0.1, weight_decay=0.5, maximize=True)
    (w * 3).sum().backward()
    optimizer.step()
    w.requires_grad_(False)
    held = w.detach().numpy()
    after = held.copy()
    optimizer.step()  # a frozen parameter with a gradient is still updated, in its own memory
    assert w.grad.tolist() == [3, 3]
    assert (held != after).all() and w.data_ptr() == held.__array_interface__["data"][0]
    optimizer.zero_grad()
    after = held.copy()
    optimizer.step()
    assert (held == after).all()


def bad_calls(T: Any) -> list[Any]:
    w, other = T.ones(1, requires_grad=True), T.ones(1, requires_grad=True)
    O = T.optim
    one = O.SGD([w], lr=0.1)
    return [
        lambda: O.SGD([], lr=0.1),
        lambda: O.SGD([w], lr=-0.1),
        lambda: O.SGD([w], lr=0.1, momentum=-1),
        lambda: O.SGD([w], lr=0.1, weight_decay=-1),
        lambda: O.SGD([w], lr=0.1, nesterov=True),
        lambda: O.SGD([w], lr=0.1, momentum=0.9, dampening=0.1, nesterov=True),
        lambda: O.SGD([w], lr=T.ones(2)),
        lambda: O.SGD([w], foreach=True, fused=True),
        *(lambda n=n: getattr(O, n)([w], lr=-1.0) for n in OPTIONS),
        *(lambda n=n: getattr(O, n)([w], lr=float("nan")) for n in OPTIONS if n != "SGD"),
        *(lambda n=n: getattr(O, n)([w], lr=T.ones(2)) for n in OPTIONS),
        *(lambda n=n: getattr(O, n)([w], weight_decay=-0.5) for n in OPTIONS),
        *(lambda n=n: getattr(O, n)([w], eps=-0.5) for n in OPTIONS if n != "SGD"),
        *(lambda b=b: O.Adam([w], betas=b) for b in [(1.0, 0.9), (0.9, -0.1), (0, 0.9), (0.9, T.tensor(0.9))]),
        lambda: O.Adam([w], lr=T.tensor(0.1), foreach=True),
        lambda: O.Adam([w], betas=(T.ones(2) / 2, T.ones(2) / 2)),
        lambda: O.AdamW([w], foreach=True, fused=True),
        lambda: O.RMSprop([w], alpha=-1),
        lambda: O.Adadelta([w], rho=1.5),
        lambda: O.NAdam([w], momentum_decay=-1),
        *(lambda n=n: getattr(O, n)([w], betas=(0.5, 1.0)) for n in ("Adamax", "NAdam", "RAdam")),
        lambda: O.RMSprop([w], momentum=-1),
        lambda: O.Adagrad([w], lr_decay=-1),
        lambda: O.Adagrad([w], initial_accumulator_value=-1),
        lambda: O.SGD(w, lr=0.1),
        lambda: O.SGD([3], lr=0.1),
        lambda: O.SGD([w * 2], lr=0.1),
        lambda: O.SGD([{"params": [w]}, {"params": [w]}], lr=0.1),
        lambda: O.SGD([{"params": {w, other}}], lr=0.1),
        lambda: O.SGD([("w", w), other], lr=0.1),
        lambda: O.SGD([{"params": [("w", w)]}, {"params": [other]}], lr=0.1),
        lambda: one.add_param_group([w]),
        lambda: one.load_state_dict(O.SGD([w, other], lr=0.1).state_dict()),
        lambda: one.load_state_dict(O.SGD([{"params": [w]}, {"params": [other]}], lr=0.1).state_dict()),
    ]


@pytest.mark.parametrize("i", range(len(bad_calls(minigrad))))
def test_errors(i: int) -> None:
    with pytest.raises(Exception) as theirs:  # noqa: PT011  # whatever torch raises
        bad_calls(torch)[i]()
    with pytest.raises(theirs.type) as ours:
        bad_calls(minigrad)[i]()
    if "Invalid" in str(theirs.value) or "must be" in str(theirs.value):
        assert str(ours.value).startswith(str(theirs.value))


def test_what_cannot_be_done_is_refused() -> None:
    w = minigrad.ones(1, requires_grad=True)
    with pytest.raises(NotImplementedError, match="minigrad's Adam can't be differentiated through"):
        minigrad.optim.Adam([w], differentiable=True)
    with pytest.raises(NotImplementedError):
        minigrad.optim.SGD([{"params": [w], "differentiable": True}])
    with pytest.raises(AssertionError, match="If capturable=True, params and state_steps must be on"):
        minigrad.optim.RMSprop([w], capturable=True)
    v = torch.ones(1, requires_grad=True)
    v.grad = torch.ones(1)
    with pytest.raises(AssertionError, match="If capturable=True, params and state_steps must be on"):
        torch.optim.RMSprop([v], capturable=True).step()


@ENGINES
def test_duplicates_warn_and_names_are_kept(T: Any) -> None:
    w = T.ones(1, requires_grad=True)
    with pytest.warns(UserWarning, match="duplicate parameters"):
        T.optim.SGD([w, w], lr=0.1)
    layer = T.nn.Linear(1, 1)
    optimizer = T.optim.SGD(layer.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert list(optimizer.state_dict()["param_groups"][0])[-1] == "params"
    optimizer.load_state_dict(T.optim.SGD(layer.parameters(), lr=0.2).state_dict())
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.param_groups[0]["lr"] == 0.2


@ENGINES
@NAMES
def test_add_param_group(T: Any, name: str) -> None:
    w, b = T.ones(1, requires_grad=True), T.ones(1, requires_grad=True)
    optimizer = getattr(T.optim, name)([w], lr=0.1)
    (w + b).backward()
    optimizer.step()
    optimizer.add_param_group({"params": b, "lr": 1.0})
    optimizer.param_groups[0]["lr"] = 0.0
    before = w.item()
    optimizer.step()
    assert w.item() == before
    assert b.item() < 0.999


@ENGINES
def test_adagrad_begins_where_it_is_told(T: Any) -> None:
    w, b = T.ones(1, requires_grad=True), T.ones(1, requires_grad=True)
    optimizer = T.optim.Adagrad([w], initial_accumulator_value=0.5)
    optimizer.add_param_group({"params": b})
    b.grad = T.ones(1)
    optimizer.step()
    assert optimizer.state[w]["sum"].item() == 0.5
    assert optimizer.state[b]["sum"].item() == 1.5


@ENGINES
@pytest.mark.parametrize("name", ["Adam", "AdamW", "Adamax", "NAdam", "RAdam"])
def test_a_state_of_another_dtype_is_refused(T: Any, name: str) -> None:
    model = T.nn.Linear(1, 1)
    optimizer = getattr(T.optim, name)(model.parameters())
    model(T.ones(1, 1)).backward()
    optimizer.step()
    model.double()
    with pytest.raises(RuntimeError, match=r"expected dtype float.* for `end` but got dtype (double|float64)"):
        optimizer.step()


@pytest.mark.parametrize("shape", [(1,), (256, 256), (65537,), (3, 65536), (300, 700)])
@pytest.mark.parametrize("transposed", [False, True])
def test_descending_in_pieces_gives_the_same_bits(shape: tuple[int, ...], transposed: bool) -> None:
    random = np.random.default_rng(0)
    x, y = (random.standard_normal(shape).astype(np.float32) for _ in range(2))
    if transposed:
        x = x.T
        y = y.T.copy()
    expected = x - 0.1 * y
    descend(x, y, rate=0.1)
    np.testing.assert_array_equal(x, expected)
