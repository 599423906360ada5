"""What the sweeps draw: shapes, memory layouts and values, built alike for torch and for the engine under test.

Hypothesis draws the shape, the layout, a seed and the special values; the ordinary values come from the seed. That is
ten times as fast as drawing each number, and a failing example still shrinks to a small shape with few specials.
"""

import functools
import importlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any, TypeVar

import numpy as np
import torch
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

#: The engine under test. MINIGRAD_ENGINE=torch runs torch against itself, which checks the records.
ENGINE = importlib.import_module(os.environ.get("MINIGRAD_ENGINE", "minigrad"))

#: Whether PyTorch runs its portable kernels, which round x * y + z twice and have other polynomials.
PORTABLE = torch.backends.cpu.get_cpu_capability() == "DEFAULT"

Shape = tuple[int, ...]

FLOATS = ("float32", "float64")
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")
DTYPES = ("bool", *INTEGERS, "float16", *FLOATS)
LAYOUTS = ("contiguous", "transposed", "strided", "expanded")


@dataclass(frozen=True, eq=False)
class Domain:
    """Which values an argument takes: an interval, the points where something happens, and inf and nan."""

    low: float = -4.0
    high: float = 4.0
    kinks: tuple[float, ...] = (0.0, -0.0)
    nonfinite: bool = True
    distinct: bool = False  # no two equal values

    @property
    def specials(self) -> tuple[float, ...]:
        return self.kinks + ((np.inf, -np.inf, np.nan) if self.nonfinite else ())


REAL = Domain()
FINITE = Domain(nonfinite=False)
DISTINCT = Domain(distinct=True)
BOUNDED = Domain(-2.0, 2.0, kinks=(-1.0, 1.0, 0.0))
POSITIVE = Domain(0.25, 8.0, kinks=(1.0, 0.0, -1.0))


@dataclass(frozen=True, eq=False)
class Drawn:
    """One tensor as drawn: its values and how they lie in memory. `role` value takes the dtype under test."""

    values: np.ndarray
    layout: str = "contiguous"
    role: str = "value"  # or "index" (always int64), "mask" (always bool), "constant" (which never requires grad)

    @property
    def shape(self) -> Shape:
        return self.values.shape

    def __repr__(self) -> str:
        return f"Drawn({self.values.tolist()}, shape={self.shape}, {self.layout}, {self.role})"

    def array(self, dtype: str) -> np.ndarray:
        """A fresh array of these values, with the strides of the layout."""
        dtype = {"index": "int64", "mask": "bool"}.get(self.role, dtype)
        values = self.values
        if dtype == "bool":
            values = np.mod(np.rint(np.nan_to_num(values, posinf=1, neginf=1)), 2)
        elif self.role == "value" and not dtype.startswith("float"):
            values = np.rint(np.nan_to_num(values, nan=1, posinf=2, neginf=-2))
            values = np.abs(values) if dtype == "uint8" else values
        values = np.array(values, dtype, order="C")
        if self.layout == "transposed":
            return np.ascontiguousarray(values.T).T
        if self.layout == "strided":  # every second place of a larger buffer, from its second one
            buffer = np.full((*values.shape[:-1], 2 * values.shape[-1] + 1), 7).astype(dtype)
            buffer[..., 1::2] = values
            return buffer[..., 1::2]
        if self.layout == "expanded":  # one row in memory, stride 0
            return as_strided(values[:1].copy(), values.shape, (0, *values.strides[1:]))
        return values

    def tensor(self, T: Any, dtype: str, requires_grad: bool = False) -> Any:
        tensor = T.from_numpy(self.array(dtype))
        return tensor.requires_grad_() if requires_grad else tensor


def fill(rng: np.random.Generator, shape: Shape, domain: Domain, grid: bool, specials: tuple[float, ...]) -> np.ndarray:
    """Values in the domain: halves, so that there are ties and zeros, or any; with the specials put in somewhere."""
    size = int(np.prod(shape))
    if domain.distinct:
        values = domain.low + (domain.high - domain.low) * (rng.permutation(size) + 0.75) / max(size, 1)
        specials = tuple(dict.fromkeys(specials))  # nan once, inf once
    elif grid:
        values = rng.integers(int(np.ceil(2 * domain.low)), int(2 * domain.high) + 1, size) / 2
    else:
        values = rng.uniform(domain.low, domain.high, size)
    if size:
        places = rng.permutation(size)
        for place, special in zip(places, specials, strict=False):
            values[place] = special
    return values.reshape(shape)


