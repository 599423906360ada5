"""The zip archive around a checkpoint: read without trust, written as PyTorch does, and put in place in one step."""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from minigrad.autograd.node import Array

if TYPE_CHECKING:
    from zipfile import ZipFile

CHUNK = 1 << 24  # bytes that are read, or written, at a time
SERIAL = ".data/serialization_id"
WIDE = 0xFFFFFFFF  # sizes and offsets from here on are written in zip64's eight bytes


def check(passed: bool, complaint: str) -> None:
    if not passed:
        raise ValueError(complaint)


def read_records(file: IO[bytes]) -> dict[str, Array]:
    """All records of an archive, by name. ValueError where anything is not as PyTorch writes it.

    zipfile compares each record with its checksum, and its two copies of the name.
    """
    import zipfile  # here, since it takes a while, and most programs load nothing

    start = file.tell()
    room = file.seek(0, os.SEEK_END) - start
    try:
        with zipfile.ZipFile(file) as archive:
            records = read_all(archive, start, room)
    except zipfile.BadZipFile as error:
        raise ValueError(*error.args) from error
    check("constants.pkl" not in records, "this is a TorchScript archive, which only PyTorch runs: save the state_dict")
    check({"data.pkl", "version"} <= set(records), "data.pkl or version is missing")
    version, order = (records.get(name, np.empty(0)).tobytes() for name in ("version", "byteorder"))
    check(1 <= int(version) <= 10, f"of the format's versions, 1 to 10 are known, not {version[:100]!r}")
    check(order in (b"little", b"big", b""), "its byte order is neither little nor big")
    return records


def read_all(archive: ZipFile, start: int, room: int) -> dict[str, Array]:
    """The records, when what is said of all of them has been checked."""
    infos = {info.filename: info for info in archive.infolist()}
    check(0 < len(infos) == len(archive.infolist()), "it has no records, or two of the same name")
    folder = min(infos, default="").partition("/")[0] + "/"
    for name, info in infos.items():
        stored = info.compress_type == 0 and info.compress_size == info.file_size
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
    return records


def write_archive(file: IO[bytes], folder: str, records: dict[str, Any]) -> None:
    """Write a zip archive to a file that need not be seekable: sizes and checksums follow the bytes.

    The checksums are of the bytes that were written, whatever another thread does to the memory meanwhile.
    """
    import hashlib  # here, since it takes a while, and most programs save nothing

    checksums: dict[str, int] = {}
    position, directory = 0, b""
    for name in (*records, SERIAL):
        if name == SERIAL:  # stands for all that is saved
            serial = int(hashlib.sha256(repr(checksums).encode()).hexdigest(), 16)
            records[name] = b"%040d" % (serial % 10**40)
        data = records[name]
        path, size, crc = f"{folder}/{name}".encode(), len(data), 0
        flags = 0x0808 if size else 0x0800  # names in UTF-8; sizes after the bytes
        wide = struct.pack("<QQ", size, size) * (size >= WIDE) + struct.pack("<Q", position) * (position >= WIDE)
        extra = struct.pack("<HH", 1, len(wide)) + wide if wide else b""
        padding = -(position + 30 + len(path) + len(extra) + 4) % 64
        padded = extra + struct.pack("<2sH", b"FB", padding) + b"Z" * padding
        header = struct.pack("<4s5H3L2H", b"PK\3\4", 0, flags, 0, 0, 0, 0, 0, 0, len(path), len(padded)) + path + padded
        file.write(header)
        for start in range(0, size, CHUNK):
            chunk = bytes(memoryview(data)[start : start + CHUNK])  # a copy, which nobody else has
            crc = zlib.crc32(chunk, crc)
            file.write(chunk)
        checksums[name] = crc
        trailer = struct.pack("<4sLQQ" if wide else "<4sLLL", b"PK\7\10", crc, size, size) if size else b""
        file.write(trailer)
        directory += struct.pack("<4s6H3L", b"PK\1\2", 0, 0, flags, 0, 0, 0, crc, min(size, WIDE), min(size, WIDE))
        directory += struct.pack("<5H2L", len(path), len(extra), 0, 0, 0, 0, min(position, WIDE)) + path + extra
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
    temporary = os.path.join(folder, f".{name[:50]}.{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(path):
            os.chmod(temporary, stat.S_IMODE(os.stat(path).st_mode))
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
