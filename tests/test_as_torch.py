"""`import torch` as minigrad, in this process, where the real torch is imported too."""

import copy
import importlib
import io
import pickle
import subprocess
import sys

import pytest
import torch

import minigrad
from minigrad import as_torch
from minigrad.torch_version import TorchVersion


@pytest.fixture(autouse=True)
def undone():
    yield
    as_torch.uninstall()
    assert sys.modules["torch"] is torch
    assert minigrad.__version__ == "0.1.0"


MODULES = [
    "torch",
    "torch.autograd",
    "torch.autograd.grad_mode",
    "torch.autograd.variable",
    "torch.backends",
    "torch.backends.cudnn",
    "torch.cuda",
    "torch.nn",
    "torch.nn.functional",
    "torch.nn.init",
    "torch.nn.modules",
    "torch.nn.modules.activation",
    "torch.nn.modules.container",
    "torch.nn.modules.linear",
    "torch.nn.modules.loss",
    "torch.nn.modules.module",
    "torch.nn.parameter",
    "torch.optim",
    "torch.optim.optimizer",
    "torch.optim.sgd",
    "torch.random",
    "torch.serialization",
    "torch.torch_version",
    "torch.utils",
    "torch.utils.data",
    "torch.utils.data.dataloader",
    "torch.utils.data.dataset",
    "torch.utils.data.sampler",
    "torch.version",
]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_is_minigrads(name):
    assert importlib.import_module(name).__name__ == name  # PyTorch has it
    own = importlib.import_module(name.replace("torch", "minigrad", 1))
    spec = own.__spec__
    minigrad.install_as_torch()
    assert importlib.import_module(name) is own is sys.modules[name]
    assert own.__spec__ is spec
    assert own.__name__ == spec.name == name.replace("torch", "minigrad", 1)


def test_forms_of_import():
    minigrad.install_as_torch()
    names = {}
    exec(
        "import torch, torch.nn as nn, torch.nn.functional as F, torch.optim as optim\n"
        "from torch import Tensor, nn as nn2, tensor\n"
        "from torch.nn import functional as F2, Linear\n"
        "from torch.utils.data import DataLoader\n"
        "from torch.autograd import Variable\n"
        "from torch.nn import *\n"
        "import torch.utils.data\n",
        names,
    )
    assert names["torch"] is minigrad
    assert names["nn"] is names["nn2"] is minigrad.nn
    assert names["F"] is names["F2"] is minigrad.nn.functional
    assert names["Linear"] is minigrad.nn.Linear
    assert names["MSELoss"] is minigrad.nn.MSELoss
    assert names["DataLoader"] is minigrad.utils.data.DataLoader
    assert names["tensor"] is minigrad.tensor
    assert callable(minigrad.tensor)


def test_installing_twice_is_installing_once():
    minigrad.install_as_torch()
    before = list(sys.meta_path), minigrad.__version__
    minigrad.install_as_torch()
    assert (list(sys.meta_path), minigrad.__version__) == before


def test_the_torch_imported_before_is_put_aside():
    modules = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "torch"}
    minigrad.install_as_torch()
    assert importlib.import_module("torch") is minigrad
    with minigrad.real_torch():
        assert modules.items() <= sys.modules.items()
        assert torch.nn.Linear(2, 1)(torch.ones(3, 2)).shape == (3, 1)


def test_classes_say_torch_while_installed():
    pairs = [
        ("Tensor",),
        ("Size",),
        ("device",),
        ("dtype",),
        ("nn", "Parameter"),
        ("nn", "Linear"),
        ("nn", "Sequential"),
        ("nn", "MSELoss"),
        ("optim", "SGD"),
        ("utils", "data", "DataLoader"),
        ("utils", "data", "TensorDataset"),
        ("autograd", "Variable"),
        ("no_grad",),
    ]

    def text(engine, path):
        for name in path:
            engine = getattr(engine, name)
        return repr(engine)

    for path in pairs:
        assert "minigrad" in text(minigrad, path)
    minigrad.install_as_torch()
    for path in pairs:
        assert text(minigrad, path) == text(torch, path)


def test_subclasses_of_tensor_print_as_pytorchs():
    def lines(engine):
        class Mine(engine.Tensor):
            pass

        class Weight(engine.nn.Parameter):
            pass

        x = engine.full((2, 12), 0.25)
        return repr(Mine([[1.0, 2.0], [3.0, 4.0]])), repr(engine.nn.Parameter(x)), repr(Weight(x))

    expected = lines(torch)
    assert lines(minigrad) == expected
    minigrad.install_as_torch()
    assert lines(minigrad) == expected


VALUES = {
    "tensor": lambda: minigrad.arange(3.0),
    "parameter": lambda: minigrad.nn.Parameter(minigrad.ones(2)),
    "size": lambda: minigrad.Size([1, 2]),
    "dtypes": lambda: [minigrad.float32, minigrad.bool, minigrad.int64, minigrad.uint8],
    "device": lambda: minigrad.device("cpu"),
    "model": lambda: minigrad.nn.Sequential(minigrad.nn.Linear(2, 1), minigrad.nn.ReLU()),
    "class": lambda: minigrad.nn.Linear,
    "dataset": lambda: minigrad.utils.data.TensorDataset(minigrad.ones(2)),
}


