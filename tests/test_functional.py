"""minigrad.autograd.functional against torch's: values, structures, history, errors; and what they cost."""

import functools
from typing import Any
from unittest import mock

import pytest
import torch
import torch.func
from engines import evaluate, lines, same
from hypothesis import given
from hypothesis import strategies as st

import minigrad
from minigrad.autograd import functional, graph


def names(T: Any) -> dict[str, Any]:
    """What the expressions are made of."""

    def without(function: Any) -> Any:
        with T.no_grad():
            return function()

    x = T.tensor([1.0, -2.0], dtype=T.float64)
    functions = ("vjp", "jvp", "vhp", "hvp", "jacobian", "hessian")
    return {name: getattr(T.autograd.functional, name) for name in functions} | {
        "T": T,
        "x": x,
        "r": x.clone().requires_grad_(),
        "s": T.tensor([0.5, 3.0], dtype=T.float64, requires_grad=True),
        "k": T.tensor([1, 2]),
        "one": T.tensor([2.0], dtype=T.float64),
        "f": lambda x: x.exp() * x.sum(),
        "pair": lambda x, y: (x * y.sin(), (x * x * y).sum()),
        "cube": lambda x: (x**3).sum(),
        "two": lambda x, y: (x * x * y).sum() + (y**3).prod(),
        "linear": lambda x: 2 * x,
        "without": without,
    }


