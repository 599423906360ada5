"""Lowering: the statements of a trace as lines of Python that write to arrays made beforehand.

What a line needs is bound to a name once: arrays of tensors, buffers, views of them, constants as arrays of no dims
(NumPy takes half the time with them that it takes with Python's numbers). Single elements are computed with as NumPy's
numbers, which give the same bits. Numbers that come from an optimizer's groups alone are computed anew when one of
these changes. Only what the caller is given is allocated in a call.
"""

from __future__ import annotations

import builtins
import keyword
import operator
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minigrad.program.aliasing import check_buffers, check_storages
from minigrad.program.buffers import Buffers, dense
from minigrad.program.origins import where_text
from minigrad.program.representation import Kind, Method, Statement, Storage, Trace, Value, mapped
from minigrad.program.symbol import TracingError

INFIX: dict[Any, str] = {np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/", operator.add: "+",
                         operator.sub: "-", operator.mul: "*", operator.truediv: "/", operator.pow: "**",
                         operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=", operator.eq: "==",
                         operator.ne: "!="}  # fmt: skip
EXACT = (np.add, np.subtract, np.multiply, np.divide, np.negative)  # on numbers as on arrays
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
PRODUCTS = (np.matmul, np.dot, Method("dot"))
RESERVED = re.compile(r"args|kwargs|leaves|structure|renew|run|MISS|(a|x|g|out)\d+")  # variables of the program itself
LITERALS = (bool, int, str, type(None), type(Ellipsis))


