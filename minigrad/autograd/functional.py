"""Products with Jacobians and Hessians, and these themselves, of functions of tensors.

All of it is autograd.grad. A backward pass gives v^T J, so a Jacobian is a pass per row. J v comes from the fact that
J^T u is linear in u: it is recorded once, for a u of zeros, and its gradient with respect to u, given v, is J v.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import ops
from minigrad.autograd.grad_mode import enable_grad
from minigrad.autograd.graph import grad
from minigrad.autograd.node import TensorBase, wrap

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

Tensors = Sequence["Tensor"]
Found = Sequence["Tensor | None"]  # gradients; None for what the outputs do not depend on

USERS_OUTPUTS = "outputs of the user-provided function"


# What minigrad.func shares


def gradients(
    outputs: Found,
    inputs: Tensors,
    grad_outputs: Found | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> tuple[Tensor | None, ...]:
    """autograd.grad of those outputs that require gradients; None for inputs that they don't depend on."""
    given = [None] * len(outputs) if grad_outputs is None else grad_outputs
    pairs = [(x, g) for x, g in zip(outputs, given, strict=True) if x is not None and x.requires_grad]
    if not pairs:
        return (None,) * len(inputs)
    return grad([x for x, _ in pairs], inputs, [g for _, g in pairs], retain_graph, create_graph, allow_unused=True)


def basis(x: Tensor) -> Iterator[Tensor]:
    """For each element of x, in order, a tensor like x with 1 there and 0 elsewhere."""
    for i in range(x._array.size):
        one = np.zeros(x._array.shape, x._array.dtype)
        one.flat[i] = 1
        yield wrap(one)


def transposed(outputs: Tensors, inputs: Tensors) -> tuple[Tensors, Found]:
    """Zeros u like the outputs, and J^T u of the inputs, recorded: its gradient with respect to u is J."""
    with enable_grad():
        u = [wrap(np.zeros(x._array.shape, x._array.dtype)) for x in outputs]
        for x, out in zip(u, outputs, strict=True):
            x._requires_grad = out.requires_grad
        return u, gradients(outputs, inputs, u, create_graph=True)


def along(u: Tensors, back: Found, tangents: Found, retain_graph: bool, create_graph: bool) -> Found:
    """J v for the tangents v, given transposed(outputs, inputs); None for outputs that do not depend on the inputs."""
    wanted = [x for x in u if x.requires_grad]
    found = iter(gradients(back, wanted, tangents, retain_graph, create_graph))
    return [next(found) if x.requires_grad else None for x in u]


def rows(outputs: Tensors, inputs: Tensors, create_graph: bool, strict: bool = False) -> list[list[Tensor]]:
    """The Jacobian of each output with respect to each input, by a backward pass per element of the outputs."""
    jacobian = []
    for i, out in enumerate(outputs):
        found: list[list[Tensor]] = [[] for _ in inputs]
        for seed in basis(out):
            passed = gradients([out], inputs, [seed], retain_graph=True, create_graph=create_graph)
            for j, (g, x) in enumerate(zip(passed, inputs, strict=True)):
                if strict:
                    check_row(g, i, j, create_graph)
                found[j].append(ops.zeros_like(x) if g is None else g)
        shapes = [(*out._array.shape, *x._array.shape) for x in inputs]
        jacobian.append(
            [
                ops.stack(row).view(shape) if row else ops.zeros(shape, dtype=x.dtype)
                for row, x, shape in zip(found, inputs, shapes, strict=True)
            ]
        )
    return jacobian


def columns(u: Tensors, back: Found, inputs: Tensors, create_graph: bool) -> list[list[Tensor]]:
    """The Jacobian of each output with respect to each input, by a pass through J^T u per element of the inputs."""
    jacobian: list[list[Tensor]] = [[] for _ in u]
    for x, g in zip(inputs, back, strict=True):
        tangents = () if g is None else basis(x)
        found = [along(u, [g], [tangent], True, create_graph) for tangent in tangents]
        for i, y in enumerate(u):
            column = [ops.zeros_like(y) if jv[i] is None else jv[i] for jv in found]
            shape = (*y._array.shape, *x._array.shape)
            jacobian[i].append(
                ops.stack(column, -1).view(shape) if column else ops.zeros(shape, dtype=y.dtype)  # type: ignore[arg-type]
            )
    return jacobian


