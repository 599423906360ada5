"""`import torch` gives minigrad: the finder that does it, and the way to the real PyTorch beside it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from minigrad.absent import no_module
from minigrad.torch_version import TorchVersion

SAFETENSORS = "safetensors.torch"  # a module about torch's tensors, in a package of its own


def is_torch(name: str) -> bool:
    """Whether a module of this name is PyTorch's, or minigrad's in its place."""
    return name.partition(".")[0] == "torch" or name == SAFETENSORS


class Loader:
    """Loads minigrad.x.y, the very module, under the name torch.x.y."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec  # which the import system has just replaced by torch's


class Finder:
    """Finds torch.x.y where minigrad.x.y is."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not is_torch(name):
            return None
        own = f"minigrad{name.removeprefix('torch')}" if name != SAFETENSORS else "minigrad.utils.safetensors"
        try:
            module = importlib.import_module(own)
        except ModuleNotFoundError as error:
            if error.name != own:
                raise
            raise no_module(name) from None
        parent, _, child = own.rpartition(".")
        if parent and vars(sys.modules[parent]).get(child) is not module:
            raise no_module(name)  # torch.tensor, say, is a function: the import would put a module in its place
        return ModuleSpec(name, Loader(module))  # type: ignore[arg-type]  # it has what importlib asks for


FINDER = Finder()
_renamed: list[type] = []  # minigrad's classes that say they are torch's
_aside: dict[str, ModuleType] = {}  # what sys.modules has under torch's names when the other one is imported by them


def _swap() -> None:
    """Exchange the entries of sys.modules under torch's names for those put aside."""
    global _aside
    names = [name for name in sys.modules if is_torch(name)]
    before = {name: sys.modules.pop(name) for name in names}
    sys.modules.update(_aside)
    _aside = before


def _own_classes() -> Iterator[type]:
    """The classes that say they are minigrad's."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "minigrad":
            for value in vars(module).values():
                if isinstance(value, type) and value.__module__.partition(".")[0] == "minigrad":
                    yield value


def install_as_torch() -> None:
    """Let `import torch`, and every `import torch.x.y`, give minigrad, until the program ends.

    PyTorch may be installed or not. Where it was imported before, it is put aside. Its own code imports torch as it
    runs, so what is bound to it is to be used inside `real_torch()`, where all is as before. From now on the classes
    are shown, and pickled, as PyTorch's (`torch.Tensor`), and `torch.__version__` begins with that of the PyTorch that
    minigrad follows. A second call changes nothing.
    """
    if FINDER in sys.meta_path:
        return
    _swap()
    sys.meta_path.insert(0, FINDER)
    for cls in _own_classes():
        cls.__module__ = "torch" + cls.__module__.removeprefix("minigrad")
        _renamed.append(cls)
    names = vars(sys.modules["minigrad"])
    names["__version__"] = TorchVersion(f"2.13.0+minigrad.{names['__version__']}")


def uninstall() -> None:
    """Undo install_as_torch()."""
    if FINDER not in sys.meta_path:
        return
    _swap()
    sys.meta_path.remove(FINDER)
    while _renamed:
        cls = _renamed.pop()
        cls.__module__ = "minigrad" + cls.__module__.removeprefix("torch")
    names = vars(sys.modules["minigrad"])
    names["__version__"] = names["__version__"].partition("minigrad.")[2]


def own_name(obj: Any) -> str | None:
    """minigrad.nn.Linear of the class that says it is torch.nn.Linear; None of what has its own name."""
    top, dot, rest = str(getattr(obj, "__module__", "")).partition(".")
    return f"minigrad{dot}{rest}.{obj.__qualname__}" if top == "torch" and FINDER in sys.meta_path else None


@contextmanager
def real_torch() -> Iterator[ModuleType]:
    """The real PyTorch, where it is installed: `with minigrad.real_torch() as torch:`.

    Inside, `import torch` is PyTorch's; after it, that of before. To compare the two, bind both:

        with minigrad.real_torch() as pytorch:
            theirs = pytorch.tensor([1.0, 2.0]).softmax(0)

    ModuleNotFoundError where PyTorch is not installed.
    """
    installed = FINDER in sys.meta_path
    uninstall()
    try:
        try:
            torch = importlib.import_module("torch")
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise ModuleNotFoundError(
                "PyTorch is not installed here, and real_torch() needs it: pip install torch. Without it, "
                "`import torch` gives minigrad after minigrad.install_as_torch(), and under `minigrad run`",
                name="torch",
            ) from None
        yield torch
    finally:
        if installed:
            install_as_torch()
