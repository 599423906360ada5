"""Where the statements of a trace come from: the user's line, the part of the program, whose gradient they make."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from minigrad.autograd.graph import accumulate, grad, sweep
from minigrad.autograd.node import INTERNAL, line_of
from minigrad.program.representation import Phase, Statement, Value
from minigrad.program.symbol import Symbol, TracingError

PACKAGE = Path(__file__).parents[1]
OPTIM = str(PACKAGE / "optim")


class Origins:
    """What a tracer knows of the functions that run."""

    def __init__(self) -> None:
        self.stop: FrameType | None = None  # the frame below the user's function
        self.frames: dict[int, FrameType] = {}  # of the user's functions
        self.roots: list[Any] = []  # the nodes that backward passes began at
        self.calls: list[str] = []  # the kernels whose bodies are being run

    def frames_up(self) -> Iterator[FrameType]:
        """The frames from here to the traced function's caller."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and frame is not self.stop:
            yield frame
            frame = frame.f_back

    def user_frame(self) -> FrameType | None:
        """The innermost frame of the user's."""
        return next((f for f in self.frames_up() if f.f_code.co_filename not in INTERNAL), None)

    @property
    def in_optimizer(self) -> bool:
        return any(f.f_code.co_filename.startswith(OPTIM) for f in self.frames_up())

    def locate(self, statement: Statement) -> None:
        """Note the user's line, the phase, and in a backward pass whose gradient is being made."""
        phase = Phase.FORWARD
        statement.label = self.calls[0] if self.calls else ""
        for frame in self.frames_up():
            code = frame.f_code
            if code is sweep.__code__ and phase is Phase.FORWARD:
                phase = Phase.BACKWARD
                self.note_gradients(frame.f_locals, statement)
            elif code is accumulate.__code__:
                phase = Phase.BACKWARD
                self.note_gradient(statement, frame.f_locals["tensor"])
            elif code is grad.__code__ and phase is Phase.FORWARD:
                phase = Phase.BACKWARD
                self.note_gradient(statement, frame.f_locals.get("edge"))
            elif code.co_filename.startswith(OPTIM):
                phase = Phase.UPDATE
            elif code.co_filename not in INTERNAL:
                if statement.where is None:
                    statement.where = code, frame.f_lasti
                self.frames[id(frame)] = frame
        statement.phase = phase

    def note_gradient(self, statement: Statement, edge: Any) -> None:
        statement.edge = edge
        for value in statement.results:
            self.note(edge, value)

    def note(self, edge: Any, value: Value) -> None:
        if edge is not None and all(edge is not e for e in value.gradient_of):  # leaves can't be compared by ==
            value.gradient_of.append(edge)

    def note_gradients(self, found: dict[str, Any], statement: Statement) -> None:
        """Note what a sweep's arrays are the gradients of."""
        node = found.get("node")
        self.roots += [edge for edge, _ in found["seeds"] if all(edge is not e for e in self.roots)]
        statement.edge = found.get("edge")
        statement.label = node.label if node is not None else ""
        pairs = [*found.get("gradients", {}).items(), (node, found.get("g"))]
        for edge, g in pairs:
            if isinstance(g, Symbol):
                self.note(edge, g._value)

    def refuse(self, what: str) -> NoReturn:
        """TracingError, which names the user's line."""
        frame = self.user_frame()
        at = "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}: "
        raise TracingError(
            f"{at}{what}, which a program traced once can't depend on. Move what depends on a tensor's value (if, "
            "while, print, float()) out of the function: return the tensor, and look at it outside"
        )


def where_text(statement: Statement) -> str:
    """The user's source line of a statement, without its comment."""
    if statement.where is None:
        return ""
    filename, line, _ = line_of(statement.where)
    return linecache.getline(filename, line).strip()
