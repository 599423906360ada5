"""compile(): a function that is traced when it is first called, and from then on runs as straight-line NumPy."""

from __future__ import annotations

import functools
import gc
import threading
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, overload

from minigrad.autograd.grad_mode import quietly, state, unless_entered
from minigrad.nn.modules.module import Module
from minigrad.program.contract import Contract
from minigrad.program.joint import Joint
from minigrad.program.recorder import Recorder
from minigrad.program.specialisation import MISS, Run, Specialisation
from minigrad.program.symbol import TracingError
from minigrad.program.verification import Verification

F = TypeVar("F", bound=Callable[..., Any])
LIMIT = 8  # specialisations of a function
compiling = threading.RLock()
tracing: set[int] = set()  # the threads that trace: what they call runs as it is


@overload
def compile(
    model: F, *, fullgraph: bool = ..., dynamic: bool | None = ..., backend: Any = ..., mode: str | None = ...,
    options: dict[str, Any] | None = ..., disable: bool = ..., donate: bool = ...,
    verify: int | None = ...,
) -> F: ...  # fmt: skip
@overload
def compile(
    model: None = None, *, fullgraph: bool = ..., dynamic: bool | None = ..., backend: Any = ...,
    mode: str | None = ..., options: dict[str, Any] | None = ..., disable: bool = ..., donate: bool = ...,
    verify: int | None = ...,
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
    verify: int | None = None,
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
        return functools.partial(compile, donate=donate, disable=disable, verify=verify)
    if not callable(model):
        raise TypeError(f"compile() takes a function, not {type(model).__name__}")
    if disable:
        return model
    if isinstance(model, Module):
        return OptimizedModule(model, donate, verify)
    return Programs(model, donate, verify).function()


class OptimizedModule(Module):
    """A compiled module; like PyTorch's it has the module itself as `_orig_mod`, and its attributes."""

    def __init__(self, module: Module, donate: bool, verify: int | None) -> None:
        super().__init__()
        self.training = module.training
        self._orig_mod, self._options = module, (donate, verify)
        self._compile()

    def _compile(self) -> None:
        self._compiled: Any = Programs(self._orig_mod.__call__, *self._options).function()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._compiled(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {name: x for name, x in self.__dict__.items() if name != "_compiled"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._compile()

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

    def __init__(self, model: Callable[..., Any], donate: bool, verify: int | None) -> None:
        self.model, self.donate = model, donate
        self.verify, self.calls = verify, 0
        self.broken = False  # whether a program was found to be wrong
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

        found: Any = compiled if self.verify is None else self.verifying(compiled, self.verify)
        found.source = ""
        self.compiled = found
        return found  # type: ignore[no-any-return]

    def verifying(self, compiled: Callable[..., Any], n: int) -> Any:
        """The function, verified again every n calls."""

        @functools.wraps(self.model, updated=())
        def verified(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls % n or not self.runs or threading.get_ident() in tracing:
                return compiled(*args, **kwargs)
            with compiling:
                return self.traced(args, kwargs, again=True)

        return verified

    def other(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run another program than the last one; trace, where none is right."""
        if self.broken:
            return self.model(*args, **kwargs)
        for entry in self.runs[1:]:
            result = quietly(entry[0], args, kwargs)
            if result is not MISS:
                self.runs = (entry, *(e for e in self.runs if e is not entry))
                self.compiled.source = entry[1]
                return result
        with compiling:
            return self.traced(args, kwargs)

    def traced(self, args: tuple[Any, ...], kwargs: dict[str, Any], again: bool = False) -> Any:
        """Run the function itself, and keep its program; or, `again`, verify the one that is there."""
        contract = Contract()
        recorder = Recorder(contract)
        collecting = gc.isenabled()
        try:
            contract.begin(self.model, args, kwargs)
            tracing.add(threading.get_ident())
            gc.disable()  # what it calls, in the midst of the function, would count as a part of it
            with recorder:
                result = self.model(*args, **kwargs)
                joint = Joint(recorder, result)
            recorder.kept()
            verification = Verification(recorder, joint, result)
            if again:
                found = self.check(verification, args, kwargs)
            else:
                made = Specialisation(recorder, self.model, args, kwargs, result, joint, not self.assumed, self.donate)
                found = None if made.run is None else verification.of(made.run, args, kwargs)
            self.leave(collecting)
        except BaseException as error:
            try:
                self.undo(recorder, collecting)
            except BaseException:  # an interrupt
                self.undo(recorder, collecting)
                raise
            if contract.refusal is not None and isinstance(error, Exception):
                raise contract.refusal from None
            if isinstance(error, TracingError) or not isinstance(error, Exception):
                raise
            result = self.model(*args, **kwargs)  # mostly the error is the function's own, which raises it again
            warnings.warn(f"the function was run, but not compiled: tracing it raised {error!r}", stacklevel=4)
            return result
        if found is not None:
            self.runs, self.broken = (), True
            warnings.warn(
                f"the compiled program differs from the function ({found or 'it takes the call for another'}): the "
                "function runs eagerly from now on. This is a fault of minigrad's: please report it, with the function",
                stacklevel=4,
            )
        elif not again and made.run is not None:
            self.assumed |= set(map(id, made.zeroed))
            self.runs = ((made.run, made.source), *self.runs)[:LIMIT]
            self.compiled.source = made.source
        return result

    def check(self, verification: Verification, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        """What the first program that is right for a call leaves otherwise than eager did."""
        for run, _ in self.runs:
            if (found := verification.of(run, args, kwargs)) != "":
                return found
        return None

    def undo(self, recorder: Recorder, collecting: bool) -> None:
        recorder.leave()
        recorder.undo()
        self.leave(collecting)

    def leave(self, collecting: bool) -> None:
        tracing.discard(threading.get_ident())
        if collecting:
            gc.enable()
