"""Passes for the sake of the source alone: what reads better, in NumPy's own words."""

from __future__ import annotations

import numpy as np

from minigrad.program.passes import drop_dead, uses
from minigrad.program.representation import Kind, Method, Statement, Storage, Trace, Value


def reword(trace: Trace) -> None:
    """All of them."""
    drop_broadcasts(trace)
    spell_products(trace)
    spell_means(trace)
    spell_mean_square(trace)
    drop_dead(trace)


def drop_broadcasts(trace: Trace) -> None:
    """What an operation on elements broadcasts anyway needn't be broadcast, or given dims of length 1, before it."""
    written = trace.written()
    for s in trace.statements:
        elementwise = isinstance(s.function, np.ufunc) and s.function.signature is None
        if s.kwargs or not (elementwise or s.function is np.where):
            continue
        for j, v in enumerate(s.args):
            maker = v.statement if isinstance(v, Value) else None
            if maker is None or maker.results != [v] or not isinstance(maker.args[0], Value):
                continue
            x = maker.args[0]
            lone = maker.function == Method("reshape") and np.size(x.real) == 1
            if maker.function is not np.broadcast_to and not lone:
                continue
            shapes = [x.shape if i == j else w.shape if isinstance(w, Value) else () for i, w in enumerate(s.args)]
            same = v.storage is x.storage or x.storage not in written
            if np.broadcast_shapes(*shapes) == s.results[0].shape and same:
                s.args = tuple(x if i == j else w for i, w in enumerate(s.args))
                s.reads = {w.storage: s.reads.get(w.storage, 0) for w in s.inputs()}


def spell_products(trace: Trace) -> None:
    """A product of matrices by np.dot, which the kernels take for its speed, is x @ y. The last digits may differ."""
    for s in trace.statements:
        if s.function == Method("dot") and all(isinstance(v, Value) and len(v.shape) == 2 for v in s.args):
            s.function = np.matmul


def spell_means(trace: Trace) -> None:
    """A sum divided by the number of its terms is a mean, which NumPy computes just so."""
    count, written = uses(trace), trace.written()
    for s in trace.statements:
        total = s.args[0] if s.function is np.divide and not s.kwargs else None
        maker = total.statement if isinstance(total, Value) else None
        if maker is None or maker.function != np.add.reduce or count[maker.results[0]] > 1:
            continue
        x = maker.args[0]
        if not isinstance(x, Value) or set(maker.kwargs) - {"axis", "keepdims"}:
            continue
        terms = np.size(x.real) // max(np.size(maker.results[0].real), 1)
        exact = x.dtype in (np.float32, np.float64) and x.storage not in written
        if exact and type(s.args[1]) in (int, float) and s.args[1] == terms:
            s.function, s.args, s.kwargs, s.reads = Method("mean"), (x,), dict(maker.kwargs), dict(maker.reads)


def spell_mean_square(trace: Trace) -> None:
    """The kernel's dot product of a difference with itself as a sum of squares, which reads better.

    It changes the last digits, as the sum runs in another order.
    """
    for i, s in enumerate(trace.statements):
        if s.function != Method("dot") or s.args[0] is not s.args[1] or len(s.args[0].shape) != 1:
            continue
        ravel = s.args[0].statement
        if ravel is None or ravel.function != Method("ravel"):
            continue
        (d,) = ravel.args
        squares = Value(np.square(d.real), Storage(None), Kind.RESULT)
        reads = dict(ravel.reads)
        squares.statement = Statement(np.square, (d,), {}, [squares], reads=reads, where=s.where, phase=s.phase)
        total = s.results[0]
        after = [t for t in trace.statements if total in t.inputs()]
        mean = len(after) == 1 and after[0].function is np.divide and after[0].args[0] is total
        if mean and after[0].args[1] == d.real.size > 0 and total not in trace.results():
            s.results = after[0].results
            s.results[0].statement = s
            trace.statements.remove(after[0])
            s.function, s.kwargs = Method("mean"), {"axis": None}
        else:
            s.function, s.kwargs = np.add.reduce, {"axis": None}
        s.args, s.reads = (squares,), {squares.storage: 0}
        trace.statements.insert(i, squares.statement)
