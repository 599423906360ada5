"""minigrad.utils.safetensors against safetensors.torch: files that each reads of the other, and the same errors."""

import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from checkpoints import describe
from hypothesis import given
from hypothesis import strategies as st
from strategies import DTYPES, SEEDS, shapes

import minigrad
from minigrad.utils import safetensors as ours

theirs = safetensors.torch
ENGINES = ((minigrad, ours), (torch, theirs))
NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=5).filter(lambda x: x != "__metadata__")


@st.composite
def dicts(draw):
    """A function that makes a dict of contiguous tensors in an engine."""
    drawn = draw(st.dictionaries(NAMES, st.tuples(st.sampled_from(DTYPES), shapes(), SEEDS), max_size=4))
    values = {
        name: np.random.default_rng(seed).normal(0, 3, shape).astype(dtype)
        for name, (dtype, shape, seed) in drawn.items()
    }
    return lambda T: {name: T.tensor(x) for name, x in values.items()}


def values(tensors):
    return [(str(x.dtype), tuple(x.shape), repr(x.tolist())) for x in tensors]


@given(
    make=dicts(), metadata=st.none() | st.dictionaries(st.text(max_size=3), st.text(max_size=3), min_size=1, max_size=1)
)
def test_the_same_bytes_and_tensors(make, metadata):
    data = ours.save(make(minigrad), metadata)
    assert data == theirs.save(make(torch), metadata)
    loaded = ours.load(data)
    assert describe(loaded) == describe(dict(sorted(theirs.load(data).items())))
    for x in loaded.values():
        if x.numel():
            assert x.untyped_storage().nbytes() == x.nbytes
            x.zero_()


@given(make=dicts())
def test_files(tmp_path_factory, make):
    path = tmp_path_factory.mktemp("files") / "x.safetensors"
    for T, writer in ENGINES:
        writer.save_file(make(T), path, metadata={"format": "pt"})
        assert describe(ours.load_file(path)) == describe(theirs.load_file(str(path)))
        assert describe(ours.load_file(path, device="cpu", backend="pread")) == describe(theirs.load_file(path))
        seen = []
        for opener in (ours.safe_open, safetensors.safe_open):
            with opener(str(path), framework="pt", device="cpu") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                slices = {name: file.get_slice(name) for name in tensors}
                parts = [x[:1] for x in slices.values() if 0 not in (x.get_shape() or [0])]
                texts = [(x.get_shape(), x.get_dtype()) for x in slices.values()]
                seen.append((values(tensors.values()), values(parts), texts, file.metadata(), file.offset_keys()))
        assert seen[0] == seen[1]


def shared_by(T):
    x = T.arange(6.0)
    return {
        "a view": {"x": x, "y": x[2:4]},
        "the same": {"x": x, "y": x},
        "a transpose": {"x": x.view(2, 3).T, "y": x},
        "a detached one": {"x": x.detach(), "y": x},
        "an array's": {"x": x, "y": T.from_numpy(x.numpy())},
        "parts that overlap": {"x": x[:4], "y": x[3:], "z": T.ones(1)},
        "parts that don't": {"x": x[:3], "y": x[3:]},
        "empty parts": {"x": x[3:3], "y": x},
        "not contiguous": {"x": x.view(2, 3).T},
        "every second": {"x": x[::2]},
        "gradients": {"x": T.ones(2, requires_grad=True)},
        "a parameter": {"x": T.nn.Parameter(T.ones(2))},
        "no tensor": {"x": x.numpy()},
        "a number": {"x": 1.0},
        "no text": {1: x},
        "no dict": [x],
    }


@pytest.mark.parametrize("name", shared_by(minigrad))
def test_what_can_be_saved(name, tmp_path):
    results = []
    for T, module in ENGINES:
        try:
            results.append(module.save(shared_by(T)[name]))
        except Exception as error:
            results.append(type(error))
            if isinstance(error, RuntimeError) and module is ours:
                named = "'x'" in str(error) and "'y'" in str(error) and "save_model" in str(error)
                results[-1] = RuntimeError if named else error
    assert results[0] == results[1]


def tied(T):
    """A model that has one weight under two names, and a module under two."""
    T.manual_seed(0)
    a, b = T.nn.Linear(2, 2), T.nn.Linear(2, 2)
    b.weight = a.weight
    return T.nn.Sequential(a, b, T.nn.Sequential(a, T.nn.Linear(2, 1)))


