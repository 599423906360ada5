"""minigrad.func against torch.func: values, structures, history and errors of the transforms and their compositions."""

from collections import OrderedDict, defaultdict, deque, namedtuple
from typing import Any

import numpy as np
import pytest
import torch
import torch.func
from engines import evaluate, lines, same
from hypothesis import given
from hypothesis import strategies as st

import minigrad
from minigrad.utils import _pytree

Point = namedtuple("Point", "a b")


def names(T: Any) -> dict[str, Any]:
    """What the expressions are made of."""

    def without(function: Any) -> Any:
        with T.no_grad():
            return function()

    x = T.tensor([1.0, 2.0], dtype=T.float64)
    return {name: getattr(T.func, name) for name in minigrad.func.__all__} | {
        "T": T,
        "nn": T.nn,
        "x": x,
        "r": x.clone().requires_grad_(),  # requires gradients outside
        "k": T.tensor([1, 2]),
        "one": T.tensor(1.0, dtype=T.float64),
        "three": T.tensor(3.0, dtype=T.float64),
        "f": lambda x: (x**3).sum(),
        "g": lambda x, y: (x * x * y).sum(),
        "dict_f": lambda d: {"o": d["a"] * d["b"][0], "p": [d["a"].sum()]},
        "d": {"a": x, "b": [x + 1]},
        "without": without,
        "Point": Point,
        "OrderedDict": OrderedDict,
    }


