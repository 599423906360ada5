"""diagnose(loss): where the first NaN or infinity of a loss, or of its gradients, comes from, and what helps.

The graph keeps what the rules of the derivatives need: inputs of some operations, results of others. From these and the
leaves most other results can be computed again. The operations are looked through in the order of the user's program;
where all their results are finite, the backward pass is run, and the rules are looked through in its order.
"""

from __future__ import annotations

import linecache
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad.autograd.anomaly_mode import Anomaly
from minigrad.autograd.grad_mode import quietly
from minigrad.autograd.graph import below, run_sweep, seeds_of
from minigrad.autograd.node import Array, Node, TensorBase, line_of
from minigrad.primitive import Pull

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


@dataclass(frozen=True)
class Diagnosis:
    """What diagnose() found. `str()` tells it in words."""

    operation: str  # PyTorch's name of the node, such as "LogBackward0"; "" where all is finite
    direction: str  # "forward", "backward", or "data" where what came in wasn't finite
    filename: str
    line: int
    place: tuple[int, ...]  # of the first element that is not finite
    values: dict[str, float]  # what stands there: arguments by the names of the table of derivatives, result, gradients
    mechanism: str
    rewrite: str

    def __str__(self) -> str:
        if not self.operation:
            return self.mechanism
        source = linecache.getline(self.filename, self.line).strip()
        values = ", ".join(f"{name} = {value:g}" for name, value in self.values.items())
        where = "came into" if self.direction == "data" else f"in the {self.direction} pass of"
        return (
            f"{self.mechanism}\n  {where} {self.operation}\n"
            f'  File "{self.filename}", line {self.line}\n    {source}\n'
            f"  at index {list(self.place)}: {values}\n  {self.rewrite}"
        )


def diagnose(loss: Tensor) -> Diagnosis:
    """The first operation, forward or backward, whose result is not finite: where it is, why, and the usual rewrite.

    Call it before backward(), which frees the graph, or after backward(retain_graph=True). No `.grad` is touched.
    RuntimeError where the graph is freed, or where there is none.
    """
    node = loss.grad_fn
    if node is None:
        raise RuntimeError("diagnose() needs a loss with a graph: one that was computed from tensors that require grad")
    nodes = sorted(below([node]), key=attrgetter("sequence"))
    known = Known(nodes)
    known.results[node] = loss._array
    return (
        forwards(nodes, known)
        or backwards(loss, known)
        or Diagnosis("", "", "", 0, (), {}, "The loss and all gradients are finite.", "")
    )


class Known:
    """The results and arguments of the operations, as far as the graph tells."""

    def __init__(self, nodes: list[Node]) -> None:
        self.results: dict[Node, Array] = {}
        for node in nodes:
            saved = node.check()
            if node.plan.out and isinstance(saved["out"], np.ndarray):
                self.results[node] = saved["out"]
            edges = dict(zip((i for i, *_ in node.plan.edges), (edge for edge, *_ in node.edges), strict=True))
            for name, i in node.plan.saves:
                edge = edges.get(i)
                if isinstance(edge, Node) and isinstance(saved[name], np.ndarray):
                    self.results[edge] = saved[name]

    def arguments(self, node: Node) -> dict[str, Any]:
        """Those arguments of an operation that are known, by their names in its row."""
        saved, row = node.check(), node.plan.primitive
        edges = dict(zip((i for i, *_ in node.plan.edges), (edge for edge, *_ in node.edges), strict=True))
        found: dict[str, Any] = {}
        for i, name in enumerate(row.rules):
            edge = edges.get(i)
            if name in saved:
                found[name] = saved[name]
            elif isinstance(edge, TensorBase):
                found[name] = edge._array
            elif edge in self.results:
                found[name] = self.results[edge]
        return found

    def result(self, node: Node) -> Array | None:
        """The result of an operation: kept, or computed again from its arguments; None where one is unknown."""
        if node not in self.results:
            row, arguments, saved = node.plan.primitive, self.arguments(node), node.check()
            if row.each is not None or len(arguments) < len(row.rules) or row.function is tuple:
                return None
            metadata = {name for name, *_ in node.plan.metadata}
            params = {k: v for k, v in saved.items() if k not in {*row.rules, *metadata, "out", "outputs"}}
            made = quietly(partial(row.function, **params), *arguments.values())
            if not isinstance(made, (np.ndarray, np.generic)):
                return None
            self.results[node] = np.asarray(made)
        return self.results[node]


