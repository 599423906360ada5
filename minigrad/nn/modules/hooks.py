"""Hooks of modules: a user's functions that see, and may replace, what goes through a module, forward and backward.

Backward hooks stand on two identities in the graph, one around a module's inputs and one around its outputs: the
gradients that pass through them are those of the outputs and of the inputs.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minigrad.autograd.function import Function
from minigrad.autograd.grad_mode import state
from minigrad.autograd.hooks import RemovableHandle, add_hook, check_result
from minigrad.autograd.node import TensorBase

if TYPE_CHECKING:
    from minigrad.nn.modules.module import Module


@dataclass(frozen=True, eq=False, slots=True)
class Hook:
    """A function that a user registered."""

    kind: str  # "forward_pre", "forward", "full_backward_pre" or "full_backward"
    function: Callable[..., Any]
    with_kwargs: bool = False  # whether a forward hook is given the keyword arguments too
    always_call: bool = False  # whether a forward hook is called where forward raises


Hooks = OrderedDict[int, Hook]
everywhere: Hooks = OrderedDict()  # the hooks of all modules, which come before each one's own


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Module.register_forward_pre_hook, for all modules."""
    return add_hook(everywhere, Hook("forward_pre", hook))


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Module.register_forward_hook, for all modules."""
    return add_hook(everywhere, Hook("forward", hook, with_kwargs, always_call))


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Module.register_full_backward_pre_hook, for all modules."""
    return add_hook(everywhere, Hook("full_backward_pre", hook))


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Module.register_full_backward_hook, for all modules."""
    return add_hook(everywhere, Hook("full_backward", hook))


def of_kind(kind: str, module: Module) -> list[Hook]:
    """The hooks of one kind, in the order in which they are called."""
    return [hook for hooks in (everywhere, module._hooks) for hook in hooks.values() if hook.kind == kind]


def call_with_hooks(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """module.forward(*args, **kwargs), with the hooks before and after it, and those of backward set up."""
    result: Any = None
    called: set[Hook] = set()
    before, after = of_kind("full_backward_pre", module), of_kind("full_backward", module)
    try:
        for hook in of_kind("forward_pre", module):
            args, kwargs = run_forward_pre(hook, module, args, kwargs)
        backward = Backward(module, before, after) if before or after else None
        if backward is not None:
            args = backward.around_inputs(args)
        result = module.forward(*args, **kwargs)
        for hook in of_kind("forward", module):
            called.add(hook)
            result = run_forward(hook, module, args, kwargs, result)
        return result if backward is None else backward.around_outputs(result)
    except Exception:
        for hook in of_kind("forward", module):
            if hook.always_call and hook not in called:
                try:
                    result = run_forward(hook, module, args, kwargs, result)
                except Exception as error:
                    warnings.warn(
                        "module forward hook with ``always_call=True`` raised an exception that was silenced as "
                        f"another error was raised in forward: {error}",
                        UserWarning,
                        stacklevel=3,
                    )
        raise


def run_forward_pre(
    hook: Hook, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that a hook before forward makes of those given."""
    if not hook.with_kwargs:
        result = hook.function(module, args)
        if result is None:
            return args, kwargs
        return result if isinstance(result, tuple) else (result,), kwargs
    result = hook.function(module, args, kwargs)
    if result is None:
        return args, kwargs
    if not isinstance(result, tuple) or len(result) != 2:
        raise RuntimeError(f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {result}.")
    return result


def run_forward(hook: Hook, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Any:
    """The result that a hook after forward makes of the one given."""
    given = (args, kwargs, result) if hook.with_kwargs else (args, result)
    replacement = hook.function(module, *given)
    return result if replacement is None else replacement


class BackwardHookFunction(Function):
    """Identity, whose backward hands the gradients to `see`, and on what that returns."""

    @staticmethod
    def forward(ctx: Any, see: Callable[..., Sequence[Any]], materialize: bool, *tensors: Any) -> tuple[Any, ...]:
        ctx.see = see
        ctx.set_materialize_grads(materialize)
        ctx.mark_non_differentiable(*(x for x in tensors if not x.requires_grad))
        return tensors

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        return None, None, *ctx.see(grads)


class Backward:
    """A call of a module, as its backward hooks see it: gradients of its outputs first, then those of its inputs."""

    def __init__(self, module: Module, before: list[Hook], after: list[Hook]) -> None:
        self.module, self.before, self.after = module, before, after
        self.grad_outputs: Any = None  # what the hooks before backward made of them; None when there are none
        self.inputs: list[int] | None = None  # the numbers of the tensors among the arguments, if one requires grad
        self.outputs: list[int] | None = None

    def around_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.input_count = len(args)
        args, self.inputs = through_identity(args, self.see_inputs, materialize=True)
        return args

    def around_outputs(self, result: Any) -> Any:
        if not isinstance(result, (TensorBase, tuple)):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but received "
                f"{type(result)}",
                UserWarning,
                stacklevel=4,
            )
        results = result if isinstance(result, tuple) else (result,)
        self.output_count = len(results)
        results, self.outputs = through_identity(results, self.see_outputs, materialize=False)
        return results if isinstance(result, tuple) else results[0]

    def see_outputs(self, grads: tuple[Any, ...]) -> Sequence[Any]:
        """The gradients of the output tensors, after the hooks before backward, and all where no input has any."""
        assert self.outputs is not None
        grad_outputs: Any = spread(grads, self.outputs, self.output_count)
        for hook in self.before:
            result = hook.function(self.module, grad_outputs)
            if result is not None:
                check_replacement(hook, result, grad_outputs)
                grad_outputs = result
        if self.inputs is None:
            warnings.warn(
                "Full backward hook is firing when gradients are computed with respect to module outputs since no "
                "inputs require gradients. See "
                "https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html#torch.nn.Module."
                "register_full_backward_hook for more details.",
                UserWarning,
                stacklevel=2,
            )
            for hook in self.after:
                result = hook.function(self.module, (None,) * self.input_count, grad_outputs)
                if result is not None and not (isinstance(result, tuple) and all(x is None for x in result)):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should always return None or None "
                        "for all gradients."
                    )
        else:
            self.grad_outputs = grad_outputs
        return [grad_outputs[i] for i in self.outputs]

    def see_inputs(self, grads: tuple[Any, ...]) -> Sequence[Any]:
        """The gradients of the input tensors, after the hooks."""
        if self.grad_outputs is None:  # they did not come by the outputs, as in the second of two derivatives
            return grads
        assert self.inputs is not None
        grad_inputs: Any = spread(grads, self.inputs, self.input_count)
        for hook in self.after:
            result = hook.function(self.module, grad_inputs, self.grad_outputs)
            if result is not None:
                check_replacement(hook, result, grad_inputs)
                grad_inputs = result
        self.grad_outputs = None
        return [grad_inputs[i] for i in self.inputs]