# What is drawn for every example is made once: building a strategy costs more than drawing from it.
Made = TypeVar("Made", bound=Callable[..., Any])
drawn_by: Callable[[Made], Made] = lambda function: functools.cache(st.composite(function))

SEEDS = st.integers(0, 2**16 - 1)
LAYOUT = st.sampled_from(LAYOUTS)
BOOLS = st.booleans()
SIDE = st.sampled_from((2, 3, 1, 4, 0))
NUMBERS = st.sampled_from((2, 0.5, -1, 3, -1.5, 0, 1, -0.0, 2.5, True, math.inf, -math.inf, math.nan))
DIVISORS = st.sampled_from((2, 0.5, -1, 3, -1.5, 1, 2.5, True, math.inf, -math.inf, math.nan))
BOUND = st.sampled_from((0, None, -1, 1.0, -0.5, math.inf, math.nan))


@functools.cache
def up_to(last: int) -> st.SearchStrategy[int]:
    return st.integers(0, last)


def rarely(draw: st.DrawFn) -> bool:
    """One time in sixteen: for arguments that do not fit."""
    return draw(up_to(15)) == 15


@functools.cache
def shapes(min_dims: int = 0, max_dims: int = 3, empty: bool = True) -> st.SearchStrategy[Shape]:
    """Sides of 1 to 3, and some of 4 and 0; fewer of the shapes with many dims, of which there are more."""
    pool = [
        shape
        for ndim, times in ((0, 4), (1, 3), (2, 2), (3, 1))
        for shape in (*product((1, 2, 3), repeat=ndim),) * times
    ]
    pool += [(4,), (2, 4), (4, 1), (2, 1, 4)]
    pool += [(0,), (0,), (0, 2), (3, 0), (1, 0), (0, 0), (2, 0, 3), (0, 1, 2), (2, 3, 0)] * empty
    return st.sampled_from([shape for shape in pool if min_dims <= len(shape) <= max_dims])


@functools.cache
def dim_of(ndim: int) -> st.SearchStrategy[int]:
    """A dim of a tensor, from either end; now and then one that it does not have."""
    ndim = max(ndim, 1)
    return st.sampled_from([*range(ndim), *range(-ndim, 0)] * 3 + [ndim])


