"""The contract of compile(): what a function may read of Python's objects. All else is refused, by its name and line.

It may read its arguments, tensors, modules, optimizers, functions and constants, and the lists, dicts, sets, plain
objects, classes and Python modules of the user's that lead to these. It may write to tensors, and through its
optimizers and backward passes to theirs. Nothing else may change, and it may call nothing that does or tells something
new each time, such as print() or the clock.

It is kept so: before one of the user's functions runs for the first time, all that it can reach by the names in its
code is walked. Each place and container on the way is noted as it is, compared after the trace (where one differs, all
is put back, and the function refused), and compared again, by the guards, before each call of the program. What can't
be compared like this is refused when it is met: iterators, NumPy arrays, generators of random numbers, schedulers,
files, and objects with an inside that Python doesn't show.
"""

from __future__ import annotations

import argparse
import dis
import enum
import functools
import os
import signal
import sys
import sysconfig
import threading
import types
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from minigrad.autograd.node import INTERNAL, TensorBase
from minigrad.metadata import Size, device, dtype, memory_format
from minigrad.nn.modules.module import Module
from minigrad.optim.optimizer import Optimizer
from minigrad.program.places import (
    CONSTANTS,
    MISSING,
    MUTABLE,
    Contents,
    Place,
    Space,
    cell,
    codes_in,
    entry,
    globals_read,
    line_naming,
    modules_imported,
    names_read,
    part,
    same,
)  # fmt: skip
from minigrad.program.symbol import TracingError
from minigrad.stream import Stream
from minigrad.utils._pytree import taken_apart

# Beside constants, what can't change, or whose changes (of tensors, modules, optimizers) are seen elsewhere
KNOWN = (TensorBase, Module, Optimizer, Stream, Size, device, dtype, memory_format, np.generic, np.dtype, np.ufunc,
         slice, range, enum.Enum, types.GenericAlias, types.UnionType, type(Ellipsis), type(NotImplemented),
         types.WrapperDescriptorType, types.MethodDescriptorType, types.GetSetDescriptorType,
         types.MemberDescriptorType, type(dis.Instruction.opname))  # fmt: skip
CLOSED = (Size, device, dtype, memory_format)  # of what a function returns, beside constants and tensors
OPEN = (types.SimpleNamespace, argparse.Namespace)  # plain objects of the standard library's
BASES = ("abc", "typing", "dataclasses", "minigrad.utils.data.dataset")  # modules of base classes that hold nothing
# Python modules whose functions give the same for the same, but for some of the builtins'
PURE = frozenset({"builtins", "math", "cmath", "operator", "_operator", "functools", "_functools", "itertools",
                  "types", "collections", "_collections", "_collections_abc", "_abc", "abc", "typing", "_typing",
                  "enum", "numpy", "dataclasses", "numbers", "contextlib", "keyword", "reprlib"})  # fmt: skip
IMPURE = {"print", "input", "open", "eval", "exec", "compile", "globals", "id", "breakpoint", "fromfile"}
BELOW = {"posix", "nt", "_io", "io", "time", "_random", "_socket", "_thread", "sys"}  # C that libraries may not call
HARMLESS = ("_getframe", "intern", "getrefcount")
MODULES = {"sys", "os", "gc", "builtins", "__main__"}  # whose variables are the process's
# Names in a function's code by which it looks at attributes whose names may be any; at functions and frames; or draws
REFLECTING = {"getattr", "hasattr", "setattr", "delattr", "vars", "dir", "__dict__", "__getattribute__", "__setattr__",
              "__delattr__", "attrgetter", "methodcaller", "asdict", "astuple"}  # fmt: skip
INSPECTING = {"__globals__", "__closure__", "cell_contents", "__builtins__", "f_globals", "f_locals", "default_rng",
              "RandomState", "SeedSequence"}  # fmt: skip

