"""The operations that NumPy's functions stand for where one of its numbers stands on the left of an operator."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import ops

OPERATORS: dict[Any, Any] = {
    np.add: ops.add, np.subtract: ops.sub, np.multiply: ops.mul, np.divide: ops.div, np.power: ops.pow,
    np.floor_divide: ops.floor_divide, np.remainder: ops.remainder, np.bitwise_and: ops.bitwise_and,
    np.bitwise_or: ops.bitwise_or, np.bitwise_xor: ops.bitwise_xor,
    np.left_shift: ops.bitwise_left_shift, np.right_shift: ops.bitwise_right_shift,
}  # fmt: skip
COMPARISONS: dict[Any, Any] = {  # seen from the right
    np.equal: ops.eq, np.not_equal: ops.ne, np.less: ops.gt, np.less_equal: ops.ge, np.greater: ops.lt,
    np.greater_equal: ops.le,
}  # fmt: skip
