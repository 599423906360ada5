"""Checkpoints for the tests of minigrad.serialization: made, compared, written by hand, and damaged."""

import io
import os
import pickle
import struct
import zipfile
import zlib
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from strategies import DTYPES, SEEDS, Domain, fill, shapes

import minigrad
from minigrad.serialization import load, save

DEEP = "DEEP" in os.environ or os.environ.get("HYPOTHESIS_PROFILE") == "deep"
REFUSALS = (RuntimeError, pickle.UnpicklingError, EOFError)


class Engine:
    """PyTorch's names, or minigrad's, with what to bytes and from bytes."""

    def __init__(self, T, save, load):
        self.T = T
        self.save = save
        self.read = load

    def dump(self, obj, **params):
        file = io.BytesIO()
        self.save(obj, file, **params)
        return file.getvalue()

    def load(self, data, **params):
        return self.read(io.BytesIO(data), **params)


OURS, THEIRS = Engine(minigrad, save, load), Engine(torch, torch.save, torch.load)
BOTH = pytest.mark.parametrize(("writer", "reader"), [(OURS, OURS), (OURS, THEIRS), (THEIRS, OURS)])


# What is compared: everything that shows of an object, in either engine, as plain tuples.


class Describer:
    """An object as plain values; storages and tensors, which can be shared, as the number of their first appearance."""

    def __init__(self):
        self.numbers = {}
        self.kept = []  # so that no id is used twice

    def number(self, kind, key, kept):
        self.kept.append(kept)
        return self.numbers.setdefault((kind, key), len(self.numbers))

    def tensor(self, x):
        size, place = x.untyped_storage().nbytes(), x.untyped_storage().data_ptr()
        steps = x.stride() if x.numel() else None  # NumPy has other strides for arrays without elements
        return (
            ("shared as", self.number("tensor", id(x), x), self.number("storage", place, x) if size else None),
            (str(x.dtype), tuple(x.shape), steps, x.storage_offset(), size, x.requires_grad),
            (x.detach().numpy().tobytes(), sorted(x.__dict__.items())),
        )

    def __call__(self, x):
        kind = type(x).__name__
        if isinstance(x, (torch.Tensor, minigrad.Tensor)):
            return kind, *self.tensor(x)
        if isinstance(x, dict):
            return kind, [(self(k), self(v)) for k, v in x.items()], self(getattr(x, "_metadata", None))
        if isinstance(x, (list, tuple, set)):
            return kind, [self(item) for item in x]
        return kind, struct.pack("<d", x) if isinstance(x, float) else repr(x)


def describe(x):
    return Describer()(x)


# What is saved: functions of the engine, so that both can make the same thing.

VIEWS = (
    lambda x: x,
    lambda x: x.detach(),
    lambda x: x[1:] if x.ndim else x,
    lambda x: x[0] if x.ndim and len(x) else x,
    lambda x: x[..., ::2] if x.ndim else x,
    lambda x: x[..., 1:1] if x.ndim else x,
    lambda x: x.transpose(0, -1) if x.ndim else x,
    lambda x: x.reshape(-1),
    lambda x: x.expand(2, *x.shape),
    lambda x: x[None],
)
NUMBERS = st.booleans() | st.integers(-300, 300) | st.integers() | st.floats() | st.complex_numbers()
PLAIN = st.none() | NUMBERS | st.text(max_size=5) | st.binary(min_size=1, max_size=5) | st.just({7}) | st.just(())
KEYS = st.text(max_size=5) | st.integers(-3, 300) | st.tuples(st.integers(), st.text(max_size=2))


@st.composite
def objects(draw):
    """A function that makes a nest of containers, with tensors that share storages, in an engine."""
    pool = []
    for _ in range(draw(st.integers(1, 3))):
        dtype, shape = draw(st.sampled_from(DTYPES)), draw(shapes())
        values = fill(np.random.default_rng(draw(SEEDS)), shape, Domain(0.0, 8.0, kinks=()), True, ()).astype(dtype)
        kind = draw(st.sampled_from(("plain", "grad", "parameter", "named"))) if "float" in dtype else "plain"
        pool.append((values, kind))

    def tensors(T):
        made = []
        for values, kind in pool:
            x = T.from_numpy(values.copy())
            x = T.nn.Parameter(x, requires_grad=values.size % 2 == 0) if kind in ("parameter", "named") else x
            if kind == "named":
                x.note = "kept"
            made.append(x.requires_grad_() if kind == "grad" else x)
        return made

    place, view = st.integers(0, len(pool) - 1), st.sampled_from(VIEWS)
    of_engine = st.builds(lambda i, view: lambda T, made: view(made[i]), place, view) | st.sampled_from(
        [lambda T, made: T.float16, lambda T, made: T.bool, lambda T, made: made[0].shape, lambda T, made: made[-1]]
    )
    leaves = of_engine | PLAIN.map(lambda value: lambda T, made: value)
    nest = draw(
        st.recursive(
            leaves,
            lambda inner: (
                st.tuples(st.sampled_from((list, tuple)), st.lists(inner, max_size=4)).map(
                    lambda drawn: lambda T, made: drawn[0](f(T, made) for f in drawn[1])
                )
                | st.tuples(st.sampled_from((dict, OrderedDict)), st.dictionaries(KEYS, inner, max_size=4)).map(
                    lambda drawn: lambda T, made: drawn[0]((k, f(T, made)) for k, f in drawn[1].items())
                )
            ),
            max_leaves=8,
        )
    )
    return lambda T: nest(T, tensors(T))


