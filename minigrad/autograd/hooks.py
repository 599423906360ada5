"""Hooks: a user's functions that see, and may replace, the gradients on their way back."""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from minigrad.autograd.grad_mode import call, state
from minigrad.autograd.node import TensorBase, wrap

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

Hook = Callable[..., Any]
Hooks = OrderedDict[int, Any]  # by the ids of their handles, in the order in which they are called


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away, as does leaving it as a context."""

    _next_id = itertools.count().__next__

    def __init__(self, hooks: Hooks) -> None:
        self.id = RemovableHandle._next_id()
        self._hooks = weakref.ref(hooks)

    def remove(self) -> None:
        """Take the hook away; nothing where that was done before."""
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __getstate__(self) -> tuple[Hooks | None, int]:
        return self._hooks(), self.id  # a copy of a module has copies of its hooks, and of the handles among them

    def __setstate__(self, state: tuple[Hooks | None, int]) -> None:
        hooks, self.id = state
        self._hooks = weakref.ref(OrderedDict() if hooks is None else hooks)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()


def add_hook(hooks: Hooks, hook: Any, first: bool = False) -> RemovableHandle:
    """Put a hook behind the others, or (`first`) before them."""
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if first:
        hooks.move_to_end(handle.id, last=False)
    return handle


class Watch:
    """What happens to the gradient of a tensor: hooks see it, and a result that retains its gradient keeps it."""

    __slots__ = ("after", "hooks", "retained")

    # Whether a leaf was ever watched: only then the sweep must find out when a leaf's gradient is whole.
    any_leaf = False

    def __init__(self) -> None:
        self.hooks: Hooks = OrderedDict()
        self.after: Hooks = OrderedDict()  # of a leaf, called when its .grad is up to date
        self.retained: Callable[[], Tensor | None] | None = None  # a weak reference, or `elsewhere`

    def move_to(self, leaf: Tensor) -> None:
        """Let the hooks be those of a leaf that the tensor has become."""
        if self.hooks:
            leaf.watch = Watch()
            leaf.watch.hooks = self.hooks
            Watch.any_leaf = True

    def run(self, g: Any) -> Any:
        """The gradient that the hooks make of `g`, an array, or a Tensor where the sweep is recorded."""
        if not self.hooks:
            return g
        recorded = isinstance(g, TensorBase)
        gradient = g if recorded else wrap(np.copy(g))  # copies: the user may keep it, and write to it
        with users_code():
            for hook in [*self.hooks.values()]:
                result = hook(gradient)
                if result is not None:
                    check_result(hook, result, gradient)
                    gradient = result
        return gradient if recorded else gradient._array.copy()

    def run_after(self, leaf: Tensor) -> None:
        """Call the hooks that wait for the .grad of a leaf."""
        with users_code():
            for hook in [*self.after.values()]:
                hook(leaf)


def elsewhere() -> None:
    """Stands for `retained` where an earlier node of the same tensor keeps its gradient: there is no tensor here."""


def retain(tensor: Tensor) -> None:
    """Let the sweep keep the gradient of a result."""
    found = watch(tensor)
    if found.retained is None:
        found.retained = weakref.ref(tensor)


class users_code:
    """A context in which a user's function runs within the sweep, with the grad mode that PyTorch gives it."""

    def __enter__(self) -> None:
        self.before = state.grad, state.rules, state.quiet
        # The sweep is recorded where rules are run on Tensors; NumPy's functions of the user's Tensors do not record.
        state.grad, state.rules, state.quiet = state.rules, False, call

    def __exit__(self, *error: object) -> None:
        state.grad, state.rules, state.quiet = self.before


def check_result(hook: Hook, result: Any, gradient: Tensor) -> None:
    """TypeError or RuntimeError, PyTorch's, unless a hook returned a gradient of the same shape and dtype."""
    name = getattr(hook, "__name__", type(hook).__name__)
    if not isinstance(result, TensorBase):
        raise TypeError(
            f"expected Variable, but hook returned '{type(result).__name__}': hook '{name}' must return a Tensor of "
            f"shape {list(gradient.shape)}, or None to leave the gradient as it is"
        )
    if result._array.dtype != gradient._array.dtype:
        raise RuntimeError(
            f"hook '{name}' has changed the type of value (was {gradient.type()} got {result.type()})"  # type: ignore[attr-defined]
        )
    if result._array.shape != gradient._array.shape:
        raise RuntimeError(
            f"hook '{name}' has changed the size of value: from {list(gradient.shape)} to {list(result._array.shape)}"
        )


def watch(tensor: Tensor) -> Watch:
    """The Watch of a tensor that requires gradients; made where there is none."""
    node = tensor.grad_fn
    holder: Any = tensor if node is None else node
    made = Watch()
    if holder.watch is None:  # nothing is called between this and the next line: no other thread can come in
        holder.watch = made
    Watch.any_leaf |= node is None
    found: Watch = holder.watch
    return found


def register_hook(tensor: Tensor, hook: Hook) -> RemovableHandle:
    """Call `hook` with the gradient of the tensor whenever one is computed; what it returns, if not None, replaces it.

    RuntimeError unless the tensor requires gradients.
    """
    if not tensor.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    return add_hook(watch(tensor).hooks, hook)


def register_post_accumulate_grad_hook(tensor: Tensor, hook: Hook) -> RemovableHandle:
    """Call `hook` with the leaf itself whenever backward() has added to its .grad. RuntimeError unless it is a leaf."""
    if not tensor.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if tensor.grad_fn is not None:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    return add_hook(watch(tensor).after, hook)
