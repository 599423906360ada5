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
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import numpy as np

from minigrad.autograd.grad_mode import state
from minigrad.autograd.graph import accumulate, below, grad, sweep
from minigrad.autograd.node import INTERNAL, Node, TensorBase, line_of
from minigrad.derivatives import table
from minigrad.optim.optimizer import Optimizer
from minigrad.program.representation import Kind, Method, Phase, Statement, Storage, Trace, Value, check, mapped
from minigrad.program.spellings import OPAQUE, READABLE
from minigrad.program.symbol import Symbol, SymbolicNumber, TracingError
from minigrad.storage import owner
from minigrad.stream import Stream
from minigrad.utils._pytree import tree_flatten

PACKAGE = Path(__file__).parents[1]
OPTIM = str(PACKAGE / "optim")
# files whose functions hand a tensor's numbers to the user: what they ask for would be fixed by the trace
SHOWING = frozenset(
    str(PACKAGE / name)
    for name in ("tensor.py", "conversion.py", "printing.py", "memory.py", "ops/comparison.py", "ops/creation.py")
)
# NumPy functions that tell of shapes, dtypes and memory alone
METADATA = {np.may_share_memory, np.shares_memory, np.shape, np.ndim, np.size, np.result_type, np.can_cast,
            np.broadcast_shapes, np.iscomplexobj}  # fmt: skip
# functions that write to their first argument
WRITING = {operator.setitem, np.copyto, Method("fill"), Method("sort")}
DRAWS = ("uniform", "normal", "permutation", "integers", "random", "exponential", "geometric", "log_normal", "cauchy",
         "poisson", "choices")  # fmt: skip
UFUNC_OF: dict[Any, Any] = {operator.add: np.add, operator.sub: np.subtract, operator.mul: np.multiply,
                            operator.truediv: np.divide, operator.neg: np.negative}  # fmt: skip
SLOT: Any = TensorBase.__dict__["_array"]
METHODS_OF_NO_FIXED_SHAPE = {np.nonzero, np.argwhere, np.flatnonzero, np.unique, Method("nonzero")}
tracing = threading.Lock()  # one trace at a time: the door is in the class


