"""The tracer of compile(): it also notes what the trace relies on, and how everything was before it."""

from __future__ import annotations

import random
import sys
import threading
from collections import deque
from collections.abc import Callable
from types import FrameType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from minigrad.autograd.node import INTERNAL, TensorBase
from minigrad.nn.modules.module import Module
from minigrad.optim.lr_scheduler.scheduler import LRScheduler
from minigrad.optim.optimizer import Optimizer
from minigrad.program.representation import Kind, Statement, Storage, Value, check, mapped
from minigrad.program.spellings import OPAQUE, READABLE
from minigrad.program.symbol import Symbol, SymbolicNumber, TracingError
from minigrad.program.tracing import SLOT, WRITING, Tracer
from minigrad.stream import Stream

SEQUENCES = (list, tuple, deque)
CONTAINERS = (*SEQUENCES, dict, set)
FOREIGN = {"minigrad", "torch", "numpy", "builtins", *sys.stdlib_module_names} - {"__main__"}
SEEDING = (Stream.restart.__code__, Stream.restore.__code__)
GETTER, SETTER = "__getattribute__", "__setattr__"
FIELDS = ("_counter", "_grad", "_node", "_requires_grad", "_view")
SLOTS: dict[str, Any] = {name: TensorBase.__dict__[name] for name in FIELDS}
LAYOUT = {name: READABLE[name] for name in ("fill", "broadcast", "getitem")}  # kernels that ask what no symbol knows


class Before:
    """A tensor that was there before the trace, as it was when the trace first met it."""

    __slots__ = ("array", "fields", "grad_read", "grad_written", "tensor", "versions")

    def __init__(self, tensor: TensorBase) -> None:
        self.tensor = tensor
        self.array = SLOT.__get__(tensor)
        self.fields = {name: slot.__get__(tensor) for name, slot in SLOTS.items()}
        self.versions = list.copy(self.fields["_counter"])
        self.grad_read = self.grad_written = False

    def restore(self) -> None:
        SLOT.__set__(self.tensor, self.array)
        for name, slot in SLOTS.items():
            slot.__set__(self.tensor, self.fields[name])
        list.__setitem__(self.fields["_counter"], slice(None), self.versions)