# Arguments and results


def tensors_of(x: Any, argument: str, function: str) -> tuple[bool, tuple[Tensor, ...]]:
    """Whether x is a tuple, and its tensors; TypeError where it is neither a Tensor nor a tuple of Tensors."""
    several = isinstance(x, tuple)
    for i, item in enumerate(x if several else (x,)):
        if not isinstance(item, TensorBase):
            where = f"value at index {i}" if several else f"given {argument}"
            raise TypeError(
                f"The {argument} given to {function} must be either a Tensor or a tuple of Tensors but the {where} has "
                f"type {type(item)}."
            )
    return several, x if several else (x,)


def prepared(tensors: Tensors, create_graph: bool, need_graph: bool) -> tuple[Tensor, ...]:
    """The tensors as inputs of a computation of its own, on top of the history that they have where `create_graph`."""
    return tuple(
        x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_(need_graph) for x in tensors
    )


def delivered(x: Any, create_graph: bool) -> Any:
    """The results, nested in tuples, without history unless `create_graph`."""
    if isinstance(x, TensorBase):
        return x if create_graph else ops.detach(x)  # type: ignore[arg-type]
    return tuple(delivered(item, create_graph) for item in x)


def packed(x: Sequence[Any], several: bool) -> Any:
    """A tuple, or its one item, as the user gave or returned it."""
    return tuple(x) if several else x[0]


def check_v(v: Tensors, like: Tensors, several: bool) -> None:
    """RuntimeError unless v has the number and the shapes of `like`."""
    if len(v) != len(like):
        if several:
            raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(v)}.")
        raise RuntimeError("The given v should contain a single Tensor.")
    for i, (x, y) in enumerate(zip(v, like, strict=True)):
        if x.shape != y.shape:
            entry = f"Entry {i} in " if several else ""
            raise RuntimeError(f"{entry}v has invalid size: should be {y.shape} but got {x.shape}.")


def vector(
    v: Any, like: Tensors, several: bool, function: str, create_graph: bool, side: str
) -> tuple[Tensor | None, ...]:
    """v as tensors like those of `like`; None, for 1, where it is not given and `like` is a single element."""
    if v is not None:
        _, v = tensors_of(v, "v", function)
        v = prepared(v, create_graph, False)
        check_v(v, like, several)
        return v  # type: ignore[no-any-return]
    if len(like) != 1 or like[0].numel() != 1:
        raise RuntimeError(f"The vector v can only be None if the {side} a single Tensor with a single element.")
    return (None,)


OF_INPUT = "input to the user-provided function is"

INDEPENDENT = {  # what strict mode says about input or output {i}
    "outputs": "Output {i} of the user-provided function does not require gradients. The outputs must be computed in a "
    "differentiable manner from the input when running in strict mode.",
    "grad_inputs": "The gradient with respect to input {i} is independent of the inputs of the user-provided function. "
    "This is not allowed in strict mode.",
    "jacobian": "While computing the hessian, found that the jacobian of the user-provided function with respect to "
    "input {i} is independent of the input. This is not allowed in strict mode. You should ensure that your function "
    "is twice differentiable and that the jacobian depends on the inputs (this would be violated by a linear function "
    "for example).",
    "back": "The output of the user-provided function is independent of input {i}. This is not allowed in strict mode.",
    "back_trick": "The gradient with respect to the input is independent of entry {i} in the grad_outputs when using "
    "the double backward trick to compute forward mode gradients. This is not allowed in strict mode.",
    "double_back": "The jacobian of the user-provided function is independent of input {i}. This is not allowed in "
    "strict mode.",
    "double_back_trick": "The hessian of the user-provided function is independent of entry {i} in the grad_jacobian. "
    "This is not allowed in strict mode as it prevents from using the double backward trick to replace forward mode "
    "AD.",
    "graph": "The {what} of the user-provided function is independent of input {i}. This is not allowed in strict mode "
    "when create_graph=True.",
}