EXPRESSIONS = """
grad(f)(x)
grad(f)(r)
grad(f)(r * 1)
grad(lambda x: (x * r).sum())(x)
grad(lambda x: (x + r).sum())(x)
without(lambda: grad(f)(r))
without(lambda: grad(lambda x: (x * r).sum())(x))
grad(lambda x: (x * without(lambda: x)).sum())(x)
grad(lambda x: without(lambda: x.sum()))(x)
grad_and_value(f)(x)
grad_and_value(f)(r)
grad(g, argnums=(1, 0))(x, r)
grad(g, argnums=-1)(x, x)
grad(g, argnums=True)(x, x)
grad(g)(x, y=r)
grad(g)(y=r)
grad(g, argnums=2)(x, x)
grad(g, argnums=-3)(x, x)
grad(g, argnums=[0])(x, x)
grad(g, argnums=())(x, x)
grad(g, argnums=(0, -2))(x, x)
grad(g, argnums=(0, 'a'))(x, x)
grad(g, argnums=1.0)(x, x)
grad(lambda x: x * 2)(x)
grad(lambda x: x.sum().reshape(1))(x)
grad(lambda x: 3.0)(x)
grad(lambda x: (x.sum(),))(x)
grad(lambda x: None)(x)
grad(f)(k)
grad(lambda x: x * 2)(3.0)
grad(lambda x: x.argmax())(x)
grad(lambda x: T.tensor(1.0))(x)
grad(lambda x: (f(x), {'a': x * 2}), has_aux=True)(x)
grad(lambda x: (f(x), {'a': x * 2}), has_aux=True)(r)
grad_and_value(lambda x: (f(x), (x * 2,)), has_aux=True)(r)
grad(lambda x: (f(x), 'a'), has_aux=True)(x)
grad(lambda x: [f(x), x], has_aux=True)(x)
grad(f, has_aux=True)(x)
grad(lambda d: (d['a'] * d['b'][0]).sum())(d)
grad(lambda p: (p.a * p.b).sum())(Point(x, r))
grad(lambda d: (d['a'] * d['b']).sum())({'a': x, 'b': 2})
grad(lambda d: x.sum())({})
grad(lambda d: (d['a'] ** 2).sum())(OrderedDict(a=x))
grad(f)(x[:0])
grad(f)(r[:0])
grad(lambda x: grad(lambda x: x**3)(x))(three)
grad(grad(grad(lambda x: x**4)))(three)
grad(lambda x: grad(lambda y: y.detach() * y)(x))(three)
grad(lambda x: x * grad(lambda y: x + y)(one))(three)
grad(lambda x: grad(lambda y: x * y)(x))(three)
grad(lambda x: grad(lambda y: y * y * x)(x))(three)
grad(lambda x: x * without(lambda: grad(lambda y: y**2)(x)))(three)
grad(lambda x: grad_and_value(lambda y: y**3)(x)[1])(three)
grad(lambda x: x.mul_(2).sum())(x)
grad(lambda x: x.clone().mul_(2).sum())(x)
grad(lambda y: T.autograd.grad((y**2).sum(), y, create_graph=True)[0].sum())(x)
grad(3)(x)
grad(T.sin).__name__
jacrev(f).__name__
vjp(f, x)[1](one)
vjp(f, r)[0]
vjp(f, r)[1](one)
without(lambda: vjp(f, r)[1](one))
without(lambda: vjp(f, r))[0]
without(lambda: vjp(f, r))[1](one)
vjp(f, x)[1](one.requires_grad_())
vjp(f, x)[1]((one,))
vjp(f, x)[1](x)
vjp(f, x)[1](None)
vjp(f, x)[1](1.0)
(lambda pull: (pull(one), pull(one)))(vjp(f, x)[1])
(lambda pull: (pull(one, retain_graph=False), pull(one)))(vjp(lambda x: (x ** 2).sum(), x)[1])
vjp(f, r)[1](one, create_graph=False)
vjp(lambda x: x.argmax(), x)
vjp(lambda x: x * 2.0, k)
vjp(lambda x: x * 2.0, 3.0)
vjp(lambda x: None, x)
vjp(lambda x: (), x)
vjp(lambda x: 3.0, x)
vjp(lambda x: (x, 3), x)
vjp(lambda: x * 2)[0]
vjp(lambda x, y: x * 2, x, x)[1](x)
vjp(lambda x: T.ones(2), x)[1](T.ones(2))
vjp(dict_f, d)[0]
vjp(dict_f, d)[1]({'o': x, 'p': [one]})
vjp(dict_f, d)[1]({'p': [one], 'o': x})
vjp(lambda x: (x * 2, {'q': x * 3}), x, has_aux=True)[2]
vjp(lambda x: (x * 2, None), x, has_aux=True)
vjp(lambda x: x * 2, x, has_aux=True)
jvp(T.sin, (x,), (x,))
jvp(T.sin, (r,), (x,))
jvp(T.sin, (x,), (r,))
without(lambda: jvp(T.sin, (r,), (r,)))
jvp(T.sin, [x], [x])
jvp(T.sin, x, x)
jvp(T.sin, (x,), x)
jvp(T.sin, (x,), (x, x))
jvp(lambda: x, (), ())
jvp(T.sin, (x,), (T.ones(3),))
jvp(lambda x: x * 2.0, (k,), (k,))
jvp(lambda x: x * 2.0, (x,), (k,))
jvp(lambda x: x * 2.0, (3.0,), (1.0,))
jvp(lambda x: 2.0, (x,), (x,))
jvp(lambda x: None, (x,), (x,))
jvp(lambda x: T.ones(2), (x,), (x,))
jvp(lambda x: T.ones(2), (x,), (x,), strict=True)
jvp(lambda x: (x * 2, x * 3), (x,), (x,), has_aux=True)
jvp(lambda x: (x * 2, 's'), (x,), (x,), has_aux=True)
jvp(lambda x: x * 2, (x,), (x,), has_aux=True)
jvp(lambda x: x.argmax(), (x,), (x,))
jvp(lambda x: (x * x, [x, x.argmax()]), (x,), (x,))
jvp(lambda d: {'o': d['a'] * d['b'][0]}, (d,), (d,))
jvp(lambda x: x * x.detach(), (x,), (x,))
jvp(T.relu, (x - 1,), (x,))
jvp(grad(f), (x,), (T.ones(2, dtype=T.float64),))
jacrev(T.sin)(x)
jacrev(T.sin)(r)
jacrev(lambda x: 2 * x)(r)
without(lambda: jacrev(T.sin)(r))
jacrev(lambda x: x * r)(x)
jacrev(lambda x, y: x * y, argnums=(0, 1))(x, x)
jacrev(lambda x, y: x * y, argnums=(1,))(x, x)
jacrev(dict_f)(d)
jacrev(lambda d, e: d['a'] * e, argnums=(0,))(d, x)
jacrev(lambda x: (x * 2, x * 3), has_aux=True)(x)
jacrev(T.sin, chunk_size=1)(x)
jacrev(T.sin, chunk_size=0)(x)
jacrev(lambda x: x * 2.0)(k)
jacrev(lambda x: x * 2.0)(2.0)
jacrev(lambda x, y: x * y)(x, y=x)
jacrev(lambda x: x.argmax())(x)
jacrev(lambda x: T.ones(2))(x)
jacrev(lambda x: x[:0])(x)
jacrev(lambda x: x.sum())(x[:0])
jacrev(lambda x: x.float())(x)
jacrev(lambda x: [x])(x)
jacrev(lambda x: None)(x)
jacrev(T.matmul)(x.outer(x), x)
jacrev(g, argnums=None)(x, x)
jacfwd(T.sin)(x)
jacfwd(T.sin)(r)
without(lambda: jacfwd(T.sin)(r))
jacfwd(dict_f)(d)
jacfwd(lambda d, e: d['a'] * e, argnums=(0,))(d, x)
jacfwd(lambda x: (x * 2, x * 3), has_aux=True)(x)
jacfwd(lambda x: (x * 2, 's'), has_aux=True)(x)
jacfwd(lambda x: x * 2.0)(k)
jacfwd(lambda x: x.argmax())(x)
jacfwd(lambda x: T.ones(2))(x)
jacfwd(lambda x: x[:0])(x)
jacfwd(lambda x: x.sum())(x[:0])
jacfwd(lambda x: x.float())(x)
jacfwd(lambda x: None)(x)
jacfwd(lambda x, y: x * y, argnums=None)(x, x)
jacfwd(lambda x, y: (x * y, y.sum()), argnums=(0, 1))(x, x)
jacfwd(T.matmul)(x.outer(x), x)
hessian(f)(x)
hessian(f)(r)
hessian(g, argnums=(0, 1))(x, x)
hessian(lambda x: x**2)(x)
hessian(lambda d: (d['a'] ** 2 * d['b'][0]).sum())(d)
jacrev(jacrev(f))(x)
jacfwd(jacfwd(f))(x)
jacrev(jacfwd(f))(x)
jacrev(grad(f))(r)
grad(lambda x: hessian(f)(x).sum())(x)
functional_call(m, {'weight': w, 'bias': one.reshape(1)}, x)
functional_call(m, {'weight': w, 'bias': one.reshape(1)}, (x,))
functional_call(m, {'weight': w}, x)
functional_call(m, {'w': w}, x)
functional_call(m, {'a.w': w}, x)
functional_call(m, {'': w}, x)
functional_call(m, {'w': w, 'weight': w}, x, strict=True)
functional_call(m, [{'weight': w}, {'bias': one.reshape(1)}], x)
functional_call(m, [{'weight': w}, {'weight': w}], x)
functional_call(m, [3], x)
functional_call(m, 3, x)
functional_call(m, {'weight': 3}, x)
functional_call(m, {'bias': None}, x)
functional_call(m, {}, kwargs={'input': x})
functional_call(nn.Sequential(m), {'0.weight': w}, x)
functional_call(nn.Sequential(m), {'1.weight': w}, x)
grad(lambda p: functional_call(m, p, x).sum())(dict(m.named_parameters()))
hessian(lambda p: (functional_call(m, p, x) ** 2).sum())({k: v.detach() for k, v in m.named_parameters()})
"""