EXPRESSIONS = """
vjp(f, x, x)
vjp(f, r, x)
vjp(f, r, s)
vjp(f, r, s, create_graph=True)
vjp(f, x, s, create_graph=True)
vjp(cube, x)
vjp(cube, r, create_graph=True)
vjp(pair, (x, s), (x, x.sum()))
vjp(pair, (r, s), (x, x.sum()), create_graph=True)
vjp(lambda x: (x * 2,), x, x)
vjp(lambda x: (x * 2,), (x,), (x,))
without(lambda: vjp(f, r, x))
without(lambda: vjp(f, r, x, create_graph=True))
vjp(lambda x: T.ones(2), x, T.ones(2))
vjp(lambda x: T.ones(2), x, T.ones(2), strict=True)
vjp(lambda x, y: x * 2, (x, x), x)
vjp(lambda x, y: x * 2, (x, x), x, strict=True)
vjp(linear, x, x, strict=True)
vjp(linear, x, x, strict=True, create_graph=True)
vjp(linear, r, x, strict=True, create_graph=True)
vjp(f, x)
vjp(lambda x: (x.sum(), x.sum()), x)
vjp(f, x, T.ones(3))
vjp(f, x, (x, x))
vjp(pair, (x, x), (x,))
vjp(pair, (x, x), (x, x))
vjp(f, x, 1.0)
vjp(f, x, (x, 2))
vjp(f, [x], x)
vjp(f, (x, 1.0), x)
vjp(f, 3.0, x)
vjp(lambda x: [x], x, x)
vjp(lambda x: None, x, x)
vjp(lambda x: (x, None), x, x)
vjp(f, k, x)
vjp(lambda x: x.argmax(), x)
vjp(lambda x: x.argmax(), x, strict=True)
vjp(f, r * 2, x, create_graph=True)
jvp(f, x, x)
jvp(f, r, s)
jvp(f, r, s, create_graph=True)
jvp(f, x, s, create_graph=True)
jvp(cube, one)
jvp(pair, (x, s), (x, x))
jvp(pair, (r, s), (x, x), create_graph=True)
jvp(lambda x: (x * 2,), x, x)
without(lambda: jvp(f, r, x))
without(lambda: jvp(f, r, x, create_graph=True))
jvp(lambda x: T.ones(2), x, x)
jvp(lambda x: T.ones(2), x, x, strict=True)
jvp(lambda x: (x * 2, T.ones(2)), x, x)
jvp(lambda x: (x * 2, T.ones(2)), x, x, strict=True)
jvp(lambda x, y: x * 2, (x, x), (x, x), strict=True)
jvp(linear, x, x, strict=True)
jvp(linear, x, x, strict=True, create_graph=True)
jvp(f, x, x, strict=True)
jvp(f, x)
jvp(f, x, T.ones(3))
jvp(f, x, (x, x))
jvp(pair, (x, x), (x,))
jvp(pair, (x, x), (x, T.ones(1)))
jvp(f, x, 1.0)
jvp(f, 3.0, x)
jvp(lambda x: None, x, x)
jvp(lambda x: x.argmax(), x, x)
vhp(cube, x, x)
vhp(cube, r, s, create_graph=True)
vhp(cube, one)
vhp(two, (x, s), (x, x))
vhp(two, (r, s), (x, x), create_graph=True)
without(lambda: vhp(cube, r, x))
vhp(lambda x: T.ones(()), x, x)
vhp(lambda x: T.ones(()), x, x, strict=True)
vhp(lambda x: x.sum(), x, x)
vhp(lambda x: x.sum(), x, x, strict=True)
vhp(lambda x, y: (x * x).sum(), (x, x), (x, x))
vhp(lambda x, y: (x * x).sum(), (x, x), (x, x), strict=True)
vhp(lambda x, y: (x * x).sum() + y.sum(), (x, x), (x, x))
vhp(lambda x: (x * x).sum(), x, x, strict=True, create_graph=True)
vhp(f, x, x)
vhp(lambda x: (x.sum(),), x, x)
vhp(lambda x: x.sum().reshape(1, 1), x, x)
vhp(lambda x: 3, x, x)
vhp(cube, x)
vhp(cube, x, T.ones(3))
vhp(cube, (x, 3), x)
hvp(cube, x, x)
hvp(cube, r, s, create_graph=True)
hvp(cube, one)
hvp(two, (x, s), (x, x))
hvp(two, (r, s), (x, x), create_graph=True)
without(lambda: hvp(cube, r, x))
hvp(lambda x: T.ones(()), x, x)
hvp(lambda x: T.ones(()), x, x, strict=True)
hvp(lambda x: x.sum(), x, x)
hvp(lambda x: x.sum(), x, x, strict=True)
hvp(lambda x, y: (x * x).sum(), (x, x), (x, x))
hvp(lambda x, y: (x * x).sum(), (x, x), (x, x), strict=True)
hvp(lambda x, y: (x * x).sum() + y.sum(), (x, x), (x, x))
hvp(lambda x: (x * x).sum(), x, x, strict=True, create_graph=True)
hvp(f, x, x)
hvp(lambda x: (x.sum(),), x, x)
hvp(cube, x)
hvp(cube, x, T.ones(3))
jacobian(f, x)
jacobian(f, r)
jacobian(f, r, create_graph=True)
jacobian(f, x, create_graph=True)
jacobian(cube, x)
jacobian(pair, (x, s))
jacobian(pair, (r, s), create_graph=True)
jacobian(lambda x: (x * 2,), x)
jacobian(f, (x,))
without(lambda: jacobian(f, r))
without(lambda: jacobian(f, r, create_graph=True))
jacobian(lambda x: T.ones(2), x)
jacobian(lambda x: T.ones(2), x, strict=True)
jacobian(lambda x, y: x * 2, (x, x))
jacobian(lambda x, y: x * 2, (x, x), strict=True)
jacobian(linear, x, strict=True)
jacobian(linear, r, strict=True, create_graph=True)
jacobian(linear, x, create_graph=True)
jacobian(f, x, strict=True, create_graph=True)
jacobian(f, x, vectorize=True)
jacobian(pair, (x, s), vectorize=True)
jacobian(f, r, vectorize=True, create_graph=True)
jacobian(f, x, vectorize=True, strict=True)
jacobian(lambda x: T.ones(2), x, vectorize=True)
jacobian(f, x, vectorize=True, strategy='forward-mode')
jacobian(lambda x: T.ones(2), x, vectorize=True, strategy='forward-mode')
jacobian(f, x, strategy='forward-mode')
jacobian(f, x, strategy='forward-mode', create_graph=True)
jacobian(f, x, strategy='forward-mode', strict=True)
jacobian(f, x, strategy='sideways')
jacobian(lambda x: x[:0], x)
jacobian(lambda x: x.sum(), x[:0])
jacobian(lambda x: x.float(), x)
jacobian(lambda x: x.float(), x, vectorize=True, strategy='forward-mode')
jacobian(lambda x: x.argmax(), x)
jacobian(lambda x: None, x)
jacobian(f, k)
jacobian(f, 3)
jacobian(T.matmul, (x.outer(x), x))
hessian(cube, x)
hessian(cube, r)
hessian(cube, r, create_graph=True)
hessian(cube, x, create_graph=True)
hessian(two, (x, s))
hessian(two, (r, s), create_graph=True)
hessian(cube, (x,))
without(lambda: hessian(cube, r))
hessian(lambda x: T.ones(()), x)
hessian(lambda x: T.ones(()), x, strict=True)
hessian(lambda x: x.sum(), x)
hessian(lambda x: x.sum(), x, strict=True)
hessian(lambda x, y: (x * x).sum(), (x, x))
hessian(lambda x, y: (x * x).sum(), (x, x), strict=True)
hessian(lambda x: (x * x).sum(), x, strict=True)
hessian(lambda x: (x * x).sum(), x, strict=True, create_graph=True)
hessian(cube, x, vectorize=True)
hessian(two, (x, s), vectorize=True)
hessian(cube, x, vectorize=True, strict=True)
hessian(cube, x, outer_jacobian_strategy='forward-mode')
hessian(cube, x, outer_jacobian_strategy='sideways')
hessian(f, x)
hessian(lambda x: (x.sum(),), x)
hessian(lambda x: (x**2).sum().reshape(1, 1), x)
hessian(lambda x: 3, x)
hessian(cube, 3)
hessian(cube, x[:0])
"""


