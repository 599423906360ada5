"""Derived programs of whole functions and training steps: optimizers, random programs, what is refused."""

import ast
import inspect
import re
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad
from minigrad import derivatives, nn, optim
from minigrad.derivatives import constants, table
from minigrad.program import TracingError, trace
from minigrad.program.symbol import Symbol

T = minigrad
OPTIMIZERS = [
    (optim.SGD, {"lr": 0.1}), (optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}),
    (optim.SGD, {"lr": 0.1, "maximize": True}), (optim.Adam, {}), (optim.Adam, {"amsgrad": True, "weight_decay": 0.1}),
    (optim.AdamW, {}), (optim.RMSprop, {"momentum": 0.5, "centered": True}), (optim.Adagrad, {"lr_decay": 0.1}),
    (optim.Adadelta, {}), (optim.Adamax, {}), (optim.NAdam, {}), (optim.RAdam, {}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options"), OPTIMIZERS, ids=lambda x: getattr(x, "__name__", str(x)))
def test_a_step_of_every_optimizer(kind: Any, options: dict[str, Any]) -> None:
    """The derived step, applied to the same arrays, gives what further eager steps give, on other inputs too."""
    T.manual_seed(1)
    net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))
    optimizer = kind(net.parameters(), **options)

    def step(x: Any, y: Any) -> Any:
        loss = ((net(x) - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(6):  # from the sixth step on RAdam corrects
        step(T.randn(6, 5), T.randn(6, 2))
    program = trace(step, T.randn(6, 5), T.randn(6, 2))
    arrays = {name: x.copy() if isinstance(x, np.ndarray) else x for name, x in program.arguments().items()}
    for _ in range(3):
        x, y = T.randn(6, 5), T.randn(6, 2)
        loss = step(x, y)
        got = program(**(arrays | {"x": x.numpy(), "y": y.numpy()}))
        np.testing.assert_array_equal(got, loss.detach().numpy())
    for name, now in program.arguments().items():
        if isinstance(now, np.ndarray) and name not in ("x", "y"):
            np.testing.assert_array_equal(arrays[name], now)
    assert all(len(line) <= 88 for line in program.source.splitlines())


def test_hyper_parameters_have_names() -> None:
    net = nn.Linear(2, 1)
    optimizer = optim.SGD(net.parameters(), lr=0.5)

    def step(x: Any) -> None:
        net(x).sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    program = trace(step, T.ones(3, 2))
    assert "weight -= lr * d_weight  " not in program.source
    assert "    weight -= lr * d_weight\n" in program.source
    weight = net.weight.detach().numpy().copy()
    before = weight.copy()
    program(np.ones((3, 2), np.float32), weight, net.bias.detach().numpy().copy(), lr=2.0)
    np.testing.assert_array_equal(before - weight, np.full((1, 2), 6.0, np.float32))


def test_value_and_gradients_of_a_function() -> None:
    def f(x: Any, y: Any) -> Any:
        return (T.sin(x @ y) * x.sum()).mean()

    x, y = (T.randn(3, 3, dtype=T.float64, requires_grad=True) for _ in range(2))
    program = trace(f, x, y, grad=True)
    assert program.outputs[1:] == ("d_x", "d_y")
    new = [T.randn(3, 3, dtype=T.float64, requires_grad=True) for _ in range(2)]
    value = f(*new)
    for found, expected in zip(
        program(*(v.detach().numpy() for v in new)), (value, *T.autograd.grad(value, new)), strict=True
    ):
        np.testing.assert_allclose(found, expected.detach().numpy(), 1e-12)


def test_hessian_vector_product() -> None:
    def hvp(x: Any, v: Any) -> Any:
        (g,) = T.autograd.grad((x**3).sum() + (x[0] * x[1]) ** 2, x, create_graph=True)
        return T.autograd.grad(g, x, v)[0]

    x, v = T.randn(4, dtype=T.float64, requires_grad=True), T.randn(4, dtype=T.float64)
    program = trace(hvp, x, v)
    x, v = T.randn(4, dtype=T.float64, requires_grad=True), T.randn(4, dtype=T.float64)
    np.testing.assert_allclose(program(x.detach().numpy(), v.numpy()), hvp(x, v).numpy(), 1e-12)


def test_functions_of_ones_own_and_hooks() -> None:
    """Their Python runs on tensors while the trace is made; what they compute is in the program."""

    class Cube(T.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return g * 3 * x * x

    def f(x: Any) -> Any:
        y = Cube.apply(x) * x
        y.register_hook(lambda g: g * 2)
        return T.autograd.grad(y.sum(), x)[0]

    x = T.randn(3, requires_grad=True)
    program = trace(f, x)
    x = T.randn(3, requires_grad=True)
    np.testing.assert_array_equal(program(x.detach().numpy()), f(x).numpy())


def test_gradient_clipping() -> None:
    """A read before a write and one after it are two reads, also where both ask for the same."""
    w = T.tensor([3.0, 4.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=1.0)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        (w * x).sum().backward()
        before = (w.grad * w.grad).sum()
        w.grad.mul_(0.5)
        after = (w.grad * w.grad).sum()
        optimizer.step()
        return before, after

    program = trace(step, T.ones(2))
    before, after = program(np.array([3.0, 4.0], np.float32), np.array([0.0, 0.0], np.float32))
    assert (before, after) == (25.0, 6.25)


def test_random_numbers_are_arguments() -> None:
    layer = nn.Dropout(0.4)
    program = trace(lambda x: layer(x) * 2, T.ones(50))
    (x, uniform) = program.inputs
    assert (x.kind, uniform.kind) == ("argument", "draw")
    T.manual_seed(3)
    expected = layer(T.ones(50)) * 2
    T.manual_seed(3)
    drawn = T.default_generator.uniform((50,), np.float64)
    np.testing.assert_array_equal(program(np.ones(50, np.float32), drawn), expected.numpy())


def test_gradients_that_add_up() -> None:
    """Where the function leaves no update, the .grad that it adds to is an argument, updated in place."""
    w = T.tensor([1.0, 2.0], requires_grad=True)

    def add(x: Any) -> None:
        (w * x).sum().backward()

    add(T.ones(2))
    program = trace(add, T.ones(2))
    grad = np.array([10.0, 20.0], np.float32)
    program(**(program.arguments() | {"x": np.array([1.0, 2.0], np.float32), "d_w": grad}))
    assert grad.tolist() == [11.0, 22.0]


# Passes


def body(source: str) -> list[str]:
    """The statements of a program's function, after its docstring."""
    (function,) = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)]
    return [ast.unparse(statement) for statement in function.body[1:]]


def written_between(x: Any) -> Any:
    y = x + 1
    x.add_(1)
    return y * 2, x + 1


def written_to_the_first(x: Any) -> Any:
    a, b = x * 2, x * 2
    a.add_(1)
    return a - b


def written_through_a_view(x: Any) -> Any:
    a = x * 1
    a[0] = 5.0
    return a * x


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.tanh() * x.tanh(), ["tanh = np.tanh(x)", "product = tanh * tanh", "return product"]),
        (lambda x: (x + 1).exp() * 1, ["exp = np.exp(x + 1)", "return exp"]),
        (lambda x: (x.sin(), x.exp())[0], ["sin = np.sin(x)", "return sin"]),
        (lambda x: x.sum(0) / 3, ["mean = x.mean()", "return mean"]),
        (lambda x: (x * T.ones(3)).exp(), ["exp = np.exp(x)", "return exp"]),
        (written_between, None),
        (written_to_the_first, ["a = x * 2", "b = x * 2", "a += 1", "difference = a - b", "return difference"]),
        (written_through_a_view, None),
    ],
)
def test_passes(function: Any, expected: list[str] | None) -> None:
    """What is shared, folded and dropped; and what must not be, since memory is written to in between."""
    program = trace(function, T.arange(3.0))
    found = program(np.array([1.0, 2.0, 4.0], np.float32))
    wanted = function(T.tensor([1.0, 2.0, 4.0]))
    for x, y in zip(*((z if isinstance(z, tuple) else (z,)) for z in (found, wanted)), strict=True):
        np.testing.assert_array_equal(x, y.numpy())
    if expected is not None:
        assert body(program.source) == expected


