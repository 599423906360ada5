"""gradcheck and gradgradcheck against torch's: what passes, what fails, with which message and which warning."""

import warnings
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from engines import Raised, evaluate, lines, same
from hypothesis import given
from hypothesis import strategies as st

import minigrad
from minigrad.autograd.gradcheck import GradcheckError
from minigrad.derivatives import table


def functions(T: Any) -> dict[str, Any]:
    """Functions with right and wrong backward passes."""

    def scaled(factor: float) -> Any:
        class Scaled(T.autograd.Function):
            """x**3, its gradient off by a factor."""

            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x * x

            @staticmethod
            def backward(ctx, g):
                return factor * 3 * g * ctx.saved_tensors[0] ** 2

        return Scaled.apply

    class Undefined(T.autograd.Function):
        """Is not ready for None as the gradient of its result."""

        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    class Refuses(Undefined):
        @staticmethod
        def backward(ctx, g):
            if g is None:
                raise RuntimeError("no gradient")
            return g * 2

    class Invents(Undefined):
        @staticmethod
        def backward(ctx, g):
            return T.ones(2, dtype=T.float64) if g is None else g * 2

    class Ready(Undefined):
        @staticmethod
        def backward(ctx, g):
            return None if g is None else g * 2

    class Pair(T.autograd.Function):
        """Two results, whose gradients it takes for given."""

        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, g, h):
            if g is None and h is None:
                return None
            return g * 2 + h * 3

    class ReadyPair(Pair):
        @staticmethod
        def backward(ctx, g, h):
            return sum(n * x for n, x in ((2, g), (3, h)) if x is not None) if g is not None or h is not None else None

    class Affine(Undefined):
        """Its backward is not linear."""

        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2 + 1e-7

    class Drifting(Affine):
        """Its backward gives another gradient each time."""

        calls = 0

        @classmethod
        def drift(cls):
            cls.calls += 1
            return cls.calls * 1e-9

        @staticmethod
        def backward(ctx, g):
            return g * (2 + Drifting.drift())

    made = (Undefined, Refuses, Invents, Ready, Pair, ReadyPair, Affine, Drifting)
    return {"scaled": scaled} | {kind.__name__: kind.apply for kind in made}


def names(T: Any) -> dict[str, Any]:
    """What the expressions are made of."""
    x = T.tensor([1.0, 2.0], dtype=T.float64, requires_grad=True)
    return functions(T) | {
        "T": T,
        "check": T.autograd.gradcheck,
        "check2": T.autograd.gradgradcheck,
        "x": x,
        "y": T.tensor([[0.5], [-1.5]], dtype=T.float64, requires_grad=True),
        "zero": T.zeros(3, dtype=T.float64, requires_grad=True),
        "nine": T.ones(9, dtype=T.float64, requires_grad=True),
        "f32": T.tensor([1.0], requires_grad=True),
        "empty": T.zeros(0, dtype=T.float64, requires_grad=True),
        "wide": T.ones(1, dtype=T.float64).expand(2).requires_grad_(),
    }


