"""The problems as losses of (parameters, x, y), written once for the libraries that have NumPy's functions: autograd
and MyGrad. Neither has a loader: batches come from NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.engines.loop import Backend, Loop, backend, cubic, minibatches, random_numbers
from benchmarks.problems import Array, Problem

Loss = Callable[[list[Any], Array, Array], Any]
Batches = Iterator[tuple[Array, Array]] | None


@dataclass(frozen=True)
class Library:
    """A library's own functions, and its way to train: SGD on a loss, on the next batch, or on all of the data."""

    train: Callable[[Problem, Loss, Batches], Loop]
    mean: Callable[[Any], Any]
    sum: Callable[[Any], Any]
    matmul: Callable[[Any, Any], Any]
    relu: Callable[[Any], Any]
    cross_entropy: Callable[[Any, Array], Any]

    def backend(self) -> Backend:
        names = ("linear", "polynomial", "concise", "from_scratch", "raw_tensors", "two_layer_net", "net", "deep",
                 "classifier")  # fmt: skip
        return backend({name: getattr(self, name) for name in names})

    def affine(self, x: Any, w: Any, b: Any) -> Any:
        return self.matmul(x, w.T) + b

    def squared(self, p: list[Any], x: Array, y: Array) -> Any:
        return self.mean((self.affine(x, *p) - y) ** 2)

    def linear(self, problem: Problem) -> Loop:
        if problem.reduction == "sum":
            return self.train(problem, lambda p, x, y: self.sum((self.matmul(x, p[0].T) - y) ** 2), None)
        return self.train(problem, self.squared, None)

    def polynomial(self, problem: Problem) -> Loop:
        return self.train(problem, self.squared, (cubic(problem, random) for random in random_numbers(problem)))

    def concise(self, problem: Problem) -> Loop:
        return self.train(problem, self.squared, minibatches(problem))

    def from_scratch(self, problem: Problem) -> Loop:
        smaller = replace(problem, lr=problem.lr / problem.batch)  # the listing divides the gradients by the batch
        loss: Loss = lambda p, x, y: self.sum((self.matmul(x, p[0]) + p[1] - y) ** 2) / 2
        return self.train(smaller, loss, minibatches(problem))

    def raw_tensors(self, problem: Problem) -> Loop:
        return self.train(problem, lambda p, x, y: self.mean((p[0] * x + p[1] - y) ** 2), None)

    def two_layer_net(self, problem: Problem) -> Loop:
        def loss(p: list[Any], x: Array, y: Array) -> Any:
            return self.sum((self.matmul(self.relu(self.matmul(x, p[0])), p[1]) - y) ** 2)

        return self.train(problem, loss, None)

    def layers(self, parameters: list[Any], x: Array) -> Any:
        """Linear layers with ReLU between them, however many."""
        out = self.affine(x, *parameters[:2])
        for w, b in zip(parameters[2::2], parameters[3::2], strict=True):
            out = self.affine(self.relu(out), w, b)
        return out

    def net(self, problem: Problem) -> Loop:
        return self.train(problem, lambda p, x, y: self.mean((self.layers(p, x) - y) ** 2), None)

    deep = net

    def classifier(self, problem: Problem) -> Loop:
        return self.train(problem, lambda p, x, y: self.cross_entropy(self.layers(p, x), y), None)
