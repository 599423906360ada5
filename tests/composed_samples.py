"""The records of operations that are made of others: they join and cut, count and order, put at places, multiply."""

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st
from samples import ELEMENTWISE, FLOAT, OTHERS, REDUCTION, Arguments, Sample, given, some
from strategies import (
    BOOLS,
    DISTINCT,
    FINITE,
    REAL,
    SEEDS,
    SIDE,
    Domain,
    Drawn,
    Shape,
    binary,
    dim_of,
    drawn_by,
    joined,
    masks,
    of_shape,
    one,
    rarely,
    same_shape,
    several,
    shapes,
    two_vectors,
    up_to,
)

SMALL = st.integers(-2, 2)
VALUE = st.sampled_from((2, -1, 0.5, 1))
WEIGHT = Domain(-1.0, 2.0, kinks=(0.0, 0.5, 1.0), nonfinite=False)
DENOMINATOR = Domain(1.0, 4.0, kinks=(-1.0, -2.5), nonfinite=False)
FLOATS_ALONE: tuple[str, ...] = ()
INDEX = ("int64",)


def counted(drawn: Any, role: str = "index") -> Drawn:
    return Drawn(np.asarray(drawn), "contiguous", role)


@drawn_by
def alike(draw: st.DrawFn, least: int = 0) -> tuple[list[Drawn]]:
    """Tensors of one shape, but for one now and then."""
    shape = draw(shapes(least))
    last = (*shape, 2) if rarely(draw) else shape
    return ([*(draw(of_shape(shape)) for _ in range(draw(up_to(2)))), draw(of_shape(last))],)


@drawn_by
def vectors(draw: st.DrawFn) -> tuple[Drawn, ...]:
    return tuple(draw(of_shape((draw(SIDE),))) for _ in range(1 + draw(up_to(2))))


@drawn_by
def placed(draw: st.DrawFn, source: bool) -> tuple[Any, ...]:
    """x, dim, an index of x's rank that names no place twice, and (`source`) a tensor of its shape."""
    (x,) = draw(one(1, empty=False))
    dim = draw(up_to(len(x.shape) - 1))
    shape = [1 + draw(up_to(n - 1)) for n in x.shape]
    rng = np.random.default_rng(draw(SEEDS))
    index = np.argsort(rng.random([*shape[:dim], x.shape[dim], *shape[dim + 1 :]]), dim)
    index = np.take(index, range(shape[dim]), dim) + x.shape[dim] * rarely(draw)
    more = (draw(of_shape(tuple(shape))),) if source else ()
    return x, dim - len(x.shape) * draw(BOOLS), counted(index), *more


@drawn_by
def placed_at_scalar(draw: st.DrawFn, source: bool) -> tuple[Any, ...]:
    """x, dim, an index and (`source`) a tensor, all without dims or all of one element; the index is too high at times.

    Where some have dims and others not, torch computes, but has no gradient: DEVIATIONS.md.
    """
    shape = draw(st.sampled_from(((), (1,))))
    index = counted(np.full(shape, int(rarely(draw))))
    return draw(of_shape(shape)), -draw(BOOLS), index, *((draw(of_shape(shape)),) if source else ())


@drawn_by
def searched_by_sorter(draw: st.DrawFn) -> tuple[Drawn, ...]:
    line, values = draw(of_shape((draw(SIDE),), FINITE)), draw(one(domain=FINITE))[0]
    rows = Drawn(np.argsort(line.values, kind="stable") + rarely(draw), role="index")
    return Drawn(line.values), Drawn(values.values), rows


@drawn_by
def sliced(draw: st.DrawFn, source: bool) -> tuple[Any, ...]:
    """x, dim, some places along it, and (`source`) a slice for each."""
    (x,) = draw(one(1, empty=False))
    dim, count = draw(up_to(len(x.shape) - 1)), draw(up_to(3))
    index = np.random.default_rng(draw(SEEDS)).integers(0, x.shape[dim] + rarely(draw), count)
    shape = (*x.shape[:dim], count + rarely(draw), *x.shape[dim + 1 :])
    return x, dim, counted(index), *((draw(of_shape(shape)),) if source else ())


@drawn_by
def mask_and_source(draw: st.DrawFn) -> tuple[Drawn, ...]:
    (x,) = draw(one())
    mask = draw(masks(x.shape[draw(up_to(len(x.shape))) :]))
    return x, mask, draw(of_shape((math.prod(x.shape) - rarely(draw) if math.prod(x.shape) else 0,)))


