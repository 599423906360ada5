"""JAX as its documentation trains: a pure loss, `value_and_grad`, and the whole update under `jit`.

The parameters are arguments and results. JAX returns before its work is done, so a block ends by waiting for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.engines.loop import Backend, Loop, backend, minibatches
from benchmarks.problems import Array, Problem

Loss = Callable[..., Any]


def train(problem: Problem, loss: Loss, batches: Iterator[tuple[Any, ...]] | None = None, start: Any = None) -> Loop:
    """SGD on a loss of (parameters, x, y); on the next batch, or on all of the data."""
    lr = problem.lr
    parameters = jax.tree.map(jnp.asarray, list(problem.start) if start is None else start)

    @jax.jit
    def update(parameters: Any, *data: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(parameters, *data)
        return jax.tree.map(lambda p, g: p - lr * g, parameters, grads), value

    x, y = jnp.asarray(problem.x), jnp.asarray(problem.y)

    def step() -> Any:
        nonlocal parameters
        parameters, value = update(parameters, x, y)
        return value

    def step_on_a_batch() -> Any:
        nonlocal parameters
        parameters, value = update(parameters, *next(batches))  # type: ignore[arg-type]
        return value

    chosen = step if batches is None else step_on_a_batch
    read = (lambda: float(chosen())) if problem.reads_loss else chosen
    return Loop(
        read,
        lambda: [np.asarray(p) for p in jax.tree.leaves(parameters)],
        finish=lambda: jax.block_until_ready(parameters),
    )


def predict(parameters: list[Any], x: Any) -> Any:
    """A linear layer, with or without a bias."""
    return x @ parameters[0].T + sum(parameters[1:])


def squared(parameters: list[Any], x: Any, y: Any) -> Any:
    return jnp.mean((predict(parameters, x) - y) ** 2)


def linear(problem: Problem) -> Loop:
    if problem.reduction == "sum":
        return train(problem, lambda p, x, y: jnp.sum((predict(p, x) - y) ** 2))
    return train(problem, squared)


def concise(problem: Problem) -> Loop:
    """JAX has no loader: batches from NumPy."""
    return train(problem, squared, minibatches(problem))


def polynomial(problem: Problem) -> Loop:
    """Random numbers by JAX's own keys; the features are made under jit."""
    target, constant = problem.y[:3], problem.y[3]

    @jax.jit
    def draw(key: Any) -> Any:
        key, sub = jax.random.split(key)
        return key, jax.random.normal(sub, (problem.batch,))

    key, _ = draw(jax.random.key(0))  # compiled now, not when it is timed

    def draws() -> Iterator[tuple[Any]]:
        nonlocal key
        for random in problem.draws:
            yield (jnp.asarray(random),)
        while True:
            key, random = draw(key)
            yield (random,)

    def loss(parameters: Any, random: Any) -> Any:
        x = jnp.stack([random, random**2, random**3], axis=1)
        return squared(parameters, x, (x @ target + constant)[:, None])

    return train(problem, loss, draws())


def from_scratch(problem: Problem) -> Loop:
    smaller = replace(problem, lr=problem.lr / problem.batch)  # the listing divides the gradients by the batch
    return train(smaller, lambda p, x, y: jnp.sum((x @ p[0] + p[1] - y) ** 2 / 2), minibatches(problem))


def raw_tensors(problem: Problem) -> Loop:
    return train(problem, lambda p, x, y: jnp.mean((p[0] * x + p[1] - y) ** 2))


def two_layer_net(problem: Problem) -> Loop:
    return train(problem, lambda p, x, y: jnp.sum((jax.nn.relu(x @ p[0]) @ p[1] - y) ** 2))


def hidden_layer(p: list[Any], x: Any) -> Any:
    w1, b1, w2, b2 = p
    return jax.nn.relu(x @ w1.T + b1) @ w2.T + b2


def net(problem: Problem) -> Loop:
    return train(problem, lambda p, x, y: jnp.mean((hidden_layer(p, x) - y) ** 2))


def classifier(problem: Problem) -> Loop:
    def loss(parameters: Any, x: Any, y: Any) -> Any:
        log_p = jax.nn.log_softmax(hidden_layer(parameters, x))
        return -jnp.mean(jnp.take_along_axis(log_p, y[:, None], axis=1))

    return train(problem, loss)


def deep(problem: Problem) -> Loop:
    """Equal layers are stacked and scanned over: unrolled, a thousand of them would take minutes to compile."""
    stacked = [np.stack(problem.start[::2]), np.stack(problem.start[1::2])]

    def layer(out: Any, parameters: Any) -> Any:
        w, b = parameters
        return jax.nn.relu(out) @ w.T + b, None

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        # The first layer's input is not negative, so the ReLU before it changes nothing.
        out, _ = jax.lax.scan(layer, x, parameters)
        return jnp.mean((out - y) ** 2)

    loop = train(problem, loss, start=stacked)

    def results() -> list[Array]:
        weights, biases = loop.results()
        return [p for pair in zip(weights, biases, strict=True) for p in pair]

    return Loop(loop.step, results, finish=loop.finish)


LOOPS = {
    f.__name__: f
    for f in (linear, polynomial, concise, from_scratch, raw_tensors, two_layer_net, net, classifier, deep)
}


def load() -> Backend:
    return backend(LOOPS)
