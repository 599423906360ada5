"""Tracing: a function runs once, as ever, and what it does to arrays is written down.

The door is `Tensor._array`, the one way to a tensor's numbers. While a trace runs, the thread that runs it finds a
property there instead of the slot: it hands out a Symbol of the array, and where a Symbol is stored it puts the real
array into the slot. So the tensors hold real arrays at every moment, an exception leaves them as it leaves them in an
eager run, and nothing needs to be known beforehand: parameters, captured tensors, gradients and the state of
optimizers become inputs of the program when they are first read. Forward, backward and optimizers run on Symbols
because what they compute with are arrays of tensors; there is no second list of operations.
"""

from __future__ import annotations

import functools
import linecache
import operator
import sys
import threading
from collections.abc import Callable, Mapping, Set
from typing import Any

import numpy as np

from minigrad.autograd.grad_mode import state, unless_entered
from minigrad.autograd.graph import below
from minigrad.autograd.node import INTERNAL, TensorBase
from minigrad.derivatives import table
from minigrad.kernels import descend
from minigrad.optim.optimizer import Optimizer
from minigrad.primitive import packing
from minigrad.program.origins import OPTIM, PACKAGE, Origins
from minigrad.program.representation import Kind, Method, Statement, Storage, Trace, Value, check, mapped
from minigrad.program.spellings import OPAQUE, READABLE
from minigrad.program.symbol import Symbol, SymbolicNumber, TracingError
from minigrad.stream import Stream

# files whose functions hand a tensor's numbers to the user: what they ask for would be fixed by the trace
SHOWING = frozenset(
    str(PACKAGE / name)
    for name in ("tensor.py", "conversion.py", "printing.py", "memory.py", "ops/comparison.py", "ops/creation.py")
)
# NumPy functions that tell of shapes, dtypes and memory alone
METADATA = {np.may_share_memory, np.shares_memory, np.shape, np.ndim, np.size, np.result_type, np.can_cast,
            np.broadcast_shapes, np.iscomplexobj}  # fmt: skip
# functions that write to their first argument
WRITING = {operator.setitem, np.copyto, descend, Method("fill"), Method("sort")}
DRAWS = ("uniform", "normal", "permutation", "integers", "random", "exponential", "geometric", "log_normal", "cauchy",
         "poisson", "choices")  # fmt: skip
UFUNC_OF: dict[Any, Any] = {operator.add: np.add, operator.sub: np.subtract, operator.mul: np.multiply,
                            operator.truediv: np.divide, operator.neg: np.negative}  # fmt: skip
DOOR = "_array"
SLOT: Any = TensorBase.__dict__[DOOR]
METHODS_OF_NO_FIXED_SHAPE = {np.nonzero, np.argwhere, np.flatnonzero, np.unique, Method("nonzero")}


class Turn:
    """One trace at a time, as the door is in the class: a lock that knows whose it is, so that giving it up twice, or
    without having it, does nothing. (Each method is one operation of a dict: no interrupt can halve it.)"""

    def __init__(self) -> None:
        self.of: dict[str, Any] = {}

    def take(self, who: Any) -> bool:
        return self.of.setdefault("owner", who) is who

    def give(self, who: Any) -> None:
        if self.owner() is who:
            self.of.clear()

    def owner(self) -> Any:
        return self.of.get("owner")

    def locked(self) -> bool:
        return bool(self.of)


tracing = Turn()


def root_of(array: Any) -> Any:
    """What has the memory of an array; all arrays that share it have the same root."""
    base = array
    while base is not None:
        if isinstance(base, memoryview):
            base = base.obj
        elif isinstance(base, np.ndarray):
            array, base = base, base.base
        else:  # what NumPy's as_strided, and storage.memory(), put between an array and its owner
            base = getattr(base, "base", getattr(base, "owner", None))
    return array