def forwards(nodes: list[Node], known: Known) -> Diagnosis | None:
    """The first operation whose result is not finite, or one of whose arguments is not."""
    for node in nodes:
        result, arguments = known.result(node), known.arguments(node)
        for name, x in arguments.items():
            if not np.isfinite(x).all():
                return report(node, "data", x, {name: x})
        if result is not None and not np.isfinite(result).all():
            return report(node, "forward", result, {**arguments, "result": result})
    return None


class NotFinite(Exception):
    """Carries what was found out of the sweep."""

    def __init__(self, found: Diagnosis) -> None:
        self.found = found


def backwards(loss: Tensor, known: Known) -> Diagnosis | None:
    """The first rule whose gradient is not finite."""

    def check(node: Node, rule: Pull, gx: Any, g: Any, values: dict[str, Any]) -> None:
        for x in gx if isinstance(gx, list) else [gx]:
            if x is not None and not np.isfinite(x).all():
                shown = {**known.arguments(node), "result": known.results.get(node), "g": g}
                raise NotFinite(report(node, "backward", x, shown))

    before, Anomaly.check = Anomaly.check, check
    try:
        run_sweep(seeds_of(loss, None, False)[0], retain_graph=True, create_graph=False)
    except NotFinite as error:
        return error.found
    finally:
        Anomaly.check = before
    return None


def report(node: Node, direction: str, found: Any, shown: dict[str, Any]) -> Diagnosis:
    """What is to be said of the first element of `found` that is not finite, and of what stands there in `shown`."""
    array = np.asarray(found)
    place = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0]) if array.ndim else ()
    values = {name: float(np.broadcast_to(x, array.shape)[place]) for name, x in shown.items() if fits(x, array.shape)}
    operation = re.sub(r"Backward\d*$", "", node.name())
    here = [c for c in CAUSES if c.direction == direction and operation in (c.names.split() or [operation])]
    cause = next(c for c in here if c.holds(At(values)))
    filename, line, _ = line_of(node.where)
    return Diagnosis(node.name(), direction, filename, line, place, values, cause.mechanism, cause.rewrite)


def fits(x: Any, shape: tuple[int, ...]) -> bool:
    """Whether x has an element for each of an array of that shape."""
    lead = len(shape) - np.ndim(x)
    return x is not None and lead >= 0 and all(n in (1, m) for n, m in zip(np.shape(x), shape[lead:], strict=True))


class At(dict[str, float]):
    """The values at a place; NaN, of which nothing holds, for those that are not known."""

    def __missing__(self, name: str) -> float:
        return math.nan


class Cause(NamedTuple):
    """A way to NaN or infinity: in which direction, at which operations (all, if none is named), and when."""

    direction: str
    names: str
    holds: Callable[[At], bool]
    mechanism: str
    rewrite: str


def always(v: At) -> bool:
    return True


def masked(v: At) -> bool:
    """A gradient of 0 came in: the value is not used."""
    return v["g"] == 0


