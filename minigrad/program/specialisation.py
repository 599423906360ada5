"""A specialisation: one straight-line Python function for a trace, its guards before, and what eager leaves after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.autograd import grad_mode
from minigrad.autograd.hooks import Watch
from minigrad.autograd.node import TensorBase
from minigrad.program.contract import CLOSED
from minigrad.program.ending import End
from minigrad.program.guards import Guards
from minigrad.program.joint import Joint, freed
from minigrad.program.lowering import Lowering, indented
from minigrad.program.moment import Fields
from minigrad.program.passes import simplify, zeroes
from minigrad.program.places import CONSTANTS
from minigrad.program.recorder import Recorder, refused
from minigrad.program.representation import Kind, Value
from minigrad.program.results import Results, Seen
from minigrad.program.tracing import SLOT, root_of
from minigrad.program.wording import drop_broadcasts
from minigrad.utils._pytree import tree_flatten

MISS = object()  # what a specialisation returns where it is not the right one
Run = Callable[[tuple[Any, ...], dict[str, Any]], Any]


def apart(x: Any, roots: frozenset[int]) -> bool:
    """Whether an array shares no memory with those that own the memory that is written to."""
    return id(root_of(x)) not in roots


def disjoint(written: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    """Whether no array shares memory with one that is written to."""
    roots = [id(root_of(x)) for x in written]
    return len(set(roots)) == len(roots) and not {id(root_of(x)) for x in others} & set(roots)


class Specialisation(Results):
    """Makes the function of a trace; `run` and `source` are it, None where such a call never comes again."""

    def __init__(
        self, recorder: Recorder, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any,
        joint: Joint, assume_zero: bool, donate: bool,
    ) -> None:  # fmt: skip
        self.recorder = recorder
        self.run: Run | None = None
        self.source = ""
        self.zeroed: list[TensorBase] = []  # gradients that are 0 before and after each call
        self.check_foreign()
        if self.makes_state():
            return
        self.leaves, self.structure = tree_flatten((args, kwargs))
        self.flat = (
            not kwargs and len(self.leaves) == len(args) and all(x is y for x, y in zip(self.leaves, args, strict=True))
        )
        self.arguments = {id(x): i for i, x in reversed([*enumerate(self.leaves)]) if isinstance(x, TensorBase)}
        self.end = End(recorder)
        self.trace = self.end.trace(result)
        self.joint = joint
        joint.forget_seeds(recorder, self.trace)
        self.returned, self.returned_structure = tree_flatten(result)
        self.find_dynamic()
        self.find_results()
        self.prepare(assume_zero)
        self.donated = self.given_away() if donate else {}
        self.low = Lowering(self.trace, self.dynamic, [v.storage for v in self.donated.values()])
        self.guards = Guards(recorder, self.low.bind)
        self.guards.engine()
        self.prelude: list[str] = []
        self.late: list[str] = []  # what follows the conditions that are one expression
        self.tail: list[str] = []
        self.guard_arguments()
        self.guard_tensors()
        self.guards.optimizers()
        self.guards.contract(recorder.contract)
        self.finish()
        self.assemble(function)

    # what can't be compiled

    def check_foreign(self) -> None:
        for tensor in self.recorder.trace.tensors:
            node = tensor._node
            if node is not None and node.watch is not None:
                raise refused("it registers hooks, or retains gradients, of its results", "Leave that out")
        for before in self.recorder.met.values():
            t, fields = before.tensor, before.fields
            if t.watch is not None and (t.watch.hooks or t.watch.after):
                raise refused("a tensor has hooks", "Remove them, or leave the function uncompiled")
            if t._requires_grad is not fields["_requires_grad"] or t._node is not fields["_node"]:
                raise refused("it makes a tensor from outside require gradients, or not", "Do that outside")
            if fields["_requires_grad"] and fields["_node"] is not None and grad_mode.state.grad:
                raise refused("a tensor from outside is the result of recorded operations", "Give its detach()")
            if fields["_view"] is not None and fields["_view"].base._requires_grad:
                raise refused("a tensor from outside is a view of one that requires gradients", "Give its detach()")

    def makes_state(self) -> bool:
        """Whether this was the first step of an optimizer, which makes its state."""
        for optimizer, state, entries, _ in self.recorder.before.optimizers:
            if optimizer.state is not state:
                raise refused("it replaces the state of an optimizer", "Do so outside")
            for p, found in optimizer.state.items():
                was = entries.get(p, {})
                if found.keys() != was.keys():
                    return True
                if any(found[name] is not was[name] for name in found):
                    raise refused("it replaces entries of an optimizer's state", "Leave it uncompiled")
        return False

    # what changes from call to call

    def find_dynamic(self) -> None:
        """The tensors whose arrays are looked up in each call: arguments, gradients, those that get other arrays."""
        self.dynamic: dict[Value, str] = {}
        self.fetched: list[tuple[str, str, Value]] = []  # tensor's expression, array's name, value
        inputs = [(t, v) for t, v in self.recorder.inputs if v in self.trace.inputs or v.tensor is t]
        roots = [id(root_of(v.real)) for v in self.trace.inputs if isinstance(v.real, np.ndarray)]
        rebound = {id(b.tensor) for b in self.recorder.met.values() if SLOT.__get__(b.tensor) is not b.array}
        self.passing: dict[int, str] = {}  # gradients that are other tensors in each call
        for before in self.recorder.met.values():
            grad = before.fields["_grad"]
            if (
                grad is not None
                and before.grad_read
                and before.tensor._grad is not grad
                and id(grad) in self.recorder.met
            ):
                self.passing[id(grad)] = f"g{len(self.passing)}"
        for t, v in inputs:
            alone = roots.count(id(root_of(v.real))) == 1
            if id(t) in self.arguments and alone:
                self.fetch(f"a{self.arguments[id(t)]}", v)
            elif id(t) in self.passing and alone:
                self.fetch(self.passing[id(t)], v)
            elif id(t) in rebound:
                self.fetch("", v)

    def fetch(self, tensor: str, v: Value) -> None:
        self.dynamic[v] = f"x{len(self.fetched)}"
        self.fetched.append((tensor, self.dynamic[v], v))

    def value_of(self, tensor: TensorBase) -> Value:
        value = self.end.known(tensor)
        return value if value is not None else self.recorder.input(tensor, SLOT.__get__(tensor))

    def find_results(self) -> None:
        """The values that must be there at the end: those of returned tensors, new gradients, replaced arrays."""
        own = self.recorder.own
        trace = self.trace
        self.made: list[TensorBase] = []  # tensors that each call makes
        self.bases: dict[int, TensorBase] = {}
        for x in self.returned:
            if isinstance(x, TensorBase) and id(x) in own:
                self.add_made(x)
            elif type(x) not in CONSTANTS and not isinstance(x, CLOSED):
                raise refused(
                    f"it returns an object of type {type(x).__name__}, which a program would not make again",
                    "Return tensors, numbers, strings, None, and tuples, lists, dicts and named tuples of them",
                )
        self.new_grads: list[tuple[Fields, TensorBase | None]] = []
        for before in self.recorder.met.values():
            now, was = before.tensor._grad, before.fields["_grad"]
            if now is not was or (now is None and before.grad_written):
                self.new_grads.append((before, now))
                if now is not None and id(now) in own:
                    self.add_made(now)
        self.replaced = [b for b in self.recorder.met.values() if SLOT.__get__(b.tensor) is not b.array]
        trace.gradients = [(x, self.value_of(x)) for x in self.made]  # the passes keep it up to date
        trace.rebound = [(self.value_of(b.tensor), self.value_of(b.tensor)) for b in self.replaced]
        trace.outputs, trace.state = [None if x is None else self.value_of(x) for x in self.joint.gradients], []

    def given_away(self) -> dict[int, Value]:
        """The new gradients whose memory the next call may take again: those that nobody else is given."""
        values = {id(x): v for x, v in self.trace.gradients if v is not None}
        storages = [v.storage for v in values.values()]
        found = {
            id(x): values[id(x)] for b, x in self.new_grads if x is not None and id(x) in values and not b.grad_read
        }
        returned = set(map(id, self.returned))
        return {i: v for i, v in found.items() if i not in returned and storages.count(v.storage) == 1}

    def add_made(self, x: TensorBase) -> None:
        if any(x is y for y in self.made):
            return
        if any(x is y for y in self.joint.outputs):
            self.made.append(x)
            return
        if x._requires_grad and (x._node is None or not freed(x)):
            raise refused(
                "it returns a tensor that requires gradients, or leaves one in a .grad",
                "Let it call backward() itself, or compute under no_grad(), or return detach()",
            )
        if x._view is not None and id(x._view.base) in self.recorder.own:
            self.add_made(x._view.base)
        self.made.append(x)

    def prepare(self, assume_zero: bool) -> None:
        """Simplify the trace. A gradient that is 0 before and after needs no addition, where nobody wrote to it."""
        trace = self.trace
        candidates = []
        for v in trace.inputs:
            if v.kind is Kind.GRADIENT:
                touching = [
                    s for s in trace.statements if any(w.storage is v.storage for w in (*s.inputs(), *s.writes))
                ]
                known = v.tensor is not None and v not in self.dynamic and bool(touching) and zeroes(touching[-1], v)
                if assume_zero and known and self.was_zero(v):
                    v.key = "zero"
                    candidates.append(v)
                else:
                    v.kind = Kind.CAPTURED
        drop_broadcasts(trace)
        simplify(trace)
        gradients, trace.outputs = trace.outputs, []
        if self.joint.outputs:
            self.joint.split(trace, gradients)
            self.check_memory()
        self.zeroed = [v.tensor for v in candidates if v not in trace.inputs and v.tensor is not None]

    def check_memory(self) -> None:
        """That no two results that require gradients, nor one and what was there before, share memory."""
        values = [v for x, v in self.trace.gradients if any(x is y for y in self.joint.outputs)]
        storages = [v.storage for _, v in self.trace.gradients if v is not None]
        if any(v is None or not v.storage.local or storages.count(v.storage) > 1 for v in values):
            raise refused("it returns views, or inputs, that require gradients", "Let it call backward() itself")

    def was_zero(self, v: Value) -> bool:
        copy = self.recorder.before.memory.get(id(root_of(v.real)))
        return copy is not None and not copy[1].any()

    # guards

    def tensor(self, t: TensorBase) -> str:
        """The expression of a tensor that was there before."""
        if id(t) in self.arguments:
            return f"a{self.arguments[id(t)]}"
        if id(t) in self.passing:
            return self.passing[id(t)]
        return self.low.bind(t, self.named(t))

    def named(self, t: TensorBase) -> str:
        found = next((name for name, x in self.trace.locals.items() if x is t), "")
        return f"{found or 't'}_tensor"

    def guard_arguments(self) -> None:
        names = [f"a{i}" for i in range(len(self.leaves))]
        unpacked = f"{', '.join(names)}{',' if len(names) == 1 else ''} = "
        if self.flat:
            self.prelude.append(f"if len(args) != {len(names)} or kwargs:\n    return MISS")
            self.prelude += [unpacked + "args"] if names else []
        else:
            self.prelude.append(f"leaves, structure = {self.low.bind(tree_flatten, 'tree_flatten')}((args, kwargs))")
            self.prelude.append(f"if structure != {self.low.bind(self.structure, 'expected')}:\n    return MISS")
            self.prelude += [unpacked + "leaves"] if names else []
        for name, x in zip(names, self.leaves, strict=True):
            if isinstance(x, TensorBase):
                first = f"a{self.arguments[id(x)]}"
                self.guards.require(
                    f"{name} is {first}" if first != name else f"type({name}) is {self.low.bind(type(x), 'Tensor')}"
                )
            else:
                self.guards.same(name, x)
        distinct = [f"a{i}" for i in self.arguments.values()]
        for i, name in enumerate(distinct):
            for other in distinct[:i]:
                self.guards.require(f"{name} is not {other}")

    def guard_tensors(self) -> None:
        require = self.guards.require
        held = {id(v.tensor): v for v in self.trace.inputs if v.tensor is not None}
        for t, v in self.recorder.inputs:
            held.setdefault(id(t), v)
        used = {id(v.tensor) for v in self.trace.inputs} | {id(t) for t, _ in self.recorder.inputs}
        fetched = {id(v.tensor) for *_, v in self.fetched}
        for before in self.recorder.met.values():
            t, fields = before.tensor, before.fields
            if id(t) in self.passing:
                continue
            name = self.tensor(t)
            if id(t) in self.arguments and id(t) not in fetched:
                require(f"{name} is {self.low.bind(t, self.named(t))}")
            if id(t) in used and id(t) not in fetched:
                require(f"{name}._array is {self.low.bind(before.array, 'a')}")
            require(f"{name}._requires_grad is {fields['_requires_grad']}")
            if fields["_requires_grad"]:
                require(f"{name}._node is {'None' if fields['_node'] is None else self.low.bind(fields['_node'])}")
                if Watch.any_leaf:
                    require(f"({name}.watch is None or not ({name}.watch.hooks or {name}.watch.after))")
            if id(t) in self.arguments:
                require(f"({name}._view is None or not {name}._view.base._requires_grad)")
            grad = fields["_grad"]
            if before.grad_read:
                if grad is None:
                    require(f"{name}._grad is None")
                elif id(grad) in self.passing:
                    self.passing_gradient(name, self.passing[id(grad)])
                elif id(grad) in self.recorder.met:
                    require(f"{name}._grad is {self.tensor(grad)}")
                else:
                    require(f"{name}._grad is not None")
        self.fetch_arrays()

    def passing_gradient(self, leaf: str, name: str) -> None:
        wrong = f"{name} is None or {name}._requires_grad or {name}._view is not None"
        self.late += [f"{name} = {leaf}._grad", f"if {wrong}:\n    return MISS"]

    def fetch_arrays(self) -> None:
        """Look up arrays that change, and compare shape, dtype, strides; none may share what is written to."""
        written = self.trace.written()
        roots = frozenset(id(s.root) for s in written if not s.local)
        roots -= {id(v.storage.root) for *_, v in self.fetched if v.storage in written}
        for expression, name, v in self.fetched:
            tensor = expression or self.low.bind(v.tensor, self.named(v.tensor))  # type: ignore[arg-type]
            seen = self.low.bind(Seen(), "seen")
            shape, strides = self.low.bind(v.shape, "shape"), self.low.bind(v.strides, "strides")
            dtype = self.low.bind(v.dtype, "dtype")
            wrong = f"{name}.shape != {shape} or {name}.dtype != {dtype} or {name}.strides != {strides}"
            if v.storage in written:
                wrong += f" or not {name}.flags.writeable"
            if roots:
                wrong += f" or not {self.low.bind(apart, 'apart')}({name}, {self.low.bind(roots, 'roots')})"
            self.late += [
                f"{name} = {tensor}._array",
                f"if {name} is not {seen}.array:\n    if {wrong}:\n        return MISS\n    {seen}.array = {name}",
            ]
        changing = [name for _, name, v in self.fetched if v.storage in written]
        if changing and len(self.fetched) > 1:
            others = [name for _, name, v in self.fetched if v.storage not in written]
            sets = [f"({', '.join(names)}{',' if names else ''})" for names in (changing, others)]
            self.late.append(f"if not {self.low.bind(disjoint, 'disjoint')}({', '.join(sets)}):\n    return MISS")

    def numbers(self) -> list[str]:
        """renew(): compute what depends on an optimizer's numbers; False where its groups have changed otherwise."""
        low = self.low
        numbers = [v for v in self.trace.inputs if v.kind is Kind.NUMBER]
        lines = [f"global {', '.join([low.names[v] for v in low.static])}"] if low.static else []
        for _i, (group, _) in enumerate(self.recorder.before.groups):
            was = Group(group, {v.key[2] for v in numbers if v.key[1] == self.place_of(group) and self.owns(v, group)})
            self.groups.append((low.bind(group, "group"), low.bind(was, "was")))
            lines.append(f"if not {self.groups[-1][1]}.matches():\n    return False")
        for v in numbers:
            optimizer, place, name, *index = v.key
            item = f"[{index[0]}]" if index else ""
            lines.append(f"{low.names[v]} = {low.bind(optimizer.param_groups[place], 'group')}[{name!r}]{item}")
        lines += low.renewal
        lines += [f"{was}.take()" for _, was in self.groups]
        return [*lines, "return True"]

    def place_of(self, group: dict[str, Any]) -> int:
        return next(i for o, *_ in self.recorder.before.optimizers for i, g in enumerate(o.param_groups) if g is group)

    def owns(self, v: Value, group: dict[str, Any]) -> bool:
        return any(g is group for g in v.key[0].param_groups)

    groups: list[tuple[str, str]]

    def assemble(self, function: Any) -> None:
        """The source, and the function."""
        low = self.low
        self.groups = []
        renew = self.numbers()
        body: list[str] = [*self.prelude]
        conditions = self.guards.conditions
        body += [
            "try:\n    if not (\n        " + "\n        and ".join(conditions) + "\n    ):\n        return MISS",
            "except (AttributeError, LookupError, ValueError):  # it isn't there any more\n    return MISS",
        ]
        for group, was in self.groups:
            body.append(f"if {group} != {was}.copy and not renew():\n    return MISS")
        body += [*self.late, *low.lines, *self.tail]
        text = ["def renew():", *indented(renew), "", "", "def run(args, kwargs):", *indented(body)]
        self.source = "\n".join(text) + "\n"
        low.space["MISS"] = MISS
        space = low.space
        name = getattr(function, "__name__", type(function).__name__)
        filename = f"<compiled {name} {id(self):#x}>"
        exec(compile(self.source, filename, "exec"), space)
        if self.joint.outputs:
            self.source += "\n\n" + self.joint.source
        if not space["renew"]():
            raise refused("its optimizer's groups can't be compared", "Leave it uncompiled")
        self.run = space["run"]


class Group:
    """An optimizer's group as it was, but for the numbers that may change."""

    def __init__(self, group: dict[str, Any], numbers: set[str]) -> None:
        self.group, self.numbers = group, numbers
        self.fixed = {name: x for name, x in group.items() if name not in numbers}
        self.copy: dict[str, Any] = {}

    def matches(self) -> bool:
        """Whether all but the numbers is as it was, and these still are numbers."""
        if self.group.keys() != self.fixed.keys() | self.numbers:
            return False
        for name in self.numbers:
            if type(self.group[name]) not in (float, tuple):
                return False
        return all(self.group[name] is x or (not isinstance(x, TensorBase) and type(self.group[name]) is type(x)
                   and bool(self.group[name] == x)) for name, x in self.fixed.items())  # fmt: skip

    def take(self) -> None:
        self.copy = dict(self.group)
