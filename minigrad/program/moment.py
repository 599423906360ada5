"""How tensors, memory, optimizers and generators are at one moment: to put it back, and to compare with another."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.autograd.node import TensorBase
from minigrad.optim.optimizer import Optimizer
from minigrad.program.tracing import SLOT, root_of

FIELDS = ("_counter", "_grad", "_node", "_requires_grad", "_view")
LARGE = 1 << 27  # bytes: memory that a function doesn't write to is not copied beyond
SLOTS: dict[str, Any] = {name: TensorBase.__dict__[name] for name in FIELDS}


class Fields:
    """A tensor's fields, and its storage's count of writes."""

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


class Moment:
    """What has been noted of one moment; more may be noted, before it changes."""

    def __init__(self) -> None:
        self.tensors: dict[int, Fields] = {}  # by their ids
        self.memory: dict[int, tuple[Any, Any]] = {}  # arrays that own memory, by their ids, and what they held
        self.streams: list[tuple[Any, Any]] = []  # generators, and their states
        self.optimizers: list[tuple[Optimizer, Any, dict[Any, dict[str, Any]], bool]] = []
        self.dicts: list[tuple[dict[Any, Any], dict[Any, Any]]] = []  # of the optimizers' states, and what was in them
        self.groups: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def note_memory(self, root: Any) -> None:
        if id(root) not in self.memory:
            self.memory[id(root)] = root, root.copy()

    def note_stream(self, stream: Any) -> None:
        if all(stream is not s for s, _ in self.streams):
            self.streams.append((stream, stream.state()))

    def note_optimizer(self, optimizer: Optimizer) -> None:
        """Its groups and its state."""
        if all(optimizer is not o for o, *_ in self.optimizers):
            entries = {p: dict(found) for p, found in optimizer.state.items()}
            self.optimizers.append((optimizer, optimizer.state, entries, optimizer._opt_called))
            dicts: list[dict[Any, Any]] = [optimizer.state, *optimizer.state.values()]
            self.dicts += [(found, dict(found)) for found in dicts]
            self.groups += [(group, dict(group)) for group in optimizer.param_groups]

    def again(self) -> Moment:
        """The same things as they are now, and what has come to them since."""
        now = Moment()
        for i, fields in self.tensors.items():
            now.tensors[i] = Fields(fields.tensor)
        for fields in [*now.tensors.values()]:
            if (grad := fields.fields["_grad"]) is not None:
                now.tensors.setdefault(id(grad), Fields(grad))
        for root in (*(root for root, _ in self.memory.values()), *(root_of(x.array) for x in now.tensors.values())):
            if id(root) in self.memory or root.nbytes <= LARGE:
                now.note_memory(root)
        for stream, _ in self.streams:
            now.note_stream(stream)
        for optimizer, *_ in self.optimizers:
            now.note_optimizer(optimizer)
        return now

    def restore(self) -> None:
        """Let all that has been noted be as it was then. It may be done twice."""
        for root, copy in self.memory.values():
            if root.flags.writeable:
                root[...] = copy
        for fields in self.tensors.values():
            fields.restore()
        for optimizer, state, _, called in self.optimizers:
            optimizer.state, optimizer._opt_called = state, called
        for found, was in (*self.groups, *self.dicts):
            found.clear()
            found.update(was)
        for stream, was in self.streams:
            stream.restore(was)

    def holds(self) -> list[Any]:
        """What there is to compare: numbers and arrays, in an order of its own."""
        found: list[Any] = []
        for fields in self.tensors.values():
            t, grad = fields.tensor, fields.tensor._grad
            found += [copy_of(t), list.__getitem__(t._counter, 0), t._requires_grad, grad is None]
            if grad is not None:
                found += [copy_of(grad), list.__getitem__(grad._counter, 0), grad._requires_grad]
        for optimizer, *_ in self.optimizers:
            for entries in optimizer.state.values():
                found += [copy_of(x) if isinstance(x, TensorBase) else x for x in entries.values()]
            found.append(optimizer._opt_called)
        return [*found, *(stream.state() for stream, _ in self.streams)]


def copy_of(tensor: TensorBase) -> Any:
    """Its array as it is now; of a large one, that it is there."""
    return np.array(tensor._array) if tensor._array.nbytes <= LARGE else tensor._array.shape


def alike(x: Any, y: Any) -> bool:
    """Whether arrays and numbers are the same to the bit, but for the sign of zeros and the payload of NaNs."""
    if isinstance(x, np.ndarray) or isinstance(y, np.ndarray):
        kinds = np.asarray(x).dtype == np.asarray(y).dtype and np.shape(x) == np.shape(y)
        return kinds and bool(np.array_equal(x, y, equal_nan=np.asarray(x).dtype.kind in "fc"))
    if isinstance(x, (tuple, list)):
        return type(x) is type(y) and len(x) == len(y) and all(map(alike, x, y))
    return type(x) is type(y) and bool(x == y or (x != x and y != y))