def sample(T):
    """Some of everything: a model's state, views, dtypes, numbers."""
    x, noted = T.arange(24.0).reshape(4, 6), [T.ones(2), T.nn.Parameter(T.ones(2))]
    for tensor in noted:
        tensor.note = "kept"
    layers = OrderedDict([("hidden", T.nn.Linear(3, 4)), ("act", T.nn.ReLU()), ("out", T.nn.Linear(4, 1))])
    return {
        "model": T.nn.Sequential(layers).state_dict(),
        "tied": [x, x.T, x[1:, ::2], x[0].expand(3, 6), x],
        "parameter": T.nn.Parameter(T.ones(2, 2)),
        "leaf": T.ones(3, dtype=T.float64, requires_grad=True),
        "dtypes": [T.tensor([0, 1], dtype=getattr(T, dtype)) for dtype in DTYPES],
        "empty": T.zeros(0),
        "noted": noted,
        "scalar": T.tensor(3),
        "shape": x.shape,
        "about": ("text \N{SNOWMAN}", 1.5, -7, 2**80, None, True, 1j, b"bytes", bytearray(b"ab"), {3}, Counter("aab")),
        "device": T.device("cpu"),
        "dtype": T.float16,
    }


def opened(data):
    """The records of an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        for name in file.namelist():
            yield name.partition("/")[2], file.read(name)


def anonymous(data):
    """An archive whose serialization id, which is a hash of PyTorch's own, is blank."""
    serial = dict(opened(data))[".data/serialization_id"]
    assert len(serial) == 40
    assert data.count(serial) == 1
    return data.replace(serial, b" " * 40).replace(struct.pack("<L", zlib.crc32(serial)), b" " * 4)


def archive(records, folder="archive/", compression=zipfile.ZIP_STORED):
    """An archive of any records."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as made:
        for name, record in records.items():
            made.writestr(folder + name, record)
    return file.getvalue()


def checkpoint(program, **records):
    """A checkpoint with this pickle, whose tensors' storage, data/0, has 6 float32 elements."""
    plain = {
        "data.pkl": program,
        "version": b"3\n",
        "byteorder": b"little",
        "data/0": np.arange(6, dtype="f4").tobytes(),
    }
    return archive(plain | records)


def g(name):
    """The opcode that pushes a global."""
    module, _, name = name.rpartition(".")
    return f"c{module}\n{name}\n".encode()


def text(x):
    return b"X" + struct.pack("<I", len(x)) + x.encode()


def number(n):
    return b"\x8a\x09" + n.to_bytes(9, "little", signed=True)


def numbers(*values):
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(kind="torch.FloatStorage", key="0", numel=6, word="storage", location="cpu"):
    return b"(" + text(word) + g(kind) + text(key) + text(location) + number(numel) + b"tQ"


def tensor(size=(6,), stride=(1,), offset=0, memory=None, rest=b"\x89N", name="torch._utils._rebuild_tensor_v2"):
    args = (storage() if memory is None else memory) + number(offset) + numbers(*size) + numbers(*stride) + rest
    return g(name) + b"(" + args + b"tR"


def reduce(name, *args):
    return g(name) + b"(" + b"".join(args) + b"tR"


def damage(data, rng):
    """The bytes with one thing wrong, or several."""
    data = bytearray(data)
    at, length = rng.randrange(len(data)), rng.choice((1, 2, 4, 8, 64, 500))
    kind = rng.choice(("bit", "bit", "bits", "cut", "delete", "zero", "random", "repeat", "swap", "number", "end"))
    if kind == "bit":
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "bits":
        for _ in range(rng.randrange(2, 20)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del data[at:]
    elif kind == "delete":
        del data[at : at + length]
    elif kind == "zero":
        data[at : at + length] = bytes(len(data[at : at + length]))
    elif kind == "random":
        data[at : at + length] = rng.randbytes(len(data[at : at + length]))
    elif kind == "repeat":
        data[at:at] = data[at : at + length]
    elif kind == "swap":
        other = rng.randrange(len(data))
        data[at : at + length], data[other : other + length] = data[other : other + length], data[at : at + length]
    elif kind == "number":
        data[at : at + 4] = struct.pack("<I", rng.choice((0, 1, 2**31, 2**32 - 1, 2**16, rng.randrange(len(data)))))
    else:  # in the directory, which no checksum covers
        at = len(data) - rng.randrange(1, min(len(data), 1800))
        data[at] ^= 1 << rng.randrange(8)
    return bytes(data)
