"""state_dict and load_state_dict of modules: the same lines run by either engine, files between them."""

import io
from collections import OrderedDict

import pytest
import torch
from checkpoints import BOTH, describe

import minigrad
from minigrad import nn


def net(T):
    """Modules in modules, a tied one, buffers of every kind, a version of its own."""

    class Scale(T.nn.Module):
        _version = 3

        def __init__(self):
            super().__init__()
            self.register_buffer("count", T.zeros((), dtype=T.int64))
            self.register_buffer("hidden", T.ones(2), persistent=False)
            self.register_buffer("none", None)
            self.register_parameter("empty", None)
            self.scale = T.nn.Parameter(T.ones(2), requires_grad=False)

    T.manual_seed(0)
    linear = T.nn.Linear(2, 2)
    return T.nn.Sequential(linear, T.nn.Sequential(Scale(), T.nn.Tanh()), linear)


def given(T, **changed):
    """A state for net(), of tensors that no other net has."""
    state = {name: x.detach() + 2 for name, x in net(T).state_dict().items()}
    return state | {name.replace("_", "."): x for name, x in changed.items()}


def loaded(T, state, **params):
    """What is seen of net() after loading."""
    model = net(T)
    old = dict(model.named_parameters())
    keys = model.load_state_dict(state, **params)
    return (
        keys.missing_keys,
        keys.unexpected_keys,
        describe(model.state_dict(keep_vars=True)),
        [(name, type(x).__name__, x is old[name], x.is_leaf) for name, x in model.named_parameters()],
        [(name, x is state.get(name)) for name, x in [*model.named_parameters(), *model.named_buffers()]],
    )


CALLS = {
    "the state": lambda T: net(T).state_dict(),
    "a prefix": lambda T: net(T).state_dict(prefix="net."),
    "variables": lambda T: net(T).state_dict(keep_vars=True),
    "a destination": lambda T: net(T).state_dict(destination=OrderedDict(first=1), prefix="a."),
    "a dict, by position": lambda T: net(T).state_dict({"first": 1}, "a.", True),
    "two in one": lambda T: net(T).state_dict(destination=net(T).state_dict(prefix="a."), prefix="b."),
    "a module without state": lambda T: T.nn.Tanh().state_dict(),
    "loading": lambda T: loaded(T, given(T)),
    "loading what was saved": lambda T: loaded(T, net(T).state_dict()),
    "assigning": lambda T: loaded(T, given(T), assign=True),
    "assigning parameters": lambda T: loaded(T, given(T, **{"0_weight": T.nn.Parameter(T.ones(2, 2))}), assign=True),
    "assigning leaves": lambda T: loaded(T, given(T, **{"0_bias": T.ones(2, requires_grad=True)}), assign=True),
    "assigning results": lambda T: loaded(T, given(T, **{"0_bias": T.ones(2, requires_grad=True) * 2}), assign=True),
    "assigning to what needs no gradient": lambda T: loaded(
        T, given(T, **{"1_0_scale": T.nn.Parameter(T.ones(2))}), assign=True
    ),
    "assigning another dtype": lambda T: loaded(T, given(T, **{"0_weight": T.ones(2, 2).double()}), assign=True),
    "assigning integers": lambda T: loaded(T, given(T, **{"0_weight": T.ones(2, 2).int()}), assign=True),
    "assigning a buffer of another dtype": lambda T: loaded(T, given(T, **{"1_0_count": T.tensor(2.5)}), assign=True),
    "another dtype": lambda T: loaded(T, given(T, **{"0_weight": T.ones(2, 2).double()})),
    "integers": lambda T: loaded(T, given(T, **{"0_weight": T.ones(2, 2).int()})),
    "a number saved by PyTorch before 0.4": lambda T: loaded(T, given(T, **{"1_0_count": T.ones(1).int()})),
    "the same, assigned": lambda T: loaded(T, given(T, **{"1_0_count": T.ones(1).int()}), assign=True),
    "a wrong shape": lambda T: loaded(T, given(T, **{"0_weight": T.ones(2, 3)})),
    "a wrong shape, assigned": lambda T: loaded(T, given(T, **{"0_weight": T.ones(2, 3)}), assign=True),
    "an array": lambda T: loaded(T, given(T, **{"0_weight": T.ones(2, 2).numpy()})),
    "a missing key": lambda T: loaded(T, OrderedDict([*given(T).items()][1:])),
    "a missing key, allowed": lambda T: loaded(T, OrderedDict([*given(T).items()][1:]), strict=False),
    "an unexpected key, allowed": lambda T: loaded(T, given(T, other=T.ones(1)), strict=False, assign=True),
}


