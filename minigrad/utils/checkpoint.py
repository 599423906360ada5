"""Checkpoints: compute for memory. What a function's operations save is dropped, and computed again by backward.

The function is recorded as any other, so its graph can do what graphs do: `autograd.grad`, second derivatives, hooks.
When it returns, the nodes it made drop the arrays that they kept. The first of them that backward needs runs the
function again, and each takes what the node made in its place has saved.
"""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from minigrad.autograd.grad_mode import enable_grad, no_grad, state
from minigrad.autograd.graph import below
from minigrad.autograd.hooks import users_code
from minigrad.autograd.node import UNWRITTEN, Dropped, Node, TensorBase, kept, next_number, place
from minigrad.nn.modules.container import Sequential
from minigrad.random import get_rng_state, set_rng_state

__all__ = ["CheckpointError", "checkpoint", "checkpoint_sequential", "noop_context_fn"]

Contexts = tuple[AbstractContextManager[Any], AbstractContextManager[Any]]


class CheckpointError(RuntimeError):
    """The function did not do the same when it ran again."""


def noop_context_fn() -> Contexts:
    """Two contexts that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


class Segment:
    """The nodes that a function made, which have dropped what they saved, and how to make it again."""

    def __init__(self, run: Callable[[], Any], args: Any, compare: bool) -> None:
        self.run = run
        self.compare = compare  # whether shapes and dtypes must be the same again
        self.nodes: list[weakref.ref[Node]] = []
        self.descriptions: list[tuple[str, dict[str, Any]]] = []
        self.outside: dict[Any, tuple[Any, int]] = {}  # the tensors that `run` reads: their arrays and versions
        self.note(tensors_in(args))

    def note(self, tensors: Iterator[Any]) -> None:
        for x in tensors:
            self.outside.setdefault(x, (x._array, kept("", x._counter)[2]))

    def drop(self, outputs: Any, since: int) -> None:
        """Drop what the nodes between the outputs and those made before `since` have saved."""
        nodes = made(outputs, since)
        self.note(edge for node in nodes for edge, *_ in node.edges if isinstance(edge, TensorBase))
        for node in keeping(nodes):
            self.descriptions.append(description(node))
            node.saved, node.checks = Dropped(self, len(self.nodes)), []
            self.nodes.append(weakref.ref(node))

    def restore(self) -> None:
        """Run the function again, and give the nodes what they had saved.

        RuntimeError where what it reads was written to since, CheckpointError where it does something else.
        """
        for x, (array, version) in self.outside.items():
            if x._counter[0] != version or x._array is not array:
                raise modified(x, version)
        since = next_number()
        with users_code(), enable_grad():
            outputs = self.run()
        nodes = keeping(made(outputs, since))
        self.check([description(node) for node in nodes])
        for number, (reference, new) in enumerate(zip(self.nodes, nodes, strict=True)):
            old = reference()
            if old is not None and isinstance(old.saved, Dropped) and old.saved.segment is self:
                assert old.saved.number == number
                old.take_over(new)
                if isinstance(old.saved, Dropped):  # by a checkpoint inside this one
                    old.saved.segment.nodes[old.saved.number] = weakref.ref(old)

    def check(self, again: list[tuple[str, dict[str, Any]]]) -> None:
        """CheckpointError unless the nodes made again are of the same operations and, if asked for, arrays alike."""
        before = self.descriptions
        if [name for name, _ in again] != [name for name, _ in before]:
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the original forward and "
                "recomputation.\nOperations that saved tensors during forward: "
                f"{', '.join(name for name, _ in before)}\nOperations that saved tensors during recomputation: "
                f"{', '.join(name for name, _ in again)}.\nThe function must do the same each time it is called"
            )
        differ = [(i, a, b) for i, (a, b) in enumerate(zip(before, again, strict=True)) if a != b]
        if self.compare and differ:
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than "
                "during the forward pass.\n"
                + "\n".join(
                    f"tensors of operation {i}, {name}:\nsaved metadata: {old}\nrecomputed metadata: {new}"
                    for i, (name, old), (_, new) in differ
                )
            )


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], Contexts] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), whose intermediate values are dropped, and computed again when backward needs them.

    The function must do the same both times; `preserve_rng_state` lets it draw the same random numbers. What it
    returns may be nested in tuples, lists and dicts. `context_fn` gives a context for each of the two runs.
    `determinism_check` "default" compares shapes and dtypes of the two runs, "none" does not.

    `use_reentrant` chooses between two implementations in PyTorch; here it decides what is accepted. Where True there
    are no keyword arguments nor options, and without a tensor that requires gradients among `args` nothing is
    recorded, with PyTorch's warning. `early_stop` and `debug` are accepted and change nothing: the function always
    runs to its end, and errors always say all.
    """
    if use_reentrant is None:
        warn_of_default("torch.utils.checkpoint")
        use_reentrant = True
    if use_reentrant:
        if kwargs:
            raise ValueError(f"Unexpected keyword arguments: {','.join(kwargs)}")
        if context_fn is not noop_context_fn or debug:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        if not any(x.requires_grad for x in args if isinstance(x, TensorBase)):  # type: ignore[attr-defined]
            warnings.warn(
                "None of the inputs have requires_grad=True. Gradients will be None", UserWarning, stacklevel=2
            )
            with no_grad():
                return function(*args)
    elif debug and context_fn is not noop_context_fn:
        raise ValueError("debug=True is incompatible with non-default context_fn")
    elif determinism_check not in ("default", "none"):
        raise ValueError(f"determinism_check should be one of ['default', 'none'], but got {determinism_check}")
    forward_context, recompute_context = context_fn()
    if not state.grad:
        return function(*args, **kwargs)
    random_state = get_rng_state() if preserve_rng_state else None

    def again() -> Any:
        with random_numbers(random_state), recompute_context:
            return function(*args, **kwargs)

    segment = Segment(again, (args, kwargs), use_reentrant or determinism_check == "default")
    since = next_number()
    with forward_context:
        result = function(*args, **kwargs)
        segment.drop(result, since)
        return result
    raise RuntimeError(
        "torch.utils.checkpoint: the forward context provided by context_fn suppressed an exception raised during the "
        "checkpointed forward. This is not supported because checkpoint cannot return a value for a failed forward."
    )


