"""class Tensor: an array with a dtype, a device, and a place in the graph. Its methods are the functions of `ops`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np

from minigrad import kernels, ops
from minigrad.absent import AbsentAttributes
from minigrad.autograd.grad_mode import Untracked, new_counter, state, unless_entered
from minigrad.autograd.graph import apply, backward
from minigrad.autograd.hooks import register_hook, register_post_accumulate_grad_hook, retain
from minigrad.autograd.inplace import as_it_was, bump, check_writable, commit, refresh
from minigrad.autograd.node import Array, Node, TensorBase, named, of_a_rule, tensor_class, wrap
from minigrad.conversion import Conversions
from minigrad.memory import Memory
from minigrad.metadata import (
    CPU,
    Size,
    by_numpy,
    get_default_dtype,
    strided,
)
from minigrad.metadata import device as Device
from minigrad.metadata import dtype as Dtype
from minigrad.methods import OPERANDS, Methods
from minigrad.operators import COMPARISONS, OPERATORS
from minigrad.ops.arguments import axis_of, convert
from minigrad.ops.creation import array_of, sizes
from minigrad.ops.numbers import number_as
from minigrad.printing import tensor_text
from minigrad.storage import memory, owner


@tensor_class
class Tensor(Memory, Conversions, Methods, AbsentAttributes):
    """An n-dimensional array whose operations can be differentiated; `torch.tensor(data)` makes one.

    Tensor(data) and Tensor(*sizes) are PyTorch's old constructors: the default dtype, from data or uninitialised.
    """

    __module__ = "minigrad"
    __hash__ = object.__hash__
    __array_priority__ = 1000
    is_sparse = is_cuda = is_quantized = is_meta = False
    layout = strided

    def __init__(self, *data: Any) -> None:
        made = legacy(None, data)
        for field in TensorBase.__slots__[1:]:
            setattr(self, field, getattr(made, field))

    # metadata

    @property
    def dtype(self) -> Dtype:
        return by_numpy[self._array.dtype]

    @property
    def shape(self) -> Size:
        return Size(self._array.shape)

    @property
    def device(self) -> Device:
        return CPU

    @property
    def ndim(self) -> int:
        return self._array.ndim

    @property
    def itemsize(self) -> int:
        return self._array.itemsize

    @property
    def nbytes(self) -> int:
        return self._array.nbytes

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of one dim."""
        return self.shape if dim is None else self._array.shape[self._axis(dim)]

    def _axis(self, dim: int) -> int:
        if not self._array.ndim:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
        return axis_of(dim, self._array.ndim)

    def dim(self) -> int:
        """The number of dims."""
        return self._array.ndim

    ndimension, nelement = dim, ops.numel

    def element_size(self) -> int:
        """The bytes of an element."""
        return self._array.itemsize

    def is_floating_point(self) -> bool:
        """Whether the dtype is a floating one."""
        return bool(self._array.dtype.kind == "f")

    def is_complex(self) -> bool:
        """False: minigrad has no complex tensors."""
        return False

    # the graph

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are recorded; to be set on leaves.

        A view that was taken under no_grad, or before its base required gradients, says what its base says, as in
        PyTorch; but what is computed from it has no gradient.
        """
        if self._view is not None:
            refresh(self)
            return self._requires_grad or self._view.base._requires_grad
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, requires_grad: bool) -> None:
        if not isinstance(requires_grad, bool):
            raise RuntimeError(f"requires_grad must be a bool, not {requires_grad!r}")
        if requires_grad and self._array.dtype.kind != "f":
            raise RuntimeError(f"only Tensors of floating point dtype can require gradients, this one is {self.dtype}")
        if requires_grad and self.is_inference() and not state.inference:
            raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
        if self._node is not None:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in "
                "a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        self._requires_grad = requires_grad

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set whether gradients are recorded, on a leaf; returns the tensor. A result that they are stays as it is."""
        if self._node is None or not requires_grad:
            self.requires_grad = requires_grad
        return self

    @property
    def grad_fn(self) -> Node | None:
        """The recorded operation that made the tensor; None for a leaf."""
        if self._view is not None:
            refresh(self)
        return self._node

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made the tensor."""
        return self.grad_fn is None

    @property
    def grad(self) -> Tensor | None:
        """The gradient that backward() calls have added up; None before the first."""
        if self._grad is None and self._node is not None and not self.retains_grad:
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute "
                "won't be populated during autograd.backward(). If you indeed want the .grad field to be populated for "
                "a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor.",
                UserWarning,
                stacklevel=2,
            )
        return self._grad

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @grad.setter
    def grad(self, grad: Tensor | None) -> None:
        if grad is not None:
            if not isinstance(grad, TensorBase):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of type {type(grad).__name__}"
                )
            if grad is self:
                raise RuntimeError("can't assign Variable as its own grad")
            if grad.dtype != self.dtype:
                raise RuntimeError(f"assigned grad has data of a different type: {grad.dtype} for {self.dtype}")
            if grad.shape != self.shape:
                raise RuntimeError(f"assigned grad has data of a different size: {grad.shape} for {self.shape}")
        self._grad = grad

    @property
    def data(self) -> Tensor:
        """The same memory without history; unlike detach()'s, writes to it are not noticed by the engine."""
        return wrap(self._array, self._counter if type(self._counter) is Untracked else [0, None])

    @data.setter
    def data(self, data: Tensor) -> None:
        if not isinstance(data, TensorBase):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        if self._requires_grad and data._array.dtype.kind != "f":
            raise RuntimeError("data set to a tensor that requires gradients must be floating point")
        self._array = data._array

    @property
    def _base(self) -> Tensor | None:
        """The tensor that this one is a view of."""
        return None if self._view is None else self._view.base

    def _is_view(self) -> bool:
        return self._view is not None

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Add the gradients of this tensor to the .grad of the leaves that it was computed from.

        `gradient`, of this tensor's shape, is the gradient at it; a single element needs none. RuntimeError where the
        graph is freed, or where what it saved was written to. The other arguments are those of autograd.backward.
        """
        backward(self, gradient, retain_graph, create_graph, inputs)

    def retain_grad(self) -> None:
        """Let backward() fill .grad though this is not a leaf."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self._node is not None:
            retain(self)

    @property
    def retains_grad(self) -> bool:
        """Whether retain_grad() was called on this non-leaf."""
        return self._node is not None and self._node.watch is not None and self._node.watch.retained is not None

    register_hook, register_post_accumulate_grad_hook = register_hook, register_post_accumulate_grad_hook

    def detach_(self) -> Tensor:
        """Forget the history. RuntimeError for a view, which would get it back from its base."""
        if self._view is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        if self._node is not None and self._node.watch is not None:
            self._node.watch.move_to(self)
        self._node, self._requires_grad = None, False
        return self

    # Python's operators and protocols

    def __pos__(self) -> Tensor:
        return self

    def __len__(self) -> int:
        if not self._array.ndim:
            raise TypeError("len() of a 0-d tensor")
        return len(self._array)

    def __iter__(self) -> Iterator[Tensor]:
        if not self._array.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(ops.unbind(self))

    def __reversed__(self) -> Tensor:
        return ops.flip(self, (0,)) if self._array.ndim else self

    def __contains__(self, element: Any) -> bool:
        if not isinstance(element, OPERANDS):
            raise RuntimeError(
                f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}."
            )
        return bool((self == element)._array.any())

    def __bool__(self) -> bool:
        if self._array.size != 1:
            many = "more than one value" if self._array.size else "no values"
            raise RuntimeError(f"Boolean value of Tensor with {many} is ambiguous: use .any() or .all()")
        return bool(self._array.item())

    def _number(self) -> Any:
        if self._array.size != 1:
            raise ValueError(
                f"only one element tensors can be converted to Python scalars, this one has shape {list(self.shape)}"
            )
        return self._array.item()

    def __int__(self) -> int:
        return int(self._number())

    def __float__(self) -> float:
        if self.requires_grad:
            warnings.warn(
                "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
                "Consider using tensor.detach() first.",
                UserWarning,
                stacklevel=2,
            )
        return float(self._number())

    def __complex__(self) -> complex:
        return complex(self._number())

    def __index__(self) -> int:
        if self._array.dtype.kind == "f" or self._array.size != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self._array.item())

    def __repr__(self) -> str:
        return self._text("tensor" if type(self) is Tensor else type(self).__name__)

    def _text(self, name: str) -> str:
        node = self.grad_fn
        return tensor_text(
            self._array,
            requires_grad=self.requires_grad,
            grad_fn=None if node is None else node.name().rpartition("::")[2],
            default_float=get_default_dtype().numpy,
            prefix=f"{name}(",
        )

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if not self._array.ndim else object.__format__(self, spec)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) in memo:
            return memo[id(self)]  # type: ignore[no-any-return]
        if self.grad_fn is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the "
                "moment: use .detach().clone()"
            )
        data, start = memory(self._array)
        shared = memo.setdefault((id(owner(self._array)), "memory"), data.copy())  # type: ignore[call-overload]
        array = np.ndarray(self._array.shape, self._array.dtype, shared, start, self._array.strides)
        copy = memo[id(self)] = rebuild(type(self), array, self._requires_grad, {})
        copy._grad = None if self._grad is None else self._grad.__deepcopy__(memo)
        copy.__dict__.update(deepcopy(self.__dict__, memo))
        return copy

    def __reduce__(self) -> Any:
        """For pickle and copy.copy: a leaf without its gradient. A pickle has all of the memory, a copy shares it."""
        array, (data, start) = self._array, memory(self._array)
        layout = array.shape, array.dtype, start, array.strides
        return rebuild_from, (type(self), data, layout, self.requires_grad, self.__dict__)

    # NumPy's protocols. While the engine runs rules on Tensors, NumPy's functions record; at all other times they
    # convert, or raise where gradients would be lost.

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **params: Any) -> Any:
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        if of_a_rule():
            return apply(function, *inputs, **params)
        comparison = COMPARISONS.get(ufunc)
        if method == "__call__" and (comparison or ufunc in OPERATORS) and not params:
            left, right = inputs
            if isinstance(left, np.ndarray) and not left.ndim:  # so NumPy passes on its numbers in comparisons
                left = left[()]
            if isinstance(left, np.generic):  # a NumPy number on the left of an operator
                return comparison(right, left) if comparison else OPERATORS[ufunc](left, right)
        out = params.get("out", ())
        if any(isinstance(x, Tensor) for x in out):
            raise TypeError(f"return arrays must be of ArrayType: use torch's function, or out=array, in {ufunc}")
        # Comparisons have no gradients to lose.
        arrays = (x if not isinstance(x, Tensor) else x._array if comparison else x.numpy() for x in inputs)
        result = function(*arrays, **params)
        if out:
            return result
        return wrap(np.asarray(result)) if isinstance(result, (np.ndarray, np.generic)) else result

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if of_a_rule():
            return apply(function, *args, **kwargs)
        return function(*plain(args), **{name: plain(x) for name, x in kwargs.items()})

    # in-place writes

    def fill_(self, value: Any) -> Tensor:
        """Set every element to a number, or a 0-d tensor."""
        if not isinstance(value, OPERANDS):
            raise TypeError(f"fill_(): argument 'value' must be Number, not {type(value).__name__}")
        if not isinstance(value, TensorBase):
            value = number_as(value, self._array.dtype)
        elif value._array.ndim:
            raise RuntimeError(
                f"fill_ only supports 0-dimension value tensor but got tensor with {value._array.ndim} dimensions."
            )
        return self._overwrite(value, "fill_")

    def zero_(self) -> Tensor:
        """Set every element to 0."""
        return self._overwrite(0, "zero_")

    def copy_(self, other: Any, non_blocking: bool = False) -> Tensor:
        """Set the elements to those of `other`, which broadcasts to this shape and is converted to this dtype."""
        if not isinstance(other, OPERANDS):
            raise TypeError(f"copy_(): argument 'other' (position 1) must be Tensor, not {type(other).__name__}")
        return self._overwrite(other if isinstance(other, TensorBase) else convert(other, self._array.dtype), "copy_")

    def _overwrite(self, value: Any, name: str) -> Tensor:
        check_writable(self)
        tensor = isinstance(value, TensorBase)
        if tensor and value._array.ndim > self._array.ndim:
            raise RuntimeError(
                f"output with shape {list(self.shape)} doesn't match the broadcast shape {list(value.shape)}: {name} "
                "can't grow its tensor"
            )
        if (self._requires_grad or (tensor and value.requires_grad)) and state.grad:
            value = value.to(self.dtype) if tensor else float(value)
            result = apply(kernels.fill, as_it_was(self), value)
            if name == "fill_":
                named(result, "FillBackward3" if tensor else "FillBackward2")
            elif name == "zero_":
                named(result, "ZeroBackward0")
            commit(self, result, name)
            return self
        array = self._array
        try:
            if not tensor and type(array) is np.ndarray and array.dtype.kind == "f":  # as below, in a third of the time
                state.quiet(array.fill, value)
            else:
                state.quiet(np.copyto, array, value._array if tensor else value, casting="unsafe")
        except ValueError:
            raise RuntimeError(
                f"The size of tensor a {list(self.shape)} must match the size of tensor b {list(value.shape)}: "
                f"{name} broadcasts to the tensor it writes to"
            ) from None
        except RuntimeError as error:
            unless_entered(error)(np.copyto, array, value._array if tensor else value, casting="unsafe")
        bump(self, name)
        return self

    # from shapes and lists, in the dtype of this tensor

    def new_tensor(self, data: Any, *, dtype: Dtype | None = None, **options: Any) -> Tensor:
        """A tensor of `data`."""
        return ops.tensor(data, dtype=dtype or self.dtype, **options)

    def new_zeros(self, *size: Any, dtype: Dtype | None = None, **options: Any) -> Tensor:
        """A tensor of the given shape filled with 0."""
        return ops.zeros(*size, dtype=dtype or self.dtype, **options)

    def new_ones(self, *size: Any, dtype: Dtype | None = None, **options: Any) -> Tensor:
        """A tensor of the given shape filled with 1."""
        return ops.ones(*size, dtype=dtype or self.dtype, **options)

    def new_empty(self, *size: Any, dtype: Dtype | None = None, **options: Any) -> Tensor:
        """A tensor of the given shape, uninitialised."""
        return ops.empty(*size, dtype=dtype or self.dtype, **options)

    def new_full(self, size: Any, fill_value: Any, *, dtype: Dtype | None = None, **options: Any) -> Tensor:
        """A tensor of the given shape filled with a number."""
        return ops.full(size, fill_value, dtype=dtype or self.dtype, **options)


