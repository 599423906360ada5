"""NumPy by hand: what a person writes who has derived the gradients on paper. No loop over layers but where there are
many, no buffers kept from step to step, parameters updated in place. All that is measured is measured against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.engines.loop import Backend, Loop, Unavailable, backend, cubic, minibatches, random_numbers
from benchmarks.problems import Array, Problem


def loop(problem: Problem, step: Callable[[], Any], *parameters: Array) -> Loop:
    """The Loop, whose step gives a Python number where the problem reads the loss."""
    return Loop((lambda: float(step())) if problem.reads_loss else step, lambda: list(parameters))


def linear(problem: Problem) -> Loop:
    """Linear regression on all points, with or without a bias."""
    if len(problem.start) == 1:
        return without_bias(problem)
    x, y, lr = problem.x, problem.y, problem.lr
    w, b = (p.copy() for p in problem.start)

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

    return loop(problem, step, w, b)


def without_bias(problem: Problem) -> Loop:
    x, y, lr = problem.x, problem.y, problem.lr
    w = problem.start[0].copy()

    def step() -> Any:
        nonlocal w
        error = x @ w.T - y
        loss = (error * error).sum()
        d_w = 2 * error.T @ x
        w -= lr * d_w
        return loss

    return loop(problem, step, w)


def on_batches(problem: Problem, batches: Iterator[tuple[Array, Array]]) -> Loop:
    """Linear regression, each step on the next batch."""
    lr = problem.lr
    w, b = (p.copy() for p in problem.start)

    def step() -> Any:
        nonlocal w, b
        x, y = next(batches)
        error = x @ w.T + b - y
        loss = (error * error).mean()
        d_out = 2 / len(x) * error
        d_w = d_out.T @ x
        d_b = d_out.sum(0)
        w -= lr * d_w
        b -= lr * d_b
        return loss

    return loop(problem, step, w, b)


def polynomial(problem: Problem) -> Loop:
    return on_batches(problem, (cubic(problem, random) for random in random_numbers(problem)))


def concise(problem: Problem) -> Loop:
    return on_batches(problem, minibatches(problem))


def from_scratch(problem: Problem) -> Loop:
    batches, lr, size = minibatches(problem), problem.lr, problem.batch
    w, b = (p.copy() for p in problem.start)

    def step() -> Any:
        nonlocal w, b
        x, y = next(batches)
        error = x @ w + b - y
        loss = (error * error).sum() / 2
        d_w = x.T @ error
        d_b = error.sum(0)
        w -= lr / size * d_w
        b -= lr / size * d_b
        return loss

    return loop(problem, step, w, b)


def raw_tensors(problem: Problem) -> Loop:
    x, y, lr = problem.x, problem.y, problem.lr
    k, b = (p.copy() for p in problem.start)

    def step() -> Any:
        nonlocal k, b
        error = k * x + b - y
        loss = (error * error).mean()
        d_out = 2 / len(x) * error
        d_k = d_out @ x
        d_b = d_out.sum()
        k -= lr * d_k
        b -= lr * d_b
        return loss

    return loop(problem, step, k, b)


def two_layer_net(problem: Problem) -> Loop:
    """Listing 4, which is listing 5 by hand."""
    x, y, lr = problem.x, problem.y, problem.lr
    w1, w2 = (p.copy() for p in problem.start)

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

    return loop(problem, step, w1, w2)


def net(problem: Problem) -> Loop:
    x, y, lr = problem.x, problem.y, problem.lr
    w1, b1, w2, b2 = (p.copy() for p in problem.start)

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

    return loop(problem, step, w1, b1, w2, b2)


def classifier(problem: Problem) -> Loop:
    x, y, lr = problem.x, problem.y, problem.lr
    w1, b1, w2, b2 = (p.copy() for p in problem.start)
    rows = np.arange(len(x))

    def step() -> Any:
        nonlocal w1, b1, w2, b2
        h = x @ w1.T + b1
        a = np.maximum(h, 0)
        logits = a @ w2.T + b2
        logits -= logits.max(1, keepdims=True)
        exp = np.exp(logits)
        total = exp.sum(1, keepdims=True)
        loss = (np.log(total[:, 0]) - logits[rows, y]).mean()
        d_out = exp / total
        d_out[rows, y] -= 1
        d_out /= len(x)
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

    return loop(problem, step, w1, b1, w2, b2)


def deep(problem: Problem) -> Loop:
    x, y, lr = problem.x, problem.y, problem.lr
    parameters = [p.copy() for p in problem.start]
    weights, biases = parameters[::2], parameters[1::2]

    def step() -> Any:
        inputs: list[Array] = []
        out = x
        for w, b in zip(weights, biases, strict=True):
            inputs.append(np.maximum(out, 0) if inputs else out)
            out = inputs[-1] @ w.T + b
        error = out - y
        loss = (error * error).mean()
        d_out = 2 / error.size * error
        for i in reversed(range(len(weights))):
            w, a = weights[i], inputs[i]
            d_w, d_b = d_out.T @ a, d_out.sum(0)
            if i:
                d_out = np.where(a > 0, d_out @ w, 0)
            w -= lr * d_w
            biases[i] -= lr * d_b
        return loss

    return loop(problem, step, *parameters)


OPERATIONS: dict[str, Callable[[Array, Array], Any]] = {
    "add": lambda x, y: x + y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "exp": lambda x, y: np.exp(x),
    "tanh": lambda x, y: np.tanh(x),
    "relu": lambda x, y: np.maximum(x, 0),
    "sum": lambda x, y: x.sum(),
    "mean": lambda x, y: x.mean(),
    "matmul": lambda x, y: x @ y,
    "softmax": lambda x, y: (e := np.exp(x - x.max(1, keepdims=True))) / e.sum(1, keepdims=True),
    "reshape": lambda x, y: x.reshape(100),
    "getitem": lambda x, y: x[2:7],
    "cat": lambda x, y: np.concatenate([x, y]),
    "where": lambda x, y: np.where(x > 1, x, y),
}


def operation(problem: Problem) -> Loop:
    """The function alone: there is nobody to record it."""
    if problem.mode != "forward":
        raise Unavailable("records nothing")
    f, x, y = OPERATIONS[problem.operation], problem.x, problem.y
    return Loop(lambda: f(x, y), lambda: [f(x, y)])


def epoch(problem: Problem) -> Loop:
    x, y, size, rng = problem.x, problem.y, problem.batch, np.random.default_rng()

    def batches() -> Iterator[tuple[Array, Array]]:
        order = rng.permutation(len(x))
        for i in range(0, len(order), size):
            indices = order[i : i + size]
            yield x[indices], y[indices]

    def step() -> None:
        for _ in batches():
            pass

    return Loop(step, lambda: [sum(batch.sum(0, dtype=float) for batch, _ in batches())])


LOOPS = {
    f.__name__: f
    for f in (
        linear, polynomial, concise, from_scratch, raw_tensors, two_layer_net, net, classifier, deep, operation, epoch,
    )
}  # fmt: skip


def load() -> Backend:
    """NumPy is there wherever minigrad is."""
    return backend(LOOPS, "nothing to write by hand")
