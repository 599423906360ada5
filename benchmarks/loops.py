"""The training loops of the tutorials: minigrad and PyTorch against the same step written out in NumPy.

    python benchmarks/loops.py [--quick]

Prints microseconds a step (the median over rounds), and the medians of the ratios within rounds. The engines take
turns in short rounds, one thread each, float32, so that what else the machine does falls on all of them alike. Before
anything is timed, all engines must agree on the parameters after 20 steps.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[variable] = "1"  # before NumPy is loaded

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad

try:
    import torch

    torch.set_num_threads(1)
except ImportError:
    torch = None

Step = Callable[[], Any]
Parameters = Callable[[], list[Any]]

rng = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


# Listing 1: linear regression on 15 points.

X1, Y1 = (draw(15, 1) + 5).clip(1, 10), draw(15, 1)
W1, B1 = draw(1, 1), draw(1)


def linear_regression(T: Any) -> tuple[Step, Parameters]:
    x, y = T.from_numpy(X1), T.from_numpy(Y1)
    model = T.nn.Linear(1, 1)
    model.load_state_dict({"weight": T.from_numpy(W1), "bias": T.from_numpy(B1)})
    criterion = T.nn.MSELoss()
    optimizer = T.optim.SGD(model.parameters(), lr=0.01)

    def step() -> None:
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step, lambda: [p.detach().numpy() for p in model.parameters()]


def linear_regression_numpy() -> tuple[Step, Parameters]:
    x, y, w, b, lr = X1, Y1, W1.copy(), B1.copy(), 0.01

    def step() -> Any:
        nonlocal w, b
        error = x @ w.T + b - y
        loss = (error * error).mean()
        d_out = 2 / len(x) * error
        d_w = d_out.T @ x
        d_b = d_out.sum(0)
        w -= lr * d_w
        b -= lr * d_b
        return loss

    return step, lambda: [w, b]


# Listing 9: a 1-10-1 net on 100 points.

X9 = np.linspace(-1, 1, 100, dtype=np.float32)[:, None]
Y9 = X9**2 + 0.2 * np.abs(draw(100, 1))
HIDDEN, HIDDEN_BIAS, OUTPUT, OUTPUT_BIAS = draw(10, 1), draw(10), draw(1, 10), draw(1)


def curve_fitting_net(T: Any) -> tuple[Step, Parameters]:
    class Net(T.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.hidden = T.nn.Linear(1, 10)
            self.predict = T.nn.Linear(10, 1)

        def forward(self, x: Any) -> Any:
            return self.predict(T.nn.functional.relu(self.hidden(x)))

    x, y, net = T.from_numpy(X9), T.from_numpy(Y9), Net()
    start = (HIDDEN, HIDDEN_BIAS, OUTPUT, OUTPUT_BIAS)
    net.load_state_dict(dict(zip(net.state_dict(), map(T.from_numpy, start), strict=True)))
    criterion = T.nn.MSELoss()
    optimizer = T.optim.SGD(net.parameters(), lr=0.02)

    def step() -> None:
        loss = criterion(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step, lambda: [p.detach().numpy() for p in net.parameters()]


def curve_fitting_net_numpy() -> tuple[Step, Parameters]:
    x, y, lr = X9, Y9, 0.02
    w1, b1, w2, b2 = (p.copy() for p in (HIDDEN, HIDDEN_BIAS, OUTPUT, OUTPUT_BIAS))

    def step() -> Any:
        nonlocal w1, b1, w2, b2
        h = x @ w1.T + b1
        a = np.maximum(h, 0)
        error = a @ w2.T + b2 - y
        loss = (error * error).mean()
        d_out = 2 / len(x) * error
        d_w2 = d_out.T @ a
        d_b2 = d_out.sum(0)
        d_h = np.where(h > 0, d_out @ w2, 0)
        d_w1 = d_h.T @ x
        d_b1 = d_h.sum(0)
        w1 -= lr * d_w1
        b1 -= lr * d_b1
        w2 -= lr * d_w2
        b2 -= lr * d_b2
        return loss

    return step, lambda: [w1, b1, w2, b2]


# Listing 5: a two-layer net by raw tensors.

X5, Y5, FIRST, SECOND = draw(64, 1000), draw(64, 10), draw(1000, 100), draw(100, 10)


def two_layer_net(T: Any) -> tuple[Step, Parameters]:
    x, y = T.from_numpy(X5), T.from_numpy(Y5)
    w1, w2 = (T.from_numpy(w.copy()).requires_grad_() for w in (FIRST, SECOND))
    lr = 1e-6

    def step() -> None:
        nonlocal w1, w2
        loss = (x.mm(w1).clamp(min=0).mm(w2) - y).pow(2).sum()
        loss.backward()
        with T.no_grad():
            w1 -= lr * w1.grad
            w2 -= lr * w2.grad
            w1.grad.zero_()
            w2.grad.zero_()

    return step, lambda: [w1.detach().numpy(), w2.detach().numpy()]


def two_layer_net_numpy() -> tuple[Step, Parameters]:
    x, y, w1, w2, lr = X5, Y5, FIRST.copy(), SECOND.copy(), 1e-6

    def step() -> Any:
        nonlocal w1, w2
        h = x.dot(w1)
        h_relu = np.maximum(h, 0)
        y_pred = h_relu.dot(w2)
        loss = np.square(y_pred - y).sum()
        grad_y_pred = 2.0 * (y_pred - y)
        grad_w2 = h_relu.T.dot(grad_y_pred)
        grad_h = grad_y_pred.dot(w2.T)
        grad_h[h < 0] = 0
        grad_w1 = x.T.dot(grad_h)
        w1 -= lr * grad_w1
        w2 -= lr * grad_w2
        return loss

    return step, lambda: [w1, w2]


LOOPS = {
    "1: linear regression, 15 points": (linear_regression, linear_regression_numpy, 200),
    "9: 1-10-1 net, 100 points": (curve_fitting_net, curve_fitting_net_numpy, 100),
    "5: two-layer net 64-1000-100-10": (two_layer_net, two_layer_net_numpy, 10),
}


def check(name: str, engines: dict[str, tuple[Step, Parameters]]) -> None:
    """AssertionError unless all engines have the same parameters after 20 steps, to float32's rounding."""
    for step, _ in engines.values():
        for _ in range(20):
            step()
    reference = engines["NumPy"][1]()
    for engine, (_, parameters) in engines.items():
        for ours, theirs in zip(parameters(), reference, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3, err_msg=f"{name}: {engine}")


