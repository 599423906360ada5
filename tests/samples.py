"""What a record of an operation is, and how the arguments after its inputs are drawn."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from hypothesis import strategies as st
from strategies import INTEGERS, Drawn, Shape, dim_of
from torch.overrides import get_testing_overrides

Arguments = tuple[tuple[Any, ...], dict[str, Any]]  # by position and by keyword
Params = Callable[[Shape], st.SearchStrategy[Arguments]]
OTHERS = ("bool", *INTEGERS, "float16")


class Tolerance(Enum):
    EXACT = "the same value, the sign of zero included"
    ELEMENTWISE = "a few units in the last place of each value"
    REDUCTION = "a few units in the last place of what was added up"


EXACT, ELEMENTWISE, REDUCTION = Tolerance


@dataclass(frozen=True, eq=False)
class Sample:
    """An operation under its name below torch (`Tensor.` for a method alone), and its arguments.

    `inputs` are the first positional arguments; `params` draws the rest from the shape of the first tensor. A Drawn
    becomes a tensor, wherever it stands; a string under `dtype` becomes that dtype.
    """

    name: str
    inputs: st.SearchStrategy[tuple[Any, ...]]
    params: Params = lambda shape: NONE
    tolerance: Tolerance = EXACT
    variant: str = ""
    degree: int = 1  # of the sum, for REDUCTION: its rounding errors grow with this power of the inputs
    others: tuple[str, ...] = OTHERS  # dtypes besides float32 and float64
    function: Callable[..., Any] | None = None  # (T, *args, **kwargs), where it is not just T.name
    operator: Callable[..., Any] | None = None

    def __str__(self) -> str:
        return f"{self.name}:{self.variant}" if self.variant else self.name

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def arguments(self, draw: st.DrawFn) -> Arguments:
        inputs = draw(self.inputs)
        flat = [x for entry in inputs for x in (entry if isinstance(entry, list) else [entry])]
        args, kwargs = draw(following(self, next((x.shape for x in flat if isinstance(x, Drawn)), ())))
        return inputs + args, kwargs

    def call(self, T: Any, *args: Any, **kwargs: Any) -> Any:
        if self.function is not None:
            return self.function(T, *args, **kwargs)
        return functools.reduce(getattr, self.name.split("."), T)(*args, **kwargs)

    @property
    def has_method(self) -> bool:
        return self.function is None and hasattr(torch.Tensor, self.name)

    @property
    def has_in_place(self) -> bool:
        return self.function is None and hasattr(torch.Tensor, self.name + "_")

    @property
    def has_out(self) -> bool:
        return self.function is None and (self.name in OUT or takes_out(self.name))


# torch.overrides lists most functions that take out=; these too.
OUT = {
    "all", "amax", "amin", "arange", "argmax", "argmin", "argsort", "eye", "floor_divide",
    "full", "linspace", "log_softmax", "mean", "mm", "nonzero", "ones", "prod", "softmax",
    "std", "sum", "var", "where", "zeros",
}  # fmt: skip


@functools.cache
def takes_out(name: str) -> bool:
    if name in ("squeeze", "unsqueeze", "full_like"):  # listed, but refused
        return False
    listed = get_testing_overrides().get(getattr(torch, name, None))
    return listed is not None and "out" in inspect.signature(listed).parameters


@functools.cache
def following(sample: Sample, shape: Shape) -> st.SearchStrategy[Arguments]:
    return sample.params(shape)


REDUCED = st.sampled_from(("mean", "sum", "none"))
FLOAT = st.sampled_from(("float32", "float64"))
fn = "nn.functional."


def given(*args: st.SearchStrategy[Any], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Arguments]:
    """Positional arguments, always; keyword arguments, each of them or not."""
    return st.tuples(st.tuples(*args), st.fixed_dictionaries({}, optional=optional))


NONE = given()


def some(*args: st.SearchStrategy[Any], **optional: st.SearchStrategy[Any]) -> Params:
    """The same, whatever the shape."""
    return lambda shape: given(*args, **optional)


def along(*more: st.SearchStrategy[Any], **optional: st.SearchStrategy[Any]) -> Params:
    """dim, then the rest."""
    return lambda shape: given(dim_of(len(shape)), *more, **optional)
