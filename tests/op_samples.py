"""One record per operation: how its arguments are drawn, how it is called, how exact it is. Every sweep reads it.

To add an operation, add a line to SAMPLES. What a record leaves out is found out from torch: whether there is a method,
an in-place form or `out=`, whether the result has a gradient, and which calls raise.
"""

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from composed_samples import COMPOSED
from hypothesis import strategies as st
from nn_samples import NEURAL
from samples import (
    ELEMENTWISE,
    EXACT,
    FLOAT,
    OTHERS,
    REDUCED,
    REDUCTION,
    Arguments,
    Params,
    Sample,
    along,
    fn,
    given,
    some,
)
from strategies import (
    BOOLS,
    DISTINCT,
    DIVISORS,
    FINITE,
    NUMBERS,
    PORTABLE,
    POSITIVE,
    REAL,
    SIDE,
    Domain,
    Drawn,
    Shape,
    added_product,
    affine,
    along_indices,
    assignment,
    binary,
    clamped,
    conditional,
    dim_of,
    dim_or_dims,
    dims,
    dims_of,
    expandable,
    getting,
    joined,
    larger_shape,
    masked,
    matrices,
    number_first,
    of_shape,
    one,
    parts_of,
    same_shape,
    several,
    shape_for,
    shapes,
    two_vectors,
    well_conditioned,
)

# Arguments ------------------------------------------------------------------------------------------------------------

sizes = lambda least, most: st.lists(st.integers(0, 3), min_size=least, max_size=most)
DTYPE = st.sampled_from(("float32", "float64", "int64", "bool", "int32", "uint8"))
NUMERIC = st.sampled_from(("float32", "float64", "int64"))
ALPHA = st.sampled_from((2, -1, 0.5, 0))
SMALL = st.integers(-2, 2)

FORMAT = st.sampled_from(("contiguous_format", "preserve_format"))

nothing = st.just(())
SIZE = st.sampled_from(((), (2,), (0,), (2, 3), (1, 0, 2), (3, 2, 1), (3, -1)))
DATA = st.sampled_from((
    1, 2.5, True, -1, 300, [], [[]], [1, 2], [1, 2.5], [True, 2], (1, 2), [[1, 2], [3, 4]], [(1, 2), [3, 4]], range(3),
    np.float64(3), np.float32(2.5), np.int32(3), np.arange(3), np.ones((2, 2), np.float32), np.array(2, np.int16),
    math.nan, [math.inf], [2**40, 1],
))  # fmt: skip
NO_DATA = st.sampled_from((
    None, "1", [None], ["1"], {1: 2}, [[1], [2, 3]], [1, [2]], [[1, 2], 3], 2**70, [2**70], [np.float32(1), 2.0],
    [np.int64(1), 2],
))  # fmt: skip


def reduces(many: bool = True, full: bool = True, **extra: st.SearchStrategy[Any]) -> Params:
    """dim and keepdim by keyword and by position; `many` dims at a time; `full`: no dim at all."""

    def params(shape: Shape) -> st.SearchStrategy[Arguments]:
        which = dims(len(shape)) if many else dim_of(len(shape))
        forms = [given(which, **extra), given(which, BOOLS, **extra), given(dim=which, keepdim=BOOLS, **extra)]
        return st.one_of(given(**extra), *forms) if full else st.one_of(*forms[:2])

    return params


def created(*more: st.SearchStrategy[Any], varargs: bool = True) -> Params:
    """A size, as one tuple or (`varargs`) as several numbers; dtype and requires_grad."""
    options = {"dtype": DTYPE, "requires_grad": BOOLS}
    whole = given(SIZE, *more, **options)
    spread = given(SIZE.filter(bool), **options).map(lambda arguments: (arguments[0][0], arguments[1]))
    return lambda shape: st.one_of(whole, spread) if varargs else whole


def in_turn(strategy: Callable[[int], st.SearchStrategy[Any]]) -> Params:
    """Several numbers as arguments of their own or as one tuple: x.permute(1, 0) and x.permute((1, 0))."""

    def params(shape: Shape) -> st.SearchStrategy[Arguments]:
        drawn = strategy(len(shape)).map(tuple)
        return st.one_of(drawn.map(lambda numbers: ((numbers,), {})), drawn.map(lambda numbers: (numbers, {})))

    return params