# What a trace leaves


def test_nothing_is_left_of_a_trace() -> None:
    x = T.randn(3, requires_grad=True)
    kept = []

    def f(x: Any) -> Any:
        kept.append((x * 2).relu() @ x)
        return kept[-1]

    trace(f, x)
    assert type(kept[0]._array) is np.ndarray
    kept[0].backward()
    assert type(x.grad._array) is np.ndarray
    assert "member" in repr(minigrad.autograd.node.TensorBase.__dict__["_array"])


def test_an_error_shuts_the_door() -> None:
    def f(x: Any) -> Any:
        x.add_(1)
        raise KeyError("mine")

    x = T.zeros(2)
    with pytest.raises(KeyError, match="mine"):
        trace(f, x)
    assert (x + 1).tolist() == [2.0, 2.0]
    assert minigrad.autograd.grad_mode.state.quiet(np.add, 1, 2) == 3


def test_other_threads_see_arrays() -> None:
    seen = []
    x = T.ones(2)

    def f(x: Any) -> Any:
        thread = threading.Thread(target=lambda: seen.append(((x * 2)._array, x.tolist())))
        thread.start()
        thread.join()
        return x + 1

    trace(f, x)
    assert type(seen[0][0]) is np.ndarray
    assert seen[0][1] == [1.0, 1.0]


# What is refused


