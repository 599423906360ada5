"""The order in which few terms are added is PyTorch's, which is the same on every processor: equal to the last bit.

From 8 terms on PyTorch's order depends on how many numbers its vectors hold, and so on the processor.
"""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minigrad

terms = st.lists(st.floats(width=32, min_value=-1e9, max_value=1e9), max_size=14)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of tensors of no elements
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@given(numbers=terms)
def test_mse_loss_of_few(reduction, numbers):
    x, y = np.array_split(np.array(numbers, np.float32), 2)
    x, y = x[: y.size], y[: x.size]

    def loss(engine, x, y):
        return engine.nn.functional.mse_loss(x, y, reduction=reduction)

    theirs = loss(torch, torch.from_numpy(x), torch.from_numpy(y)).numpy()
    ours = minigrad.from_numpy(x), minigrad.from_numpy(y)
    compiled = minigrad.compile(lambda x, y: loss(minigrad, x, y))
    np.testing.assert_array_equal(loss(minigrad, *ours).numpy(), theirs)
    np.testing.assert_array_equal(compiled(*ours).numpy(), theirs)
