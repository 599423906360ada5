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
from minigrad.serialization.names import DAMAGED, Storage, brief

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
        check(size >= 0 and left >= 0, f"there are no {brief(size)} bytes for storage {brief(key)}")
        return np.empty(size, np.uint8)  # filled below: the bytes come after the pickle

    magic, version, machine = (unpickler(content, empty).load() for _ in range(3))
    check((magic, version) == (MAGIC_NUMBER, PROTOCOL_VERSION), f"{brief(version)} is no version that is known")
    check(type(machine) is dict, "it does not say of which machine it is")
    reader = unpickler(content, empty)
    result, keys = reader.load(), unpickler(content, empty).load()
    check(type(keys) is list and all(type(key) is str for key in keys), "the names of its storages are no names")
    check(sorted(keys) == sorted(reader.storages), "it has other storages than its tensors have")
    for key in keys:
        data, size = reader.storages[key].data, reader.storages[key].kind.dtype.itemsize
        (elements,) = struct.unpack("<q", content.read(8))
        whole = elements * size == len(data) == content.readinto(data)
        check(whole, f"storage {brief(key)} is cut short, or of another size")
        if machine["little_endian"] != (sys.byteorder == "little"):
            reader.storages[key].swap()
    return result


def check(passed: bool, complaint: str) -> None:
    if not passed:
        raise RuntimeError(f"{DAMAGED}: {complaint}")
