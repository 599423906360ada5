"""Runs an example under minigrad or under torch and records its trajectory: what it prints, each loss, each update.

The script is the one that a reader runs: its `import torch` gives the engine. Only its dtypes are replaced (for
float64), and its figures are drawn but not saved. Each call of `backward` marks a step: the loss is that on which it
was called, the parameters are the leaves among the variables of the caller, and their values after the step's update
are read when the next step begins, or the script ends.
"""

import contextlib
import importlib
import io
import re
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from minigrad import as_torch

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
TO_FLOAT64 = (("float32", "float64"), ("FloatTensor", "DoubleTensor"), (".float()", ".double()"))


@dataclass
class Step:
    """One call of `backward`, and the update after it."""

    loss: float
    new: dict[str, np.ndarray]  # the parameters that the step before didn't have: their initial values
    updated: dict[str, np.ndarray] = field(default_factory=dict)  # every parameter after the update


@dataclass
class Recording:
    steps: list[Step]
    text: str
    warnings: list[tuple[type[Warning], str]]
    figures: list[str]
    variables: dict[str, Any]  # the script's, at its end
    checkpoint: dict[str, np.ndarray]  # what it saved to model.ckpt


def array(tensor):
    return np.array(tensor.detach().numpy())  # a copy: updates are in place


def parameters_among(variables, engine):
    """The leaves that require grad among the variables and in their modules, by name."""
    found = {}
    for name, value in variables.items():
        if isinstance(value, engine.nn.Module):
            found |= {f"{name}.{key}": parameter for key, parameter in value.named_parameters()}
        elif isinstance(value, engine.Tensor) and value.is_leaf and value.requires_grad:
            found[name] = value
    return found


def record(
    example: str, engine_name: str, dtype: str, folder: Path, on_step: Callable[[int, Step], None] | None = None
) -> Recording:
    """Run `examples/<example>.py` in `folder`. Steps go to `on_step` (and are not kept) where it is given."""
    engine = importlib.import_module(engine_name)
    path = EXAMPLES / f"{example}.py"
    source = path.read_text()
    for old, new in TO_FLOAT64 if dtype == "float64" else ():
        source = source.replace(old, new)

    steps: list[Step] = []
    figures: list[str] = []
    pending: list[Step] = []
    held: dict[str, Any] = {}
    count = 0
    original_backward = engine.Tensor.backward

    def finish_step():
        nonlocal count
        if pending:
            step = pending.pop()
            step.updated = {name: array(parameter) for name, parameter in held.items()}
            if on_step is None:
                steps.append(step)
            else:
                on_step(count, step)
            count += 1

    def backward(loss, *args, **kwargs):
        nonlocal held
        finish_step()
        caller = sys._getframe(1)
        found = parameters_among({**caller.f_globals, **caller.f_locals}, engine)
        new = {name: array(parameter) for name, parameter in found.items() if held.get(name) is not parameter}
        held = found
        pending.append(Step(loss.item(), new))
        return original_backward(loss, *args, **kwargs)

    variables: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
    text = io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(text),
        stand_in_for_plots(figures),
        imported_as_torch(engine_name),
        mock.patch.object(engine.Tensor, "backward", backward),
        warnings.catch_warnings(record=True) as caught,
        default_dtype(engine, dtype),
    ):
        warnings.simplefilter("always")
        try:
            exec(compile(source, str(path), "exec"), variables)
            finish_step()
        finally:
            plt.close("all")
        checkpoint = engine.load("model.ckpt") if Path("model.ckpt").exists() else {}
    return Recording(
        steps=steps,
        text=text.getvalue(),
        # NumPy's remark on the signature of torch's __array__ is not of torch's making
        warnings=[(w.category, str(w.message)) for w in caught if "__array__" not in str(w.message)],
        figures=figures,
        variables=variables,
        checkpoint={name: array(value) for name, value in checkpoint.items()},
    )


@contextlib.contextmanager
def imported_as_torch(engine_name):
    """`import torch` gives the engine."""
    if engine_name == "minigrad":
        as_torch.install_as_torch()
    try:
        yield
    finally:
        as_torch.uninstall()


@contextlib.contextmanager
def stand_in_for_plots(figures):
    """A module `plots` that notes the names of the figures and saves nothing."""

    def save(name):
        figures.append(name)
        plt.close()

    plots = types.ModuleType("plots")
    plots.save, plots.redraw = save, lambda name=None: None
    sys.modules["plots"] = plots
    try:
        yield
    finally:
        del sys.modules["plots"]


@contextlib.contextmanager
def default_dtype(engine, dtype):
    before = engine.get_default_dtype()
    engine.set_default_dtype(getattr(engine, dtype))
    try:
        yield
    finally:
        engine.set_default_dtype(before)


NUMBER = re.compile(r"(?<![A-Za-z\d])[-+]?\d+\.?\d*(?:e[-+]?\d+)?")


def assert_same_text(mine: str, theirs: str, bound: float) -> None:
    """The same words and layout line by line, and the same numbers.

    Two numbers may differ by `bound`, relative to max(1, |number|), and by a unit of the last digit that is printed,
    which so small a difference may turn.
    """
    for my_line, their_line in zip(mine.splitlines(), theirs.splitlines(), strict=True):
        # A minus sign takes the place of a space in a printed tensor
        words, their_words = (" ".join(NUMBER.sub(" # ", line).split()) for line in (my_line, their_line))
        assert words == their_words
        for my_number, their_number in zip(NUMBER.findall(my_line), NUMBER.findall(their_line), strict=True):
            mantissa, _, exponent = their_number.partition("e")
            unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
            difference = abs(float(my_number) - float(their_number))
            assert difference <= 1.01 * unit + bound * max(1, abs(float(their_number))), (my_line, their_line)
