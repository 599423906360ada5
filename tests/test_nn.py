"""Modules, losses and initialisations against torch."""

from __future__ import annotations

import copy
import math
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_programs import as_drawn

import minigrad

ENGINES = pytest.mark.parametrize("T", [minigrad, torch], ids=["minigrad", "torch"])


def net(T: Any) -> Any:
    class Block(T.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.scale = T.nn.Parameter(T.ones(2))
            self.register_buffer("count", T.zeros(1))
            self.register_buffer("cache", T.zeros(1), persistent=False)
            self.linear = T.nn.Linear(3, 2)
            self.layers = T.nn.Sequential(T.nn.Linear(2, 2, bias=False), T.nn.ReLU(), T.nn.Sequential(T.nn.Tanh()))
            self.again = self.linear

        def forward(self, x: Any) -> Any:
            return self.layers(self.linear(x) * self.scale)

    T.manual_seed(5)
    return Block()


def show(x: Any) -> Any:
    """Text that both engines must agree on, character for character."""
    if isinstance(x, (list, tuple)):
        return [show(item) for item in x]
    return repr(x)


PROGRAMS = {
    "repr": net,
    "parameters": lambda T: list(net(T).parameters()),
    "named_parameters": lambda T: list(net(T).named_parameters("p")),
    "own parameters": lambda T: list(net(T).named_parameters(recurse=False)),
    "with duplicates": lambda T: [name for name, _ in net(T).named_parameters(remove_duplicate=False)],
    "buffers": lambda T: list(net(T).named_buffers()),
    "children": lambda T: list(net(T).named_children()),
    "modules": lambda T: [name for name, _ in net(T).named_modules()],
    "state_dict": lambda T: list(net(T).state_dict().items()),
    "get_submodule": lambda T: net(T).get_submodule("layers.2"),
    "get_submodule, missing": lambda T: net(T).get_submodule("layers.x"),
    "get_parameter": lambda T: net(T).get_parameter("linear.bias"),
    "get_parameter, missing": lambda T: net(T).get_parameter("linear.x"),
    "forward": lambda T: net(T)(T.arange(6.0).reshape(2, 3)),
    "apply": lambda T: applied(net(T)),
    "train": lambda T: [m.training for m in net(T).eval().modules()] + [net(T).training],
    "double": lambda T: [p.dtype for p in net(T).double().parameters()] + [b.dtype for b in net(T).half().buffers()],
    "frozen": lambda T: [p.requires_grad for p in net(T).requires_grad_(False).parameters()],
    "sequential": lambda T: [net(T).layers[0], net(T).layers[-1], net(T).layers[0:2], len(net(T).layers)],
    "sequential by names": lambda T: T.nn.Sequential(OrderedDict(a=T.nn.Tanh(), b=T.nn.Sigmoid())).b,
    "sequential, grown": lambda T: T.nn.Sequential(T.nn.Tanh()).append(T.nn.ReLU(True)).extend([T.nn.Identity(3)]),
    "sequential, index": lambda T: net(T).layers[3],
    "sequential, not a module": lambda T: T.nn.Sequential(3),
    "sequential, shrunk": lambda T: deleted(T.nn.Sequential(T.nn.Tanh(), T.nn.ReLU(), T.nn.Sigmoid()), 0),
    "no forward": lambda T: T.nn.Module()(1),
    "missing attribute": lambda T: net(T).nothing,
    "before init": lambda T: type("M", (T.nn.Module,), {"__init__": lambda s: setattr(s, "a", T.nn.Tanh())})(),
    "tensor over a parameter": lambda T: setattr(net(T), "scale", T.ones(2)),
    "None over a parameter": lambda T: without(net(T), "scale"),
    "a module over a parameter": lambda T: setattr(net(T), "scale", T.nn.ReLU()),
    "a number over a module": lambda T: setattr(net(T), "linear", 3),
    "a number over a buffer": lambda T: setattr(net(T), "count", 3),
    "a parameter's name for a module": lambda T: net(T).add_module("scale", T.nn.ReLU()),
    "a module's name for a parameter": lambda T: net(T).layers.register_parameter("0", None),
    "a buffer, deleted": lambda T: list(dropped(net(T), "count").state_dict()),
    "an empty bias, deleted": lambda T: setattr(dropped(T.nn.Linear(1, 1, bias=False), "bias"), "bias", 3),
    "parameters before init": lambda T: list(type("M", (T.nn.Module,), {"__init__": lambda s: None})().parameters()),
    "mse of a number": lambda T: T.nn.MSELoss()(T.ones(1), 1.0),
    "mse of an array": lambda T: T.nn.MSELoss()(T.ones(1), np.ones(1)),
    "registered later": lambda T: registered(T, a=None, b=T.nn.Tanh(), c=T.zeros(1), d=None),
    "a parameter over a module": lambda T: registered(T, a=T.nn.Tanh(), b=T.nn.Parameter(T.ones(1)), c=None, d=None),
    "a module over a buffer": lambda T: replaced(net(T), count=T.nn.Tanh()),
    "a module, taken away": lambda T: replaced(net(T), linear=None),
    "a module, taken away and put back": lambda T: replaced(replaced(net(T), linear=None), linear=T.nn.Linear(1, 1)),
    "no module where one was, then a number": lambda T: setattr(replaced(net(T), linear=None), "linear", 3),
    "no module": lambda T: [added(net(T), None), added(added(net(T), None), T.nn.Tanh())],
    "no module in a row": lambda T: [len(T.nn.Sequential(None, T.nn.Tanh())), T.nn.Sequential(T.nn.Tanh(), None)],
    "no module in a row, called": lambda T: T.nn.Sequential(T.nn.Tanh(), None)(T.ones(1)),
    "no module in a list": lambda T: list(T.nn.ModuleList([None, T.nn.Tanh()])),
    "no module in a dict": lambda T: list(T.nn.ModuleDict({"a": None, "b": T.nn.Tanh()}).items()),
    "a name with a dot": lambda T: net(T).register_parameter("a.b", None),
    "a name twice": lambda T: net(T).register_buffer("forward", T.ones(1)),
    "not a parameter": lambda T: net(T).register_parameter("x", T.ones(1)),
    "integer parameter": lambda T: T.nn.Parameter(T.tensor([1])),
    "parameter without gradient": lambda T: T.nn.Parameter(T.tensor([1]), requires_grad=False),
    "to integers": lambda T: net(T).to(T.int64),
    "to cuda": lambda T: net(T).to("cuda"),
    "train(3)": lambda T: net(T).train(3),
    "linear without bias": lambda T: T.nn.Linear(2, 3, bias=False),
    "linear of wrong width": lambda T: net(T).linear(T.ones(2, 4)),
    "linear of another dtype": lambda T: net(T).linear(T.ones(2, 3).double()),
    "linear of a number": lambda T: net(T).linear(3),
    "layers": lambda T: [
        m(T.tensor([-1.0, 0.0, 2.0])) for m in (T.nn.ReLU(), T.nn.Tanh(), T.nn.Sigmoid(), T.nn.Identity())
    ],
    "inplace relu": lambda T: T.nn.ReLU(inplace=True)(T.tensor([-1.0, 2.0])),
    "load": lambda T: net(T).load_state_dict(net(T).state_dict()),
    "load, not strict": lambda T: list(net(T).load_state_dict({"scale": T.zeros(2), "x": 1}, strict=False)),
    "load, not a dict": lambda T: net(T).load_state_dict(3),
    "load, wrong": lambda T: net(T).load_state_dict({"scale": T.zeros(3), "x": T.ones(1)}),
    "mse of unknown reduction": lambda T: T.nn.MSELoss(reduction="x")(T.ones(1), T.ones(1)),
    "mse of no numbers": lambda T: T.nn.MSELoss()(T.ones(0), T.ones(0)),
    "mse of shapes that don't broadcast": lambda T: T.nn.functional.mse_loss(T.ones(2), T.ones(3)),
    **{
        f"weighted {name}, {reduction}, {list(shape)}": lambda T, name=name, reduction=reduction, shape=shape: getattr(
            T.nn.functional, name
        )(T.arange(3.0), T.ones(2, 3), reduction=reduction, weight=T.arange(1.0, 1.0 + math.prod(shape)).reshape(shape))
        for name in ("mse_loss", "l1_loss")
        for reduction in ("mean", "sum", "none")
        for shape in ((3,), (1,), (), (2, 3))
    },
}


def dropped(module: Any, name: str) -> Any:
    delattr(module, name)
    return module


def registered(T: Any, **attributes: Any) -> Any:
    """The names in a module whose attributes are set, and then replaced by a module and a parameter each."""
    module = replaced(T.nn.Module(), **attributes)
    replaced(module, d=T.nn.Parameter(T.ones(1)), a=T.nn.Linear(1, 1), e=T.nn.Linear(1, 1), c=None)
    replaced(module, c=T.nn.Parameter(T.ones(1)))
    return list(module.state_dict()), [name for name, _ in module.named_parameters()], repr(module)


def replaced(module: Any, **attributes: Any) -> Any:
    for name, value in attributes.items():
        setattr(module, name, value)
    return module


def added(module: Any, child: Any) -> Any:
    module.add_module("child", child)
    return module


def applied(module: Any) -> Any:
    names: list[str] = []
    module.apply(lambda x: names.append(type(x).__name__))
    return names


def deleted(x: Any, i: int) -> Any:
    del x[i]
    return x


def without(module: Any, name: str) -> Any:
    setattr(module, name, None)
    return list(module.state_dict())


@pytest.mark.filterwarnings("ignore:Using a target size:UserWarning")
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_same_as_torch(name: str) -> None:
    found = []
    for T in (minigrad, torch):
        try:
            found.append(show(PROGRAMS[name](T)))
        except Exception as error:
            found.append(type(error))
    assert found[0] == found[1]


def test_a_load_that_fails_loads_nothing() -> None:
    """A deliberate deviation: torch has then loaded what fits."""
    module = net(minigrad)
    before = [p.tolist() for p in module.parameters()]
    with pytest.raises(RuntimeError, match=r"(?s)Missing.*linear\.weight.*Unexpected.*\"x\".*size mismatch for count"):
        module.load_state_dict({"scale": minigrad.zeros(2), "x": minigrad.ones(1), "count": minigrad.ones(3)})
    assert [p.tolist() for p in module.parameters()] == before


@ENGINES
def test_state_dict_shares_memory_and_load_copies(T: Any) -> None:
    module, other = net(T), net(T)
    state = module.state_dict()
    state["scale"].fill_(7)
    assert module.scale.tolist() == [7, 7]
    other.load_state_dict(state)
    state["scale"].fill_(8)
    assert other.scale.tolist() == [7, 7]
    assert other.scale.requires_grad and other.scale.is_leaf


@ENGINES
def test_shared_parameters_count_once(T: Any) -> None:
    module = T.nn.Sequential(T.nn.Linear(2, 2), T.nn.Linear(2, 2))
    module[1].weight = module[0].weight
    assert len(list(module.parameters())) == 3
    assert len(module.state_dict()) == 4


@ENGINES
def test_copies(T: Any) -> None:
    module = net(T)
    module(T.ones(1, 3)).sum().backward()
    twin = copy.deepcopy(module)
    assert twin.linear is twin.again and twin.linear.weight is not module.linear.weight
    assert twin.linear.weight.grad is None and twin.linear.weight.tolist() == module.linear.weight.tolist()
    assert isinstance(twin.scale, T.nn.Parameter)
    linear = pickle.loads(pickle.dumps(T.nn.Linear(2, 1)))
    assert isinstance(linear.weight, T.nn.Parameter) and linear(T.ones(1, 2)).requires_grad


@ENGINES
def test_zero_grad(T: Any) -> None:
    module = net(T)
    module(T.ones(1, 3)).sum().backward()
    module.zero_grad(set_to_none=False)
    assert all(p.grad is not None and not p.grad.any() for p in module.linear.parameters())
    module.zero_grad()
    assert all(p.grad is None for p in module.parameters())


@ENGINES
def test_results_of_parameters_are_tensors(T: Any) -> None:
    p = T.nn.Parameter(T.ones(2))
    assert type(p * 2) is T.Tensor and type(p.data) is T.Tensor and type(p.detach()) is T.Tensor
    assert p.is_leaf and isinstance(p, T.Tensor)


@pytest.mark.parametrize(("old", "reduction"), [
    ({"size_average": False}, "sum"), ({"size_average": True}, "mean"), ({"reduce": False}, "none"),
    ({"size_average": False, "reduce": True}, "sum"),
])  # fmt: skip
@ENGINES
def test_old_reduction_arguments(T: Any, old: dict[str, bool], reduction: str) -> None:
    with pytest.warns(UserWarning, match=f"please use reduction='{reduction}' instead"):
        assert T.nn.MSELoss(**old).reduction == reduction
    with pytest.warns(UserWarning, match=f"please use reduction='{reduction}' instead"):
        T.nn.functional.mse_loss(T.ones(1), T.ones(1), **old)


@ENGINES
def test_sizes_that_differ_warn(T: Any) -> None:
    with pytest.warns(
        UserWarning, match=r"Using a target size \(torch.Size\(\[2\]\)\) that is different to the input size"
    ):
        T.nn.MSELoss()(T.ones(2, 1), T.ones(2))


INITIALISERS = {
    "uniform_": {"a": -2.0, "b": 3.0}, "normal_": {"mean": 1.0, "std": 2.0}, "constant_": {"val": 3.0}, "ones_": {},
    "zeros_": {}, "eye_": {}, "xavier_uniform_": {"gain": 2.0}, "xavier_normal_": {}, "kaiming_uniform_": {"a": 0.5},
    "kaiming_normal_": {"mode": "fan_out", "nonlinearity": "relu"},
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", INITIALISERS)
@given(shape=st.lists(st.integers(1, 9), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_initialisers(name: str, dtype: str, shape: list[int], seed: int) -> None:
    found: list[Any] = []
    for T in (minigrad, torch):
        T.manual_seed(seed)
        tensor = T.empty(shape, dtype=getattr(T, dtype), requires_grad=True)
        try:
            result = getattr(T.nn.init, name)(tensor, **INITIALISERS[name])
            assert result is tensor and tensor.is_leaf and tensor.requires_grad
            found.append(as_drawn(tensor.detach().numpy()))
        except ValueError as error:
            found.append(str(error))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "name", ["uniform", "normal", "constant", "xavier_uniform", "xavier_normal", "kaiming_uniform"]
)
@ENGINES
def test_old_spellings_of_initialisers_warn(T: Any, name: str) -> None:
    args = [1.0] if name == "constant" else []
    with pytest.warns(FutureWarning, match=f"`nn.init.{name}` is now deprecated in favor of `nn.init.{name}_`"):
        getattr(T.nn.init, name)(T.empty(2, 3), *args)


@ENGINES
@pytest.mark.parametrize(("name", "gain"), [("linear", 1), ("tanh", 5 / 3), ("relu", 2**0.5), ("leaky_relu", None)])
def test_gains(T: Any, name: str, gain: float | None) -> None:
    assert T.nn.init.calculate_gain(name) == (gain or (2 / (1 + 0.01**2)) ** 0.5)
    with pytest.raises(ValueError, match="Unsupported nonlinearity"):
        T.nn.init.calculate_gain("cube")


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 99))
def test_linear_has_torchs_very_weights(n: int, m: int, seed: int) -> None:
    layers = []
    for T in (minigrad, torch):
        T.manual_seed(seed)
        layers.append(T.nn.Linear(n, m))
    for name in ("weight", "bias"):
        ours, theirs = (getattr(layer, name).detach().numpy() for layer in layers)
        assert as_drawn(ours) == as_drawn(theirs)


def test_a_linear_layer_without_inputs() -> None:
    with pytest.warns(UserWarning, match="zero-element"):
        assert minigrad.nn.Linear(0, 2)(minigrad.ones(1, 0)).shape == (1, 2)


@ENGINES
def test_registries(T: Any) -> None:
    """Dive into Deep Learning's MySequential, and what else reads and writes a module's registries."""

    class MySequential(T.nn.Module):  # type: ignore[misc]
        def __init__(self, *args: Any) -> None:
            super().__init__()
            for i, module in enumerate(args):
                self._modules[str(i)] = module

        def forward(self, x: Any) -> Any:
            for block in self._modules.values():
                x = block(x)
            return x

    T.manual_seed(0)
    net = MySequential(T.nn.Linear(2, 3), T.nn.ReLU(), T.nn.Linear(3, 1))
    assert [*net.state_dict()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert net(T.ones(1, 2)).shape == (1, 1)
    net.register_buffer("count", T.zeros(1))
    net.none = net[0] if hasattr(net, "__getitem__") else None
    layer = net._modules["0"]
    assert [*layer._parameters] == ["weight", "bias"]
    assert ([*net._buffers], [*net._modules], len(net._modules)) == (["count"], ["0", "1", "2"], 3)
    layer._parameters["bias"] = None
    assert layer.bias is None and "bias" in layer._parameters
    del net._modules["1"]
    assert len([*net.children()]) == 2
    for missing in ("count", "nothing"):
        with pytest.raises(KeyError):
            net._modules[missing]