def plain(x: Any) -> Any:
    """Tensors as arrays, in nested sequences too."""
    if isinstance(x, Tensor):
        return x.numpy()
    return type(x)(map(plain, x)) if type(x) in (list, tuple) else x


def rebuild(cls: type[Tensor], array: Array, requires_grad: bool, attributes: dict[str, Any]) -> Tensor:
    """A leaf of the given class from its parts."""
    tensor = object.__new__(cls)
    values = (array, new_counter(), None, None, requires_grad, None)
    for field, value in zip(TensorBase.__slots__[1:], values, strict=True):
        setattr(tensor, field, value)
    tensor.__dict__.update(attributes)
    return tensor


def rebuild_from(
    cls: type[Tensor], data: Array, layout: Any, requires_grad: bool, attributes: dict[str, Any]
) -> Tensor:
    """A leaf that lies in the given bytes: what pickle and copy.copy call."""
    shape, dtype, start, strides = layout
    return rebuild(cls, np.ndarray(shape, dtype, data, start, strides), requires_grad, attributes)


def legacy(dtype: Dtype | None, data: tuple[Any, ...]) -> Tensor:
    """What PyTorch's old constructors make: from data, or uninitialised of the given sizes."""
    if len(data) == 1 and (type(data[0]) is bool or not isinstance(data[0], (int, np.integer))):
        (source,) = data
        if isinstance(source, Tensor):
            if dtype is None or source.dtype is dtype:
                return source.view(source.shape)  # type: ignore[no-any-return]
            raise TypeError(f"expected a tensor of {dtype} (got {source.dtype}): convert it with .to()")
        if isinstance(source, Size):
            data = source
        elif isinstance(source, str) or (hasattr(source, "__len__") and hasattr(source, "__getitem__")):
            return wrap(array_of(source, dtype or get_default_dtype()))
        else:
            raise TypeError(f"new(): data must be a sequence (got {type(source).__name__})")
    return wrap(np.empty(sizes(data) if data else (0,), (dtype or get_default_dtype()).numpy))


def is_tensor(obj: object) -> bool:
    """Whether `obj` is a Tensor."""
    return isinstance(obj, Tensor)
