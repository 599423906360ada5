"""What a row of the table of derivatives is: a function, its rules, and the plan of what they need to be kept."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.kernels import Array, cast
from minigrad.kernels.layout import in_order

Rule = Callable[..., Array]
Pull = Callable[[Any, dict[str, Any]], Any]  # a rule, given the gradient and the saved values by their names


class Plan:
    """What to keep for the backward pass, given which inputs require gradients."""

    __slots__ = ("edges", "frees", "metadata", "out", "primitive", "saves")

    def __init__(
        self,
        primitive: Primitive,
        edges: tuple[tuple[int, Pull], ...],  # input number, its rule
        saves: tuple[tuple[str, int], ...] = (),  # inputs to keep: name, number
        metadata: tuple[tuple[str, int, str], ...] = (),  # name, number and attribute, for x_shape and x_dtype
        out: bool = False,  # whether to keep the result
    ) -> None:
        self.primitive, self.edges, self.saves, self.metadata, self.out = primitive, edges, saves, metadata, out
        self.frees = primitive.keeps or bool(saves) or out  # whether a backward pass frees the node


class Primitive:
    """A row of the table: a function on arrays, the name of its node, and a rule for each array argument."""

    __slots__ = ("_wide", "each", "function", "in_single", "keeps", "name", "packed", "plans", "rules", "view")

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        view: bool,
        number: int,
        rules: dict[str, Rule | None],
        in_single: str = "value",
        keeps: bool = False,
        packed: bool = False,
    ) -> None:
        self.function = getattr(function, "__wrapped__", function)
        if packed:
            self.function = packing(self.function)
        self.name = name if "::" in name else f"{name}Backward{number}"
        self.view, self.keeps, self.packed = view, keeps, packed
        self.each = rules.pop("each", None)  # the one rule of a function of any number of arrays
        self.rules = rules
        self.plans: dict[int, Plan] = {}
        self.in_single = in_single
        self._wide: Primitive | None = self if view or in_single == "nothing" else None

    @property
    def wide(self) -> Primitive:
        """The row for float16, which PyTorch converts to float32 for an operation and rounds once, after it."""
        if self._wide is None:
            self._wide = wide = copy.copy(self)
            wide._wide, wide.plans = wide, {}
            # The function as it is then: tracing puts others in their places.
            wide.function = computed_in_single(lambda *arrays, **params: self.function(*arrays, **params))
            if self.in_single == "all":
                wide.each = computed_in_single(self.each)
                wide.rules = {name: computed_in_single(rule) for name, rule in self.rules.items()}
        return self._wide

    def plan(self, needs: int) -> Plan:
        """The plan for the inputs whose bits are set in `needs`; made once, then looked up."""
        plan = self.plans.get(needs)
        if plan is None:
            plan = self.plans[needs] = self.make_plan(needs)
        return plan

    def make_plan(self, needs: int) -> Plan:
        if self.each:
            wanted = [i for i in range(needs.bit_length()) if needs >> i & 1]
            names = parameter_names(self.each)[1:]
            return Plan(self, tuple((i, pull(functools.partial(self.each, i), names)) for i in wanted))
        arguments = {name: i for i, name in enumerate(self.rules)}
        rules = [(i, rule) for i, rule in enumerate(self.rules.values()) if rule is not None and needs >> i & 1]
        needed = dict.fromkeys(name for _, rule in rules for name in parameter_names(rule))
        return Plan(
            self,
            tuple((i, pull(rule, parameter_names(rule))) for i, rule in rules),
            tuple((name, arguments[name]) for name in needed if name in arguments),
            tuple(
                (name, arguments[argument], attribute)
                for name in needed
                for argument, _, attribute in [name.partition("_")]
                if argument in arguments and attribute in ("shape", "dtype")
            ),
            "out" in needed,
        )


def packing(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with the elements of its result in the order of the indices in memory."""

    @functools.wraps(function)
    def call(*args: Any, **params: Any) -> Any:
        return in_order(function(*args, **params))

    return call


def computed_in_single(function: Any) -> Any:
    """`function`, or None, with float16 converted to float32 before it, and back after it."""
    if function is None:
        return None

    @functools.wraps(function)
    def call(*args: Any, **params: Any) -> Any:
        return converted(function(*converted(args, HALF, SINGLE), **params), SINGLE, HALF)

    return call


HALF, SINGLE = np.dtype(np.float16), np.dtype(np.float32)


def converted(x: Any, source: np.dtype[Any], target: np.dtype[Any]) -> Any:
    """x, or what is in a sequence of them, in the dtype `target` where it is in `source`; the rest as it is."""
    if isinstance(x, list) or type(x) is tuple:
        return type(x)(converted(entry, source, target) for entry in x)
    dtype = getattr(x, "dtype", None)
    return cast(x, dtype=target) if getattr(dtype, "numpy", dtype) == source else x


@functools.cache
def parameter_names(rule: Rule) -> tuple[str, ...]:
    """The names that a rule asks for, after g."""
    return tuple(inspect.signature(rule).parameters)[1:]


def pull(rule: Rule, names: tuple[str, ...]) -> Pull:
    """A rule that takes what it names from the saved values. Few names are written out: the sweep does little else."""
    match names:
        case ():
            return lambda g, saved: rule(g)
        case (x,):
            return lambda g, saved: rule(g, saved[x])
        case (x, y):
            return lambda g, saved: rule(g, saved[x], saved[y])
        case (x, y, z):
            return lambda g, saved: rule(g, saved[x], saved[y], saved[z])
    return lambda g, saved: rule(g, *[saved[name] for name in names])


class Table(dict[Any, Primitive]):
    """The rows by their functions; a row that is not in the table, as those for float16, stands for itself."""

    def __missing__(self, function: Any) -> Primitive:
        if isinstance(function, Primitive):
            return function
        raise NotImplementedError(
            f"{getattr(function, '__name__', function)} has no row in the table of derivatives: its result would have "
            "no history, and gradients through it would be lost"
        )