# Domains --------------------------------------------------------------------------------------------------------------

UNIT = Domain(-1.0, 1.0, kinks=(0.0, 1.0, -1.0, 1.5))
ABOVE_MINUS_ONE = Domain(-0.75, 4.0, kinks=(0.0, -1.0, -2.0))
WIDE = Domain(-4.0, 4.0, kinks=(0.0, -0.0, 20.0, -20.0, 1000.0, -1000.0))
DIVISOR = Domain(1.0, 4.0, kinks=(-1.0, -2.5, 0.0, -0.0))
BASE = Domain(0.25, 3.0, kinks=(0.0, 1.0, -2.0))
HALVES = Domain(-4.0, 4.0, kinks=(0.5, -0.5, 1.5, 2.5, 0.0, -0.0))
UNSIGNED = Domain(kinks=(0.0,))  # which of 0 and -0 is the larger depends on their place in torch's vectors
NATURAL = Domain(0.0, 8.0, kinks=(0.0, 1.0), nonfinite=False)  # a float that converts to every integer dtype


def stably(arguments: Arguments) -> Arguments:
    """Otherwise the order of equal values is not defined."""
    return arguments[0], arguments[1] | {"stable": True}


def dtypes(T: Any, names: tuple[str, ...]) -> list[Any]:
    return [getattr(T, name) for name in names]


def set_item(T: Any, x: Any, index: Any, value: Any) -> Any:
    x = x.clone()
    x[index] = value
    return x


def grows(xs: tuple[Drawn, ...]) -> bool:
    """Whether the first of these would have to grow to take the result."""
    try:
        return np.broadcast_shapes(*(x.shape for x in xs)) != xs[0].shape
    except ValueError:
        return False


# What has no kernel for floats and does not fit either: torch finds the one error first, or the other.
not_growing = several(REAL, REAL).filter(lambda xs: not grows(xs))

LOW, HIGH = Domain(-2.0, -0.5, kinks=()), Domain(0.5, 1.0, kinks=())
between = shapes().flatmap(lambda shape: st.tuples(*(of_shape(shape, domain) for domain in (REAL, LOW, HIGH))))

# The table ------------------------------------------------------------------------------------------------------------

P = st.sampled_from((2, 1, 3, 0, math.inf, -math.inf, 0.5, -1, "fro"))
CORRECTION = st.sampled_from((0, 1, 2, 0.5))
# Not dim=(), which torch takes for all dims, but not in the gradient.
CORRECTED: Params = lambda s: given(dim=dim_or_dims(len(s)), correction=CORRECTION, keepdim=BOOLS)
NEAR = st.sampled_from((0.0, 0.5, 1e-5, 10.0))
ROUNDING = st.sampled_from((None, "floor", "trunc"))

EXPONENTS = NUMBERS.filter(lambda n: n is not True)  # torch's gradient of x**True is an internal error
# torch.from_numpy takes over NumPy's strides of an array without elements, 0 in some versions; minigrad has none such.
filled = one().filter(lambda xs: bool(xs[0].values.size))

