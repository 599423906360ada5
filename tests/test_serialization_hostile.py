"""minigrad.serialization against files that none should believe: hostile pickles, odd archives, damage."""

import contextlib
import io
import os
import pickle
import random
import struct
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from checkpoints import (
    OURS,
    REFUSALS,
    THEIRS,
    archive,
    checkpoint,
    damage,
    describe,
    g,
    number,
    numbers,
    opened,
    reduce,
    sample,
    storage,
    tensor,
    text,
)
from hypothesis import given
from hypothesis import strategies as st

import minigrad
from minigrad import nn
from minigrad.serialization import load

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
    "new object": (g("collections.OrderedDict") + b")\x81", pickle.UnpicklingError, "a new object"),
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
    "a large tensor": (reduce("torch.Tensor", number(10**12)), pickle.UnpicklingError, "a call of"),
    "a call of a dtype": (reduce("torch.float32", number(1)), pickle.UnpicklingError, "a call of"),
    "a call of a result": (reduce("builtins.set", b"]") + b")R", pickle.UnpicklingError, "a call of"),
    "the set of a tensor": (reduce("builtins.set", HUGE), pickle.UnpicklingError, "Tensor"),
    "the shape of a tensor": (reduce("torch.Size", HUGE), pickle.UnpicklingError, "Tensor"),
    "a decompressor": (reduce("_codecs.encode", text("x"), text("bz2")), pickle.UnpicklingError, "bz2"),
    "deep key": (b"})" + b"\x85" * 300_000 + b"Ns", pickle.UnpicklingError, "too deep"),
    "deep item": (reduce("builtins.set", b"](" + b")" + b"\x85" * 300_000 + b"e"), pickle.UnpicklingError, "too deep"),
    "deep shape": (reduce("torch.Size", b")" + b"\x85" * 300_000), pickle.UnpicklingError, "too deep"),
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


@contextlib.contextmanager
def memory(limit):
    """At most `limit` bytes are taken at a time: what a file claims is not believed before it is there."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


class TestHostile:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_pickles(self, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        program, error, named = HOSTILE[name]
        file = io.BytesIO(checkpoint(b"\x80\x02" + program + b"."))
        with memory(2**25):
            if error is None:  # harmless as it is
                load(file)
            else:
                with pytest.raises(error) as raised:
                    load(file)
                assert type(raised.value) is error
                assert named in str(raised.value)
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
        with pytest.raises(pickle.UnpicklingError, match=r"weights_only=False.*test_serialization_hostile\.make_whole"):
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
        with memory(2**20), pytest.raises(RuntimeError, match="compressed"):
            load(io.BytesIO(data))

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


OLD = THEIRS.dump([torch.arange(6.0), torch.arange(3), {"n": 1.5}], _use_new_zipfile_serialization=False)


class TestDamageOfTheOldFormat:
    """It has no checksums: what is cut off is noticed, and nothing else is done than loading numbers or raising."""

    def test_of_every_length(self):
        expected = describe(load(io.BytesIO(OLD)))
        assert all(outcome(OLD[:end], expected) for end in range(len(OLD)))

    @given(seed=st.integers(0, 2**32))
    def test_loads_or_raises(self, seed):
        rng = random.Random(seed)
        for _ in range(5):
            try:
                load(io.BytesIO(damage(OLD, rng)))
            except REFUSALS as error:
                assert str(error)  # noqa: PT017

    @pytest.mark.parametrize(
        ("old", "new", "named"),
        [
            (b"M\xe9\x03.\x80\x02}", b"M\xe8\x03.\x80\x02}", "1000"),
            (b"K\x06N", b"K\x07N", "storage"),
            (struct.pack("<q", 6), struct.pack("<q", 5), "another size"),
            (b"K\x06N", b"J\xff\xff\xff\x7fN", "there are no 8589934588 bytes"),
            (b"K\x06N", b"J\xff\xff\xff\xffN", "there are no -4 bytes"),
            (b"K\x06N", b"K\x06K\x05", "persistent"),
        ],
    )
    def test_contradictions(self, old, new, named):
        assert OLD.count(old) >= 1
        with pytest.raises(REFUSALS, match=named):
            load(io.BytesIO(OLD.replace(old, new)))

    def test_what_is_missing_is_not_made_up(self):
        data = OURS.dump([minigrad.arange(3), minigrad.arange(4)], _use_new_zipfile_serialization=False)
        shorter = data[:-8].replace(struct.pack("<q", 4) + bytes(8), struct.pack("<q", 3) + bytes(8))
        fewer = data[:-40].replace(pickle.dumps(["0", "1"], 2), pickle.dumps(["0"], 2))
        for damaged in (shorter, fewer):
            assert len(damaged) < len(data) - 7
            with pytest.raises(RuntimeError, match="damaged"):
                load(io.BytesIO(damaged))
