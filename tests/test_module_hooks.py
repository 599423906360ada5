"""Hooks of modules: the same scripts under both engines, and their logs, values, errors and warnings compared."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad

Log = list[Any]
Pair = namedtuple("Pair", ["a", "b"])


class Numbers:
    """The elements of a tensor, equal to others that differ by float32's rounding."""

    def __init__(self, x: Any) -> None:
        self.array = np.array(x.detach().tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Numbers) and np.allclose(self.array, other.array, rtol=1e-5, atol=1e-7)

    def __repr__(self) -> str:
        return repr(self.array)


def plain(x: Any) -> Any:
    """What both engines must agree on: tensors as numbers, shape, dtype, and whether they require gradients."""
    if isinstance(x, (minigrad.Tensor, torch.Tensor)):
        return Numbers(x), list(x.shape), str(x.dtype)[-7:], x.requires_grad
    if isinstance(x, (list, tuple)):
        return type(x).__name__, [plain(item) for item in x]
    return {name: plain(item) for name, item in x.items()} if isinstance(x, dict) else x


def run(script: Callable[..., Any], T: Any, *args: Any) -> Any:
    """What a script logged and returned, the type of its error with the start of its message, and its warnings."""
    log: Log = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = plain(script(T, log, *args))
        except Exception as error:
            result = type(error).__name__, str(error).split(":")[0].rstrip(".")
    return plain(log), result, [(w.category.__name__, str(w.message)[:60]) for w in caught]


def leaf(T: Any, *values: float) -> Any:
    return T.tensor(values, requires_grad=True)


def fill(module: Any, value: float = 0.5) -> Any:
    for parameter in module.parameters():
        parameter.data.fill_(value)
    return module


def net(T: Any) -> Any:
    return fill(T.nn.Sequential(T.nn.Linear(2, 3), T.nn.Tanh(), T.nn.Sequential(T.nn.Linear(3, 1), T.nn.Sigmoid())))


def listen(module: Any, name: str, log: Log) -> list[Any]:
    """Hooks of every kind, which log what they are given."""
    return [
        module.register_forward_pre_hook(lambda m, args: log.append((name, "pre", type(m).__name__, args))),
        module.register_forward_hook(lambda m, args, out: log.append((name, "forward", args, out))),
        module.register_full_backward_pre_hook(lambda m, go: log.append((name, "backward pre", go))),
        module.register_full_backward_hook(lambda m, gi, go: log.append((name, "backward", gi, go))),
    ]


class Modules:
    """Modules of either engine that take and give more than one tensor."""

    def __init__(self, T: Any) -> None:
        class Two(T.nn.Module):  # type: ignore[misc, name-defined]
            def forward(self, a: Any, b: Any) -> Any:
                return a * 2, b * 3

        class Mixed(T.nn.Module):  # type: ignore[misc, name-defined]
            def forward(self, x: Any, n: int, s: str) -> Any:
                return x * n, s, None

        class Dictionary(T.nn.Module):  # type: ignore[misc, name-defined]
            def forward(self, x: Any, scale: float = 2.0) -> Any:
                return {"a": x * scale}

        class Named(T.nn.Module):  # type: ignore[misc, name-defined]
            def forward(self, x: Any) -> Any:
                return Pair(x * 2, x * 3)

        class Broken(T.nn.Module):  # type: ignore[misc, name-defined]
            def forward(self, x: Any) -> Any:
                raise KeyError("forward")

        self.Two, self.Mixed, self.Dictionary, self.Named, self.Broken = Two, Mixed, Dictionary, Named, Broken


def all_levels(T: Any, log: Log) -> Any:
    model, x = net(T), leaf(T, 1.0, 2.0)
    for name, module in model.named_modules():
        listen(module, name, log)
    model(x).sum().backward()
    return x.grad, [p.grad for p in model.parameters()]


def several_calls(T: Any, log: Log) -> Any:
    layer, x = T.nn.Tanh(), leaf(T, 0.5)
    listen(layer, "tanh", log)
    (layer(layer(x)) + layer(x * 2)).backward()
    return x.grad


