"""What a test must leave as it found it: everything in minigrad's modules, the modes of both engines, the process.

Nothing is listed by hand that can be found out: every global of every module of minigrad, every attribute of its
classes and of the objects that its modules hold, its containers, and the rows of the table with their plans.
"""

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch

import minigrad
from minigrad.derivatives import table

# Set when something is first used, and kept: until then nothing need be looked for, and later it is used again.
KEPT = {
    "minigrad.autograd.grad_mode.inference_used",
    "minigrad.autograd.hooks.Watch.any_leaf",
    "minigrad.as_torch._aside",
    "minigrad.compile",  # imported by its first use
}

OTHERS = ("PYTEST_CURRENT_TEST", "TORCHINDUCTOR_", "TRITON_")  # variables that pytest sets, and PyTorch at its leisure


def namespaces() -> dict[int, tuple[str, Any]]:
    """The mappings, lists and sets that a test could have changed, each once, with its name."""
    found: dict[int, tuple[str, Any]] = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "minigrad":
            found[id(module)] = name, vars(module)
            for key, value in vars(module).items():
                if (held := contents(value, name)) is not None and not key.startswith("__"):
                    found.setdefault(id(value), (f"{name}.{key}", held))
    return found


def contents(value: Any, module: str) -> Any:
    """What can be changed about a global of a module; None where nothing can."""
    if isinstance(value, type):
        return vars(value) if value.__module__ == module else None
    if isinstance(value, (dict, list, set)):
        return value
    if type(value).__module__.partition(".")[0] in ("minigrad", "torch"):  # dtypes say they are torch's
        return getattr(value, "__dict__", None)
    return None


def rows() -> dict[str, Any]:
    return {f"the row of {f}": (id(row), row.function, row.each, *row.rules.values()) for f, row in table.items()}


def stale_plans() -> Iterator[str]:
    """Plans made from a rule that is not in the row, or no more."""
    for row in table.values():
        own = (row.each, *row.rules.values())
        for part in {row, row._wide or row}:
            wrapped = part is not row and row.in_single == "all"
            for pull in (pull for plan in part.plans.values() for _, pull in plan.edges):
                rule = next(cell.cell_contents for cell in pull.__closure__ if callable(cell.cell_contents))
                rule = getattr(rule, "func", rule)
                if (rule.__wrapped__ if wrapped else rule) not in own:
                    yield f"a plan of {row.name}"


def process() -> dict[str, Any]:
    """What else there is in one copy only."""
    return {
        "torch in sys.modules": id(sys.modules.get("torch")),
        "the generators": (type(minigrad.default_generator), id(torch.default_generator)),
        "torch's grad mode": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "torch's anomaly mode": torch.is_anomaly_enabled(),
        "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
        "torch's warnings": torch.is_warn_always_enabled(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's threads": torch.get_num_threads(),
        "torch's print options": dict(vars(torch._tensor_str.PRINT_OPTS)),
        "NumPy's errors": np.geterr(),
        "NumPy's print options": np.get_printoptions(),
        "the working folder": os.getcwd(),
        "sys.path": sys.path[:],
        "sys.meta_path": sys.meta_path[:],
        "the garbage collector": gc.isenabled(),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)],
        "threads": {thread for thread in threading.enumerate() if not thread.daemon},
        "figures": plt.get_fignums(),
    } | {f"${key}": value for key, value in os.environ.items() if not key.startswith(OTHERS)}


class Surroundings:
    """How all of it is now."""

    def __init__(self) -> None:
        self.held = [(name, now, now.copy()) for name, now in namespaces().values()]
        self.rest = process() | rows()

    def differences(self) -> list[str]:
        """The names of what is different by now."""
        found = [*stale_plans()]
        for name, now, before in self.held:
            if now != before:
                keyed = isinstance(before, Mapping)
                found += [f"{name}.{key}" for key in changed(before, now)] if keyed else [f"{name}: {before} to {now}"]
        rest = process() | rows()
        if rest != self.rest:
            found += [f"{key}: {self.rest.get(key)} to {rest.get(key)}" for key in changed(self.rest, rest)]
        return [name for name in found if name not in KEPT]


def changed(before: Mapping[Any, Any], now: Mapping[Any, Any]) -> Iterator[Any]:
    """The keys of other values; what was imported since and what Python keeps in classes don't count."""
    for key in {**before, **now}:
        if key not in before:
            late = isinstance(now[key], ModuleType) or str(getattr(now[key], "__module__", "")).startswith("minigrad.")
            if not late and not str(key).startswith("__"):
                yield key
        elif key not in now or not (now[key] is before[key] or now[key] == before[key]):
            yield key