def measure(steps: dict[str, Step], count: int, rounds: int) -> dict[str, list[float]]:
    """Microseconds a step in each round; the engines take turns."""
    times: dict[str, list[float]] = {engine: [] for engine in steps}
    for _ in range(rounds):
        for engine, step in steps.items():
            start = time.perf_counter()
            for _ in range(count):
                step()
            times[engine].append((time.perf_counter() - start) / count * 1e6)
    return times


def ratio(a: list[float], b: list[float]) -> float:
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description="minigrad and PyTorch against NumPy by hand on the tutorials' loops")
    parser.add_argument("--quick", action="store_true", help="few rounds: shows that it runs, measures little")
    rounds = 3 if parser.parse_args().quick else 41
    header = (
        f"{'loop':34}{'NumPy, us':>11}{'minigrad, us':>14}{'torch, us':>11}{'minigrad/NumPy':>16}{'torch/minigrad':>16}"
    )
    print(header, "-" * len(header), sep="\n")
    for name, (engine_loop, numpy_loop, count) in LOOPS.items():
        engines = {"NumPy": numpy_loop(), "minigrad": engine_loop(minigrad)}
        if torch is not None:
            engines["torch"] = engine_loop(torch)
        check(name, engines)
        times = measure({engine: step for engine, (step, _) in engines.items()}, count, rounds)
        micros = {engine: statistics.median(values) for engine, values in times.items()}
        row = f"{name:34}{micros['NumPy']:11.1f}{micros['minigrad']:14.1f}"
        row += f"{micros['torch']:11.1f}" if torch is not None else f"{'-':>11}"
        row += f"{ratio(times['minigrad'], times['NumPy']):16.2f}"
        row += f"{ratio(times['torch'], times['minigrad']):16.2f}" if torch is not None else f"{'-':>16}"
        print(row)


if __name__ == "__main__":
    main()
