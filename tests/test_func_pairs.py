"""Each transform of minigrad.func inside each other one, over closures, against torch; and what comes out as it was."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from engines import lines

import minigrad

Function = Callable[[Any], Any]

with warnings.catch_warnings():  # torch's forward mode warns of torch's own use of torch.jit, once
    warnings.simplefilter("ignore")
    torch.func.jvp(torch.sin, (torch.ones(1),), (torch.ones(1),))


def with_value(f: Function) -> Function:
    return lambda b: (f(b), f(b))


def summed(f: Function) -> Function:
    return lambda b: f(b).sum()


# What becomes of a function from a tensor to a tensor.
TRANSFORMS: dict[str, Callable[[Any, Function], Function]] = {
    "grad": lambda F, f: F.grad(summed(f)),
    "value of grad": lambda F, f: lambda x: F.grad_and_value(summed(f))(x)[1],
    "aux of grad": lambda F, f: lambda x: F.grad(lambda b: (f(b).sum(), f(b)), has_aux=True)(x)[1],
    "jacrev": lambda F, f: F.jacrev(f),
    "aux of jacrev": lambda F, f: lambda x: F.jacrev(with_value(f), has_aux=True)(x)[1],
    "jacfwd": lambda F, f: F.jacfwd(f),
    "aux of jacfwd": lambda F, f: lambda x: F.jacfwd(with_value(f), has_aux=True)(x)[1],
    "hessian": lambda F, f: F.hessian(summed(f)),
    "vjp": lambda F, f: lambda x: (lambda out, pull: pull(out)[0])(*F.vjp(f, x)),
    "value of vjp": lambda F, f: lambda x: F.vjp(f, x)[0],
    "aux of vjp": lambda F, f: lambda x: F.vjp(with_value(f), x, has_aux=True)[2],
    "jvp": lambda F, f: lambda x: F.jvp(f, (x,), (x,))[1],
    "value of jvp": lambda F, f: lambda x: F.jvp(f, (x,), (x,))[0],
    "aux of jvp": lambda F, f: lambda x: F.jvp(with_value(f), (x,), (x,), has_aux=True)[2],
}

# The inner function, whether it is given the outer one's argument, and whether that requires gradients outside.
CLOSURES = [
    (lambda a, b: a * b * b, False, False),
    (lambda a, b: a * b * b, True, True),
    (lambda a, b: a * b * b, False, True),
    (lambda a, b: (a * b).sin() * a, True, False),
    (lambda a, b: a.detach() * b + a, True, True),
]


def found(T: Any, outer: str, inner: str, closure: Any, inside: bool, leaf: bool) -> Any:
    """The values, whether they require gradients, and their gradient with respect to what is outside."""
    x = T.tensor([1.0, 2.0], dtype=T.float64)
    given = x.clone().requires_grad_(leaf)
    made = TRANSFORMS[inner], TRANSFORMS[outer]
    result = made[1](T.func, lambda a: made[0](T.func, lambda b: closure(a, b))(a * a if inside else x))(given)
    values = result.detach().clone().numpy() if T is minigrad else result.detach().numpy(force=True)
    if not leaf:
        return values, result.requires_grad, None
    gradient = None
    if result.requires_grad:
        (gradient,) = T.autograd.grad((result * result).sum(), given, materialize_grads=True)
    return values, result.requires_grad, gradient


@pytest.mark.parametrize("inner", TRANSFORMS)
@pytest.mark.parametrize("outer", TRANSFORMS)
def test_one_inside_another(outer: str, inner: str) -> None:
    for closure, inside, leaf in CLOSURES:
        mine, theirs = (found(T, outer, inner, closure, inside, leaf) for T in (minigrad, torch))
        np.testing.assert_allclose(mine[0], theirs[0], 1e-12)
        if not leaf:  # nothing outside requires gradients, so nothing is left of the graphs
            assert mine[1] is theirs[1] is False
        elif mine[1]:
            assert theirs[1]
            np.testing.assert_allclose(mine[2].detach().numpy(), theirs[2].detach().numpy(force=True), 1e-12)
        elif theirs[1]:  # its forward mode may say so of what is constant
            assert not theirs[2].any()


def three_deep(T: Any) -> Any:
    x = T.tensor([1.0, 2.0, 3.0], dtype=T.float64)

    def product(a: Any) -> Any:
        return T.func.jacfwd(lambda b: (a * b).prod() * a)(x)

    return T.func.grad(lambda a: T.func.jacrev(lambda c: product(a * c))(a).sum())(x)


def pulled_back_inside(T: Any) -> Any:
    """And a run that ended with an error."""
    x = T.tensor([1.0, 2.0], dtype=T.float64)

    def f(a: Any) -> Any:
        with pytest.raises(RuntimeError):
            T.func.grad(lambda b: a * b)(a)
        out, pull = T.func.vjp(lambda b: a * b * b, x)
        return (pull(out)[0] * a).sum()

    return T.func.grad(f)(x)


@pytest.mark.parametrize("program", [three_deep, pulled_back_inside])
def test_runs_that_are_over_lie_inside(program: Any) -> None:
    mine, theirs = program(minigrad), program(torch)
    assert mine.requires_grad is theirs.requires_grad is False
    np.testing.assert_allclose(mine.numpy(), theirs.numpy(), 1e-12)


AS_THEY_WERE = """
F.grad(lambda x: (x.sum(), x), has_aux=True)(x)[1]
F.grad(lambda x: (x.sum(), x), has_aux=True)(r)[1]
F.grad(lambda x: (x.sum(), x), has_aux=True)(h)[1]
F.grad(lambda x: (x.sum(), x.view(-1)), has_aux=True)(r)[1]
F.grad(lambda x: (x.sum(), x.detach()), has_aux=True)(r)[1]
F.grad(lambda x: (x.sum(), x * 2), has_aux=True)(x)[1]
F.grad(lambda x: (x.sum(), x * 2), has_aux=True)(r)[1]
F.grad(lambda x: (x.sum(), k), has_aux=True)(x)[1]
F.grad(lambda x: (x.sum(), r), has_aux=True)(x)[1]
F.grad(lambda x: (x.sum(), h), has_aux=True)(x)[1]
F.grad(lambda x, y: (x.sum(), y), has_aux=True)(x, i)[1]
F.grad(lambda x, y: ((x * y).sum(), x), argnums=(0, 1), has_aux=True)(x, r)[1]
F.grad(lambda x, y: ((x * y).sum(), y), argnums=(0, 1), has_aux=True)(x, r)[1]
F.grad(lambda x, y: ((x * y).sum(), y), argnums=0, has_aux=True)(x, r)[1]
F.grad(lambda x: (x.sum(), (x * 2, [r, {'q': x}])), has_aux=True)(x)[1][1][0]
F.grad(lambda x: (x.sum(), (x * 2, [r, {'q': x}])), has_aux=True)(x)[1][1][1]['q']
F.grad(lambda a: F.grad(lambda b: ((a * b).sum(), b), has_aux=True)(x)[1].sum())(r)
F.grad(lambda a: (a.sum(), F.grad(lambda b: ((a * b).sum(), b), has_aux=True)(a)[1]), has_aux=True)(r)[1]
F.grad_and_value(lambda x: x)(s)[1]
F.grad_and_value(lambda x: s)(x[0])[1]
F.grad_and_value(lambda x: (x.sum(), x), has_aux=True)(x)[1][1]
F.vjp(lambda x: x, x)[0]
F.vjp(lambda x: x, r)[0]
F.vjp(lambda x: k, x)[0]
F.vjp(lambda x: (x, x), x, has_aux=True)[2]
F.vjp(lambda x: (x, x), r, has_aux=True)[2]
F.vjp(lambda x: (x, r), x, has_aux=True)[2]
F.jvp(lambda x: (x, r), (x,), (k,), has_aux=True)[2]
F.jvp(lambda x: (x, k), (x,), (k,), has_aux=True)[2]
F.jacrev(lambda x: (x, x), has_aux=True)(x)[1]
F.jacrev(lambda x: (x, x), has_aux=True)(r)[1]
F.jacrev(lambda x: (x, k), has_aux=True)(x)[1]
F.jacrev(lambda x, y: (x * y, y), has_aux=True, argnums=(0, 1))(x, r)[1]
without(lambda: F.grad(lambda x: (x.sum(), r), has_aux=True)(x)[1])
without(lambda: F.grad(lambda x: (x.sum(), h), has_aux=True)(x)[1])
without(lambda: F.grad(lambda x: (x.sum(), x), has_aux=True)(r)[1])
without(lambda: F.grad(lambda x: (x.sum(), x * 2), has_aux=True)(r)[1])
without(lambda: F.vjp(lambda x: (x, r), x, has_aux=True)[2])
"""


@pytest.mark.parametrize("expression", lines(AS_THEY_WERE))
def test_what_comes_from_outside_comes_out_as_it_was(expression: str) -> None:
    """Arguments and closed-over tensors are themselves again; new results are new, and say where they come from."""
    seen = []
    for T in (minigrad, torch):
        x = T.tensor([1.0, 2.0], dtype=T.float64)
        r = x.clone().requires_grad_()
        names = {"x": x, "r": r, "h": r * 2, "k": x.clone(), "i": T.tensor([1, 2]), "s": r[0].detach().requires_grad_()}
        result = eval(expression, names | {"F": T.func, "without": T.no_grad()(lambda function: function())})
        node = result.grad_fn
        seen.append(
            (
                next((name for name, tensor in names.items() if tensor is result), "new"),
                [name for name, tensor in names.items() if tensor.data_ptr() == result.data_ptr()],
                result.requires_grad,
                result.is_leaf,
                None if node is None else node.name(),
                result.tolist(),
            )
        )
    assert seen[0] == seen[1]