def with_module(T: Any) -> dict[str, Any]:
    m = T.nn.Linear(2, 1).double()
    with T.no_grad():
        m.weight.fill_(0.5)
        m.bias.fill_(-1.0)
    return names(T) | {"m": m, "w": T.tensor([[3.0, 4.0]], dtype=T.float64)}


@pytest.mark.parametrize("expression", lines(EXPRESSIONS))
def test_expression(expression):
    found, expected = (evaluate(expression, with_module(T)) for T in (minigrad, torch))
    same(found, expected)


def tied(T: Any) -> Any:
    """A module with a buffer that forward assigns to, a parameter of two names, and a module of two names."""

    class Tied(T.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("b", T.zeros(()))
            self.p = self.q = T.nn.Parameter(T.ones(()))
            self.l = self.k = T.nn.Linear(1, 1)
            self.n = 3

        def forward(self, x):
            self.b = self.b + 1
            return x * self.p + self.q + self.b

    return Tied()


TIED = """
functional_call(t, {'b': one, 'p': three}, one)
functional_call(t, {'p': three}, one, tie_weights=False)
functional_call(t, {'p': three, 'q': one}, one)
functional_call(t, {'p': three, 'q': three}, one)
functional_call(t, {'p': three, 'q': one}, one, tie_weights=False)
functional_call(t, {'n': one}, one)
functional_call(t, {'p': one}, one, strict=True)
functional_call(t, {'l.weight': one, 'k.weight': three}, one)
functional_call(t, {'l.weight': one, 'b': three}, one)
functional_call(t, {'p': three}, 'x')
"""


@pytest.mark.parametrize("expression", lines(TIED))
def test_tied_parameters_and_buffers(expression):
    found = []
    for T in (minigrad, torch):
        t = tied(T)
        given = {}
        before = dict(t.named_parameters(remove_duplicate=False))

        def call(module, d, *args, T=T, given=given, **kwargs):
            given.update(d=d)
            return T.func.functional_call(module, d, *args, **kwargs)

        result = evaluate(expression, names(T) | {"t": t, "functional_call": call})
        after = dict(t.named_parameters(remove_duplicate=False))
        if "l.weight" not in expression:  # torch leaves a module of two names with the tensor that was lent
            assert all(after[name] is before[name] for name in before)
        found.append([result, evaluate("d", given), evaluate("t.b", {"t": t}), [*t.state_dict()]])
    same(*found)


def test_module_of_two_names_gets_its_own_parameter_back():
    t, weight = tied(minigrad), minigrad.ones(1, 1)
    own = t.l.weight
    minigrad.func.functional_call(t, {"l.weight": weight}, weight)
    assert t.l.weight is own


def test_no_grad_is_touched_and_results_share_nothing_with_the_graph_inside():
    w = minigrad.tensor([1.0, 2.0], requires_grad=True)
    x = minigrad.ones(2)
    minigrad.func.hessian(lambda x: (w * x**3).sum())(x)
    value = minigrad.func.grad_and_value(lambda w: (w * w).sum())(w)[1]
    assert w.grad is None and x.grad is None and not x.requires_grad
    value.backward()
    np.testing.assert_allclose(w.grad.numpy(), [2, 4])


def test_input_in_place():
    for x in (minigrad.ones(2), minigrad.ones(2, requires_grad=True), minigrad.ones(2, requires_grad=True) * 1):
        with pytest.raises(RuntimeError):
            minigrad.func.grad(lambda x: x.mul_(2).sum())(x)
        assert x.tolist() == [1, 1]


# Trees


LEAVES = st.integers(0, 9) | st.none()
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from("abc"), inner)
        | st.dictionaries(st.sampled_from("abc"), inner).map(OrderedDict)
        | st.dictionaries(st.sampled_from("abc"), inner).map(lambda d: defaultdict(list, d))
        | st.lists(inner, max_size=3).map(deque)
        | st.builds(Point, inner, inner)
    ),
    max_leaves=8,
)


