"""What minigrad says of names that it lacks."""

import importlib
import os
import subprocess
import sys

import pytest
import torch
import torch_names

import minigrad
from minigrad import absent, as_torch


@pytest.fixture
def installed():
    as_torch.install_as_torch()
    importlib.import_module("torch")
    yield
    as_torch.uninstall()


def error(statement):
    """The error that a line gives, with minigrad as torch and a tensor x."""
    try:
        exec(statement, {"torch": minigrad, "x": minigrad.ones(2)})
    except Exception as error:
        return error
    raise AssertionError(f"{statement} raises nothing")


HAS = "PyTorch 2.13 has it, minigrad has not"
ABSENT = [
    ("torch.conv2d", AttributeError, "module 'torch' has no attribute 'conv2d'"),
    ("torch.nn.Conv2d(1, 6, 5)", AttributeError, "module 'torch.nn' has no attribute 'Conv2d'"),
    ("torch.nn.functional.conv2d", AttributeError, "module 'torch.nn.functional' has no attribute 'conv2d'"),
    ("torch.optim.LBFGS", AttributeError, "module 'torch.optim' has no attribute 'LBFGS'"),
    ("torch.utils.tensorboard", AttributeError, "module 'torch.utils' has no attribute 'tensorboard'"),
    ("torch.cuda.set_device(0)", AttributeError, "module 'torch.cuda' has no attribute 'set_device'"),
    ("torch.vmap(x)", AttributeError, "module 'torch' has no attribute 'vmap'"),
    ("x.lgamma()", AttributeError, "'Tensor' object has no attribute 'lgamma'"),
    ("torch.nn.Parameter(x).lgamma", AttributeError, "'Parameter' object has no attribute 'lgamma'"),
    ("torch.Tensor.lgamma", AttributeError, "type object 'Tensor' has no attribute 'lgamma'"),
    ("from torch.nn import Conv2d", ImportError, "cannot import name 'Conv2d' from 'torch.nn' (FILE)"),
    ("from torch import distributed", ImportError, "cannot import name 'distributed' from 'torch' (FILE)"),
    ("import torch.distributed", ModuleNotFoundError, "No module named 'torch.distributed'"),
    ("import torch.utils.tensorboard as t", ModuleNotFoundError, "No module named 'torch.utils.tensorboard'"),
    ("from torch.cuda.amp import autocast", ModuleNotFoundError, "No module named 'torch.cuda.amp'"),
    ("import torch.onnx.utils", ModuleNotFoundError, "No module named 'torch.onnx'"),
]


@pytest.mark.parametrize(("statement", "kind", "text"), ABSENT)
def test_what_pytorch_has(statement, kind, text, installed):
    raised = error(statement)
    assert type(raised) is kind
    beginning, _, end = str(raised).partition(": ")
    assert beginning.replace(minigrad.__file__, "FILE").replace(minigrad.nn.__file__, "FILE") == text
    assert end.startswith(f"{HAS}. ")


UNKNOWN = [
    "torch.no_such_name",
    "torch.nn.NoSuchLayer",
    "from torch.nn import NoSuchLayer",
    "import torch.no_such_module",
    "from torch.no_such_module import name",
    "import torch.nn.functional.no_such_module",
    "import torch.tensor",
    "import torch.einsum",
    "import torch.Tensor",
    "x.no_such_method()",
    "torch.Tensor.no_such_method",
    "torch.__no_such_name__",
    "torch.nn.Module().no_such_layer",
    "torch.nn.Linear(1, 1).fc3",
]


@pytest.mark.parametrize("statement", UNKNOWN)
def test_what_pytorch_lacks_too(statement, installed):
    mine = error(statement)
    with minigrad.real_torch(), pytest.raises(type(mine)) as theirs:
        exec(statement, {"torch": torch, "x": torch.ones(2)})
    assert type(mine) is theirs.type
    text = str(theirs.value).replace(os.path.dirname(torch.__file__), "")
    assert str(mine).replace(os.path.dirname(minigrad.__file__), "") == text


def test_close_matches(installed):
    assert str(error("torch.linspase(0, 1, 2)")) == (
        "module 'torch' has no attribute 'linspase'. Did you mean: 'linspace'?"
    )
    assert str(error("from torch.nn import Linaer")).endswith("/__init__.py). Did you mean: 'Linear'?")
    assert absent.remark("torch", "logspace", ["log", "linspace", "kernels"]) == (
        ": PyTorch 2.13 has it, minigrad has not. Of names like it, minigrad has linspace"
    )


def test_under_its_own_name():
    assert str(error("torch.nn.Conv2d")).startswith(f"module 'minigrad.nn' has no attribute 'Conv2d': {HAS}")
    assert str(error("from minigrad.nn import Conv2d")).startswith("cannot import name 'Conv2d' from 'minigrad.nn'")


def test_the_table_of_names_is_pytorchs():
    assert torch_names.FILE.read_text().splitlines() == list(torch_names.lines())


def test_replacements_are_for_what_is_absent():
    for names in absent.INSTEAD.values():
        for path in names.split():
            owner, _, name = f"torch.{path}".rpartition(".")
            assert {name, f"{name}/"} & absent.torch_names()[owner], f"PyTorch has no {path}"
            mine = minigrad
            for part in owner.split(".")[1:]:
                mine = getattr(mine, part)
            assert not hasattr(mine, name), f"minigrad has {path} now: take it out of the table"


def test_absent_attributes_are_absent():
    x = minigrad.ones(2)
    assert not hasattr(x, "lgamma")
    assert not hasattr(minigrad.Tensor, "lgamma")
    assert getattr(x, "lgamma", None) is None
    assert "lgamma" not in dir(x)
    assert {"sin", "__add__", "_array"} <= set(dir(x))
    x.lgamma = 3  # a tensor can be given attributes
    assert x.lgamma == 3
    assert "lgamma" in dir(x)
    assert "__getattr__" not in {name for cls in type(x).__mro__ for name in vars(cls)}

    class Gamma(minigrad.Tensor):
        def lgamma(self):
            return "mine"

    assert Gamma([1.0]).lgamma() == "mine"


def test_names_that_minigrad_has_are_found_before():
    for name in absent.torch_names()["torch.Tensor"]:
        found = next(cls for cls in minigrad.Tensor.__mro__ if name in vars(cls))
        assert (found is absent.AbsentAttributes) is not hasattr(minigrad.Tensor, name)


def test_difflib_waits_for_a_failure():
    code = (
        "import sys, minigrad; print('difflib' in sys.modules); hasattr(minigrad, 'x'); print('difflib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\nTrue\n"