LOGARITHMS, EXPONENTIALS, QUOTIENTS = "Log Log2 Log10 Log1P", "Exp Exp2 Expm1 Sinh Cosh", "Div Reciprocal Rsqrt"
DENOMINATOR = "Keep the denominator away from 0: y + eps, or torch.where(y == 0, 1, y) before dividing."
EXPONENT = "Subtract the maximum first, or use logsumexp, log_softmax, CrossEntropyLoss or BCEWithLogitsLoss."
PROBABILITY = "Use log_softmax or BCEWithLogitsLoss on the scores, or x.clamp(min=eps)."
STEP = "Lower the learning rate, scale the inputs, or clip gradients (torch.nn.utils.clip_grad_norm_)."
DATA = (
    "Look for NaN in the data: torch.isnan(x).any(). If it is a parameter, an earlier step spoiled it: diagnose that."
)
MASKED = (
    "Mask before it: torch.where(mask, x, 1) as its argument. A mask behind it stops the value, but the 0 that comes "
    "back meets an infinite derivative."
)
CAUSES = (
    Cause("data", "", always, "A tensor that came in is not finite.", DATA),
    Cause("forward", "Add Sub", lambda v: math.isnan(v["x"]) is not math.isnan(v["y"]),
          "What was added, and is not kept, is not finite.", DATA),
    Cause("forward", EXPONENTIALS, lambda v: v["x"] != 0, "Overflow in exp.", EXPONENT),
    Cause("forward", LOGARITHMS, lambda v: v["x"] == 0, "Logarithm of 0.", PROBABILITY),
    Cause("forward", LOGARITHMS, lambda v: v["x"] < 0, "Logarithm of a negative number, or log1p of -1 or less.",
          "Make the argument positive: softplus or exp of a free parameter, or x.clamp(min=eps)."),
    Cause("forward", "Sqrt Rsqrt", lambda v: math.isnan(v["result"]), "Square root of a negative number.",
          "Rounding can make a variance negative: x.clamp(min=0), or the sum of squares of differences."),
    Cause("forward", QUOTIENTS, lambda v: v["y"] == 0 or v["x"] == 0, "Division by zero.", DENOMINATOR),
    Cause("forward", "Pow", lambda v: v["x"] < 0 and math.isnan(v["result"]),
          "A fractional power of a negative number.", "Take x.abs() or x.clamp(min=0)."),
    Cause("forward", "Pow", lambda v: v["x"] == 0, "A negative power of 0.", DENOMINATOR),
    Cause("forward", "Asin Acos", always, "An argument outside of [-1, 1].", "Use x.clamp(-1, 1)."),
    Cause("forward", "", always, "Overflow: a number too large for its dtype, or infinities that cancel.", STEP),
    Cause("backward", "Sqrt", masked, "0 times infinity: sqrt at 0, behind a mask.", MASKED),
    Cause("backward", "Sqrt", always, "The derivative of sqrt at 0 is infinite.", "Write (x + eps).sqrt()."),
    Cause("backward", "LinalgVectorNorm Std Var", always, "The derivative of a norm or deviation at 0, or of too few.",
          "Add eps under the root: (x.square().sum() + eps).sqrt(); give std at least two numbers, or correction=0."),
    Cause("backward", LOGARITHMS, masked, "0 times infinity: log at 0, behind a mask.", MASKED),
    Cause("backward", LOGARITHMS, always, "The derivative of a logarithm at its end is infinite.", PROBABILITY),
    Cause("backward", QUOTIENTS, masked, "0 times infinity: a division by 0, behind a mask.", MASKED),
    Cause("backward", QUOTIENTS, always, "Division by zero, or by too small a number.", DENOMINATOR),
    Cause("backward", "Pow", lambda v: v["x"] == 0 == v["g"], "0 times infinity: a root at 0, behind a mask.", MASKED),
    Cause("backward", "Pow", lambda v: v["x"] == 0, "The derivative of a root at 0 is infinite.",
          "Write (x + eps) ** p."),
    Cause("backward", "Asin Acos", always, "The derivative at -1 and 1 is infinite.",
          "Use x.clamp(-1 + eps, 1 - eps)."),
    Cause("backward", EXPONENTIALS, always, "Overflow in exp, in its derivative.", EXPONENT),
    Cause("backward", "", masked, "0 times infinity: an infinite derivative, behind a mask.", MASKED),
    Cause("backward", "", always, "Overflow: a gradient too large for its dtype.", STEP),
)  # fmt: skip
