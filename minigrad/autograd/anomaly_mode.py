"""Anomaly detection: the backward rule that makes the first NaN raises, and says where its operation was recorded."""

from __future__ import annotations

import linecache
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import numpy as np

from minigrad.autograd.node import Node, TensorBase, line_of
from minigrad.primitive import Pull

Check = Callable[[Node, Pull, Any, Any, "dict[str, Any]"], None]  # node, rule, the rule's gradient, what it was given


class Anomaly:
    """Whether detection is on, for all threads, as in PyTorch, and what the sweep calls for each gradient."""

    enabled = False
    check_nan = True
    check: Check | None = None


class set_detect_anomaly:
    """Switch anomaly detection at once; as a context, restore it at the end. `check_nan`: whether NaN are an error."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.before = Anomaly.enabled, Anomaly.check_nan
        self.switch(mode, check_nan)

    def switch(self, mode: bool, check_nan: bool) -> None:
        Anomaly.enabled, Anomaly.check_nan = mode, check_nan
        Anomaly.check = refuse_nan if mode and check_nan else None

    def __enter__(self) -> None:
        """It was switched when the context was made."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.switch(*self.before)


class detect_anomaly:
    """A context in which backward passes raise RuntimeError where a gradient turns NaN. Slow: for debugging."""

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for "
            "debugging.",
            UserWarning,
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self.switched = set_detect_anomaly(True, self.check_nan)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.switched.__exit__(kind, error, traceback)


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on."""
    return Anomaly.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Whether it counts NaN as errors."""
    return Anomaly.check_nan


def refuse_nan(node: Node, rule: Pull, gradient: Any, g: Any, values: dict[str, Any]) -> None:
    """RuntimeError where a rule of `node` made a NaN of the gradient `g` and the saved `values`."""
    number = next(i for i, own in node.plan.edges if own is rule)
    parts = gradient if isinstance(gradient, list) else [gradient]
    for i, part in enumerate(parts):
        array = array_of(part)
        if array is not None and np.isnan(array).any():
            filename, line, name = line_of(node.where)
            warnings.warn(
                f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n"
                f'  File "{filename}", line {line}, in {name}\n    {linecache.getline(filename, line).strip()}\n',
                UserWarning,
                stacklevel=2,
            )
            raise RuntimeError(
                f"Function '{node.name()}' returned nan values in its {number + i}th output. It was recorded at "
                f"{filename}:{line}. {'; '.join(found(array, g, values))}"
            )


def array_of(x: Any) -> Any:
    x = x._array if isinstance(x, TensorBase) else x
    return np.asarray(x) if isinstance(x, (np.ndarray, np.floating, float)) else None


def found(nan: Any, g: Any, values: dict[str, Any]) -> Iterator[str]:
    """Where the first NaN stands, and what stands there in all that the rule was given."""
    place = tuple(int(i[0]) for i in np.nonzero(np.isnan(np.atleast_1d(nan))))
    yield f"The first nan is at {list(place)}"
    for name, x in {"the gradient of the result": g, **values}.items():
        array = array_of(x)
        if array is not None:
            here = array[place] if array.shape == nan.shape != () else np.array2string(array, threshold=6)
            yield f"{name} is {here}" + (" there" if array.shape == nan.shape != () else "")
