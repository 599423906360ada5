"""minigrad.serialization against PyTorch: files that each reads of the other."""

import io
import os
import pickle
import re
import struct
import subprocess
import sys
import zipfile
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from checkpoints import (
    BOTH,
    DEEP,
    OURS,
    THEIRS,
    anonymous,
    archive,
    checkpoint,
    describe,
    g,
    objects,
    opened,
    sample,
    text,
)
from hypothesis import example, given

import minigrad
from minigrad.serialization import load, save


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
            for place in (path, str(path)):
                assert reader.read(place)["x"].tolist() == [1, 1, 1]
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
            buffer[3:9:2],
            np.lib.stride_tricks.as_strided(buffer, (3, 2), (8, 4)),
        ]
        ours, theirs = ([T.from_numpy(a) for a in arrays] for T in (minigrad, torch))
        assert describe(ours) == describe(theirs)
        for loaded in (load(io.BytesIO(OURS.dump(ours))), torch.load(io.BytesIO(OURS.dump(ours)))):
            assert describe(loaded) == describe(torch.load(io.BytesIO(THEIRS.dump(theirs))))

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

    @pytest.mark.parametrize("value", [b"", [b"", b"a"], bytearray(), set(), Counter(), {}, (), ""])
    @BOTH
    def test_nothing_in_a_container(self, writer, reader, value):
        assert reader.load(writer.dump([value])) == [value]

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

    @pytest.mark.parametrize("engine", ["torch", "minigrad"])
    def test_a_class_of_the_script(self, engine, tmp_path):
        script = f"""if True:
            import pickle
            import {engine} as torch

            class Net(torch.nn.Module):
                def __init__(self):
                    super().__init__()
                    self.layer = torch.nn.Linear(2, 1)
                    self.steps = 3

                def forward(self, x):
                    return self.layer(x) * self.steps

            net, x = Net(), torch.ones(1, 2)
            torch.save({{"model": net, "x": x}}, "net.pt")
            try:
                torch.load("net.pt")
            except pickle.UnpicklingError as error:
                assert "__main__.Net" in str(error)
            else:
                raise AssertionError
            loaded = torch.load("net.pt", weights_only=False)
            assert torch.equal(loaded["model"](x), net(x))
            torch.save(net.state_dict(), "state.pt")
            Net().load_state_dict(torch.load("state.pt"))
            del Net
            try:
                torch.load("net.pt", weights_only=False)
            except AttributeError as error:
                assert "Can't get attribute 'Net'" in str(error)
            else:
                raise AssertionError
        """
        (tmp_path / "script.py").write_text(script)
        subprocess.run([sys.executable, "script.py"], check=True, cwd=tmp_path)


