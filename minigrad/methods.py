"""Tensor's methods that are functions of `ops`: operators, methods, and their in-place forms."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from minigrad import kernels, ops
from minigrad.autograd.grad_mode import state
from minigrad.autograd.graph import apply
from minigrad.autograd.hooks import Watch, elsewhere
from minigrad.autograd.inplace import bump, check_inference, check_writable, in_place
from minigrad.autograd.node import TensorBase
from minigrad.ops import comparison, distributions, indexing, reduction, shaping

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

OPERANDS = (TensorBase, int, float, np.generic)


def operand(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operator from a function: NotImplemented, so that the other side may try, where it is no tensor or number."""

    @functools.wraps(function)
    def method(self: Tensor, other: Any) -> Any:
        return function(self, other) if isinstance(other, OPERANDS) else NotImplemented

    return method


def reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    """The operator for a tensor on the right."""

    @functools.wraps(function)
    def method(self: Tensor, other: Any) -> Any:
        return function(other, self) if isinstance(other, OPERANDS) else NotImplemented

    return method


def old_alpha(function: Callable[..., Any]) -> Callable[..., Any]:
    """A method that takes old tutorials' x.add_(alpha, other) too, with PyTorch's warning."""

    @functools.wraps(function)
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if len(args) == 2 and not isinstance(args[0], TensorBase):
            name = function.__name__
            warnings.warn(
                f"This overload of {name} is deprecated:\n\t{name}(Number alpha, Tensor other)\n"
                f"Consider using one of the following signatures instead:\n\t{name}(Tensor other, *, Number alpha = 1)",
                UserWarning,
                stacklevel=2,
            )
            args, kwargs["alpha"] = args[1:], args[0]
        return function(self, *args, **kwargs)  # type: ignore[no-any-return]

    return method


