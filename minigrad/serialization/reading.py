"""torch.load: unpicklers that make tensors, numbers, strings and containers or, if asked to, whatever a file says."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from typing import IO, Any, ClassVar, NoReturn

from minigrad.autograd.node import Array
from minigrad.metadata import device
from minigrad.serialization.archive import read_records
from minigrad.serialization.legacy import MAGIC, read_legacy
from minigrad.serialization.names import (
    ALLOWED,
    CALLED,
    DAMAGED,
    REFUSED,
    SAFE,
    TORCH,
    Storage,
    StorageKind,
    attributes,
    brief,
    is_safe,
    refuse,
)

File = str | os.PathLike[str] | IO[bytes]

# What parsing wrong bytes raises; a KeyError or IndexError is a LookupError, an OverflowError an ArithmeticError.
WRONG = (ArithmeticError, AttributeError, EOFError, LookupError, RecursionError, TypeError, ValueError, struct.error)
DEPTH = 100  # of tuples in tuples, where they are keys
# PyTorch's opcodes, and LONG4, which writes long integers.
OPCODES = (
    "PROTO STOP GLOBAL BINPERSID MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT "
    "BINUNICODE SHORT_BINSTRING EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST EMPTY_DICT EMPTY_SET BINGET "
    "LONG_BINGET BINPUT LONG_BINPUT"
)


class Reader:
    """What both unpicklers have: the memory of the storages that a pickle names."""

    def __init__(
        self, file: IO[bytes], bytes_of: Callable[[str, int], Array], map_location: Any, swapped: bool, **params: Any
    ) -> None:
        super().__init__(file, **params)  # type: ignore[call-arg]
        self.bytes_of = bytes_of
        self.map_location = map_location
        self.swapped = swapped
        self.storages: dict[str, Storage] = {}

    def persistent_load(self, pid: Any) -> Storage:
        """The storage that a persistent id names. RuntimeError where its size is not that of its bytes."""
        word, kind, key, location, numel, *view = pid
        if word != "storage" or not isinstance(kind, StorageKind) or view not in ([], [None]):
            raise pickle.UnpicklingError(f"{REFUSED}a persistent {brief(word)}, {brief(view)}")
        if (type(key), type(location), type(numel)) != (str, str, int):
            raise RuntimeError(f"{DAMAGED}: {brief(key)}, {brief(location)}, {brief(numel)} are no storage")
        if key not in self.storages:
            self.storages[key] = storage = Storage(kind, key, self.bytes_of(key, numel * kind.dtype.itemsize))
            if self.swapped:
                storage.swap()
            check_location(storage, location, self.map_location)
        if self.storages[key].kind is not kind:
            kinds = f"{kind.dtype} and as {self.storages[key].kind.dtype}"
            raise RuntimeError(f"{DAMAGED}: data/{brief(key)} is used as {kinds}")
        return self.storages[key]


def refuse_opcode(unpickler: WeightsUnpickler) -> NoReturn:
    raise pickle.UnpicklingError(f"{REFUSED}a pickle opcode that is not among PyTorch's")


class WeightsUnpickler(Reader, pickle._Unpickler):
    """Makes tensors, numbers, strings and containers, and nothing else.

    Python's unpickler and not the one in C, which lets a few bytes claim 32 GB: a place of 2**31 in its memo.
    """

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict.fromkeys(range(256), refuse_opcode)
    dispatch |= {code: pickle._Unpickler.dispatch[code] for code in (getattr(pickle, op)[0] for op in OPCODES.split())}

    def __init__(self, file: io.BytesIO, *args: Any, **params: Any) -> None:
        super().__init__(file, *args, **params)
        self.left = 4 * len(file.getbuffer()) + 10_000  # how many values may be hashed or copied

    def spend(self, values: Iterable[Any]) -> None:
        """Count values that are to be hashed or copied, and what is in those that are tuples; refuse too many.

        A tuple that lies deep in others would overrun the stack in hash(), and one that holds another twice, which
        holds another twice, would take forever. Integers of more than 64 bits, all of which can have the same hash,
        count for many.
        """
        level = [*values]
        for _ in range(DEPTH):
            inner = [x for x in level if isinstance(x, tuple)]
            self.left -= len(level) + 1000 * sum(type(x) is int and x.bit_length() > 64 for x in level)
            if self.left < sum(map(len, inner)):
                break
            if not inner:
                return
            level = [y for x in inner for y in x]
        raise pickle.UnpicklingError(f"{REFUSED}keys or copies that are too deep, too large or too many")

    def find_class(self, module: str, name: str) -> Any:
        place = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))  # Python 2's
        known = ".".join(place)
        return ALLOWED[known] if known in ALLOWED else SAFE[known] if known in SAFE else refuse(module, name)

    def load_reduce(self) -> None:
        args, function = self.stack.pop(), self.stack[-1]
        if id(function) not in CALLED and not is_safe(function):
            raise pickle.UnpicklingError(f"{REFUSED}a call of {brief(function)}")
        for x in args:
            self.spend(x if isinstance(x, (tuple, list, dict)) else ())
            self.left -= len(x) if isinstance(x, (bytes, str)) else 0  # counts from the next call on
        self.stack[-1] = function(*args)

    def load_newobj(self) -> None:
        args, cls = self.stack.pop(), self.stack[-1]
        if not is_safe(cls):
            raise pickle.UnpicklingError(f"{REFUSED}a new object of {brief(cls)}")
        self.stack[-1] = cls.__new__(cls, *args)

    def target(self, *kinds: type) -> Any:
        """What an opcode is to change: none of minigrad's own classes and functions, which are named in files too."""
        if type(self.stack[-1]) not in kinds and not is_safe(type(self.stack[-1])):
            raise pickle.UnpicklingError(f"{REFUSED}a change to {type(self.stack[-1])}")
        return self.stack[-1]

    def extend(self, items: list[Any]) -> None:
        self.target(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.target(dict, OrderedDict, Counter)
        self.spend(items[::2])
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[key] = value

    def load_build(self) -> None:
        state = self.stack.pop()
        target = self.target(OrderedDict)
        if type(target) is OrderedDict:
            target.__dict__.update(attributes(state))
        else:
            for names in state if isinstance(state, tuple) else (state,):
                self.spend(names if isinstance(names, dict) else ())
            self.stack.append(state)
            pickle._Unpickler.dispatch[pickle.BUILD[0]](self)  # type: ignore[arg-type]

    dispatch |= {
        pickle.APPEND[0]: lambda self: self.extend([self.stack.pop()]),
        pickle.APPENDS[0]: lambda self: self.extend(self.pop_mark()),
        pickle.SETITEM[0]: lambda self: self.set_items([self.stack.pop(), self.stack.pop()][::-1]),
        pickle.SETITEMS[0]: lambda self: self.set_items(self.pop_mark()),
        pickle.BUILD[0]: load_build,
        pickle.REDUCE[0]: load_reduce,
        pickle.NEWOBJ[0]: load_newobj,
    }


class TrustingUnpickler(Reader, pickle.Unpickler):
    """Makes whatever the file says."""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] != "torch":
            return super().find_class(module, name)
        return TORCH.get(f"{module}.{name}") or ALLOWED.get(f"{module}.{name}") or refuse(module, name)