@functools.cache
def dims_of(ndim: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Distinct dims in any order, from either end; now and then one twice."""
    fine = [dims for count in range(ndim + 1) for dims in permutations(range(ndim), count)]
    return st.sampled_from([*fine, *(tuple(d - ndim for d in dims) for dims in fine), (0, 0)])


@functools.cache
def dim_or_dims(ndim: int) -> st.SearchStrategy[Any]:
    return st.one_of(dim_of(ndim), dims_of(ndim).filter(bool)) if ndim else dim_of(ndim)


@functools.cache
def dims(ndim: int) -> st.SearchStrategy[Any]:
    """An int, a tuple, a list or None."""
    return st.one_of(dim_of(ndim), dims_of(ndim), dims_of(ndim).map(list), st.none())


@functools.cache
def specials_of(domain: Domain) -> st.SearchStrategy[tuple[float, ...]]:
    """None, one or two of the points where something happens, with equal chances."""
    points = domain.specials
    ones, twos = [(point,) for point in points], [*product(points, repeat=2)]
    return st.sampled_from([()] * max(len(twos), 1) + ones * len(points) + twos)


@drawn_by
def of_shape(draw: st.DrawFn, shape: Shape, domain: Domain = REAL) -> Drawn:
    """A tensor of one shape: any layout that the shape allows."""
    layout, seed, specials = draw(LAYOUT), draw(SEEDS), draw(specials_of(domain))
    values = fill(np.random.default_rng(seed), shape, domain, seed % 2 == 0, specials)
    if not shape or not values.size or (layout == "expanded" and domain.distinct):
        layout = "contiguous"
    if layout == "expanded":
        values = np.broadcast_to(values[:1], shape)
    return Drawn(values, layout)


@drawn_by
def one(
    draw: st.DrawFn, min_dims: int = 0, max_dims: int = 3, domain: Domain = REAL, empty: bool = True
) -> tuple[Drawn, ...]:
    """One tensor."""
    return (draw(of_shape(draw(shapes(min_dims, max_dims, empty)), domain)),)


def narrowed(draw: st.DrawFn, shape: Shape) -> Shape:
    """A shape that broadcasts to this one: some sides 1, perhaps without the first dims."""
    ones = draw(up_to(15))
    kept = tuple(1 if ones >> place & 1 else side for place, side in enumerate(shape))
    return kept[draw(up_to(len(shape))) :] if ones >> 3 else kept


@drawn_by
def broadcastable(draw: st.DrawFn, count: int, min_dims: int = 0, max_dims: int = 3) -> list[Shape]:
    """Shapes that broadcast together, but for the last one now and then."""
    whole = draw(shapes(min_dims, max_dims))
    found = [narrowed(draw, whole) for _ in range(count)]
    if rarely(draw):
        found[-1] = tuple(side + 1 for side in found[-1])
    return found


@drawn_by
def several(draw: st.DrawFn, *domains: Domain) -> tuple[Drawn, ...]:
    """Tensors whose shapes broadcast together, one for each domain."""
    found = draw(broadcastable(len(domains)))
    return tuple(draw(of_shape(shape, domain)) for shape, domain in zip(found, domains, strict=True))


@drawn_by
def same_shape(draw: st.DrawFn, count: int, domain: Domain = REAL) -> tuple[Drawn, ...]:
    shape = draw(shapes())
    return tuple(draw(of_shape(shape, domain)) for _ in range(count))


@drawn_by
def expandable(draw: st.DrawFn) -> tuple[Drawn, ...]:
    """A tensor, and one of a shape that it expands to, but now and then."""
    shape = draw(shapes())
    return draw(of_shape(tuple(n + rarely(draw) for n in narrowed(draw, shape)))), draw(of_shape(shape))


@drawn_by
def parts_of(draw: st.DrawFn, size: int) -> list[int]:
    """Sizes that add up to this one, but now and then."""
    first, second = sorted((draw(up_to(size)), draw(up_to(size))))
    parts = [size - second, second - first, first]
    return parts + [1] * rarely(draw)


@functools.cache
def masks(shape: Shape) -> st.SearchStrategy[Drawn]:
    return of_shape(shape, FINITE).map(lambda drawn: Drawn(drawn.values, drawn.layout, "mask"))


@drawn_by
def indices(draw: st.DrawFn, shape: Shape, size: int) -> Drawn:
    """An int64 tensor of places along a dim of this size."""
    values = np.random.default_rng(draw(SEEDS)).integers(0, max(size, 1), shape)
    return Drawn(values, "contiguous", "index")


@functools.cache
def factorings(size: int) -> st.SearchStrategy[Shape]:
    """Every shape of up to three dims with this many elements."""
    sides = [side for side in range(1, size + 1) if size % side == 0]
    found = [s for n in range(size > 1, 4) for s in product(sides, repeat=n) if math.prod(s) == size]
    return st.sampled_from(found or [(0,), (0, 2), (2, 0, 3)])


@drawn_by
def shape_for(draw: st.DrawFn, size: int) -> Shape:
    """A shape to view so many elements as, perhaps with a -1; now and then one that does not fit."""
    shape = list(draw(factorings(size)))
    if shape and draw(BOOLS):
        shape[draw(up_to(len(shape) - 1))] = -1
    if rarely(draw):
        shape.append(2)
    return tuple(shape)


@drawn_by
def larger_shape(draw: st.DrawFn, shape: Shape) -> Shape:
    """A shape to expand to, -1 where a side stays; now and then a wrong one."""
    new = [draw(up_to(3)) for _ in range(draw(up_to(2)))]
    old = [draw(up_to(3)) if side == 1 else -1 if draw(BOOLS) else side for side in shape]
    if shape and rarely(draw):
        old[-1] += 3
    return (*new, *old)


_KINDS = st.sampled_from(("int", "slice", "slice", "index", "index", "stop", "new", "...", "mask", "list", "bool"))
_ENDS = st.sampled_from((None, 0, 1, 2, 3, -1, -2, -4))
_STEPS = st.sampled_from((None, 1, 2, 3))


@drawn_by
def index_for(draw: st.DrawFn, shape: Shape) -> Any:
    """What can stand in brackets: ints, slices, None, ..., bools, masks, index tensors and lists, alone or mixed."""
    entries: list[Any] = []
    place, common = 0, draw(shapes(0, 2, empty=False))
    while place < len(shape) and (kind := draw(_KINDS)) != "stop":
        side, used = shape[place], 1
        if kind == "int":
            entries.append(draw(up_to(side if rarely(draw) else max(side - 1, 0))) - side * draw(BOOLS))
        elif kind == "slice":
            entries.append(slice(draw(_ENDS), draw(_ENDS), draw(_STEPS)))
        elif kind == "index":
            places = draw(indices(common if draw(BOOLS) else (1,) * len(common), side)).values
            entries.append(Drawn(places - side * draw(BOOLS), role="index"))
        elif kind == "list":
            entries.append([draw(up_to(max(side - 1, 0))) for _ in range(draw(up_to(2)))])
        elif kind == "mask":
            used = 1 + draw(up_to(min(1, len(shape) - place - 1)))
            entries.append(draw(masks(shape[place : place + used])))
        elif kind == "...":
            used = draw(up_to(len(shape) - place))
            entries.append(Ellipsis)
        else:
            used = 0
            entries.append(draw(BOOLS) if kind == "bool" else None)
        place += used
    return entries[0] if len(entries) == 1 and not isinstance(entries[0], list) and draw(BOOLS) else tuple(entries)


def in_numpy(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(in_numpy(entry) for entry in index)
    return index.array("float32") if isinstance(index, Drawn) else index


@drawn_by
def assignment(draw: st.DrawFn, numbers: st.SearchStrategy[Any] | None) -> tuple[Any, ...]:
    """A tensor, an index that names no place twice (which value stays is not defined), and a value for these places."""
    (x,) = draw(one(1))
    index = draw(index_for(x.shape))
    places = np.arange(x.values.size).reshape(x.shape)
    try:
        chosen = places[in_numpy(index)]
    except (IndexError, ValueError):
        chosen = places
    if len(np.unique(chosen)) != chosen.size:
        index, chosen = Ellipsis, places
    return x, index, draw(numbers if numbers is not None else of_shape(narrowed(draw, chosen.shape)))


@drawn_by
def binary(draw: st.DrawFn, x: Domain = REAL, y: Domain = REAL, numbers: Any = NUMBERS) -> tuple[Any, ...]:
    """Two tensors that broadcast together, or a tensor and a number."""
    return draw(several(x, y)) if draw(up_to(3)) else (*draw(one(domain=x)), draw(numbers))


@drawn_by
def number_first(draw: st.DrawFn) -> tuple[Any, ...]:
    number = draw(NUMBERS)
    return (2 if number is True else number, *draw(one()))  # torch's gradient of True**x is an internal error


@drawn_by
def conditional(draw: st.DrawFn) -> tuple[Any, ...]:
    """A mask, and two tensors or numbers."""
    first, *shapes_ = draw(broadcastable(3))
    branches = [draw(of_shape(shape)) if draw(up_to(4)) else draw(NUMBERS) for shape in shapes_]
    return (draw(masks(first)), *branches)


@drawn_by
def masked(draw: st.DrawFn) -> tuple[Drawn, ...]:
    first, second = draw(broadcastable(2))
    return draw(of_shape(first)), draw(masks(second))


@drawn_by
def clamped(draw: st.DrawFn, count: int = 2) -> tuple[Any, ...]:
    """A tensor and its bounds: all numbers, or all tensors, or None; the lower may exceed the upper."""
    if draw(BOOLS):
        return (*draw(one(domain=BOUNDED)), *(draw(BOUND) for _ in range(count)))
    # Bounds of one shape: torch's gradient fails where one is wider than x and the other is not.
    x, bound = draw(broadcastable(2))
    x, *bounds = (draw(of_shape(shape, BOUNDED)) for shape in (x, *[bound] * count))
    return (x, *(bound if count == 1 or draw(up_to(3)) else None for bound in bounds))


@drawn_by
def joined(draw: st.DrawFn, grow: bool) -> tuple[list[Drawn], int]:
    """Tensors of one shape but, for cat, in the dim that grows; now and then one too short."""
    shape = draw(shapes(int(grow)))
    dim = draw(dim_of(len(shape) + (not grow)))
    tensors = []
    for _ in range(1 + draw(up_to(2))):
        own = list(shape)
        if grow and -len(own) <= dim < len(own):
            own[dim] = draw(up_to(3))
        short = rarely(draw)
        dim = 0 if short else dim  # only one thing wrong at a time
        tensors.append(draw(of_shape(tuple(own[short:]))))
    return tensors, dim


@drawn_by
def matrices(draw: st.DrawFn, *ranks: int, batch: bool = False) -> tuple[Drawn, ...]:
    """Two arguments of a matrix product, of these ranks; now and then they do not fit."""
    n, k, m = draw(SIDE), draw(SIDE), draw(SIDE)
    first, second = (n, k)[-ranks[0] :], (k + rarely(draw), m)[: ranks[1]]
    leading = draw(broadcastable(2, 1, 2)) if batch else [(draw(SIDE),)] * 2
    first, second = leading[0] * (ranks[0] > 2) + first, leading[1] * (ranks[1] > 2) + second
    return draw(of_shape(first)), draw(of_shape(second))


@drawn_by
def affine(draw: st.DrawFn) -> tuple[Any, ...]:
    """Input (1-d to 3-d), weight, and perhaps a bias, of nn.functional.linear."""
    n, m = draw(SIDE), draw(SIDE)
    x, weight = (*draw(shapes(0, 2)), n), (m, n + rarely(draw))
    return draw(of_shape(x)), draw(of_shape(weight)), draw(of_shape((m,))) if draw(BOOLS) else None


@drawn_by
def added_product(draw: st.DrawFn) -> tuple[Drawn, ...]:
    n, k, m = draw(SIDE), draw(SIDE), draw(SIDE)
    added = ((n, m), (1, m), (m,), (n, 1), ())[draw(up_to(4))]
    return draw(of_shape(added)), draw(of_shape((n, k))), draw(of_shape((k, m)))


@drawn_by
def two_vectors(draw: st.DrawFn) -> tuple[Drawn, ...]:
    return draw(of_shape((draw(SIDE),))), draw(of_shape((draw(SIDE),)))


@drawn_by
def along_indices(draw: st.DrawFn, gather: bool) -> tuple[Any, ...]:
    """x, dim, index: of x's rank for gather, 1-d for index_select."""
    (x,) = draw(one(1, empty=False))
    dim = draw(up_to(len(x.shape) - 1)) - len(x.shape) * draw(BOOLS)
    shape = list(x.shape) if gather else [0]
    shape[dim if gather else 0] = draw(up_to(3))
    return x, dim, draw(indices(tuple(shape), x.shape[dim]))


@drawn_by
def getting(draw: st.DrawFn) -> tuple[Any, ...]:
    (x,) = draw(one(1))
    return x, draw(index_for(x.shape))


@drawn_by
def well_conditioned(draw: st.DrawFn) -> tuple[Drawn, ...]:
    """Matrices with singular values well apart: the nuclear norm has kinks where they vanish."""
    n, m = 1 + draw(up_to(2)), 1 + draw(up_to(2))
    x = draw(of_shape((n, m), Domain(-0.25, 0.25, kinks=(), nonfinite=False, distinct=True)))
    return (Drawn(x.values + np.diag([4.0, 2.0, 1.0])[:n, :m], x.layout),)
