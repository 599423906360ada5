"""torch.save and torch.load: checkpoints in PyTorch's own zip format, read without running what a file says.

The format, as PyTorch 2.13's `torch/serialization.py` and `caffe2/serialize/inline_container.cc` write it: a zip
archive of uncompressed records in one folder. `data.pkl` is a pickle (protocol 2) in which a tensor is a call of
`torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)`, and a storage a persistent id
`("storage", torch.FloatStorage, key, location, elements)`; its bytes are record `data/<key>` and start at a multiple
of 64. Names such as `torch.FloatStorage` are text to a pickle: PyTorch need not be there to write them or to read them.
"""

from __future__ import annotations

import ctypes
import hashlib
import io
import os
import pickle
import re
import secrets
import shutil
import struct
import sys
import zipfile
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any, ClassVar, NoReturn

import numpy as np

from minigrad.autograd.node import Array, TensorBase, wrap
from minigrad.metadata import Size, device, dtype, dtype_of, dtypes, uint8
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor

File = str | os.PathLike[str] | IO[bytes]

CHUNK = 1 << 24  # bytes that are read at a time
WIDE = 0xFFFFFFFF  # sizes and offsets from here on are written in zip64's eight bytes
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # what files of PyTorch before 1.6 begin with
# What parsing wrong bytes raises; a KeyError or IndexError is a LookupError, an OverflowError an ArithmeticError.
WRONG = (ArithmeticError, AttributeError, EOFError, LookupError, RecursionError, TypeError, ValueError, struct.error)
DAMAGED = "the checkpoint is damaged or cut short, and nothing was loaded"
REFUSED = (
    "Weights only load failed. Only tensors, numbers, strings and containers are loaded without running code: save a "
    "state_dict, or, for a file that you trust, pass weights_only=False. The checkpoint asks for "
)


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
    counter: list[Any] = field(default_factory=lambda: [0])


# What the pickles' calls do here. The arguments come from a file, so none is taken on trust.


