"""compile(): whatever a function reads of Python's objects, it computes what eager does, or is refused."""

from collections import Counter
from typing import Any

import pytest
from python_states import PREAMBLE, REACHED, Holder, holders

import minigrad
from minigrad.program import TracingError

T = minigrad


def made(holder: Holder, reached: str, writes: bool) -> dict[str, Any]:
    """The names of a user's module that defines f, and what it reads."""
    names: dict[str, Any] = {"__name__": "users_module"}
    exec(compile(PREAMBLE, "users.py", "exec"), names)
    names["operator_k"] = __import__("operator").attrgetter("k")
    names["kept"], names["alive"] = {"k": 1.0}, names["plain"](1.0)
    names["h"] = eval(holder.make, names)
    text = REACHED[reached].replace("READ", f"({holder.read})")
    write = (holder.write or holder.change.replace("now", "2.0")) if writes else "pass"
    exec(compile(text.replace("WRITE", write), "users.py", "exec"), names)
    return names


def called(names: dict[str, Any], f: Any, reached: str) -> Any:
    x = T.ones(1)
    if reached == "argument":
        return f(x, names["h"])
    return f(x, [names["h"]]) if reached == "argument in a list" else f(x)


def outcomes(names: dict[str, Any], holder: Holder, reached: str, compiled: bool, writes: bool) -> list[Any]:
    """What the function gives, or raises, while the number is changed between its calls; what is left in the end."""
    f = T.compile(names["f"]) if compiled else names["f"]
    found: list[Any] = []
    for now in (None, None, 2.0, 2.0, 1.0, 3.0, 2.0):
        names["now"] = now
        try:
            if now is not None and not writes:
                exec(holder.change, names)
            before = told(holder, names) if writes and compiled else None
            found.append(called(names, f, reached).tolist())
        except TracingError:
            found.append("refused")
            if writes:
                assert told(holder, names) == before, f"{holder} by {reached} is changed, though refused"
        except Exception as error:
            found.append(type(error))
    return [*found, told(holder, names)] if writes else found


def told(holder: Holder, names: dict[str, Any]) -> Any:
    try:
        return eval(holder.read, names)
    except Exception as error:
        return type(error)


def check(holder: Holder, writes: bool) -> Counter[str]:
    """Whether each way to reach the holder is right or refused; how many are which."""
    counted: Counter[str] = Counter()
    for reached in REACHED:
        if writes and "WRITE" not in REACHED[reached]:
            continue
        results = []
        for compiled in (False, True):
            T.manual_seed(5)
            results.append(outcomes(made(holder, reached, writes), holder, reached, compiled, writes))
        expected, found = results
        first = found.index("refused") if "refused" in found else len(found)
        assert found[:first] == expected[:first], f"{holder} by {reached}: {found} for {expected}"
        counted["right" if first == len(found) else "refused"] += 1
    return counted


# What training steps are written with is compiled, not refused.
COMPILED = {"plain(1.0)", "[1.0]", "dict(k=1.0)", "Data()", "1.0", "nn.Dropout(0.0)", "new_class()"}


@pytest.mark.parametrize("holder", holders(), ids=str)
def test_what_is_read_is_right_or_refused(holder: Holder) -> None:
    counted = check(holder, writes=False)
    assert len(counted) == 1  # a holder is understood, or not, however it is reached
    assert counted["right"] or holder.make not in COMPILED


@pytest.mark.parametrize("holder", [h for h in holders() if h.write], ids=str)
def test_what_is_written_is_right_or_refused_and_put_back(holder: Holder) -> None:
    check(holder, writes=True)