def order(T: Any, log: Log) -> Any:
    m, M = T.nn.Tanh(), T.nn.modules.module
    handles = []
    for n in "ab":
        note = {kind: lambda *a, text=f"{kind} {n}": log.append(text) for kind in ("gf", "gp", "gb", "gbp")}
        handles += [
            M.register_module_forward_hook(note["gf"]),
            M.register_module_forward_pre_hook(note["gp"]),
            M.register_module_full_backward_hook(note["gb"]),
            M.register_module_full_backward_pre_hook(note["gbp"]),
        ]
        for prepend in (False, True):
            note = {kind: lambda *a, text=f"{kind} {n} {prepend}": log.append(text) for kind in ("f", "p", "b", "bp")}
            m.register_forward_hook(note["f"], prepend=prepend)
            m.register_forward_pre_hook(note["p"], prepend=prepend)
            m.register_full_backward_hook(note["b"], prepend=prepend)
            m.register_full_backward_pre_hook(note["bp"], prepend=prepend)
    m(leaf(T, 1.0)).backward()
    T.nn.Tanh()(leaf(T, 1.0)).backward()  # the global hooks alone
    for handle in handles:
        handle.remove()
    log.append("removed")
    T.nn.Tanh()(leaf(T, 1.0)).backward()
    return m(T.zeros(1))


def removed(T: Any, log: Log) -> Any:
    layer, x = T.nn.Tanh(), leaf(T, 0.5)
    handles = listen(layer, "tanh", log)
    out = layer(x)
    for handle in handles:
        handle.remove()
        handle.remove()
    out.backward()  # the backward hooks of a call stay those of the call
    log.append("gone")
    layer(x).backward()
    with layer.register_forward_hook(lambda m, args, result: log.append("in context")):
        layer(x)
    layer(x)
    return x.grad


def kwargs(T: Any, log: Log) -> Any:
    m, x = Modules(T).Dictionary(), leaf(T, 1.0)
    m.register_forward_pre_hook(lambda m, args, kw: log.append((args, kw)), with_kwargs=True)
    m.register_forward_pre_hook(lambda m, args, kw: (args, {"scale": kw["scale"] + 1}), with_kwargs=True)
    m.register_forward_pre_hook(lambda m, args: log.append(args))
    m.register_forward_hook(lambda m, args, kw, out: log.append((args, kw, out)), with_kwargs=True)
    M = T.nn.modules.module
    with M.register_module_forward_hook(lambda m, args, kw, out: log.append((args, kw, out)), with_kwargs=True):
        return m(x, scale=5.0)


def replaced_forward(T: Any, log: Log) -> Any:
    layer, x = fill(T.nn.Linear(1, 1)), leaf(T, 1.0)
    layer.register_forward_pre_hook(lambda m, args: args[0] * 2)
    layer.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    layer.register_forward_hook(lambda m, args, out: log.append((args, out)) or out * 10)
    layer.register_forward_hook(lambda m, args, out: log.append(out))
    out = layer(x)
    out.backward()
    return out, x.grad, layer.weight.grad


def replaced_backward(T: Any, log: Log) -> Any:
    m, a, b = Modules(T).Two(), leaf(T, 1.0, 2.0), leaf(T, 3.0)
    m.register_full_backward_pre_hook(lambda m, go: (go[0] * 2, go[1]))
    m.register_full_backward_pre_hook(lambda m, go: log.append(go) or [go[0], go[1] + 1])
    m.register_full_backward_hook(lambda m, gi, go: log.append((gi, go)) or (gi[0] * 10, None))
    m.register_full_backward_hook(lambda m, gi, go: log.append((gi, go)))
    x, y = m(a, b)
    (x.sum() + y.sum()).backward()
    return a.grad, b.grad


def bad_replacement(T: Any, log: Log, kind: str, value: Any) -> Any:
    layer, x = T.nn.Tanh(), leaf(T, 1.0, 2.0)
    getattr(layer, f"register_full_backward_{kind}")(lambda *args: value(T))
    layer(x).sum().backward()
    return x.grad


def bad_arguments(T: Any, log: Log, value: Any) -> Any:
    layer = T.nn.Tanh()
    layer.register_forward_pre_hook(lambda m, args, kw: value(T), with_kwargs=True)
    return layer(T.zeros(1))


def unused_output(T: Any, log: Log) -> Any:
    m, a, b = Modules(T).Two(), leaf(T, 1.0), leaf(T, 2.0)
    listen(m, "two", log)
    m(a, b)[0].backward()
    return a.grad, b.grad


def partly_required(T: Any, log: Log) -> Any:
    m, a = Modules(T).Two(), leaf(T, 1.0)
    listen(m, "two", log)
    results = [m(a, T.tensor(b)) for b in ([2.0, 3.0], [2, 3])]
    for x, _ in results:
        x.backward()
    return a.grad, [(y, y.grad_fn is None) for _, y in results]


def one_of_two(T: Any, log: Log) -> Any:
    m, a, b = Modules(T).Two(), leaf(T, 1.0), leaf(T, 2.0)
    listen(m, "two", log)
    return T.autograd.grad(m(a, b)[1], [b])


def no_input(T: Any, log: Log, value: Any = None) -> Any:
    layer = fill(T.nn.Linear(1, 1))
    listen(layer, "linear", log)
    layer.register_full_backward_hook(lambda m, gi, go: value)
    layer(T.ones(1)).backward()
    return layer.weight.grad