class Tracer:
    """Writes down what one thread does to arrays, while it is entered."""

    def __init__(self, numbers_may_be_shown: bool = False) -> None:
        self.trace = Trace()
        self.values: dict[int, Value] = {}  # by the ids of the real arrays
        self.symbols: dict[Value, Symbol] = {}
        self.storages: dict[int, Storage] = {}  # by the ids of the arrays that own memory
        self.made: dict[int, Any] = {}  # arrays, not symbols, that the engine made in the trace, by their ids
        self.numbers: dict[int, tuple[float, Value]] = {}  # plain floats that symbolic numbers gave
        self.named: dict[Any, Value] = {}  # hyper-parameters by their key
        self.inputs: list[tuple[TensorBase, Value]] = []
        self.optimizers: list[Optimizer] = []
        self.frames: dict[int, FrameType] = {}  # of the user's functions
        self.thread = threading.get_ident()
        self.stop: FrameType | None = None  # the frame below the user's function
        self.numbers_may_be_shown = numbers_may_be_shown
        self.calls: list[str] = []  # the kernels whose bodies are being run
        self.of_nodes: dict[Any, Value] = {}
        self.unseen: list[TensorBase] = []
        self.open = False

    # entering and leaving

    def __enter__(self) -> Tracer:
        if not tracing.acquire(blocking=False):
            raise TracingError("a trace is running already: trace one function at a time, and none inside another")
        self.stop = sys._getframe(1)
        self.quiet = state.quiet
        state.quiet = self.run_quietly
        self.rows = [(row, row.function) for key, row in table.items() if hasattr(key, "__wrapped__")]
        for key, row in table.items():  # kernels by their dispatching form, which finds the symbols
            if hasattr(key, "__wrapped__"):
                row.function = key
        self.streams = {name: getattr(Stream, name) for name in DRAWS}
        for name, draw in self.streams.items():
            setattr(Stream, name, self.drawing(draw))
        TensorBase._array = property(self.get, self.set)  # type: ignore[assignment, method-assign]
        self.open = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        self.open = False
        TensorBase._array = SLOT  # type: ignore[method-assign]
        for row, function in self.rows:
            row.function = function
        for name, draw in self.streams.items():
            setattr(Stream, name, draw)
        state.quiet = self.quiet
        tracing.release()
        self.strip()

    def strip(self) -> None:
        """Leave no symbol in what outlives the trace: saved values of nodes, states of optimizers."""
        for tensor in self.trace.tensors:
            if tensor._node is not None:
                for node in below([tensor._node]):
                    if type(node.saved) is dict:
                        node.saved = mapped(self.real, node.saved)
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
            root = owner(real)
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
        return self.wrapped(statement, result)

    def wrapped(self, statement: Statement, result: Any) -> Any:
        """Add a statement, with what it gave; the symbols of the results."""
        if isinstance(result, (list, tuple)):
            statement.several = True
            statement.results = [self.value(x, Kind.RESULT, statement) for x in result]
            self.add(statement)
            return type(result)(map(self.symbol, statement.results)) if type(result) in (list, tuple) else tuple(
                map(self.symbol, statement.results)
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
        if frame is None or self.in_optimizer:
            return operand
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        code = frame.f_code
        for name in (*code.co_varnames, *code.co_names, *code.co_freevars):
            if name in line and name.isidentifier():
                found = frame.f_locals.get(name, frame.f_globals.get(name))
                if found is operand:
                    return self.number(("variable", name, operand), operand, name)
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
            if name in READABLE:
                return READABLE[name](*args, **kwargs)
            if name in OPAQUE:
                return self.call(function, args, kwargs)
            return kernel(*args, **kwargs)
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

    def dynamic(self, value: Value) -> bool:
        """Whether a value's shape depends on other values: it was picked by a mask."""
        s = value.statement
        if s is None:
            return False
        if s.function is operator.getitem:
            return any(v.dtype == np.bool_ and v.shape for i, v in enumerate(s.inputs()) if i)
        return any(self.dynamic(v) for v in s.inputs() if v.statement is not s)

    def check(self, function: Any, symbol: Symbol, expected: Any) -> Any:
        """Write down that the rest relies on what a function gives."""
        statement = Statement(function, (symbol._value,), {}, [])
        statement.reads = {symbol._value.storage: symbol._value.storage.version}
        value = self.record(statement, expected)
        assertion = Statement(check, (value, expected), {}, [])
        self.add(assertion)
        return expected

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

    def refuse(self, what: str) -> NoReturn:
        """TracingError, which names the user's line."""
        frame = self.user_frame()
        at = "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}: "
        raise TracingError(
            f"{at}{what}, which a program traced once can't depend on. Move what depends on a tensor's value (if, while, "
            "print, float()) out of the function: return the tensor, and look at it outside"
        )

    # where statements come from

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
            if edge is not None and edge not in value.gradient_of:
                value.gradient_of.append(edge)

    def note_gradients(self, found: dict[str, Any], statement: Statement) -> None:
        """Note what a sweep's arrays are the gradients of."""
        node = found.get("node")
        statement.edge = found.get("edge")
        statement.label = node.label if node is not None else ""
        pairs = [*found.get("gradients", {}).items(), (node, found.get("g"))]
        for edge, g in pairs:
            if edge is not None and isinstance(g, Symbol) and edge not in g._value.gradient_of:
                g._value.gradient_of.append(edge)

    def result_of(self, node: Any) -> Value | None:
        """The value of a recorded operation's result."""
        while self.unseen:
            tensor = self.unseen.pop()
            value = self.values.get(id(SLOT.__get__(tensor)))
            if tensor._node is not None and value is not None:
                self.of_nodes.setdefault(tensor._node, value)
        return self.of_nodes.get(node)

    # optimizers

    def run_quietly(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """state.quiet, which lets an optimizer's update find symbolic numbers in its group."""
        optimizer = getattr(function, "__self__", None)
        if not isinstance(optimizer, Optimizer) or threading.get_ident() != self.thread:
            return self.quiet(function, *args, **kwargs)
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
            return self.quiet(function, *args, **kwargs)
        finally:
            group.update(before)

    # the end

    def finish(self, result: Any) -> Trace:
        """The trace, when the function has returned `result` and the door is shut."""
        trace = self.trace
        leaves, trace.structure = tree_flatten(result)
        trace.outputs = [self.output(x) for x in leaves]
        roles = {id(p._grad): p for p in self.leaves() if p._grad is not None}
        for value in trace.inputs:
            tensor = value.tensor
            if tensor is not None and id(tensor) in roles:
                value.kind, value.about = Kind.GRADIENT, roles[id(tensor)]
            for optimizer in self.optimizers:
                for p, entries in optimizer.state.items():
                    for name, entry in entries.items():
                        if entry is tensor and tensor is not None:
                            value.kind, value.about, value.name = Kind.STATE, p, name
        for p in self.leaves():
            grad = p._grad
            if grad is not None and any(grad is t for t in trace.tensors):
                trace.gradients.append((p, self.known(grad)))
        known_inputs = {id(t) for t, _ in self.inputs}
        for optimizer in self.optimizers:
            for p, entries in optimizer.state.items():
                for name, entry in entries.items():
                    if isinstance(entry, TensorBase) and id(entry) not in known_inputs:
                        value_ = self.known(entry)
                        if value_ is not None:
                            trace.state.append((p, name, value_))
        for tensor, value in self.inputs:
            now = self.known(tensor)
            if now is not None and now is not value:
                trace.rebound.append((value, now))
        written = trace.written()
        for statement in trace.statements:
            for value in statement.results:
                value.needs_array = value.needs_array and value.storage in written
                for edge in value.gradient_of:
                    if isinstance(edge, Node) and (found := self.result_of(edge)) is not None:
                        trace.nodes[edge] = found
        for frame in [*self.frames.values()][::-1]:
            for name, x in frame.f_globals.items():
                if name in frame.f_code.co_names:
                    trace.locals.setdefault(name, x)
            for name, x in frame.f_locals.items():
                trace.locals.setdefault(name, x)
        self.frames.clear()
        return trace

    def leaves(self) -> list[TensorBase]:
        """The leaves that were read, and those of the optimizers."""
        found = {id(t): t for t, v in self.inputs if t._requires_grad}
        for optimizer in self.optimizers:
            found.update((id(p), p) for group in optimizer.param_groups for p in group["params"])
        return [*found.values()]

    def known(self, tensor: TensorBase) -> Value | None:
        array = SLOT.__get__(tensor)
        value = self.values.get(id(array))
        if value is None and id(array) in self.made:
            value = self.constant(array)
        return value

    def output(self, x: Any) -> Any:
        if isinstance(x, TensorBase):
            value = self.known(x)
            return value if value is not None else self.input(x, SLOT.__get__(x))
        if isinstance(x, (Symbol, SymbolicNumber)):
            raise TracingError("the function returns a number that stands for a tensor's value: return the tensor")
        return x


def where_text(statement: Statement) -> str:
    """The user's source line of a statement, without its comment."""
    if statement.where is None:
        return ""
    filename, line, _ = line_of(statement.where)
    return linecache.getline(filename, line).strip()


def traced(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Trace, Any]:
    """Run a function on its arguments, once; the trace, and what the function returned."""
    tracer = Tracer()
    arguments = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, TensorBase)]
    with tracer:
        for x in arguments:
            x._array.shape  # noqa: B018  # read first, arguments are the first inputs
        result = function(*args, **kwargs)
    trace = tracer.finish(result)
    trace.name = getattr(function, "__name__", "program")
    trace.arguments = arguments
    for value in trace.inputs:
        if any(value.tensor is x for x in arguments):
            value.kind = Kind.ARGUMENT
    return trace, result
