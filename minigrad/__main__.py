"""The command line: `minigrad run script.py`, or `python -m minigrad run script.py`."""

from __future__ import annotations

import argparse
import builtins
import contextlib
import io
import os
import sys
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from types import ModuleType, TracebackType

from minigrad import absent, as_torch
from minigrad.program import TracingError
from minigrad.program.script import HOOK, Derived, Recorder, instrumented

OURS = frozenset({__file__, absent.__file__, as_torch.__file__})  # files whose frames tell a script's user nothing


def run(script: str, args: Sequence[str]) -> int:
    """Run a PyTorch script as `python script args` would, with minigrad as torch. Returns the exit status.

    What the script raises is raised here: the interpreter deals with it, and shows it without the frames of this file.
    """
    path = os.path.join(os.getcwd(), script)
    source = read(path)
    if source is None:
        return 2
    main = main_module(path, [script, *args])
    try:
        exec(compile(source, path, "exec", dont_inherit=True), vars(main))
    except BaseException:
        show = sys.excepthook  # Python's, or one that the script has set

        def show_without_ours(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            while trace is not None and trace.tb_frame.f_globals is not vars(main):
                trace = trace.tb_next
            hide_ours(error.with_traceback(trace), set())
            show(kind, error, error.__traceback__)

        sys.excepthook = show_without_ours
        raise
    return 0


def read(path: str) -> bytes | None:
    """What a script's file holds; None where it can't be read, which is told as Python tells it."""
    try:
        with io.open_code(path) as file:
            return file.read()
    except OSError as error:
        print(f"minigrad: can't open file {path!r}: [Errno {error.errno}] {error.strerror}", file=sys.stderr)
        return None


def main_module(path: str, argv: list[str]) -> ModuleType:
    """The module that a script runs in, as Python's own, with minigrad as torch."""
    sys.argv = argv
    if not sys.flags.safe_path:
        sys.path[0] = os.path.dirname(os.path.realpath(path))
    main = sys.modules["__main__"] = ModuleType("__main__")
    main.__file__ = path
    main.__loader__ = SourceFileLoader("__main__", path)
    main.__package__ = None
    vars(main).update(__builtins__=builtins, __annotations__={}, __cached__=None)
    as_torch.install_as_torch()
    return main


def derive(target: str, args: Sequence[str]) -> int:
    """Print the derived program of `script.py:function`, or of the training loop of `script.py`.

    The script runs until the function is called a second time, or the loop has made a second step; what it prints goes
    to the standard error. The exit status is 1 where there is nothing to derive.
    """
    script, _, function = target.partition(":")
    path = os.path.join(os.getcwd(), script)
    source = read(path)
    if source is None:
        return 2
    recorder = Recorder()
    try:
        code = instrumented(source, path, function or None)
        main = main_module(path, [script, *args])
        vars(main)[HOOK] = recorder
        with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(Derived):
            exec(code, vars(main))
        if recorder.program is None:
            raise ValueError(f"{path} ended before it came to what was to be derived")
    except (ValueError, TracingError) as error:
        print(f"minigrad: {error}", file=sys.stderr)
        return 1
    print(recorder.program.source, end="")
    return 0


def hide_ours(error: BaseException | None, seen: set[int]) -> None:
    """Take our frames out of the traceback of an exception, and of those that it came from or holds."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    kept, trace = None, error.__traceback__
    traces = []
    while trace is not None:
        if trace.tb_frame.f_code.co_filename not in OURS:
            traces.append(trace)
        trace = trace.tb_next
    for trace in reversed(traces):
        trace.tb_next, kept = kept, trace
    error.__traceback__ = kept
    for other in (error.__cause__, error.__context__, *getattr(error, "exceptions", ())):
        hide_ours(other, seen)


def parser() -> argparse.ArgumentParser:
    """The command line's options."""
    top = argparse.ArgumentParser(prog="minigrad", description="PyTorch you can read, on NumPy.")
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    script = commands.add_parser(
        "run",
        help="run a PyTorch script without PyTorch",
        description="Run a PyTorch script as `python script.py` would, with minigrad wherever it imports torch.",
    )
    # All from the script on is the script's, its options and "--" too: what argparse does for a subcommand
    script.add_argument("script", nargs=argparse.PARSER, help="the file to run, and its arguments")
    derived = commands.add_parser(
        "derive",
        help="print the NumPy program of a function, or of a script's training loop",
        description="Print the NumPy program, backward pass included, of a function of a script, or of a step of its "
        "training loop. The script runs until it has made two steps.",
    )
    derived.add_argument("script", nargs=argparse.PARSER, help="script.py or script.py:function, and its arguments")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; returns the exit status."""
    options = parser().parse_args(argv)
    script, *args = options.script
    return derive(script, args) if options.command == "derive" else run(script, args)


if __name__ == "__main__":
    sys.exit(main())