def varargs(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A method that takes a shape or dims as separate ints, as one sequence, or under its `name`."""

    @functools.wraps(function)
    def method(self: Tensor, *sizes: Any, **named: Any) -> Any:
        if named or not sizes:
            if sizes or named.keys() != {name}:
                raise TypeError(f'{function.__name__}() takes 1 argument, "{name}": ints, or one tuple of them')
            sizes = (named[name],)
        return function(self, sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes)

    return method


def of_shape(function: Callable[..., Tensor]) -> Callable[..., Any]:
    """The in-place form of an operation on the shape: the tensor is seen otherwise, its memory stays."""
    name = f"{function.__name__}_"

    @functools.wraps(function)
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_inference(self)
        if self.requires_grad:
            check_writable(self, elements=False)
            if not state.grad:
                raise RuntimeError(f"{name} under no_grad would part the tensor from its history: use {name[:-1]}()")
        seen = function(self, *args, **kwargs)
        if seen._node is not None and seen._node is not self._node:  # PyTorch has overloads for it: three of squeeze_
            label = seen._node.label
            seen._node.label = f"{label[:-1]}{int(label[-1]) + (3 if label.startswith('Squeeze') else 1)}"
        before, self._array, self._node = self._node, seen._array, seen._node
        bump(self, name)
        if self._view is not None:
            self._view.version = self._counter[0]  # its node is up to date: nothing was written
        if self._node is not None and before is not self._node and before is not None and before.watch is not None:
            self._node.watch = Watch()  # hooks stay with the gradient in the old shape, as in PyTorch; so it is kept
            self._node.watch.retained = None if before.watch.retained is None else elsewhere
        return self

    method.__name__ = name
    return method


def set_item(self: Tensor, index: Any, value: Any) -> None:
    """self[index] = value, for a number, or a tensor that broadcasts to the place."""
    value = indexing.as_value(self, value)
    if index is False:  # no place: whether the value would fit is not asked
        return
    self, index = indexing.last_step(self, None if index is True else index)
    try:
        _set_item(self, index, value)
    except (IndexError, RuntimeError) as error:
        if type(error) in (IndexError, RuntimeError):
            indexing.check_fit(self._array, index, value)
        raise


_set_item = in_place(indexing.setitem)


def divide_into(self: Tensor, other: Any) -> Tensor:
    """other / self, computed as PyTorch does."""
    return ops.mul(ops.reciprocal(self), other)


def invert(self: Tensor) -> Tensor:
    """~self, for integers and bools."""
    if self._array.dtype.kind == "f":
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return ops.bitwise_not(self)


def float_power_(self: Tensor, exponent: Any) -> Any:
    """self ** exponent, in place. RuntimeError unless self is float64."""
    if self._array.dtype != np.float64:
        raise RuntimeError(
            f"the base given to float_power_ has dtype {self.dtype} but the operation's result requires dtype Double"
        )
    return _float_power(self, exponent)


_float_power = in_place(ops.float_power)


class Methods(TensorBase):
    """The functions of `ops`, whose first argument is the tensor."""

    __slots__ = ()

    # operators

    __add__, __radd__, __iadd__ = operand(ops.add), operand(ops.add), operand(in_place(ops.add))
    __sub__, __rsub__, __isub__ = operand(ops.sub), operand(ops.rsub), operand(in_place(ops.sub))
    __mul__, __rmul__, __imul__ = operand(ops.mul), operand(ops.mul), operand(in_place(ops.mul))
    __truediv__, __rtruediv__, __itruediv__ = operand(ops.div), operand(divide_into), operand(in_place(ops.div))
    __floordiv__, __rfloordiv__ = operand(ops.floor_divide), reflected(ops.floor_divide)
    __ifloordiv__ = operand(in_place(ops.floor_divide))
    __mod__, __rmod__, __imod__ = operand(ops.remainder), reflected(ops.remainder), operand(in_place(ops.remainder))
    __pow__, __rpow__, __ipow__ = operand(ops.pow), reflected(ops.pow), operand(in_place(ops.pow))
    __matmul__, __rmatmul__ = operand(ops.matmul), reflected(ops.matmul)
    __and__, __rand__, __iand__ = operand(ops.bitwise_and), operand(ops.bitwise_and), operand(in_place(ops.bitwise_and))
    __or__, __ror__, __ior__ = operand(ops.bitwise_or), operand(ops.bitwise_or), operand(in_place(ops.bitwise_or))
    __xor__, __rxor__, __ixor__ = operand(ops.bitwise_xor), operand(ops.bitwise_xor), operand(in_place(ops.bitwise_xor))
    __lshift__, __rlshift__ = operand(ops.bitwise_left_shift), reflected(ops.bitwise_left_shift)
    __rshift__, __rrshift__ = operand(ops.bitwise_right_shift), reflected(ops.bitwise_right_shift)
    __ilshift__, __irshift__ = (
        operand(in_place(ops.bitwise_left_shift)),
        operand(in_place(ops.bitwise_right_shift)),
    )
    __lt__, __le__, __gt__, __ge__ = operand(ops.lt), operand(ops.le), operand(ops.gt), operand(ops.ge)
    __eq__, __ne__ = operand(ops.eq), operand(ops.ne)
    __neg__, __abs__, __invert__ = ops.neg, ops.abs, invert
    __getitem__, __setitem__ = indexing.getitem, set_item

    # shape

    reshape = varargs(ops.reshape, "shape")
    permute, flip = varargs(ops.permute, "dims"), varargs(ops.flip, "dims")
    expand = varargs(shaping.expand, "size")
    repeat, tile = varargs(shaping.repeat, "repeats"), varargs(ops.tile, "dims")
    contiguous = shaping.contiguous
    expand_as, reshape_as, view_as = shaping.expand_as, shaping.reshape_as, shaping.view_as
    squeeze_, unsqueeze_ = of_shape(ops.squeeze), of_shape(ops.unsqueeze)
    transpose_, t_ = of_shape(ops.transpose), of_shape(ops.t)

    @property
    def T(self) -> Tensor:
        """With the order of the dims reversed; deprecated but for matrices."""
        if self._array.ndim != 2:
            warnings.warn(
                "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated and it "
                "will throw an error in a future release. Consider `x.mT` to transpose batches of matrices or "
                "`x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the dimensions of a tensor.",
                UserWarning,
                stacklevel=2,
            )
        return shaping.reverse_dims(self)

    @property
    def mT(self) -> Tensor:
        """Each matrix of a batch transposed."""
        ndim = self._array.ndim
        if ndim == 1:
            raise RuntimeError("tensor.mT is only supported on matrices or batches of matrices. Got 1-D tensor.")
        if ndim == 0:
            warnings.warn("Tensor.mT is deprecated on 0-D tensors: it changes nothing.", UserWarning, stacklevel=2)
            return cast("Tensor", self)
        return apply(kernels.swap, self)

    def where(self, condition: Tensor, other: Any) -> Any:
        """This tensor where `condition` holds, `other` elsewhere."""
        return ops.where(condition, self, other)

    # functions as methods

    abs = ops.abs
    absolute = ops.absolute
    acos = ops.acos
    add = old_alpha(ops.add)
    addcdiv = ops.addcdiv
    addcmul = ops.addcmul
    addmm = ops.addmm
    all = ops.all
    allclose = ops.allclose
    amax = ops.amax
    amin = ops.amin
    any = ops.any
    arccos = ops.arccos
    arcsin = ops.arcsin
    arctan = ops.arctan
    arctan2 = ops.arctan2
    argmax = ops.argmax
    argmin = ops.argmin
    argsort = ops.argsort
    argwhere = ops.argwhere
    asin = ops.asin
    atan = ops.atan
    atan2 = ops.atan2
    bernoulli = ops.bernoulli
    bincount = ops.bincount
    bitwise_and = ops.bitwise_and
    bitwise_left_shift = ops.bitwise_left_shift
    bitwise_not = ops.bitwise_not
    bitwise_or = ops.bitwise_or
    bitwise_right_shift = ops.bitwise_right_shift
    bitwise_xor = ops.bitwise_xor
    bmm = ops.bmm
    broadcast_to = ops.broadcast_to
    ceil = ops.ceil
    chunk = ops.chunk
    clamp = ops.clamp
    clamp_max = ops.clamp_max
    clamp_min = ops.clamp_min
    clip = ops.clip
    clone = ops.clone
    cos = ops.cos
    cosh = ops.cosh
    count_nonzero = ops.count_nonzero
    cross = ops.cross
    cumsum = ops.cumsum
    detach = ops.detach
    diag = ops.diag
    diagonal = ops.diagonal
    div = ops.div
    divide = ops.divide
    dot = ops.dot
    eq = ops.eq
    equal = ops.equal
    exp = ops.exp
    exp2 = ops.exp2
    expm1 = ops.expm1
    fix = ops.fix
    flatten = ops.flatten
    fliplr = ops.fliplr
    flipud = ops.flipud
    float_power = ops.float_power
    floor = ops.floor
    floor_divide = ops.floor_divide
    fmod = ops.fmod
    frac = ops.frac
    gather = ops.gather
    ge = ops.ge
    greater = ops.greater
    greater_equal = ops.greater_equal
    gt = ops.gt
    histc = ops.histc
    hypot = ops.hypot
    index_add = ops.index_add
    index_fill = ops.index_fill
    index_select = ops.index_select
    inner = ops.inner
    isclose = ops.isclose
    isfinite = ops.isfinite
    isinf = ops.isinf
    isnan = ops.isnan
    le = ops.le
    lerp = ops.lerp
    less = ops.less
    less_equal = ops.less_equal
    log = ops.log
    log10 = ops.log10
    log1p = ops.log1p
    log2 = ops.log2
    log_softmax = ops.log_softmax
    logical_and = ops.logical_and
    logical_not = ops.logical_not
    logical_or = ops.logical_or
    logical_xor = ops.logical_xor
    logsumexp = ops.logsumexp
    lt = ops.lt
    masked_fill = ops.masked_fill
    masked_scatter = ops.masked_scatter
    masked_select = ops.masked_select
    matmul = ops.matmul
    max = ops.max
    maximum = ops.maximum
    mean = ops.mean
    median = ops.median
    min = ops.min
    minimum = ops.minimum
    mm = ops.mm
    moveaxis = ops.moveaxis
    movedim = ops.movedim
    mul = ops.mul
    multinomial = ops.multinomial
    multiply = ops.multiply
    mv = ops.mv
    nan_to_num = ops.nan_to_num
    nanquantile = ops.nanquantile
    narrow = ops.narrow
    ne = ops.ne
    neg = ops.neg
    negative = ops.negative
    nonzero = ops.nonzero
    norm = ops.norm
    not_equal = ops.not_equal
    numel = ops.numel
    outer = ops.outer
    pow = ops.pow
    prod = ops.prod
    quantile = ops.quantile
    ravel = ops.ravel
    reciprocal = ops.reciprocal
    relu = ops.relu
    remainder = ops.remainder
    repeat_interleave = ops.repeat_interleave
    roll = ops.roll
    round = ops.round
    rsqrt = ops.rsqrt
    scatter = ops.scatter
    scatter_add = ops.scatter_add
    select = ops.select
    sigmoid = ops.sigmoid
    sign = ops.sign
    sin = ops.sin
    sinh = ops.sinh
    softmax = ops.softmax
    sort = ops.sort
    split = ops.split
    sqrt = ops.sqrt
    square = ops.square
    squeeze = ops.squeeze
    std = ops.std
    sub = old_alpha(ops.sub)
    subtract = ops.subtract
    sum = ops.sum
    swapaxes = ops.swapaxes
    swapdims = ops.swapdims
    t = ops.t
    take = ops.take
    tan = ops.tan
    tanh = ops.tanh
    topk = ops.topk
    trace = ops.trace
    transpose = ops.transpose
    tril = ops.tril
    triu = ops.triu
    true_divide = ops.true_divide
    trunc = ops.trunc
    unbind = ops.unbind
    unflatten = ops.unflatten
    unique = ops.unique
    unsqueeze = ops.unsqueeze
    var = ops.var

    # and in place

    abs_ = in_place(ops.abs)
    absolute_ = in_place(ops.absolute)
    acos_ = in_place(ops.acos)
    add_ = old_alpha(in_place(ops.add))
    addcdiv_ = in_place(ops.addcdiv)
    addcmul_ = in_place(ops.addcmul)
    addmm_ = in_place(ops.addmm)
    arccos_ = in_place(ops.arccos)
    arcsin_ = in_place(ops.arcsin)
    arctan2_ = in_place(ops.arctan2)
    arctan_ = in_place(ops.arctan)
    asin_ = in_place(ops.asin)
    atan2_ = in_place(ops.atan2)
    atan_ = in_place(ops.atan)
    bitwise_and_ = in_place(ops.bitwise_and)
    bitwise_left_shift_ = in_place(ops.bitwise_left_shift)
    bitwise_not_ = in_place(ops.bitwise_not)
    bitwise_or_ = in_place(ops.bitwise_or)
    bitwise_right_shift_ = in_place(ops.bitwise_right_shift)
    bitwise_xor_ = in_place(ops.bitwise_xor)
    ceil_ = in_place(ops.ceil)
    clamp_ = in_place(ops.clamp)
    clamp_max_ = in_place(ops.clamp_max)
    clamp_min_ = in_place(ops.clamp_min)
    clip_ = in_place(ops.clip)
    cos_ = in_place(ops.cos)
    cosh_ = in_place(ops.cosh)
    cumsum_ = in_place(reduction.cumsum_in_its_dtype)
    div_ = in_place(ops.div)
    divide_ = in_place(ops.divide)
    eq_ = in_place(comparison.written(ops.eq, np.equal))
    exp2_ = in_place(ops.exp2)
    exp_ = in_place(ops.exp)
    expm1_ = in_place(ops.expm1)
    fix_ = in_place(ops.fix)
    float_power_ = float_power_
    floor_ = in_place(ops.floor)
    floor_divide_ = in_place(ops.floor_divide)
    fmod_ = in_place(ops.fmod)
    frac_ = in_place(ops.frac)
    ge_ = in_place(comparison.written(ops.ge, np.greater_equal))
    gt_ = in_place(comparison.written(ops.gt, np.greater))
    hypot_ = in_place(ops.hypot)
    index_add_ = in_place(ops.index_add)
    index_fill_ = in_place(ops.index_fill)
    le_ = in_place(comparison.written(ops.le, np.less_equal))
    lerp_ = in_place(ops.lerp)
    log10_ = in_place(ops.log10)
    log1p_ = in_place(ops.log1p)
    log2_ = in_place(ops.log2)
    log_ = in_place(ops.log)
    logical_and_ = in_place(ops.logical_and)
    logical_not_ = in_place(ops.logical_not)
    logical_or_ = in_place(ops.logical_or)
    logical_xor_ = in_place(ops.logical_xor)
    lt_ = in_place(comparison.written(ops.lt, np.less))
    masked_fill_ = in_place(ops.masked_fill)
    masked_scatter_ = in_place(ops.masked_scatter)
    mul_ = in_place(ops.mul)
    multiply_ = in_place(ops.multiply)
    nan_to_num_ = in_place(ops.nan_to_num)
    ne_ = in_place(comparison.written(ops.ne, np.not_equal))
    neg_ = in_place(ops.neg)
    negative_ = in_place(ops.negative)
    pow_ = in_place(ops.pow)
    reciprocal_ = in_place(ops.reciprocal)
    relu_ = in_place(ops.relu)
    remainder_ = in_place(ops.remainder)
    round_ = in_place(ops.round)
    rsqrt_ = in_place(ops.rsqrt)
    scatter_ = in_place(ops.scatter)
    scatter_add_ = in_place(ops.scatter_add)
    sigmoid_ = in_place(ops.sigmoid)
    sign_ = in_place(ops.sign)
    sin_ = in_place(ops.sin)
    sinh_ = in_place(ops.sinh)
    sqrt_ = in_place(ops.sqrt)
    square_ = in_place(ops.square)
    sub_ = old_alpha(in_place(ops.sub))
    subtract_ = in_place(ops.subtract)
    swapaxes_ = of_shape(ops.swapaxes)
    swapdims_ = of_shape(ops.swapdims)
    tan_ = in_place(ops.tan)
    tanh_ = in_place(ops.tanh)
    tril_ = in_place(ops.tril)
    triu_ = in_place(ops.triu)
    true_divide_ = in_place(ops.true_divide)
    trunc_ = in_place(ops.trunc)
    greater_ = gt_
    greater_equal_ = ge_
    less_ = lt_
    less_equal_ = le_
    not_equal_ = ne_

    # in-place draws

    bernoulli_ = distributions.bernoulli_
    cauchy_ = distributions.cauchy_
    exponential_ = distributions.exponential_
    geometric_ = distributions.geometric_
    log_normal_ = distributions.log_normal_
    normal_ = distributions.normal_
    random_ = distributions.random_
    uniform_ = distributions.uniform_