@pytest.mark.parametrize("expression", lines(EXPRESSIONS))
def test_expression(expression):
    same(*(evaluate(expression, names(T)) for T in (minigrad, torch)))


# torch's forward mode returns lists where its reverse mode returns tuples, and a Hessian with a history that none asked
# for: here both modes give the same.
@pytest.mark.parametrize(
    ("forward", "reverse"),
    [
        ("jacobian(pair, (x, s), vectorize=True, strategy='forward-mode')", "jacobian(pair, (x, s))"),
        ("hessian(two, (x, s), vectorize=True, outer_jacobian_strategy='forward-mode')", "hessian(two, (x, s))"),
        ("jacobian(lambda x: x[:0], x, vectorize=True)", "T.zeros(0, 2, dtype=T.float64)"),
    ],
)
def test_forward_mode_gives_what_reverse_mode_gives(forward, reverse):
    same(evaluate(forward, names(minigrad)), evaluate(reverse, names(minigrad)))


# Random functions of two vectors of three elements, and all derivatives of them. Without abs, whose second derivative
# torch can't compute or print in all modes, and atan2, for which its forward mode gives NaN at 0 and its backward 0.


UNARY = ["sin", "exp", "tanh", "sigmoid", "square", "neg", "relu"]
BINARY = ["add", "mul", "sub", "maximum"]


def composed(steps: list[tuple[Any, ...]], T: Any, x: Any, y: Any) -> Any:
    """A vector from two, by steps that each take results of former ones."""
    values = [x, y, T.outer(x, y).sum(0)]
    for name, i, j in steps:
        a, b = values[i % len(values)], values[j % len(values)]
        values.append(getattr(T, name)(a) if name in UNARY else getattr(T, name)(a, b))
    return values[-1]