SITE = tuple({os.path.join(sysconfig.get_path(name), "") for name in ("purelib", "platlib")})
STANDARD = tuple({os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib")})
NUMPY = os.path.join(os.path.dirname(np.__file__), "")


@functools.cache
def library(filename: str) -> bool:
    """Whether a file is ours, NumPy's, or of the standard library."""
    if filename in INTERNAL or filename.startswith(("<frozen ", "<__array_function__", NUMPY)):
        return True
    return filename.startswith(STANDARD) and not filename.startswith(SITE)


def file_of(frame: FrameType) -> str:
    """The file of a function; of one that Python made (a dataclass's __init__, a named tuple's) that of its module."""
    filename, found = frame.f_code.co_filename, frame.f_globals
    if filename != "<string>":
        return filename
    made = "<frozen namedtuple>" if "_tuple_new" in found and len(found) == 3 else filename
    return str(found.get("__file__", made))


def of_library(module: ModuleType | None) -> bool:
    """Whether a Python module is ours, NumPy's, or of the standard library, whatever its name."""
    filename = getattr(module, "__file__", None)
    if isinstance(filename, str):
        return library(filename)
    return getattr(getattr(module, "__spec__", None), "origin", None) in ("built-in", "frozen")


def is_users(cls: type) -> bool:
    """Whether it is a class of the user's."""
    return not of_library(sys.modules.get(cls.__module__))


def plain(kind: type, bases: tuple[type, ...] = ()) -> bool:
    """Whether objects of a class of the user's hold nothing but attributes, and what the bases do."""
    return all(cls is object or cls in bases or is_users(cls) or cls.__module__ in BASES for cls in kind.__mro__)


def attributes_of(x: Any) -> dict[str, Any]:
    try:
        found: dict[str, Any] = object.__getattribute__(x, "__dict__")
    except AttributeError:  # it has slots alone
        return {}
    return found


def slots_of(kind: type) -> frozenset[str]:
    return frozenset(name for cls in kind.__mro__ for name, x in vars(cls).items()
                     if isinstance(x, types.MemberDescriptorType))  # fmt: skip


def functions_in(x: Any) -> list[FunctionType]:
    """The Python functions in what stands in a class, also those that are decorated."""
    if isinstance(x, property):
        found = [x.fget, x.fset, x.fdel]
    elif isinstance(x, (staticmethod, classmethod)):
        found = [x.__func__]
    else:
        found = [x.func if isinstance(x, (functools.cached_property, functools.partialmethod)) else x]
    found += [f.__wrapped__ for f in found if isinstance(f, FunctionType) and hasattr(f, "__wrapped__")]
    return [f for f in found if isinstance(f, FunctionType)]


def has_methods(x: Any) -> bool:
    """Whether methods in C of an object may be called: they change, or tell, what the contract sees to."""
    if isinstance(x, type):
        return x.__module__ == "builtins" or is_users(x)
    views: tuple[Any, ...] = type({}.keys()), type({}.values()), type({}.items())
    kinds = (*CONSTANTS, *MUTABLE, tuple, frozenset, *KNOWN, types.GeneratorType, np.ndarray, *views)
    return isinstance(x, kinds) or is_users(type(x))


class Contract:
    """What the functions that a trace runs can reach, as it was before."""

    def __init__(self) -> None:
        self.places: dict[tuple[int, str], Place] = {}  # by their holder's id, and how they are read from it
        self.fixed: list[Place] = []  # those that may not change in the trace, but between calls
        self.contents: dict[int, Contents] = {}
        self.given: list[Contents] = []  # containers that are arguments: each call has others
        self.spaces: dict[int, Space] = {}
        self.missing: dict[int, tuple[Any, set[str]]] = {}  # attributes that a module or optimizer didn't have itself
        self.whole: dict[int, tuple[Any, int]] = {}  # dicts that were looked through, and their lengths
        self.known: dict[int, Any] = {}  # what has been walked, by its id
        self.functions: dict[CodeType, list[FunctionType]] = {}
        self.ran: dict[CodeType, None] = {}
        self.nested: set[CodeType] = set()  # of functions that those which ran define
        self.names: set[str] = set()  # that these look up in objects
        self.everything = False  # whether they look up names that may be any
        self.refusal: TracingError | None = None

    # refusals

    def refuse(self, where: Any, what: str, instead: str) -> TracingError:
        """The error. It is noted, and raised at the end of the trace, should the function catch it."""
        at = f"{where.f_code.co_filename}:{where.f_lineno}: " if isinstance(where, FrameType) else where
        error = TracingError(f"{at}the function can't be compiled: {what}. {instead}")
        self.refusal = self.refusal or error
        return error

    def naming(self, path: str) -> str:
        """Where a path's last name stands in what has run."""
        name = path.rpartition(".")[2].partition("[")[0]
        for code in reversed(self.ran):
            if name in names_read(code) or name in code.co_freevars:
                return f"{code.co_filename}:{line_naming(code, name)}: "
        return ""

    def unseen(self, x: Any, path: str) -> TracingError:
        kind = "a Python module" if isinstance(x, ModuleType) else f"of type {type(x).__name__}"
        return self.refuse(
            self.naming(path),
            f"it reads {path}, {kind}, which may change without notice",
            "Pass what it needs of it as an argument, a tensor or a number, or do that outside",
        )

    def foreign(self, frame: FrameType, what: str) -> TracingError:
        return self.refuse(frame, f"it calls {what}, which a program would not do again", "Do that outside")

    # what runs

    def begin(self, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The function that is to be compiled, and what it is called with."""
        if isinstance(model, MethodType):
            self.reach(model.__self__, "self")
            model = model.__func__
        if isinstance(model, FunctionType):
            for found in self.register(model, model.__name__):
                self.reach(*found)
        else:
            self.reach(model, getattr(model, "__name__", type(model).__name__))
        for key, x in [*enumerate(args), *kwargs.items()]:
            self.give(x, f"argument {key}")

    def enter(self, frame: FrameType) -> None:
        """One of the user's functions begins."""
        code = frame.f_code
        if code in self.ran:
            return
        if code not in self.functions and code not in self.nested:
            if interrupting(frame):
                return
            raise self.refuse(
                frame,
                f"{code.co_qualname}() is not reached by a name, so what it reads can't be looked into",
                "Call it by a name of its own, or define it in the compiled function",
            )
        self.ran[code] = None
        self.nested.update(codes_in(code))
        names = names_read(code)
        if unclear := {*names, *globals_read(code)} & INSPECTING:
            raise self.refuse(frame, f"it uses {', '.join(sorted(unclear))}", "Do that outside")
        for name in modules_imported(code):
            if not of_library(sys.modules.get(name)) or name.partition(".")[0] in MODULES:
                raise self.refuse(frame, f"it imports {name}", "Import it outside")
        self.look_up(names, not REFLECTING.isdisjoint((*names, *globals_read(code))))
        for function in self.functions.get(code, ()):
            self.look_into(function)
        for name in globals_read(code):
            self.reach_place(entry(name, frame.f_globals, name))

    def called(self, frame: FrameType, event: str, found: Any) -> None:
        """Something is called that is neither ours nor the user's: only what gives the same for the same may be."""
        inside = library(file_of(frame))
        if event == "call":
            back = frame.f_back
            name = frame.f_globals.get("__name__", "").partition(".")[0]
            made = frame.f_code.co_filename.startswith("<")
            if not made and back is not None and not library(file_of(back)) and name not in (*PURE, "importlib"):
                raise self.foreign(back, f"{name}.{frame.f_code.co_name}()")
            return
        owner, name = getattr(found, "__self__", None), found.__name__
        module = str(getattr(found, "__module__", None) or (owner.__name__ if isinstance(owner, ModuleType) else ""))
        module = module.partition(".")[0]
        if inside:
            if module in BELOW and name not in HARMLESS and not called_by_us(frame):
                raise self.foreign(frame, f"{module}.{name}()")
        elif owner is None or isinstance(owner, ModuleType):
            if module not in PURE or name in IMPURE:
                raise self.foreign(frame, f"{name}()" if module == "builtins" else f"{module}.{name}()")
        elif not has_methods(owner):
            raise self.foreign(frame, f"{name}() of a {type(owner).__name__}")

    def look_up(self, names: frozenset[str], everything: bool = False) -> None:
        """Functions that run look up more names: see what stands under them in all that is known."""
        more = not self.everything if everything else bool(names - self.names) and not self.everything
        self.names |= names
        self.everything |= everything
        if more:
            for space in [*self.spaces.values()]:
                self.read(space)

    # what is reached

    def look_into(self, function: FunctionType) -> None:
        """What a function that runs has of its own: closure, defaults."""
        for name, found in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self.reach_place(cell(name, found))
        self.add(part(function, "__code__"))
        for name in ("__defaults__", "__kwdefaults__"):
            defaults = getattr(function, name)
            if defaults is not None:
                self.add(part(function, name))
                self.reach(defaults, f"{function.__name__}.{name}")

    def add(self, place: Place) -> None:
        self.places.setdefault((id(place.holder), place.text), place)

    def reach_place(self, place: Place) -> None:
        self.add(place)
        if place.was is not MISSING:
            self.reach(place.was, place.path)

    def give(self, x: Any, path: str) -> None:
        """Reach an argument. Its containers are other ones in each call, and not to be written to."""
        tree = taken_apart(x)
        if tree is not None:
            if not isinstance(x, tuple):
                self.given.append(Contents(path, x))
            for key, item in zip(x if isinstance(x, dict) else range(len(x)), tree[0], strict=True):
                self.give(item, f"{path}[{key!r}]")
        elif isinstance(x, np.ndarray):
            raise self.refuse("", f"{path} is a NumPy array", "Give it a tensor: torch.from_numpy(x)")
        else:
            self.reach(x, path)

    def reach(self, x: Any, path: str) -> None:
        """Walk what a name leads to."""
        todo = [(x, path)]
        while todo:
            x, path = todo.pop()
            if type(x) not in CONSTANTS and id(x) not in self.known:
                self.known[id(x)] = x
                todo += self.inside(x, path)

    def inside(self, x: Any, path: str) -> list[tuple[Any, str]]:
        """What to walk next, from an object that is none of Python's constants."""
        kind = type(x)
        if isinstance(x, FunctionType):
            inner = self.register(x, path)
            if not library(x.__code__.co_filename):
                self.add_space(Space(path, x, vars(x)))
            return inner
        if isinstance(x, type):
            self.reach_class(x)
            return []
        if isinstance(x, ModuleType):
            if not of_library(x):
                self.add_space(Space(path, x, vars(x)))
            elif x.__name__ in MODULES:
                raise self.unseen(x, path)
            return []
        if is_users(kind):
            self.reach_class(kind)
        if isinstance(x, MethodType):
            return [(x.__self__, path), (x.__func__, path)]
        if isinstance(x, (BuiltinFunctionType, types.MethodWrapperType)):
            owner = x.__self__
            return [] if owner is None or isinstance(owner, (ModuleType, type)) else [(owner, path)]
        if kind is functools.partial:
            return [(x.func, path), (x.keywords, f"{path}.keywords"), *((item, path) for item in x.args)]
        if isinstance(x, (staticmethod, classmethod, property)):
            return [(f, path) for f in functions_in(x)]
        if isinstance(x, (TensorBase, enum.Enum)):
            self.add_space(Space(path, x, vars(x)))
        if isinstance(x, Optimizer):
            self.fixed += [entry(f"{path}.{name}", vars(x), name) for name in vars(x) if name != "_opt_called"]
        if isinstance(x, KNOWN) or kind.__module__ == "typing":
            return []
        if kind in (tuple, frozenset) or (isinstance(x, tuple) and hasattr(kind, "_fields")):
            items: list[Any] = [*x]
            return [(item, f"{path}[{i}]") for i, item in enumerate(items)]
        if isinstance(x, MUTABLE) and (kind in MUTABLE or plain(kind, MUTABLE)):
            self.contents[id(x)] = Contents(path, x)
            if kind not in MUTABLE:
                self.add_space(Space(path, x, vars(x), slots_of(kind)))
            if isinstance(x, dict):
                return [(item, f"{path}[{k!r}]") for k, item in dict.items(x)] + [(k, path) for k in dict.keys(x)]
            return [(item, f"{path}[{i}]") for i, item in enumerate(self.contents[id(x)].was)]
        if kind in OPEN or plain(kind):
            self.add_space(Space(path, x, attributes_of(x), slots_of(kind)))
            return []
        if callable(x) and kind.__module__.partition(".")[0] == "numpy" and not isinstance(x, np.ndarray):
            return []  # np.sum and the like are objects of a class of NumPy's own
        raise self.unseen(x, path)

    def reach_class(self, x: type) -> None:
        """The user's classes that a class consists of: their methods, and what else they hold."""
        meta: Any = type(x)
        for cls in (*x.__mro__, *(meta.__mro__ if is_users(meta) else ())):
            if is_users(cls) and id(cls) not in self.spaces:
                for item in vars(cls).values():
                    for f in functions_in(item):
                        self.register(f, f.__qualname__)
                self.add_space(Space(cls.__name__, cls, vars(cls)))

    def add_space(self, space: Space) -> None:
        if id(space.holder) not in self.spaces:
            self.spaces[id(space.holder)] = space
            self.read(space)

    def read(self, space: Space) -> None:
        """Note, and walk, what stands in a space under the names that are looked up."""
        for name in space.unseen(None if self.everything else self.names):
            space.seen.add(name)
            self.reach_place(space.place(name))

    def read_attribute(self, x: Any, name: str) -> None:
        """An attribute of a module or an optimizer is looked up."""
        space = object.__getattribute__(x, "__dict__")
        if name == "__dict__":
            if id(space) not in self.whole:
                self.whole[id(space)] = space, len(space)
                for key in [*space]:
                    self.read_attribute(x, key)
        elif name not in space:
            self.missing.setdefault(id(space), (space, set()))[1].add(name)
        elif (id(space), f"[{name!r}]") not in self.places:
            self.known[id(x)] = x  # its dict stays
            self.reach_place(entry(f"{type(x).__name__}.{name}", space, name))

    def register(self, function: FunctionType, path: str) -> list[tuple[Any, str]]:
        """Remember a function by its code: what it reads is looked at when it runs. What it wraps is to be reached."""
        code = function.__code__
        wrapped = getattr(function, "__wrapped__", None)
        inner = [] if wrapped is None else [(wrapped, path)]
        if library(code.co_filename):  # such as what no_grad(), or contextlib, makes of a function
            holds = (x.cell_contents for x in function.__closure__ or ())
            return inner + [(x, path) for x in holds if isinstance(x, (FunctionType, MethodType, Module))]
        known = self.functions.setdefault(code, [])
        if all(function is not f for f in known):
            known.append(function)
            if code in self.ran:
                self.look_into(function)
        return inner

    # after the trace

    def changed(self) -> str | None:
        """The path of something that isn't what it was."""
        for place in (*self.places.values(), *self.fixed):
            if not same(place.get(), place.was):
                return place.path
        for space in self.spaces.values():
            if new := self.added(space):
                return f"{space.path}.{new[0]}"
        for names, missing in self.missing.values():
            if new := sorted(missing & names.keys()):
                return new[0]
        if any(len(names) != length for names, length in self.whole.values()):
            return "an attribute"
        return next((found.path for found in (*self.contents.values(), *self.given) if not found.same()), None)

    def added(self, space: Space) -> list[str]:
        """Attributes that were not there."""
        return [] if isinstance(space.holder, TensorBase) else space.added(None if self.everything else self.names)

    def restore(self) -> None:
        """Put back what was there."""
        for space in self.spaces.values():
            for name in self.added(space):
                space.place(name).put(MISSING)
        for place in (*self.places.values(), *self.fixed):
            if not same(place.get(), place.was):
                place.put(place.was)
        for found in (*self.contents.values(), *self.given):
            if not found.same():
                found.restore()


def called_by_us(frame: FrameType | None) -> bool:
    """Whether it was the engine that called a library's function."""
    while frame is not None and frame.f_code.co_filename not in INTERNAL:
        if not library(file_of(frame)):
            return False
        frame = frame.f_back
    return True


def interrupting(frame: FrameType | None) -> bool:
    """Whether a frame is a signal handler's, or below one."""
    if threading.current_thread() is not threading.main_thread():
        return False
    handlers = [getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals()]
    while frame is not None:
        if any(frame.f_code is code for code in handlers):
            return True
        frame = frame.f_back
    return False