EXPRESSIONS = """
check(T.sin, x)
check(T.sin, x * 1)
check(T.mul, (x, y))
check(lambda x, n: x * n, (x, 3))
check(lambda x: [x * 2, x * 3], [x])
check(lambda x: (x * 2, x.argmax()), x)
check(lambda x: (x.detach(), x * 2), x)
check(lambda x: x, x)
check(lambda x: x.view(2, 1), x)
check(lambda x: x.clone().mul_(2), x)
check(lambda x: x.detach() * 2, x)
check(lambda x: x.detach() * 2, x, fast_mode=True)
check(lambda x: T.ones(2), x)
check(lambda x: T.ones(2), x, fast_mode=True)
check(lambda x: x * float('nan'), x)
check(lambda x: None, x)
check(lambda x: x * 2, empty)
check(lambda x: x * 2, empty, fast_mode=True)
check(T.relu, zero)
check(T.abs, zero)
check(T.relu, zero, fast_mode=True)
check(T.relu, zero, raise_exception=False)
check(lambda x: T.maximum(x, x.detach() * 0), zero)
check(lambda x: x.clamp(0, 1), zero)
check(T.sin, wide)
check(T.sin, x.detach())
check(T.sin, ())
check(T.sin, f32)
check(T.sin, f32, eps=1e-2, atol=1e-2)
check(T.sin, f32, raise_exception=False)
check(T.mul, (f32, x))
check(lambda x: x.float(), x)
check(lambda x: x.float(), x, eps=1e-2, atol=1e-2)
check(lambda x: x[x > 1], zero + 1)
check(lambda x: x * 2 if x.detach().sum() > 3 else (x * 2).float(), x)
check(T.sin, x, check_backward_ad=False)
check(T.sin, x, check_batched_grad=True, check_backward_ad=False, check_forward_ad=True)
check(T.sin, x, check_batched_forward_grad=True)
check(T.sin, x, check_grad_dtypes=True)
check(T.sin, x, masked=True)
check(T.sin, x, fast_mode=True)
check(T.mul, (x, y), fast_mode=True)
check(lambda x: (x.sum(), x * 2), x, fast_mode=True)
check(Undefined, x)
check(Undefined, x, raise_exception=False)
check(Undefined, x, check_undefined_grad=False)
check(lambda x: Undefined(x) * 2, x)
check(lambda x: Undefined(Undefined(x)), x)
check(Refuses, x)
check(Refuses, x, raise_exception=False)
check(Invents, x)
check(Ready, x)
check(lambda x: Ready(Ready(x)), x)
check(lambda x: (Ready(x), x.sum()), x)
check(Ready, Undefined(x))
check(lambda x: (Invents(x), x.sum()), x)
check(lambda x: (Ready(x), Invents(x)), x)
check(Pair, x)
check(ReadyPair, x)
check(lambda x: Pair(x)[0] + Pair(x)[1], x)
check(lambda x: sum(ReadyPair(x)), x)
check(T.sin, Undefined(x))
check(lambda x: scaled(1.0)(Undefined(x)), x)
check(lambda x: (lambda u: (u * 2, u * 3))(Ready(x)), x)
check(scaled(1.01), nine, atol=1e-2, rtol=0, fast_mode=True)
check(scaled(1.01), nine, atol=1e-2, rtol=0)
check(Affine, x)
check(Affine, x, masked=True)
check(Drifting, x)
check(Drifting, x, nondet_tol=1e-6)
check(Drifting, x, nondet_tol=1e-6, fast_mode=True)
check(Drifting, x, raise_exception=False)
check2(T.sin, x)
check2(T.mul, (x, y))
check2(lambda x: x * 2, x)
check2(lambda x: (x**3, x.exp().sum()), x)
check2(T.sin, x, T.ones(2, dtype=T.float64))
check2(T.sin, x, [T.ones(2, dtype=T.float64, requires_grad=True)])
check2(T.sin, x, gen_non_contig_grad_outputs=True)
check2(T.sin, x, fast_mode=True)
check2(T.sin, f32)
check2(lambda x: x.abs() ** 3, zero)
check2(lambda x: x.relu() ** 2, zero)
check2(scaled(1.5), x)
check2(T.sin, x, check_rev_over_rev=False)
check2(T.sin, x, check_undefined_grad=True, check_fwd_over_rev=True, check_rev_over_rev=False)
check2(T.sin, x, check_undefined_grad=False, check_batched_grad=True, check_fwd_over_rev=True, check_rev_over_rev=False)
"""


def judged(T: Any, expression: str, given: dict[str, Any] | None = None) -> tuple[Any, list[str]]:
    """What a check gives, and what it warns of."""
    T.manual_seed(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = evaluate(expression, names(T) | (given or {}))
    return result, [str(warning.message)[:45] for warning in caught]


@pytest.mark.parametrize("expression", lines(EXPRESSIONS))
def test_verdict(expression):
    (found, warned), (expected, torch_warned) = (judged(T, expression) for T in (minigrad, torch))
    same(found, expected)
    assert warned == torch_warned
    if isinstance(found, Raised) and "Jacobian mismatch" in found.message and "fast mode" not in expected.message:
        assert found.message == expected.message


# How wrong a rule may be


@pytest.mark.parametrize("fast_mode", [False, True])
@pytest.mark.parametrize("factor", [0.9, 0.999, 0.9995, 1.0, 1.0001, 1.0005, 1.0009, 1.0011, 1.002, 1.01, 1.1])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3])
def test_wrong_by_a_factor(factor, scale, fast_mode):
    expression = f"check(scaled({factor}), (x * {scale}).detach().requires_grad_(), fast_mode={fast_mode})"
    (found, _), (expected, _) = (judged(T, expression) for T in (minigrad, torch))
    same(found, expected)


