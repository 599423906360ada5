"""How load_state_dict() copies a tensor, and what no module may do with its state."""

from __future__ import annotations

import operator
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from minigrad.at_once import Change
from minigrad.autograd.grad_mode import quietly
from minigrad.autograd.inplace import check_writable
from minigrad.autograd.node import caller
from minigrad.nn.parameter import Parameter, UninitializedParameter
from minigrad.tensor import Tensor

if TYPE_CHECKING:
    from minigrad.nn.modules.module import Module

OWN_STATE = ("get_extra_state", "set_extra_state", "_save_to_state_dict", "_load_from_state_dict")


def check_state_is_tensors(root: Module) -> None:
    """NotImplementedError for a module with a state of its own kind, which would not be saved, or not loaded."""
    for name, module in root.named_modules():
        found = next((method for method in OWN_STATE if hasattr(type(module), method)), None)
        if found is not None:
            raise NotImplementedError(
                f"{found}() of {type(module).__name__} ({name or 'the model itself'}) would not be called: a "
                "state_dict() holds parameters and buffers alone. Register the state as buffers, or override "
                "state_dict() and load_state_dict() of the whole model"
            )


def copied(tensor: Tensor, source: Tensor, written: Counter[int]) -> list[Change]:
    """What copies a tensor into another, counted as a write; `written`: how often to what memory, by its counter."""
    counter = tensor._counter
    written[id(counter)] += 1
    if isinstance(tensor, UninitializedParameter):
        array = np.array(source._array, tensor.dtype.numpy)
        made = [
            (dict.clear, tensor.__dict__),
            (setattr, tensor, "__class__", Parameter),
            (setattr, tensor, "_array", array),
        ]
        return [*made, (operator.setitem, counter, 0, 1)]
    check_writable(tensor)
    array = tensor._array
    change = operator.setitem, array, ..., quietly(partial(source._array.astype, array.dtype, copy=False))
    if tensor.is_inference():
        return [change]
    count = counter[0] + written[id(counter)]
    return [change, (operator.setitem, counter, slice(None), [count, counter[1] and ("copy_", caller())])]
