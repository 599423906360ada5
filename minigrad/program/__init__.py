"""The derived program: a function, or a training step, written down as NumPy, its backward pass included."""

from minigrad.program.derived import Program, trace
from minigrad.program.symbol import TracingError

__all__ = ["Program", "TracingError", "trace"]
