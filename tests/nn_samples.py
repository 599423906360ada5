"""The records of nn.functional."""

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st
from samples import ELEMENTWISE, OTHERS, REDUCED, REDUCTION, Arguments, Sample, fn, given, some
from strategies import BOOLS, FINITE, SEEDS, SIDE, Domain, Drawn, Shape, drawn_by, of_shape, one, rarely, shapes, up_to

PROBABILITY = Domain(0.0, 1.0, kinks=(0.0, 1.0, 0.5), nonfinite=False)
WEIGHT = Domain(0.0, 4.0, kinks=(0.0, 1.0), nonfinite=False)
WIDE = Domain(-4.0, 4.0, kinks=(0.0, -0.0, 20.0, -20.0, 1000.0, -1000.0))


def constant(shape: Shape, domain: Domain = WEIGHT) -> st.SearchStrategy[Drawn]:
    """A tensor that PyTorch has no gradient for."""
    return of_shape(shape, domain).map(lambda drawn: Drawn(drawn.values, drawn.layout, "constant"))


@drawn_by
def classified(draw: st.DrawFn) -> tuple[Drawn, ...]:
    """Scores (classes,), (n, classes) or (n, classes, ...), and the classes of the places, or none."""
    n, classes, rest = draw(SIDE), 1 + draw(up_to(3)), draw(shapes(0, 3))
    scores, places = ((n, classes, *rest), (n, *rest)) if draw(up_to(3)) else ((classes,), ())
    rng = np.random.default_rng(draw(SEEDS))
    values = rng.integers(0, classes + rarely(draw), places)
    if draw(BOOLS):
        values = np.where(rng.random(places) < 0.4, -100, values)
    if places and rarely(draw):
        values = values[..., None]
    drawn = draw(of_shape(scores))
    if len(scores) == 4:  # torch has no gradient of an image that is laid out otherwise
        drawn = Drawn(np.array(drawn.values))
    return drawn, Drawn(np.asarray(values), "contiguous", "index")


@drawn_by
def probable(draw: st.DrawFn) -> tuple[Drawn, ...]:
    """Scores, and probabilities of the same shape; now and then of another."""
    shape = draw(shapes(1, 3, empty=False))
    return draw(of_shape(shape)), draw(of_shape((*shape, 2) if rarely(draw) else shape, PROBABILITY))


def weighing_classes(**more: st.SearchStrategy[Any]) -> Any:
    def params(shape: Shape) -> st.SearchStrategy[Arguments]:
        return given(weight=constant(shape[len(shape) > 1 :][:1]), reduction=REDUCED, **more)

    return params


def weighing_elements(*names: str) -> Any:
    def params(shape: Shape) -> st.SearchStrategy[Arguments]:
        weights = {name: st.one_of(constant(shape), constant(shape[-1:])) for name in names}
        return given(reduction=REDUCED, **weights)

    return params


def pairs(x: Domain, y: Domain) -> st.SearchStrategy[tuple[Drawn, ...]]:
    return shapes().flatmap(lambda shape: st.tuples(of_shape(shape, x), of_shape(shape, y)))


IGNORED = st.sampled_from((-100, 0, 1))
SMOOTHING = st.sampled_from((0.0, 0.1, 1.0, 0.5, 1.5))
HALF = OTHERS[-1:]

SLOPE = st.sampled_from((0.01, 0.2, 1.5, 0.0, -0.5, 1))
BOUNDS = st.sampled_from(((-1.0, 1.0), (-2, 2), (0.0, 6.0), (0.5, 0.5)))
HALVES = Domain(-4.0, 8.0, kinks=(1.0, -1.0, 6.0, 0.0, -0.0, 2.0))
SMALL = st.integers(-3, 3)
CLASSES = st.sampled_from((-1, 3, 4, 1, 0))


