"""The tracer of compile(): it also notes what the trace relies on, and how everything was before it."""

from __future__ import annotations

import functools
import random as pythons
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import numpy as np

from minigrad import random
from minigrad.autograd.anomaly_mode import Anomaly
from minigrad.autograd.grad_mode import state
from minigrad.autograd.node import INTERNAL, TensorBase
from minigrad.memory import Memory
from minigrad.metadata import set_default_dtype
from minigrad.nn.modules.module import Module
from minigrad.optim.optimizer import Optimizer
from minigrad.printing import set_printoptions
from minigrad.program.contract import Contract, file_of, library
from minigrad.program.moment import SLOTS, Fields, Moment
from minigrad.program.places import MISSING, same
from minigrad.program.representation import Kind, Statement, Storage, Value, check, mapped
from minigrad.program.spellings import OPAQUE, READABLE
from minigrad.program.symbol import Symbol, SymbolicNumber, TracingError
from minigrad.program.tracing import WRITING, Tracer
from minigrad.serialization import load, save
from minigrad.storage import UntypedStorage
from minigrad.stream import Stream

GETTER, SETTER = "__getattribute__", "__setattr__"
MODULE_SETTER = Module.__setattr__
LAYOUT = {name: READABLE[name] for name in ("fill", "broadcast", "getitem")}  # kernels that ask what no symbol knows
# Functions of ours that set, or tell of, what no guard looks at
UNREPEATED: dict[Any, str] = {
    **dict.fromkeys((f.__code__ for f in (Stream.restart, Stream.restore)), "sets the state of a generator"),
    **dict.fromkeys((f.__code__ for f in (random.initial_seed, random.get_rng_state, random.Generator.initial_seed,
                     random.Generator.get_state)), "asks a generator for its seed or state"),
    **dict.fromkeys((f.__code__ for f in (set_default_dtype, set_printoptions)), "changes a setting"),
    **dict.fromkeys((f.__code__ for f in (save, load)), "saves or loads"),
    **dict.fromkeys((f.__code__ for f in (Optimizer.add_param_group, Optimizer.state_dict, Optimizer.load_state_dict,
                     Optimizer.__repr__)), "shows or changes the groups of an optimizer"),
    **dict.fromkeys((f.__code__ for f in (Memory.data_ptr, UntypedStorage.data_ptr)), "asks for an address"),
    TensorBase._version.fget.__code__: "asks for the version of a tensor",  # type: ignore[attr-defined]
}  # fmt: skip