def test_defaults_pass_what_is_wrong_by_half_a_thousandth():
    x = minigrad.tensor([1.0, 2.0], dtype=minigrad.float64, requires_grad=True)
    assert minigrad.autograd.gradcheck(functions(minigrad)["scaled"](1.0005), x)
    assert not minigrad.autograd.gradcheck(functions(minigrad)["scaled"](1.0015), x, raise_exception=False)


@given(
    factor=st.floats(0.9, 1.1),
    atol=st.sampled_from([0, 1e-5, 1e-2]),
    rtol=st.sampled_from([0, 1e-3, 1e-1]),
    eps=st.sampled_from([1e-6, 1e-4]),
    second=st.booleans(),
    fast_mode=st.booleans(),
)
def test_tolerances(factor, atol, rtol, eps, second, fast_mode):
    name = "check2" if second else "check"
    options = f"{atol=}, {rtol=}, {eps=}, {fast_mode=}, raise_exception=False"
    (found, _), (expected, _) = (judged(T, f"{name}(scaled({factor}), x, {options})") for T in (minigrad, torch))
    assert found == expected


def test_a_planted_rule_of_the_table_is_found():
    x = minigrad.tensor([1.0, 2.0], dtype=minigrad.float64, requires_grad=True)
    row = table[np.exp]
    for rule, message in ((lambda g, out: g * out * 1.01, "mismatch"), (lambda g, out: (g * out).astype("f"), "dtype")):
        with (
            mock.patch.dict(row.rules, x=rule),
            mock.patch.object(row, "plans", {}),
            pytest.raises(GradcheckError, match=message),
        ):
            minigrad.autograd.gradcheck(minigrad.exp, x, check_grad_dtypes=True)
    assert minigrad.autograd.gradcheck(minigrad.exp, x, check_grad_dtypes=True)


def test_integer_outputs_may_come_first():
    x = minigrad.tensor([1.0, 2.0], dtype=minigrad.float64, requires_grad=True)
    for fast_mode in (False, True):
        assert minigrad.autograd.gradcheck(lambda x: (x.argmax(), x.detach(), x**2), x, fast_mode=fast_mode)
        assert minigrad.autograd.gradcheck(lambda x: (x.argmax(), x.detach(), x * 2), x, fast_mode=fast_mode)


def test_gradgradcheck_needs_an_output_with_a_gradient():
    found, _ = judged(minigrad, "check2(lambda x: T.ones(2), x)")  # torch calls the function without arguments
    assert isinstance(found, Raised) and found.kind == "TypeError"


@pytest.mark.parametrize(
    "expression",
    [
        "check(T.sin, x, check_forward_ad=True)",
        "check(T.sin, x, check_batched_grad=True)",
        "check2(T.sin, x, check_fwd_over_rev=True)",
        "check2(T.sin, x, check_batched_grad=True)",
    ],
)
def test_what_minigrad_lacks_is_refused(expression):
    found, _ = judged(minigrad, expression)
    assert isinstance(found, Raised) and found.kind == "NotImplementedError"


def test_inputs_are_left_as_they_were():
    x = minigrad.tensor([1.0, 2.0], dtype=minigrad.float64, requires_grad=True)

    def fails(x):
        if x._array[1] != 2:
            raise ZeroDivisionError
        return x * 2

    with pytest.raises(ZeroDivisionError):
        minigrad.autograd.gradcheck(fails, x)
    assert x.tolist() == [1.0, 2.0] and x._version == 0 and x.grad is None