def rebuild_tensor(
    storage: Storage, offset: int, size: Any, stride: Any, requires_grad: bool, hooks: Any = None, bits: Any = None
) -> Tensor:
    """The tensor of a shape and strides in a storage. RuntimeError where it would reach out of it."""
    dtype = storage.kind.dtype
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if min((offset, *size, *stride)) < 0 or (0 not in size and last >= len(storage.data) // dtype.itemsize):
        layout = f"shape {size}, strides {stride} and offset {offset}"
        raise RuntimeError(f"{DAMAGED}: {layout} do not fit {len(storage.data)} bytes of {dtype}")
    if bits:
        raise pickle.UnpicklingError(f"minigrad has no tensors with PyTorch's metadata {bits}: save their .clone()")
    steps = [step * dtype.itemsize for step in stride]
    array: Array = np.ndarray(size, dtype.numpy, storage.data, offset * dtype.itemsize, steps)
    tensor = wrap(array, storage.counter)
    tensor.requires_grad = requires_grad
    return tensor


def rebuild_parameter(data: Tensor, requires_grad: bool, hooks: Any, state: Any = ()) -> Parameter:
    """A parameter, with the attributes that a user gave it."""
    parameter = Parameter(data, requires_grad)
    parameter.__dict__.update(state)
    return parameter


def rebuild_typed(function: Callable[..., Tensor], cls: type[Tensor], args: Any, state: Any) -> Tensor:
    """A tensor of a user's class, or with the attributes that a user gave it."""
    if function is not rebuild_tensor:
        raise pickle.UnpicklingError(f"{REFUSED}a tensor made by {function}")
    tensor = rebuild_tensor(*args)
    if cls not in (Tensor, ALLOWED["torch.Tensor"]):
        tensor.__class__ = cls
    tensor.__dict__.update(state)
    return tensor


def of(kind: type, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function for arguments of one type: bytearray(10**12), or the set of an expanded tensor, would not end."""

    def make(*args: Any) -> Any:
        if any(type(x) is not kind for x in args):
            raise pickle.UnpicklingError(f"{REFUSED}{function.__name__} of {[type(x).__name__ for x in args]}")
        return function(*args)

    return make


def hashable(keys: list[Any]) -> list[Any]:
    """The keys. RecursionError where tuples lie so deep in tuples that hash() would overrun the stack and crash."""
    for key in keys:
        if isinstance(key, tuple):
            repr(key)
    return keys


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
    "torch.Tensor": "a name, not to be called",
    "torch.Size": of(tuple, Size),
    "collections.OrderedDict": of(type(None), OrderedDict),
    "collections.Counter": of(dict, Counter),
    "builtins.set": of(list, lambda items: set(hashable(items))),
    "builtins.complex": of(float, complex),
    "builtins.bytes": of(type(None), bytes),
    "builtins.bytearray": of(bytes, bytearray),
    "_codecs.encode": lambda text, encoding: text.encode({"latin1": "latin1"}[encoding]),  # bytes in protocol 2
}
# PyTorch's opcodes, without NEWOBJ, which makes objects of any class, and with LONG4, which writes long integers.
OPCODES = (
    "PROTO STOP GLOBAL REDUCE BINPERSID MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT "
    "BINUNICODE SHORT_BINSTRING EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST EMPTY_DICT EMPTY_SET BINGET "
    "LONG_BINGET BINPUT LONG_BINPUT"
)
STORAGE_DTYPES = {"BFloat16": "bfloat16", "ComplexFloat": "complex64", "ComplexDouble": "complex128"}


def refuse(module: str, name: str) -> NoReturn:
    """UnpicklingError that says what the file asked for, and what to do."""
    if module == "torch" and (match := re.fullmatch(r"(\w+)Storage|((?:bfloat|complex|float|q?u?int|bits)\w*)", name)):
        wanted, known = STORAGE_DTYPES.get(match[1], name), ", ".join(d.name for d in dtypes)
        raise pickle.UnpicklingError(f"minigrad has no tensors of {wanted}: convert them in PyTorch to one of {known}")
    if module.partition(".")[0] == "torch":
        found = f"{module}.{name}, which only PyTorch can make"
        raise pickle.UnpicklingError(f"The checkpoint holds {found}. Of a model, torch.save() the state_dict() there")
    raise pickle.UnpicklingError(f"{REFUSED}{module}.{name}")


class Reader:
    """What both unpicklers have: the records of an archive."""

    def __init__(self, records: dict[str, Array], map_location: Any, **params: Any) -> None:
        super().__init__(io.BytesIO(records["data.pkl"].tobytes()), **params)  # type: ignore[call-arg]
        self.records = records
        self.map_location = map_location
        self.storages: dict[str, Storage] = {}

    def persistent_load(self, pid: Any) -> Storage:
        """The storage that a persistent id names. RuntimeError where its size is not that of the record."""
        word, kind, key, location, numel = pid
        if word != "storage" or not isinstance(kind, StorageKind):
            raise pickle.UnpicklingError(f"{REFUSED}a persistent {word}")
        if key not in self.storages:
            data = self.records.get(f"data/{key}")
            if data is None or len(data) != numel * kind.dtype.itemsize:
                found = "missing" if data is None else f"of {len(data)} bytes"
                raise RuntimeError(f"{DAMAGED}: record data/{key}, of {numel} {kind.dtype}, is {found}")
            if self.records.get("byteorder", data[:0]).tobytes() not in (b"", sys.byteorder.encode()):
                data.view(kind.dtype.numpy).byteswap(inplace=True)
            self.storages[key] = Storage(kind, key, data)
            check_location(self.storages[key], location, self.map_location)
        if self.storages[key].kind is not kind:
            raise RuntimeError(f"{DAMAGED}: data/{key} is used as {kind.dtype} and as {self.storages[key].kind.dtype}")
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

    def find_class(self, module: str, name: str) -> Any:
        known = f"{'builtins' if module == '__builtin__' else module}.{name}"  # Python 2's name, which protocol 2 uses
        return ALLOWED[known] if known in ALLOWED else refuse(module, name)

    def target(self, *kinds: type) -> Any:
        """What an opcode is to change: none of minigrad's own classes and functions, which are named in files too."""
        if type(self.stack[-1]) not in kinds:
            raise pickle.UnpicklingError(f"{REFUSED}a change to {type(self.stack[-1])}")
        return self.stack[-1]

    def extend(self, items: list[Any]) -> None:
        self.target(list).extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.target(dict, OrderedDict, Counter)
        for key, value in zip(hashable(items[::2]), items[1::2], strict=True):
            target[key] = value

    def load_build(self) -> None:
        state = self.stack.pop()
        self.target(OrderedDict).__dict__.update(state)

    dispatch |= {
        pickle.APPEND[0]: lambda self: self.extend([self.stack.pop()]),
        pickle.APPENDS[0]: lambda self: self.extend(self.pop_mark()),
        pickle.SETITEM[0]: lambda self: self.set_items([self.stack.pop(), self.stack.pop()][::-1]),
        pickle.SETITEMS[0]: lambda self: self.set_items(self.pop_mark()),
        pickle.BUILD[0]: load_build,
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
        raise RuntimeError(f"don't know how to restore data location of a storage (tagged with {location})")


def check_beginning(file: IO[bytes]) -> None:
    """Pass where a zip archive begins; else raise what PyTorch does."""
    file.seek(start := file.tell())  # io.UnsupportedOperation where it is not seekable, before anything is read
    head = file.read(len(LEGACY))
    file.seek(start)
    if not head:
        raise EOFError("the checkpoint is empty")
    if head == LEGACY:
        raise pickle.UnpicklingError("This is the format of PyTorch before 1.6: torch.save() it again in PyTorch")
    if not head.startswith(b"PK\3\4"):
        raise pickle.UnpicklingError(f"Weights only load failed. This is no checkpoint: it begins with {head!r}")


def check(passed: bool, complaint: str) -> None:
    if not passed:
        raise zipfile.BadZipFile(complaint)


def read_records(file: IO[bytes]) -> dict[str, Array]:
    """All records of an archive, by name. BadZipFile where anything is not as PyTorch writes it.

    zipfile compares each record with its checksum, and its two copies of the name.
    """
    start = file.tell()
    room = file.seek(0, os.SEEK_END) - start
    with zipfile.ZipFile(file) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        check(0 < len(infos) == len(archive.infolist()), "it has no records, or two of the same name")
        folder = min(infos, default="").partition("/")[0] + "/"
        for name, info in infos.items():
            stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
            inside = name.startswith(folder) and not {"", ".", ".."} & set(name.replace("\\", "/").split("/"))
            check(inside, f"{name!r} is not in the archive's folder, {folder!r}")
            check(stored and not info.flag_bits & 1, f"{name!r} is compressed or encrypted, as PyTorch writes none")
            check(not info.comment, f"{name!r} has a comment: a wrong length can hide other records in it")
        # An archive that lies inside a tensor's bytes must not pass for the whole, when what followed it is cut off.
        first, total = min(i.header_offset for i in infos.values()), sum(i.file_size for i in infos.values())
        check(first == start and total <= room, f"{total} bytes of records at {first}, in {room} of file at {start}")
        records = {name.removeprefix(folder): np.empty(info.file_size, np.uint8) for name, info in infos.items()}
        for record, info in zip(records.values(), infos.values(), strict=True):
            with archive.open(info) as stream:
                for at in range(0, len(record), CHUNK):
                    stream.readinto(record[at : at + CHUNK])  # type: ignore[attr-defined]
    check("constants.pkl" not in records, "this is a TorchScript archive, which only PyTorch runs: save the state_dict")
    check({"data.pkl", "version"} <= set(records), "data.pkl or version is missing")
    version, order = (records.get(name, np.empty(0)).tobytes() for name in ("version", "byteorder"))
    check(1 <= int(version) <= 10, f"of the format's versions, 1 to 10 are known, not {version!r}")
    check(order in (b"little", b"big", b""), "its byte order is neither little nor big")
    return records


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
    another device that map_location doesn't map to the CPU. Format: PyTorch 2.13's, at the top of this file.
    """
    weights_only = weights_only is not False
    if pickle_module is not None and (weights_only or pickle_module is not pickle):
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified: leave it out")
    if mmap and not isinstance(f, (str, os.PathLike)):
        raise ValueError("f must be a file path in order to use the mmap argument")
    with open(f, "rb") if isinstance(f, (str, os.PathLike)) else nullcontext(f) as file:
        check_beginning(file)
        try:
            records = read_records(file)
        except (zipfile.BadZipFile, NotImplementedError, OSError, *WRONG) as error:
            raise RuntimeError(f"{DAMAGED}: {error!r}") from error
    if not weights_only:
        return TrustingUnpickler(records, map_location, **{"encoding": "utf-8"} | pickle_load_args).load()
    try:
        return WeightsUnpickler(records, map_location, encoding="utf-8").load()
    except WRONG as error:
        raise pickle.UnpicklingError(f"Weights only load failed: data.pkl is malformed, {error!r}") from error


class Pickler(pickle._Pickler):
    """Writes tensors under PyTorch's names. (The pickler in C looks names up, and would need PyTorch.)"""

    def __init__(self, file: IO[bytes], protocol: int) -> None:
        super().__init__(file, protocol)
        self.storages: dict[int, tuple[Storage, Array]] = {}  # by the identity of the array that owns the memory

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, Storage):
            return "storage", obj.kind, obj.key, "cpu", len(obj.data) // obj.kind.dtype.itemsize
        return None

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Parameter):
            name = "torch._utils._rebuild_parameter" + "_with_state" * bool(obj.__dict__)
            args: Any = obj.data, obj.requires_grad, OrderedDict()  # for hooks, which are never saved
            return TORCH[name], (*args, obj.__dict__) if obj.__dict__ else args
        if isinstance(obj, TensorBase):
            return self.reduce_tensor(obj)  # type: ignore[arg-type]
        if type(obj) is Size:
            return Size, (tuple(obj),)
        return NAMES.get(id(obj), NotImplemented)  # a name goes to save_global

    def save_global(self, obj: Any, name: str | None = None) -> None:
        if id(obj) in NAMES:
            module, _, name = NAMES[id(obj)].rpartition(".")
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())  # type: ignore[attr-defined]
            self.memoize(obj)  # type: ignore[attr-defined]
        else:
            super().save_global(obj, name)  # type: ignore[misc]

    def reduce_tensor(self, tensor: Tensor) -> Any:
        array, base = tensor._array, tensor._array.base
        owner = array
        while base is not None:
            owner = base if isinstance(base, np.ndarray) else owner
            base = getattr(base, "base", None)  # as_strided puts an object in between
        low, high = np.lib.array_utils.byte_bounds(owner) if owner.size else (0, 0)
        kind = KINDS[dtype_of(array.dtype)]
        if id(owner) not in self.storages:
            memory: Any = (ctypes.c_ubyte * (high - low)).from_address(low) if owner.size else b""
            storage = Storage(kind, str(len(self.storages)), np.frombuffer(memory, np.uint8))
            self.storages[id(owner)] = storage, owner
        storage = self.storages[id(owner)][0]
        if storage.kind is not kind:
            raise RuntimeError("Cannot save multiple tensors or storages that view the same data as different types")
        start = array.__array_interface__["data"][0] - low if owner.size else 0
        if any(n < 0 or n % array.itemsize for n in (start, len(storage.data), *array.strides)):
            raise RuntimeError("Cannot save a tensor whose elements lie between other data: save its .clone()")
        offset = start // array.itemsize
        args: Any = storage, offset, tuple(tensor.shape), tensor.stride(), tensor.requires_grad, OrderedDict()
        if type(tensor) is Tensor and not tensor.__dict__:
            return rebuild_tensor, args
        return rebuild_typed, (rebuild_tensor, type(tensor), args, tensor.__dict__)


