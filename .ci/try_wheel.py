"""Import every module of an installed minigrad, and train the given example without its plots: only NumPy is there."""

import importlib
import pkgutil
import runpy
import sys
from unittest import mock

import minigrad

for module in pkgutil.walk_packages(minigrad.__path__, "minigrad."):
    if not module.name.endswith(("__main__", "safetensors")):  # which needs the library of that name
        importlib.import_module(module.name)
        print("imported", module.name)
assert "torch" not in sys.modules and "matplotlib" not in sys.modules

minigrad.install_as_torch()
with mock.patch.dict(sys.modules, {name: mock.MagicMock() for name in ("matplotlib", "matplotlib.pyplot", "plots")}):
    loss = runpy.run_path(sys.argv[1])["loss"]
assert loss.item() < 0.5, loss