class Lowering:
    """Writes the lines of a trace; `names` are those of the inputs that are looked up in each call."""

    def __init__(self, trace: Trace, names: dict[Value, str], donated: Iterable[Storage] = ()) -> None:
        self.trace = trace
        self.names = dict(names)
        self.space: dict[str, Any] = {}  # what the names in the lines are bound to
        self.counts: dict[str, int] = {}
        self.bound: dict[int, str] = {}
        self.fixed: dict[Value, Any] = {}  # arrays that are the same ones in each call
        self.constant: set[Value] = set()  # those of them that nothing changes
        self.scalars: set[Value] = set()
        self.spilled: dict[Value, str] = {}
        self.spelled: dict[Value, str] = {}  # in the call that is being written
        self.static: set[Value] = set()  # numbers that change with the hyper-parameters alone
        self.cells: dict[Any, str] = {}  # arrays of no dims that hold numbers
        self.lines: list[str] = []
        self.renewal: list[str] = []
        self.written = trace.written()
        self.kept = {v.storage for v in trace.results()} - {*donated}
        for v in trace.inputs:
            if v.kind is Kind.NUMBER:
                self.names[v] = self.name(v.name or "number")
                self.static.add(v)
            elif v not in self.names and v.kind is not Kind.DRAW:
                self.fixed[v] = v.real
        check_storages(trace)
        order = [*hoisted(trace)]
        trace.statements = order
        self.buffers = Buffers(trace)
        self.buffers.last.update(dict.fromkeys(donated, len(order)))  # they outlive the call
        self.place = 0
        comment = ""
        for self.place, s in enumerate(order):
            before = len(self.lines)
            self.lower(s)
            if len(self.lines) > before and (said := where_text(s)) and said != comment:
                comment = said
                self.lines.insert(before, f"# {said}")
            self.buffers.release(self.place, s)
        check_buffers(order, self.buffers.taken, {*donated})

    # names

    def name(self, hint: str) -> str:
        if not hint.isidentifier() or keyword.iskeyword(hint):
            hint = "v"
        elif hasattr(builtins, hint) or RESERVED.fullmatch(hint):
            hint += "_"
        count = self.counts[hint] = self.counts.get(hint, 0) + 1
        name = hint if count == 1 else f"{hint}_{count}"
        while name in self.space:
            count = self.counts[hint] = count + 1
            name = f"{hint}_{count}"
        self.space[name] = None
        return name

    def bind(self, x: Any, hint: str = "c") -> str:
        """The name of an object."""
        name = self.bound.get(id(x))
        if name is None:
            name = self.bound[id(x)] = self.name(hint)
            self.space[name] = x
        return name

    def new_name(self, v: Value) -> str:
        name = self.names[v] = self.name(v.name or "v")
        return name

    # operands

    def text(self, x: Any) -> str:
        """Any argument, as it stands in a call."""
        if isinstance(x, Value):
            return self.spelled.get(x) or (self.names[x] if x.is_number or x in self.scalars else self.array(x))
        if type(x) is tuple:
            return f"({', '.join(map(self.text, x))}{',' if len(x) == 1 else ''})"
        if type(x) is list:
            return f"[{', '.join(map(self.text, x))}]"
        if isinstance(x, slice):
            return f"slice({self.text(x.start)}, {self.text(x.stop)}, {self.text(x.step)})"
        return repr(x) if type(x) in LITERALS and x is not Ellipsis else self.bind(x)

    def array(self, v: Value) -> str:
        """A value as an array."""
        if v in self.fixed:
            return self.bind(self.fixed[v], v.name or ("b" if v.storage.local else "a"))
        if v in self.scalars:
            if v not in self.spilled:
                cell = np.empty(v.shape, v.dtype)
                self.spilled[v] = self.bind(cell, "cell")
                self.lines.append(f"{self.spilled[v]}{element(v)} = {self.names[v]}")
            return self.spilled[v]
        return self.names[v]

    def operand(self, x: Any, dtype: Any) -> str:
        """An operand of a NumPy function on elements, beside arrays of a dtype: numbers as arrays of no dims."""
        if isinstance(x, Value) and not x.is_number:
            return self.array(x)
        number = x.real if isinstance(x, Value) else x
        weak = type(number) in (int, float) and dtype is not None
        if weak and dtype.kind == "f":
            target = dtype
        elif weak and dtype.kind in "iu" and type(number) is int and not isinstance(x, Value):
            info = np.iinfo(dtype)
            target = dtype if info.min <= number <= info.max else None
        else:
            target = x.dtype if isinstance(x, np.generic) else None
        if target is None:
            return self.text(x)
        if not isinstance(x, Value):
            key = type(x), repr(x), target
            if key not in self.cells:
                with np.errstate(all="ignore"):
                    self.cells[key] = self.bind(np.asarray(x).astype(target), "k")
            return self.cells[key]
        if (x, target) not in self.cells:
            cell = self.cells[x, target] = self.bind(np.empty((), target), x.name or "k")
            (self.renewal if x in self.static else self.lines).append(f"{cell}[()] = {self.names[x]}")
        return self.cells[x, target]

    def number(self, x: Any) -> str:
        """A single element as a number."""
        if isinstance(x, Value) and not x.is_number and x not in self.scalars:
            return f"{self.array(x)}{element(x)}"
        return repr(x) if type(x) in (int, float) and abs(x) < 1e300 else self.text(x)

    # statements

    def lower(self, s: Statement) -> None:
        if s.is_check:
            self.check(s)
        elif s.results and all(v.is_number for v in s.results):
            self.numbers(s)
        elif not self.hoist(s):
            if s.writes:
                self.write(s)
            else:
                self.compute(s)

    def check(self, s: Statement) -> None:
        x, expected = s.args
        if x in self.static:
            self.renewal.append(f"if {self.names[x]} != {self.text(expected)}:\n    return False")
        else:
            self.lines.append(f"if {self.names[x]} != {self.text(expected)}:\n    return MISS")

    def numbers(self, s: Statement) -> None:
        """Python's numbers."""
        inputs = list(s.inputs())
        (v,) = s.results
        if s.function in INFIX and not s.kwargs:
            made = f"{self.number(s.args[0])} {INFIX[s.function]} {self.number(s.args[1])}"
        else:
            made = self.called(s)
        line = f"{self.new_name(v)} = {made}"
        if all(x in self.static for x in inputs):
            self.static.add(v)
            self.renewal.append(line)
        else:
            self.lines.append(line)

    def hoist(self, s: Statement) -> bool:
        """Compute at once what is the same in each call: constants, and views of what stays in its place."""
        inputs = list(s.inputs())
        if s.writes or any(v.kind is Kind.DRAW for v in s.results) or not s.results:
            return False
        views = bool(inputs) and all(v.storage is inputs[0].storage for v in s.results)
        constant = all(v in self.constant for v in inputs)
        changed = any(v.storage in self.written or v.storage in self.kept for v in s.results)
        if not (all(v in self.fixed for v in inputs) and (views or (constant and not changed))):
            return False
        real = mapped(lambda x: self.fixed[x] if isinstance(x, Value) else x, s.args)
        kwargs = mapped(lambda x: self.fixed[x] if isinstance(x, Value) else x, s.kwargs)
        with np.errstate(all="ignore"):
            made = s.function(*real, **kwargs)
        for v, x in zip(s.results, made if s.several else [made], strict=True):
            self.fixed[v] = np.asarray(x) if views else laid_out(x, v.real)
            if constant:
                self.constant.add(v)
        return True

    def write(self, s: Statement) -> None:
        """A statement that writes in place."""
        out = s.kwargs.get("out")
        if isinstance(out, Value) and set(s.kwargs) == {"out"} and isinstance(s.function, np.ufunc):
            if self.single(s, out):
                self.lines.append(f"{self.array(out)}{element(out)} = {self.infix(s)}")
            else:
                self.lines.append(self.ufunc(s, self.array(out)))
            return
        if s.function is np.copyto and self.fills(s):
            x, value = s.args
            self.lines.append(f"{self.array(x)}{element(x)} = {self.number(value)}")
            return
        if s.function is operator.setitem:
            x, index, value = s.args
            self.lines.append(f"{self.array(x)}[{self.text(index)}] = {self.text(value)}")
            return
        self.lines.append(self.called(s))

    def fills(self, s: Statement) -> bool:
        """Whether a copy writes a number to a single element."""
        x, value = s.args
        number = type(value) in (int, float) or (isinstance(value, Value) and value in self.scalars)
        return number and np.size(x.real) == 1 and x.dtype in (SINGLE, DOUBLE)

    def single(self, s: Statement, v: Value) -> bool:
        """Whether an operation is one on single elements, which NumPy's numbers do in less time."""
        sizes = all(np.size(x.real) == 1 for x in s.inputs())
        dtypes = {x.dtype for x in s.inputs() if not x.is_number} | {v.dtype}
        plain = all(isinstance(x, (Value, int, float, np.generic)) and not isinstance(x, bool) for x in s.args)
        plain = plain and all(x.dtype == v.dtype for x in s.args if isinstance(x, np.generic))
        arrays = any(not x.is_number for x in s.inputs())
        return s.function in EXACT and sizes and plain and arrays and len(dtypes) == 1 and v.dtype in (SINGLE, DOUBLE)

    def infix(self, s: Statement) -> str:
        if s.function is np.negative:
            return f"-{self.number(s.args[0])}"
        x, y = map(self.number, s.args[:2])
        return f"{x} {INFIX[s.function]} {f'({y})' if y.startswith('-') else y}"

    def ufunc(self, s: Statement, out: str = "") -> str:
        dtypes = [
            x.dtype for x in s.args if isinstance(x, (Value, np.generic)) and getattr(x, "dtype", None) is not None
        ]
        dtype = np.dtype(s.kwargs["dtype"]) if "dtype" in s.kwargs else None
        args = [self.operand(x, dtype or (dtypes[0] if len({*dtypes}) == 1 else None)) for x in s.args]
        named = s.function in (np.maximum, np.minimum)  # NumPy wants `out` by its name there
        last = [f"out={out}" if named else out] if out else []
        if dtype is not None:
            last.append(f"dtype={self.bind(dtype, 'dtype')}")
        return f"{self.bind(s.function, s.function.__name__)}({', '.join(args + last)})"

    def called(self, s: Statement) -> str:
        """A statement as a plain call."""
        lasting = any(v.storage in self.kept or v.storage in self.written for v in s.results)
        for v in {*s.inputs()} & self.scalars:  # what stays has memory of its own
            made = f"{self.bind(np.full, 'full')}({v.shape}, {self.names[v]}, {self.bind(v.dtype, 'dtype')})"
            self.spelled[v] = made if lasting else self.array(v)
        named = [f"{name}={self.text(x)}" for name, x in s.kwargs.items()]
        args = [*map(self.text, s.args)]
        self.spelled.clear()
        if isinstance(s.function, Method):
            return f"{args[0]}.{s.function.name}({', '.join(args[1:] + named)})"
        if s.function is operator.getitem:
            return f"{args[0]}[{args[1]}]"
        if s.function in INFIX and not s.kwargs and len(args) == 2 and not isinstance(s.function, np.ufunc):
            return f"{args[0]} {INFIX[s.function]} {args[1]}"
        hint = getattr(s.function, "__name__", "f")
        owner = getattr(s.function, "__self__", None)
        if isinstance(owner, np.ufunc):
            hint = f"{owner.__name__}_{hint}"
        return f"{self.bind(s.function, hint)}({', '.join(args + named)})"

    def compute(self, s: Statement) -> None:
        """A statement that makes arrays, or NumPy's numbers."""
        if s.several or len(s.results) != 1:
            names = [self.new_name(v) for v in s.results]
            self.lines.append(f"{', '.join(names)}{',' if s.several and len(names) == 1 else ''} = {self.called(s)}"
                              if names else self.called(s))  # fmt: skip
            return
        (v,) = s.results
        kept, changed = v.storage in self.kept, v.storage in self.written
        inputs = list(s.inputs())
        view = bool(inputs) and v.storage is inputs[0].storage
        reshaped = s.function == Method("reshape") and inputs[0] in self.scalars and len(inputs) == 1
        if reshaped and np.size(v.real) == 1 and not (kept or changed):
            self.scalars.add(v)  # another shape of a number
            self.names[v] = self.names[inputs[0]]
            return
        if self.single(s, v):
            made = self.infix(s)
            if kept or changed:
                self.make(v, s, kept)
                self.lines.append(f"{self.array(v)}{element(v)} = {made}")
            else:
                self.scalars.add(v)
                self.lines.append(f"{self.new_name(v)} = {made}")
            return
        template = None if view or v.dtype is None or v.dtype.kind == "O" else self.template(s, v)
        if template is None or (kept and v.shape != ()):
            made = self.called(s) if template is None else self.allocating(s)
            if v.shape == () and not view and v.kind is not Kind.DRAW:
                if kept or changed or v.needs_array:
                    made = f"{self.bind(np.asarray, 'asarray')}({made})"
                else:
                    self.scalars.add(v)
            self.lines.append(f"{self.new_name(v)} = {made}")
        elif v.shape == () and not (kept or changed or v.needs_array):
            self.scalars.add(v)
            self.lines.append(f"{self.new_name(v)} = {self.allocating(s)}")
        else:
            for x in inputs:  # what they need comes first
                self.text(x)
            self.make(v, s, kept)
            self.lines.append(template(self.array(v)))

    def make(self, v: Value, s: Statement, kept: bool) -> None:
        """Memory for a value: new in each call where the caller is given it."""
        if not kept:
            self.fixed[v] = self.buffers.array(v, self.place, s, self.fixed)
            return
        real = np.asarray(v.real)
        empty = self.bind(np.empty, "empty")
        self.lines.append(f"{self.new_name(v)} = {empty}({real.shape}, {self.bind(real.dtype, 'dtype')})")

    def allocating(self, s: Statement) -> str:
        """A statement that has a template, as a call that makes its own result."""
        if isinstance(s.function, np.ufunc) and set(s.kwargs) <= {"dtype"}:
            if s.function is np.matmul and product(s):
                return f"{self.array(s.args[0])}.dot({self.array(s.args[1])})"
            return self.ufunc(s)
        if reduces(s.function) and set(s.kwargs) <= {"axis", "keepdims", "dtype"} and len(s.args) == 1:
            return self.reduction(s)
        return self.called(s)

    def template(self, s: Statement, v: Value) -> Callable[[str], str] | None:
        """How a statement writes into an array that it is given; None where it can't."""
        f, args = s.function, s.args
        if f is np.full and len(args) == 3:
            return lambda out: f"{out}.fill({self.text(args[1])})"
        if f in PRODUCTS and product(s) and not s.kwargs and dense(v.real) == v.strides:
            return lambda out: f"{self.array(args[0])}.dot({self.array(args[1])}, {out})"
        if isinstance(f, np.ufunc) and f.nout == 1 and set(s.kwargs) <= {"dtype"}:
            return lambda out: self.ufunc(s, out)
        if reduces(f) and set(s.kwargs) <= {"axis", "keepdims", "dtype"} and len(args) == 1:
            return lambda out: self.reduction(s, out)
        if f == Method("astype") and len(args) == 2 and not s.kwargs:
            copyto = self.bind(np.copyto, "copyto")
            return lambda out: f"{copyto}({out}, {self.array(args[0])}, 'unsafe')"
        if f in (Method("copy"), np.copy) and isinstance(args[0], Value):
            return lambda out: f"{self.bind(np.copyto, 'copyto')}({out}, {self.array(args[0])})"
        return None

    def reduction(self, s: Statement, out: str = "None") -> str:
        axis = s.kwargs.get("axis", 0)
        axis = axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis
        owner: Any = s.function.__self__  # type: ignore[attr-defined]
        args = [self.array(s.args[0]), self.text(axis), self.text(s.kwargs.get("dtype")), out]
        if s.kwargs.get("keepdims"):
            args.append("True")
        while len(args) > 2 and args[-1] == "None":
            args.pop()
        return f"{self.bind(s.function, f'{owner.__name__}_reduce')}({', '.join(args)})"


