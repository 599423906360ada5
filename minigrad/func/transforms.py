"""grad, vjp, jvp and their kin: functions made into their derivatives.

A transform runs the function on inputs of its own, each a new tensor on top of the history that the argument has
outside, so that gradients with respect to it stop there. What it returns keeps only the history that leads out of the
transform: to arguments and closed-over tensors that require gradients, those of an enclosing transform among them. So
transforms compose, and no .grad is touched.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from minigrad import ops
from minigrad.autograd import functional
from minigrad.autograd.grad_mode import enable_grad, is_grad_enabled
from minigrad.autograd.graph import below
from minigrad.autograd.node import TensorBase, next_number
from minigrad.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_map, tree_unflatten

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

Argnums = int | tuple[int, ...]

ALL = object()  # as argnums: all arguments, be it none
GRAD, VJP, JVP = "grad_and_value(f)(*args)", "vjp(f, *primals)", "jvp(f, primals, tangents)"


class Level:
    """A run of a transform: its inputs, and which results have a history outside of it."""

    def __init__(self) -> None:
        self.recorded = is_grad_enabled()  # the function runs recorded in any case
        self.number = next_number()  # runs and operations inside this one have higher ones
        self.arguments: dict[Any, Tensor] = {}  # by their inputs

    def input(self, x: Any) -> Tensor:
        """A new tensor of an argument; ValueError unless that is a Tensor, RuntimeError unless it is a floating one."""
        if not isinstance(x, TensorBase):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(x)}")
        if x.requires_grad:  # type: ignore[attr-defined]
            made: Tensor = x.view_as(x)  # type: ignore[attr-defined]
            if made._view is not None:  # an empty tensor shares no memory
                made._view.recorded = False  # an in-place write would change the argument: an error, as on a leaf
        else:
            made = x.detach().requires_grad_()  # type: ignore[attr-defined]
            made.level = self.number
        self.arguments[made] = x  # type: ignore[assignment]
        return made

    def leads_out(self, x: Tensor) -> bool:
        """Whether a result depends on something outside that requires gradients.

        The inputs of runs inside this one, which are over, lie inside too: closures may have left history to them.
        """
        if not x.requires_grad:
            return False
        start = x._node or x
        edges = [start, *(edge for node in below([start]) for edge, *_ in node.edges)]
        return any(isinstance(edge, TensorBase) and edge.level < self.number for edge in edges)

    def out(self, x: Any) -> Tensor:
        """A result as it is outside: what came from there itself, an argument in place of its input."""
        if not isinstance(x, TensorBase):
            raise RuntimeError(f"Expected tensors, got unsupported type {type(x)}")
        if x in self.arguments:
            return self.arguments[x]
        node = x.grad_fn  # type: ignore[attr-defined]
        outside = x.level < self.number if node is None else node.sequence < self.number
        return x if outside or (self.recorded and self.leads_out(x)) else ops.detach(x)  # type: ignore[arg-type, return-value]

    def records(self, outputs: Sequence[Tensor]) -> bool:
        """Whether gradients of the outputs may have a history outside, so that they must be recorded."""
        return self.recorded and any(map(self.leads_out, outputs))


def chosen(args: tuple[Any, ...], argnums: Any) -> tuple[int, ...]:
    """The numbers of the arguments to differentiate, from 0. RuntimeError unless there are such, each once."""
    if not isinstance(argnums, (int, tuple)):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    numbers = []
    for i in argnums if isinstance(argnums, tuple) else (argnums,):
        if not isinstance(i, int):
            raise RuntimeError(f"argnum must be int, got: {type(i)}")
        if not -len(args) <= i < len(args):
            raise RuntimeError(f"Got argnum={i}, but only {len(args)} positional inputs")
        numbers.append(i % len(args))
    if not numbers:
        raise RuntimeError("argnums must be non-empty")
    if len(set(numbers)) < len(numbers):
        raise RuntimeError(f"argnums elements must be unique, got {tuple(numbers)}")
    return tuple(numbers)


def entered(level: Level, args: tuple[Any, ...], argnums: Any) -> tuple[list[Any], Any]:
    """The arguments with inputs of the level in their places, and these inputs alone, as `argnums` asks for them."""
    if argnums is ALL:
        inputs = tree_map(level.input, args)
        return [*inputs], inputs
    inner = [*args]
    numbers = chosen(args, argnums)
    for i in numbers:
        inner[i] = tree_map(level.input, args[i])
    return inner, inner[numbers[0]] if isinstance(argnums, int) else tuple(inner[i] for i in numbers)


def and_aux(result: Any, has_aux: bool, api: str) -> tuple[Any, Any]:
    """The output of a function and its auxiliary result, None without one."""
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(f"{api}: output of function f should be a tuple: (output, aux) if has_aux is True")
    return result


def check_outputs(outputs: Sequence[Any], api: str) -> None:
    """RuntimeError unless there are outputs, and all of them Tensors."""
    if not outputs or (len(outputs) == 1 and outputs[0] is None):
        raise RuntimeError(f"{api}: Expected f to be a function that has non-empty output (got output = {[*outputs]})")
    for x in outputs:
        if not isinstance(x, TensorBase):
            raise RuntimeError(f"{api}: expected f(*primals) to return only tensors, got unsupported type {type(x)}")


def or_zeros(found: functional.Found, like: Sequence[Tensor]) -> list[Tensor]:
    return [ops.zeros_like(x) if g is None else g for g, x in zip(found, like, strict=True)]


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The function that returns (gradient, value) of a function that returns a 0-d Tensor.

    The gradient is with respect to the argument, or (a tuple of gradients) the arguments, numbered in `argnums`, each a
    Tensor or containers of Tensors. With `has_aux`, func returns (output, aux), and the value is (output, aux).
    """

    @functools.wraps(func)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        level = Level()
        with enable_grad():
            inner, wanted = entered(level, args, argnums)
            output, aux = and_aux(func(*inner, **kwargs), has_aux, GRAD)
        if not isinstance(output, TensorBase):
            raise RuntimeError(f"{GRAD}: Expected f(*args) to return a Tensor, got {type(output)}")
        if output._array.ndim:
            raise RuntimeError(
                f"{GRAD}: Expected f(*args) to return a scalar Tensor, got tensor with {output._array.ndim} dims. "
                "Maybe you wanted to use the vjp or jacrev APIs instead?"
            )
        flat, spec = tree_flatten(wanted)
        create_graph = level.records([output])  # type: ignore[list-item]
        found = or_zeros(functional.gradients([output], flat, create_graph=create_graph), flat)  # type: ignore[list-item]
        value = level.out(output)
        gradient = tree_unflatten(map(level.out, found), spec)
        return gradient, (value, tree_map(level.out, aux)) if has_aux else value

    return transformed


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The function that returns the gradient of a function that returns a 0-d Tensor; (gradient, aux) with `has_aux`.

    As grad_and_value, without the value.
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return transformed


