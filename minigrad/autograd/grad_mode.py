"""Grad modes: whether operations are recorded. Per thread; contexts, decorators, and both on generators."""

from __future__ import annotations

import contextvars
import functools
import inspect
import threading
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar, cast, overload

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])


class State(threading.local):
    """What a thread of the engine knows."""

    def __init__(self) -> None:
        self.grad = True  # whether operations are recorded
        self.inference = False  # whether tensors that are made are inference tensors; grad is then False
        self.rules = False  # whether rules are being run on Tensors: NumPy functions given Tensors then record
        # NumPy warns where PyTorch gives inf or NaN in silence. A context of our own turns that off for the engine's
        # calls (`quiet(f, x)` is f(x) without warnings) and leaves the user's np.errstate alone, at a tenth of the
        # cost of entering np.errstate for every operation.
        self.context = contextvars.copy_context()
        self.context.run(np.seterr, all="ignore")
        self.quiet: Callable[..., Any] = self.context.run


state = State()


def unless_entered(error: RuntimeError) -> Callable[..., Any]:
    """What runs a function where `state.quiet` could not; raises the error, where that is the function's own.

    A context can't be entered twice. A signal handler or a finalizer, which may come in the midst of an operation,
    and do operations of its own, gets a copy of it. (To ask for a copy each time would cost a tenth of an operation.)
    """
    inside = error.__traceback__ is not None and error.__traceback__.tb_next is not None
    if inside or not str(error).startswith("cannot enter context"):
        raise error
    copy: Callable[..., Any] = state.context.copy().run
    return copy


def quietly(function: Callable[..., Any], *args: Any) -> Any:
    """What a function gives, without NumPy's warnings. (To pass on keywords would take three times as long.)"""
    try:
        return state.quiet(function, *args)
    except RuntimeError as error:
        run = unless_entered(error)
    return run(function, *args)


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What `state.quiet` is where all is quiet already."""
    return function(*args, **kwargs)


inference_used = False  # whether any thread has entered inference_mode: only then new tensors must find out


class Untracked(list[Any]):
    """The counter of an inference tensor: there are no versions, so nothing can be saved that relies on one."""

    def __getitem__(self, index: Any) -> NoReturn:
        raise RuntimeError(
            "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in "
            "computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and use "
            "it in autograd, or use torch.no_grad() instead of torch.inference_mode()."
        )


def new_counter() -> list[Any]:
    """The counter of a tensor's writes, for new memory."""
    return Untracked() if state.inference else [0, None]


def is_grad_enabled() -> bool:
    """Whether this thread records operations."""
    return state.grad


def is_inference_mode_enabled() -> bool:
    """Whether this thread makes inference tensors."""
    return state.inference


class GradMode:
    """A context that sets whether operations are recorded and restores it; as a decorator, for each call."""

    mode: bool

    def __init__(self) -> None:
        self.before: list[tuple[bool, bool]] = []

    def __enter__(self) -> None:
        self.before.append((state.grad, state.inference))
        state.grad = self.mode and not state.inference

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        state.grad, state.inference = self.before.pop()

    def clone(self) -> GradMode:
        return type(self)()

    def __call__(self, function: F) -> F:
        if inspect.isgeneratorfunction(function):
            return cast(F, self._wrap_generator(function))
        if inspect.isclass(function):
            warnings.warn(
                "Decorating classes is deprecated and will be disabled in future versions. You should only decorate "
                "functions or methods. To preserve the current behavior of class decoration, you can directly decorate "
                "the `__init__` method and nothing else.",
                FutureWarning,
                stacklevel=2,
            )
            return self(cast(F, lambda *args, **kwargs: function(*args, **kwargs)))

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return cast(F, call)

    def _wrap_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The mode holds while the generator runs, and not while its consumer does."""

        @functools.wraps(function)
        def generate(*args: Any, **kwargs: Any) -> Any:
            generator = function(*args, **kwargs)
            resume, value = generator.send, None
            try:
                while True:
                    with self.clone():
                        item = resume(value)
                    try:
                        resume, value = generator.send, (yield item)
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        resume, value = generator.throw, error
            except StopIteration as end:
                return end.value
            finally:
                with self.clone():
                    generator.close()

        return generate


class no_grad(GradMode):
    """Operations inside are not recorded: their results do not require gradients."""

    mode = False

    @overload
    def __new__(cls) -> Self: ...
    @overload
    def __new__(cls, function: F) -> F: ...  # type: ignore[misc]  # a decorated function
    def __new__(cls, function: Any = None) -> Any:
        # `@no_grad` without parentheses decorates too, as in PyTorch.
        return super().__new__(cls) if function is None else cls()(function)


class enable_grad(no_grad):
    """Operations inside are recorded, also within no_grad."""

    mode = True


class set_grad_enabled(GradMode):
    """Set at once whether operations are recorded; as a context, restore it at the end."""

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise TypeError(
                f"set_grad_enabled(): argument 'enabled' (position 1) must be bool, not {type(mode).__name__}"
            )
        self.mode = mode
        self.found = state.grad  # what is restored, however often the context is entered
        self.__enter__()

    def __enter__(self) -> None:
        state.grad = self.mode and not state.inference

    def __exit__(self, *error: object) -> None:
        state.grad = self.found

    def __call__(self, function: F) -> F:
        self.__exit__()  # a decorator sets the mode for the calls alone
        return super().__call__(function)

    def __repr__(self) -> str:
        return f"torch.autograd.grad_mode.set_grad_enabled(mode={self.mode})"

    def clone(self) -> GradMode:
        return set_grad_enabled(self.mode)


class inference_mode(GradMode):
    """Operations inside are not recorded, and the tensors that they make can't be recorded later either.

    Inference tensors have no version: outside they can't be written to, nor saved for backward. `inference_mode(False)`
    records, and makes ordinary tensors. `@inference_mode` without parentheses decorates too.
    """

    @overload
    def __new__(cls, mode: bool = True) -> Self: ...
    @overload
    def __new__(cls, mode: F) -> F: ...  # type: ignore[misc]  # a decorated function
    def __new__(cls, mode: Any = True) -> Any:
        return super().__new__(cls) if isinstance(mode, bool) else cls()(mode)

    def __init__(self, mode: bool = True) -> None:
        super().__init__()
        self.mode = mode

    def __enter__(self) -> None:
        global inference_used
        inference_used = True
        self.before.append((state.grad, state.inference))
        state.grad, state.inference = not self.mode, self.mode

    def clone(self) -> GradMode:
        return inference_mode(self.mode)