def laid_out(x: Any, real: Any) -> Any:
    """A constant in the layout that it had in the trace, which what is computed with it takes over."""
    x, real = np.asarray(x), np.asarray(real)
    if x.strides == real.strides or x.shape != real.shape or 0 in real.strides:
        return x
    made = np.ndarray(real.shape, real.dtype, np.empty(real.size, real.dtype), 0, dense(real))
    made[...] = x
    return made


def reduces(function: Any) -> bool:
    return isinstance(getattr(function, "__self__", None), np.ufunc) and function.__name__ == "reduce"


def product(s: Statement) -> bool:
    """Whether a statement is a product of matrices that BLAS computes with the bits of matmul."""
    x, y = s.args[:2]
    both = isinstance(x, Value) and isinstance(y, Value) and len(s.args) == 2
    if not both or len(x.shape) != 2 or len(y.shape) != 2 or min(np.size(x.real), np.size(y.real)) < 2:
        return False
    packed = all(v.real.flags.forc for v in (x, y))  # others are copied, and vectors of them summed in another order
    return packed and x.dtype == y.dtype and x.dtype in (SINGLE, DOUBLE)


def element(v: Value) -> str:
    """The index of the single element of a value."""
    return f"[{', '.join('0' * len(v.shape)) or '()'}]"


