"""gradcheck: gradients against finite differences.

A function's Jacobian is computed twice. Numerically, column by column, as (f(x + eps e) - f(x - eps e)) / 2 eps, and
analytically, row by row, by backward passes; `fast_mode` compares v^T J u for random u and v instead. The checks, their
order and their tolerances are PyTorch's: at the defaults a rule that is wrong by 0.05 percent passes, and a right one
fails at a kink.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import ops
from minigrad.autograd.function import FunctionNode
from minigrad.autograd.functional import basis
from minigrad.autograd.graph import below, edge_of, grad, leading, run_sweep
from minigrad.autograd.node import Array, Node, Parts, TensorBase, wrap
from minigrad.random import Generator

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """What gradcheck and gradgradcheck raise where a check fails."""


@dataclass
class Check:
    """A function with its inputs, and how close its gradients have to be."""

    func: Callable[..., Any]
    inputs: tuple[Any, ...]
    eps: float
    atol: float
    rtol: float
    nondet_tol: float
    check_grad_dtypes: bool
    masked: bool | None

    def __post_init__(self) -> None:
        self.wanted: list[Any] = [x for x in self.inputs if isinstance(x, TensorBase) and x.requires_grad]  # type: ignore[attr-defined]
        self.results = as_tuple(self.func(*self.inputs))
        self.outputs = [out for out in self.results if out.requires_grad]

    # numerically

    def difference(self, x: Any, step: Any, index: tuple[int, ...] | None = None) -> list[Array]:
        """How each floating output changes per step of x, all of it or its element at `index`."""
        array = x._array  # written to behind the engine's back: that the graph was recorded before does not matter
        place = ... if index is None else index
        before = array[place].copy()
        try:
            array[place] = before - step
            low = self.values()
            array[place] = before + step
            high = self.values()
        finally:
            array[place] = before
        found = []
        for a, b in zip(low, high, strict=True):
            self.check_alike(a, b, index)
            if b.dtype.kind == "f":
                found.append(((b - a) / (2 * self.eps)).reshape(-1))
        return found

    def values(self) -> list[Array]:
        return [out._array.copy() for out in as_tuple(self.func(*self.inputs))]

    def check_alike(self, a: Array, b: Array, index: tuple[int, ...] | None) -> None:
        """AssertionError where the outputs differ in shape or dtype."""
        at = "" if index is None else f"on index {index} "
        for what, one, other in (
            ("shape", wrap(a).shape, wrap(b).shape),
            ("dtype", wrap(a).dtype, wrap(b).dtype),
        ):
            if one != other:
                raise AssertionError(
                    f"Expected `func` to return outputs with the same {what} when inputs are perturbed {at}by "
                    f"{self.eps}, but got: {what}s {one} and {other}."
                )

    def numerical(self, x: Any) -> list[Array]:
        """The Jacobian of each floating output with respect to x, a row per element of x."""
        rows = [self.difference(x, self.eps, index) for index in np.ndindex(x._array.shape)]
        outputs = [out._array for out in self.results if out.is_floating_point()]
        return [
            np.array([row[k] for row in rows], out.dtype).reshape(x._array.size, out.size)
            for k, out in enumerate(outputs)
        ]

    def of_outputs(self, found: Sequence[Array]) -> list[Array]:
        """Of what belongs to the floating outputs, that of those which require gradients."""
        floating = [out for out in self.results if out.is_floating_point()]
        return [x for x, out in zip(found, floating, strict=True) if out.requires_grad]

    # analytically

    def analytical(self, output: Tensor, seeds: Sequence[Tensor] | None = None, quietly: bool = False) -> list[Array]:
        """The Jacobian of an output with respect to each wanted input, a column per element of the output.

        Or per seed, where `seeds` are given. GradcheckError where two computations differ, unless `quietly`.
        """
        first, second = (
            [grad(output, self.wanted, seed, retain_graph=True, allow_unused=True) for seed in seeds or basis(output)]
            for _ in range(2)
        )
        found = [self.columns(passes) for passes in (first, second)]
        if not quietly:
            self.check_gradients(first)
            if any(a.size and np.abs(a - b).max() > self.nondet_tol for a, b in zip(*found, strict=True)):
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
                    "gives different values, although analytical gradient matches numerical gradient."
                    f"The tolerance for nondeterminism was {self.nondet_tol}.\n\n"
                    "If the function is meant to be random, call gradcheck with nondet_tol=<tol>."
                )
        return found[0]

    def columns(self, passes: Sequence[tuple[Any, ...]]) -> list[Array]:
        """For each wanted input, its gradients as the columns of a matrix; zeros where there is none."""
        matrices = []
        for i, x in enumerate(self.wanted):
            matrix = np.zeros((x._array.size, len(passes)), x._array.dtype)
            for j, grads in enumerate(passes):
                if grads[i] is not None:
                    matrix[:, j] = grads[i]._array.reshape(-1)
            matrices.append(matrix)
        return matrices

    def check_gradients(self, passes: Sequence[tuple[Any, ...]]) -> None:
        """GradcheckError where a gradient has another dtype than its input."""
        pairs = [pair for grads in passes for pair in zip(grads, self.wanted, strict=True) if pair[0] is not None]
        if self.check_grad_dtypes and any(g._array.dtype != x._array.dtype for g, x in pairs):
            raise GradcheckError("Gradient has dtype mismatch")

    # the comparison

    def slow(self) -> None:
        """Compare all elements of all Jacobians."""
        numerical = [self.numerical(x) for x in self.wanted]
        if not self.outputs and any(jacobian.any() for found in numerical for jacobian in found):
            raise GradcheckError("Numerical gradient for function expected to be zero")
        expected = [self.of_outputs(found) for found in numerical]
        for i, output in enumerate(self.outputs):
            for j, a in enumerate(self.analytical(output)):
                if not close(a, expected[j][i], self.rtol, self.atol):
                    raise GradcheckError(mismatch(i, j, wrap(expected[j][i]), wrap(a)))

    def fast(self) -> None:
        """Compare v^T J u, for random u and v of positive elements and norm 1."""
        generator = Generator()  # its own, which always starts alike
        us = [direction(x, generator) for x in self.wanted]
        vs = [direction(out, generator) for out in self.outputs]
        differences = [
            self.difference(x, u.reshape(x._array.shape) * self.eps) for x, u in zip(self.wanted, us, strict=True)
        ]
        if not self.outputs and any(d.size and np.abs(d).max() > self.nondet_tol for ds in differences for d in ds):
            raise GradcheckError("Numerical gradient for function expected to be zero")
        passed = [
            self.analytical(out, [wrap(v.reshape(out._array.shape))]) for out, v in zip(self.outputs, vs, strict=True)
        ]
        for j, u in enumerate(us):
            for i, (v, change) in enumerate(zip(vs, self.of_outputs(differences[j]), strict=True)):
                n, a = (v * change).sum(), passed[i][j][:, 0] @ u
                atol = self.atol * float(u.sum()) * float(v.sum())  # as if each element of J were off by atol
                if not close(a, n, self.rtol, atol):
                    raise GradcheckError(mismatch(i, j, wrap(n), wrap(a)) + self.in_slow_mode(i, j))

    def in_slow_mode(self, i: int, j: int) -> str:
        """What the slow mode has to say about an output and an input for which the fast one failed."""
        n = self.of_outputs(self.numerical(self.wanted[j]))[i]
        a = self.analytical(self.outputs[i], quietly=True)[j]
        text = (
            "\nThe above quantities relating the numerical and analytical jacobians are computed \nin fast mode: they "
            "are v^T J u, for random u and v. Below, we recompute numerical and analytical jacobians in slow mode:\n\n"
            f"Numerical:\n {wrap(n)}\nAnalytical:\n{wrap(a)}\n\n"
            f"The max per-element difference (slow mode) is: {np.abs(n - a).max()}.\n"
        )
        if close(a, n, self.rtol, self.atol):
            text += (
                "Fast gradcheck failed but element-wise differences are small. This means that the test might've "
                "passed in slow_mode! Call it with fast_mode=False."
            )
        return text

    # and the checks that need no numbers

    def check_zero(self) -> None:
        """GradcheckError unless gradients of zero at the outputs give zero at the inputs."""
        for g in grad(self.outputs, self.wanted, [ops.zeros_like(x) for x in self.outputs], allow_unused=True):
            if g is not None and not (close(g._array, 0, 1e-5, 1e-8) if self.masked else (g._array == 0).all()):
                raise GradcheckError("backward not multiplied by grad_output")

    def check_undefined(self) -> None:
        """GradcheckError unless backward functions can do without the gradients of their results.

        Where none of the outputs has a gradient, and where all but one have (zeros). Only a Function can notice.
        """
        for i in range(-1, len(self.outputs) if len(self.outputs) > 1 else 0):
            outputs = [out for out in as_tuple(self.func(*self.inputs)) if out.requires_grad]
            given = outputs[:i] + outputs[i + 1 :] if i >= 0 else []
            missing = [edge_of(outputs[i])] if i >= 0 else [edge_of(out) for out in outputs]
            seeds: list[tuple[Any, Any]] = [(edge_of(out), np.zeros_like(out._array)) for out in given]
            targets = {edge_of(x) for x in self.wanted}
            ways = leading(missing, targets) - targets
            seeds += [(node, undefined(node)) for node in functions(ways, [edge_of(out) for out in given])]
            try:
                found = run_sweep(seeds, None, False, targets)
            except RuntimeError as error:
                warn_undefined()
                raise GradcheckError("Expected backward function to handle undefined output grads.") from error
            if any(edge in found and np.any(found[edge] != 0) for edge in targets):
                warn_undefined()
                raise GradcheckError(
                    "Expected all input grads to be undefined or zero when all output grads are undefined or zero."
                )


def functions(ways: set[Any], given: Sequence[Any]) -> list[Node]:
    """The Functions that come first on the ways from outputs without gradients, and on no way from the others."""
    nodes = [node for node in ways if isinstance(node, FunctionNode)]
    later = {node for other in nodes for node in below([other]) if node is not other}
    return [node for node in nodes if node not in later and node not in below(given)]


def undefined(node: Node) -> Any:
    """No gradient, as the Function of a node takes it."""
    assert node.saved is not None
    ctx = node.saved["ctx"]
    return Parts([None] * len(ctx._outputs)) if ctx._several else None


def warn_undefined() -> None:
    warnings.warn(
        "Backwards compatibility: New undefined gradient support checking feature is enabled by default, but it may "
        "break existing callers of this function. If this is true for you, you can call this function with "
        '"check_undefined_grad=False" to disable the feature',
        stacklevel=5,
    )


def as_tuple(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def close(a: Any, b: Any, rtol: float, atol: float) -> bool:
    return bool(np.all(np.isclose(a, b, rtol, atol)))


def direction(x: Any, generator: Generator) -> Array:
    """A random vector of norm 1 with as many elements as x, of its dtype."""
    vector = ops.rand(x._array.size, generator=generator)._array.astype(x._array.dtype)
    vector /= np.linalg.norm(vector)
    return vector


def mismatch(output: int, input: int, numerical: Tensor, analytical: Tensor) -> str:
    return (
        f"Jacobian mismatch for output {output} with respect to input {input},\n"
        f"numerical:{numerical}\nanalytical:{analytical}\n"
    )


def check_inputs(inputs: Sequence[Any]) -> None:
    """ValueError unless an input requires gradients, RuntimeError where one overlaps itself; a warning for float32."""
    found = False
    for i, x in enumerate(inputs):
        if not (isinstance(x, TensorBase) and x.requires_grad):  # type: ignore[attr-defined]
            continue
        found = True
        if x._array.dtype != np.float64:
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or complex. This check "
                "will likely fail if all the inputs are not of double precision floating point or complex. ",
                stacklevel=4,
            )
        if any(step == 0 and n > 1 for step, n in zip(x._array.strides, x._array.shape, strict=True)):
            raise RuntimeError(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                "non-overlapping to be able to compute the numerical gradients correctly. You should call .contiguous "
                "on the input before passing it to gradcheck."
            )
    if not found:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )


def refuse(**asked: bool) -> None:
    """NotImplementedError for what minigrad does not have."""
    for name, value in asked.items():
        if value:
            lacking = "no vmap, so no batched gradients" if "batched" in name else "no forward mode"
            raise NotImplementedError(f"gradcheck: minigrad has {lacking} to check: leave out {name}=True")


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compare the gradients of a function with respect to the inputs that require them with finite differences.

    True where all agree: |analytical - numerical| <= atol + rtol * |numerical|. Otherwise GradcheckError, or False
    where `raise_exception` is off. The tolerances are made for float64. The checks of batched gradients and of forward
    mode, which are off by default, raise NotImplementedError.
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if check_batched_grad and not check_backward_ad:
        raise AssertionError("Setting check_batched_grad=True requires check_backward_ad to be True")
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError("Setting check_batched_forward_grad=True requires check_forward_ad to be True")
    refuse(check_forward_ad=check_forward_ad, check_batched_grad=check_batched_grad)
    try:
        inputs = as_tuple(inputs)
        check_inputs(inputs)
        check = Check(func, inputs, eps, atol, rtol, nondet_tol, check_grad_dtypes, masked)
        if fast_mode:
            check.fast()
        else:
            check.slow()
        check.check_zero()
        if check_undefined_grad:
            check.check_undefined()
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """gradcheck of the gradients of a function, as a function of its inputs and of the gradients of its outputs.

    These are `grad_outputs`, or random numbers from -1 to 1. All else is as for gradcheck.
    """
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError("Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True")
    if check_undefined_grad and not check_rev_over_rev:
        raise AssertionError("Setting check_undefined_grad=True requires check_rev_over_rev to be True")
    if check_batched_grad and not check_rev_over_rev:
        raise AssertionError("Setting check_batched_grad=True requires check_rev_over_rev to be True")
    refuse(check_fwd_over_rev=check_fwd_over_rev, check_batched_grad=check_batched_grad)
    inputs = as_tuple(inputs)
    if grad_outputs is None:
        outputs = [out for out in as_tuple(func(*inputs)) if out.requires_grad]
        grad_outputs = [random_like(out, gen_non_contig_grad_outputs) for out in outputs]
    grad_outputs = as_tuple(grad_outputs)
    if not grad_outputs:
        raise TypeError("gradgradcheck expects at least one output to require gradient, but none of them does.")
    wanted = [i for i, x in enumerate(inputs) if isinstance(x, TensorBase) and x.requires_grad]  # type: ignore[attr-defined]

    def gradients(*args: Any) -> tuple[Tensor, ...]:
        given, seeds = args[: len(inputs)], args[len(inputs) :]
        outputs = [out for out in as_tuple(func(*given)) if out.requires_grad]
        found = grad(outputs, [given[i] for i in wanted], seeds, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        gradients,
        inputs + grad_outputs,
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        fast_mode=fast_mode,
        masked=masked,
    )


def random_like(x: Any, non_contiguous: bool) -> Tensor:
    """Random numbers from -1 to 1 in the shape and dtype of x, which require gradients."""
    made = ops.rand(x._array.shape, dtype=x.dtype)._array * 2 - 1
    if non_contiguous and made.size > 1:
        made = np.repeat(made, 2, axis=-1)[..., ::2]
    return wrap(made).requires_grad_()
