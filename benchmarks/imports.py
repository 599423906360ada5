"""The time of an import: of a whole process that does nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.engines.loop import Loop


def loop(module: str) -> Loop:
    """A step is a process. It finds the same minigrad as this one."""
    root = str(Path(__file__).resolve().parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])}
    command = [sys.executable, "-c", f"import {module}"]
    return Loop(lambda: subprocess.run(command, env=environment, check=True), list)