def save(
    obj: Any, f: File, pickle_module: Any = pickle, pickle_protocol: int = 2, _use_new_zipfile_serialization: Any = True
) -> None:
    """Save an object to a path or a writable binary file, as PyTorch 2.13 does (format: at the top of this file).

    A path's content is replaced in one step, when all is on the disk: a crash leaves the old file or the new one.
    AttributeError where `f` is neither path nor file; RuntimeError where the path's folder doesn't exist, or tensors of
    several dtypes share memory; pickle.PicklingError for what can't be pickled. Then the path is as it was.
    """
    if not isinstance(f, (str, os.PathLike)) and not hasattr(f, "write"):
        raise AttributeError("expected 'f' to be string, path, or a file-like object with a 'write' attribute")
    if pickle_module is not pickle or not _use_new_zipfile_serialization:
        raise RuntimeError("minigrad saves with the standard pickle, in the zip format: leave these arguments out")
    pickled = io.BytesIO()
    pickler = Pickler(pickled, pickle_protocol)
    pickler.dump(obj)
    records: dict[str, Any] = {"data.pkl": pickled.getvalue(), ".format_version": b"1", ".storage_alignment": b"64"}
    storages = {f"data/{storage.key}": storage.data for storage, _ in pickler.storages.values()}
    records |= {"byteorder": sys.byteorder.encode(), **storages, "version": b"3\n"}
    if isinstance(f, (str, os.PathLike)):
        name = os.path.basename(os.fspath(f))
        with replacing(os.fspath(f)) as file:
            write_archive(file, (name.rpartition(".")[0] or name) if name.isascii() else "archive", records)
    else:
        write_archive(f, "archive", records)
        f.flush()