def no_input_but_a_gradient(T: Any, log: Log) -> Any:
    return no_input(T, log, (T.ones(1),))


def keywords_alone(T: Any, log: Log) -> Any:
    m, x = Modules(T).Two(), leaf(T, 1.0)
    listen(m, "two", log)
    m(a=x, b=x)[0].backward()
    return x.grad


def mixed_values(T: Any, log: Log) -> Any:
    m, x = Modules(T).Mixed(), leaf(T, 1.0)
    listen(m, "mixed", log)
    out = m(x, 2, "s")
    out[0].backward()
    return out, x.grad


def no_tensor(T: Any, log: Log) -> Any:
    m, x = Modules(T).Dictionary(), leaf(T, 1.0)
    listen(m, "dictionary", log)
    m(x)["a"].backward()
    return x.grad


def named_tuple(T: Any, log: Log) -> Any:
    m, x = Modules(T).Named(), leaf(T, 1.0)
    listen(m, "named", log)
    out = m(x)
    (out.a + out.b).backward()
    return out, x.grad


def twice(T: Any, log: Log) -> Any:
    layer, x = T.nn.Tanh(), leaf(T, 0.5, 1.0)
    listen(layer, "tanh", log)
    (g,) = T.autograd.grad(layer(x).sum(), x, create_graph=True)
    log.append("again")
    g.sum().backward()
    return g, x.grad


def retained(T: Any, log: Log) -> Any:
    layer, x = T.nn.Tanh(), leaf(T, 0.5)
    listen(layer, "tanh", log)
    out = layer(x)
    out.backward(retain_graph=True)
    out.backward()
    return x.grad


def unrecorded(T: Any, log: Log) -> Any:
    layer = T.nn.Tanh()
    listen(layer, "tanh", log)
    with T.no_grad():
        return layer(leaf(T, 0.5)), layer(T.ones(1)).requires_grad


def graph(T: Any, log: Log) -> Any:
    layer = T.nn.Tanh()
    layer.register_full_backward_hook(lambda *args: None)
    out = layer(leaf(T, 0.5))
    node = out.grad_fn
    while node is not None:
        log.append(node.name())
        node = node.next_functions[0][0] if node.next_functions else None
    return out._is_view(), out.grad_fn.next_functions[0][1]


def in_place_inside(T: Any, log: Log, of_leaf: bool) -> Any:
    layer, x = T.nn.ReLU(inplace=True), leaf(T, 1.0)
    layer.register_full_backward_hook(lambda *args: None)
    return layer(x if of_leaf else x * 1)


def in_place_behind(T: Any, log: Log) -> Any:
    layer = T.nn.Tanh()
    layer.register_full_backward_hook(lambda *args: None)
    return T.nn.ReLU(inplace=True)(layer(leaf(T, 1.0)))


def always_called(T: Any, log: Log) -> Any:
    m = Modules(T).Broken()
    m.register_forward_hook(lambda m, args, out: log.append(("always", out)), always_call=True)
    m.register_forward_hook(lambda m, args, out: log.append("not called"))
    m.register_forward_hook(lambda m, args, kw, out: 1 / 0, always_call=True, with_kwargs=True)
    m.register_forward_hook(lambda m, args, out: log.append("still called"), always_call=True)
    return m(T.ones(1))


def always_called_once(T: Any, log: Log) -> Any:
    layer = T.nn.Tanh()
    layer.register_forward_hook(lambda m, args, out: log.append(out) or out + 1, always_call=True)
    layer.register_forward_hook(lambda m, args, out: [].pop())
    layer.register_forward_hook(lambda m, args, out: log.append(out) or out + 1, always_call=True)
    return layer(T.zeros(1))


def registered_while_called(T: Any, log: Log) -> Any:
    layer = T.nn.Tanh()

    def first(m: Any, args: Any) -> None:
        m.register_forward_pre_hook(lambda m, args: log.append("pre, from the next call on"))
        m.register_forward_hook(lambda m, args, out: log.append("forward, at once"))

    layer.register_forward_pre_hook(first)
    layer(T.zeros(1))
    return layer(T.zeros(1))


def doubled(module: Any, args: Any, out: Any) -> Any:
    return out * 2


def copies(T: Any, log: Log) -> Any:
    layer = fill(T.nn.Linear(1, 1))
    layer.handle = layer.register_forward_hook(doubled)
    both = [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))]
    layer.handle.remove()
    x = T.ones(1)
    log.append([m(x) for m in (layer, *both)])
    for m in both:
        m.handle.remove()
    log.append([m(x) for m in (layer, *both)])
    return list(both[0].state_dict()), repr(layer)


