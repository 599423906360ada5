"""NumPy expressions as text: calls as a person would write them, with operators, and brackets where they are needed."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.program.representation import Method, Value

ATOM, POWER, UNARY, PRODUCT, SUM, AND, XOR, OR, COMPARISON = range(9)  # how loosely an expression is bound
Text = tuple[str, int]

INFIX: dict[Any, tuple[str, int]] = {
    np.add: ("+", SUM), np.subtract: ("-", SUM), np.multiply: ("*", PRODUCT), np.divide: ("/", PRODUCT),
    np.floor_divide: ("//", PRODUCT), np.remainder: ("%", PRODUCT), np.matmul: ("@", PRODUCT),
    np.bitwise_and: ("&", AND), np.bitwise_or: ("|", OR), np.bitwise_xor: ("^", XOR), np.equal: ("==", COMPARISON),
    np.not_equal: ("!=", COMPARISON), np.less: ("<", COMPARISON), np.less_equal: ("<=", COMPARISON),
    np.greater: (">", COMPARISON), np.greater_equal: (">=", COMPARISON), operator.add: ("+", SUM),
    operator.sub: ("-", SUM), operator.mul: ("*", PRODUCT), operator.truediv: ("/", PRODUCT),
    operator.pow: ("**", POWER), operator.floordiv: ("//", PRODUCT), operator.mod: ("%", PRODUCT),
    operator.lt: ("<", COMPARISON), operator.le: ("<=", COMPARISON), operator.gt: (">", COMPARISON),
    operator.ge: (">=", COMPARISON), operator.eq: ("==", COMPARISON), operator.ne: ("!=", COMPARISON),
}  # fmt: skip
PREFIX: dict[Any, str] = {np.negative: "-", operator.neg: "-", np.invert: "~"}
BUILTIN: dict[Any, str] = {operator.abs: "abs", operator.truth: "bool"}
REDUCTIONS: dict[Any, str] = {
    np.add: "sum", np.multiply: "prod", np.maximum: "max", np.minimum: "min", np.logical_or: "any",
    np.logical_and: "all", Method("mean"): "mean",
}  # fmt: skip


def bracketed(text: Text, loosest: int) -> str:
    return text[0] if text[1] <= loosest else f"({text[0]})"


def literal(x: Any, lookup: Callable[[Value], Text]) -> str:
    """A constant, or a nest of constants and values, as Python."""
    if isinstance(x, Value):
        return lookup(x)[0]
    if isinstance(x, np.generic):
        return f"np.{x.dtype.name}({literal(x.item(), lookup)})"
    if isinstance(x, float):
        return {"inf": "np.inf", "-inf": "-np.inf", "nan": "np.nan"}.get(repr(float(x)), repr(float(x)))
    if isinstance(x, np.dtype) or (isinstance(x, type) and issubclass(x, np.generic)):
        return f"np.{np.dtype(x).name}" if np.dtype(x) != np.bool_ else "bool"
    if isinstance(x, np.ufunc):
        return f"np.{x.__name__}"
    if isinstance(x, slice):
        parts = [literal(p, lookup) for p in (x.start, x.stop, x.step)]
        return f"slice({', '.join(parts)})"
    if x is Ellipsis:
        return "..."
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return f"{type(x).__name__}({', '.join(literal(item, lookup) for item in x)})"
    if isinstance(x, tuple):
        inner = ", ".join(literal(item, lookup) for item in x)
        return f"({inner},)" if len(x) == 1 else f"({inner})"
    if isinstance(x, list):
        return f"[{', '.join(literal(item, lookup) for item in x)}]"
    return f'"{x}"' if type(x) is str and x.isprintable() and '"' not in x else repr(x)


def subscript(index: Any, lookup: Callable[[Value], Text]) -> str:
    """What stands between the brackets of x[index]."""

    def part(i: Any) -> str:
        if not isinstance(i, slice):
            return literal(i, lookup)
        ends = ":".join("" if p is None else literal(p, lookup) for p in (i.start, i.stop))
        return ends if i.step is None else f"{ends}:{literal(i.step, lookup)}"

    if isinstance(index, tuple):
        return ", ".join(map(part, index)) + ("," if len(index) == 1 else "") if index else "()"
    return part(index)


def arguments(args: Any, kwargs: dict[str, Any], lookup: Callable[[Value], Text]) -> str:
    texts = [literal(x, lookup) for x in args] + [f"{name}={literal(x, lookup)}" for name, x in kwargs.items()]
    return ", ".join(texts)


def number(x: Any, beside: Any, lookup: Callable[[Value], Text]) -> Text:
    """An operand; a NumPy number as a Python one, where the other operand has its dtype."""
    if isinstance(x, Value):
        return lookup(x)
    if isinstance(x, np.generic) and isinstance(beside, Value) and beside.dtype == x.dtype and x.dtype.kind == "f":
        x = x.item()
    if type(x) is float and isinstance(beside, Value) and beside.dtype in (np.float32, np.float16):
        x = shortest(x, beside.dtype)
    text = literal(x, lookup)
    return text, UNARY if text.startswith("-") else ATOM


def shortest(x: float, dtype: Any) -> float:
    """The number of the fewest digits that is the same as x in a dtype, where x is one of its numbers."""
    with np.errstate(all="ignore"):
        rounded = dtype.type(x)
    return float(str(rounded)) if float(rounded) == x else x


def reduction(ufunc: Any, x: Value, kwargs: dict[str, Any], lookup: Callable[[Value], Text]) -> Text | None:
    """np.add.reduce(x) as x.sum(), and so on."""
    if x.dtype is None or not isinstance(x.real, (np.ndarray, np.generic)):
        return None
    if ufunc is np.add and x.dtype.kind != "f" and kwargs.get("dtype") is None:
        return None  # where sum() would choose a wider dtype
    if ufunc in (np.logical_or, np.logical_and) and x.dtype.kind != "b":
        return None
    options = dict(kwargs)
    axis = options.pop("axis", 0)
    everything = axis is None or (isinstance(axis, tuple) and len(axis) == len(x.shape))
    if not options.get("keepdims"):
        options.pop("keepdims", None)
    if isinstance(axis, tuple) and len(axis) == 1:
        axis = axis[0]
    if axis == ():
        return None
    inner = {} if everything else {"axis": axis}
    return f"{bracketed(lookup(x), ATOM)}.{REDUCTIONS[ufunc]}({arguments((), inner | options, lookup)})", ATOM


def expression(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], lookup: Callable[[Value], Text]) -> Text:
    """A call as text, and how loosely it is bound."""
    if function in INFIX and len(args) == 2 and not kwargs:
        sign, level = INFIX[function]
        x, y = number(args[0], args[1], lookup), number(args[1], args[0], lookup)
        if function is operator.pow:
            return f"{bracketed(x, ATOM)} ** {bracketed(y, UNARY)}", POWER
        if level == COMPARISON:
            return f"{bracketed(x, OR)} {sign} {bracketed(y, OR)}", COMPARISON
        return f"{bracketed(x, level)} {sign} {bracketed(y, level - 1)}", level
    if function in PREFIX and not kwargs:
        return f"{PREFIX[function]}{bracketed(number(args[0], None, lookup), POWER)}", UNARY
    if function is np.transpose and len(args) == 1 and isinstance(args[0], Value):
        return f"{bracketed(lookup(args[0]), ATOM)}.T", ATOM
    if function is operator.getitem:
        return f"{bracketed(lookup(args[0]), ATOM)}[{subscript(args[1], lookup)}]", ATOM
    if function is np.full:
        shape, fill, dtype = args
        fill = shortest(fill, dtype) if type(fill) is float else fill
        name = {"0": "zeros", "0.0": "zeros", "1": "ones", "1.0": "ones"}.get(str(fill))
        given = (shape, dtype) if name else (shape, fill, dtype)
        return f"np.{name or 'full'}({arguments(given[:-1], {'dtype': dtype}, lookup)})", ATOM
    if function is np.array:
        return f"np.array({literal(args[0], lookup)}, dtype={literal(args[1], lookup)})", ATOM
    if function in (np.copy,) or (isinstance(function, Method) and function.name == "copy"):
        return f"{bracketed(lookup(args[0]), ATOM)}.copy({arguments(args[1:], kwargs, lookup)})", ATOM
    if function == Method("mean"):
        return reduction(function, args[0], kwargs, lookup) or ("", ATOM)
    if isinstance(function, Method):
        x = args[0]
        text = bracketed(lookup(x), ATOM) if isinstance(x, Value) else f"np.asarray({literal(x, lookup)})"
        return f"{text}.{function.name}({arguments(args[1:], kwargs, lookup)})", ATOM
    ufunc, how = getattr(function, "__self__", None), getattr(function, "__name__", "")
    if isinstance(ufunc, np.ufunc):
        if how == "reduce" and ufunc in REDUCTIONS and len(args) == 1 and isinstance(args[0], Value):
            short = reduction(ufunc, args[0], kwargs, lookup)
            if short is not None:
                return short
        return f"np.{ufunc.__name__}.{how}({arguments(args, kwargs, lookup)})", ATOM
    if isinstance(function, type) or function in BUILTIN:
        return f"{BUILTIN.get(function, function.__name__)}({arguments(args, kwargs, lookup)})", ATOM
    kernel = getattr(function, "__wrapped__", None)
    if kernel is not None and function.__module__.startswith("minigrad"):
        return f"{kernel.__name__}({arguments(args, kwargs, lookup)})", ATOM
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module.replace('numpy', 'np')}.{how}({arguments(args, kwargs, lookup)})", ATOM
