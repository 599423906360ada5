"""Guards: what a compiled program relies on, as conditions that are tested before it begins."""

from __future__ import annotations

import dis
import functools
import inspect
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from minigrad.autograd.anomaly_mode import Anomaly
from minigrad.autograd.grad_mode import state
from minigrad.autograd.hooks import Watch
from minigrad.autograd.node import INTERNAL, TensorBase
from minigrad.metadata import get_default_dtype
from minigrad.nn.modules.hooks import everywhere
from minigrad.nn.modules.module import Module
from minigrad.optim.lr_scheduler.scheduler import LRScheduler
from minigrad.program.recorder import CONTAINERS, FOREIGN, SEQUENCES, Recorder, contents, is_users, refused

SIMPLE = (bool, int, float, complex, str, bytes, type(None))
DEPTH = 3  # how deep a snapshot looks: objects may lead anywhere


class Same:
    """Compares things with what they were: numbers by value, containers by contents, others by identity.

    Of objects, classes and modules of the user's, the attributes of the given names are compared too, or all of them.
    """

    def __init__(
        self, x: Any, names: frozenset[str] | None = frozenset(), depth: int = -1, known: set[int] | None = None
    ) -> None:
        self.x, self.kind = x, type(x)
        self.contents = set(x) if isinstance(x, set) else set()
        self.parts: list[tuple[Any, Same]] = []
        self.size = len(vars(x)) if is_users(x) else 0
        known = set() if known is None else known
        self.looked = depth != 0 and id(x) not in known
        if self.looked and not isinstance(x, SIMPLE):
            known.add(id(x))
            inner = names, depth - 1, known
            self.parts = [(key, Same(item, *inner)) for key, item in (*items(x), *attributes(x, names))]
            if is_users(x) and names is not None:
                self.parts += [(None, Same(cls, *inner)) for cls in type(x).__mro__ if is_namespace(cls)]

    def __call__(self, x: Any) -> bool:
        if type(x) is not self.kind:
            return False
        if isinstance(x, SIMPLE):
            return bool(x == self.x or (x != x and self.x != self.x)) and (bool(x) or str(x) == str(self.x))  # -0.0
        if not self.looked:
            return x is self.x
        if isinstance(x, set):
            return bool(x == self.contents)
        if isinstance(x, CONTAINERS):
            if len(x) != len(self.parts) or (isinstance(x, dict) and [*x] != [key for key, _ in self.parts]):
                return False
            now = x.values() if isinstance(x, dict) else x
            return all(same(item) for item, (_, same) in zip(now, self.parts, strict=True))
        if x is not self.x or (self.size and len(vars(x)) != self.size):
            return False
        return all(same(same.x if name is None else vars(x).get(name)) for name, same in self.parts)

    def restore(self) -> None:
        """Put back what was there."""
        was = {key: same.x for key, same in self.parts if key is not None}
        for _, same in self.parts:
            same.restore()
        if self.looked and self.kind is list:
            self.x[:] = [*was.values()]
        elif self.looked and (self.kind is dict or self.size):
            found = self.x if self.kind is dict else vars(self.x)
            found.clear()
            found.update(was)


def items(x: Any) -> list[tuple[Any, Any]]:
    """What is in a container that has an order."""
    if isinstance(x, dict):
        return list(x.items())
    return list(enumerate(x)) if isinstance(x, SEQUENCES) else []


def attributes(x: Any, names: frozenset[str] | None) -> list[tuple[str, Any]]:
    """The attributes of an object, a class or a module of the user's."""
    if is_users(x):
        return [(name, item) for name, item in vars(x).items() if names is None or name in names]
    if names is not None and is_namespace(x):
        return [(name, item) for name, item in vars(x).items() if name in names]
    return []