class Tracer(Origins):
    """Writes down what one thread does to arrays, while it is entered."""

    spellings: Mapping[str, Callable[..., Any]] = READABLE  # instead of the bodies of these kernels
    opaque: Set[str] = OPAQUE  # kernels that stay one call

    def __init__(self, numbers_may_be_shown: bool = False) -> None:
        """`numbers_may_be_shown`: what .item() gives is only looked at; what is decided by it is not of the program."""
        super().__init__()
        self.trace = Trace()
        self.values: dict[int, Value] = {}  # by the ids of the real arrays
        self.symbols: dict[Value, Symbol] = {}
        self.storages: dict[int, Storage] = {}  # by the ids of the arrays that own memory
        self.made: dict[int, Any] = {}  # arrays, not symbols, that the engine made in the trace, by their ids
        self.numbers: dict[int, tuple[float, Value]] = {}  # plain floats that symbolic numbers gave
        self.named: dict[Any, Value] = {}  # hyper-parameters by their key
        self.inputs: list[tuple[TensorBase, Value]] = []
        self.optimizers: list[Optimizer] = []
        self.thread = threading.get_ident()
        self.numbers_may_be_shown = numbers_may_be_shown
        self.unseen: list[TensorBase] = []
        self.originals: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self.open = False

    # entering and leaving

    def __enter__(self) -> Tracer:
        self.stop = sys._getframe(1)
        self.enter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        self.leave()

    def enter(self) -> None:
        """Open the door. An interrupt in the midst of it leaves it shut."""
        try:
            if not tracing.take(self):
                raise TracingError("a trace is running already: trace one function at a time, and none inside another")
            self.keep_originals()
            self.patch()
            self.open = True
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Shut the door: put back what was patched. It may be done twice, should an interrupt come in the midst."""
        self.open = False
        if tracing.owner() is self:
            for put_back, args in self.originals:
                put_back(*args)
            self.strip()
            tracing.give(self)

    def keep_originals(self) -> None:
        """Note how to put back what patch() is going to change."""
        self.originals += [(setattr, (TensorBase, DOOR, SLOT)), (setattr, (state, "quiet", state.quiet))]
        self.originals += [(setattr, (row, "function", row.function)) for row, _ in self.rows()]
        self.originals += [(setattr, (Stream, name, getattr(Stream, name))) for name in DRAWS]
        self.quiet = state.quiet

    def patch(self) -> None:
        """Let arrays of tensors, kernels, optimizers and generators be looked for here."""
        state.quiet = self.run_quietly
        for row, kernel in self.rows():  # kernels by their dispatching form, which finds the symbols
            row.function = packing(kernel) if row.packed else kernel
        for name in DRAWS:
            setattr(Stream, name, self.drawing(getattr(Stream, name)))
        setattr(TensorBase, DOOR, property(self.get, self.set))

    def rows(self) -> list[tuple[Any, Any]]:
        return [(row, key) for key, row in table.items() if hasattr(key, "__wrapped__")]

    def strip(self) -> None:
        """Leave no symbol in what outlives the trace: saved values of nodes, states of optimizers."""
        nodes = [getattr(t, "_node", None) for t in self.trace.tensors]  # an interrupt may leave one half made
        for node in below([node for node in nodes if node is not None]):
            if type(node.saved) is dict:
                node.saved = mapped(self.real, node.saved)
                if "ctx" in node.saved:
                    node.saved["ctx"]._saved = mapped(self.real, node.saved["ctx"]._saved)
        for optimizer in self.optimizers:
            for entries in optimizer.state.values():
                entries.update(mapped(self.real, entries))

    # the door

    def get(self, tensor: TensorBase) -> Any:
        array = SLOT.__get__(tensor)
        if threading.get_ident() != self.thread:
            return array
        value = self.values.get(id(array))
        if value is None:
            value = self.constant(array) if id(array) in self.made else self.input(tensor, array)
        return self.symbol(value)

    def set(self, tensor: TensorBase, array: Any) -> None:
        if threading.get_ident() == self.thread:
            if isinstance(array, Symbol):
                array = self.array(array._value)
            elif id(array) not in self.values:
                self.made[id(array)] = array
            self.trace.tensors.append(tensor)
            self.unseen.append(tensor)
        SLOT.__set__(tensor, array)

    def input(self, tensor: TensorBase, array: Any) -> Value:
        """The value of an array that was there before the trace."""
        value = self.value(array, Kind.PARAMETER if tensor._requires_grad else Kind.CAPTURED)
        value.tensor = tensor
        value.storage.local = False
        self.trace.inputs.append(value)
        self.inputs.append((tensor, value))
        return value

    # values and symbols

    def value(self, real: Any, kind: Kind = Kind.RESULT, statement: Statement | None = None) -> Value:
        """A new value, in the storage that its array shares."""
        if isinstance(real, np.ndarray):
            root = root_of(real)
            storage = self.storages.get(id(root))
            if storage is None:
                storage = self.storages[id(root)] = Storage(root)
        else:
            storage = Storage(None)
        value = Value(real, storage, kind, statement)
        if isinstance(real, np.ndarray):
            self.values[id(real)] = value
        return value

    def symbol(self, value: Value) -> Any:
        found = self.symbols.get(value)
        if found is None:
            made: Any = SymbolicNumber(self, value) if value.is_number else Symbol(self, value)
            found = self.symbols[value] = made
        return found

    def array(self, value: Value) -> Any:
        """The real array; a number that NumPy gave is made one."""
        if not isinstance(value.real, np.ndarray):
            value.real = value.storage.root = np.asarray(value.real)
            self.values[id(value.real)] = value
            self.storages[id(value.real)] = value.storage
        return value.real

    def real(self, x: Any) -> Any:
        """What a symbol stands for; anything else as it is."""
        return x._value.real if isinstance(x, (Symbol, SymbolicNumber)) else x

    def operand(self, x: Any) -> Any:
        """An argument as it stands in a statement."""
        if isinstance(x, (Symbol, SymbolicNumber)):
            if x._tracer is not self:
                self.refuse("an array of another trace is used")
            return x._value
        if isinstance(x, np.ndarray):
            return self.values.get(id(x)) or self.constant(x)
        if type(x) is float and (known := self.numbers.get(id(x))) is not None:
            return known[1]
        return x

    def constant(self, array: Any) -> Value:
        """The value of an array that depends on no tensor: a statement makes it."""
        self.made[id(array)] = array
        if (name := self.variable_of(array)) and array.size > 1:
            value = self.value(array, Kind.CAPTURED)
            value.storage.local, value.name = False, name
            self.trace.inputs.append(value)
            return value
        if array.size == 0 or (array == array.flat[0]).all():
            fill = array.dtype.type(0) if array.size == 0 else array.flat[0]
            statement = Statement(np.full, (array.shape, fill.item(), array.dtype), {}, [])
        elif array.size <= 64:
            statement = Statement(np.array, (array.tolist(), array.dtype), {}, [])
        else:
            value = self.value(array, Kind.CAPTURED)
            value.storage.local = False
            self.trace.inputs.append(value)
            return value
        return self.record(statement, array)

    def variable_of(self, array: Any) -> str:
        """The name of a NumPy array of the user's that shares its memory; "" where there is none."""
        root = root_of(array)
        for frame in self.frames_up():
            if frame.f_code.co_filename not in INTERNAL:
                seen = {k: x for k, x in frame.f_globals.items() if k in frame.f_code.co_names} | frame.f_locals
                for name, x in seen.items():
                    if isinstance(x, np.ndarray) and root_of(x) is root and name.isidentifier():
                        return name
        return ""

    def plain(self, number: SymbolicNumber) -> float:
        """A fresh float of the number's value, known by its identity."""
        made = float.fromhex(float.hex(number._value.real)) if number._value.real == number._value.real else number * 1
        self.numbers[id(made)] = (made, number._value)
        return made

    # statements

    def call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function on what the symbols stand for, and write it down."""
        if not self.open:
            raise TracingError(
                "an array of a trace is used after it: something that outlives the traced function, such as a closure "
                "or a custom Function's ctx, has kept it"
            )
        if function in METHODS_OF_NO_FIXED_SHAPE:
            self.refuse(f"the shape of what {function.__name__} gives depends on a tensor's values")
        if function in UFUNC_OF and any(isinstance(x, (Symbol, np.ndarray)) for x in args):
            function = UFUNC_OF[function]
        real_args, real_kwargs = mapped(self.real, args), mapped(self.real, kwargs)
        numbers = isinstance(function, np.ufunc) or function is operator.pow
        operands = tuple(self.hyper(x) if numbers else mapped(self.operand, x) for x in args)
        statement = Statement(function, operands, mapped(self.operand, kwargs), [])
        statement.reads = {v.storage: v.storage.version for v in statement.inputs()}
        result = function(*real_args, **real_kwargs)
        out = statement.kwargs.get("out")
        if out is None and (function in WRITING or getattr(function, "__name__", "") == "at"):
            out = statement.args[0]
        if out is not None:
            statement.writes = out if isinstance(out, tuple) else (out,)
            for v in statement.writes:
                v.storage.version += 1
        if function is operator.getitem:
            self.check_masks(statement)
        return self.wrapped(statement, result)

    def check_masks(self, statement: Statement) -> None:
        """Write down how many places the masks of an index name: the shapes of all that follows rest on it."""
        for v in [*statement.inputs()][1:]:
            if v.dtype == np.bool_ and v.shape and (v.statement is None or [*v.statement.inputs()]):
                self.check(np.count_nonzero, self.symbol(v), int(np.count_nonzero(v.real)))

    def wrapped(self, statement: Statement, result: Any) -> Any:
        """Add a statement, with what it gave; the symbols of the results."""
        if isinstance(result, (list, tuple)):
            statement.several = True
            statement.results = [self.value(x, Kind.RESULT, statement) for x in result]
            self.add(statement)
            return (
                type(result)(map(self.symbol, statement.results))
                if type(result) in (list, tuple)
                else tuple(map(self.symbol, statement.results))
            )
        if result is None:
            self.add(statement)
            return None
        if isinstance(result, (np.ndarray, np.generic, float, int, bool)):
            return self.symbol(self.record(statement, result))
        return result

    def record(self, statement: Statement, result: Any) -> Value:
        """Add a statement of one result."""
        known = self.values.get(id(result)) if isinstance(result, np.ndarray) else None
        value = known or self.value(result, Kind.RESULT, statement)
        statement.results = [value]
        if known is None and isinstance(result, np.generic):
            value.needs_array = True  # unless nothing writes to it: see finish()
        self.add(statement)
        return value

    def add(self, statement: Statement) -> None:
        self.locate(statement)
        self.trace.statements.append(statement)

    def hyper(self, x: Any) -> Any:
        """An operand; a Python number that the user's line names becomes an input of that name."""
        operand = mapped(self.operand, x)
        if type(operand) not in (float, int):
            return operand
        frame = self.user_frame()
        if frame is None or self.in_optimizer or frame.f_code.co_name.startswith("<l"):  # not of a comprehension
            return operand
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        code = frame.f_code
        for name in (*code.co_varnames, *code.co_names, *code.co_freevars):
            if name in line and name.isidentifier():
                found = frame.f_locals.get(name, frame.f_globals.get(name))
                if found is operand:
                    return self.number(("variable", name, operand), operand, name)
                if type(found) is float and operand == -found and f"-{name}" in line:
                    value = self.number(("variable", name, found), found, name)
                    return self.record(Statement(operator.neg, (value,), {}, []), operand)
        return operand

    def number(self, key: Any, real: Any, name: str) -> Value:
        """The input that a hyper-parameter is."""
        value = self.named.get(key)
        if value is None:
            value = self.named[key] = Value(real, Storage(None, local=False), Kind.NUMBER, name=name, key=key)
            self.trace.inputs.append(value)
        return value

    def dispatch(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A NumPy function, or a kernel, that was given symbols."""
        if function in METADATA:
            return function(*mapped(self.metadata, args), **mapped(self.metadata, kwargs))
        kernel = getattr(function, "__wrapped__", None)
        if kernel is None or not getattr(function, "__module__", "").startswith("minigrad"):
            return self.call(function, args, kwargs)
        name = kernel.__name__
        self.calls.append(name)
        try:
            if name in self.opaque:
                return self.call(function, args, kwargs)
            # A body may use methods of one array on another: all of them are symbols.
            args = tuple(self.symbol(self.operand(x)) if isinstance(x, np.ndarray) else x for x in args)
            return self.spellings.get(name, kernel)(*args, **kwargs)
        finally:
            self.calls.pop()

    def metadata(self, x: Any) -> Any:
        return self.array(x._value) if isinstance(x, Symbol) else x

    def drawing(self, draw: Callable[..., Any]) -> Callable[..., Any]:
        """A generator's method, whose numbers are drawn afresh in each run of the program."""

        @functools.wraps(draw)
        def call(stream: Any, *args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != self.thread or self.in_draw:
                return draw(stream, *args, **kwargs)
            self.in_draw = True
            try:
                drawn = draw(stream, *mapped(self.real, args), **mapped(self.real, kwargs))
            finally:
                self.in_draw = False
            statement = Statement(functools.partial(draw, stream), mapped(self.operand, args), kwargs, [])
            value = self.record(statement, drawn)
            value.kind, value.name = Kind.DRAW, draw.__name__
            self.trace.inputs.append(value)
            return self.symbol(value)

        return call

    in_draw = False

    # what looks at numbers

    def check(self, function: Any, symbol: Symbol, expected: Any) -> Any:
        """Write down that the rest relies on what a function gives."""
        statement = Statement(function, (symbol._value,), {}, [])
        statement.reads = {symbol._value.storage: symbol._value.storage.version}
        value = self.record(statement, expected)
        assertion = Statement(check, (value, expected), {}, [])
        self.add(assertion)
        return expected

    def decide(self, function: Any, args: tuple[Any, ...]) -> Any:
        """What an optimizer's code finds out of numbers; written down, where a step may change them."""
        result = function(*(float(self.real(x)) if isinstance(x, SymbolicNumber) else self.real(x) for x in args))
        operands = tuple(map(self.operand, args))
        if not self.numbers_may_be_shown and any(isinstance(x, Value) and x.kind is Kind.RESULT for x in operands):
            value = self.record(Statement(function, operands, {}, []), result)
            self.add(Statement(check, (value, result), {}, []))
        return result

    def look(self, what: str, function: Any, symbol: Symbol) -> Any:
        """What the engine's own code finds in an array, and relies on; an error where the user's code asks."""
        frame = sys._getframe(2)
        if frame.f_code.co_filename in SHOWING or frame.f_code.co_filename not in INTERNAL:
            self.refuse(what)
        return self.check(function, symbol, function(symbol._value.real))

    def item(self, symbol: Symbol) -> Any:
        """The number that an optimizer, or one who prints, takes from an array."""
        filename = sys._getframe(2).f_code.co_filename
        if filename.startswith(OPTIM) or self.numbers_may_be_shown:
            statement = Statement(Method("item"), (symbol._value,), {}, [])
            statement.reads = {symbol._value.storage: symbol._value.storage.version}
            return self.symbol(self.record(statement, symbol._value.real.item()))
        return self.refuse("a tensor is made a Python number (.item(), float(), an index)")

    # optimizers

    def run(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """What state.quiet was."""
        try:
            return self.quiet(function, *args, **kwargs)
        except RuntimeError as error:
            return unless_entered(error)(function, *args, **kwargs)

    def run_quietly(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """state.quiet, which lets an optimizer's update find symbolic numbers in its group."""
        optimizer = getattr(function, "__self__", None)
        if not isinstance(optimizer, Optimizer) or threading.get_ident() != self.thread:
            return self.run(function, *args, **kwargs)
        group = args[0]
        if optimizer not in self.optimizers:
            self.optimizers.append(optimizer)
        before = dict(group)
        place = next(i for i, g in enumerate(optimizer.param_groups) if g is group)
        for name, x in before.items():
            if type(x) is float:
                group[name] = self.symbol(self.number((optimizer, place, name), x, name))
            elif type(x) is tuple and all(type(item) is float for item in x):
                group[name] = tuple(
                    self.symbol(self.number((optimizer, place, name, i), item, f"{name.removesuffix('s')}{i + 1}"))
                    for i, item in enumerate(x)
                )
        try:
            return self.run(function, *args, **kwargs)
        finally:
            group.update(before)
