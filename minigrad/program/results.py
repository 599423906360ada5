"""What a compiled program leaves, as eager does: new tensors, gradients, counters; and what it returns."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.autograd import grad_mode
from minigrad.autograd.node import TensorBase, View, wrap
from minigrad.program.guards import Guards
from minigrad.program.joint import Joint
from minigrad.program.lowering import Lowering
from minigrad.program.moment import Fields
from minigrad.program.recorder import Recorder, refused
from minigrad.program.representation import Trace, Value
from minigrad.utils._pytree import TreeSpec, tree_unflatten


class Results:
    """The last part of a specialisation, which writes the lines that come after the computation."""

    recorder: Recorder
    trace: Trace
    low: Lowering
    guards: Guards
    joint: Joint
    tail: list[str]
    arguments: dict[int, int]  # the numbers of the tensors among the arguments, by their ids
    donated: dict[int, Value]  # gradients, by their ids, whose tensors and memory serve again
    passing: dict[int, str]  # the names of the gradients that are other tensors in each call
    made: list[TensorBase]  # the tensors that each call makes
    new_grads: list[tuple[Fields, TensorBase | None]]
    replaced: list[Fields]  # the tensors that get another array
    zeroed: list[TensorBase]  # gradients that are 0 before and after each call
    returned: list[Any]
    returned_structure: TreeSpec

    def tensor(self, t: TensorBase) -> str:
        raise NotImplementedError

    def finish(self) -> None:
        """Leave everything as eager does, and return what the function returned."""
        low, tail = self.low, self.tail
        counters: dict[int, tuple[str, list[Any], list[Any]]] = {}
        for before in self.recorder.met.values():
            counter = before.fields["_counter"]
            known = self.arguments.get(id(before.tensor)) is None and id(before.tensor) not in self.passing
            name = low.bind(counter, "counter") if known else f"{self.tensor(before.tensor)}._counter"
            counters.setdefault(id(counter), (name, counter, before.versions))
        for name, counter, versions in counters.values():
            count = list.__getitem__(counter, 0) - versions[0]
            if count:
                tail.append(f"{name}[0] += {count}\n{name}[1] = {low.bind(counter[1], 'note')}")
        values = {id(x): v for x, v in self.trace.gradients if v is not None}
        self.done: set[str] = set()
        self.made_names = {id(x): f"out{i}" for i, x in enumerate(self.made)}
        if self.joint.outputs:
            self.record_joint(values)
        for x in self.made:
            if id(x) in self.donated:
                again = low.bind(wrap(np.empty(0)), "gradient")
                tail.append(f"{again}._array = {low.array(values[id(x)])}\n{again}._counter = [0, None]")
                self.made_names[id(x)] = again
            elif not any(x is y for y in self.joint.outputs):
                self.make_tensor(x, values[id(x)])
        for before, now in self.new_grads:
            value = "None" if now is None else self.made_names.get(id(now)) or self.tensor(now)
            tail.append(f"{self.tensor(before.tensor)}._grad = {value}")
        for before, (_, v) in zip(self.replaced, self.trace.rebound, strict=True):
            tail.append(f"{self.tensor(before.tensor)}._array = {low.array(v)}")
        for optimizer, *_ in self.recorder.before.optimizers:
            if hasattr(optimizer.step, "observed"):
                tail.append(f"{low.bind(optimizer, 'optimizer')}._opt_called = True")
        for _i, t in enumerate(self.zeroed):
            version = low.bind(Seen(), "zero")
            low.space[version].array = counters[id(t._counter)][2][0]  # as it was before the traced call
            self.guards.require(f"{low.bind(t._counter, 'counter')}[0] == {version}.array")
            tail.append(f"{version}.array = {low.bind(t._counter, 'counter')}[0]")
        tail.append(f"return {self.returning()}")

    def record_joint(self, values: dict[int, Value]) -> None:
        """Make the results that require gradients, with the node whose backward pass is the other program."""
        low, joint = self.low, self.joint
        outputs = [values[id(x)] for x in joint.outputs]
        kept = [self.tensor(v.tensor) for v in joint.saved if v.tensor is not None]
        places = [i for i, v in enumerate(outputs) if any(v.storage is w.storage for w in joint.saved)]
        arguments = [
            tupled([low.array(v) for v in outputs]),
            low.bind([list(x._counter) for x in joint.outputs], "counters"),
            tupled([low.text(v) if v.is_number else low.array(v) for v in joint.saved]),
            tupled(kept),
            repr(tuple(places)),
            *map(self.tensor, joint.leaves),
        ]
        names = [self.made_names[id(x)] for x in joint.outputs]
        apply = low.bind(joint.function().apply, "record")
        self.tail.append(f"{', '.join(names)}, = {apply}({', '.join(arguments)})")

    def make_tensor(self, x: TensorBase, v: Value) -> None:
        low, name = self.low, self.made_names[id(x)]
        counter = x._counter
        owner = next((b.tensor for b in self.recorder.met.values() if b.fields["_counter"] is counter), None)
        shared = next((self.made_names[id(y)] for y in self.made if y is not x and y._counter is counter), None)
        if owner is not None:
            text = f"{self.tensor(owner)}._counter"
        elif shared in self.done:
            text = f"{shared}._counter"
        elif type(counter) is grad_mode.Untracked:
            text = f"{low.bind(grad_mode.Untracked, 'Untracked')}()"
        else:
            text = f"[*{low.bind(list(counter), 'counter')}]" if counter[0] else "[0, None]"
        self.done.add(name)
        new = low.bind(object.__new__, "new")
        self.tail += [
            f"{name} = {new}({low.bind(type(x), 'Tensor')})",
            f"{name}._array = {low.array(v)}",
            f"{name}._counter = {text}",
            f"{name}._grad = None" if x._node is not None else f"{name}._grad = {name}._node = None",
            f"{name}._requires_grad = {x._requires_grad}",
        ]
        if x._node is not None:
            self.tail.append(f"{name}._node = {low.bind(x._node, 'node')}")
        view = x._view
        if view is None:
            self.tail.append(f"{name}._view = None")
        else:
            base = self.made_names.get(id(view.base)) or self.tensor(view.base)
            self.tail.append(f"{name}._view = {low.bind(View, 'View')}({base}, {name}._counter[0], {view.recorded})")
        if getattr(x, "__dict__", None):
            raise refused("it returns a tensor with attributes of its own", "Return a plain one")

    def returning(self) -> str:
        low = self.low
        texts = []
        for x in self.returned:
            if isinstance(x, TensorBase):
                texts.append(self.made_names.get(id(x)) or self.tensor(x))
            elif x is None or isinstance(x, (bool, int, str)):
                texts.append(repr(x))
            else:
                texts.append(low.bind(x, "result"))
        spec = self.returned_structure
        if spec.type is None:
            return texts[0]
        if spec.type in (tuple, list) and spec.context is None and all(c.type is None for c in spec.children_specs):
            inside = ", ".join(texts)
            return f"[{inside}]" if spec.type is list else f"({inside}{',' if len(texts) == 1 else ''})"
        rebuild = low.bind(tree_unflatten, "tree_unflatten")
        return f"{rebuild}([{', '.join(texts)}], {low.bind(spec, 'structure')})"


def tupled(texts: list[str]) -> str:
    return f"({''.join(text + ', ' for text in texts)})"


class Seen:
    """Remembers one thing from call to call."""

    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array: Any = None
