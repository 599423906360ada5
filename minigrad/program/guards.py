"""Guards: what a compiled program relies on, as conditions that are tested before it begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad.autograd.anomaly_mode import Anomaly
from minigrad.autograd.grad_mode import state
from minigrad.autograd.hooks import Watch
from minigrad.autograd.node import TensorBase
from minigrad.metadata import get_default_dtype
from minigrad.nn.modules.hooks import everywhere
from minigrad.program.contract import Contract
from minigrad.program.places import CONSTANTS, MISSING, same
from minigrad.program.recorder import Recorder, refused


class Equal:
    """Compares with a constant, by value."""

    def __init__(self, was: Any) -> None:
        self.was = was

    def __call__(self, x: Any) -> bool:
        return same(x, self.was)


class Guards:
    """The conditions of a trace, as expressions; `bind` gives the objects in them names."""

    def __init__(self, recorder: Recorder, bind: Callable[..., str]) -> None:
        self.recorder, self.bind = recorder, bind
        self.conditions: list[str] = []

    def require(self, condition: str) -> None:
        if condition not in self.conditions:
            self.conditions.append(condition)

    def same(self, expression: str, x: Any) -> None:
        """That an expression gives what it gave: constants by value, all else by identity."""
        if x is None or isinstance(x, bool):
            self.require(f"{expression} is {x!r}")
        elif type(x) in CONSTANTS:
            known, equal = self.bind(x, "known"), self.bind(Equal(x), "same")
            self.require(f"({expression} is {known} or {equal}({expression}))")
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
        self.require(f"not {self.bind(everywhere, 'everywhere')}")

    # modules and optimizers

    def optimizers(self) -> None:
        """Groups, states and hooks. A changed number of a group is taken over by renew()."""
        for optimizer, was, entries, _ in self.recorder.before.optimizers:
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
        for group, was in self.recorder.before.groups:
            changed = [name for name, x in was.items() if not same(group.get(name), x)]
            if changed or group.keys() != was.keys():
                raise refused(f"it changes {changed} of an optimizer's group", "Do so (scheduler.step()) outside")

    # what the contract has noted

    def contract(self, contract: Contract) -> None:
        """Variables, attributes and containers of the user's, and those of modules."""
        missing = {key: (names, set(absent)) for key, (names, absent) in contract.missing.items()}
        for place in contract.places.values():
            if place.was is not MISSING:
                self.same(f"{self.bind(place.holder, 'names')}{place.text}", place.was)
            elif isinstance(place.holder, dict):
                missing.setdefault(id(place.holder), (place.holder, set()))[1].add(place.text[2:-2])
            elif place.text != ".cell_contents":
                self.require(f"not hasattr({self.bind(place.holder, 'holder')}, {place.text[1:]!r})")
        for space in contract.spaces.values():
            if isinstance(space.holder, TensorBase):
                continue
            if contract.everything:
                self.require(f"len({self.bind(space.names, 'names')}) == {len(space.names)}")
            elif absent := {name for name in contract.names - space.seen if name not in space.names}:
                missing.setdefault(id(space.names), (space.names, set()))[1].update(absent)
        for names, length in contract.whole.values():
            self.require(f"len({self.bind(names, 'names')}) == {length}")
        for key, (names, absent) in missing.items():
            if key not in contract.whole:
                self.absent(names, absent)
        for contents in contract.contents.values():
            container = self.bind(contents.x, "container")
            self.require(f"{self.bind(contents.same, 'same')}()" if contents.was else f"not {container}")

    def absent(self, names: Any, absent: set[str]) -> None:
        """That a dict has no entries of these names."""
        name = self.bind(names, "names")
        if not names:
            self.require(f"not {name}")
        elif len(absent) < 4:
            for key in sorted(absent):
                self.require(f"{key!r} not in {name}")
        else:
            self.require(f"{name}.keys().isdisjoint({self.bind(frozenset(absent), 'absent')})")