def check_depends(tensors: Found, what: str, strict: bool) -> None:
    """In strict mode, RuntimeError for one that is missing or has no history."""
    for i, x in enumerate(tensors if strict else ()):
        if x is None or not x.requires_grad:
            raise RuntimeError(INDEPENDENT["back" if x is None else what].format(i=i))


def check_row(g: Tensor | None, i: int, j: int, create_graph: bool) -> None:
    """RuntimeError, in strict mode, for a row of a Jacobian that does not depend on input j as it should."""
    if g is None:
        raise RuntimeError(
            f"Output {i} of the user-provided function is independent of input {j}. This is not allowed in strict mode."
        )
    if create_graph and not g.requires_grad:
        raise RuntimeError(INDEPENDENT["graph"].format(i=j, what="jacobian"))


def filled(found: Found, like: Tensors, strict: bool, create_graph: bool, stage: str) -> tuple[Tensor, ...]:
    """The gradients, with zeros for those that are missing; RuntimeError for these in strict mode."""
    for i, g in enumerate(found if strict else ()):
        if g is None:
            raise RuntimeError(INDEPENDENT[stage].format(i=i))
        if create_graph and not g.requires_grad:
            what = "hessian" if "double" in stage else "jacobian"
            raise RuntimeError(INDEPENDENT["graph"].format(i=i, what=what))
    return tuple(ops.zeros_like(x) if g is None else g for g, x in zip(found, like, strict=True))


# The functions


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(*inputs), v^T J): the output, and its gradient in direction v with respect to each input.

    `inputs` is a Tensor or a tuple of them; v is like the output, and may be left out where that is a single element.
    The results have no history unless `create_graph`. An input that nothing depends on gets zeros; RuntimeError where
    `strict`.
    """
    with enable_grad():
        several, inputs = tensors_of(inputs, "inputs", "vjp")
        inputs = prepared(inputs, create_graph, True)
        several_out, outputs = tensors_of(func(*inputs), USERS_OUTPUTS, "vjp")
        check_depends(outputs, "outputs", strict)
        direction = vector(v, outputs, several_out, "vjp", create_graph, "user-provided function returns")
    found = gradients(outputs, inputs, direction, create_graph=create_graph)
    result = filled(found, inputs, strict, create_graph, "back")
    return packed(delivered(outputs, create_graph), several_out), packed(delivered(result, create_graph), several)


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(*inputs), J v): the output, and its derivative when the inputs move in direction v.

    v is like the inputs, and may be left out where that is a single element. The rest is as for vjp.
    """
    with enable_grad():
        several, inputs = tensors_of(inputs, "inputs", "jvp")
        inputs = prepared(inputs, create_graph, True)
        direction = vector(v, inputs, several, "jvp", create_graph, OF_INPUT)
        several_out, outputs = tensors_of(func(*inputs), USERS_OUTPUTS, "jvp")
        check_depends(outputs, "outputs", strict)
        for out in outputs:
            if not out.is_floating_point():
                raise RuntimeError(
                    "Only Tensors of floating point and complex dtype can require gradients: the user-provided "
                    f"function returned one of {out.dtype}"
                )
        u, back = transposed(outputs, inputs)
        check_depends(back, "grad_inputs", strict)
    found = along(u, back, direction, create_graph, create_graph)
    result = filled(found, outputs, strict, create_graph, "back_trick")
    return packed(delivered(outputs, create_graph), several_out), packed(delivered(result, create_graph), several_out)


def scalar(result: Any, function: str, strict: bool) -> Tensor:
    """What a function returned; RuntimeError unless it is a single Tensor with a single element."""
    several, outputs = tensors_of(result, USERS_OUTPUTS, function)
    check_depends(outputs, "outputs", strict)
    if several:
        raise RuntimeError(f"The function given to {function} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {function} should contain a single element")
    return outputs[0]


