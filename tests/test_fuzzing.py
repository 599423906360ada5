"""Damaged files: a short part of what fuzzing.py does. HYPOTHESIS_PROFILE=deep takes a hundred times as many."""

import io
import os
import pickle

import pytest

import minigrad as torch
from minigrad.serialization.reading import WeightsUnpickler
from tests.fuzzing import FORMATS, fuzz, zipped

COUNT = 50_000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 500


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_load_or_are_refused(name: str, seed: int) -> None:
    found, _ = fuzz(name, seed, COUNT)
    assert sum(found.values()) == COUNT
    assert found["loaded"] < COUNT / 2


def load(program: bytes, prefix: bytes = b"\x80\x02") -> object:
    records = {
        "a/data.pkl": prefix + program + b".",
        "a/data/0": bytes(4),
        "a/version": b"3\n",
        "a/byteorder": b"little",
    }
    return torch.load(io.BytesIO(zipped(records)))


def text(s: str) -> bytes:
    return b"X" + len(s.encode()).to_bytes(4, "little") + s.encode()


DEEP = b")" + b"\x85" * 200_000
WIDE = b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(100))  # 2**100 items in 400 bytes
LISTS = b"](]q\x00" + b"".join(b"](h%ch%ceq%c" % (i, i, i + 1) for i in range(100)) + b"e"  # as wide
LARGE = b"\x8b" + (10**5).to_bytes(4, "little") + b"\x7f" * 10**5  # an integer of a hundred thousand bytes
STORAGE = b"ctorch\nFloatStorage\n"
PARAMETER = b"ctorch._utils\n_rebuild_parameter_with_state\n"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + STORAGE + text("0") + text("cpu") + b"K\x01tQ"
TYPED = b"ctorch._tensor\n_rebuild_from_type_v2\n("
VALUES = {
    "deep": DEEP,
    "wide": WIDE,
    "large": LARGE,
    "lists": LISTS,
    "list": b"](" + WIDE + b"e",
    "text": text("x" * 10**5),
}
PLACES = {  # where a file can put a value that is hashed, compared or shown
    "key of a storage": b"(" + text("storage") + STORAGE + b"%s" + text("cpu") + b"K\x01tQ",
    "word of a storage": b"(%s" + STORAGE + text("0") + text("cpu") + b"K\x01tQ",
    "kind of a storage": b"(" + text("storage") + b"%s" + text("0") + text("cpu") + b"K\x01tQ",
    "place of a storage": b"(" + text("storage") + STORAGE + text("0") + b"%sK\x01tQ",
    "size of a storage": b"(" + text("storage") + STORAGE + text("0") + text("cpu") + b"%stQ",
    "view of a storage": b"(" + text("storage") + STORAGE + text("0") + text("cpu") + b"K\x01%stQ",
    "persistent id": b"%sQ",
    "encoding": b"c_codecs\nencode\n" + text("x") + b"%s\x86R",
    "encoded text": b"c_codecs\nencode\n%s" + text("latin1") + b"\x86R",
    "attribute": b"ccollections\nOrderedDict\n)R](%sK\x01\x86eb",
    "attributes": b"ccollections\nOrderedDict\n)R%sb",
    "attribute in a dict": b"ccollections\nOrderedDict\n)R}(%sK\x01ub",
    "key": b"}(%sK\x01u",
    "item of a set": b"cbuiltins\nset\n](%se\x85R",
    "counted": b"ccollections\nCounter\n%s\x85R",
    "called": b"%s)R",
    "arguments": b"cbuiltins\nset\n%sR",
    "new": b"%s)\x81",
    "appended to": b"%sK\x01a",
    "built": b"%s}b",
    "shape": b"ctorch\nSize\n%s\x85R",
    "device": b"ctorch\ndevice\n%s\x85R",
    "complex": b"cbuiltins\ncomplex\n%s\x85R",
    "name": b"ctorch\nx" + b"y" * 10**5 + b"\n0%s",
    "module": b"c" + b"y" * 10**5 + b"\nx\n0%s",
    "size of a tensor": TENSOR + b"K\x00%s\x85K\x01\x85\x89NtR",
    "offset of a tensor": TENSOR + b"%sK\x01\x85K\x01\x85\x89NtR",
    "strides of a tensor": TENSOR + b"K\x00K\x01\x85%s\x89NtR",
    "requires_grad of a tensor": TENSOR + b"K\x00K\x01\x85K\x01\x85%sNtR",
    "hooks of a tensor": TENSOR + b"K\x00K\x01\x85K\x01\x85\x89%stR",
    "metadata of a tensor": TENSOR + b"K\x00K\x01\x85K\x01\x85\x89N%stR",
    "key in the metadata of a tensor": TENSOR + b"K\x00K\x01\x85K\x01\x85\x89N}%sK\x01stR",
    "function of a typed tensor": TYPED + b"%sctorch\nTensor\n)}tR",
    "class of a typed tensor": TYPED + b"ctorch._utils\n_rebuild_tensor_v2\n%s)}tR",
    "arguments of a typed tensor": TYPED + b"ctorch._utils\n_rebuild_tensor_v2\nctorch\nTensor\n%s}tR",
    "data of a parameter": PARAMETER + b"(%s\x89N}tR",
    "requires_grad of a parameter": PARAMETER + b"(" + TENSOR + b"K\x00K\x01\x85K\x01\x85\x89NtR%sN}tR",
    "attribute of a parameter": PARAMETER + b"(" + TENSOR + b"K\x00K\x01\x85K\x01\x85\x89NtR\x89N}%sK\x01stR",
    "state of a parameter": PARAMETER + b"(K\x01\x89N%stR",
}  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("place", PLACES)
def test_no_value_of_a_file_is_hashed_compared_or_shown_without_bounds(place: str, value: str) -> None:
    message = ""
    try:
        load(PLACES[place].replace(b"%s", VALUES[value]))
    except (pickle.UnpicklingError, RuntimeError) as error:
        message = str(error)
    assert len(message) < 1000