def check_location(storage: Storage, location: str, map_location: Any) -> None:
    """Pass where map_location leaves a storage on the CPU; else PyTorch's RuntimeError."""
    if isinstance(map_location, (str, device)):
        location = str(map_location)
    elif isinstance(map_location, dict):
        location = map_location.get(location, location)
    elif map_location is not None and map_location(storage, location) is not None:
        return
    if location.startswith("cuda"):
        what = "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False"
        raise RuntimeError(f"{what}: map your storages to the CPU with map_location=torch.device('cpu')")
    if location != "cpu":
        raise RuntimeError(f"don't know how to restore data location of a storage (tagged with {brief(location)})")


def check_beginning(file: IO[bytes]) -> bytes:
    """How a checkpoint begins: as a zip archive, or as the old format; else raise what PyTorch does."""
    file.seek(start := file.tell())  # io.UnsupportedOperation where it is not seekable, before anything is read
    head = file.read(len(MAGIC))
    file.seek(start)
    if not head:
        raise EOFError("the checkpoint is empty")
    if not head.startswith((b"PK\3\4", MAGIC)):
        raise pickle.UnpicklingError(f"Weights only load failed. This is no checkpoint: it begins with {head!r}")
    return head


def in_records(records: dict[str, Array]) -> Callable[[str, int], Array]:
    """The function that looks up a storage's bytes. RuntimeError where they are missing, or more or fewer."""

    def bytes_of(key: str, size: int) -> Array:
        data = records.get(f"data/{key}")
        if data is None or len(data) != size:
            found = "missing" if data is None else f"of {len(data)} bytes"
            raise RuntimeError(f"{DAMAGED}: record data/{key[:100]}, of {brief(size)} bytes, is {found}")
        return data

    return bytes_of


def load(
    f: File,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """What torch.save, PyTorch's or minigrad's, saved to a path or an open binary file.

    Tensors, numbers, strings and containers, without running code; weights_only=False, for files that you trust,
    unpickles whatever the file names. The whole file is read (with mmap=True too) and its checksums verified before
    anything is made. FileNotFoundError where there is no file, EOFError where it is empty; pickle.UnpicklingError for
    what is no checkpoint, not allowed, or of a dtype that minigrad lacks; RuntimeError for damage, and for a storage of
    another device that map_location doesn't map to the CPU. Format: PyTorch 2.13's, in the package's docstring; that
    of PyTorch before 1.6 is read too, but has no checksums: damage inside a tensor's numbers goes unnoticed there.
    """
    if pickle_module not in (None, pickle) or (weights_only and pickle_module):
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified: leave it out")
    weights_only = weights_only is not False
    if map_location is not None and not (isinstance(map_location, (str, device, dict)) or callable(map_location)):
        raise TypeError(f"map_location is a device, a dict or a function, not {type(map_location).__name__}")
    if mmap and not isinstance(f, (str, os.PathLike)):
        raise ValueError("f must be a file path in order to use the mmap argument")
    unpickler: Any = WeightsUnpickler if weights_only else TrustingUnpickler
    params = {"encoding": "utf-8"} if weights_only else {"encoding": "utf-8"} | pickle_load_args
    with open(f, "rb") if isinstance(f, (str, os.PathLike)) else nullcontext(f) as file:
        old = check_beginning(file) == MAGIC
        try:
            records = {} if old else read_records(file)
            content = io.BytesIO(file.read() if old else records["data.pkl"].tobytes())
        except (NotImplementedError, OSError, *WRONG) as error:
            raise RuntimeError(f"{DAMAGED}: {brief(error)}") from error
    try:
        if old:
            return read_legacy(content, partial(unpickler, map_location=map_location, swapped=False, **params))
        swapped = "byteorder" in records and records["byteorder"].tobytes() not in (b"", sys.byteorder.encode())
        return unpickler(content, in_records(records), map_location, swapped, **params).load()
    except WRONG as error:
        if not weights_only:
            raise
        raise pickle.UnpicklingError(f"Weights only load failed: the pickle is malformed, {brief(error)}") from error