def through_identity(
    values: tuple[Any, ...], see: Callable[..., Sequence[Any]], materialize: bool
) -> tuple[tuple[Any, ...], list[int] | None]:
    """The values, their tensors having gone through the identity, and these tensors' numbers.

    The values as they are, and None, where no gradients will come.
    """
    numbers = [i for i, x in enumerate(values) if isinstance(x, TensorBase)]
    if not state.grad or not any(values[i].requires_grad for i in numbers):
        return values, None
    through = list(values)
    for i, x in zip(numbers, BackwardHookFunction.apply(see, materialize, *(values[i] for i in numbers)), strict=True):
        through[i] = x
    return tuple(through) if type(values) is tuple else type(values)(*through), numbers


def spread(values: Sequence[Any], numbers: Sequence[int], count: int) -> tuple[Any, ...]:
    """A tuple of `count`, with the values at their numbers and None elsewhere."""
    places = dict(zip(numbers, values, strict=True))
    return tuple(places.get(i) for i in range(count))


def check_replacement(hook: Hook, result: Any, given: Sequence[Any]) -> None:
    """TypeError or RuntimeError, PyTorch's, unless a hook returned gradients like those it was given, or None."""
    if len(result) != len(given):
        name, what = ("Backward pre hook", "output") if hook.kind == "full_backward_pre" else ("Backward hook", "input")
        raise RuntimeError(
            f"{name} returned an invalid number of grad_{what}, got {len(result)}, but expected {len(given)}: return a "
            "tuple with one for each, None for what is no tensor"
        )
    for g, before in zip(result, given, strict=True):
        if g is not None and before is not None:
            check_result(hook.function, g, before)