def test_copies_are_bounded() -> None:
    """A few bytes could ask for a copy of a large object again and again."""
    for make, content in (
        (b"cbuiltins\nset\n", b"](" + b"".join(b"M%c%c" % (i % 256, i // 256) for i in range(5000)) + b"e"),
        (b"ccollections\nCounter\n", b"}(" + b"".join(b"M%c%cK\x01" % (i % 256, i // 256) for i in range(5000)) + b"u"),
        (b"cbuiltins\nbytearray\n", b"c_codecs\nencode\n" + text("x" * 10_000) + text("latin1") + b"\x86R"),
        (b"ctorch\nSize\n", b"(" + b"K\x01" * 5000 + b"t"),
    ):
        copies = b"(" + make + b"q\x02" + content + b"q\x01\x85R" + b"h\x02h\x01\x85R" * 300 + b"t"
        with pytest.raises(pickle.UnpicklingError, match="too many"):
            load(copies)


def test_integers_of_the_same_hash_are_bounded() -> None:
    keys = b"".join(b"\x8a\x14" + (i * (2**61 - 1) << 64).to_bytes(20, "little") + b"N" for i in range(1, 3000))
    with pytest.raises(pickle.UnpicklingError, match="too many"):
        load(b"}(" + keys + b"u")


def test_what_is_saved_is_not_too_much() -> None:
    """Many keys, deep containers and keys that are used again are within the bounds."""
    key = tuple(range(20))
    value = {
        "keys": {(i, str(i)): i for i in range(3000)},
        "again": [{key: i} for i in range(500)],
        "large": {2**80 + i: i for i in range(5)},
        "set": {(1, (2, (3, (4, "x")))), 2**100},
    }
    value["nested"] = value["keys"]
    for _ in range(50):
        value["nested"] = [value["nested"]]  # type: ignore[list-item]
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    assert torch.load(file) == value


def test_the_budget_is_of_the_files_length() -> None:
    assert WeightsUnpickler(io.BytesIO(b"x" * 100), {}.get, None, False, encoding="utf-8").left == 10_400
