"""Files in the format of safetensors (https://github.com/huggingface/safetensors), by the library of that name.

The functions are those of `safetensors.torch`: a script that says `from safetensors.torch import load_file` says
`from minigrad.utils.safetensors import load_file` here, and takes safe_open from here too.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

try:
    import safetensors
    import safetensors.numpy
except ImportError:
    raise ImportError(
        "minigrad.utils.safetensors needs the library safetensors: pip install 'minigrad-numpy[safetensors]'"
    ) from None

from minigrad.metadata import bool_, check_device, dtypes, float16, float32, float64, int8, int16, int32, int64, uint8
from minigrad.nn import Module
from minigrad.ops import from_numpy
from minigrad.serialization.archive import replacing
from minigrad.tensor import Tensor

Path = str | os.PathLike[str]
DTYPES = {"F64": float64, "F32": float32, "F16": float16, "I64": int64, "I32": int32, "I16": int16, "I8": int8}
DTYPES |= {"U8": uint8, "BOOL": bool_}
MANUAL = "https://huggingface.co/docs/safetensors/torch_shared_tensors"


def save(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """The bytes of a file of these tensors.

    ValueError unless they are contiguous tensors in a dict; RuntimeError where some share memory, which the format
    can't keep: see save_model().
    """
    return safetensors.numpy.save(arrays(tensors), metadata)


def save_file(tensors: dict[str, Tensor], filename: Path, metadata: dict[str, str] | None = None) -> None:
    """Write tensors to a file, which takes the place of an old one when it is whole. Errors as save()."""
    found = arrays(tensors)
    with replacing(os.fspath(filename)) as file:
        safetensors.numpy.save_file(found, file.name, metadata)


def load(data: bytes) -> dict[str, Tensor]:
    """The tensors of a file that was read. TypeError for a dtype that minigrad lacks."""
    entries: Any = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    for name, entry in entries:
        check_dtype(name, entry["dtype"])
    return {
        name: from_numpy(np.frombuffer(x["data"], DTYPES[x["dtype"]].numpy).reshape(x["shape"]))
        for name, x in sorted(entries, key=lambda entry: entry[0])  # the library's order is random
    }


def load_file(filename: Path, device: Any = "cpu", *, backend: str = "mmap") -> dict[str, Tensor]:
    """The tensors of a file. TypeError for a dtype that minigrad lacks, SafetensorError for a damaged file."""
    with safe_open(filename, framework="pt", device=device, backend=backend) as file:
        return file.get_tensors()


class safe_open:
    """A file whose tensors are read one by one: `with safe_open(path, framework="pt") as f: f.get_tensor(name)`."""

    def __init__(self, filename: Path, framework: str, device: Any = "cpu", *, backend: str = "mmap") -> None:
        if framework not in ("pt", "torch", "pytorch"):
            raise ValueError(
                f'this safe_open makes tensors, framework="pt"; for {framework!r} take safetensors.safe_open'
            )
        check_device(device)
        self.file: Any = safetensors.safe_open(filename, framework="np", backend=backend)

    def __enter__(self) -> safe_open:
        self.file.__enter__()
        return self

    def __exit__(self, *args: Any) -> None:
        self.file.__exit__(*args)

    def keys(self) -> list[str]:
        """The names of the tensors."""
        return list(self.file.keys())

    def offset_keys(self) -> list[str]:
        """The names in the order of the file."""
        return list(self.file.offset_keys())

    def metadata(self) -> dict[str, str] | None:
        """The texts that were saved along."""
        return self.file.metadata()  # type: ignore[no-any-return]

    def get_slice(self, name: str) -> Slice:
        """A tensor that is read when it is indexed."""
        return Slice(name, self.file.get_slice(name))

    def get_tensor(self, name: str) -> Tensor:
        """A tensor. TypeError for a dtype that minigrad lacks."""
        check_dtype(name, self.file.get_slice(name).get_dtype())
        return from_numpy(self.file.get_tensor(name))

    def get_tensors(self) -> dict[str, Tensor]:
        """All tensors, in the order of the file."""
        return {name: self.get_tensor(name) for name in self.offset_keys()}


class Slice:
    """A tensor in a file, of which parts can be read."""

    def __init__(self, name: str, part: Any) -> None:
        self.name = name
        self.part = part

    def get_shape(self) -> list[int]:
        """The shape."""
        return list(self.part.get_shape())

    def get_dtype(self) -> str:
        """The dtype, in the format's words, such as "F32"."""
        return str(self.part.get_dtype())

    def __getitem__(self, index: Any) -> Tensor:
        check_dtype(self.name, self.get_dtype())
        return from_numpy(np.asarray(self.part[index]))