def state(value):
    return (
        {name: x.tolist() for name, x in value.state_dict().items()}
        if isinstance(value, minigrad.nn.Module)
        else repr(value)
    )


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("install", [False, True])
def test_pickling(name, install):
    if install:
        minigrad.install_as_torch()
    value = VALUES[name]()
    if name == "dataset":
        value = value.tensors
    for again in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value)):
        assert type(again) is type(value)
        assert state(again) == state(value)


@pytest.mark.parametrize("states", [(False, True), (True, False), (True, True)])
def test_checkpoints_hold_minigrads_own_names(states):
    """A whole model saved in one state is loaded in the other."""
    model = minigrad.nn.Sequential(minigrad.nn.Linear(2, 1))
    file = io.BytesIO()
    for write, install in zip((True, False), states, strict=True):
        (as_torch.install_as_torch if install else as_torch.uninstall)()
        if write:
            minigrad.save({"model": model, "class": minigrad.nn.Linear}, file)
        file.seek(0)
    again = minigrad.load(file, weights_only=False)
    assert state(again["model"]) == state(model)
    assert again["class"] is minigrad.nn.Linear


def test_safetensors_of_torch_is_minigrads():
    safetensors = pytest.importorskip("safetensors.torch", exc_type=ImportError)
    minigrad.install_as_torch()
    from safetensors.torch import load, save

    assert load(save({"a": minigrad.ones(2)}))["a"].tolist() == [1, 1]
    assert save is minigrad.utils.safetensors.save
    as_torch.uninstall()
    assert importlib.import_module("safetensors.torch") is safetensors


def test_version_compares_as_pytorchs():
    minigrad.install_as_torch()
    mine = minigrad.__version__
    assert mine == "2.13.0+minigrad.0.1.0"
    assert mine.split(".")[:2] == ["2", "13"]
    for other in ("1.9", "2.9", "2.13.0", "2.13", "2.14", "0.4.1", "3", (2, 9), (2, 13), (2, 14), (2,), [2, 13, 1]):
        theirs = torch.torch_version.TorchVersion("2.13.0")
        mine = TorchVersion("2.13.0")
        for compare in ("__lt__", "__le__", "__gt__", "__ge__"):
            assert getattr(mine, compare)(other) is getattr(theirs, compare)(other), (compare, other)
    with pytest.raises(ValueError, match="'unknown' is not a version"):
        assert mine > "unknown"


# The real torch


def test_real_torch():
    minigrad.install_as_torch()
    with minigrad.real_torch() as real:
        assert real is torch is importlib.import_module("torch")
        assert importlib.import_module("torch.nn.functional") is torch.nn.functional
        assert repr(minigrad.Tensor) == "<class 'minigrad.Tensor'>"
        assert minigrad.__version__ == "0.1.0"
        assert importlib.import_module("torch.special") is torch.special
    assert importlib.import_module("torch") is minigrad
    assert repr(minigrad.Tensor) == "<class 'torch.Tensor'>"
    with minigrad.real_torch() as again:
        assert again is real
        assert sys.modules["torch.special"] is torch.special


def test_real_torch_after_an_error_and_within_itself():
    minigrad.install_as_torch()
    with pytest.raises(KeyError), minigrad.real_torch():
        raise KeyError
    assert importlib.import_module("torch") is minigrad
    with minigrad.real_torch() as outer:
        with minigrad.real_torch() as inner:
            assert inner is outer is torch
        assert importlib.import_module("torch") is torch
        minigrad.install_as_torch()
        assert importlib.import_module("torch") is minigrad
    assert importlib.import_module("torch") is minigrad


def test_real_torch_where_nothing_is_installed():
    with minigrad.real_torch() as real:
        assert real is torch
    assert importlib.import_module("torch") is torch


def test_real_torch_where_there_is_none(monkeypatch):
    """A finder that finds no torch, as where PyTorch is not installed."""
    code = (
        "import sys, minigrad\n"
        "class Nothing:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'torch': raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
        "sys.meta_path.insert(0, Nothing())\n"
        "minigrad.install_as_torch()\n"
        "try:\n"
        "    with minigrad.real_torch(): print('found')\n"
        "except ImportError as error: print(error)\n"
        "import torch; print(torch is minigrad)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "PyTorch is not installed here, and real_torch() needs it: pip install torch. Without it, `import torch` gives "
        "minigrad after minigrad.install_as_torch(), and under `minigrad run`\nTrue\n"
    )


def test_classes_have_their_own_names_again():
    names = {cls: cls.__module__ for cls in (minigrad.Tensor, minigrad.nn.Linear, minigrad.storage.UntypedStorage)}
    minigrad.install_as_torch()
    assert {cls.__module__.partition(".")[0] for cls in names} == {"torch"}
    as_torch.uninstall()
    assert {cls: cls.__module__ for cls in names} == names