@pytest.mark.parametrize(
    "look",
    [
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x * x.sum().item(),
        lambda x: x * float(x[0]),
        lambda x: print(x),
        lambda x: T.tensor(x.tolist()),
        lambda x: T.from_numpy(np.asarray(x.numpy())),
        lambda x: x[x > 0].tolist(),
        lambda x: T.nonzero(x),
        lambda x: T.allclose(x, x),
        lambda x: next(iter(x.numpy())),
    ],
)
def test_values_can_not_be_looked_at(look: Any) -> None:
    with pytest.raises(TracingError, match=re.escape(f"{__file__}:") + r"\d+: .*Move what depends on a tensor's value"):
        trace(look, T.ones(3))


def test_a_scheduler_belongs_outside() -> None:
    layer = nn.Linear(1, 1)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

    def step(x: Any) -> None:
        layer(x).sum().backward()
        optimizer.step()
        scheduler.step()

    with pytest.raises(TracingError, match="the function changes its optimizer's 'lr'"):
        trace(step, T.ones(1, 1))


def test_one_trace_at_a_time() -> None:
    with pytest.raises(TracingError, match="none inside another"):
        trace(lambda x: trace(lambda y: y, x), T.ones(1))


def test_memory_that_two_inputs_share() -> None:
    x = T.zeros(4)

    def f(x: Any, part: Any) -> Any:
        part.add_(1)
        return x * 2

    with pytest.raises(TracingError, match="shares its memory"):
        trace(f, x, x[:2])


def test_symbols_do_not_become_arrays() -> None:
    seen: list[Any] = []

    def f(x: Any) -> Any:
        seen.append(x._array)
        return x * 1

    trace(f, T.ones(2))
    assert type(seen[0]) is Symbol
    with pytest.raises(TracingError):
        np.asarray(seen[0])
    with pytest.raises(TracingError, match="after it"):
        seen[0] + 1


# Random programs

STEPS = st.lists(
    st.tuples(
        st.sampled_from(("add", "mul", "sub", "tanh", "relu", "square", "matmul", "t", "row", "sum", "add_", "mul_",
                         "fill_", "where", "stack", "detach", "again")),
        st.integers(0, 9), st.integers(0, 9),
    ), min_size=1, max_size=14,
)  # fmt: skip


def run_program(steps: list[tuple[str, int, int]], x: Any, w: Any) -> Any:
    """A program over a pool of 3 by 3 matrices, with shared values, views and in-place writes."""
    pool = [x, w * 1, x * w]
    for name, i, j in steps:
        a, b = pool[i % len(pool)], pool[j % len(pool)]
        if name in ("add", "mul", "sub", "matmul"):
            made = getattr(a, name)(b)
        elif name in ("tanh", "relu", "square", "t", "detach"):
            made = getattr(a, name)()
        elif name == "row":
            made = a[i % 3] + b[:, j % 3 : j % 3 + 1]
        elif name == "sum":
            made = a.sum(0, keepdim=True) * b
        elif name == "where":
            made = T.where(a > b, a, b * 0.5)
        elif name == "stack":
            made = T.stack([a[0], b[1], a[2]])
        elif name == "again":
            made = (a + b) * (a + b)
        else:
            target = a.clone()
            view = target[i % 3]
            made = target
            if name == "fill_":
                view.fill_(0.5)
            else:
                getattr(view, name)(b[j % 3])
        pool.append(made)
    loss = sum(p.mean() for p in pool[-3:])
    return pool[-1], loss, *T.autograd.grad(loss, (w,), allow_unused=True)


@given(STEPS, st.integers(0, 2**32 - 1))
def test_random_programs(steps: list[tuple[str, int, int]], seed: int) -> None:
    T.manual_seed(seed)
    draw = lambda: (T.randn(3, 3, dtype=T.float64) * 0.5, (T.randn(3, 3, dtype=T.float64) * 0.5).requires_grad_())
    try:
        run_program(steps, *draw())
    except RuntimeError:  # a value was written to that a gradient needs
        return
    program = trace(lambda x, w: run_program(steps, x, w), *draw())
    x, w = draw()
    expected = run_program(steps, x, w)
    found = program(x.numpy(), w.detach().numpy())
    for got, wanted in zip(found, expected, strict=True):
        if wanted is None:
            assert got is None
        else:
            np.testing.assert_allclose(got, wanted.detach().numpy(), 1e-10, 1e-12)


# The table


def test_rules_call_what_is_in_the_table() -> None:
    """Every NumPy function that a rule calls has a row, or is on the list of those without a derivative."""
    known = {*table, *constants, np.eye, np.absolute}
    tree = ast.parse(inspect.getsource(derivatives))
    called = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            text = ast.unparse(node.func)
            if text.startswith("np.") and not text.startswith("np.finfo"):
                called.add(text)
    assert len(called) >= 15
    for text in called:
        assert eval(text, {"np": np}) in known, text
