"""The command line: `minigrad run script.py`, or `python -m minigrad run script.py`."""

from __future__ import annotations

import argparse
import builtins
import io
import os
import sys
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from types import ModuleType, TracebackType

from minigrad import absent, as_torch

OURS = frozenset({__file__, absent.__file__, as_torch.__file__})  # files whose frames tell a script's user nothing


def run(script: str, args: Sequence[str]) -> int:
    """Run a PyTorch script as `python script args` would, with minigrad as torch. Returns the exit status.

    What the script raises is raised here: the interpreter deals with it, and shows it without the frames of this file.
    """
    path = os.path.join(os.getcwd(), script)
    try:
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        print(f"minigrad: can't open file {path!r}: [Errno {error.errno}] {error.strerror}", file=sys.stderr)
        return 2
    sys.argv = [script, *args]
    if not sys.flags.safe_path:
        sys.path[0] = os.path.dirname(os.path.realpath(path))
    main = sys.modules["__main__"] = ModuleType("__main__")
    main.__file__ = path
    main.__loader__ = SourceFileLoader("__main__", path)
    main.__package__ = None
    vars(main).update(__builtins__=builtins, __annotations__={}, __cached__=None)
    as_torch.install_as_torch()
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
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; returns the exit status."""
    options = parser().parse_args(argv)
    script, *args = options.script
    return run(script, args)


if __name__ == "__main__":
    sys.exit(main())