@drawn_by
def taken(draw: st.DrawFn) -> tuple[Drawn, ...]:
    (x,) = draw(one(empty=False))
    size = math.prod(x.shape)
    index = np.random.default_rng(draw(SEEDS)).integers(-size, size + rarely(draw), draw(shapes(0, 2)))
    return x, counted(index)


@drawn_by
def counts(draw: st.DrawFn, weighted: bool = False) -> tuple[Drawn, ...]:
    n = draw(SIDE)
    numbers = np.random.default_rng(draw(SEEDS)).integers(-1 if rarely(draw) else 0, 5, n)
    weights = draw(of_shape((n,), FINITE))
    return counted(numbers), *((Drawn(weights.values, weights.layout, "constant"),) if weighted else ())


@drawn_by
def searched(draw: st.DrawFn) -> tuple[Drawn, ...]:
    line, values = draw(of_shape((draw(SIDE),), FINITE)), draw(one(domain=FINITE))[0]
    return Drawn(np.sort(line.values)), Drawn(values.values)


EQUATIONS = {
    "ij->ji": ("nm",), "ij->": ("nm",), "ij->i": ("nm",), "ii->i": ("nn",), "ii": ("nn",), "...i->...": ("nm",),
    "ij,jk->ik": ("nm", "mk"), "ij,jk": ("nm", "mk"), "i,j->ij": ("n", "m"), "i,i->": ("n", "n"),
    "ij,j->i": ("nm", "m"),
    "bij,bjk->bik": ("bnm", "bmk"), "bhd,bkd->bhk": ("bnm", "bkm"), "ij,ij->ij": ("nm", "nm"), "ij,kl->": ("nm", "bk"),
    "...ij,...jk->...ik": ("bnm", "mk"), "i,ij,j->": ("n", "nm", "m"), "ij,jk,kl->il": ("nm", "mk", "kb"),
}  # fmt: skip


@drawn_by
def contracted(draw: st.DrawFn, single: bool) -> tuple[Any, ...]:
    """An equation and its operands, one of them too long now and then."""
    few = {equation: terms for equation, terms in EQUATIONS.items() if (len(terms) == 1) is single}
    equation = draw(st.sampled_from(sorted(few)))
    side = {letter: draw(SIDE) for letter in "bnmk"}
    found = [draw(of_shape(tuple(side[x] for x in term), FINITE)) for term in few[equation]]
    return equation, *found


@drawn_by
def crossed(draw: st.DrawFn) -> tuple[Drawn, ...]:
    shape = draw(st.sampled_from(((3,), (2, 3), (3, 2), (1, 3), (3, 3), (2,))))
    return draw(of_shape(shape)), draw(of_shape(shape))


def rolled(shape: Shape) -> st.SearchStrategy[Arguments]:
    dim = dim_of(len(shape))
    return st.one_of(given(SMALL), given(SMALL, dim), given(st.tuples(SMALL, SMALL), st.tuples(dim, dim)))


def narrowed(shape: Shape) -> st.SearchStrategy[Arguments]:
    return given(dim_of(len(shape)), SMALL, st.integers(0, 2))


def reduces(shape: Shape) -> st.SearchStrategy[Arguments]:
    return given(dim_of(len(shape)), keepdim=BOOLS)


MOMENTS = lambda s: given(dim=dim_of(len(s)), correction=st.sampled_from((0, 1)), keepdim=BOOLS)
QUANTILE = st.sampled_from((0.0, 0.25, 0.5, 0.9, 1.0, 1.5))
WAYS = st.sampled_from(("linear", "lower", "higher", "midpoint"))
SHARE = st.sampled_from(((), (1,), (2,))).flatmap(lambda shape: of_shape(shape, Domain(0.0, 1.0, nonfinite=False)))
SUBLIST = st.sampled_from(([1], [0, 1], [1, 0], [..., 0], [0, 52]))
WAY = st.sampled_from(("add", "multiply", "mean"))
ENDS = st.sampled_from((0, 1, 2, -1, 0.5))