class Recorder(Tracer):
    """Traces a function in order to compile it; where that fails, it leaves everything as it found it."""

    spellings = LAYOUT
    opaque = OPAQUE | {"descend"}

    def __init__(self, contract: Contract) -> None:
        super().__init__()
        self.contract = contract
        self.before = Moment()  # everything that the trace meets, as it was when it first did
        self.met = self.before.tensors
        self.own: set[int] = set()  # the ids of the tensors that were made in the trace
        self.numpys = np.random.get_state(legacy=False)
        self.pythons = pythons.getstate()
        self.modes = state.grad, state.inference
        self.checks = Anomaly.check

    # entering and leaving

    def patch(self) -> None:
        super().patch()
        for name, slot in SLOTS.items():
            setattr(TensorBase, name, property(self.getter(name, slot), self.setter(name, slot)))
        for cls in (Module, Optimizer):
            setattr(cls, GETTER, self.attribute_reader(cls))
        setattr(Module, SETTER, self.attribute_writer())
        sys.setprofile(self.note_call)

    def keep_originals(self) -> None:
        super().keep_originals()
        self.originals.append((functools.partial(sys.setprofile, sys.getprofile()), ()))
        self.originals += [(setattr, (TensorBase, name, slot)) for name, slot in SLOTS.items()]
        self.originals += [(remove, (cls, GETTER)) for cls in (Module, Optimizer)]
        self.originals.append((setattr, (Module, SETTER, MODULE_SETTER)))

    def note_call(self, frame: FrameType, event: str, found: Any) -> None:
        """Python's profiler: what is called must be understood, also where it makes no array."""
        code = frame.f_code
        filename = file_of(frame)
        if event == "call":
            if filename in INTERNAL:
                if code in UNREPEATED:
                    where = self.user_frame() or frame
                    raise self.contract.refuse(where, f"it {UNREPEATED[code]}", "Do that outside")
            elif library(filename):
                self.contract.called(frame, event, found)
            else:
                self.contract.enter(frame)
        elif event == "c_call" and filename not in INTERNAL:
            self.contract.called(frame, event, found)

    def refuse(self, what: str) -> NoReturn:
        try:
            super().refuse(what)
        except TracingError as error:
            self.contract.refusal = self.contract.refusal or error
            raise

    def undo(self) -> None:
        """Let everything be as it was before the trace. It may be done twice."""
        self.before.restore()
        np.random.set_state(self.numpys)
        pythons.setstate(self.pythons)
        state.grad, state.inference = self.modes
        Anomaly.check = self.checks
        self.contract.restore()

    def kept(self) -> None:
        """TracingError where the function has not kept the contract."""
        if self.contract.refusal is not None:
            raise self.contract.refusal
        if self.foreign_draws():
            raise refused("it draws from NumPy's or Python's generator", "Draw outside, or with torch's functions")
        if (state.grad, state.inference) != self.modes or Anomaly.check is not self.checks:
            raise refused("it leaves another grad mode, or anomaly detection, than it finds", "Do that outside")
        if (path := self.contract.changed()) is not None:
            raise self.contract.refuse(
                self.contract.naming(path),
                f"it changes {path}, which a program would not do again",
                "Return the tensors and numbers, and change what is outside there",
            )

    def foreign_draws(self) -> bool:
        """Whether numbers were drawn that are not PyTorch's."""
        now: Any = np.random.get_state(legacy=False)
        was: Any = self.numpys
        same = now["state"]["pos"] == was["state"]["pos"] and np.array_equal(now["state"]["key"], was["state"]["key"])
        return not same or pythons.getstate() != self.pythons

    # the doors

    def meet(self, tensor: TensorBase) -> Fields | None:
        """How a tensor was before; None where the trace has made it."""
        if id(tensor) in self.own:
            return None
        before = self.met.get(id(tensor))
        if before is None:
            try:
                before = self.met[id(tensor)] = Fields(tensor)
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

    def attribute_reader(self, cls: type) -> Callable[[Any, str], Any]:
        of_module = cls is Module

        def read(x: Any, name: str) -> Any:
            # What our own code asks an optimizer for is compared in detail: see Guards.optimizers()
            users = of_module or sys._getframe(1).f_code.co_filename not in INTERNAL
            if users and threading.get_ident() == self.thread:
                self.contract.read_attribute(x, name)
            return object.__getattribute__(x, name)

        return read

    def attribute_writer(self) -> Callable[[Module, str, Any], None]:
        def write(module: Module, name: str, value: Any) -> None:
            frame = self.user_frame()
            attributes = object.__getattribute__(module, "__dict__")
            if threading.get_ident() == self.thread and frame is not None and "_buffer_names" in attributes:
                self.contract.read_attribute(module, name)
                if same(attributes.get(name, MISSING), value):
                    return  # such as train(), where it is in training
                raise self.contract.refuse(
                    frame,
                    f"it sets the attribute {name!r} of {type(module).__name__}, which a program would not do again",
                    "Return the value, and set it outside",
                )
            MODULE_SETTER(module, name, value)

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
        if not storage.local:
            self.before.note_memory(storage.root)

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
            if threading.get_ident() == self.thread:
                self.before.note_stream(stream)
            return drawn(stream, *args, **kwargs)

        return call

    def run_quietly(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        optimizer = getattr(function, "__self__", None)
        if isinstance(optimizer, Optimizer) and threading.get_ident() == self.thread:
            self.before.note_optimizer(optimizer)
        return super().run_quietly(function, *args, **kwargs)


def remove(cls: type, name: str) -> None:
    """Take an attribute from a class, if it has one of its own."""
    if name in vars(cls):
        delattr(cls, name)


def refused(what: str, instead: str) -> TracingError:
    return TracingError(f"the function can't be compiled: {what}. {instead}")


def is_input(value: Value) -> bool:
    return value.statement is None and value.kind is not Kind.NUMBER