def hoisted(trace: Trace) -> list[Statement]:
    """The statements, those first that checks depend on: a check must come before anything has changed.

    TracingError where one depends on a draw or on a write to what was there before.
    """
    needed: set[Statement] = set()
    wanted: set[Value] = set()
    for s in reversed(trace.statements):
        if (s.is_check and any(v.kind is not Kind.NUMBER for v in s.inputs())) or any(v in wanted for v in s.results):
            needed.add(s)
            wanted.update(s.inputs())
    changing = [s for s in trace.statements if s.writes or any(v.kind is Kind.DRAW for v in s.results)]
    if not needed or not changing:
        return trace.statements
    static = {v for v in trace.inputs if v.kind is Kind.NUMBER}
    for s in trace.statements:
        if all(v in static for v in s.inputs()) and all(v.is_number for v in s.results):
            static.update(s.results)
    for s in trace.statements:
        if s in needed and any(v.kind is Kind.DRAW for v in s.results):
            raise TracingError(
                f"what the function does depends on random numbers that it draws itself, at `{where_text(s)}`, such as "
                "how many places a mask names: a compiled step can't take them back. Leave it uncompiled"
            )
        if s in needed and s in changing and not all(v.storage.local and not s.is_check for v in s.writes):
            raise TracingError(
                f"what the function does depends on numbers that it changes itself, at `{where_text(s)}` (RAdam's step "
                "does one thing or another by its count of steps): "
                "a compiled step can't look at them again before it begins. Leave it uncompiled"
            )
    versions = {v.storage for s in needed for v in s.inputs()}
    if any(v.storage in versions and s not in needed for s in changing for v in s.writes):
        lasting = [
            i for i, s in enumerate(trace.statements)
            if s in changing and not (s.writes and all(v.storage.local for v in s.writes))
        ]  # fmt: skip
        first = min(lasting, default=len(trace.statements))
        if any(s.is_check for s in trace.statements[first:]):
            raise TracingError("what the function does depends on memory that it writes to: leave it uncompiled")
        return trace.statements
    return [s for s in trace.statements if s in needed] + [s for s in trace.statements if s not in needed]


def indented(lines: list[str]) -> list[str]:
    """The lines of a function's body."""
    return ["    " + line for text in lines for line in text.split("\n")]