def positional(T: Any, log: Log) -> Any:
    return T.nn.Tanh().register_forward_hook(doubled, True)


SCRIPTS = [
    all_levels, several_calls, order, removed, kwargs, replaced_forward, replaced_backward, unused_output,
    partly_required, one_of_two, no_input, no_input_but_a_gradient, keywords_alone, mixed_values, no_tensor,
    named_tuple, twice, retained, unrecorded, graph, in_place_behind, always_called, always_called_once,
    registered_while_called, copies, positional,
]  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_script(script: Callable[..., Any]) -> None:
    assert run(script, minigrad) == run(script, torch)


@pytest.mark.parametrize("of_leaf", [True, False])
def test_a_module_that_writes_to_its_input_can_have_no_backward_hook(of_leaf: bool) -> None:
    found, expected = (run(in_place_inside, T, of_leaf) for T in (minigrad, torch))
    assert found == expected
    assert "Output 0 of BackwardHookFunction is a view" in found[1][1]


REPLACEMENTS: dict[str, Callable[[Any], Any]] = {
    "tuple": lambda T: (T.ones(2),),
    "list": lambda T: [T.ones(2)],
    "tensor": lambda T: T.ones(2),
    "rows of a tensor": lambda T: T.ones(1, 2),
    "shape": lambda T: (T.ones(3),),
    "number": lambda T: (3,),
    "dtype": lambda T: (T.ones(2).double(),),
    "no sequence": lambda T: 3,
    "text": lambda T: "x",
    "two": lambda T: (T.ones(2), T.ones(2)),
    "none": lambda T: (),
}


@pytest.mark.parametrize("kind", ["hook", "pre_hook"])
@pytest.mark.parametrize("name", REPLACEMENTS)
def test_what_backward_hooks_return(kind: str, name: str) -> None:
    found, expected = (run(bad_replacement, T, kind, REPLACEMENTS[name]) for T in (minigrad, torch))
    if isinstance(expected[1][0], str) and expected[1][0].endswith("Error"):
        # The hook is named, where PyTorch names a function of its own.
        assert found[1][0] == expected[1][0]
        assert found[1][1].replace("<lambda>", "hook").startswith(expected[1][1])
    else:
        assert found == expected


ARGUMENTS: dict[str, Callable[[Any], Any]] = {
    "both": lambda T: ((T.ones(1),), {}),
    "tuple": lambda T: (T.ones(1),),
    "list": lambda T: [(T.ones(1),), {}],
    "tensor": lambda T: T.ones(1),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_what_hooks_with_kwargs_return(name: str) -> None:
    assert run(bad_arguments, minigrad, ARGUMENTS[name]) == run(bad_arguments, torch, ARGUMENTS[name])


def test_the_old_backward_hook_says_what_to_use() -> None:
    with pytest.raises(NotImplementedError, match="register_full_backward_hook"):
        minigrad.nn.Tanh().register_backward_hook(lambda *args: None)


def test_the_handle_is_that_of_utils() -> None:
    for T in (minigrad, torch):
        handle = T.nn.Tanh().register_forward_hook(doubled)
        assert isinstance(handle, T.utils.hooks.RemovableHandle)
        handle.remove()  # its module is gone


REGISTER = ("forward_pre_hook", "forward_hook", "full_backward_pre_hook", "full_backward_hook")


@given(data=st.data())
def test_random_hooks(data: st.DataObject) -> None:
    """Hooks of random kinds on random modules, prepended or not, some removed between two passes."""
    plan = data.draw(
        st.lists(
            st.tuples(st.sampled_from(REGISTER), st.integers(0, 5), st.booleans(), st.booleans(), st.booleans()),
            max_size=10,
        )
    )

    def script(T: Any, log: Log) -> Any:
        model, x = net(T), leaf(T, 1.0, -2.0)
        modules, handles = list(model.modules()), []
        for i, (kind, where, prepend, replace, _) in enumerate(plan):

            def hook(module: Any, *values: Any, i: int = i, kind: str = kind, replace: bool = replace) -> Any:
                log.append((i, kind, values))
                value = values[-1] if kind != "full_backward_hook" else values[0]
                if not replace:
                    return None
                return value * 2 if kind == "forward_hook" else tuple(v * 2 for v in value)

            handles.append(getattr(modules[where], f"register_{kind}")(hook, prepend=prepend))
        model(x).sum().backward()
        for handle, (*_, remove) in zip(handles, plan, strict=True):
            if remove:
                handle.remove()
        log.append("second pass")
        model(x).sum().backward()
        return x.grad, [p.grad for p in model.parameters()]

    assert run(script, minigrad) == run(script, torch)