POINTWISE = (
    Sample("neg", one(), operator=operator.neg),
    Sample("abs", one(), operator=operator.abs),
    Sample("sign", one()),
    Sample("exp", one(domain=WIDE), tolerance=ELEMENTWISE),
    Sample("exp2", one(domain=WIDE), tolerance=ELEMENTWISE),
    Sample("expm1", one(domain=WIDE), tolerance=ELEMENTWISE),
    Sample("log", one(domain=POSITIVE), tolerance=ELEMENTWISE),
    Sample("log2", one(domain=POSITIVE), tolerance=ELEMENTWISE),
    Sample("log10", one(domain=POSITIVE), tolerance=ELEMENTWISE),
    Sample("log1p", one(domain=ABOVE_MINUS_ONE), tolerance=ELEMENTWISE),
    Sample("sqrt", one(domain=POSITIVE), tolerance=ELEMENTWISE),
    Sample("rsqrt", one(domain=POSITIVE), tolerance=ELEMENTWISE),
    Sample("square", one()),
    Sample("reciprocal", one(), tolerance=ELEMENTWISE),
    Sample("sin", one(), tolerance=ELEMENTWISE),
    Sample("cos", one(), tolerance=ELEMENTWISE),
    Sample("tan", one(), tolerance=ELEMENTWISE),
    Sample("asin", one(domain=UNIT), tolerance=ELEMENTWISE),
    Sample("acos", one(domain=UNIT), tolerance=ELEMENTWISE),
    Sample("atan", one(), tolerance=ELEMENTWISE),
    Sample("atan2", several(REAL, REAL), tolerance=ELEMENTWISE),
    Sample("sinh", one(domain=WIDE), tolerance=ELEMENTWISE),
    Sample("cosh", one(domain=WIDE), tolerance=ELEMENTWISE),
    Sample("tanh", one(domain=WIDE), tolerance=ELEMENTWISE),
    Sample("sigmoid", one(domain=WIDE), tolerance=ELEMENTWISE),
    Sample("relu", one()),
    Sample("floor", one(domain=HALVES)),
    Sample("ceil", one(domain=HALVES)),
    Sample("trunc", one(domain=HALVES)),
    Sample("round", one(domain=HALVES), some(decimals=SMALL), ELEMENTWISE),
    Sample("isnan", one()),
    Sample("isinf", one()),
    Sample("isfinite", one()),
    Sample("add", binary(), some(alpha=ALPHA), operator=operator.add, tolerance=ELEMENTWISE),
    Sample("sub", binary(), some(alpha=ALPHA), operator=operator.sub, tolerance=ELEMENTWISE),
    Sample("mul", binary(), operator=operator.mul),
    Sample("div", binary(y=DIVISOR), some(rounding_mode=ROUNDING), operator=operator.truediv),
    Sample("floor_divide", binary(y=DIVISOR, numbers=DIVISORS), operator=operator.floordiv),
    Sample("remainder", binary(y=DIVISOR, numbers=DIVISORS), operator=operator.mod),
    Sample("remainder", number_first(), variant="number"),
    Sample("fmod", binary(y=DIVISOR, numbers=DIVISORS)),
    Sample("pow", binary(BASE, numbers=EXPONENTS), tolerance=ELEMENTWISE, operator=operator.pow),
    Sample("pow", number_first(), variant="number", tolerance=ELEMENTWISE),
    Sample("rsub", binary(), some(alpha=ALPHA), tolerance=ELEMENTWISE),
    Sample("minimum", several(UNSIGNED, UNSIGNED)),
    Sample("maximum", several(UNSIGNED, UNSIGNED)),
    Sample("clamp", clamped()),
    Sample("clamp", between, variant="tensors"),
    Sample("clamp_min", clamped(1)),
    Sample("clamp_max", clamped(1)),
    Sample("where", conditional()),
    Sample("where", one().map(lambda xs: (Drawn(xs[0].values, xs[0].layout, "mask"),)), variant="condition"),
    Sample("eq", binary(), operator=operator.eq),
    Sample("eq_", binary(), variant="written", function=lambda T, x, y: x.clone().eq_(y)),
    Sample("ne", binary(), operator=operator.ne),
    Sample("lt", binary(), operator=operator.lt),
    Sample("le", binary(), operator=operator.le),
    Sample("gt", binary(), operator=operator.gt),
    Sample("ge", binary(), operator=operator.ge),
    Sample("logical_and", several(REAL, REAL)),
    Sample("logical_or", several(REAL, REAL)),
    Sample("logical_xor", several(REAL, REAL)),
    Sample("logical_not", one()),
    Sample("bitwise_and", not_growing, operator=operator.and_),
    Sample("bitwise_or", not_growing, operator=operator.or_),
    Sample("bitwise_xor", not_growing, operator=operator.xor),
    Sample("bitwise_left_shift", not_growing, operator=operator.lshift),
    Sample("bitwise_right_shift", not_growing, operator=operator.rshift),
    Sample("bitwise_not", one(), operator=operator.invert),
    Sample("float_power", binary(BASE), tolerance=ELEMENTWISE),
    Sample("isclose", several(REAL, REAL), some(rtol=NEAR, atol=NEAR, equal_nan=BOOLS)),
    Sample("allclose", same_shape(2), some(rtol=NEAR, atol=NEAR, equal_nan=BOOLS)),
    Sample("equal", same_shape(2)),
    *(Sample(name, one()) for name in ("absolute", "negative")),
    *(Sample(name, binary(), tolerance=ELEMENTWISE) for name in ("subtract", "multiply")),
    *(Sample(name, binary(y=DIVISOR)) for name in ("divide", "true_divide")),
    Sample("clip", clamped()),
    Sample("result_type", binary(), function=lambda T, x, y: str(T.result_type(x, y))),
    Sample("promote_types", nothing, some(DTYPE, DTYPE), function=lambda T, *d: str(T.promote_types(*dtypes(T, d)))),
    Sample("can_cast", nothing, some(DTYPE, DTYPE), function=lambda T, *d: T.can_cast(*dtypes(T, d))),
    Sample(fn + "relu", one()),
    Sample(fn + "sigmoid", one(domain=WIDE), tolerance=ELEMENTWISE),
    Sample(fn + "tanh", one(domain=WIDE), tolerance=ELEMENTWISE),
)

