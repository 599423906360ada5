"""Damages checkpoints in every way, and loads them: they load, or raise what load() may raise.

python -m tests.fuzzing zip 1 100000    # format, seed, how many files
"""

from __future__ import annotations

import io
import pickle
import random
import struct
import sys
import time
import warnings
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable

import numpy as np
import safetensors

import minigrad as torch
from minigrad.utils import safetensors as tensors_format

REFUSALS = (pickle.UnpicklingError, RuntimeError, EOFError)
TOKENS = [bytes([code]) for code in range(256)] + [
    b")" + b"\x85" * 5000,  # deep tuples
    b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(60)),  # of 2**60 items
    b"]" * 3000 + b"a" * 2999,
    b"}" * 300 + b"Nq\x01h\x01s",
    b"\x8a\xff" + b"\x7f" * 255,  # a large integer
    b"\x8b" + struct.pack("<i", 5000) + b"\x7f" * 5000,
    b"X" + struct.pack("<I", 3000) + b"x" * 3000,
    b"ctorch\nFloatStorage\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"c_codecs\nencode\n",
    b"ccollections\nOrderedDict\n)R",
    b"ccollections\nCounter\n",
    b"cbuiltins\nset\n",
    b"cbuiltins\nbytearray\n",
    b"ctorch\nSize\n",
    b"cnumpy\narray\n",
    b"(h\x00h\x01t",
    b"\x8a\x08" + struct.pack("<q", 2**62),
    b"J" + struct.pack("<i", -1),
]
NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1]


def sample() -> dict[str, object]:
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(3)).sum().backward()
    optimizer.step()
    shared = torch.arange(6.0)
    rest = [1, -2.5, None, True, "text", b"bytes", (1, (2, "x")), {1, 2}, {("a", 1): 2}, 2**70, bytearray(b"abc"), 1j]
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "views": [shared.view(2, 3).t(), shared[1:3], torch.zeros(2, 0), torch.tensor([1, 2], dtype=torch.uint8)],
        "rest": [*rest, OrderedDict(a=1), Counter("aab"), torch.Size([1, 2]), torch.float32, torch.device("cpu")],
    }


def written(legacy: bool) -> bytes:
    file = io.BytesIO()
    torch.save(sample(), file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def damage(data: bytes, random: random.Random, tokens: list[bytes]) -> bytes:
    """Some bytes changed, cut out, doubled, moved or put in."""
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        at = random.randrange(len(out) + 1)
        length = min(random.choice((1, 1, 2, 4, 8, 50)), len(out) - at)
        match random.randrange(7):
            case 0:
                for i in range(at, at + length):
                    out[i] = random.randrange(256)
            case 1 if length:
                out[at] ^= 1 << random.randrange(8)
            case 2:
                del out[at : at + length]
            case 3:
                out[at:at] = random.choice(tokens)
            case 4:
                out[at : at + length] = random.choice(tokens)
            case 5:
                number, size = random.choice(NUMBERS), random.choice((1, 2, 4, 8))
                out[at : at + size] = (number % 256**size).to_bytes(size, random.choice(("little", "big")))
            case 6:
                source = random.randrange(len(out) + 1)
                out[at : at + random.choice((0, length))] = out[source : source + length]
        if not out:
            out = bytearray(b"\x00")
    return bytes(out)


def zipped(records: dict[str, bytes]) -> bytes:
    """An archive whose checksums are right, so that what is damaged is looked at."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    return file.getvalue()


class Zip:
    def __init__(self) -> None:
        self.whole = written(legacy=False)
        with zipfile.ZipFile(io.BytesIO(self.whole)) as archive:
            self.records = {name: archive.read(name) for name in archive.namelist()}

    def make(self, random: random.Random) -> bytes:
        if random.random() < 0.25:
            return damage(self.whole, random, TOKENS)
        records = dict(self.records)
        name = random.choice([name for name in records if name.endswith("data.pkl")] * 20 + [*records])
        records[name] = damage(records[name], random, TOKENS)
        return zipped(records)

    def load(self, data: bytes) -> None:
        torch.load(io.BytesIO(data))


class Legacy(Zip):
    def __init__(self) -> None:
        self.whole = written(legacy=True)

    def make(self, random: random.Random) -> bytes:
        return damage(self.whole, random, TOKENS)


class Safetensors:
    refusals = (safetensors.SafetensorError, TypeError, ValueError)

    def __init__(self) -> None:
        tensors = {"a": torch.ones(2, 3), "b": torch.zeros(0), "c": torch.arange(4), "d": torch.tensor(True)}
        self.whole = tensors_format.save(tensors, {"text": "x"})
        self.tokens = [
            *TOKENS[:256],
            b"[" * 5000,
            b'{"a":' * 5000,
            b'"F32"',
            b'"BF16"',
            b"1e999",
            b"18446744073709551615",
        ]
        self.tokens += [b"[0,4]", b"\\ud800", b"-1", b"null", b'"' + b"x" * 5000 + b'"']

    def make(self, random: random.Random) -> bytes:
        data = damage(self.whole, random, self.tokens)
        if random.random() < 0.8:  # with the header's length as it is
            size = struct.unpack("<Q", self.whole[:8])[0] + len(data) - len(self.whole)
            data = struct.pack("<Q", max(size, 0)) + data[8:]
        return data

    def load(self, data: bytes) -> None:
        tensors_format.load(data)


FORMATS: dict[str, Callable[[], Zip | Legacy | Safetensors]] = {
    "zip": Zip,
    "legacy": Legacy,
    "safetensors": Safetensors,
}


def fuzz(name: str, seed: int, count: int) -> tuple[Counter[str], float]:
    """What became of so many damaged files, and the seconds of the slowest. Raises what load() must not raise."""
    torch.manual_seed(0)
    subject = FORMATS[name]()
    refusals = getattr(subject, "refusals", REFUSALS)
    found: Counter[str] = Counter()
    slowest = 0.0
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for i in range(count):
            data = subject.make(random.Random(f"{name} {seed} {i}"))
            message, start = "", time.process_time()
            try:
                subject.load(data)
                found["loaded"] += 1
            except refusals as error:
                found[type(error).__name__] += 1
                message = str(error)
            except BaseException as error:
                error.add_note(f"file {i} of {name}, seed {seed}")
                raise
            took = time.process_time() - start
            if took > max(slowest, 0.5):
                print(f"file {i} of {name}, seed {seed}: {took:.2f} s", flush=True)
            slowest = max(slowest, took)
            assert len(message) < 3000 or name == "safetensors", (name, seed, i)  # which has its library's messages
    return found, slowest


if __name__ == "__main__":
    print(sys.argv[1:], *fuzz(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