COMPOSED = (
    # pointwise
    # Finite: torch sums what was broadcast after it has multiplied by an infinity, minigrad before.
    Sample("addcmul", several(FINITE, FINITE, FINITE), some(value=VALUE), REDUCTION, degree=2, others=OTHERS[:-1]),
    Sample("addcdiv", several(FINITE, FINITE, DENOMINATOR), some(value=VALUE), REDUCTION, degree=2, others=OTHERS[:-1]),
    Sample("lerp", several(FINITE, FINITE), some(st.sampled_from((0.0, 0.25, 0.5, 0.75, 1.0, 2))), REDUCTION),
    Sample("lerp", several(FINITE, FINITE, WEIGHT), variant="tensor", tolerance=REDUCTION),
    # Finite: an infinite gradient of what is replaced gives 0, where torch multiplies by a mask, and has NaN.
    Sample("nan_to_num", one(domain=FINITE), some(nan=VALUE, posinf=VALUE, neginf=VALUE)),
    Sample(
        "nan_to_num",
        one(),
        some(nan=VALUE, posinf=VALUE, neginf=VALUE),
        variant="value",
        function=lambda T, x, **k: T.nan_to_num(x.detach(), **k),
    ),
    Sample("hypot", several(FINITE, FINITE), tolerance=ELEMENTWISE),
    Sample("frac", one(domain=FINITE), tolerance=ELEMENTWISE),
    *(Sample(name, binary()) for name in ("greater", "greater_equal", "less", "less_equal", "not_equal")),
    Sample("arcsin", one(domain=WEIGHT), tolerance=ELEMENTWISE),
    Sample("arccos", one(domain=WEIGHT), tolerance=ELEMENTWISE),
    Sample("arctan", one(), tolerance=ELEMENTWISE),
    Sample("arctan2", several(REAL, REAL), tolerance=ELEMENTWISE),
    Sample("fix", one()),
    # joining and cutting
    Sample("concat", joined(grow=True)),
    Sample("concatenate", joined(grow=True)),
    Sample("hstack", alike()),
    Sample("vstack", alike()),
    Sample("dstack", alike()),
    Sample("column_stack", alike()),
    Sample("meshgrid", vectors(), some(indexing=st.sampled_from(("ij", "xy", "x")))),
    Sample("cartesian_prod", vectors()),
    Sample("swapaxes", one(), lambda s: given(dim_of(len(s)), dim_of(len(s)))),
    Sample("swapdims", one(), lambda s: given(dim_of(len(s)), dim_of(len(s)))),
    Sample("moveaxis", one(), lambda s: given(dim_of(len(s)), dim_of(len(s)))),
    Sample("narrow", one(), narrowed),
    Sample("select", one(), lambda s: given(dim_of(len(s)), SMALL)),
    Sample("roll", one(), rolled),
    Sample("fliplr", one()),
    Sample("flipud", one()),
    Sample("diag", one(0, 2), some(SMALL)),
    Sample("trace", one(2, 2), tolerance=REDUCTION),
    Sample("repeat_interleave", one(), lambda s: given(st.integers(0, 2), dim=dim_of(len(s)))),
    Sample("repeat_interleave", one(1, 1), some(st.just(2), output_size=st.integers(3, 7)), variant="size"),
    Sample("unflatten", one(1), lambda s: given(st.just(0), st.sampled_from(((1, -1), (-1, 1), (2, -1), (s[0], 1))))),
    # places
    Sample("scatter", placed(source=True)),
    Sample("scatter", placed(source=False), some(st.sampled_from((2, 0.5, -1))), variant="number"),
    Sample("scatter", placed(source=True), some(reduce=WAY), ELEMENTWISE, "reduce"),
    Sample("scatter", placed(source=False), some(VALUE, reduce=WAY), ELEMENTWISE, "reduce number"),
    Sample(
        "scatter",
        placed(source=True),
        some(reduce=WAY),
        ELEMENTWISE,
        "reduce into a constant",
        function=lambda T, x, *rest, **options: T.scatter(x.detach(), *rest, **options),
    ),
    Sample("scatter_add", placed(source=True), tolerance=REDUCTION),
    *(
        Sample(name, placed_at_scalar(source), some(*more), REDUCTION, "0-d")
        for name, source, more in (
            ("gather", False, ()),
            ("scatter", True, ()),
            ("scatter_add", True, ()),
            ("index_add", True, ()),
            ("index_select", False, ()),
            ("index_fill", False, (VALUE,)),
        )
    ),
    Sample("index_add", sliced(source=True), some(alpha=st.sampled_from((1, 2, -1))), REDUCTION),
    Sample("index_fill", sliced(source=False), some(st.sampled_from((2, 0.5, -1)))),
    Sample("index_fill", sliced(source=False), some(of_shape((), FINITE)), REDUCTION, "tensor", others=()),
    Sample("masked_scatter", mask_and_source()),
    Sample("take", taken(), tolerance=REDUCTION),
    Sample("argwhere", one()),
    # counting and ordering
    Sample("unique", one(domain=FINITE), lambda s: given(return_inverse=BOOLS, return_counts=BOOLS)),
    Sample("unique", one(1, domain=FINITE), lambda s: given(return_counts=BOOLS, dim=dim_of(len(s))), variant="dim"),
    Sample("bincount", counts(), some(minlength=st.integers(-1, 7))),
    Sample("bincount", counts(weighted=True), variant="weights"),
    Sample("histc", one(domain=FINITE), some(st.integers(1, 5))),
    Sample("histc", one(domain=FINITE), some(st.integers(0, 5), min=SMALL, max=SMALL), variant="range"),
    Sample("median", one(empty=False)),
    Sample("median", one(domain=DISTINCT), reduces, variant="dim"),
    Sample("quantile", one(domain=DISTINCT), lambda s: given(QUANTILE, interpolation=WAYS), REDUCTION),
    Sample(
        "quantile", one(domain=DISTINCT), lambda s: given(QUANTILE, dim_of(len(s)), keepdim=BOOLS), REDUCTION, "dim"
    ),
    *(
        Sample(name, one(domain=DISTINCT), lambda s: given(SHARE, interpolation=WAYS), REDUCTION, "tensor", degree=2)
        for name in ("quantile", "nanquantile")
    ),
    Sample("nanquantile", one(), lambda s: given(QUANTILE, dim_of(len(s)), keepdim=BOOLS), REDUCTION, others=()),
    Sample("searchsorted", searched(), some(right=BOOLS, out_int32=BOOLS)),
    Sample("searchsorted", searched(), some(side=st.sampled_from(("left", "right", "x"))), variant="side"),
    Sample(
        "searchsorted",
        searched_by_sorter(),
        function=lambda T, x, y, sorter: T.searchsorted(x, y, sorter=sorter),
        variant="sorter",
    ),
    Sample("bucketize", searched().map(lambda xs: xs[::-1]), some(right=BOOLS, out_int32=BOOLS)),
    Sample("isin", two_vectors(), some(invert=BOOLS)),
    Sample("std_mean", one(domain=FINITE), MOMENTS, REDUCTION),
    Sample("std_mean", one(domain=FINITE), some(BOOLS), REDUCTION, "unbiased"),
    Sample("var_mean", one(domain=FINITE), lambda s: given(dim_of(len(s)), BOOLS, BOOLS), REDUCTION, "unbiased", 2),
    Sample("var_mean", one(domain=FINITE), MOMENTS, REDUCTION, degree=2),
    # products
    Sample("einsum", contracted(single=True), tolerance=REDUCTION),
    Sample("einsum", contracted(single=False), variant="several", tolerance=REDUCTION, degree=3),
    Sample(
        "einsum",
        same_shape(2, domain=FINITE),
        some(st.sampled_from(([1], [0, 1], [1, 0], [..., 0], [0, 52]))),
        REDUCTION,
        "sublists",
        2,
        function=lambda T, x, y, to: T.einsum(x, [0, 1], y, [0, 1], to),
    ),
    Sample("tensordot", same_shape(2, domain=FINITE), some(st.integers(0, 3)), REDUCTION, degree=2),
    Sample("inner", same_shape(2, domain=FINITE), tolerance=REDUCTION, degree=2),
    Sample("cross", crossed(), some(st.sampled_from((0, -1))), REDUCTION, degree=2),
    # numbers in a row
    Sample("logspace", st.just(()), lambda s: given(ENDS, ENDS, st.integers(0, 5), dtype=FLOAT), ELEMENTWISE),
    Sample("range", st.just(()), some(ENDS, st.sampled_from((3, 5, 2.5)), dtype=FLOAT), ELEMENTWISE),
    Sample("tril_indices", st.just(()), some(SIDE, SIDE, SMALL)),
    Sample("triu_indices", st.just(()), some(SIDE, SIDE, SMALL)),
)
