"""The program of a script: that of one of its functions, or of a step of its training loop."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any

from minigrad.program.derived import Program, program_of, trace
from minigrad.program.ending import End
from minigrad.program.tracing import Tracer

HOOK = "__minigrad_derive__"  # the name that the changed script finds us under


class Derived(BaseException):
    """Stops the script: the program is there. No Exception, so that no `except` of the script's catches it."""


class Recorder:
    """Traces what a script runs, twice: only the second time all gradients and states of optimizers are there."""

    def __init__(self) -> None:
        self.program: Program | None = None
        self.runs = 0

    def note(self, program: Program) -> None:
        self.program = program
        self.runs += 1
        if self.runs == 2:
            raise Derived

    def function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose first two calls are traced."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            self.note(trace(function, *args, **kwargs))
            return function(*args, **kwargs)

        return call

    def __enter__(self) -> None:
        """Begin to trace a step of a loop."""
        self.tracer = Tracer(numbers_may_be_shown=True)
        self.tracer.__enter__()
        self.tracer.stop = sys._getframe(1).f_back

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        frame = sys._getframe(1)
        self.tracer.frames[id(frame)] = frame
        self.tracer.__exit__(kind, error, traceback)
        if error is None:
            found = End(self.tracer).trace(None)
            found.outputs = list(dict.fromkeys(found.roots))
            found.name = "step"
            if found.outputs:
                self.note(program_of(found, {}))


class Instrument(ast.NodeTransformer):
    """Puts the innermost loops around a backward(), or one function, into a recorder's hands."""

    def __init__(self, function: str | None) -> None:
        self.function = function
        self.found = False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        if node.name == self.function:
            self.found = True
            node.decorator_list.insert(0, ast.parse(f"{HOOK}.function", mode="eval").body)
        return node

    def visit_For(self, node: ast.For) -> ast.AST:
        return self.loop(node)

    def visit_While(self, node: ast.While) -> ast.AST:
        return self.loop(node)

    def loop(self, node: ast.For | ast.While) -> ast.AST:
        self.generic_visit(node)
        inside = [n for statement in node.body for n in ast.walk(statement)]
        recorded = any(isinstance(n, ast.With) and is_hook(n) for n in inside)
        if self.function is None and not recorded and any(map(is_backward, inside)):
            self.found = True
            hook = ast.withitem(ast.Name(HOOK, ast.Load()), None)
            node.body = [ast.copy_location(ast.With([hook], node.body), node.body[0])]
        return node


def is_hook(node: ast.With) -> bool:
    return any(isinstance(x.context_expr, ast.Name) and x.context_expr.id == HOOK for x in node.items)


def is_backward(node: ast.AST) -> bool:
    """Whether it calls a method or a function named backward."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "backward"


def instrumented(source: bytes, path: str, function: str | None) -> CodeType:
    """The script's code, in which the function, or the training loop, is traced. ValueError where it has none."""
    tree = ast.parse(source, path)
    instrument = Instrument(function)
    instrument.visit(tree)
    if not instrument.found:
        what = (
            f"no function {function!r}" if function else "no loop that calls backward(): name a function, script.py:f"
        )
        raise ValueError(f"{path} has {what}")
    return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)
