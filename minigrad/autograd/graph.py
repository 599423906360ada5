"""Recording, and the sweep back: all of backprop.

`apply` runs an operation on the arrays of its inputs. Where an input requires gradients it leaves a `Node`: the edges
back to the inputs that need gradients, each with its rule from the table of derivatives, and the values that these
rules name. `sweep` walks the nodes from the latest to the earliest and hands each one's gradient to its edges.
The engine alone handles need, order, accumulation, broadcasting and ownership, so that the rules need not.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from heapq import heappop, heappush
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from minigrad.autograd import grad_mode
from minigrad.autograd import node as nodes
from minigrad.autograd.anomaly_mode import Anomaly
from minigrad.autograd.grad_mode import call, new_counter, quietly, state, unless_entered
from minigrad.autograd.hooks import Watch, retain, users_code
from minigrad.autograd.inplace import check_writable, join, refresh, write_out
from minigrad.autograd.node import (
    NOTHING,
    Array,
    Edge,
    Node,
    Part,
    Parts,
    TensorBase,
    as_array,
    caller,
    record,
    shape_error,
    wrap,
)
from minigrad.derivatives import table
from minigrad.kernels import in_order, laid_as, sum_to
from minigrad.primitive import HALF, Primitive

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

_new, ndarray = object.__new__, np.ndarray
Seeds = list[tuple[Edge, Any]]  # where a sweep begins: roots, and the gradients at them
Deliver = Callable[["Tensor", Any], None]  # what is done with a leaf and its gradient
adding = threading.RLock()  # while a gradient is added to another; NumPy lets other threads run meanwhile
ONE = {np.dtype(t): t(1) for t in (np.float16, np.float32, np.float64)}  # the gradient at a loss


def apply(function: Callable[..., Any] | Primitive, *inputs: Any, out: Tensor | None = None, **params: Any) -> Tensor:
    """Run an operation of the table on Tensors and numbers; record it where an input requires gradients.

    Returns a Tensor; a tuple of them, whatever its type says, where the function has several results. `out` is a Tensor
    to write into.
    """
    primitive = table[function]
    here = state.__dict__  # of this thread: asked for once, as each attribute of a threading.local takes its time
    arrays = []
    needs = 0
    bit = 1
    for x in inputs:
        if isinstance(x, TensorBase):
            if x._view is not None:
                refresh(x)
            arrays.append(x._array)
            if x._requires_grad:
                needs |= bit
        else:
            arrays.append(x)
        bit <<= 1
    if out is not None:
        return write_out(primitive, arrays, params, needs, out)  # type: ignore[no-any-return]
    try:
        quiet = here["quiet"]
        result = quiet(primitive.function, *arrays, **params) if params else quiet(primitive.function, *arrays)
    except ValueError as error:
        raise shape_error(arrays, error) from None
    except RuntimeError as error:
        run = unless_entered(error)
        try:
            result = run(primitive.function, *arrays, **params)
        except ValueError as error:
            raise shape_error(arrays, error) from None
    if type(result) is not ndarray:
        if type(result) is list or type(result) is tuple:
            return cast("Tensor", several(primitive, inputs, arrays, params, needs, result))
        result = as_array(result)
    if result.itemsize == 2 and result.dtype == HALF and primitive.wide is not primitive:
        # Computed anew, in float32: that a result is float16 is known only now, and other dtypes needn't wait for it.
        return apply(primitive.wide, *inputs, **params)
    tensor: Tensor = _new(nodes._Tensor)  # wrap(result), written out: this is on the path of every operation
    tensor._array = result
    tensor._counter = [0, None] if not grad_mode.inference_used else new_counter()
    tensor._grad = tensor._node = tensor._view = None
    tensor._requires_grad = False
    if primitive.view:
        join(tensor, inputs[0])
    if needs and here["grad"]:
        tensor._node = node = record(primitive, inputs, arrays, params, needs, result, tensor._counter)
        tensor._requires_grad = node is not None
    return tensor


def several(
    primitive: Primitive, inputs: Sequence[Any], arrays: Sequence[Any], params: dict[str, Any], needs: int, results: Any
) -> tuple[Tensor, ...]:
    """The Tensors of an operation that has several results."""
    counter = new_counter()
    tensors = tuple(wrap(x, counter) for x in results)
    if primitive.view:
        for x in tensors:
            join(x, inputs[0])
    if needs and state.grad:
        outputs = [(x._array.shape, x._array.dtype) for x in tensors]
        results = tuple(x._array for x in tensors)
        node = record(primitive, inputs, arrays, params | {"outputs": outputs}, needs, results, counter)
        if node is not None:
            for i, x in enumerate(tensors):
                x._node, x._requires_grad = Part(node, i, outputs), True
    return tensors


def sweep(
    seeds: Seeds, retain: bool, again: bool, targets: Collection[Edge] | None = None, deliver: Deliver | None = None
) -> dict[Edge, Any]:
    """The gradients of leaves and of retained results, from those of the roots: backprop.

    Gradients are arrays; where `again`, Tensors whose computation is recorded. `retain` keeps what the nodes saved.
    `targets` alone get gradients, where given, and only nodes that lead to them run. `deliver` is handed leaves that
    have hooks as soon as their gradient is whole.
    """
    check = Anomaly.check
    ways = None if targets is None else leading([edge for edge, _ in seeds], targets)
    awaited = edges_to_watched(seeds, ways) if Watch.any_leaf else None
    gradients: dict[Edge, Any] = {}
    kept: dict[Edge, Any] = {}
    # The latest node first: all that used its result came later, so by then its gradient is whole.
    queue: list[tuple[int, Node]] = []
    for edge, g in seeds:
        if edge in gradients:
            g = gradients[edge] + g
        elif isinstance(edge, Node):
            heappush(queue, (-edge.sequence, edge))
        gradients[edge] = g
    if awaited:
        settle(seeds, awaited, gradients, deliver)
    while queue:
        node = heappop(queue)[1]
        g = gradients.pop(node)
        if node.watch is not None or (targets is not None and node in targets):
            kept[node] = g = g if node.watch is None else node.watch.run(g)
        edges = node.edges if ways is None else [e for e in node.edges if e[0] in ways]
        if not edges:
            continue
        if type(g) is Parts:
            g = node.whole(g)
        values = node.saved
        if type(values) is not dict or again:  # freed, or dropped by a checkpoint
            values = node.tensors() if again else node.check()
        for _, counter, version in node.checks:
            if counter[0] != version:
                node.check()  # raises
        for edge, rule, shape in edges:
            gx = rule(g, values)
            if check is not None:
                check(node, rule, gx, g, values)
            if gx is None:  # no gradient at all, where PyTorch gives none
                continue
            if gx.shape != shape and shape is not None:
                gx = sum_to(gx, shape)
            if edge in gradients:
                gradients[edge] = gradients[edge] + gx
            else:
                gradients[edge] = gx
                if isinstance(edge, Node):
                    heappush(queue, (-edge.sequence, edge))
        if node.checks is not NOTHING and not retain:
            node.saved = None
        if awaited:
            settle(edges, awaited, gradients, deliver)
    return gradients | kept if kept else gradients


def edges_to_watched(seeds: Seeds, ways: set[Edge] | None) -> Counter[Edge]:
    """The leaves that have hooks, and how many gradients the sweep will bring to each."""
    roots = [edge for edge, _ in seeds]
    edges = [*roots, *(edge for node in below(roots) for edge, *_ in node.edges if ways is None or edge in ways)]
    return Counter(edge for edge in edges if isinstance(edge, TensorBase) and edge.watch is not None)


def settle(
    edges: Sequence[tuple[Any, ...]],
    awaited: Counter[Edge],
    gradients: dict[Edge, Any],
    deliver: Deliver | None,
) -> None:
    """Run the hooks of the leaves whose gradient is whole, now that one more came by each of these edges."""
    leaf: Edge
    for leaf, *_ in edges:
        if leaf in awaited:
            awaited[leaf] -= 1
            if not awaited[leaf] and leaf in gradients:
                assert isinstance(leaf, TensorBase) and leaf.watch is not None
                gradients[leaf] = leaf.watch.run(gradients[leaf])
                if deliver is not None:
                    with users_code():
                        deliver(leaf, gradients.pop(leaf))


def below(roots: Sequence[Edge], since: int = -1) -> list[Node]:
    """The nodes that the roots were computed from, and they themselves; those alone that are numbered above `since`."""
    nodes = [*dict.fromkeys(edge for edge in roots if isinstance(edge, Node) and edge.sequence > since)]
    seen = set(nodes)
    for node in nodes:  # grows while it is walked
        for edge, *_ in node.edges:
            if isinstance(edge, Node) and edge.sequence > since and edge not in seen:
                seen.add(edge)
                nodes.append(edge)
    return nodes


def leading(roots: Sequence[Edge], targets: Collection[Edge]) -> set[Edge]:
    """The targets, and those of the nodes below the roots that lead to one."""
    ways = set(targets)
    for node in sorted(below(roots), key=attrgetter("sequence")):
        if any(edge in ways for edge, *_ in node.edges):
            ways.add(node)
    return ways


def run_sweep(
    seeds: Seeds,
    retain_graph: bool | None,
    create_graph: bool,
    targets: Collection[Edge] | None = None,
    deliver: Deliver | None = None,
) -> dict[Edge, Any]:
    """sweep(), without NumPy's warnings; recording, and with NumPy's functions on Tensors, where `create_graph`."""
    found: dict[Edge, Any]
    if create_graph:
        found = quietly(recorded_sweep, seeds, retain_graph is not False, targets, deliver)
        return found
    try:  # quietly(), written out
        found = state.quiet(sweep, seeds, bool(retain_graph), False, targets, deliver)
        return found
    except RuntimeError as error:
        run = unless_entered(error)
    found = run(sweep, seeds, bool(retain_graph), False, targets, deliver)
    return found


def recorded_sweep(
    seeds: Seeds, retain: bool, targets: Collection[Edge] | None, deliver: Deliver | None
) -> dict[Edge, Any]:
    """sweep() with rules that run on Tensors and are recorded."""
    before = state.grad, state.rules, state.quiet
    try:
        state.grad, state.rules, state.quiet = True, True, call  # all is quiet already
        return sweep(seeds, retain, True, targets, deliver)
    finally:
        state.grad, state.rules, state.quiet = before


def edge_of(tensor: Tensor, i: int = 0) -> Edge:
    """Where gradients of a tensor go: to its node, or to itself, if it is a leaf; RuntimeError if to neither."""
    if tensor._view is not None:
        refresh(tensor)
    if not tensor._requires_grad:
        raise RuntimeError(
            f"element {i} of tensors does not require grad and does not have a grad_fn: none of what it was computed "
            "from has requires_grad=True, or it was computed under no_grad, or detached"
        )
    return tensor._node or tensor


def seed(output: Tensor, gradient: Tensor | None, i: int, create_graph: bool) -> Any:
    """The gradient at a root: what was given, or 1 for a single element."""
    array = output._array
    if gradient is None:
        if array.size != 1:
            raise RuntimeError(
                "grad can be implicitly created only for scalar outputs: this one has shape "
                f"{list(array.shape)}; reduce it (.sum(), .mean()), or pass a gradient of its shape"
            )
        if not array.ndim and not create_graph:
            return ONE[array.dtype]
        one = np.ones(array.shape, array.dtype)
        return wrap(one) if create_graph else one
    check_gradients((gradient,))
    if gradient._array.shape != array.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{i}] has a shape of {gradient.shape} and output[{i}] has a shape of "
            f"{output.shape}."
        )
    gradient = gradient.to(output.dtype)
    return gradient if create_graph else gradient._array


def check_gradients(gradients: Sequence[Any]) -> None:
    """TypeError for a gradient that is neither a Tensor nor None."""
    for g in gradients:
        if g is not None and not isinstance(g, TensorBase):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradients of `tensors` to the `.grad` of the leaves they were computed from, or of `inputs` alone.

    `grad_tensors` are the gradients at `tensors`, of the same shapes; None for single elements means 1. The graph is
    freed unless `retain_graph`; with `create_graph` the gradients can be differentiated again. Nothing is added where
    an error is raised.
    """
    if create_graph:
        warnings.warn(
            "Using backward() with create_graph=True will create a reference cycle between the parameter and its "
            "gradient which can cause a memory leak. We recommend using autograd.grad when creating the graph to avoid "
            "this. If you have to use this function, make sure to reset the .grad fields of your parameters to None "
            "after use to break the cycle and avoid the leak.",
            UserWarning,
            stacklevel=3,
        )
    seeds, taken = seeds_of(tensors, grad_tensors, create_graph)
    wanted: dict[Edge, Tensor] = {}
    if inputs is not None:
        wanted = {edge_of(x, i): x for i, x in enumerate(sequence_of(inputs))}
        if not wanted:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        for x in wanted.values():
            if x._node is not None:  # from now on, as in PyTorch
                retain(x)

    deliver = functools.partial(accumulate, create_graph, taken) if Watch.any_leaf else None
    for edge, g in run_sweep(seeds, retain_graph, create_graph, wanted or None, deliver).items():
        if not isinstance(edge, Node):
            if edge._requires_grad:  # it may have been taken back since
                accumulate(create_graph, taken, edge, g)
        elif edge in wanted:
            accumulate(create_graph, taken, wanted[edge], g)
        elif (result := keeper(edge)) is not None:
            accumulate(create_graph, taken, result, g)


