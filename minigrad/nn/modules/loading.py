"""How load_state_dict() copies a tensor."""

from __future__ import annotations

import operator
from collections import Counter
from functools import partial

import numpy as np

from minigrad.at_once import Change
from minigrad.autograd.grad_mode import quietly
from minigrad.autograd.inplace import check_writable
from minigrad.autograd.node import caller
from minigrad.nn.parameter import Parameter, UninitializedParameter
from minigrad.tensor import Tensor


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
