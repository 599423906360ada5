"""The machine that is measured on: its description, and how many threads the engines may use.

Imports nothing but the standard library: the number of threads must be set before NumPy is loaded.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS")
DISTRIBUTIONS = ("numpy", "torch", "jax", "mygrad", "autograd", "micrograd", "tinygrad")
ALL_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def limit_threads(threads: int) -> None:
    """Give every engine so many threads: by the variables that their libraries read, and by so many cores.

    The cores are what holds: XLA and tinygrad ask how many the process has. Where the system can't pin a process
    (macOS, Windows) the variables alone must do.
    """
    for variable in POOLS:
        os.environ[variable] = str(threads)
    if threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("DEV", "CPU")  # tinygrad's device
    if ALL_CORES:
        os.sched_setaffinity(0, ALL_CORES[-threads:])  # the last ones: the first serve most interrupts


@contextmanager
def all_cores() -> Iterator[None]:
    """Threads that are started here may run on any core; the one that starts them goes back to its own."""
    if not ALL_CORES:
        yield
        return
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, ALL_CORES)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def processor() -> str:
    """The model of the CPU, as the system names it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.lower().startswith(("model name", "cpu part")):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def version(distribution: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def describe(threads: int, gpu: str | None) -> dict[str, object]:
    """What a reader of the numbers must know of where they were measured."""
    versions = {name: version(name) for name in DISTRIBUTIONS}
    return {
        "processor": processor(),
        "cores": len(ALL_CORES) or os.cpu_count(),
        "threads": threads,
        "gpu": gpu,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {name: found for name, found in versions.items() if found},
        "date": datetime.now(UTC).date().isoformat(),
    }