def is_namespace(x: Any) -> bool:
    """Whether it is a class or a module of the user's."""
    if isinstance(x, type):
        return x.__module__.partition(".")[0] not in FOREIGN
    return isinstance(x, ModuleType) and x.__name__.partition(".")[0] not in FOREIGN


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """A function's code, and that of the functions defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_in(constant)


@functools.cache
def globals_read(code: CodeType) -> tuple[str, ...]:
    """The names that a function, and those defined in it, look up or set in their module."""
    found = [i.argval for c in codes_in(code) for i in dis.get_instructions(c) if "GLOBAL" in i.opname]
    return tuple(dict.fromkeys(found))


@functools.cache
def names_read(code: CodeType) -> frozenset[str]:
    """The names that a function may look up in objects; strings among its constants may be those of getattr()."""
    found = {name for c in codes_in(code) for name in c.co_names}
    return frozenset(
        found | {x for c in codes_in(code) for x in c.co_consts if isinstance(x, str) and x.isidentifier()}
    )


def plain_function(function: Any) -> Any:
    """The Python function in a method, or a decorated one; None where there is none."""
    function = getattr(function, "__func__", function)
    return function if isinstance(function, FunctionType) else None


class Guards:
    """The conditions of a trace, as expressions; `bind` gives the objects in them names."""

    def __init__(self, recorder: Recorder, bind: Callable[..., str]) -> None:
        self.recorder, self.bind = recorder, bind
        self.classes: set[type] = set()  # those that are looked at
        self.conditions: list[str] = []
        self.names = frozenset(name for f in recorder.called.values() for name in names_read(f.f_code))

    def require(self, condition: str) -> None:
        if condition not in self.conditions:
            self.conditions.append(condition)

    def same(self, expression: str, x: Any) -> None:
        """That an expression gives what it gave."""
        if x is None or isinstance(x, bool):
            self.require(f"{expression} is {x!r}")
        elif isinstance(x, SIMPLE):
            self.require(f"({expression} is {self.bind(x, 'known')} or {self.bind(Same(x), 'same')}({expression}))")
        elif isinstance(x, CONTAINERS) and not x:
            self.require(f"not {expression}")
        elif isinstance(x, type) and is_namespace(x):  # written out: a class is looked at in every call
            known = self.bind(x, "known")
            self.require(f"{expression} is {known}")
            if x not in self.classes:
                self.classes.add(x)
                space = self.bind(vars(x), f"of_{x.__name__.lower()}")
                for name, item in attributes(x, self.names):
                    self.same(f"{space}[{name!r}]", item)
        elif isinstance(x, CONTAINERS) or is_users(x) or is_namespace(x):
            self.require(f"{self.bind(Same(x, self.names), 'same')}({expression})")
        else:
            self.require(f"{expression} is {self.bind(x, 'known')}")

    # the engine

    def engine(self) -> None:
        """The thread, the grad mode, the default dtype, hooks and anomaly detection."""
        modes = vars(state)  # of this thread alone; unlike its number it is never another thread's
        modes.setdefault("grad", state.grad)
        modes.setdefault("inference", state.inference)
        name = self.bind(modes, "modes")
        self.require(f"{self.bind(state, 'state')}.__dict__ is {name}")
        self.require(f"{name}['grad'] is {state.grad}")
        self.require(f"{name}['inference'] is {state.inference}")
        default = self.bind(get_default_dtype, "get_default_dtype")
        self.require(f"{default}() is {self.bind(get_default_dtype(), 'dtype')}")
        self.require(f"{self.bind(Anomaly, 'Anomaly')}.check is None")
        if not Watch.any_leaf:
            self.require(f"not {self.bind(Watch, 'Watch')}.any_leaf")
        if everywhere:
            raise refused("modules have hooks", "Remove them, or leave the function uncompiled")
        if self.recorder.read:
            self.require(f"not {self.bind(everywhere, 'everywhere')}")

    # modules and optimizers

    def attributes(self, module: Module) -> str:
        return self.bind(vars(module), "of_" + type(module).__name__.lower())

    def modules(self) -> None:
        """The attributes of modules that were read."""
        for module in {id(module): module for module, *_ in self.recorder.read.values()}.values():
            self.require(f"len({self.attributes(module)}) == {len(vars(module))}")
            for cls in filter(is_namespace, type(module).__mro__):
                self.same(self.bind(cls, "cls"), cls)
        for module, name, x in self.recorder.read.values():
            place = f"{self.attributes(module)}[{name!r}]"
            if name == "_hooks":
                if x:
                    raise refused(f"{type(module).__name__} has hooks", "Remove them, or leave the function uncompiled")
                self.require(f"not {place}")
            else:
                self.same(place, x)
            was, now = self.recorder.contents[id(module), name], contents(x)
            same = len(was) == len(now) and all(a is b for a, b in zip(was, now, strict=True))
            if not same and isinstance(x, list):
                x[:] = was
            elif not same and not isinstance(x, set):
                found, n = x if isinstance(x, dict) else vars(x), len(was) // 2
                found.clear()
                found.update(zip(was[:n], was[n:], strict=True))
            if not same or (isinstance(x, SIMPLE) and not Same(x)(vars(module).get(name))):
                raise refused(f"it changes the attribute {name!r} of {type(module).__name__}", "Change it outside")

    def optimizers(self) -> None:
        """Groups, states and hooks. A changed number of a group is taken over by renew()."""
        for optimizer, was, entries, _ in self.recorder.states:
            o = self.bind(optimizer, type(optimizer).__name__.lower())
            if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
                raise refused(f"{type(optimizer).__name__} has hooks", "Call what they do outside")
            self.require(f"not {o}._optimizer_step_pre_hooks and not {o}._optimizer_step_post_hooks")
            self.require(f"{o}.state is {self.bind(was, 'state')}")
            self.require(f"len({self.bind(was, 'state')}) == {len(was)}")
            groups = self.bind(optimizer.param_groups, "groups")
            self.require(f"{o}.param_groups is {groups} and len({groups}) == {len(optimizer.param_groups)}")
            for i, group in enumerate(optimizer.param_groups):
                g, params = self.bind(group, "group"), self.bind(group["params"], "params")
                self.require(
                    f"{groups}[{i}] is {g} and {g}['params'] is {params} and len({params}) == {len(group['params'])}"
                )
                for j, p in enumerate(group["params"]):
                    self.require(f"{params}[{j}] is {self.bind(p, 'p')}")
            for p, found in entries.items():
                if found:
                    e = self.bind(was[p], "entries")
                    self.require(f"{self.bind(was, 'state')}.get({self.bind(p, 'p')}) is {e}")
                    for name, x in found.items():
                        if isinstance(x, TensorBase):
                            self.require(f"{e}.get({name!r}) is {self.bind(x, name)}")
                        else:
                            self.same(f"{e}.get({name!r})", x)
        for group, was in self.recorder.groups:
            changed = [name for name, x in was.items() if name != "params" and not Same(x)(group.get(name))]
            if changed or group.keys() != was.keys():
                raise refused(f"it changes {changed} of an optimizer's group", "Do so (scheduler.step()) outside")

    # the user's functions

    def function(self, function: Any) -> None:
        """What the function, and those that it calls, read by name: globals, closures, defaults, attributes."""
        function = getattr(function, "__wrapped__", function)
        frames = [*self.recorder.called.values()]
        root = plain_function(function)
        owner = getattr(function, "__self__", None)
        functions = {root.__code__: root} if root is not None else {}
        for frame in frames:
            self.globals(frame.f_code, frame.f_globals, functions)
        if root is None:
            self.same_object(self.bind(function, "function"), function)
            return
        if root.__code__.co_filename in INTERNAL:  # a module's __call__
            functions = {}
        elif all(f.f_code is not root.__code__ for f in frames):
            self.globals(root.__code__, root.__globals__, functions)
        f = self.bind(root, "function")
        for name in ("__defaults__", "__kwdefaults__"):
            if getattr(root, name):
                self.require(f"{f}.{name} is {self.bind(getattr(root, name), 'known')}")
                self.same(f"{f}.{name}", getattr(root, name))
        if owner is not None and not isinstance(owner, Module):
            self.same_object(self.bind(owner, "owner"), owner)
        ran = {f.f_code for f in frames} | ({root.__code__} if functions else set())
        if any(code.co_freevars and code not in functions for code in ran):
            self.add_methods(
                functions, [owner, *(f.f_locals.get(f.f_code.co_varnames[0]) for f in frames if f.f_code.co_argcount)]
            )
        looked: set[CodeType] = set()
        while following := [code for code in functions if code in ran and code not in looked]:
            for code in following:
                looked.add(code)
                for name, cell in zip(code.co_freevars, functions[code].__closure__ or (), strict=True):
                    x = cell.cell_contents  # of a function that ran, all cells are full
                    self.remember(x, functions)
                    self.variable(f"{self.bind(cell, 'cell_of_' + name)}.cell_contents", x, code, name)
        known = {c for code in functions for c in codes_in(code)}
        for frame in frames:
            code = frame.f_code
            if code not in known and any(name != "__class__" for name in code.co_freevars):
                raise refused(
                    f"{code.co_name} (line {code.co_firstlineno}) is a closure that can't be looked into",
                    "Call it by a name of its own, or define it in the compiled function",
                )
            for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
                if (x := frame.f_locals.get(name)) is not None and x is not owner:
                    self.same_object(self.bind(x, "owner"), x)

    def add_methods(self, functions: dict[CodeType, Any], owners: list[Any]) -> None:
        """The methods of the modules that were read, and of other objects, by their code."""
        for cls in {type(x) for x in (*(module for module, *_ in self.recorder.read.values()), *owners)}:
            for base in cls.__mro__:
                for method in vars(base).values():
                    function = inspect.unwrap(plain_function(method) or type)
                    if isinstance(function, FunctionType) and function.__code__.co_filename not in INTERNAL:
                        functions.setdefault(function.__code__, function)

    def same_object(self, expression: str, x: Any) -> None:
        if is_users(x):
            self.same(expression, x)

    def remember(self, x: Any, functions: dict[CodeType, Any]) -> None:
        inner = inspect.unwrap(plain_function(x) or type)
        if isinstance(inner, FunctionType) and inner.__code__.co_filename not in INTERNAL:
            functions.setdefault(inner.__code__, inner)

    def globals(self, code: CodeType, found: dict[str, Any], functions: dict[CodeType, Any]) -> None:
        """The names that a function reads in its module; the functions among them are remembered by their code."""
        for name in globals_read(code):
            if name not in found:
                continue
            x = found[name]
            self.remember(x, functions)
            self.variable(f"{self.bind(found, 'names')}[{name!r}]", x, code, name)

    def variable(self, place: str, x: Any, code: CodeType, name: str) -> None:
        if isinstance(x, LRScheduler) or (isinstance(x, (type, FunctionType)) and x.__module__.startswith("minigrad")):
            return
        if isinstance(x, ModuleType) and not is_namespace(x):
            return
        if isinstance(x, Iterator):
            raise refused(f"{code.co_name} reads the iterator {name!r}", "Take the next item outside, and pass it")
        if isinstance(x, np.ndarray):
            live = any(x is array or x.base is array or array.base is x for array in self.live_arrays())
            if not live:
                raise refused(f"{code.co_name} reads the NumPy array {name!r}", "Make it a tensor outside (from_numpy)")
        if isinstance(x, np.random.Generator):
            raise refused(f"{code.co_name} draws from NumPy's generator {name!r}", "Draw outside, or with torch")
        self.same(place, x)

    def live_arrays(self) -> list[Any]:
        return [v.real for v in self.recorder.trace.inputs if isinstance(v.real, np.ndarray)]


class Snapshot:
    """What a function reaches by name, before it is traced: what it changes there a program would not change again."""

    def __init__(self, function: Any) -> None:
        self.places: list[tuple[str, Callable[[], Any], Callable[[Any], Any], Same]] = []
        root = plain_function(getattr(function, "__wrapped__", function))
        if root is not None:
            self.look(root, 2)
        owner = getattr(function, "__self__", None)
        if root is not None and owner is not None and is_users(owner):
            self.places.append(("self", lambda: owner, id, Same(owner, None, DEPTH)))

    def look(self, function: FunctionType, depth: int) -> None:
        code, space = function.__code__, function.__globals__
        found: list[Any] = [
            (name, functools.partial(space.get, name), functools.partial(space.__setitem__, name))
            for name in globals_read(code)
        ]
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            get = functools.partial(getattr, cell, "cell_contents", None)
            found.append((name, get, functools.partial(setattr, cell, "cell_contents")))
        for name, get, put in found:
            x = get()
            if isinstance(x, LRScheduler):
                self.places.append((name, functools.partial(getattr, x, "last_epoch"), id, Same(x.last_epoch)))
            elif not isinstance(x, ModuleType):
                self.places.append((name, get, put, Same(x, None, DEPTH)))
                inner = plain_function(x)
                if depth and inner is not None and inner.__code__.co_filename not in INTERNAL:
                    self.look(inner, depth - 1)

    def check(self) -> None:
        """TracingError where the function has changed something."""
        for name, get, put, same in self.places:
            if not same(get()):
                same.restore()
                put(same.x)
                raise refused(
                    f"it changes {name!r}, which a program would not do again",
                    "Return the tensors, and change what is outside there",
                )
