"""The engines: which there are, and how each is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib import import_module
from types import MappingProxyType
from typing import Any

from benchmarks.engines.loop import Backend, Unavailable

BASELINE = "NumPy by hand"
SUBJECT = "minigrad"
PEER = "PyTorch"
BLAS = "BLAS alone"


@dataclass(frozen=True)
class Engine:
    """An engine by name. `module` is what it needs installed, `file` how it is spelled, in this folder."""

    name: str
    module: str
    file: str
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    memory: str = ""  # who counts what it allocates: see memory.py
    tolerance: float = 2e-3  # how far its parameters may be from NumPy's, relative to how far they have moved
    default: bool = True  # runs without being asked for
    imports: bool = True  # stands for its module where the import is timed
    agrees: bool = True  # computes what the others compute

    def load(self) -> Backend:
        """Import it. Unavailable, with the reason, where that can't be."""
        try:
            import_module(self.module)
        except ModuleNotFoundError as error:
            raise Unavailable("not installed" if error.name == self.module else str(error)) from error
        except Exception as error:  # a broken installation
            raise Unavailable(f"{type(error).__name__}: {error}") from error
        backend: Backend = import_module(f"benchmarks.engines.{self.file}").load(**self.options)
        return backend


def _torch_like(name: str, module: str, memory: str = "", tolerance: float = 2e-3, **options: Any) -> Engine:
    """An engine with PyTorch's API."""
    default = not (module == "torch" and options.get("how") == "compiled")
    imports = name in (SUBJECT, PEER)
    return Engine(name, module, "torch_variants", {"module": module, **options}, memory, tolerance, default, imports)


ENGINES = (
    Engine(BASELINE, "numpy", "with_numpy", memory="tracemalloc"),
    _torch_like(SUBJECT, "minigrad", "tracemalloc"),
    _torch_like("minigrad compiled", "minigrad", "tracemalloc", how="compiled"),
    _torch_like(PEER, "torch", "profiler", precision="highest"),
    _torch_like("torch.compile", "torch", "profiler", how="compiled", precision="highest"),
    _torch_like("PyTorch CUDA", "torch", "cuda", device="cuda", precision="highest"),
    _torch_like("PyTorch CUDA graph", "torch", device="cuda", how="graph", precision="highest"),
    _torch_like("PyTorch CUDA, TF32", "torch", "cuda", 0.1, device="cuda", precision="high"),
    Engine("jax.jit", "jax", "with_jax"),
    Engine("MyGrad", "mygrad", "with_mygrad", memory="tracemalloc"),
    Engine("HIPS autograd", "autograd", "with_autograd", memory="tracemalloc"),
    Engine("tinygrad", "tinygrad", "with_tinygrad"),
    Engine("micrograd", "micrograd", "with_micrograd"),
    Engine(BLAS, "numpy", "with_blas", imports=False, agrees=False),
)


def select(patterns: Sequence[str]) -> list[Engine]:
    """The engines whose names match one of the patterns, and NumPy by hand, which all are compared with.

    ValueError for a pattern that matches none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(engine.name.lower(), pattern.lower()) for engine in ENGINES):
            raise ValueError(f"no engine is called {pattern!r}: --list shows their names")
    if not patterns:
        return [engine for engine in ENGINES if engine.default]
    return [e for e in ENGINES if e.name == BASELINE or any(fnmatchcase(e.name.lower(), p.lower()) for p in patterns)]