REDUCTIONS = (
    Sample("sum", one(), reduces(dtype=FLOAT), REDUCTION),
    Sample("sum", one(domain=NATURAL), reduces(dtype=DTYPE), REDUCTION, "dtype"),
    Sample("mean", one(), reduces(dtype=FLOAT), REDUCTION),
    # Finite: with an infinity beside a zero torch's second gradient divides by the zero, and is NaN.
    Sample("prod", one(domain=FINITE), reduces(many=False, dtype=FLOAT), ELEMENTWISE),
    Sample("prod", one(domain=NATURAL), reduces(many=False, dtype=DTYPE), ELEMENTWISE, "dtype"),
    Sample("max", one(domain=UNSIGNED)),
    Sample("min", one(domain=UNSIGNED)),
    Sample("max", one(domain=UNSIGNED), reduces(many=False, full=False), variant="dim"),
    Sample("min", one(domain=UNSIGNED), reduces(many=False, full=False), variant="dim"),
    Sample("max", several(UNSIGNED, UNSIGNED), variant="other"),
    Sample("min", several(UNSIGNED, UNSIGNED), variant="other"),
    Sample("amax", one(domain=UNSIGNED), reduces()),
    Sample("amin", one(domain=UNSIGNED), reduces()),
    Sample("argmax", one(), reduces(many=False)),
    Sample("argmin", one(), reduces(many=False)),
    Sample("var", one(), CORRECTED, REDUCTION, degree=2),
    Sample("std", one(), CORRECTED, REDUCTION),
    Sample("var", one(), some(BOOLS), REDUCTION, "unbiased", 2),
    Sample("std", one(), along(BOOLS, BOOLS), REDUCTION, "unbiased"),
    Sample("norm", one(), lambda s: given(p=P, dim=dims(len(s)), keepdim=BOOLS, dtype=FLOAT), REDUCTION),
    Sample("norm", well_conditioned(), some(st.just("nuc"), keepdim=BOOLS), REDUCTION, "nuc"),
    Sample("logsumexp", one(domain=WIDE), lambda s: given(dim_or_dims(len(s)), keepdim=BOOLS), REDUCTION),
    Sample("softmax", one(domain=WIDE), along(dtype=FLOAT), REDUCTION),
    Sample("log_softmax", one(domain=WIDE), along(dtype=FLOAT), REDUCTION),
    Sample("cumsum", one(), along(dtype=FLOAT), REDUCTION),
    Sample("cumsum", one(domain=NATURAL), along(dtype=NUMERIC), REDUCTION, "dtype"),
    Sample("all", one(), reduces()),
    Sample("any", one(), reduces()),
    Sample("count_nonzero", one(), lambda s: given(dim=dims(len(s)))),
    Sample(fn + "softmax", one(domain=WIDE), along(dtype=FLOAT), REDUCTION),
    Sample(fn + "log_softmax", one(domain=WIDE), along(dtype=FLOAT), REDUCTION),
    Sample(fn + "mse_loss", same_shape(2), some(reduction=REDUCED), REDUCTION, degree=2),
    Sample(fn + "l1_loss", same_shape(2), some(reduction=REDUCED), REDUCTION),
)

