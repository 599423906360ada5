"""The format of PyTorch before 1.6: a row of pickles (a magic number, a version, the machine, the object, the keys of
the storages), then each storage as its number of elements, in eight bytes, and their bytes. It has no checksums.
"""

from __future__ import annotations

import io
import pickle
import struct
import sys
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from minigrad.autograd.node import Array
from minigrad.serialization.names import DAMAGED, Storage

MAGIC_NUMBER, PROTOCOL_VERSION = 0x1950A86A20F9469CFC6C, 1001
MAGIC = pickle.dumps(MAGIC_NUMBER, protocol=2)  # what such a file begins with
SIZES = {"short": 2, "int": 4, "long": 4}


def write_legacy(file: IO[bytes], pickled: bytes, storages: list[Storage], protocol: int) -> None:
    """Write an object that is pickled, and its storages."""
    machine = {"protocol_version": PROTOCOL_VERSION, "little_endian": sys.byteorder == "little", "type_sizes": SIZES}
    for value in (MAGIC_NUMBER, PROTOCOL_VERSION, machine):
        pickle.dump(value, file, protocol)
    file.write(pickled)
    pickle.dump([storage.key for storage in storages], file, protocol)
    for storage in storages:
        file.write(struct.pack("<q", len(storage.data) // storage.kind.dtype.itemsize))
        file.write(storage.data.data)


def read_legacy(content: io.BytesIO, unpickler: Callable[..., Any]) -> Any:
    """The object in a file of this format. RuntimeError where it is cut short, or at odds with itself."""
    left = len(content.getbuffer())

    def empty(key: str, size: int) -> Array:
        nonlocal left
        left -= size
        check(isinstance(key, str) and size >= 0 and left >= 0, f"there are no {size} bytes for storage {key!r}")
        return np.empty(size, np.uint8)  # filled below: the bytes come after the pickle

    magic, version, machine = (unpickler(content, empty).load() for _ in range(3))
    check((magic, version) == (MAGIC_NUMBER, PROTOCOL_VERSION), f"{version!r} is no version that is known")
    reader = unpickler(content, empty)
    result, keys = reader.load(), unpickler(content, empty).load()
    check(sorted(keys) == sorted(reader.storages), f"it has storages {keys}, and tensors in {[*reader.storages]}")
    for key in keys:
        data, size = reader.storages[key].data, reader.storages[key].kind.dtype.itemsize
        (elements,) = struct.unpack("<q", content.read(8))
        check(elements * size == len(data) == content.readinto(data), f"storage {key} is cut short, or of another size")
        if machine["little_endian"] != (sys.byteorder == "little"):
            reader.storages[key].swap()
    return result


def check(passed: bool, complaint: str) -> None:
    if not passed:
        raise RuntimeError(f"{DAMAGED}: {complaint}")