def keeper(node: Node) -> Tensor | None:
    """The result of a node, where retain_grad() was called on it."""
    return None if node.watch is None or node.watch.retained is None else node.watch.retained()


def accumulate(create_graph: bool, taken: set[int], tensor: Tensor, g: Any) -> None:
    """Add a gradient to the .grad of a tensor; `taken` are the ids of the arrays that belong to somebody.

    No gradient is lost where other threads, or a signal handler in the midst of this, do the same: between the last
    look at .grad and the write that relies on it nothing is called, so that no other can come in.
    """
    grad = tensor._grad
    if create_graph or (grad is not None and grad._requires_grad):
        with adding:
            grad = tensor._grad
            x = g if create_graph else wrap(np.copy(g))
            total = x.clone() if grad is None else (grad if create_graph else grad.detach()) + x
            if tensor._grad is not grad:
                accumulate(create_graph, taken, tensor, g)
                return
            tensor._grad = total
    elif grad is None:
        first = wrap(own(g if g.ndim < 2 or g.strides == tensor._array.strides else as_leaf(g, tensor), taken))
        if tensor._grad is not None:
            accumulate(create_graph, taken, tensor, g)
            return
        tensor._grad = first
    else:
        with adding:
            check_writable(grad)
            if tensor._grad is not grad:
                accumulate(create_graph, taken, tensor, g)
                return
            np.add(grad._array, g, grad._array)
            counter = grad._counter  # bump(), written out
            counter[0] += 1
            if counter[1] is not None:
                counter[1] = "backward", caller()
    if tensor.watch is not None:
        tensor.watch.run_after(tensor)


