"""What the names in a checkpoint's pickle mean here, and which of them may be used without running code."""

from __future__ import annotations

import pickle
import re
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn

import numpy as np

from minigrad.autograd.node import Array, wrap
from minigrad.metadata import Size, device, dtype, dtypes, uint8
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor

DAMAGED = "the checkpoint is damaged or cut short, and nothing was loaded"
REFUSED = (
    "Weights only load failed. Only tensors, numbers, strings and containers are loaded without running code: save a "
    "state_dict, or, for a file that you trust, pass weights_only=False, or name the classes to allow in "
    "torch.serialization.add_safe_globals([...]). The checkpoint asks for "
)


def brief(x: Any) -> str:
    """What a file holds, for a message: a repr may be endless, or recur too deep."""
    if isinstance(x, (str, bytes)):
        return repr(x) if len(x) <= 100 else f"{x[:100]!r}..."
    if x is None or type(x) in (bool, float) or (type(x) is int and x.bit_length() <= 64):
        return repr(x)
    if isinstance(x, BaseException):
        return f"{type(x).__name__}({', '.join(map(brief, x.args))})"
    if type(x) in (tuple, list, Size) and len(x) <= 8 and all(type(n) is int for n in x):
        return f"({', '.join(map(brief, x))})"
    name = getattr(x, "__name__", "") if callable(x) else ""
    return name or f"a {type(x).__name__}"


@dataclass(frozen=True, eq=False)
class StorageKind:
    """torch.FloatStorage and its siblings: a pickle's word for a storage's dtype."""

    dtype: dtype


@dataclass(eq=False)
class Storage:
    """The memory that tensors share: its bytes, and the counter of the writes into it."""

    kind: StorageKind
    key: str
    data: Array
    counter: list[Any] = field(default_factory=lambda: [0, None])

    def swap(self) -> None:
        """Turn the bytes of each element round, where another byte order was written."""
        self.data.view(self.kind.dtype.numpy).byteswap(inplace=True)


# What the pickles' calls do here. The arguments come from a file, so none is taken on trust.