STEPS = st.lists(
    st.tuples(st.sampled_from(UNARY + BINARY), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6
)
VECTOR = st.lists(st.sampled_from([-1.5, -0.75, -0.25, 0.5, 1.0, 1.25, 0.0]), min_size=3, max_size=3)

DERIVATIVES = [
    "A.vjp(h, (x, y), v)",
    "A.jvp(h, (x, y), (v, y))",
    "A.vhp(total, (x, y), (v, y), create_graph=True)",
    "A.hvp(total, (x, y), (v, y))",
    "A.jacobian(h, (x, y), create_graph=True)",
    "A.jacobian(h, (x, y), vectorize=True, create_graph=True)",
    "A.hessian(total, (x, y))",
    "F.grad(total, (0, 1))(x, y)",
    "F.grad_and_value(total)(x, y)",
    "F.vjp(h, x, y)[1](v)",
    "F.jvp(h, (x, y), (v, y))",
    "F.jacrev(h, (0, 1))(x, y)",
    "F.jacfwd(h, (0, 1))(x, y)",
    "F.hessian(total, (0, 1))(x, y)",
    "F.jacrev(F.jacrev(total))(x, y)",
    "F.grad(lambda x: F.jacrev(h)(x, y).sum())(x)",
]

# Of forward mode and second order, torch's results may have a history though they do not depend on anything.
FIRST_ORDER = ("A.vjp", "A.jacobian", "F.grad(total", "F.grad_and_value", "F.vjp", "F.jacrev(h")


@pytest.mark.parametrize("expression", DERIVATIVES)
@given(steps=STEPS, x=VECTOR, y=VECTOR, outside=st.booleans())
def test_derivatives_of_random_functions(expression, steps, x, y, outside):
    found = []
    for T in (minigrad, torch):
        given = {"x": T.tensor(x, dtype=T.float64, requires_grad=outside), "y": T.tensor(y, dtype=T.float64)}
        given |= {"v": T.tensor([1.0, -2.0, 0.5], dtype=T.float64), "A": T.autograd.functional, "F": T.func}
        given["h"] = functools.partial(composed, steps, T)
        given["total"] = lambda x, y, h=given["h"]: h(x, y).sum()
        given["h"].__name__ = "h"
        found.append(evaluate(expression, given))
    if not expression.startswith(FIRST_ORDER):
        found = [values(x) for x in found]
    same(*found)


def values(x: Any) -> Any:
    """A result without the entry that says whether it requires gradients."""
    if isinstance(x, dict):
        return {key: values(value) for key, value in x.items() if key != "requires_grad"}
    return [values(item) for item in x] if isinstance(x, list) else x


# What they cost


@pytest.mark.parametrize(
    ("expression", "sweeps"),
    [
        ("A.vjp(f, x, v)", 1),
        ("A.jvp(f, x, x)", 2),
        ("A.vhp(c, x, x)", 2),
        ("A.hvp(c, x, x)", 3),
        ("A.jacobian(f, x)", 3),
        ("A.jacobian(f, x, vectorize=True, strategy='forward-mode')", 1 + 4),
        ("A.hessian(c, x)", 1 + 4),
        ("A.hessian(c, x, vectorize=True, outer_jacobian_strategy='forward-mode')", 2 + 4),
        ("F.grad(c)(x)", 1),
        ("F.vjp(f, x)", 0),
        ("F.jvp(f, (x,), (x,))", 2),
        ("F.jacrev(f)(x)", 3),
        ("F.jacfwd(f)(x)", 1 + 4),
        ("F.hessian(c)(x)", 2 + 4),
    ],
)
def test_number_of_sweeps(expression, sweeps):
    calls = []

    def f(x):
        calls.append(x)
        return (x**3)[:3]

    given = {"A": functional, "F": minigrad.func, "f": f, "c": lambda x: f(x).sum()}
    given |= {"x": minigrad.ones(4), "v": minigrad.ones(3)}
    with mock.patch.object(graph, "sweep", side_effect=graph.sweep) as counted:
        eval(expression, given)
    assert counted.call_count == sweeps
    if sweeps:
        again = counted.call_args.args[2]
        assert not again  # what nobody will differentiate is not recorded
    assert len(calls) == 1


def test_inputs_are_left_alone():
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    functional.hessian(lambda x: (x**3).sum(), x, create_graph=True)
    functional.jvp(lambda x: x.exp(), x, minigrad.ones(2))
    assert x.grad is None and x.is_leaf and x._version == 0
    y = minigrad.ones(2)
    functional.jacobian(lambda x: x.exp(), y)
    assert not y.requires_grad
