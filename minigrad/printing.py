"""PyTorch's text of a tensor, character for character, from an ndarray.

The layout is torch.Tensor.__repr__'s of PyTorch 2.13 (documented at torch.set_printoptions): one format for all
elements, found from those that are shown; ellipses beyond `threshold` elements; lines of at most `linewidth`
characters; then what the elements do not tell (size, dtype, grad_fn, requires_grad).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["get_printoptions", "set_printoptions", "tensor_text"]

Array = NDArray[Any]
Format = Callable[[Any], str]


@dataclass
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_options = _Options()
_PROFILES = {
    "default": _Options(),
    "short": _Options(precision=2, edgeitems=2),
    "full": _Options(threshold=math.inf),
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors print, as torch.set_printoptions.

    precision: digits after the point; threshold: the most elements that print without ellipses; edgeitems: how many
    then show at each end of a dimension; linewidth: in characters; profile: "default", "short" or "full", which the
    other arguments override; sci_mode: scientific notation always, never, or (None, also when left out) as needed.
    """
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    values = asdict(_PROFILES[profile]) if profile in _PROFILES else {}
    values |= {name: value for name, value in given.items() if value is not None}
    for name, value in {**values, "sci_mode": sci_mode}.items():
        setattr(_options, name, value)


def get_printoptions() -> dict[str, Any]:
    """The options in force, as keyword arguments of `set_printoptions`."""
    return asdict(_options)


def tensor_text(
    array: Array,
    *,
    requires_grad: bool = False,
    grad_fn: str | None = None,
    default_float: DTypeLike = np.float32,
    prefix: str = "tensor(",
) -> str:
    """The text of a tensor with these elements, such as `tensor([1., 2.], requires_grad=True)`.

    grad_fn: the name of the node, such as "MulBackward0". default_float: the dtype that goes without saying.
    """
    default, size = np.dtype(default_float), f"size={array.shape}"
    notes = []
    if array.size == 0:
        body = "[]"
        if array.ndim != 1:
            notes.append(size)
        silent = array.dtype == default  # no element shows that it is an integer or a bool
    else:
        cut = array.size > _options.threshold
        body = _elements(array, len(prefix), cut, *_format(_edges(array) if cut else array))
        if _options.edgeitems == 0:
            notes.append(size)
        silent = array.dtype in (default, np.int64, np.bool_)
    if not silent:
        notes.append(f"dtype=torch.{array.dtype.name}")
    if grad_fn is not None:
        notes.append(f"grad_fn=<{grad_fn}>")
    elif requires_grad:
        notes.append("requires_grad=True")

    text = prefix + body
    column = len(text) - text.rfind("\n") + 1  # torch counts one or two more than there are
    for note in notes:
        if column + len(note) + 2 > _options.linewidth:
            text += ",\n" + " " * len(prefix) + note
            column = len(prefix) + len(note)
        else:
            text += ", " + note
            column += len(note) + 2
    return text + ")"


def _edges(array: Array) -> Array:
    """The elements that show where the middle of long dimensions is left out."""
    edge = _options.edgeitems
    for axis, n in enumerate(array.shape):
        if n > 2 * edge:
            array = array.take([*range(edge), *range(n - edge, n)], axis)
    return array


def _format(shown: Array) -> tuple[Format, int]:
    """How to write an element, and the width that the elements share."""
    if shown.dtype.kind != "f":
        width = max((len(str(value)) for value in shown.ravel().tolist()), default=1)
        return lambda value: str(value).rjust(width), width

    # Zeros, infinities and NaN fit in as they can: neither the notation nor the width depends on them.
    numbers = shown[np.isfinite(shown) & (shown != 0)].astype(np.float64)
    if numbers.size == 0:
        return lambda value: f"{value:.0f}" + "." * math.isfinite(value), 1
    magnitudes = np.abs(numbers)
    low, high = float(magnitudes.min()), float(magnitudes.max())
    scientific = _options.sci_mode
    if scientific is None:
        scientific = high / low > 1000.0 or high > 1e8 or low < 1e-4
    if scientific:
        code, point = f".{_options.precision}e", ""
    elif np.all(numbers == np.ceil(numbers)):
        code, point = ".0f", "."
    else:
        code, point = f".{_options.precision}f", ""
    width = max(len(format(value, code)) for value in numbers.tolist()) + len(point)

    def write(value: float) -> str:
        return (format(value, code) + (point if math.isfinite(value) else "")).rjust(width)

    return write, width


def _elements(array: Array, indent: int, cut: bool, write: Format, width: int) -> str:
    """The elements in brackets, the innermost dimension in lines; indent: the column of the first bracket."""
    if array.ndim == 0:
        return write(array.item())
    edge, n = _options.edgeitems, len(array)
    cut_here = cut and n > 2 * edge
    runs = (array[:edge], array[n - edge :]) if cut_here else (array,)
    if array.ndim == 1:
        texts = [[write(value) for value in run.tolist()] for run in runs]
        ellipsis = " ..." if edge else "..."
    else:
        texts = [[_elements(row, indent + 1, cut, write, width) for row in run] for run in runs]
        ellipsis = "..."
    items = [*texts[0], ellipsis, *texts[1]] if cut_here else texts[0]
    newline = "\n" + " " * (indent + 1)
    if array.ndim > 1:
        return "[" + ("," + "\n" * (array.ndim - 2) + newline).join(items) + "]"
    count = max(1, (_options.linewidth - indent) // (width + 2))
    lines = [", ".join(items[i : i + count]) for i in range(0, len(items), count)]
    return "[" + ("," + newline).join(lines) + "]"