def checkpoint_sequential(
    functions: Sequential | Sequence[Callable[[Any], Any]],
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    *,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """The functions called one after the other, in `segments` equal parts, all but the last being checkpoints."""
    if use_reentrant is None:
        warn_of_default("torch.utils.checkpoint.checkpoint_sequential")
        use_reentrant = True
    if kwargs:
        raise ValueError(f"Unexpected keyword arguments: {','.join(kwargs)}")
    steps: list[Callable[[Any], Any]] = list(functions)
    size = len(steps) // segments
    end = size * (segments - 1)

    def part(start: int, end: int | None) -> Callable[[Any], Any]:
        def forward(x: Any) -> Any:
            for step in steps[start:end]:
                x = step(x)
            return x

        return forward

    for start in range(0, end, size):
        input = checkpoint(
            part(start, start + size), input, use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state
        )
    return part(end, None)(input)


def warn_of_default(name: str) -> None:
    warnings.warn(
        f"{name}: the use_reentrant parameter should be passed explicitly. use_reentrant=False is recommended; to keep "
        "what is now assumed, pass use_reentrant=True",
        UserWarning,
        stacklevel=3,
    )


@contextlib.contextmanager
def random_numbers(random_state: Any) -> Iterator[None]:
    """Draw the numbers that follow a state, and go on afterwards as if they had not been drawn; nothing where None."""
    if random_state is None:
        yield
        return
    now = get_rng_state()
    set_rng_state(random_state)
    try:
        yield
    finally:
        set_rng_state(now)


def tensors_in(x: Any) -> Iterator[Any]:
    """The tensors in nested tuples, lists and dicts."""
    if isinstance(x, TensorBase):
        yield x
    elif isinstance(x, (tuple, list, dict)):
        for item in x.values() if isinstance(x, dict) else x:
            yield from tensors_in(item)


def made(outputs: Any, since: int) -> list[Node]:
    """The nodes that the outputs were computed by since a number was given, in the order in which they were made."""
    roots = [x.grad_fn for x in tensors_in(outputs) if x.grad_fn is not None]
    return sorted(below(roots, since), key=lambda node: node.sequence)


def keeping(nodes: list[Node]) -> list[Node]:
    """Those of the nodes that keep arrays, or have dropped them."""
    return [node for node in nodes if node.checks or isinstance(node.saved, Dropped)]


def description(node: Node) -> tuple[str, dict[str, Any]]:
    """A node's name, and the shapes and dtypes of the arrays that it keeps."""
    saved = node.saved or {}
    arrays = {name: saved[name] for name, *_ in node.checks if isinstance(saved.get(name), np.ndarray)}
    return node.name(), {name: (x.shape, str(x.dtype)) for name, x in arrays.items()}


def modified(x: Any, version: int) -> RuntimeError:
    """The error for a tensor that is no longer what the function read."""
    now, written_by = x._counter
    by, where = written_by or UNWRITTEN
    written = f" It was last written by {by} at {place(where)}." if by else " Its .data was replaced."
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: a tensor of "
        f"shape {list(x.shape)} that a checkpointed function reads is at version {now}; expected version {version} "
        f"instead.{written} The function can't be run again with what it was"
    )
