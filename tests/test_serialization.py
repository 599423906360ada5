"""minigrad.serialization against PyTorch: files that each reads of the other."""

import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections import Counter

import numpy as np
import pytest
import torch
from checkpoints import BOTH, DEEP, OURS, THEIRS, anonymous, archive, describe, objects, opened, sample
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