class Pulled:
    """A run of a function, ready to take gradients of its outputs back to its inputs."""

    def __init__(self, func: Callable[..., Any], args: tuple[Any, ...], argnums: Any, has_aux: bool) -> None:
        self.level = level = Level()
        with enable_grad():
            inner, wanted = entered(level, args, argnums)
            output, aux = and_aux(func(*inner), has_aux, VJP)
        self.aux = tree_map(level.out, aux) if has_aux else None
        self.outputs, self.output_spec = tree_flatten(output)
        check_outputs(self.outputs, VJP)
        for x in self.outputs:
            if not x.is_floating_point():
                raise RuntimeError(
                    "vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got Tensor with dtype "
                    f"{x.dtype}"
                )
        self.inputs, self.input_spec = tree_flatten(wanted)
        self.output = tree_map(level.out, output)

    def vjp(self, cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        """The gradients of the inputs, given those of the outputs, in the same structure."""
        flat, spec = tree_flatten(cotangents)
        if spec != self.output_spec:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of outputs to the function."
                f" cotangents: {pictured(spec)}, primal output: {pictured(self.output_spec)}"
            )
        self.level.recorded = is_grad_enabled() if create_graph is None else create_graph
        given: list[Any] = [x for x in flat if isinstance(x, TensorBase)]
        records = self.level.records([*self.outputs, *given])
        found = functional.gradients(self.outputs, self.inputs, flat, retain_graph, records)
        return tree_unflatten(map(self.level.out, or_zeros(found, self.inputs)), self.input_spec)


def pictured(spec: TreeSpec) -> str:
    """A structure with a star for each leaf."""
    star = type("Star", (), {"__repr__": lambda self: "*"})()
    return repr(tree_unflatten([star] * spec.num_leaves, spec))


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """(func(*primals), vjp_fn): vjp_fn takes gradients of the output to a tuple of those of the primals.

    Primals and outputs are Tensors or containers of them. With `has_aux`, func returns (output, aux), and aux comes
    third.
    """
    run = Pulled(func, primals, ALL, has_aux)
    return (run.output, run.vjp, run.aux) if has_aux else (run.output, run.vjp)


class Pushed:
    """A run of a function, ready to take directions of its inputs on to its outputs."""

    def __init__(self, func: Callable[..., Any], args: tuple[Any, ...], argnums: Any, has_aux: bool) -> None:
        self.level = level = Level()
        with enable_grad():
            inner, wanted = entered(level, args, argnums)
            level.arguments.clear()  # forward mode makes results of its own
            output, aux = and_aux(func(*inner), has_aux, JVP)
        self.aux = tree_map(level.out, aux) if has_aux else None
        self.outputs, self.output_spec = tree_flatten(output)
        check_outputs(self.outputs, JVP)
        self.inputs, self.input_spec = tree_flatten(wanted)
        self.u, self.back = functional.transposed(self.outputs, self.inputs)
        for x in self.u:
            x.level = level.number
        self.output = tree_map(level.out, output)

    def records(self, tangents: Sequence[Tensor] = ()) -> bool:
        return self.level.records([*(x for x in self.back if x is not None), *tangents])