SHAPING = (
    Sample("reshape", one(), lambda s: given(shape_for(math.prod(s)))),
    Sample("Tensor.reshape", one(), lambda s: shape_for(math.prod(s)).map(lambda to: (to, {})), variant="sizes"),
    Sample("Tensor.view", one(), lambda s: given(shape_for(math.prod(s)))),
    Sample("Tensor.view", filled, some(DTYPE), variant="dtype", function=lambda T, x, dtype: x.view(getattr(T, dtype))),
    Sample("squeeze", one(), lambda s: st.one_of(given(), given(dim_of(len(s))), given(dims_of(len(s))))),
    Sample("unsqueeze", one(), lambda s: given(dim_of(len(s) + 1))),
    Sample("transpose", one(), lambda s: given(dim_of(len(s)), dim_of(len(s)))),
    Sample("t", one(0, 2)),
    Sample("permute", one(), lambda s: given(st.permutations(range(len(s))).map(tuple))),
    Sample("Tensor.permute", one(), in_turn(lambda ndim: st.permutations(range(ndim)))),
    Sample("movedim", one(), lambda s: given(dim_of(len(s)), dim_of(len(s)))),
    Sample("movedim", one(2), some(st.permutations((0, -1)), st.permutations((0, 1))), variant="several"),
    Sample("T", one(2, 2), function=lambda T, x: x.T),  # for other ranks it is deprecated
    Sample("mT", one(), function=lambda T, x: x.mT),
    Sample("flatten", one(), lambda s: given(start_dim=dim_of(len(s)), end_dim=dim_of(len(s)))),
    Sample("ravel", one()),
    Sample("Tensor.expand", one(), lambda s: larger_shape(s).map(lambda to: (to, {}))),
    Sample("Tensor.expand_as", expandable()),
    Sample("broadcast_to", one(), lambda s: given(larger_shape(s))),
    Sample("Tensor.repeat", one(), in_turn(lambda n: sizes(n, n + 1))),
    Sample("tile", one(), in_turn(lambda n: sizes(0, n + 1))),
    Sample("cat", joined(grow=True)),
    Sample("stack", joined(grow=False)),
    Sample("split", one(), lambda s: given(st.integers(1, 4), dim=dim_of(len(s)))),
    Sample("split", one(1), lambda s: given(parts_of(s[0])), variant="sizes"),
    Sample("chunk", one(), lambda s: given(st.integers(1, 4), dim=dim_of(len(s)))),
    Sample("unbind", one(), lambda s: given(dim=dim_of(len(s)))),
    Sample("flip", one(), lambda s: given(dims_of(len(s)))),
    Sample("clone", one()),
    Sample("clone", one(), some(FORMAT), variant="format",
           function=lambda T, x, form: x.clone(memory_format=getattr(T, form))),
    Sample("detach", one()),
    Sample("Tensor.contiguous", one()),
    Sample("Tensor.to", one(domain=NATURAL), some(DTYPE), function=lambda T, x, dtype: x.to(getattr(T, dtype))),
    Sample("Tensor.to", one(domain=NATURAL), some(DTYPE, FORMAT, BOOLS), variant="format",
           function=lambda T, x, d, form, copy: x.to(getattr(T, d), False, copy, memory_format=getattr(T, form))),
)  # fmt: skip

INDEXING = (
    Sample("getitem", getting(),
           function=lambda T, x, index: x[index]),
    Sample("setitem", assignment(NUMBERS), variant="number", function=set_item),
    Sample("setitem", assignment(None), variant="tensor", function=set_item),
    Sample("index_select", along_indices(gather=False)),
    Sample("gather", along_indices(gather=True)),
    Sample("masked_fill", masked(), some(NUMBERS)),
    Sample("masked_select", masked()),
    Sample("nonzero", one(), some(as_tuple=BOOLS)),
    Sample("tril", one(2), some(diagonal=SMALL)),
    Sample("triu", one(2), some(diagonal=SMALL)),
    Sample("diagonal", one(2), some(offset=SMALL, dim1=st.sampled_from((0, -2, 1)), dim2=st.sampled_from((1, -1)))),
    Sample("sort", one(domain=DISTINCT), lambda s: given(dim=dim_of(len(s)), descending=BOOLS), others=()),
    Sample("sort", one(), lambda s: given(dim=dim_of(len(s)), descending=BOOLS).map(stably), variant="stable"),
    Sample("argsort", one(), lambda s: given(dim=dim_of(len(s)), descending=BOOLS).map(stably)),
    Sample("topk", one(1, domain=DISTINCT), lambda s: given(st.integers(0, 3), dim=dim_of(len(s)), largest=BOOLS),
           others=()),
)  # fmt: skip