def check_dtype(name: str, dtype: str) -> None:
    if dtype not in DTYPES:
        known = ", ".join(d.name for d in dtypes)
        raise TypeError(f"minigrad has no tensors of {dtype}, as which {name!r} was saved; it has {known}")


def arrays(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """The arrays to write. ValueError or RuntimeError where the format, or its library, can't take them."""
    if not isinstance(tensors, dict):
        raise ValueError(f"Expected a dict of [str, torch.Tensor] but received {type(tensors)}")
    for name, x in tensors.items():
        if not isinstance(x, Tensor):
            raise ValueError(f"Key `{name}` is invalid, expected torch.Tensor but received {type(x)}")
    if groups := shared(tensors):
        raise RuntimeError(
            "Some tensors share memory, this will lead to duplicate memory on disk and potential differences when "
            f"loading them again: {groups}. A potential way to correctly save your model is to use `save_model`. More "
            f"information at {MANUAL}"
        )
    for name, x in tensors.items():
        if not x.is_contiguous():
            raise ValueError(
                f"You are trying to save a non contiguous tensor: `{name}` which is not allowed: call `.contiguous()` "
                "on it, or, where it is a part of another tensor, save that"
            )
    return {name: x._array for name, x in tensors.items()}


def shared(tensors: dict[str, Tensor]) -> list[set[str]]:
    """The names of those tensors that lie on one another in the same storage, in groups."""
    storages = defaultdict(list)
    for name, x in tensors.items():
        if x._array.size:
            storage = x.untyped_storage()
            storages[storage.data_ptr(), storage.nbytes()].append((*np.lib.array_utils.byte_bounds(x._array), name))
    groups: list[set[str]] = []
    for spans in storages.values():
        end = 0
        for low, high, name in sorted(spans):
            if low >= end:
                groups.append(set())
            groups[-1].add(name)
            end = max(end, high)
    return [group for group in groups if len(group) > 1]


def left_out(tensors: dict[str, Tensor], preferred: Iterable[str] = ()) -> dict[str, str]:
    """For each name that is left out of a file, as it shares its memory, the one that stands for it.

    RuntimeError where no tensor of a group shows all of its storage.
    """
    instead: dict[str, str] = {}
    for group in shared(tensors):
        whole = {name for name in group if shows_all(tensors[name])}
        if not whole:
            raise RuntimeError(
                "Error while trying to find names to remove to save state dict, but found no suitable name to keep for "
                f"saving amongst: {group}. None is covering the entire storage. See {MANUAL}"
            )
        kept = min(whole.intersection(preferred) or whole)
        instead |= dict.fromkeys(sorted(group - {kept}), kept)
    return instead


def shows_all(tensor: Tensor) -> bool:
    storage = tensor.untyped_storage()
    return (tensor.data_ptr(), tensor.nbytes) == (storage.data_ptr(), storage.nbytes())


def save_model(
    model: Module, filename: Path, metadata: dict[str, str] | None = None, force_contiguous: bool = True
) -> None:
    """Write a model's state, each shared tensor once; the metadata says what stands for the others."""
    state = model.state_dict()
    instead = left_out(state)
    tensors = {name: x.contiguous() if force_contiguous else x for name, x in state.items() if name not in instead}
    save_file(tensors, filename, instead | (metadata or {}) or None)


def load_model(
    model: Module, filename: Path, strict: bool = True, device: Any = "cpu", *, backend: str = "mmap"
) -> tuple[set[str], list[str]]:
    """Load what save_model() wrote into a model; returns the missing and the unexpected names.

    RuntimeError, and nothing loaded, for wrong shapes and, where `strict`, for missing or unexpected names.
    """
    state, own = load_file(filename, device, backend=backend), model.state_dict()
    instead = left_out(own, preferred=state)
    missing = own.keys() - state.keys() - instead.keys()
    unexpected = [name for name in state if name not in own or name in instead]
    if strict and (missing or unexpected):
        lines = [f"Error(s) in loading state_dict for {type(model).__name__}:"]
        for what, names in (("Missing", missing), ("Unexpected", unexpected)):
            if names:
                lines.append(
                    f"    {what} key(s) in state_dict: {', '.join(f'{chr(34)}{k}{chr(34)}' for k in sorted(names))}"
                )
        raise RuntimeError("\n".join(lines))
    model.load_state_dict(state, strict=False)
    return missing, unexpected