def rebuild_tensor(
    storage: Storage, offset: int, size: Any, stride: Any, requires_grad: bool, hooks: Any = None, bits: Any = None
) -> Tensor:
    """The tensor of a shape and strides in a storage. RuntimeError where it would reach out of it."""
    dtype = storage.kind.dtype
    if any(type(n) is not int or n.bit_length() > 63 for n in (offset, *size, *stride)):
        raise RuntimeError(f"{DAMAGED}: a tensor's shape, strides or offset is no number, or too large")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if min((offset, *size, *stride)) < 0 or (0 not in size and last >= len(storage.data) // dtype.itemsize):
        layout = f"shape {brief(size)}, strides {brief(stride)} and offset {offset}"
        raise RuntimeError(f"{DAMAGED}: {layout} do not fit {len(storage.data)} bytes of {dtype}")
    if bits:
        found = ", ".join(map(brief, [*bits][:9])) if isinstance(bits, dict) else brief(bits)
        raise pickle.UnpicklingError(f"minigrad has no tensors with PyTorch's metadata {found}: save their .clone()")
    steps = [step * dtype.itemsize for step in stride]
    array: Array = np.ndarray(size, dtype.numpy, storage.data, offset * dtype.itemsize, steps)
    tensor = wrap(array, storage.counter)
    tensor.requires_grad = flag(requires_grad)
    return tensor


def rebuild_parameter(data: Tensor, requires_grad: bool, hooks: Any, state: Any = ()) -> Parameter:
    """A parameter, with the attributes that a user gave it."""
    parameter = Parameter(data, flag(requires_grad))
    parameter.__dict__.update(attributes(state))
    return parameter


def rebuild_typed(function: Callable[..., Tensor], cls: type[Tensor], args: Any, state: Any) -> Tensor:
    """A tensor of a user's class, or with the attributes that a user gave it."""
    if function is not rebuild_tensor:
        raise pickle.UnpicklingError(f"{REFUSED}a tensor made by {brief(function)}")
    tensor = rebuild_tensor(*args)
    if cls is not Tensor:
        tensor.__class__ = cls
    tensor.__dict__.update(attributes(state))
    return tensor


def flag(x: Any) -> bool:
    """A value of requires_grad. RuntimeError where it is none."""
    if type(x) is not bool:
        raise RuntimeError(f"{DAMAGED}: requires_grad must be a bool, not {brief(x)}")
    return x


def attributes(state: Any) -> dict[str, Any]:
    """The attributes that an object is to get. UnpicklingError where they are none."""
    if state == ():
        return {}
    if type(state) not in (dict, OrderedDict) or any(type(name) is not str for name in state):
        raise pickle.UnpicklingError(f"{REFUSED}attributes that are {brief(state)}, and no dict of names")
    return dict(state)


def of(kind: type, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function for arguments of one type: bytearray(10**12), or the set of an expanded tensor, would not end."""

    def make(*args: Any) -> Any:
        if any(type(x) is not kind for x in args):
            kinds = [type(x).__name__ for x in args[:9]]
            raise pickle.UnpicklingError(f"{REFUSED}{function.__name__} of {kinds}")
        return function(*args)

    return make


def encode(text: str, encoding: str) -> bytes:
    """bytes in protocol 2."""
    if type(text) is not str or encoding != "latin1":
        raise pickle.UnpicklingError(f"{REFUSED}{brief(text)} in the encoding {brief(encoding)}")
    return text.encode("latin1")


KINDS = {d: StorageKind(d) for d in dtypes}
TORCH: dict[str, Any] = {  # what is written, and read, under PyTorch's names
    "torch._utils._rebuild_tensor_v2": rebuild_tensor,
    "torch._utils._rebuild_parameter": rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": partial(rebuild_parameter),
    "torch._tensor._rebuild_from_type_v2": rebuild_typed,
    "torch.Tensor": Tensor,
    "torch.Size": Size,
    "torch.device": device,
    **{f"torch.{d.name}": d for d in dtypes},
    **{f"torch.{d.legacy.replace('Tensor', 'Storage')}": kind for d, kind in KINDS.items()},
}
NAMES = {id(value): name for name, value in TORCH.items()}
# What weights_only=True may be asked for: PyTorch's list, as far as minigrad has the things. Each makes a value of
# values, and no more. The v3 form is for dtypes that minigrad lacks: known, so that the dtype is refused by name.
ALLOWED = TORCH | {
    "torch._utils._rebuild_tensor_v3": rebuild_tensor,
    "torch.storage.UntypedStorage": StorageKind(uint8),
    "torch.Size": of(tuple, Size),
    "collections.OrderedDict": of(type(None), OrderedDict),
    "collections.Counter": of(dict, Counter),
    "builtins.set": of(list, set),
    "builtins.complex": of(float, complex),
    "builtins.bytes": of(type(None), bytes),
    "builtins.bytearray": of(bytes, bytearray),
    "_codecs.encode": encode,
}
CALLED = {id(value) for value in ALLOWED.values() if callable(value) and value is not Tensor}
SAFE: dict[str, Any] = {}  # what the user allows beside


def is_safe(value: Any) -> bool:
    """Whether the user allows this class or function."""
    return any(value is known for known in SAFE.values())


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Let load() make what these classes and functions, or (one of them, its name in the file) tuples, stand for."""
    for entry in safe_globals:
        value, name = entry if isinstance(entry, tuple) else (entry, f"{entry.__module__}.{entry.__qualname__}")
        SAFE[name] = value


def get_safe_globals() -> list[Any]:
    """What add_safe_globals() has allowed."""
    return list(SAFE.values())


def clear_safe_globals() -> None:
    """Allow nothing beside tensors, numbers, strings and containers again."""
    SAFE.clear()


class safe_globals:
    """add_safe_globals(), for the length of a `with` block."""

    def __init__(self, safe_globals: list[Any]) -> None:
        self.safe_globals = safe_globals

    def __enter__(self) -> None:
        self.before = dict(SAFE)
        add_safe_globals(self.safe_globals)

    def __exit__(self, *args: object) -> None:
        SAFE.clear()
        SAFE.update(self.before)


STORAGE_DTYPES = {"BFloat16": "bfloat16", "ComplexFloat": "complex64", "ComplexDouble": "complex128"}


def refuse(module: str, name: str) -> NoReturn:
    """UnpicklingError that says what the file asked for, and what to do."""
    if len(module) + len(name) > 200:
        raise pickle.UnpicklingError(f"{REFUSED}{brief(module)}.{brief(name)}")
    if module == "torch" and (match := re.fullmatch(r"(\w+)Storage|((?:bfloat|complex|float|q?u?int|bits)\w*)", name)):
        wanted, known = STORAGE_DTYPES.get(match[1], name), ", ".join(d.name for d in dtypes)
        raise pickle.UnpicklingError(f"minigrad has no tensors of {wanted}: convert them in PyTorch to one of {known}")
    if module.partition(".")[0] == "torch":
        found = f"{module}.{name}, which only PyTorch can make"
        raise pickle.UnpicklingError(f"The checkpoint holds {found}. Of a model, torch.save() the state_dict() there")
    raise pickle.UnpicklingError(f"{REFUSED}{module}.{name}")
