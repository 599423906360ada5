"""nn.Embedding against torch: the weights that a seed gives, what is refused, and training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_programs import as_drawn

import minigrad


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99), st.booleans())
def test_embedding_has_torchs_very_weights(n: int, m: int, seed: int, padded: bool) -> None:
    tables = []
    for T in (minigrad, torch):
        T.manual_seed(seed)
        table = T.nn.Embedding(n, m, padding_idx=n - 1 if padded else None)
        tables.append(as_drawn(table.weight.detach().numpy()))
    assert tables[0] == tables[1]


def test_embedding_refuses_sparse_gradients() -> None:
    with pytest.raises(NotImplementedError, match="not supported"):
        minigrad.nn.Embedding(3, 2, sparse=True)


@pytest.mark.parametrize("T", [minigrad, torch], ids=["minigrad", "torch"])
def test_embedding_trains_with_rows_of_bounded_norm(T: Any) -> None:
    T.manual_seed(0)
    table = T.nn.Embedding(4, 2, max_norm=1.0, norm_type=1.0, scale_grad_by_freq=True)
    optimizer, index = T.optim.SGD(table.parameters(), lr=0.1), T.tensor([0, 0, 1])
    for _ in range(3):
        optimizer.zero_grad()
        ((table(index) - T.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])) ** 2).sum().backward()
        optimizer.step()
    assert repr(table) == "Embedding(4, 2, max_norm=1.0, norm_type=1.0, scale_grad_by_freq=True)"
    np.testing.assert_allclose(table.weight[:2].tolist(), [[0.824637, 0.975363], [1.311714, 1.688286]], rtol=1e-5)