@pytest.mark.filterwarnings("ignore:Positional args:FutureWarning")
@pytest.mark.parametrize("name", CALLS)
def test_the_same_call(name):
    results = []
    for T in (torch, minigrad):
        try:
            results.append(describe(CALLS[name](T)))
        except Exception as error:
            results.append(type(error).__name__)
    assert results[0] == results[1]


@BOTH
def test_versions_go_through_files(writer, reader):
    state = net(writer.T).state_dict()
    assert {name: entry["version"] for name, entry in state._metadata.items()}["1.0"] == 3
    again = reader.load(writer.dump(state))
    assert again._metadata == state._metadata
    for assign in (False, True):
        model = net(reader.T)
        model.load_state_dict(again, assign=assign)
        assert describe(model.state_dict()) == describe(state)


def test_nothing_is_assigned_where_anything_is_wrong():
    model = nn.Linear(2, 2)
    before = dict(model.named_parameters())
    for state in ({"weight": minigrad.zeros(2, 2), "bias": minigrad.zeros(2).int()}, {"weight": minigrad.zeros(2, 2)}):
        with pytest.raises(RuntimeError, match="Error"):
            model.load_state_dict(state, assign=True)
        assert all(model.get_parameter(name) is x for name, x in before.items())


def test_optimizers_go_on_from_a_file_of_the_other_engine():
    for writer, reader in ((torch, minigrad), (minigrad, torch), (minigrad, minigrad)):
        results, file = [], io.BytesIO()
        for T in (writer, reader):
            p = T.nn.Parameter(T.arange(3.0, dtype=T.float64))
            optimizer = T.optim.SGD([{"params": [p], "lr": 0.5}], momentum=0.9, nesterov=True)
            if T is writer:
                for _ in range(2):
                    p.grad = p.detach() * 2
                    optimizer.step()
                T.save({"p": p, "optimizer": optimizer.state_dict()}, file)
            else:
                file.seek(0)
                state = T.load(file)
                with T.no_grad():
                    p.copy_(state["p"])
                optimizer.load_state_dict(state["optimizer"])
                assert describe(optimizer.state_dict()) == describe(state["optimizer"])
            for _ in range(3):
                p.grad = p.detach() * 2
                optimizer.step()
            results.append(p.tolist())
        assert results[0] == pytest.approx(results[1], rel=1e-12)


@pytest.mark.parametrize(
    "method", ["get_extra_state", "set_extra_state", "_save_to_state_dict", "_load_from_state_dict"]
)
def test_a_state_of_another_kind_is_refused(method: str) -> None:
    """It would be lost in silence."""
    odd = type("Odd", (minigrad.nn.Linear,), {method: lambda self, *args: None})
    model = minigrad.nn.Sequential(minigrad.nn.Linear(1, 2), odd(2, 1))
    plain = minigrad.nn.Sequential(minigrad.nn.Linear(1, 2), minigrad.nn.Linear(2, 1))
    with pytest.raises(NotImplementedError, match=rf"^{method}\(\) of Odd \(1\) would not be called"):
        model.state_dict()
    with pytest.raises(NotImplementedError, match="Register the state as buffers"):
        model.load_state_dict(plain.state_dict())
