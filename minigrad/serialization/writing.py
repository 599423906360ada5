"""torch.save."""

from __future__ import annotations

import codecs
import io
import os
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any, ClassVar

from minigrad.as_torch import own_name
from minigrad.autograd.node import Array, TensorBase
from minigrad.metadata import Size
from minigrad.nn.parameter import Parameter
from minigrad.serialization.archive import replacing, write_archive
from minigrad.serialization.legacy import write_legacy
from minigrad.serialization.names import KINDS, NAMES, TORCH, Storage, StorageKind, rebuild_tensor, rebuild_typed
from minigrad.serialization.reading import File
from minigrad.storage import address, memory, owner
from minigrad.tensor import Tensor

DEFAULT_PROTOCOL = 2


class Pickler(pickle._Pickler):
    """Writes tensors under PyTorch's names. (The pickler in C looks names up, and would need PyTorch.)"""

    def __init__(self, file: IO[bytes], protocol: int, legacy: bool = False) -> None:
        super().__init__(file, protocol)
        self.storages: dict[int, tuple[Storage, Array]] = {}  # by the identity of the array that owns the memory
        self.kinds: dict[int, StorageKind] = {}  # of the memory at an address
        self.view: tuple[()] | tuple[None] = (None,) if legacy else ()  # what the old format says of every storage

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, Storage):
            return "storage", obj.kind, obj.key, "cpu", len(obj.data) // obj.kind.dtype.itemsize, *self.view
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
        known = NAMES.get(id(obj)) or own_name(obj)
        if known:
            module, _, name = known.rpartition(".")
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())  # type: ignore[attr-defined]
            self.memoize(obj)  # type: ignore[attr-defined]
        else:
            super().save_global(obj, name)  # type: ignore[misc]

    def save_bytes(self, obj: bytes) -> None:
        if obj or self.proto > 2:  # type: ignore[attr-defined]
            pickle._Pickler.dispatch[bytes](self, obj)  # type: ignore[arg-type]
        else:  # the pickle of Python's own has bytes() here, which PyTorch doesn't load
            self.save_reduce(codecs.encode, ("", "latin1"), obj=obj)  # type: ignore[attr-defined]

    dispatch: ClassVar[dict[type, Callable[..., None]]] = pickle._Pickler.dispatch | {bytes: save_bytes}

    def reduce_tensor(self, tensor: Tensor) -> Any:
        array, kind, root = tensor._array, KINDS[tensor.dtype], owner(tensor._array)
        data, start = memory(array)
        if id(root) not in self.storages:
            self.storages[id(root)] = Storage(kind, str(len(self.storages)), data), root
        storage = self.storages[id(root)][0]
        if len(data) and self.kinds.setdefault(address(data), kind) is not kind:
            raise RuntimeError("Cannot save multiple tensors or storages that view the same data as different types")
        if any(n < 0 or n % array.itemsize for n in (start, len(data), *array.strides)):
            raise RuntimeError("Cannot save a tensor whose elements lie between other data: save its .clone()")
        offset = start // array.itemsize
        args: Any = storage, offset, tuple(tensor.shape), tensor.stride(), tensor.requires_grad, OrderedDict()
        if type(tensor) is Tensor and not tensor.__dict__:
            return rebuild_tensor, args
        return rebuild_typed, (rebuild_tensor, type(tensor), args, tensor.__dict__)


def save(
    obj: Any,
    f: File,
    pickle_module: Any = pickle,
    pickle_protocol: int = DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization: Any = True,
) -> None:
    """Save an object to a path or a writable binary file, as PyTorch 2.13 does (format: in the package's docstring).

    A path's content is replaced in one step, when all is on the disk: a crash leaves the old file or the new one.
    AttributeError where `f` is neither path nor file; RuntimeError where the path's folder doesn't exist, or tensors of
    several dtypes share memory; pickle.PicklingError for what can't be pickled. Then the path is as it was.
    _use_new_zipfile_serialization=False writes the format of PyTorch before 1.6, which has no checksums.
    """
    if not isinstance(f, (str, os.PathLike)) and not hasattr(f, "write"):
        raise AttributeError("expected 'f' to be string, path, or a file-like object with a 'write' attribute")
    if pickle_module is not pickle:
        raise RuntimeError("minigrad saves with the standard pickle: leave pickle_module out")
    pickled = io.BytesIO()
    pickler = Pickler(pickled, pickle_protocol, legacy=not _use_new_zipfile_serialization)
    pickler.dump(obj)
    storages = [storage for storage, _ in pickler.storages.values()]

    def write(file: IO[bytes], folder: str) -> None:
        if not _use_new_zipfile_serialization:
            write_legacy(file, pickled.getvalue(), storages, pickle_protocol)
            return
        records: dict[str, Any] = {"data.pkl": pickled.getvalue(), ".format_version": b"1", ".storage_alignment": b"64"}
        records["byteorder"] = sys.byteorder.encode()
        records |= {f"data/{storage.key}": storage.data for storage in storages}
        write_archive(file, folder, records | {"version": b"3\n"})

    if isinstance(f, (str, os.PathLike)):
        name = os.path.basename(os.fspath(f))
        with replacing(os.fspath(f)) as file:
            write(file, (name.rpartition(".")[0] or name) if name.isascii() else "archive")
    else:
        write(f, "archive")
        f.flush()