def check_primals(primals: Sequence[Any]) -> None:
    """RuntimeError unless all are Tensors, ValueError unless floating ones."""
    for x in primals:
        if not isinstance(x, TensorBase):
            raise RuntimeError(f"{JVP}: Expected primals to only contain Tensors, got {type(x)}")
        if x._array.dtype.kind != "f":
            raise ValueError(f"Expected primal to be floating point or complex, but got: {x.dtype}")  # type: ignore[attr-defined]


def jvp(func: Callable[..., Any], primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False) -> Any:
    """(func(*primals), J v): the output, and its derivative when the primals move in the direction of the tangents.

    Both are tuples, of the same structure and shapes. With `strict` an output that does not depend on the primals is an
    error; with `has_aux`, func returns (output, aux), and aux comes third.
    """
    if not isinstance(primals, tuple):
        raise RuntimeError(f"{JVP}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals).")
    (flat, spec), (directions, other) = tree_flatten(primals), tree_flatten(tangents)
    if spec != other:
        raise RuntimeError(
            f"{JVP}: Expected primals and tangents to have the same python structure. For example, if primals is a "
            f"tuple of 3 tensors, tangents also must be. Got primals with structure {spec} and tangents with structure "
            f"{other}"
        )
    if not flat:
        raise RuntimeError(f"{JVP}: Expected primals to contain at least one Tensor.")
    check_primals(flat)
    for x, v in zip(flat, directions, strict=True):
        if not isinstance(v, TensorBase):
            raise RuntimeError(f"{JVP}: Expected tangents to only contain Tensors, got {type(v)}")
        if v._array.dtype.kind != "f":
            raise ValueError(f"Expected tangent to be floating point or complex, but got: {v.dtype}")  # type: ignore[attr-defined]
        if v._array.shape != x._array.shape:
            raise RuntimeError(
                "Trying to set a forward gradient that has a different size than that of the original Tensor, this is "
                f"not supported. Tensor is of size {[*x._array.shape]} while the given forward gradient is of size "
                f"{[*v._array.shape]}."
            )
    run = Pushed(func, primals, ALL, has_aux)
    found = functional.along(run.u, run.back, directions, False, run.records(directions))
    if strict and any(jv is None for jv in found):
        raise RuntimeError(
            "jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs. This is not allowed "
            "with strict=True."
        )
    result = tree_unflatten(map(run.level.out, or_zeros(found, run.outputs)), run.output_spec)
    return (run.output, result, run.aux) if has_aux else (run.output, result)


def arranged(jacobian: list[list[Tensor]], run: Pulled | Pushed) -> Any:
    """The Jacobians in the structure of the outputs, each a structure of the inputs."""
    return tree_unflatten(
        [tree_unflatten(map(run.level.out, row), run.input_spec) for row in jacobian], run.output_spec
    )


def jacrev(
    func: Callable[..., Any], argnums: Argnums = 0, *, has_aux: bool = False, chunk_size: int | None = None
) -> Callable[..., Any]:
    """The function that returns the Jacobian of a function, by a backward pass per element of its outputs.

    For outputs and arguments in containers: the structure of the outputs, at each place that of the arguments, there
    Tensors of shape (*output.shape, *argument.shape). `argnums` and `has_aux` are as for grad. `chunk_size` has no
    effect: rows are computed one by one.
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def transformed(*args: Any) -> Any:
        run = Pulled(func, args, argnums, has_aux)
        jacobian = functional.rows(run.outputs, run.inputs, run.level.records(run.outputs))
        result = arranged(jacobian, run)
        return (result, run.aux) if has_aux else result

    return transformed


def jacfwd(
    func: Callable[..., Any], argnums: Argnums | None = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Callable[..., Any]:
    """The function that returns the Jacobian of a function, by a pass per element of its arguments.

    As jacrev; each pass runs the graph of the backward pass, which is recorded once. argnums=None is all arguments.
    `randomness` has no effect: the function is run once.
    """

    @functools.wraps(func)
    def transformed(*args: Any) -> Any:
        numbers = tuple(range(len(args))) if argnums is None else argnums
        check_primals(tree_leaves([args[i] for i in chosen(args, numbers)]))
        run = Pushed(func, args, numbers, has_aux)
        jacobian = functional.columns(run.u, run.back, run.inputs, run.records())
        result = arranged(jacobian, run)
        return (result, run.aux) if has_aux else result

    return transformed


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that returns the Hessian of a function: jacfwd of jacrev."""
    return jacfwd(jacrev(func, argnums), argnums)