class TestOldFormat:
    """The format of PyTorch before 1.6."""

    @given(make=objects())
    @BOTH
    def test_any_object(self, writer, reader, make):
        made = make(writer.T)
        data = writer.dump(made, _use_new_zipfile_serialization=False)
        assert describe(reader.load(data)) == describe(made)

    @BOTH
    def test_sample(self, writer, reader, tmp_path):
        made = sample(writer.T)
        writer.save(made, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
        for weights_only in (True, False):
            assert describe(reader.read(tmp_path / "x.pt", weights_only=weights_only)) == describe(made)

    def test_the_same_bytes(self):
        for made in (["text", {"a": 1}], [minigrad.arange(3.0)]):
            ours = OURS.dump(made, _use_new_zipfile_serialization=False)
            theirs = THEIRS.dump(THEIRS.load(ours), _use_new_zipfile_serialization=False)
            key = next(iter(set(re.findall(rb"\d{9,}", theirs))), b"0")  # an address, where minigrad counts
            short = theirs.replace(struct.pack("<I", len(key)) + key, struct.pack("<I", 1) + b"0")
            assert ours == short

    def test_whole_modules_are_for_weights_only_false(self):
        model = minigrad.nn.Linear(2, 1)
        data = OURS.dump(model, _use_new_zipfile_serialization=False)
        assert describe(OURS.load(data, weights_only=False).state_dict()) == describe(model.state_dict())
        with pytest.raises(pickle.UnpicklingError, match="weights_only=False"):
            OURS.load(data)

    def test_devices(self):
        data = OURS.dump([minigrad.ones(2)], _use_new_zipfile_serialization=False)
        data = data.replace(b"\3\0\0\0cpu", b"\6\0\0\0cuda:0")
        with pytest.raises(RuntimeError, match="map_location"):
            OURS.load(data)
        assert OURS.load(data, map_location="cpu")[0].tolist() == [1, 1]

    def test_the_other_byte_order(self):
        data = OURS.dump([minigrad.arange(3)], _use_new_zipfile_serialization=False)
        values, known = np.arange(3), (b"\x88", b"\x89")[sys.byteorder != "little"]
        name = b"little_endianq\2"
        swapped = data.replace(name + known, name + (b"\x88" if known == b"\x89" else b"\x89"))
        swapped = swapped.replace(values.tobytes(), values.byteswap().tobytes())
        assert swapped != data
        assert OURS.load(swapped)[0].tolist() == [0, 1, 2]


class Note:
    """A user's class, whose objects have attributes; or slots, and a method that sets the state."""

    def __init__(self, text):
        self.text = text


class Slotted:
    __slots__ = ("text",)

    def __getstate__(self):
        return self.text

    def __setstate__(self, text):
        self.text = text


class TestSafeGlobals:
    def noted(self):
        slotted = Slotted()
        slotted.text = "b"
        return [Note("a"), slotted, defaultdict(list), np.float64(2.5)]

    def allowed(self):
        scalar = np.float64(2.5).__reduce__()[0]
        return [Note, Slotted, defaultdict, list, scalar, np.dtype, type(np.dtype("f8"))]

    def seen(self, note, slotted, numbers, number):
        return type(note), note.__dict__, type(slotted), slotted.text, type(numbers), numbers, numbers[3], number

    @BOTH
    def test_classes_that_the_user_allows(self, writer, reader):
        data, serialization = writer.dump(self.noted()), reader.T.serialization
        with pytest.raises(pickle.UnpicklingError, match="add_safe_globals"):
            reader.load(data)
        with serialization.safe_globals(self.allowed()):
            assert self.seen(*reader.load(data)) == self.seen(*self.noted())
        with pytest.raises(pickle.UnpicklingError, match="add_safe_globals"):
            reader.load(data)

    @BOTH
    def test_each_is_needed(self, writer, reader):
        data, serialization = writer.dump(self.noted()), reader.T.serialization
        for left_out in self.allowed():
            rest = [x for x in self.allowed() if x is not left_out]
            with serialization.safe_globals(rest), pytest.raises(pickle.UnpicklingError, match=left_out.__name__):
                reader.load(data)

    def test_other_names_and_the_list(self):
        for engine in (OURS, THEIRS):
            serialization, data = engine.T.serialization, THEIRS.dump([Note("a")])
            before = serialization.get_safe_globals()
            serialization.add_safe_globals([(Slotted, f"{__name__}.Note"), dict])
            assert {Slotted, dict} <= {x[0] if isinstance(x, tuple) else x for x in serialization.get_safe_globals()}
            (loaded,) = engine.load(data)
            assert (type(loaded), loaded.text) == (Slotted, {"text": "a"})
            serialization.clear_safe_globals()
            assert serialization.get_safe_globals() == []
            serialization.add_safe_globals(before)

    def test_a_filled_defaultdict(self):
        made = {"counts": defaultdict(int, a=3)}
        for engine in (OURS, THEIRS):  # PyTorch loads it with weights_only=False only
            with minigrad.serialization.safe_globals([defaultdict, int]):
                assert describe(OURS.load(engine.dump(made))) == describe(made)
            assert describe(OURS.load(engine.dump(made), weights_only=False)) == describe(made)
            assert describe(THEIRS.load(engine.dump(made), weights_only=False)) == describe(made)

    def test_what_is_allowed_may_still_not_change_minigrad(self):
        with minigrad.serialization.safe_globals([Note]):
            for name in ("torch.device", "torch._utils._rebuild_tensor_v2"):
                with pytest.raises(pickle.UnpicklingError, match="a change to"):
                    load(io.BytesIO(checkpoint(b"\x80\2" + g(name) + b"}" + text("x") + text("y") + b"sb.")))