@given(tree=TREES, other=TREES)
def test_trees(tree, other):
    leaves, spec = _pytree.tree_flatten(tree)
    expected, torch_spec = torch.utils._pytree.tree_flatten(tree)
    assert leaves == expected and spec.num_leaves == len(leaves)
    assert _pytree.tree_unflatten(leaves, spec) == tree
    assert type(_pytree.tree_unflatten(leaves, spec)) is type(tree)
    doubled = _pytree.tree_map(lambda a, b: (a, b), tree, tree)
    assert doubled == torch.utils._pytree.tree_map(lambda a, b: (a, b), tree, tree)
    other_spec = _pytree.tree_flatten(other)[1]
    assert (spec == other_spec) == (torch_spec == torch.utils._pytree.tree_flatten(other)[1])
    with pytest.raises(ValueError, match="leaves"):
        _pytree.tree_unflatten([*leaves, 1], spec)
    if spec != other_spec:
        with pytest.raises(ValueError, match="structure"):
            _pytree.tree_map(lambda a, b: a, tree, other)


def test_tree_text_and_is_leaf():
    tree = (1, [2, {"a": 3}])
    for pytree in (_pytree, torch.utils._pytree):
        assert str(pytree.tree_flatten(tree)[1]) == (
            "TreeSpec(tuple, None, [*,\n  TreeSpec(list, None, [*,\n    TreeSpec(dict, ['a'], [*])])])"
        )
        assert pytree.tree_leaves(tree, is_leaf=lambda x: isinstance(x, list)) == [1, [2, {"a": 3}]]