LINEAR = (
    *(
        Sample("matmul", matrices(i, j, batch=True), variant=f"{i}-d, {j}-d", tolerance=REDUCTION, degree=2,
               operator=operator.matmul)
        for i in (1, 2, 3) for j in (1, 2, 3)
    ),
    Sample("mm", matrices(2, 2), tolerance=REDUCTION, degree=2),
    Sample("mv", matrices(2, 1), tolerance=REDUCTION, degree=2),
    Sample("bmm", matrices(3, 3), tolerance=REDUCTION, degree=2),
    Sample("dot", matrices(1, 1), tolerance=REDUCTION, degree=2),
    Sample("outer", two_vectors()),
    Sample("addmm", added_product(), some(beta=ALPHA, alpha=ALPHA), REDUCTION, degree=2),
    # torch has no kernel for bool; without features it adds the bias or raises, by how the bias lies in memory.
    Sample(fn + "linear", affine(), tolerance=REDUCTION, degree=2, others=OTHERS[1:]),
)  # fmt: skip

ENDS = st.sampled_from((0, 1, 5, -2, 0.5, -1.5, 3.25))
STEPS = st.sampled_from((1, 2, 0.5, -1, -0.25))
LIKE = {"dtype": DTYPE, "requires_grad": BOOLS}

CREATION = (
    Sample("zeros", nothing, created()),
    Sample("ones", nothing, created()),
    Sample("empty", nothing, created(), function=lambda T, *a, **k: T.zeros_like(T.empty(*a, **k))),
    Sample("full", nothing, created(NUMBERS, varargs=False)),
    Sample("eye", nothing, lambda s: st.one_of(given(SIDE, **LIKE), given(SIDE, SIDE, **LIKE))),
    Sample("arange", nothing, lambda s: st.one_of(given(ENDS, **LIKE), given(ENDS, ENDS, dtype=DTYPE)), ELEMENTWISE),
    Sample("arange", nothing, some(ENDS, ENDS, STEPS, dtype=FLOAT), ELEMENTWISE, "step"),
    Sample("linspace", nothing, lambda s: given(ENDS, ENDS, st.integers(-1, 7), dtype=FLOAT, requires_grad=BOOLS),
           REDUCTION if PORTABLE else EXACT),
    Sample("zeros_like", one(), some(**LIKE)),
    Sample("ones_like", one(), some(**LIKE)),
    Sample("full_like", one(), some(NUMBERS, **LIKE)),
    Sample("empty_like", one(), some(**LIKE), function=lambda T, *a, **k: T.zeros_like(T.empty_like(*a, **k))),
    Sample("Tensor.new_zeros", one(), created()),
    Sample("Tensor.new_ones", one(), created()),
    Sample("Tensor.new_full", one(), created(NUMBERS, varargs=False)),
    Sample("Tensor.new_empty", one(), created(), function=lambda T, x, *a, **k: T.zeros_like(x.new_empty(*a, **k))),
    Sample("Tensor.new_tensor", one(), some(DATA, **LIKE)),
    Sample("tensor", nothing, some(DATA, **LIKE)),
    Sample("tensor", nothing, some(NO_DATA), variant="odd"),
    Sample("as_tensor", nothing, some(DATA, dtype=DTYPE)),
)  # fmt: skip

single = st.sampled_from(((), (1,), (1, 1), (2,), (0,))).flatmap(of_shape).map(lambda x: (x,))

PYTHON = (
    Sample("Tensor.item", single),
    Sample("Tensor.tolist", one()),
    Sample("Tensor.size", one(), lambda s: st.one_of(given(), given(dim_of(len(s))))),
    Sample("Tensor.stride", filled, lambda s: st.one_of(given(), given(dim_of(len(s))))),
    Sample("Tensor.dim", one()),
    Sample("Tensor.is_contiguous", one()),
    Sample("numel", one()),
    Sample("len", one(), function=lambda T, x: len(x)),
    Sample("iter", one(), function=lambda T, x: list(x)),
    Sample("in", binary(), function=lambda T, x, y: y in x),
    *(Sample(kind.__name__, single, function=lambda T, x, kind=kind: kind(x)) for kind in (bool, int, float)),
)

SAMPLES = POINTWISE + REDUCTIONS + SHAPING + INDEXING + LINEAR + CREATION + PYTHON + COMPOSED + NEURAL
