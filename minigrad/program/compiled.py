"""compile(): a function that is traced when it is first called, and from then on runs as straight-line NumPy."""

from __future__ import annotations

import copy
import functools
import gc
import threading
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, overload

from minigrad.autograd.grad_mode import quietly, state, unless_entered
from minigrad.nn.modules.module import Module
from minigrad.program.guards import Snapshot
from minigrad.program.joint import Joint
from minigrad.program.recorder import Recorder
from minigrad.program.specialisation import MISS, Run, Specialisation
from minigrad.program.symbol import TracingError

F = TypeVar("F", bound=Callable[..., Any])
LIMIT = 8  # specialisations of a function
compiling = threading.RLock()
tracing: set[int] = set()  # the threads that trace: what they call runs as it is


@overload
def compile(
    model: F, *, fullgraph: bool = ..., dynamic: bool | None = ..., backend: Any = ..., mode: str | None = ...,
    options: dict[str, Any] | None = ..., disable: bool = ..., donate: bool = ...,
) -> F: ...  # fmt: skip
@overload
def compile(
    model: None = None, *, fullgraph: bool = ..., dynamic: bool | None = ..., backend: Any = ...,
    mode: str | None = ..., options: dict[str, Any] | None = ..., disable: bool = ..., donate: bool = ...,
) -> Callable[[F], F]: ...  # fmt: skip
def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable[..., Any] | None = None,
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
    donate: bool = False,
) -> Any:
    """A function that does what `model` does, from its second call on without Tensors, graph and temporary arrays.

    It may hold the forward pass, zero_grad(), backward() and optimizer.step(), or a part of them. The first call runs
    it as ever and writes down what it does to arrays; a call with other shapes, dtypes, modes or numbers does so again
    (at most 8 programs are kept). The attribute `source` of the function is the program that ran last.
    With `donate` the tensors in .grad, and their memory, serve again in the next call: clone one that is to be kept.
    PyTorch's other arguments are accepted and change nothing. TracingError, and nothing changed, where the function
    does what can't be written down, such as an `if` on a tensor's value.
    """
    if model is None:
        return functools.partial(compile, donate=donate, disable=disable)
    if not callable(model):
        raise TypeError(f"compile() takes a function, not {type(model).__name__}")
    if disable:
        return model
    if isinstance(model, Module):
        return OptimizedModule(model, donate)
    return Programs(model, donate).function()


class OptimizedModule(Module):
    """A compiled module; like PyTorch's it has the module itself as `_orig_mod`, and its attributes."""

    def __init__(self, module: Module, donate: bool) -> None:
        super().__init__()
        self.training = module.training
        self._orig_mod, self._donate = module, donate
        self._compiled: Any = Programs(module.__call__, donate).function()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._compiled(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> OptimizedModule:
        new = OptimizedModule(copy.deepcopy(self._orig_mod, memo), self._donate)
        new.training = self.training
        return new

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            raise AttributeError(name)
        return getattr(self._orig_mod, name)

    @property
    def source(self) -> str:
        """The program that ran last."""
        return str(self._compiled.source)


class Programs:
    """The specialisations of a function."""

    def __init__(self, model: Callable[..., Any], donate: bool) -> None:
        self.model, self.donate = model, donate
        self.runs: tuple[tuple[Run, str], ...] = ()  # the one that ran last comes first
        self.assumed: set[int] = set()  # the gradients that a program has taken to be 0

    def function(self) -> Callable[..., Any]:
        @functools.wraps(self.model, updated=())
        def compiled(*args: Any, **kwargs: Any) -> Any:
            if tracing and threading.get_ident() in tracing:
                return self.model(*args, **kwargs)
            runs = self.runs
            if runs:
                try:
                    result = state.quiet(runs[0][0], args, kwargs)
                except RuntimeError as error:
                    unless_entered(error)
                    return self.model(*args, **kwargs)  # a signal handler, perhaps in the midst of this program
                if result is not MISS:
                    return result
            return self.other(args, kwargs)

        self.compiled: Any = compiled
        compiled.source = ""  # type: ignore[attr-defined]
        return compiled

    def other(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run another program than the last one; trace, where none is right."""
        for entry in self.runs[1:]:
            result = quietly(entry[0], args, kwargs)
            if result is not MISS:
                self.runs = (entry, *(e for e in self.runs if e is not entry))
                self.compiled.source = entry[1]
                return result
        with compiling:
            return self.traced(args, kwargs)

    def traced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the function itself, and keep its program."""
        recorder = Recorder()
        snapshot = Snapshot(self.model)
        tracing.add(threading.get_ident())
        collecting = gc.isenabled()
        gc.disable()  # what it calls, in the midst of the function, would count as a part of it
        try:
            with recorder:
                result = self.model(*args, **kwargs)
                joint = Joint(recorder, result)
            snapshot.check()
            made = Specialisation(recorder, self.model, args, kwargs, result, joint, not self.assumed, self.donate)
        except TracingError:
            recorder.undo()
            raise
        except Exception as error:  # mostly the function's own, which eager raises as it should be
            recorder.undo()
            result = self.model(*args, **kwargs)
            warnings.warn(f"the function was run, but not compiled: tracing it raised {error!r}", stacklevel=4)
            return result
        finally:
            tracing.discard(threading.get_ident())
            if collecting:
                gc.enable()
        if made.run is not None:
            self.assumed |= set(map(id, made.zeroed))
            self.runs = ((made.run, made.source), *self.runs)[:LIMIT]
            self.compiled.source = made.source
        return result