def as_leaf(g: Any, tensor: Tensor) -> Any:
    """The gradient in the layout of a leaf, as PyTorch keeps it; contiguous where elements of the leaf lie apart."""
    x = tensor._array
    if (g.flags.c_contiguous and x.flags.c_contiguous) or tensor._node is not None:
        return g
    out = laid_as(g, x)
    apart = any(a != b for a, b, n in zip(out.strides, x.strides, x.shape, strict=True) if n > 1)
    return in_order(out) if apart else out


def own(g: Any, taken: set[int]) -> Array:
    """A gradient as an array that nobody else holds: a copy where it is a view, or `taken` (by its id) already."""
    if type(g) is not ndarray:
        return np.copy(g, order="C")
    number = id(g)
    if g.base is not None or number in taken:
        return g.copy()
    taken.add(number)
    return g


def seeds_of(outputs: Any, gradients: Any, create_graph: bool) -> tuple[Seeds, set[int]]:
    """The roots of a sweep with their gradients, and the ids of the arrays that belong to the caller."""
    if isinstance(outputs, TensorBase):
        outputs = (outputs,)
    if gradients is None:
        gradients = (None,) * len(outputs)
    else:
        gradients = (gradients,) if isinstance(gradients, TensorBase) else tuple(gradients)
    if len(gradients) != len(outputs):
        check_gradients(gradients[: len(outputs)])
        raise RuntimeError(f"got {len(outputs)} tensors and {len(gradients)} gradients")
    seeds: Seeds = []
    taken: set[int] = set()
    for i, x in enumerate(outputs):
        g = gradients[i]
        edge = x._node if x._view is None and x._node is not None else edge_of(x, i)
        seeds.append((edge, seed(x, g, i, create_graph)))
        if g is not None:
            taken.add(id(g._array))
    return seeds, taken