class Recorder(Tracer):
    """Traces a function in order to compile it; where that fails, it leaves everything as it found it."""

    spellings = LAYOUT
    opaque = OPAQUE | {"descend"}

    def __init__(self) -> None:
        super().__init__()
        self.met: dict[int, Before] = {}  # by the ids of the tensors
        self.own: set[int] = set()  # the ids of the tensors that were made in the trace
        self.copies: dict[int, tuple[Any, Any]] = {}  # arrays that were written to, and what they held
        self.read: dict[tuple[int, str], tuple[Module, str, Any]] = {}  # attributes of modules
        self.called: dict[int, FrameType] = {}  # of all the user's functions
        self.contents: dict[tuple[int, str], list[Any]] = {}  # what was in those that are lists, sets, dicts
        self.drawn: list[tuple[Any, Any]] = []  # generators, and their states
        self.groups: list[tuple[dict[str, Any], dict[str, Any]]] = []  # of the optimizers: now, and before
        self.states: list[tuple[Optimizer, Any, dict[Any, dict[str, Any]], bool]] = []

    # entering and leaving

    def __enter__(self) -> Recorder:
        super().__enter__()
        self.stop = sys._getframe(1)
        self.numpys = np.random.get_state(legacy=False)
        self.pythons = random.getstate()
        for name, slot in SLOTS.items():
            setattr(TensorBase, name, property(self.getter(name, slot), self.setter(name, slot)))
        self.module_setter = Module.__setattr__
        setattr(Module, GETTER, self.attribute_reader())
        setattr(Module, SETTER, self.attribute_writer())
        self.profiler = sys.getprofile()
        sys.setprofile(self.note_call)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        sys.setprofile(self.profiler)
        for name, slot in SLOTS.items():
            setattr(TensorBase, name, slot)
        delattr(Module, GETTER)
        setattr(Module, SETTER, self.module_setter)
        super().__exit__(kind, error, traceback)

    def note_call(self, frame: FrameType, event: str, found: Any) -> None:
        """Python's profiler: also those of the user's functions that make no array read what must not change."""
        if event != "call":
            return
        code = frame.f_code
        if code.co_filename in INTERNAL:
            if code is SEEDING[0] or code is SEEDING[1]:
                raise refused("it sets the state of a generator (manual_seed)", "Do that outside")
        elif frame.f_globals.get("__name__", "").partition(".")[0] not in FOREIGN:
            self.called[id(frame)] = frame

    def undo(self) -> None:
        """Let everything be as it was before the trace."""
        for array, copy in self.copies.values():
            array[...] = copy
        for before in self.met.values():
            before.restore()
        for group, was in self.groups:
            group.clear()
            group.update(was)
        for optimizer, state, entries, called in self.states:
            optimizer.state, optimizer._opt_called = state, called
            state.clear()
            state.update({p: dict(found) for p, found in entries.items()})
        for stream, was in self.drawn:
            stream.restore(was)
        np.random.set_state(self.numpys)
        random.setstate(self.pythons)

    def foreign_draws(self) -> bool:
        """Whether numbers were drawn that are not PyTorch's."""
        now: Any = np.random.get_state(legacy=False)
        was: Any = self.numpys
        same = now["state"]["pos"] == was["state"]["pos"] and np.array_equal(now["state"]["key"], was["state"]["key"])
        return not same or random.getstate() != self.pythons

    # the doors

    def meet(self, tensor: TensorBase) -> Before | None:
        """How a tensor was before; None where the trace has made it."""
        if id(tensor) in self.own:
            return None
        before = self.met.get(id(tensor))
        if before is None:
            try:
                before = self.met[id(tensor)] = Before(tensor)
            except AttributeError:  # it is being made
                self.own.add(id(tensor))
                self.trace.tensors.append(tensor)
                return None
        return before

    def getter(self, name: str, slot: Any) -> Callable[[TensorBase], Any]:
        grad = name == "_grad"

        def get(tensor: TensorBase) -> Any:
            if threading.get_ident() == self.thread:
                before = self.meet(tensor)
                if grad and before is not None and not before.grad_written:
                    before.grad_read = True
            return slot.__get__(tensor)

        return get

    def setter(self, name: str, slot: Any) -> Callable[[TensorBase, Any], None]:
        grad = name == "_grad"

        def set_(tensor: TensorBase, x: Any) -> None:
            if threading.get_ident() == self.thread:
                before = self.meet(tensor)
                if grad and before is not None:
                    before.grad_written = True
            slot.__set__(tensor, x)

        return set_

    def get(self, tensor: TensorBase) -> Any:
        if threading.get_ident() == self.thread:
            self.meet(tensor)
        return super().get(tensor)

    def set(self, tensor: TensorBase, array: Any) -> None:
        if threading.get_ident() == self.thread:
            self.meet(tensor)
        super().set(tensor, array)

    def attribute_reader(self) -> Callable[[Module, str], Any]:
        def read(module: Module, name: str) -> Any:
            found = object.__getattribute__(module, name)
            if threading.get_ident() == self.thread:
                own = object.__getattribute__(module, "__dict__")
                for key in own if name == "__dict__" else (name,):
                    if key in own and (id(module), key) not in self.read:
                        self.read[id(module), key] = module, key, own[key]
                        self.contents[id(module), key] = contents(own[key])
            return found

        return read

    def attribute_writer(self) -> Callable[[Module, str, Any], None]:
        def write(module: Module, name: str, value: Any) -> None:
            frame = self.user_frame()
            if threading.get_ident() == self.thread and frame is not None and "_buffer_names" in vars(module):
                raise TracingError(
                    f"{frame.f_code.co_filename}:{frame.f_lineno}: the function sets the attribute {name!r} of "
                    f"{type(module).__name__}, which a program would not do again. Return the value, and set it outside"
                )
            self.module_setter(module, name, value)

        return write

    # what is written down

    def call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        out = kwargs.get("out")
        if out is None and (function in WRITING or getattr(function, "__name__", "") == "at"):
            out = args[0]
        for x in out if isinstance(out, tuple) else (out,):
            if isinstance(x, Symbol):
                self.keep(x._value.storage)
        return super().call(function, args, kwargs)

    def keep(self, storage: Storage) -> None:
        """Keep what memory from before the trace holds, since it is about to be written to."""
        if not storage.local and id(storage.root) not in self.copies:
            self.copies[id(storage.root)] = storage.root, storage.root.copy()

    def hyper(self, x: Any) -> Any:
        return mapped(self.operand, x)  # a user's numbers are constants: the guards see to them

    def decide(self, function: Any, args: tuple[Any, ...]) -> Any:
        result = function(*(float(self.real(x)) if isinstance(x, SymbolicNumber) else self.real(x) for x in args))
        operands = tuple(map(self.operand, args))
        if any(isinstance(x, Value) for x in operands):
            value = self.record(Statement(function, operands, {}, []), result)
            self.add(Statement(check, (value, result), {}, []))
        return result

    def drawing(self, draw: Callable[..., Any]) -> Callable[..., Any]:
        drawn = super().drawing(draw)

        def call(stream: Any, *args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() == self.thread and all(stream is not s for s, _ in self.drawn):
                self.drawn.append((stream, stream.state()))
            return drawn(stream, *args, **kwargs)

        return call

    def run_quietly(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        optimizer = getattr(function, "__self__", None)
        if isinstance(optimizer, Optimizer) and threading.get_ident() == self.thread:
            self.meet_optimizer(optimizer)
        return super().run_quietly(function, *args, **kwargs)

    def meet_optimizer(self, optimizer: Optimizer) -> None:
        """Keep the groups and the state of an optimizer as they are."""
        if all(optimizer is not o for o, *_ in self.states):
            entries = {p: dict(found) for p, found in optimizer.state.items()}
            self.states.append((optimizer, optimizer.state, entries, optimizer._opt_called))
            self.groups += [(group, dict(group)) for group in optimizer.param_groups]


def contents(x: Any) -> list[Any]:
    """What is in a list, a set, a dict, or an object of the user's; nothing for anything else."""
    if is_users(x):
        x = vars(x)
    return [*x, *(x.values() if isinstance(x, dict) else ())] if isinstance(x, (list, set, dict)) else []


def is_users(x: Any) -> bool:
    """Whether it is an object of a class of the user's, whose attributes are the function's input."""
    ours = (TensorBase, Module, Optimizer, LRScheduler, ModuleType, FunctionType, MethodType, type, np.ndarray)
    return hasattr(x, "__dict__") and not isinstance(x, (*ours, *CONTAINERS))


def refused(what: str, instead: str) -> TracingError:
    return TracingError(f"the function can't be compiled: {what}. {instead}")


def is_input(value: Value) -> bool:
    return value.statement is None and value.kind is not Kind.NUMBER