@drawn_by
def embedded(draw: st.DrawFn) -> tuple[Drawn, ...]:
    """Indices, now and then one too high, and a table of rows."""
    rows = 1 + draw(up_to(3))
    rng = np.random.default_rng(draw(SEEDS))
    index = rng.integers(0, rows + rarely(draw), draw(shapes(0, 2, empty=False)))
    return Drawn(np.asarray(index), "contiguous", "index"), draw(of_shape((rows, 1 + draw(up_to(2)))))


@drawn_by
def classes(draw: st.DrawFn) -> tuple[Drawn, ...]:
    low = -1 if rarely(draw) else 0
    index = np.random.default_rng(draw(SEEDS)).integers(low, 1 + draw(up_to(3)), draw(shapes(0, 2)))
    return (Drawn(np.asarray(index), "contiguous", "index"),)


ACTIVATIONS = (
    Sample(fn + "leaky_relu", one(), lambda s: given(SLOPE), ELEMENTWISE),
    Sample(fn + "elu", one(domain=WIDE), lambda s: given(alpha=SLOPE), ELEMENTWISE),
    Sample(fn + "selu", one(domain=WIDE), tolerance=ELEMENTWISE),
    Sample(fn + "softplus", one(domain=WIDE), lambda s: given(beta=st.sampled_from((1, 0.5, 3.0))), REDUCTION),
    Sample(fn + "silu", one(domain=WIDE), tolerance=ELEMENTWISE),
    Sample(
        fn + "gelu", one(domain=FINITE), lambda s: given(approximate=st.sampled_from(("none", "tanh", "x"))), REDUCTION
    ),
    Sample(fn + "logsigmoid", one(domain=WIDE), tolerance=ELEMENTWISE),
    Sample(fn + "hardtanh", one(domain=HALVES), lambda s: BOUNDS.map(lambda bounds: (bounds, {}))),
    Sample(fn + "relu6", one(domain=HALVES)),
    Sample(fn + "softsign", one(), tolerance=ELEMENTWISE),
    Sample(fn + "tanhshrink", one(), tolerance=REDUCTION),
)

ORDER = st.sampled_from((1.0, 2.0, math.inf))
NORM = st.sampled_from((0.0, 0.5, 1.0, 2.5, -1.0, 1e9))


def scaled_by_frequency(T: Any, index: Any, weight: Any, **options: Any) -> Any:
    """The rows, and their gradient; the second one isn't divided in torch."""
    weight = weight.detach().requires_grad_()
    rows = T.nn.functional.embedding(index, weight, **options)
    return rows.detach(), T.autograd.grad(rows.sigmoid().sum(), weight)


NEURAL = (
    *ACTIVATIONS,
    Sample(fn + "embedding", embedded(), lambda s: given(padding_idx=SMALL)),
    Sample(fn + "embedding", embedded(), some(max_norm=NORM, norm_type=ORDER), REDUCTION, "max_norm", others=(),
           function=lambda T, i, w, **k: T.nn.functional.embedding(i, w * 1, **k)),
    Sample(fn + "embedding", embedded(), some(padding_idx=SMALL, scale_grad_by_freq=st.just(True)), REDUCTION,
           "frequency", function=scaled_by_frequency, others=()),
    Sample(fn + "one_hot", classes(), lambda s: given(CLASSES), others=()),
    Sample(fn + "nll_loss", classified(), weighing_classes(ignore_index=IGNORED), REDUCTION, degree=2),
    Sample(fn + "cross_entropy", classified(), weighing_classes(ignore_index=IGNORED, label_smoothing=SMOOTHING),
           REDUCTION, degree=2),
    Sample(fn + "cross_entropy", probable(), weighing_classes(label_smoothing=SMOOTHING), REDUCTION,
           "probabilities", 2),
    Sample(fn + "binary_cross_entropy", pairs(PROBABILITY, PROBABILITY), weighing_elements("weight"), REDUCTION,
           degree=2),
    Sample(fn + "binary_cross_entropy_with_logits", pairs(WIDE, PROBABILITY),
           weighing_elements("weight", "pos_weight"), REDUCTION, degree=2),
)  # fmt: skip