def test_models(tmp_path):
    for (T, writer), (S, reader) in ((ENGINES[0], ENGINES[1]), (ENGINES[1], ENGINES[0]), (ENGINES[0],) * 2):
        path = tmp_path / "x.safetensors"
        writer.save_model(tied(T), path, {"note": "kept"})
        with safetensors.safe_open(path, "np") as file:
            assert sorted(file.keys()) == ["0.bias", "0.weight", "1.bias", "2.1.bias", "2.1.weight"]
            metadata = {"1.weight": "0.weight", "2.0.weight": "0.weight", "2.0.bias": "0.bias", "note": "kept"}
            assert file.metadata() == metadata
        model = tied(S)
        with S.no_grad():
            for p in model.parameters():
                p.zero_()
        missing, unexpected = reader.load_model(model, path)
        assert (set(missing), unexpected) == (set(), [])
        assert describe(model.state_dict()) == describe(tied(S).state_dict())


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("0.bias"),
        lambda state: state.pop("0.weight"),
        lambda state: state.update(other=state["0.bias"].clone()),
        lambda state: state.update({"1.weight": state["0.weight"].clone()}),
        lambda state: state.update({"1.weight": state.pop("0.weight")}),
        lambda state: state.update({"0.weight": state["0.bias"].clone()}),
    ],
)
def test_models_that_do_not_fit(change, tmp_path):
    for strict in (True, False):
        results = []
        for T, module in ENGINES:
            state = {name: x.clone() for name, x in tied(T).state_dict().items() if name[:3] not in ("1.w", "2.0")}
            change(state)
            module.save_file(state, tmp_path / "x")
            try:
                missing, unexpected = module.load_model(tied(T), tmp_path / "x", strict=strict)
                results.append((set(missing), sorted(unexpected)))
            except Exception as error:
                results.append((type(error), "size mismatch" in str(error) or str(error)))
        assert results[0] == results[1]


def test_models_of_parts_of_one_memory(tmp_path):
    """Both short parts lie in the whole, though not on each other; safetensors.torch misses the second, and raises."""
    model, x = minigrad.nn.Module(), minigrad.arange(6.0)
    for name, part in {"whole": x, "start": x[1:2], "end": x[4:], "other": minigrad.ones(2)}.items():
        model.register_buffer(name, part)
    ours.save_model(model, tmp_path / "x")
    assert sorted(ours.load_file(tmp_path / "x")) == ["other", "whole"]
    x.zero_()
    assert ours.load_model(model, tmp_path / "x") == (set(), [])
    assert model.end.tolist() == [4, 5]


def test_a_model_whose_parts_show_none_of_the_whole(tmp_path):
    for T, module in ENGINES:
        model, x = T.nn.Linear(2, 2), T.zeros(4, 2)
        model.weight, model.other = T.nn.Parameter(x[:2]), T.nn.Parameter(x[1:3])
        with pytest.raises(RuntimeError, match="None is covering the entire storage"):
            module.save_model(model, tmp_path / "x")


def test_dtypes_that_minigrad_lacks(tmp_path):
    for dtype, name in ((torch.bfloat16, "BF16"), (torch.uint16, "U16"), (torch.complex64, "C64")):
        theirs.save_file({"x": torch.ones(2).to(dtype), "y": torch.ones(2)}, tmp_path / "x")
        for load in (lambda: ours.load((tmp_path / "x").read_bytes()), lambda: ours.load_file(tmp_path / "x")):
            with pytest.raises(TypeError, match=f"{name}, as which 'x' was saved"):
                load()
        with ours.safe_open(tmp_path / "x", framework="pt") as file:
            assert file.get_tensor("y").tolist() == [1, 1]
            with pytest.raises(TypeError, match=name):
                file.get_slice("x")[:1]


def test_other_errors(tmp_path):
    data = ours.save({"x": minigrad.ones(3)})
    for bad in (b"", b"junk", data[:-1], data + b"x"):
        (tmp_path / "x").write_bytes(bad)
        for module in (ours, theirs):
            with pytest.raises(safetensors.SafetensorError):
                module.load(bad)
            with pytest.raises(safetensors.SafetensorError):
                module.load_file(tmp_path / "x")
    with pytest.raises(FileNotFoundError):
        ours.load_file(tmp_path / "missing")
    with pytest.raises(AssertionError, match="CUDA"):
        ours.load_file(tmp_path / "x", device="cuda")
    with pytest.raises(ValueError, match="framework"):
        ours.safe_open(tmp_path / "x", framework="np")


def test_without_the_library():
    code = """if True:
        import sys
        sys.modules["safetensors"] = None
        import minigrad
        try:
            from minigrad.utils.safetensors import load_file
        except ImportError as error:
            assert "pip install 'minigrad-numpy[safetensors]'" in str(error)
        else:
            raise AssertionError
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    ours.save_file({"x": minigrad.ones(2)}, path)
    good = path.read_bytes()
    write = safetensors.numpy.save_file

    def fail(tensors, filename, metadata=None):
        write(tensors, filename, metadata)
        raise OSError("No space left on device")

    monkeypatch.setattr(safetensors.numpy, "save_file", fail)
    with pytest.raises(OSError, match="No space"):
        ours.save_file({"x": minigrad.zeros(2)}, path)
    assert path.read_bytes() == good
    assert [*tmp_path.iterdir()] == [path]
