"""Grad modes: whether operations are recorded. Per thread; contexts, decorators, and both on generators."""

from __future__ import annotations

import contextvars
import functools
import inspect
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar, cast, overload

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])


class State(threading.local):
    """What a thread of the engine knows."""

    grad = True  # whether operations are recorded
    rules = False  # whether rules are being run on Tensors: NumPy functions given Tensors then record

    def __init__(self) -> None:
        # NumPy warns where PyTorch gives inf or NaN in silence. A context of our own turns that off for the engine's
        # calls (`quiet(f, x)` is f(x) without warnings) and leaves the user's np.errstate alone, at a tenth of the
        # cost of entering np.errstate for every operation.
        context = contextvars.copy_context()
        context.run(np.seterr, all="ignore")
        self.quiet: Callable[..., Any] = context.run


state = State()


def is_grad_enabled() -> bool:
    """Whether this thread records operations."""
    return state.grad


class GradMode:
    """A context that sets whether operations are recorded and restores it; as a decorator, for each call."""

    mode: bool

    def __init__(self) -> None:
        self.before: list[bool] = []

    def __enter__(self) -> Self:
        self.before.append(state.grad)
        state.grad = self.mode
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        state.grad = self.before.pop()

    def clone(self) -> GradMode:
        return type(self)()

    def __call__(self, function: F) -> F:
        if inspect.isgeneratorfunction(function):
            return cast(F, self._wrap_generator(function))

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
        super().__init__()
        self.mode = mode
        self.before.append(state.grad)
        state.grad = mode

    def __enter__(self) -> Self:
        state.grad = self.mode
        return self

    def __call__(self, function: F) -> F:
        state.grad = self.before.pop()  # a decorator sets the mode for the calls alone
        return super().__call__(function)

    def clone(self) -> GradMode:
        return set_grad_enabled(self.mode)