def sequence_of(x: Any) -> Sequence[Any]:
    """One tensor or several, as a sequence."""
    return (x,) if isinstance(x, TensorBase) else tuple(x)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of `outputs` with respect to each of `inputs`, of their shapes.

    No `.grad` is touched but that of results that retain_grad() was called on, as in PyTorch.
    An input that the outputs do not depend on raises RuntimeError; with `allow_unused` its gradient is None, with
    `materialize_grads` zeros.
    """
    inputs = sequence_of(inputs)
    if allow_unused is False and materialize_grads:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    for x in inputs:
        if not x.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    edges = [edge_of(x, i) for i, x in enumerate(inputs)]
    seeds, taken = seeds_of(outputs, grad_outputs, create_graph)
    gradients = run_sweep(seeds, retain_graph, create_graph, set(edges))
    for edge, g in gradients.items():
        if isinstance(edge, Node) and (result := keeper(edge)) is not None:
            accumulate(create_graph, taken, result, g)
    results: list[Any] = []
    for i, (x, edge) in enumerate(zip(inputs, edges, strict=True)):
        g = gradients.get(edge)
        if g is None:
            if materialize_grads:
                results.append(wrap(np.zeros(x._array.shape, x._array.dtype)))
            elif allow_unused:
                results.append(None)
            else:
                raise RuntimeError(
                    f"One of the differentiated Tensors appears to not have been used in the graph: input {i}, of "
                    f"shape {list(x._array.shape)}. Set allow_unused=True if this is the desired behavior."
                )
        else:
            results.append(g if create_graph else wrap(own(g, taken)))
    return tuple(results)
