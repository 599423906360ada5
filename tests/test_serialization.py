"""minigrad.serialization against PyTorch: files that each reads of the other, and files that none should believe."""

import io
import os
import pickle
import random
import stat
import struct
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import DTYPES, SEEDS, Domain, fill, shapes

import minigrad
from minigrad import nn
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
        array = x.detach().numpy()
        owner = array
        while isinstance(x, minigrad.Tensor) and isinstance(owner.base, np.ndarray):
            owner = owner.base
        if isinstance(x, torch.Tensor):
            size, place = x.untyped_storage().nbytes(), x.untyped_storage().data_ptr()
        else:
            size, place = owner.nbytes, owner.__array_interface__["data"][0]
        return (
            ("shared as", self.number("tensor", id(x), x), self.number("storage", place, x) if size else None),
            (str(x.dtype), tuple(x.shape), x.stride(), x.storage_offset(), size, x.requires_grad),
            (array.tobytes(), sorted(x.__dict__.items())),
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


class TestRoundTrips:
    @given(make=objects())
    @BOTH
    def test_any_object(self, writer, reader, make):
        made = make(writer.T)
        assert describe(reader.load(writer.dump(made))) == describe(made)

    @given(make=objects())
    @example(make=lambda T: {k: x for k, x in sample(T).items() if k != "device"})  # whose text PyTorch writes anew
    def test_pytorch_would_have_written_the_same_bytes(self, make):
        ours = OURS.dump(make(minigrad))
        assert anonymous(THEIRS.dump(THEIRS.load(ours))) == anonymous(ours)
        theirs = THEIRS.dump(make(torch))
        assert anonymous(OURS.dump(OURS.load(theirs))) == anonymous(theirs)

    @BOTH
    def test_sample(self, writer, reader):
        made = sample(writer.T)
        assert describe(reader.load(writer.dump(made))) == describe(made)

    @pytest.mark.parametrize("name", ["model.pt", "a.b.pth", "checkpoint", "modèle.pt", ".hidden"])
    @BOTH
    def test_paths(self, writer, reader, name, tmp_path):
        path = tmp_path / name
        if writer is THEIRS and name == ".hidden":
            pytest.skip("PyTorch refuses the name")
        for f in (path, str(path)):
            writer.save({"x": writer.T.ones(3)}, f)
            for g in (path, str(path)):
                assert reader.read(g)["x"].tolist() == [1, 1, 1]
            with open(path, "rb") as file:
                assert reader.read(file)["x"].tolist() == [1, 1, 1]
        assert os.listdir(tmp_path) == [name]

    def test_the_folder_in_the_archive_is_named_after_the_file(self, tmp_path):
        for name in ("model.pt", "a.b.pth", "checkpoint"):
            save([1], tmp_path / name)
            ours = zipfile.ZipFile(tmp_path / name).namelist()
            torch.save([1], tmp_path / name)
            assert zipfile.ZipFile(tmp_path / name).namelist() == ours

    def test_writes_to_a_file_that_cannot_seek(self):
        class Pipe:
            data, flushed = b"", False

            def write(self, part):
                self.data += bytes(part)

            def flush(self):
                self.flushed = True

        pipe, made = Pipe(), sample(minigrad)
        save(made, pipe)
        assert pipe.flushed
        assert pipe.data == OURS.dump(made)

    def test_a_file_within_a_file(self):
        data = OURS.dump([minigrad.ones(3)])
        file = io.BytesIO(b"before" + data)
        file.seek(6)
        assert load(file)[0].tolist() == [1, 1, 1]
        assert load(io.BytesIO(data + b"after"))[0].tolist() == [1, 1, 1]

    def test_loaded_tensors_share_memory_and_the_count_of_writes(self):
        x = minigrad.arange(6.0)
        first, second, whole = load(io.BytesIO(OURS.dump([x[:3], x[3:], x])))
        first[0] = 7.0
        second.mul_(2)
        assert whole.tolist() == [7, 1, 2, 6, 8, 10]
        assert whole._version == 2

    def test_the_gradient_stays_behind(self):
        for engine in (OURS, THEIRS):
            x = engine.T.ones(2, requires_grad=True)
            (x * x).sum().backward()
            loaded = load(io.BytesIO(engine.dump([x, x * 2])))
            assert [(t.requires_grad, t.is_leaf, t.grad) for t in loaded] == [(True, True, None)] * 2

    @BOTH
    def test_state_dicts_load_into_modules(self, writer, reader):
        model = writer.T.nn.Sequential(writer.T.nn.Linear(3, 4), writer.T.nn.Tanh(), writer.T.nn.Linear(4, 2))
        twin = reader.T.nn.Sequential(reader.T.nn.Linear(3, 4), reader.T.nn.Tanh(), reader.T.nn.Linear(4, 2))
        state = reader.load(writer.dump(model.state_dict()))
        assert describe(state) == describe(model.state_dict())
        twin.load_state_dict(state)
        for ours, theirs in zip(twin.parameters(), model.parameters(), strict=True):
            assert ours.tolist() == theirs.tolist()

    @BOTH
    def test_optimizer_and_scheduler_states(self, writer, reader):
        adam = {"step": writer.T.tensor(1.0), "exp_avg": writer.T.ones(3), "exp_avg_sq": writer.T.ones(3)}
        group = {"lr": 0.1, "betas": (0.9, 0.999), "foreach": None, "amsgrad": False, "params": [0, 1]}
        made = [
            {"state": {0: adam, 1: {}}, "param_groups": [group]},
            {"milestones": Counter([3, 5]), "_last_lr": [0.1]},
        ]
        assert describe(reader.load(writer.dump(made))) == describe(made)

    @pytest.mark.parametrize(
        ("dtype", "name"),
        [(getattr(torch, n), n) for n in ("bfloat16", "complex64", "complex128", "uint16", "uint64", "float8_e5m2")],
    )
    def test_a_dtype_that_minigrad_lacks_is_named(self, dtype, name):
        for made in (torch.ones(2).to(dtype), dtype):
            for weights_only in (True, False):
                with pytest.raises(pickle.UnpicklingError, match=f"no tensors of {name}:"):
                    load(io.BytesIO(THEIRS.dump([made])), weights_only=weights_only)

    def test_both_byte_orders(self):
        records = dict(opened(OURS.dump([minigrad.arange(3), minigrad.arange(3.0)])))
        for order in ("little", "big"):
            swapped = order != sys.byteorder
            for key, dtype in (("data/0", "i8"), ("data/1", "f4")):
                values = np.arange(3).astype(dtype)
                records[key] = (values.byteswap() if swapped else values).tobytes()
            data = archive(records | {"byteorder": order.encode()})
            assert describe(load(io.BytesIO(data))) == describe(torch.load(io.BytesIO(data)))

    def test_memory_that_arrays_own_in_many_ways(self):
        buffer = np.arange(12, dtype=np.float32)
        arrays = [
            np.asfortranarray(np.ones((3, 2))),
            np.ones((4, 3, 2)).transpose(1, 2, 0),
            np.frombuffer(bytearray(16), np.int32),
            np.frombuffer(bytearray(16), np.uint8)[:8].view(np.int32),
            buffer,
            np.lib.stride_tricks.as_strided(buffer, (3, 2), (8, 4)),
        ]
        made = [minigrad.from_numpy(a) for a in arrays]
        for loaded in (load(io.BytesIO(OURS.dump(made))), torch.load(io.BytesIO(OURS.dump(made)))):
            for x, array in zip(loaded, arrays, strict=True):
                assert x.tolist() == array.tolist()
                assert x.stride() == tuple(s // array.itemsize for s in array.strides)
            assert loaded[-1].data_ptr() == loaded[-2].data_ptr()

    def test_many_records(self):
        made = [minigrad.full((1,), i) for i in range(300)]
        assert [int(x) for x in torch.load(io.BytesIO(OURS.dump(made)))] == list(range(300))

    @pytest.mark.skipif(not DEEP, reason="writes 9 GB")
    def test_more_than_four_gigabytes(self, tmp_path):
        made = [np.zeros(2**32 + 5, np.uint8), np.arange(3), np.arange(5)]
        made[0][-1] = 7
        save([minigrad.from_numpy(x) for x in made], tmp_path / "x.pt")
        torch.save([torch.from_numpy(x) for x in made], tmp_path / "theirs.pt")
        infos = [zipfile.ZipFile(tmp_path / name).infolist() for name in ("x.pt", "theirs.pt")]
        assert infos[0][-2].header_offset > 2**32
        for loaded in (torch.load(tmp_path / "x.pt", mmap=True), load(tmp_path / "theirs.pt")):
            assert all(np.array_equal(x.numpy(), y) for x, y in zip(loaded, made, strict=True))

    def test_without_pytorch(self, tmp_path):
        code = f"""if True:
            import sys
            sys.modules["torch"] = None
            import minigrad
            from minigrad.serialization import load, save
            x = minigrad.nn.Linear(2, 1).state_dict()
            save(x, {str(tmp_path / "x.pt")!r})
            assert load({str(tmp_path / "x.pt")!r})["weight"].tolist() == x["weight"].tolist()
        """
        subprocess.run([sys.executable, "-c", code], check=True)
        assert torch.load(tmp_path / "x.pt")["weight"].shape == (1, 2)


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


HUGE = tensor((10**12,), (0,))  # a tensor of 24 bytes that counts a million million elements
HOSTILE = {  # name: (pickle, type of the error, what its message must name)
    "system": (reduce("os.system", text("touch PWNED")), pickle.UnpicklingError, "os.system"),
    "posix": (reduce("posix.system", text("touch PWNED")), pickle.UnpicklingError, "posix.system"),
    "eval": (reduce("builtins.eval", text("1")), pickle.UnpicklingError, "builtins.eval"),
    "python 2's eval": (reduce("__builtin__.eval", text("1")), pickle.UnpicklingError, "__builtin__.eval"),
    "getattr": (reduce("builtins.getattr", text("a"), text("b")), pickle.UnpicklingError, "builtins.getattr"),
    "import": (g("antigravity.fly"), pickle.UnpicklingError, "antigravity.fly"),
    "numpy": (g("numpy._core.multiarray.scalar"), pickle.UnpicklingError, "numpy._core.multiarray.scalar"),
    "minigrad": (g("minigrad.serialization.os.system"), pickle.UnpicklingError, "minigrad.serialization.os.system"),
    "dots": (g("torch.Size.__class__"), pickle.UnpicklingError, "torch.Size.__class__"),
    "torch's own": (g("torch.load"), pickle.UnpicklingError, "torch.load"),
    "a module of torch's": (g("torch.nn.modules.linear.Linear"), pickle.UnpicklingError, "state_dict"),
    "new object": (g("collections.OrderedDict") + b")\x81", pickle.UnpicklingError, "opcode"),
    "instance": (b"(icollections\nOrderedDict\n", pickle.UnpicklingError, "opcode"),
    "object": (b"(" + g("collections.OrderedDict") + b"o", pickle.UnpicklingError, "opcode"),
    "extension": (b"\x82\x01", pickle.UnpicklingError, "opcode"),
    "global from the stack": (text("os") + text("system") + b"\x93", pickle.UnpicklingError, "opcode"),
    "text persistent id": (b"Pname\n", pickle.UnpicklingError, "opcode"),
    "attributes of a class": (
        g("torch.device") + b"}" + text("type") + text("x") + b"sb",
        pickle.UnpicklingError,
        "change",
    ),
    "attributes of a function": (
        g("torch._utils._rebuild_tensor_v2") + b"}" + text("__doc__") + text("x") + b"sb",
        pickle.UnpicklingError,
        "change",
    ),
    "attributes of a tensor": (tensor() + b"}" + text("_array") + text("x") + b"sb", pickle.UnpicklingError, "change"),
    "item of a tensor": (HUGE + b"N" + number(1) + b"s", pickle.UnpicklingError, "change"),
    "append to a set": (b"\x8f" + number(1) + b"a", pickle.UnpicklingError, "change"),
    "the number of a memo": (b"Nr" + struct.pack("<I", 2**31 - 1), None, None),
    "a large bytearray": (reduce("builtins.bytearray", number(10**12)), pickle.UnpicklingError, "bytearray"),
    "large bytes": (reduce("builtins.bytes", number(10**12)), pickle.UnpicklingError, "bytes"),
    "a large tensor": (reduce("torch.Tensor", number(10**12)), pickle.UnpicklingError, "malformed"),
    "the set of a tensor": (reduce("builtins.set", HUGE), pickle.UnpicklingError, "Tensor"),
    "the shape of a tensor": (reduce("torch.Size", HUGE), pickle.UnpicklingError, "Tensor"),
    "a decompressor": (reduce("_codecs.encode", text("x"), text("bz2")), pickle.UnpicklingError, "bz2"),
    "deep key": (b"})" + b"\x85" * 300_000 + b"Ns", pickle.UnpicklingError, "RecursionError"),
    "deep item": (reduce("builtins.set", b"](" + b")" + b"\x85" * 300_000 + b"e"), pickle.UnpicklingError, "Recursion"),
    "deep shape": (reduce("torch.Size", b")" + b"\x85" * 300_000), None, None),
    "nothing": (b"", pickle.UnpicklingError, "malformed"),
    "no value": (b".", pickle.UnpicklingError, "IndexError"),
    "no memo": (b"h\x05", pickle.UnpicklingError, "5"),
    "long text": (b"X" + struct.pack("<I", 2**31), pickle.UnpicklingError, "malformed"),
    "not a storage": (storage(word="module"), pickle.UnpicklingError, "module"),
    "a dtype as storage": (storage("torch.float32"), pickle.UnpicklingError, "storage"),
    "short id": (b"(" + text("storage") + b"tQ", pickle.UnpicklingError, "malformed"),
    "a storage that is missing": (storage(key="7"), RuntimeError, "data/7"),
    "a storage elsewhere": (storage(key="../../etc/passwd"), RuntimeError, "etc/passwd"),
    "a storage that is longer": (storage(numel=7), RuntimeError, "data/0"),
    "a storage that is shorter": (storage(numel=5), RuntimeError, "data/0"),
    "a storage of negative size": (storage(numel=-6), RuntimeError, "data/0"),
    "a storage of other dtype": (storage("torch.DoubleStorage"), RuntimeError, "data/0"),
    "a storage of two dtypes": (storage() + b"0" + storage("torch.IntStorage"), pickle.UnpicklingError, "opcode"),
    "two dtypes": (storage() + storage("torch.IntStorage") + b"\x86", RuntimeError, "torch.int32"),
    "elsewhere": (storage(location="cuda:0"), RuntimeError, "map_location"),
    "nowhere": (storage(location="moon"), RuntimeError, "moon"),
    "too large": (tensor((7,)), RuntimeError, "shape"),
    "too far": (tensor((6,), offset=1), RuntimeError, "shape"),
    "too wide": (tensor((2, 2), (4, 2)), RuntimeError, "shape"),
    "negative stride": (tensor((2,), (-1,), offset=3), RuntimeError, "shape"),
    "negative offset": (tensor((2,), (1,), offset=-1), RuntimeError, "shape"),
    "negative size": (tensor((-2,), (1,)), RuntimeError, "shape"),
    "too many strides": (tensor((2,), (1, 1)), pickle.UnpicklingError, "zip"),
    "too many dims": (tensor((1,) * 99, (1,) * 99), pickle.UnpicklingError, "malformed"),
    "wrapping around": (tensor((2**62, 2**62), (0, 0)), pickle.UnpicklingError, "malformed"),
    "wrapping strides": (tensor((2, 2**62), (0, 2**62)), RuntimeError, "shape"),
    "gradient of integers": (
        tensor(memory=storage("torch.IntStorage"), rest=b"\x88N"),
        RuntimeError,
        "floating",
    ),
    "conjugate": (tensor(rest=b"\x89N}" + text("neg") + b"\x88s"), pickle.UnpicklingError, "neg"),
    "a parameter of text": (
        reduce("torch._utils._rebuild_parameter", text("x"), b"\x88", b"N"),
        pickle.UnpicklingError,
        "Parameter",
    ),
    "another constructor": (
        reduce("torch._tensor._rebuild_from_type_v2", g("builtins.complex"), g("torch.Tensor"), b")", b"}"),
        pickle.UnpicklingError,
        "made by",
    ),
    "another type": (
        reduce(
            "torch._tensor._rebuild_from_type_v2",
            g("torch._utils._rebuild_tensor_v2"),
            g("torch.device"),
            b"(" + storage() + number(0) + numbers(6) + numbers(1) + b"\x89Nt",
            b"}",
        ),
        pickle.UnpicklingError,
        "malformed",
    ),
    "v3": (
        tensor(name="torch._utils._rebuild_tensor_v3", rest=b"\x89N" + g("torch.uint32")),
        pickle.UnpicklingError,
        "uint32",
    ),
}


class TestHostile:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_pickles(self, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        program, error, named = HOSTILE[name]
        file = io.BytesIO(checkpoint(b"\x80\x02" + program + b"."))
        start = time.perf_counter()
        if error is None:  # harmless as it is
            load(file)
        else:
            with pytest.raises(error) as raised:
                load(file)
            assert type(raised.value) is error
            assert named in str(raised.value)
        assert time.perf_counter() - start < 5
        assert os.listdir(tmp_path) == []
        assert "antigravity" not in sys.modules

    def test_what_the_pickles_are_made_of_is_right(self):
        assert load(io.BytesIO(checkpoint(b"\x80\x02" + tensor((2, 3), (3, 1)) + b"."))).tolist() == [
            [0, 1, 2],
            [3, 4, 5],
        ]
        assert load(io.BytesIO(checkpoint(b"\x80\x02" + HUGE + b"."))).shape == (10**12,)

    def test_what_code_would_run_is_said_and_weights_only_false_runs_it(self):
        data = OURS.dump(Whole(3))
        with pytest.raises(pickle.UnpicklingError, match=r"weights_only=False.*test_serialization\.make_whole"):
            load(io.BytesIO(data))
        with pytest.raises(pickle.UnpicklingError, match="make_whole"):
            load(io.BytesIO(data), weights_only=None)
        assert load(io.BytesIO(data), weights_only=False).n == 3

    def test_whole_modules(self):
        model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        data = OURS.dump({"model": model, "again": model[0].weight})
        with pytest.raises(pickle.UnpicklingError, match="minigrad"):
            load(io.BytesIO(data))
        loaded = load(io.BytesIO(data), weights_only=False, encoding="ascii")
        assert repr(loaded["model"]) == repr(model)
        x = minigrad.ones(2)
        assert loaded["model"](x).tolist() == model(x).tolist()
        assert loaded["again"] is loaded["model"][0].weight
        for weights_only in (True, False):
            with pytest.raises(pickle.UnpicklingError, match=r"torch\.nn\.modules\.linear\.Linear.*state_dict"):
                load(io.BytesIO(THEIRS.dump(torch.nn.Linear(1, 1))), weights_only=weights_only)

    def test_subclasses(self):
        x = minigrad.ones(2)
        made = minigrad.tensor([1.0, 2.0])
        made.__class__ = Special
        made.note = "kept"
        loaded = load(io.BytesIO(OURS.dump([made, x])), weights_only=False)
        assert (type(loaded[0]), loaded[0].note, loaded[0].tolist()) == (Special, "kept", [1, 2])
        with pytest.raises(pickle.UnpicklingError, match="Special"):
            load(io.BytesIO(OURS.dump(made)))

    @pytest.mark.parametrize(
        "change",
        [
            lambda records: archive(records, compression=zipfile.ZIP_DEFLATED),
            lambda records: archive(records, folder="../"),
            lambda records: archive(records, folder="/"),
            lambda records: archive(records, folder=""),
            lambda records: archive(records, folder="a\\..\\"),
            lambda records: archive(records | {"../../evil": b"x"}),
            lambda records: archive(records | {"data/..\\evil": b"x"}),
            lambda records: archive({k: v for k, v in records.items() if k != "data.pkl"}),
            lambda records: archive({k: v for k, v in records.items() if k != "version"}),
            lambda records: archive(records | {"version": b"11"}),
            lambda records: archive(records | {"version": b"x"}),
            lambda records: archive(records | {"byteorder": b"middle"}),
            lambda records: archive(records | {"constants.pkl": b""}),
            lambda records: archive(records) + archive(records),
            lambda records: archive(records)[:-1],
            lambda records: b"PK\3\4",
            lambda records: twice(records),
            lambda records: commented(records),
        ],
    )
    def test_archives(self, change):
        records = dict(opened(OURS.dump(sample(minigrad))))
        assert describe(load(io.BytesIO(archive(records)))) == describe(sample_of(records))
        with pytest.raises(RuntimeError, match="damaged or cut short, and nothing was loaded"):
            load(io.BytesIO(change(records)))

    def test_a_bomb_is_not_unpacked(self):
        records = dict(opened(OURS.dump([minigrad.ones(3)]))) | {"data/9": bytes(10**7)}
        data = archive(records, compression=zipfile.ZIP_DEFLATED)
        assert len(data) < 20_000
        start = time.perf_counter()
        with pytest.raises(RuntimeError, match="compressed"):
            load(io.BytesIO(data))
        assert time.perf_counter() - start < 0.1

    def test_claimed_sizes_are_not_believed(self, tmp_path):
        data = bytearray(SMALL)
        entry = data.rindex(b"PK\1\2")
        data[entry + 20 : entry + 28] = struct.pack("<LL", 0xFFFFFFF0, 0xFFFFFFF0)
        (tmp_path / "x.pt").write_bytes(data)
        with pytest.raises(RuntimeError, match="bytes of records"):
            load(tmp_path / "x.pt")

    def test_a_checkpoint_inside_a_tensor_is_not_taken_for_the_whole(self):
        inner = OURS.dump([minigrad.ones(3)])
        outer = OURS.dump([minigrad.from_numpy(np.frombuffer(bytearray(inner), np.uint8))])
        end = outer.index(inner) + len(inner)
        for cut in range(end, end + 40):
            with pytest.raises(RuntimeError, match="damaged"):
                load(io.BytesIO(outer[:cut]))

    def test_other_formats(self, tmp_path):
        with pytest.raises(pickle.UnpicklingError, match=r"before 1\.6"):
            load(io.BytesIO(THEIRS.dump([torch.ones(1)], _use_new_zipfile_serialization=False)))
        with pytest.raises(pickle.UnpicklingError, match="no checkpoint"):
            load(io.BytesIO(b"a text file"))
        with pytest.raises(EOFError):
            load(io.BytesIO())
        torchscript = archive({"data.pkl": b"", "version": b"3", "constants.pkl": b""})
        with pytest.raises(RuntimeError, match="TorchScript"):
            load(io.BytesIO(torchscript))


class Special(minigrad.Tensor):
    """A user's class of tensors."""


class Whole:
    """What can't be made without running code."""

    def __init__(self, n):
        self.n = n

    def __reduce__(self):
        return make_whole, (self.n,)


def make_whole(n):
    return Whole(n)


def sample_of(records):
    return torch.load(io.BytesIO(archive(records)))


def twice(records):
    data = archive(records | {"byteordes": b"big"})
    return data.replace(b"byteordes", b"byteorder")


def commented(records):
    """A length of a comment that hides the entry of the byte order: wrong numbers, on a machine of the other order."""
    data, name = archive(records), b"archive/byteorder"
    at = data.rindex(b"PK\1\2", 0, data.rindex(name) - 46)
    hidden = struct.pack("<H", 46 + len(name))
    return data[: at + 32] + hidden + data[at + 34 :]


# Damage: an error, or what was saved. A few dozen kinds of files would do; Hypothesis draws the seeds.

FILES = {name: engine.dump(sample(engine.T)) for name, engine in (("ours", OURS), ("theirs", THEIRS))}
SMALL = OURS.dump([minigrad.arange(6).reshape(2, 3).T, {"n": 1.5}])


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


def outcome(data, expected):
    """Whether a damaged file was refused; what is loaded from it must be what was saved."""
    try:
        loaded = load(io.BytesIO(data))
    except REFUSALS as error:
        assert str(error)  # noqa: PT017
        return True
    assert describe(loaded) == expected
    return False


class TestDamage:
    @given(seed=st.integers(0, 2**32))
    @pytest.mark.parametrize("name", FILES)
    def test_is_noticed_or_harmless(self, name, seed):
        rng, expected = random.Random(seed), describe(load(io.BytesIO(FILES[name])))
        for _ in range(5):
            outcome(damage(FILES[name], rng), expected)

    def test_of_every_byte(self):
        expected = describe(load(io.BytesIO(SMALL)))
        refused = 0
        for place in range(len(SMALL)):
            data = bytearray(SMALL)
            data[place] ^= 1 << place % 8
            refused += outcome(data, expected)
        assert 0.4 * len(SMALL) < refused < 0.9 * len(SMALL)  # the rest is padding, and numbers that are there twice

    def test_of_every_length(self):
        expected = describe(load(io.BytesIO(SMALL)))
        assert all(outcome(SMALL[:end], expected) for end in range(len(SMALL)))

    def test_of_the_data_is_noticed_where_pytorch_reads_on(self):
        data = THEIRS.dump([torch.arange(6.0)])
        place = data.index(np.arange(6, dtype="f4").tobytes())
        damaged = bytearray(data)
        damaged[place + 5] ^= 1
        assert torch.load(io.BytesIO(damaged))[0].tolist() != list(range(6))
        with pytest.raises(RuntimeError, match=r"damaged.*data/0"):
            load(io.BytesIO(damaged))


# What a kill leaves behind. The processes are forked from a fresh one, which has no threads.

KILLED = """
import io, os, random, signal, sys, time
import minigrad
from minigrad import serialization
from minigrad.serialization import load, save

path, times = sys.argv[1], int(sys.argv[2])

def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)

def made(step):
    return {"step": step, "x": minigrad.full((100_000,), step)}

def killed(work, seconds):
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(7)
    if seconds:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    loaded = load(path)
    assert loaded["x"].tolist() == [loaded["step"]] * 100_000
    return loaded["step"]

class Dying(io.FileIO):
    left = 0

    def write(self, part):
        if Dying.left == 0:
            super().write(part[: len(part) // 2])
            die()
        Dying.left -= 1
        return super().write(part)

def dying_at(step):  # of a save: each write, in the middle, and then fsync and replace, before and after
    def work():
        serialization.open = lambda name, mode: Dying(name, mode)
        Dying.left = step
        if step >= writes:
            function = (os.fsync, os.replace)[(step - writes) // 2]
            late = (step - writes) % 2
            setattr(os, function.__name__, lambda *args: late and function(*args) or die())
        save(made(1), path)
    return work

def forever():
    step = 2
    while True:
        save(made(step), path)
        step += 1

writes = 0

class Counting(io.BytesIO):
    def write(self, part):
        global writes
        writes += 1

save(made(0), Counting())
save(made(0), path)
left = [killed(dying_at(step), 0) for step in range(writes + 4)]
assert left == [0] * (writes + 3) + [1], left
rng = random.Random(0)
for _ in range(times):
    killed(forever, rng.uniform(0.001, 0.03))
"""


def broken(*args):
    raise OSError(28, "No space left on device")


class TestSaving:
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes as POSIX has them")
    def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new_one(self, tmp_path):
        subprocess.run([sys.executable, "-c", KILLED, tmp_path / "x.pt", str(100 if DEEP else 10)], check=True)

    def test_readers_never_see_a_part(self, tmp_path):
        path = tmp_path / "x.pt"
        save({"step": -1, "x": minigrad.full((100_000,), -1)}, path)
        stop = threading.Event()

        def write():
            step = 0
            while not stop.is_set():
                save({"step": step, "x": minigrad.full((100_000,), step)}, path)
                step += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(30):
                loaded = load(path)
                assert set(loaded["x"].tolist()) == {loaded["step"]}
        finally:
            stop.set()
            writer.join()

    @pytest.mark.parametrize("step", ["fsync", "replace"])
    def test_a_failure_leaves_the_old_file_and_no_other(self, step, tmp_path, monkeypatch):
        path = tmp_path / "x.pt"
        save([1], path)
        monkeypatch.setattr(os, step, broken)
        with pytest.raises(OSError, match="No space"):
            save([2], path)
        assert load(path) == [1]
        assert os.listdir(tmp_path) == ["x.pt"]

    def test_what_cannot_be_pickled_leaves_the_old_file(self, tmp_path):
        path = tmp_path / "x.pt"
        save([1], path)
        for bad in (lambda: 0, (i for i in ()), threading.Lock()):
            with pytest.raises((pickle.PicklingError, TypeError)):
                save([bad], path)
        assert load(path) == [1]
        assert os.listdir(tmp_path) == ["x.pt"]

    def test_permissions_links_and_devices_stay(self, tmp_path):
        path, link = tmp_path / "x.pt", tmp_path / "link.pt"
        old = os.umask(0o027)
        try:
            save([1], path)
        finally:
            os.umask(old)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        link.symlink_to("x.pt")
        save([2], link)
        assert link.is_symlink()
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
        assert load(path) == [2]
        assert sorted(os.listdir(tmp_path)) == ["link.pt", "x.pt"]

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a named pipe")
    def test_what_is_no_file_is_written_to(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        received = []
        reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_bytes()), daemon=True)
        reader.start()
        save([3], tmp_path / "pipe")
        reader.join(5)
        assert load(io.BytesIO(received[0])) == [3]
        assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)

    def test_memory_of_two_dtypes(self):
        x = np.zeros(4, np.float32)
        with pytest.raises(RuntimeError, match="view the same data as different types"):
            save([minigrad.from_numpy(x), minigrad.from_numpy(x.view(np.int32))], io.BytesIO())
        fields = np.zeros(3, [("a", "f4"), ("b", "i1")])
        with pytest.raises(RuntimeError, match="clone"):
            save(minigrad.from_numpy(fields["a"]), io.BytesIO())


# Errors of the arguments: the same type as PyTorch's.


@pytest.mark.parametrize(
    "call",
    [
        lambda E, path: E.save([1], path / "missing" / "x.pt"),
        lambda E, path: E.save([1], path),
        lambda E, path: E.save([1], 5),
        lambda E, path: E.save([1], None),
        lambda E, path: E.read(path / "missing.pt"),
        lambda E, path: E.read(path),
        lambda E, path: E.read(5),
        lambda E, path: E.load(b""),
        lambda E, path: E.load(E.dump([1])[:-30]),
        lambda E, path: E.load(E.dump([1]), mmap=True),
        lambda E, path: E.load(E.dump([1]), weights_only=True, pickle_module=pickle),
        lambda E, path: E.load(E.dump([E.T.ones(1)]), map_location="cuda"),
        lambda E, path: E.load(E.dump([E.T.ones(1)]), map_location=E.T.device("cuda", 0)),
        lambda E, path: E.load(E.dump([E.T.ones(1)]), map_location={"cpu": "cuda:0"}),
        lambda E, path: E.load(E.dump([E.T.ones(1)]), map_location="moon"),
        lambda E, path: E.load(E.dump([slice(1)])),
        lambda E, path: E.load(E.dump([np.float64(1)])),
    ],
)
def test_errors(call, tmp_path):
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        call(THEIRS, tmp_path)
    with pytest.raises(theirs.type) as ours:
        call(OURS, tmp_path)
    assert ours.type is theirs.type


@pytest.mark.parametrize(
    "place",
    [None, "cpu", minigrad.device("cpu"), {"cuda:0": "cpu"}, lambda storage, location: storage, lambda s, l: None],
)
def test_map_location(place):
    assert load(io.BytesIO(OURS.dump([minigrad.ones(2)])), place)[0].tolist() == [1, 1]


def test_storages_of_another_device_can_be_mapped():
    data = checkpoint(b"\x80\x02" + tensor(memory=storage(location="cuda:0")) + b".")
    for place in ("cpu", {"cuda:0": "cpu"}, lambda storage, location: storage if location == "cuda:0" else None):
        assert load(io.BytesIO(data), map_location=place).tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(RuntimeError, match="map_location"):
        load(io.BytesIO(data))


def test_arguments_that_minigrad_lacks(tmp_path):
    for params in ({"pickle_module": zipfile}, {"_use_new_zipfile_serialization": False}):
        with pytest.raises(RuntimeError, match="leave"):
            save([1], tmp_path / "x.pt", **params)
    assert os.listdir(tmp_path) == []


def test_other_protocols_of_pickle_are_for_weights_only_false():
    made = sample(minigrad)
    data = OURS.dump(made, pickle_protocol=4)
    assert describe(load(io.BytesIO(data), weights_only=False, pickle_module=pickle)) == describe(made)
    with pytest.raises(pickle.UnpicklingError, match="opcode"):
        load(io.BytesIO(data))
