"""Tensor's methods that are functions of `ops`: operators, methods, and their in-place forms."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad import ops
from minigrad.autograd.inplace import in_place
from minigrad.autograd.node import TensorBase
from minigrad.ops import indexing, reduction, shaping
from minigrad.ops.arguments import shape_of

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


def varargs(function: Callable[..., Any]) -> Callable[..., Any]:
    """A method that takes a shape or dims as separate ints or as one sequence."""

    @functools.wraps(function)
    def method(self: Tensor, *sizes: Any) -> Any:
        return function(self, shape_of(sizes))

    return method


class Methods(TensorBase):
    """The functions of `ops`, whose first argument is the tensor."""

    __slots__ = ()

    # operators

    __add__, __radd__, __iadd__ = operand(ops.add), operand(ops.add), operand(in_place(ops.add))
    __sub__, __rsub__, __isub__ = operand(ops.sub), reflected(ops.sub), operand(in_place(ops.sub))
    __mul__, __rmul__, __imul__ = operand(ops.mul), operand(ops.mul), operand(in_place(ops.mul))
    __truediv__, __rtruediv__, __itruediv__ = operand(ops.div), reflected(ops.div), operand(in_place(ops.div))
    __floordiv__, __rfloordiv__ = operand(ops.floor_divide), reflected(ops.floor_divide)
    __ifloordiv__ = operand(in_place(ops.floor_divide))
    __mod__, __rmod__, __imod__ = operand(ops.remainder), reflected(ops.remainder), operand(in_place(ops.remainder))
    __pow__, __rpow__, __ipow__ = operand(ops.pow), reflected(ops.pow), operand(in_place(ops.pow))
    __matmul__, __rmatmul__ = operand(ops.matmul), reflected(ops.matmul)
    __and__, __rand__, __iand__ = operand(ops.bitwise_and), operand(ops.bitwise_and), operand(in_place(ops.bitwise_and))
    __or__, __ror__, __ior__ = operand(ops.bitwise_or), operand(ops.bitwise_or), operand(in_place(ops.bitwise_or))
    __xor__, __rxor__, __ixor__ = operand(ops.bitwise_xor), operand(ops.bitwise_xor), operand(in_place(ops.bitwise_xor))
    __lt__, __le__, __gt__, __ge__ = operand(ops.lt), operand(ops.le), operand(ops.gt), operand(ops.ge)
    __eq__, __ne__ = operand(ops.eq), operand(ops.ne)
    __neg__, __abs__, __invert__ = ops.neg, ops.abs, ops.bitwise_not
    __getitem__, __setitem__ = indexing.getitem, in_place(indexing.setitem)

    # shape

    view_as = lambda self, other: self.view(other.shape)
    permute, expand, repeat = varargs(ops.permute), varargs(ops.broadcast_to), varargs(ops.repeat)
    reshape, flip, tile = varargs(ops.reshape), varargs(ops.flip), varargs(ops.tile)

    def view(self: Tensor, *shape: Any) -> Tensor:
        """The elements in another shape, sharing memory; RuntimeError where the strides don't allow that."""
        return shaping.view(self, shape_of(shape))

    def expand_as(self, other: Tensor) -> Tensor:
        """A view stretched to the shape of `other`."""
        return ops.broadcast_to(self, other.shape)

    def reshape_as(self, other: Tensor) -> Tensor:
        """The elements in the shape of `other`."""
        return ops.reshape(self, other.shape)

    @property
    def T(self) -> Tensor:
        """With the order of the dims reversed; deprecated but for matrices."""
        if self._array.ndim not in (0, 2):
            warnings.warn(
                "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is deprecated and it will "
                "throw an error in a future release. Consider `x.mT` to transpose batches of matrices or "
                "`x.permute(*torch.arange(x.ndim - 1, -1, -1))` to reverse the dimensions of a tensor.",
                UserWarning,
                stacklevel=2,
            )
        return ops.permute(self, tuple(reversed(range(self._array.ndim))))

    @property
    def mT(self) -> Tensor:
        """Each matrix of a batch transposed."""
        if self._array.ndim < 2:
            raise RuntimeError(
                f"tensor.mT is only supported on matrices or batches of matrices. Got {self._array.ndim}-D tensor."
            )
        return ops.transpose(self, -2, -1)

    def where(self, condition: Tensor, other: Any) -> Tensor:
        """This tensor where `condition` holds, `other` elsewhere."""
        return ops.where(condition, self, other)  # type: ignore[no-any-return]

    # functions as methods

    abs = ops.abs
    acos = ops.acos
    add = ops.add
    addmm = ops.addmm
    all = ops.all
    allclose = ops.allclose
    amax = ops.amax
    amin = ops.amin
    any = ops.any
    argmax = ops.argmax
    argmin = ops.argmin
    argsort = ops.argsort
    asin = ops.asin
    atan = ops.atan
    atan2 = ops.atan2
    bernoulli = ops.bernoulli
    bitwise_and = ops.bitwise_and
    bitwise_not = ops.bitwise_not
    bitwise_or = ops.bitwise_or
    bitwise_xor = ops.bitwise_xor
    bmm = ops.bmm
    broadcast_to = ops.broadcast_to
    ceil = ops.ceil
    chunk = ops.chunk
    clamp = ops.clamp
    clamp_max = ops.clamp_max
    clamp_min = ops.clamp_min
    clone = ops.clone
    cos = ops.cos
    cosh = ops.cosh
    count_nonzero = ops.count_nonzero
    cumsum = ops.cumsum
    diagonal = ops.diagonal
    div = ops.div
    dot = ops.dot
    eq = ops.eq
    equal = ops.equal
    exp = ops.exp
    exp2 = ops.exp2
    expm1 = ops.expm1
    flatten = ops.flatten
    floor = ops.floor
    floor_divide = ops.floor_divide
    fmod = ops.fmod
    gather = ops.gather
    ge = ops.ge
    gt = ops.gt
    index_select = ops.index_select
    isclose = ops.isclose
    isfinite = ops.isfinite
    isinf = ops.isinf
    isnan = ops.isnan
    le = ops.le
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
    masked_select = ops.masked_select
    matmul = ops.matmul
    max = ops.max
    maximum = ops.maximum
    mean = ops.mean
    min = ops.min
    minimum = ops.minimum
    mm = ops.mm
    movedim = ops.movedim
    mul = ops.mul
    multinomial = ops.multinomial
    mv = ops.mv
    ne = ops.ne
    neg = ops.neg
    nonzero = ops.nonzero
    norm = ops.norm
    outer = ops.outer
    pow = ops.pow
    prod = ops.prod
    ravel = ops.ravel
    reciprocal = ops.reciprocal
    relu = ops.relu
    remainder = ops.remainder
    round = ops.round
    rsqrt = ops.rsqrt
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
    sub = ops.sub
    sum = ops.sum
    t = ops.t
    tan = ops.tan
    tanh = ops.tanh
    topk = ops.topk
    transpose = ops.transpose
    tril = ops.tril
    triu = ops.triu
    trunc = ops.trunc
    unbind = ops.unbind
    unsqueeze = ops.unsqueeze
    var = ops.var

    # and in place

    abs_ = in_place(ops.abs)
    acos_ = in_place(ops.acos)
    add_ = in_place(ops.add)
    addmm_ = in_place(ops.addmm)
    asin_ = in_place(ops.asin)
    atan_ = in_place(ops.atan)
    atan2_ = in_place(ops.atan2)
    bitwise_and_ = in_place(ops.bitwise_and)
    bitwise_not_ = in_place(ops.bitwise_not)
    bitwise_or_ = in_place(ops.bitwise_or)
    bitwise_xor_ = in_place(ops.bitwise_xor)
    ceil_ = in_place(ops.ceil)
    clamp_ = in_place(ops.clamp)
    clamp_max_ = in_place(ops.clamp_max)
    clamp_min_ = in_place(ops.clamp_min)
    cos_ = in_place(ops.cos)
    cosh_ = in_place(ops.cosh)
    cumsum_ = in_place(reduction.cumsum_in_its_dtype)
    div_ = in_place(ops.div)
    eq_ = in_place(ops.eq)
    exp_ = in_place(ops.exp)
    exp2_ = in_place(ops.exp2)
    expm1_ = in_place(ops.expm1)
    floor_ = in_place(ops.floor)
    floor_divide_ = in_place(ops.floor_divide)
    fmod_ = in_place(ops.fmod)
    ge_ = in_place(ops.ge)
    gt_ = in_place(ops.gt)
    le_ = in_place(ops.le)
    log_ = in_place(ops.log)
    log10_ = in_place(ops.log10)
    log1p_ = in_place(ops.log1p)
    log2_ = in_place(ops.log2)
    logical_and_ = in_place(ops.logical_and)
    logical_not_ = in_place(ops.logical_not)
    logical_or_ = in_place(ops.logical_or)
    logical_xor_ = in_place(ops.logical_xor)
    lt_ = in_place(ops.lt)
    masked_fill_ = in_place(ops.masked_fill)
    mul_ = in_place(ops.mul)
    ne_ = in_place(ops.ne)
    neg_ = in_place(ops.neg)
    pow_ = in_place(ops.pow)
    reciprocal_ = in_place(ops.reciprocal)
    relu_ = in_place(ops.relu)
    remainder_ = in_place(ops.remainder)
    round_ = in_place(ops.round)
    rsqrt_ = in_place(ops.rsqrt)
    sigmoid_ = in_place(ops.sigmoid)
    sign_ = in_place(ops.sign)
    sin_ = in_place(ops.sin)
    sinh_ = in_place(ops.sinh)
    sqrt_ = in_place(ops.sqrt)
    square_ = in_place(ops.square)
    sub_ = in_place(ops.sub)
    tan_ = in_place(ops.tan)
    tanh_ = in_place(ops.tanh)
    tril_ = in_place(ops.tril)
    triu_ = in_place(ops.triu)
    trunc_ = in_place(ops.trunc)
