"""Writes minigrad/torch_names.txt, the public names of PyTorch. Run it when the version to follow changes.

A line is a module, or Tensor, and its names: what it defines or re-exports of torch's, and, with a slash, the modules
below it.
"""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import torch

FILE = Path(__file__).resolve().parent.parent / "minigrad" / "torch_names.txt"
MODULES = [
    "torch",
    "torch.autograd",
    "torch.autograd.functional",
    "torch.backends",
    "torch.cuda",
    "torch.func",
    "torch.linalg",
    "torch.nn",
    "torch.nn.functional",
    "torch.nn.init",
    "torch.nn.utils",
    "torch.optim",
    "torch.optim.lr_scheduler",
    "torch.random",
    "torch.utils",
    "torch.utils.data",
]


def is_public(owner, name):
    """Whether a name is the owner's to give: not private, no module (those are found as files), and not Python's."""
    value = getattr(owner, name)
    home = getattr(value, "__module__", None)
    foreign = isinstance(home, str) and home.partition(".")[0] != "torch"
    return not (name.startswith("_") or name == "TYPE_CHECKING" or isinstance(value, ModuleType) or foreign)


def names_of(module):
    below = {found.name for found in pkgutil.iter_modules(getattr(module, "__path__", []))}
    return {name for name in dir(module) if is_public(module, name)} | {f"{name}/" for name in below if name[0] != "_"}


def lines():
    for name in MODULES:
        yield " ".join([name, *sorted(names_of(importlib.import_module(name)))])
    yield " ".join(["torch.Tensor", *sorted(name for name in dir(torch.Tensor) if name[0] != "_")])


if __name__ == "__main__":
    FILE.write_text("\n".join(lines()) + "\n")