def hessian_product(
    function: str, func: Callable[..., Any], inputs: Any, v: Any, create_graph: bool, strict: bool
) -> Any:
    """vhp or hvp, by its name."""
    with enable_grad():
        several, inputs = tensors_of(inputs, "inputs", function)
        inputs = prepared(inputs, create_graph, True)
        direction = vector(v, inputs, several, function, create_graph, OF_INPUT)
        output = scalar(func(*inputs), function, strict)
        gradient = gradients([output], inputs, create_graph=True)
        check_depends(gradient, "jacobian", strict)
    if function == "vhp":
        found: Found = gradients(gradient, inputs, direction, create_graph=create_graph)
        stage = "double_back"
    else:
        defined = [ops.zeros_like(x) if g is None else g for g, x in zip(gradient, inputs, strict=True)]
        u, back = transposed(defined, inputs)
        found = along(u, back, direction, create_graph, create_graph)
        stage = "double_back_trick"
    result = filled(found, inputs, strict, create_graph, stage)
    return delivered(output, create_graph), packed(delivered(result, create_graph), several)


def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(*inputs), v^T H) of a function with one Tensor of one element as its output; v is like the inputs.

    The rest is as for vjp.
    """
    return hessian_product("vhp", func, inputs, v, create_graph, strict)


def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(func(*inputs), H v), as vhp; that is the same, and cheaper, where the function is twice continuous."""
    return hessian_product("hvp", func, inputs, v, create_graph, strict)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian of a function; of shape (*output.shape, *input.shape), nested in tuples as outputs and inputs are.

    It takes one forward pass, and a backward pass per element of the output; with strategy="forward-mode" a pass
    through the graph of the backward pass per element of the input. `vectorize` has no effect but PyTorch's
    restrictions: not with `strict`, and required for "forward-mode".
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has more outputs '
            'than inputs, "forward-mode" tends to be more performant. Otherwise, prefer to use "reverse-mode".'
        )
    forward = strategy == "forward-mode"
    if forward:
        check_forward(create_graph, strict, vectorize)
    with enable_grad():
        several, inputs = tensors_of(inputs, "inputs", "jacobian")
        inputs = prepared(inputs, create_graph, True)
        several_out, outputs = tensors_of(func(*inputs), USERS_OUTPUTS, "jacobian")
        check_depends(outputs, "outputs", strict)
        if vectorize and strict:
            raise RuntimeError(
                "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together. "
                "Please either set `strict=False` or `vectorize=False`."
            )
        if not vectorize and not all(out.numel() for out in outputs):
            raise RuntimeError("stack expects a non-empty TensorList: an output has no elements; set `vectorize=True`")
        if forward:
            result = columns(*transposed(outputs, inputs), inputs, create_graph)
        else:
            result = rows(outputs, inputs, create_graph, strict)
    return packed([packed(delivered(row, create_graph), several) for row in result], several_out)


def check_forward(create_graph: bool, strict: bool, vectorize: bool) -> None:
    """The combinations that PyTorch refuses."""
    for name, value in (("create_graph", create_graph), ("strict", strict)):
        if value:
            message = (
                f'torch.autograd.functional.jacobian: `{name}=True` and `strategy="forward-mode"` are not supported '
                f'together (yet). Please either set `{name}=False` or `strategy="reverse-mode"`.'
            )
            raise NotImplementedError(message) if name == "create_graph" else RuntimeError(message)
    if not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian is only implemented for "
            "`vectorize=True`."
        )


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The Hessian of a function with one Tensor of one element as its output, the Jacobian of its gradient.

    Of shape (*input.shape, *input.shape), or a tuple of tuples of them. It takes a pass per element of the inputs
    through the graph of the gradient. The rest is as for jacobian.
    """
    several, inputs = tensors_of(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def gradient(*inputs: Tensor) -> Any:
        found = jacobian(lambda *x: scalar(func(*x), "hessian", strict).squeeze(), inputs, create_graph=True)
        check_depends(found, "jacobian", strict)
        return found

    result = jacobian(gradient, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)
    return packed([packed(row, several) for row in result], several)
