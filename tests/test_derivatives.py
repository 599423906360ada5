"""The table of derivatives itself: both readers of a rule agree, every row is tried, and a wrong rule is found out."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from op_samples import SAMPLES
from programs import PROGRAMS, both
from samples import Sample
from test_ops import Case, cases, check, gradients, leaves_of

import minigrad
from minigrad import derivatives
from minigrad.derivatives import constants, table

Rule = tuple[str, str]  # the name of a row's function, and of the argument


def name_of(function: Any) -> str:
    """np.multiply, np.add.reduce, getitem."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        return f"np.{owner.__name__}.{function.__name__}"
    return f"np.{function.__name__}" if getattr(np, function.__name__, None) is function else function.__name__


ROWS = {name_of(function): row for function, row in table.items()}
RULES = [
    (name, argument)
    for name, row in ROWS.items()
    for argument, rule in (row.rules | ({"each": row.each} if row.each else {})).items()
    if rule is not None
]


@contextmanager
def replaced(where: Rule, change: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """A rule of the table replaced by a changed one."""
    row, argument = ROWS[where[0]], where[1]
    rule = row.each if argument == "each" else row.rules[argument]
    changed = functools.wraps(rule)(change(rule))

    def put(rule: Any) -> None:
        if argument == "each":
            row.each = rule
        else:
            row.rules[argument] = rule
        row.plans.clear()
        if row._wide is not row:  # what float16 is computed by is made anew
            row._wide = None

    put(changed)
    try:
        yield
    finally:
        put(rule)


def tries(sample: Sample, count: int, action: Callable[[st.DataObject], Any]) -> None:
    """Call `action` with drawn data, the same in every run, until it raises."""

    @settings(max_examples=count, derandomize=True, database=None, phases=[Phase.generate], report_multiple_bugs=False)
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        action(data)

    run()


def attempt_case(sample: Sample, dtype: str, data: st.DataObject) -> None:
    """Forward, first and second gradient here alone, for what it runs; errors are another test's business."""
    case = data.draw(cases(sample, differentiate=True))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            args, kwargs, inputs = case.arguments(minigrad, dtype)
            found = [*leaves_of(sample.call(minigrad, *args, **kwargs))]
        outs = [x for x in found if getattr(x, "requires_grad", False)]
        leaves = [x for x in inputs if x.requires_grad]
        first, directions = gradients(minigrad, case, outs, leaves)
        again = [g for g in first if g is not None and g.requires_grad]
        gradients(minigrad, case, again, leaves + directions)
    except Exception:
        return


@functools.cache
def users() -> dict[Rule, list[Any]]:
    """The samples, and the programs of the engine's tests, that run each rule."""
    found: dict[Rule, list[Any]] = {rule: [] for rule in RULES}
    running: list[Any] = []

    def watched(where: Rule) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def change(rule: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any) -> Any:
                if running[-1] not in found[where]:
                    found[where].append(running[-1])
                return rule(*args)

            return run

        return change

    with watching(watched):
        for sample in SAMPLES:
            running.append(sample)
            tries(sample, 50, lambda data, sample=sample: attempt_case(sample, "float64", data))
        for program in PROGRAMS:
            running.append(program)
            try:
                program(minigrad)
            except Exception:
                continue
    return found


@contextmanager
def watching(watched: Callable[[Rule], Any]) -> Iterator[None]:
    with ExitStack() as stack:  # taken off in the reverse order: np.matmul and matmul share a row
        for where in RULES:
            stack.enter_context(replaced(where, watched(where)))
        yield


@pytest.mark.parametrize("where", RULES, ids="-".join)
def test_every_rule_is_run(where: Rule) -> None:
    assert users()[where], f"no sample and no program runs the rule of {where}"


def red(user: Any) -> bool:
    """Whether the user's own test fails."""
    try:
        if isinstance(user, Sample):
            tries(user, 300, lambda data: check(user, "float64", data))
        else:
            both(user)
    except AssertionError:
        return True
    return False


FAULTS = {
    "a factor of 1.0005": lambda rule: lambda g, *rest: rule(g, *rest) * 1.0005,
    "the sign": lambda rule: lambda g, *rest: -rule(g, *rest),
    "the term dropped": lambda rule: lambda g, *rest: rule(g, *rest) * 0.0,
}
FAULTS_OF_EACH = {
    "a factor of 1.0005": lambda rule: lambda i, g, *rest: rule(i, g, *rest) * 1.0005,
    "the sign": lambda rule: lambda i, g, *rest: -rule(i, g, *rest),
    "the term dropped": lambda rule: lambda i, g, *rest: rule(i, g, *rest) * 0.0,
}
# Where PyTorch has no derivative, the fault is to have one.
NO_DERIVATIVE = {"g instead of an error": lambda rule: lambda g, *rest: g}
# Of a gradient that is 0 everywhere no factor shows: here the fault is to pass g on.
FAULTS_OF_ZERO = {"g instead of 0": lambda rule: lambda g, *rest: g}


def kinds_of(where: Rule) -> dict[str, Any]:
    if where[1] == "each":
        return FAULTS_OF_EACH
    rule = ROWS[where[0]].rules[where[1]]
    assert rule is not None
    if rule.__qualname__.startswith("no_derivative"):
        return NO_DERIVATIVE
    return FAULTS_OF_ZERO if rule.__code__.co_names == ("np", "zeros_like") else FAULTS


def faults() -> Iterator[Any]:
    for where in RULES:
        for name, change in kinds_of(where).items():
            yield pytest.param(where, change, id=f"{'-'.join(where)}-{name}")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("where", "change"), list(faults()))
def test_a_fault_in_a_rule_is_found(where: Rule, change: Any) -> None:
    with replaced(where, change):
        assert any(red(user) for user in users()[where]), f"{where} can be wrong, and no test goes red"


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_arrays_and_tensors_read_the_same(sample: Sample) -> None:
    tries(sample, 20, lambda data: compare_readers(sample, data.draw(cases(sample, differentiate=True))))


def compare_readers(sample: Sample, case: Case) -> None:
    """The gradients of an ordinary sweep are, bit for bit, those of one that is recorded."""
    found = []
    for again in (False, True):
        args, kwargs, inputs = case.arguments(minigrad, "float32")
        try:
            outs = [x for x in leaves_of(sample.call(minigrad, *args, **kwargs)) if getattr(x, "requires_grad", False)]
            leaves = [x for x in inputs if x.requires_grad]
            directions = [minigrad.from_numpy(case.cotangent(x.shape, x.dtype.name)) for x in outs]
            grads = minigrad.autograd.grad(outs, leaves, directions, create_graph=again, allow_unused=True)
            found.append([None if g is None else (g.dtype, g.detach().numpy().tolist()) for g in grads])
        except Exception as error:
            found.append([type(error)])
    np.testing.assert_equal(*found)


def test_what_a_rule_calls_is_differentiable_or_constant() -> None:
    """A NumPy function without a row would give a gradient without history; the engine refuses it."""
    x = minigrad.ones(2, requires_grad=True)

    def change(rule: Any) -> Any:
        text = "lambda g, out: np.logaddexp(g, out)"
        return eval(compile(text, derivatives.__file__, "eval"), {"np": np})  # in the file of the rules

    y = None
    with replaced(("np.exp", "x"), change):
        y = x.exp().sum()
        with pytest.raises(NotImplementedError, match=r"logaddexp.*no row in the table"):
            minigrad.autograd.grad(y, x, create_graph=True)


def test_constants_are_rows_without_rules() -> None:
    assert all(not table[function].rules for function in constants)
