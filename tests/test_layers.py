"""Layers, losses and containers of nn against torch: parameters, text, training, errors."""

from __future__ import annotations

import copy
import functools
import itertools
import pickle
import warnings
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from test_nn import ENGINES, show

import minigrad


def found(T: Any, program: Any) -> Any:
    """What a program gives, as text; or the type and the beginning of what it raises."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = show(program(T))
        except Exception as error:
            result = type(error).__name__
    return result, [(type(one.message).__name__, str(one.message)) for one in caught]


def layers(T: Any) -> Any:
    nn = T.nn
    return nn.ModuleDict(OrderedDict(
        activations=nn.ModuleList([
            nn.LeakyReLU(0.2), nn.LeakyReLU(inplace=True), nn.ELU(), nn.ELU(2.0, True), nn.SELU(), nn.SELU(True),
            nn.SiLU(), nn.SiLU(True), nn.GELU(), nn.GELU("tanh"), nn.Softplus(), nn.Softplus(2, 10), nn.Hardtanh(),
            nn.Hardtanh(-2, 2, True), nn.ReLU6(), nn.ReLU6(True), nn.LogSigmoid(), nn.Softsign(), nn.Tanhshrink(),
            nn.Softmax(0), nn.LogSoftmax(dim=-1),
        ]),
        block=nn.Sequential(nn.Flatten(), nn.LazyLinear(4), nn.Dropout(0.25), nn.Linear(4, 2), nn.Unflatten(1, (2, 1))),
        table=nn.Embedding(3, 2, padding_idx=-1),
        losses=nn.ModuleList([
            nn.CrossEntropyLoss(), nn.NLLLoss(T.ones(2)), nn.BCELoss(), nn.BCEWithLogitsLoss(pos_weight=T.ones(1)),
        ]),
        twins=nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1)]),
        weights=nn.ParameterList([T.ones(2), nn.Parameter(T.zeros(1, 2)), 3]),
        named=nn.ParameterDict({"b": T.ones(2), "a": T.zeros(1)}),
    ))  # fmt: skip


def three(T: Any) -> Any:
    return T.nn.ModuleList([T.nn.Linear(1, 1), T.nn.ReLU(), T.nn.Tanh()])


def row(T: Any) -> Any:
    return T.nn.Sequential(*three(T))


def named(T: Any) -> Any:
    return T.nn.Sequential(OrderedDict(a=T.nn.ReLU(), b=T.nn.Tanh(), c=T.nn.Sigmoid()))


def modules(T: Any) -> Any:
    return T.nn.ModuleDict({"b": T.nn.Linear(1, 1), "a": T.nn.ReLU()})


def parameters(T: Any) -> Any:
    return T.nn.ParameterList([T.nn.Parameter(T.ones(2)), T.ones(3), T.ones(1, 2)])


def by_name(T: Any) -> Any:
    return T.nn.ParameterDict({"b": T.nn.Parameter(T.ones(2)), "a": T.ones(3)})


# A container, and what is done to it: `q` is the container, `R` a module, `p` a tensor.
DONE: dict[Any, tuple[str, ...]] = {
    three: (
        "q", "q[0:2]", "q[-1]", "q[3]", "q[1.5]", "len(q)", "list(q)", "list(reversed(q))", "q.append(R)",
        "q.append(1)", "q.extend([R, R])", "q.extend(R)", "q.extend(list(q))", "q.insert(1, R)", "q.insert(9, R)",
        "q.insert(-1, R)", "q.pop(0)", "q.pop(-1)", "q.pop(7)", "q.pop(slice(0, 2))", "q.__delitem__(slice(0, 2))",
        "q.__delitem__(0)", "q.__setitem__(0, R)", "q.__setitem__(5, R)", "q + [R]", "q + q", "q + 3",
        "q.__iadd__([R])", "q(1)", "R in q", "q[0] in q",
    ),
    row: (
        "q.append(R)", "q.extend([R])", "q.extend(2 * q)", "q.extend(3)", "q.insert(1, R)", "q.insert(-1, R)",
        "q.insert(3, R)", "q.insert(4, R)", "q.insert(-9, R)", "q.insert(0, 1)", "q.pop(0)", "q.pop(-1)", "q.pop(9)",
        "q.pop(slice(0, 2))", "q.__delitem__(slice(0, 2))", "q + q", "q + [R]", "q.__iadd__(2 * q)", "q.__iadd__([R])",
        "q.__imul__(2)", "q * 2", "2 * q", "q * 0", "q * 1.5", "q * True", "q.__imul__(0)", "(q * 2)[0] is q[0]",
    ),
    named: (
        "q", "q.append(R)", "q.insert(0, R)", "q.insert(1, R)", "q.insert(3, R)", "q.pop(0)", "q + q", "q * 2",
        "q[0:2]", "q[::2]", "q.__setitem__(0, R)",
    ),
    modules: (
        "q", "q['a']", "q['x']", "list(q)", "list(q.items())", "list(q.values())", "list(q.keys())", "len(q)",
        "'a' in q", "q.pop('a')", "q.pop('z')", "q.clear()", "q.update({'c': R})", "q.update([['z', R], ['a', R]])",
        "q.update(q)", "q.update([1])", "q.update([[1, 2, 3]])", "q.update(3)", "q.__setitem__('k', 1)",
        "q.__setitem__(1, R)", "q.__setitem__('x.y', R)", "q.__delitem__('zz')", "q(1)", "q.__setitem__('keys', R)",
    ),
    parameters: (
        "q", "q[0]", "q[-1]", "q[3]", "q[0:2]", "len(q)", "list(q)", "q.append(p)", "q.append('s')", "q.extend([p])",
        "q.extend(q)", "q.extend(3)", "q.extend(p)", "q.__setitem__(0, p)", "q.__setitem__(9, p)", "q.__iadd__([p])",
        "q(1)", "list(q.named_parameters())", "list(q.state_dict())",
    ),
    by_name: (
        "q", "q['a']", "q['x']", "list(q)", "list(reversed(q))", "list(q.items())", "list(q.values())",
        "list(q.keys())", "len(q)", "'a' in q", "q.pop('a')", "q.pop('z')", "q.popitem()", "q.clear()",
        "q.update({'d': p, 'c': p})", "q.update([['z', 1], ['y', p]])", "q.update(3)", "q.__setitem__('k', 1)",
        "q.__setitem__(1, p)", "q.__delitem__('a')", "q.__delitem__('zz')", "q(1)", "q.get('a')", "q.get('z', 3)",
        "q.setdefault('a')", "q.setdefault('n', p)", "q.copy()", "q | q", "{'r': 1} | q", "q.__ior__({'u': p})",
        "q.fromkeys(['a', 'c'], p)", "q.__setitem__('keys', p)", "list(q.named_parameters())",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "code"), [(make, code) for make in DONE for code in DONE[make]])
def test_containers(make: Any, code: str) -> None:
    def program(T: Any) -> Any:
        T.manual_seed(1)
        q = make(T)
        result = eval(code, {"q": q, "R": T.nn.Sigmoid(), "p": T.ones(4)})
        return [result, q, list(q.state_dict()), [name for name, _ in q.named_children()]]

    assert found(minigrad, program) == found(torch, program)


T5 = lambda T: T.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])

PROGRAMS = {
    "text": layers,
    "state_dict": lambda T: list(layers(T).state_dict()),
    "names of parameters": lambda T: [name for name, _ in layers(T).named_parameters()],
    "softmax, no dim": lambda T: [T.nn.Softmax()(T.ones(s)) for s in ((2,), (2, 2), (2, 1, 2), (1, 1, 1, 2))],
    "log_softmax, no dim": lambda T: T.nn.functional.log_softmax(T.ones(())),
    "softmax of a number": lambda T: T.nn.functional.softmax(1.0, 0),
    "hardtanh of crossed bounds": lambda T: T.nn.Hardtanh(2, 1),
    "leaky_relu in place": lambda T: T.nn.LeakyReLU(0.5, True)(T5(T)),
    "elu in place": lambda T: T.nn.ELU(0.5, True)(T5(T)),
    "selu in place": lambda T: T.nn.SELU(True)(T5(T)),
    "silu in place": lambda T: T.nn.SiLU(True)(T5(T)),
    "relu6 in place": lambda T: T.nn.ReLU6(True)(T5(T)),
    "hardtanh in place": lambda T: T.nn.Hardtanh(inplace=True)(T5(T)),
    "relu_": lambda T: T.nn.functional.relu_(T5(T)),
    "gelu of an unknown approximation": lambda T: T.nn.GELU("x")(T5(T)),
    "flatten of 1-d": lambda T: T.nn.Flatten()(T.ones(2)),
    "flatten of 3-d": lambda T: T.nn.Flatten()(T.ones(2, 3, 4)).shape,
    "unflatten": lambda T: T.nn.Unflatten(1, (3, -1))(T.ones(2, 6)).shape,
    **{
        f"unflatten to {size}": lambda T, size=size: T.nn.Unflatten(1, size)(T.ones(2, 6)).shape
        for size in ((2, 2), (), (-1, -1), (0, -1), 3, (1.5, 2), (4, -1))
    },
    "unflatten another dim": lambda T: T.nn.Unflatten(5, (1,))(T.ones(2)),
    "dropout of p": lambda T: T.nn.Dropout(1.5),
    "embedding of the padding": lambda T: T.nn.Embedding(3, 2, padding_idx=3),
    "embedding of another shape": lambda T: T.nn.Embedding(3, 2, _weight=T.ones(2, 2)),
    "embedding, given": lambda T: [
        T.nn.Embedding.from_pretrained(T.ones(3, 2), freeze=f)(T.tensor([2, 0])) for f in (True, False)
    ],
    "embedding, given of 1-d": lambda T: T.nn.Embedding.from_pretrained(T.ones(3)),
    **{
        f"embedding of {dtype}": lambda T, dtype=dtype: T.nn.Embedding(3, 2)(T.ones(2, dtype=getattr(T, dtype)))
        for dtype in ("float32", "bool", "uint8", "int16")
    },
    "embedding of a list": lambda T: T.nn.Embedding(3, 2)([1]),
    "embedding of a vector": lambda T: T.nn.functional.embedding(T.tensor([0]), T.ones(3)),
    "one_hot of floats": lambda T: T.nn.functional.one_hot(T.tensor([0.0])),
    "one_hot of nothing": lambda T: T.nn.functional.one_hot(T.tensor([], dtype=T.int64)),
    "old arguments": lambda T: [T.nn.CrossEntropyLoss(size_average=False), T.nn.BCELoss(reduce=False).reduction],
    "old arguments of the function": lambda T: T.nn.functional.nll_loss(T5(T), T.tensor([0, 1]), size_average=False),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_layers(name: str) -> None:
    for T in (minigrad, torch):
        T.manual_seed(3)
    assert found(minigrad, PROGRAMS[name]) == found(torch, PROGRAMS[name])


# Losses ---------------------------------------------------------------------------------------------------------------

WRONG = {
    "no such class": lambda T, F: F(T5(T), T.tensor([0, 5])),
    "a negative class": lambda T, F: F(T5(T), T.tensor([0, -1])),
    "another batch": lambda T, F: F(T5(T), T.tensor([0, 1, 2])),
    "no batch": lambda T, F: F(T5(T), T.tensor(0)),
    "two targets for one": lambda T, F: F(T.ones(3), T.tensor([0, 1])),
    "indices in columns": lambda T, F: F(T5(T), T.tensor([[0], [1]])),
    "other places": lambda T, F: F(T.ones(2, 3, 4), T.zeros(2, 5, dtype=T.int64)),
    "floats": lambda T, F: F(T5(T), T.tensor([0.0, 1.0])),
    "int32": lambda T, F: F(T5(T), T.tensor([0, 1]).int()),
    "bool": lambda T, F: F(T5(T), T.tensor([True, False])),
    "integer scores": lambda T, F: F(T5(T).long(), T.tensor([0, 1])),
    "a number": lambda T, F: F(T5(T), 1),
    "a list": lambda T, F: F(T5(T), [0, 1]),
    "number of a score": lambda T, F: F(1.0, T.tensor([0])),
    "weights of other classes": lambda T, F: F(T5(T), T.tensor([0, 1]), weight=T.ones(2)),
    "weights of another dtype": lambda T, F: F(T5(T), T.tensor([0, 1]), weight=T.ones(3).double()),
    "weights to be trained": lambda T, F: F(T5(T), T.tensor([0, 1]), weight=T.ones(3, requires_grad=True)),
    "ignored by a float": lambda T, F: F(T5(T), T.tensor([0, 1]), ignore_index=1.5),
    "unknown reduction": lambda T, F: F(T5(T), T.tensor([0, 1]), reduction="x"),
    "a score": lambda T, F: F(T.tensor(1.0), T.tensor(0)),
    "one target": lambda T, F: F(T.ones(3), T.tensor([1])),
    "all ignored": lambda T, F: F(T5(T), T.tensor([-100, -100])),
    "nothing": lambda T, F: F(T.ones(0, 3), T.ones(0, dtype=T.int64)),
    "bytes": lambda T, F: F(T5(T), T.tensor([0, 1]).to(T.uint8)),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("loss", ["cross_entropy", "nll_loss"])
def test_targets(loss: str, name: str) -> None:
    program = lambda T: WRONG[name](T, getattr(T.nn.functional, loss))
    assert found(minigrad, program) == found(torch, program)


@ENGINES
def test_a_class_out_of_bounds_is_named(T: Any) -> None:
    with pytest.raises(IndexError, match=r"^Target 5 is out of bounds\.$"):
        T.nn.CrossEntropyLoss()(T.ones(2, 3), T.tensor([0, 5]))
    with pytest.raises(ValueError, match=r"^Expected input batch_size \(2\) to match target batch_size \(3\)\.$"):
        T.nn.CrossEntropyLoss()(T.ones(2, 3), T.tensor([0, 1, 1]))
    with pytest.raises(RuntimeError, match="expected target dtype to be Long or Byte, but got Float"):
        T.nn.CrossEntropyLoss()(T.ones(2, 3), T.tensor([0.0, 1.0]))
    with pytest.raises(ValueError, match=r"Target size \(torch.Size\(\[2\]\)\) must be the same as input size"):
        T.nn.BCEWithLogitsLoss()(T.ones(2, 1), T.ones(2))
    with pytest.raises(ValueError, match=r"Using a target size \(torch.Size\(\[2\]\)\) that is different"):
        T.nn.BCELoss()(T.ones(2, 1), T.ones(2))


BINARY = {
    "another size": lambda T, F: F(T.ones(4), T.ones(2)),
    "a column": lambda T, F: F(T.ones(4, 1), T.ones(4)),
    "above 1": lambda T, F: F(T.ones(2) * 3, T.ones(2)),
    "NaN": lambda T, F: F(T.ones(2) * float("nan"), T.ones(2)),
    "targets above 1": lambda T, F: F(T.ones(2), T.ones(2) * 3),
    "integers": lambda T, F: F(T.ones(2), T.ones(2, dtype=T.int64)),
    "integer scores": lambda T, F: F(T.ones(2, dtype=T.int64), T.ones(2)),
    "two dtypes": lambda T, F: F(T.ones(2).double() / 4, T.ones(2)),
    "two dtypes, the other way": lambda T, F: F(T.ones(2) / 4, T.ones(2).double()),
    "weights of another size": lambda T, F: F(T.ones(4) / 4, T.ones(4), weight=T.ones(2)),
    "weights of more dims": lambda T, F: F(T.ones(4) / 4, T.ones(4), weight=T.ones(2, 1), reduction="none"),
    "weights of another dtype": lambda T, F: F(T.ones(2) / 4, T.ones(2), weight=T.ones(2).double()),
    "weights to be trained": lambda T, F: F(T.ones(2) / 4, T.ones(2), weight=T.ones(2, requires_grad=True)),
    "a number": lambda T, F: F(T.ones(1), 1.0),
    "nothing": lambda T, F: F(T.ones(0), T.ones(0)),
    "unknown reduction": lambda T, F: F(T.ones(2), T.ones(2), reduction="x"),
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("loss", ["binary_cross_entropy", "binary_cross_entropy_with_logits"])
def test_binary_targets(loss: str, name: str) -> None:
    program = lambda T: BINARY[name](T, getattr(T.nn.functional, loss))
    assert found(minigrad, program) == found(torch, program)


PROBABILITIES = {
    "integers": lambda T, F: F(T5(T), T.ones(2, 3, dtype=T.int64)),
    "ignored": lambda T, F: F(T5(T), T.ones(2, 3), ignore_index=1),
    "weights of other classes": lambda T, F: F(T5(T), T.ones(2, 3), weight=T.ones(2)),
    "smoothed too much": lambda T, F: F(T5(T), T.ones(2, 3), label_smoothing=1.5),
    "a score": lambda T, F: F(T.tensor(1.0), T.tensor(1.0)),
    "nothing": lambda T, F: F(T.ones(0, 3), T.ones(0, 3)),
}


@pytest.mark.parametrize("name", PROBABILITIES)
def test_probabilities_as_targets(name: str) -> None:
    program = lambda T: PROBABILITIES[name](T, T.nn.functional.cross_entropy)
    assert found(minigrad, program) == found(torch, program)


NODES = {
    "NllLossBackward0": lambda T, x: T.nn.functional.cross_entropy(x, T.tensor([0, 1])),
    "NllLoss2DBackward0": lambda T, x: T.nn.functional.nll_loss(x.reshape(1, 3, 2), T.tensor([[0, 1]])),
    "LogSoftmaxBackward0": lambda T, x: T.nn.functional.log_softmax(x, 1),
    "BinaryCrossEntropyBackward0": lambda T, x: T.nn.functional.binary_cross_entropy(x.sigmoid(), T.ones(2, 3)),
    "BinaryCrossEntropyWithLogitsBackward0": lambda T, x: T.nn.BCEWithLogitsLoss()(x, T.ones(2, 3)),
    "MulBackward0": lambda T, x: T.nn.functional.dropout(x),
    "EmbeddingBackward0": lambda T, x: T.nn.functional.embedding(T.tensor([1]), x),
    "LeakyReluBackward0": lambda T, x: T.nn.functional.leaky_relu(x),
    "EluBackward0": lambda T, x: T.nn.functional.selu(x),
    "SoftplusBackward0": lambda T, x: T.nn.functional.softplus(x),
    "SiluBackward0": lambda T, x: T.nn.functional.silu(x),
    "GeluBackward0": lambda T, x: T.nn.functional.gelu(x),
    "LogSigmoidBackward0": lambda T, x: T.nn.functional.logsigmoid(x),
    "HardtanhBackward0": lambda T, x: T.nn.functional.relu6(x),
    "ViewBackward0": lambda T, x: T.nn.Flatten(0)(x),
}


@pytest.mark.parametrize("place", ["nn", "optim", "optim.lr_scheduler", "utils.data"])
def test_classes_are_subclasses_of_what_they_are_in_pytorch(place: str) -> None:
    """Scripts choose layers by isinstance()."""
    ours, theirs = (functools.reduce(getattr, place.split("."), T) for T in (minigrad, torch))
    names = [name for name, value in vars(ours).items() if isinstance(value, type) and hasattr(theirs, name)]
    pairs = list(itertools.product(names, names))
    assert [p for p in pairs if issubclass(*(getattr(ours, name) for name in p))] == [
        p for p in pairs if issubclass(*(getattr(theirs, name) for name in p))
    ]


@pytest.mark.parametrize("name", ["LeakyReLU", "Hardtanh", "ReLU6", "ReLU", "ELU", "Softplus", "SiLU"])
def test_gradient_penalties_reach_every_parameter(name: str) -> None:
    """Also those at which the second gradient is 0, as kinks have it: None would let optimizers leave them out."""
    found = []
    for T in (minigrad, torch):
        T.manual_seed(0)
        model = T.nn.Sequential(T.nn.Linear(2, 3), getattr(T.nn, name)(), T.nn.Linear(3, 1))
        x = T.tensor([[1.0, -2.0], [0.5, 3.0]], requires_grad=True)
        (gradient,) = T.autograd.grad(model(x).sum(), x, create_graph=True)
        (gradient.norm() - 1).square().backward()
        found.append([None if p.grad is None else p.grad.numpy() for p in [x, *model.parameters()]])
    for ours, theirs in zip(*found, strict=True):
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@ENGINES
@pytest.mark.parametrize("name", NODES)
def test_names_of_nodes(T: Any, name: str) -> None:
    assert NODES[name](T, T.ones(2, 3, requires_grad=True)).grad_fn.name() == name


@ENGINES
def test_a_target_written_to_before_backward(T: Any) -> None:
    x, target = T.ones(2, 3, requires_grad=True), T.tensor([0, 1])
    loss = T.nn.functional.cross_entropy(x, target)
    target[0] = 2
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


# Dropout --------------------------------------------------------------------------------------------------------------


@given(
    p=st.sampled_from((0.0, 0.1, 0.5, 0.75, 1.0, 0, 1, True)),
    shape=st.lists(st.integers(1, 5), max_size=3),
    layout=st.sampled_from(("plain", "transposed", "strided", "expanded")),
    dtype=st.sampled_from(("float32", "float64", "float16")),
    inplace=st.booleans(),
    training=st.booleans(),
    seed=st.integers(0, 99),
)
@example(p=0.5, shape=[4, 5], layout="transposed", dtype="float32", inplace=False, training=True, seed=0)
@example(p=0.3, shape=[9], layout="plain", dtype="float16", inplace=False, training=True, seed=0)
def test_dropout_draws_torchs_masks(
    p: float, shape: list[int], layout: str, dtype: str, inplace: bool, training: bool, seed: int
) -> None:
    results = []
    for T in (minigrad, torch):
        T.manual_seed(seed)
        x = T.arange(1.0, 1 + int(np.prod(shape)), dtype=T.float64).reshape(shape).to(getattr(T, dtype))
        if layout == "transposed":
            x = x.permute(tuple(reversed(range(x.ndim))))
        elif layout == "strided":
            x = T.stack([x, x], -1)[..., 0]
        elif layout == "expanded" and not inplace:
            x = x.expand(2, *x.shape)
        x.requires_grad_()
        module = T.nn.Dropout(p, inplace).train(training)
        source = x * 1 if layout != "expanded" else x
        y = module(source.detach() if inplace else source)
        grad = [] if inplace else T.autograd.grad(y.sum(), x)[0].tolist()
        steps = [step for step, n in zip(y.stride(), y.shape, strict=True) if n > 1]
        results.append((y.tolist(), steps, grad, T.rand(1).item()))
    assert results[0] == results[1]


@ENGINES
def test_dropout_at_nan_and_infinity(T: Any) -> None:
    x = T.tensor([float("nan"), float("inf"), 1.0])
    assert T.nn.functional.dropout(x, 1.0).tolist()[2] == 0 and T.nn.functional.dropout(x, 1.0).isnan().sum() == 2
    assert T.nn.functional.dropout(x, 0.0) is x and T.nn.functional.dropout(x, 0.5, training=False) is x
    with pytest.raises(RuntimeError, match="has to be between 0 and 1, but got nan"):
        T.nn.functional.dropout(x, float("nan"))
    for p in (-0.1, 1.5):
        with pytest.raises(ValueError, match="has to be between 0 and 1"):
            T.nn.functional.dropout(x, p, False)
    with pytest.raises(RuntimeError, match="can't be cast"):
        T.nn.functional.dropout(T.tensor([1, 2]))
    assert T.nn.functional.dropout(T.tensor([1, 2]), 1.0).tolist() == [0, 0]


# Lazy modules ---------------------------------------------------------------------------------------------------------

LAZY = {
    "text": lambda T, q: [q, q.weight, q.bias, T.nn.LazyLinear(2, bias=False).bias],
    "state_dict": lambda T, q: list(q.state_dict().items()),
    "shape": lambda T, q: q.weight.shape,
    "numel": lambda T, q: sum(p.numel() for p in q.parameters()),
    "sum": lambda T, q: q.weight.sum(),
    "add": lambda T, q: q.weight + 1,
    "product": lambda T, q: T.ones(2, 2) @ q.weight,
    "index": lambda T, q: q.weight[0],
    "len": lambda T, q: len(q.weight),
    "freezing": lambda T, q: q.requires_grad_(False),
    "kind": lambda T, q: [isinstance(q.weight, T.nn.Parameter), q.weight.dtype, q.weight.requires_grad, q.weight.grad],
    "double": lambda T, q: q.double().weight.dtype,
    "copies": lambda T, q: [copy.deepcopy(q), pickle.loads(pickle.dumps(q))],
    "zero_grad": lambda T, q: q.zero_grad(),
    "before and after": lambda T, q: [q, q(T.ones(2, 4)), q, type(q).__name__, q.weight, q.in_features],
    "double, called": lambda T, q: q.double()(T.ones(2, 2).double()),
    "by keyword": lambda T, q: q(input=T.ones(2, 2)),
    "another width": lambda T, q: [q(T.ones(2, 2)), q(T.ones(2, 3))],
    "of a scalar": lambda T, q: q(T.tensor(1.0)),
    "of a number": lambda T, q: q(1),
    "of another dtype": lambda T, q: q(T.ones(2, 2).double()),
    "loaded": lambda T, q: [q.load_state_dict(T.nn.Linear(2, 3).state_dict()), q.weight, q(T.ones(1, 2)), q],
    "loaded, of another width": lambda T, q: [q.load_state_dict(T.nn.Linear(2, 3).state_dict()), q(T.ones(1, 4))],
    "loaded from a lazy one": lambda T, q: [q.load_state_dict(T.nn.LazyLinear(3).state_dict()), q],
    "loading it": lambda T, q: T.nn.Linear(2, 3).load_state_dict(q.state_dict()),
    "in a row": lambda T, q: (lambda s: [s, s(T.ones(1, 2)), s])(T.nn.Sequential(q, T.nn.ReLU(), T.nn.LazyLinear(1))),
    "no parameters but lazy ones": lambda T, q: [q.has_uninitialized_params(), q.reset_parameters(), q.extra_repr()],
}


@pytest.mark.parametrize("name", LAZY)
def test_lazy_linear(name: str) -> None:
    def program(T: Any) -> Any:
        T.manual_seed(0)
        return LAZY[name](T, T.nn.LazyLinear(3))

    assert found(minigrad, program) == found(torch, program)


@ENGINES
def test_an_optimizer_made_before_the_first_call(T: Any) -> None:
    module = T.nn.LazyLinear(2)
    optimizer = T.optim.SGD(module.parameters(), lr=0.1)
    module(T.ones(1, 2)).sum().backward()
    before = module.weight.tolist()
    optimizer.step()
    assert module.weight.tolist() != before


# Training -------------------------------------------------------------------------------------------------------------


def trained(T: Any, kind: str) -> list[float]:
    """The losses of a small classifier."""
    T.manual_seed(0)
    x, classes = T.randn(40, 3), T.randint(0, 3, (40,))
    words = T.randint(0, 5, (40, 2))
    body = [T.nn.LazyLinear(8), T.nn.LeakyReLU(), T.nn.Dropout(0.2), T.nn.Linear(8, 3)]
    criteria = {
        "cross entropy": (T.nn.CrossEntropyLoss(weight=T.tensor([1.0, 2.0, 0.5]), label_smoothing=0.1), classes),
        "log-likelihood": (T.nn.NLLLoss(), classes),
        "logits": (T.nn.BCEWithLogitsLoss(), T.nn.functional.one_hot(classes, 3).float()),
        "probabilities": (T.nn.BCELoss(), T.nn.functional.one_hot(classes, 3).float()),
    }
    criterion, target = criteria[kind]
    last = {"log-likelihood": [T.nn.LogSoftmax(1)], "probabilities": [T.nn.Sigmoid()]}.get(kind, [])
    table, model = T.nn.Embedding(5, 2), T.nn.Sequential(*body, *last)
    optimizer = T.optim.SGD([*model.parameters(), *table.parameters()], lr=0.2, momentum=0.9)
    losses = []
    for _ in range(30):
        loss = criterion(model(T.cat([x, T.nn.Flatten()(table(words))], 1)), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    losses.append(criterion(model(T.cat([x, T.nn.Flatten()(table(words))], 1)), target).item())
    return losses


@pytest.mark.parametrize("kind", ["cross entropy", "log-likelihood", "logits", "probabilities"])
def test_the_same_training(kind: str) -> None:
    np.testing.assert_allclose(trained(minigrad, kind), trained(torch, kind), rtol=1e-4)
