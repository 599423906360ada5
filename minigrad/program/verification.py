"""Verification: a new program is run once on the traced call's inputs, and must leave what eager left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad.autograd import graph
from minigrad.autograd.grad_mode import quietly
from minigrad.autograd.node import TensorBase
from minigrad.program.joint import Joint
from minigrad.program.moment import alike, copy_of
from minigrad.program.recorder import Recorder
from minigrad.program.specialisation import MISS
from minigrad.utils._pytree import tree_flatten


class Verification:
    """What an eager call left, when it was just traced; `of` runs a program in its place, and takes it back."""

    def __init__(self, recorder: Recorder, joint: Joint, result: Any) -> None:
        self.before, self.own, self.joint = recorder.before, recorder.own, joint
        for seed in joint.seeds:  # which no call of a program knows
            self.before.tensors.pop(id(seed), None)
        self.leaves, self.structure = tree_flatten(result)
        self.left = self.before.holds()
        self.returned = [*map(self.shown, self.leaves)]
        self.after = self.before.again()

    def shown(self, x: Any) -> Any:
        """What is to be the same of a result."""
        return (copy_of(x), x._requires_grad, x._grad is None) if isinstance(x, TensorBase) else x

    def of(self, run: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        """What a program leaves otherwise; "" where it is not for such a call; None where all is the same."""
        self.before.restore()
        try:
            result = quietly(run, args, kwargs)
            return "" if result is MISS else self.difference(result)
        except Exception as error:
            return f"it raised {error!r}"
        finally:
            self.after.restore()

    def difference(self, result: Any) -> str | None:
        if not alike(self.before.holds(), self.left):
            return "it leaves tensors, gradients, counters or generators otherwise"
        leaves, structure = tree_flatten(result)
        if structure != self.structure or not alike([*map(self.shown, leaves)], self.returned):
            return "it returns something else"
        for x, y in zip(leaves, self.leaves, strict=True):
            if isinstance(y, TensorBase) and id(y) not in self.own and x is not y:
                return "it returns another tensor"
        places = [next(i for i, y in enumerate(self.leaves) if y is x) for x in self.joint.outputs]
        if places:
            outputs: Any = [leaves[i] for i in places]
            below: Any = self.joint.leaves
            seeds: Any = self.joint.seeds
            found = graph.grad(outputs, below, seeds, allow_unused=True)
            expected = self.joint.gradients
            if not all(a is b is None or (a is not None and b is not None and alike(a._array, b._array))
                       for a, b in zip(found, expected, strict=True)):  # fmt: skip
                return "its backward pass gives other gradients"
        return None