def write_archive(file: IO[bytes], folder: str, records: dict[str, Any]) -> None:
    """Write a zip archive to a file that need not be seekable: sizes and checksums follow the bytes."""
    checksums = {name: zlib.crc32(data) for name, data in records.items()}
    serial = int(hashlib.sha256(repr(checksums).encode()).hexdigest(), 16)
    records[".data/serialization_id"] = b"%040d" % (serial % 10**40)  # stands for all that is saved
    position, directory = 0, b""
    for name, data in records.items():
        path, size, crc = f"{folder}/{name}".encode(), len(data), checksums.get(name) or zlib.crc32(data)
        flags = 0x0808 if size else 0x0800  # names in UTF-8; sizes after the bytes
        wide = struct.pack("<QQ", size, size) * (size >= WIDE) + struct.pack("<Q", position) * (position >= WIDE)
        extra = struct.pack("<HH", 1, len(wide)) + wide if wide else b""
        padding = -(position + 30 + len(path) + len(extra) + 4) % 64
        padded = extra + struct.pack("<2sH", b"FB", padding) + b"Z" * padding
        header = struct.pack("<4s5H3L2H", b"PK\3\4", 0, flags, 0, 0, 0, 0, 0, 0, len(path), len(padded)) + path + padded
        trailer = struct.pack("<4sLQQ" if wide else "<4sLLL", b"PK\7\10", crc, size, size) if size else b""
        directory += struct.pack("<4s6H3L", b"PK\1\2", 0, 0, flags, 0, 0, 0, crc, min(size, WIDE), min(size, WIDE))
        directory += struct.pack("<5H2L", len(path), len(extra), 0, 0, 0, 0, min(position, WIDE)) + path + extra
        for part in (header, memoryview(data), trailer):
            file.write(part)
        position += len(header) + size + len(trailer)
    count, size, end = len(records), len(directory), position + len(directory)
    file.write(directory + struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 0x031E, 45, 0, 0, count, count, size, position))
    file.write(struct.pack("<4sLQL", b"PK\6\7", 0, end, 1))
    few = min(count, 0xFFFF)
    file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, few, few, size, min(position, WIDE), 0))


@contextmanager
def replacing(path: str) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` when all is written to it, and goes away when that fails."""
    path = os.path.realpath(path)  # what a link points to is replaced, and not the link
    folder, name = os.path.split(path)
    if os.path.isdir(path) or not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {folder} does not exist, or {path} is a directory itself.")
    if os.path.exists(path) and not (os.path.isfile(path) and os.access(path, os.W_OK)):
        with open(path, "wb") as file:  # devices and pipes are written to; for a file that may not be, this raises
            yield file
        return
    temporary = os.path.join(folder, f".{name[:50]}.{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(path):
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
