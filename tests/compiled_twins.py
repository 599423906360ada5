"""A training loop whose step may be compiled, for the tests of compile()."""

from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad
from minigrad import nn, optim

T = minigrad
F = nn.functional


class Net(nn.Module):
    def __init__(self, drop: float = 0.0) -> None:
        super().__init__()
        self.hidden = nn.Linear(3, 8)
        self.dropout = nn.Dropout(drop)
        self.predict = nn.Linear(8, 2)
        self.scale = 1.0

    def forward(self, x: Any) -> Any:
        return self.predict(self.dropout(F.relu(self.hidden(x)))) * self.scale


class Twin:
    """A small training loop, whose step may be compiled."""

    def __init__(self, compiled: bool, optimizer: Callable[..., Any], drop: float = 0.0, **options: Any) -> None:
        T.manual_seed(3)
        self.net = Net(drop)
        self.x, self.y = T.randn(6, 3), T.randn(6, 2)
        self.optimizer = optimizer(self.net.parameters(), **options)
        self.factor = 1.0
        self.before: list[Any] = []
        self.criterion = nn.MSELoss()
        net, opt, criterion = self.net, self.optimizer, self.criterion

        def step(x: Any, y: Any, factor: float = 1.0) -> Any:
            loss = criterion(net(x), y) * factor
            opt.zero_grad()
            loss.backward()
            opt.step()
            return loss

        self.step = T.compile(step) if compiled else step

    def everything(self) -> list[Any]:
        found: list[Any] = []
        for p in self.net.parameters():
            found += [p.detach().numpy().copy(), p._version, p.requires_grad]
            found += [None] if p.grad is None else [p.grad.numpy().copy(), p.grad._version]
            for name, x in self.optimizer.state.get(p, {}).items():
                found += [name, x.numpy().copy() if isinstance(x, T.Tensor) else x, getattr(x, "_version", None)]
        return [*found, T.get_rng_state().numpy()]


def equal(found: Any, expected: Any) -> None:
    assert len(found) == len(expected)
    for x, y in zip(found, expected, strict=True):
        if isinstance(y, np.ndarray):
            assert (x.dtype, x.shape) == (y.dtype, y.shape)
            np.testing.assert_array_equal(x, y)
        else:
            assert x == y


def run(change: Callable[[Twin], Any], optimizer: Callable[..., Any] = optim.SGD, **options: Any) -> Any:
    """Four calls, a change, four calls: all that is left, with and without compile()."""
    options = {"lr": 0.1, **options}
    left = []
    for compiled in (False, True):
        twin = Twin(compiled, optimizer, **options)
        losses = []
        T.manual_seed(4)
        for i in range(8):
            if i == 4:
                change(twin)
            loss = twin.step(twin.x, twin.y, twin.factor)
            losses.append((loss, loss.item()))
        assert all(x.item() == was for x, was in losses)
        left.append([[was for _, was in losses], losses[-1][0].requires_grad, str(losses[-1][0]), *twin.everything()])
    equal(left[1][0], left[0][0])
    equal(left[1][1:], left[0][1:])
    return twin


def nothing(twin: Twin) -> None:
    pass
