"""Derived programs of whole functions and training steps: listings, optimizers, random programs, what is refused."""

import ast
import inspect
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_listings import TRAINED

import minigrad
from minigrad import derivatives, nn, optim
from minigrad.derivatives import constants, table
from minigrad.program import TracingError, trace
from minigrad.program.symbol import Symbol

T = minigrad
EXAMPLES = Path(__file__).parents[1] / "examples"
NOT_IN_LOOPS = {"autograd_basics", "tensor_and_variable"}  # their backward() stands in no loop


def two_layers() -> tuple[Any, Any, Any, Any]:
    T.manual_seed(0)
    x, y = T.randn(64, 1000), T.randn(64, 10)
    return x, y, T.randn(1000, 100, requires_grad=True), T.randn(100, 10, requires_grad=True)


def listing_5(x: Any, y: Any, w1: Any, w2: Any, learning_rate: float = 1e-6) -> Any:
    """A step of examples/two_layer_net_autograd.py."""
    y_pred = x.mm(w1).clamp(min=0).mm(w2)
    loss = (y_pred - y).pow(2).sum()
    loss.backward()
    with T.no_grad():
        w1 -= learning_rate * w1.grad
        w2 -= learning_rate * w2.grad
        w1.grad.zero_()
        w2.grad.zero_()
    return loss


def derived_from(script: str) -> str:
    found = subprocess.run(
        [sys.executable, "-m", "minigrad", "derive", script],
        cwd=EXAMPLES,
        env=os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def canonical(statements: list[ast.stmt], renamed: dict[str, str]) -> list[str]:
    """Statements with their variables numbered in the order of appearance, terms in one order, .dot() as @."""

    class Canonical(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.AST:
            return ast.Name(renamed.setdefault(node.id, node.id if node.id == "np" else f"v{len(renamed)}"), node.ctx)

        def visit_Constant(self, node: ast.Constant) -> ast.AST:
            return ast.Constant(float(node.value)) if isinstance(node.value, (int, float)) else node

        def visit_Call(self, node: ast.Call) -> ast.AST:
            if isinstance(node.func, ast.Attribute) and node.func.attr == "dot":
                return self.visit(ast.BinOp(node.func.value, ast.MatMult(), node.args[0]))
            called = self.generic_visit(node)
            if isinstance(node.func, ast.Attribute) and node.func.attr == "maximum":
                called.args.sort(key=ast.unparse)
            return called

        def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
            left, right = self.visit(node.left), self.visit(node.right)
            if isinstance(node.op, ast.Mult):
                left, right = sorted((left, right), key=ast.unparse)
            return ast.BinOp(left, node.op, right)

        def visit_Compare(self, node: ast.Compare) -> ast.AST:
            node.ops = [ast.GtE() if isinstance(op, ast.Gt) else op for op in node.ops]  # clamp passes at its bound
            return self.generic_visit(node)

    found = []
    for statement in statements:
        if isinstance(statement, ast.Assign):  # the value first: names are numbered as they are computed
            value = Canonical().visit(statement.value)
            (target,) = statement.targets
            found.append(f"{ast.unparse(Canonical().visit(target))} = {ast.unparse(value)}")
        elif isinstance(statement, ast.AugAssign):
            found.append(ast.unparse(Canonical().visit(statement)))
    return found


def test_listing_5_is_listing_4() -> None:
    """Statement for statement, up to names, the order of commuting terms and of independent statements."""
    tree = ast.parse((EXAMPLES / "two_layer_net_numpy.py").read_text())
    loop = next(n for n in tree.body if isinstance(n, ast.For))
    by_hand = [n for n in loop.body if isinstance(n, (ast.Assign, ast.AugAssign))]
    (function,) = [
        n for n in ast.parse(derived_from("two_layer_net_autograd.py")).body if isinstance(n, ast.FunctionDef)
    ]
    derived = [n for n in function.body if isinstance(n, (ast.Assign, ast.AugAssign))]
    assert len(derived) == len(by_hand)
    place = {ast.unparse(n.targets[0]): i for i, n in enumerate(derived) if isinstance(n, ast.Assign)}
    i, j = place["d_clamp"], place["d_w2"]  # which of the two comes first is free
    derived[min(i, j)], derived[max(i, j)] = derived[j], derived[i]
    same_names = {name: name for name in ("x", "y", "w1", "w2", "learning_rate")}
    assert canonical(derived, dict(same_names)) == canonical(by_hand, dict(same_names))


def test_the_example_shows_both() -> None:
    command = [sys.executable, "-m", "minigrad", "run", "derived_program.py"]
    environment = os.environ | {"PYTHONPATH": str(EXAMPLES.parent)}
    found = subprocess.run(command, cwd=EXAMPLES, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert "grad_w2 = h_relu.T.dot(grad_y_pred)              d_h_relu = d_y_pred @ w2.T\n" in found.stdout
    assert re.search(r"loss (\S+) by hand, \1 derived", found.stdout)


def test_derive_a_function_of_a_script(tmp_path: Path) -> None:
    """script.py:function is traced when the script calls it; what can't be derived is said, with the exit status 1."""
    script = tmp_path / "script.py"
    script.write_text(
        "import torch\n"
        "def f(a):\n    return (a * a).sum()\n"
        "def g(a):\n    return a if a.sum() > 0 else -a\n"
        "print('mine', f(torch.ones(2)), f(torch.ones(3)))\n"
        "g(torch.ones(1))\n"
    )
    cases = {"f": (0, "return total", ""), "g": (1, "", "script.py:5: "), "h": (1, "", "no function 'h'"),
             "": (1, "", "no loop that calls backward()")}  # fmt: skip
    for name, (status, out, said) in cases.items():
        target = f"script.py:{name}" if name else "script.py"
        found = subprocess.run(
            [sys.executable, "-m", "minigrad", "derive", target],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(EXAMPLES.parent)},
            capture_output=True,
            text=True,
        )
        assert (found.returncode, "mine" in found.stdout) == (status, False), found
        assert out in found.stdout
        assert said in found.stderr


def test_listing_5_trains_as_autograd_and_as_by_hand() -> None:
    x, y, w1, w2 = two_layers()
    start = [v.detach().numpy().copy() for v in (x, y, w1, w2)]
    listing_5(x, y, w1, w2)
    program = trace(listing_5, x, y, w1, w2)
    for _ in range(498):
        listing_5(x, y, w1, w2)
    derived = [v.copy() for v in start]
    for _ in range(500):
        program(*derived)
    np.testing.assert_array_equal(derived[2], w1.detach().numpy())
    np.testing.assert_array_equal(derived[3], w2.detach().numpy())
    x4, y4, v1, v2 = start
    for _ in range(500):
        h = x4.dot(v1)
        h_relu = np.maximum(h, 0)
        grad_y_pred = 2.0 * (h_relu.dot(v2) - y4)
        grad_w2 = h_relu.T.dot(grad_y_pred)
        grad_w1 = x4.T.dot(np.where(h > 0, grad_y_pred.dot(v2.T), 0))
        v1 -= 1e-6 * grad_w1
        v2 -= 1e-6 * grad_w2
    np.testing.assert_allclose(derived[2], v1, 1e-5, 1e-5)
    np.testing.assert_allclose(derived[3], v2, 1e-5, 1e-5)


def test_without_minigrad() -> None:
    """The source runs in a process that has NumPy alone, the definitions of kernels included."""
    scores, labels = T.randn(4, 3, requires_grad=True), T.tensor([0, 2, 1, 1])
    program = trace(nn.functional.cross_entropy, scores, labels, grad=True)
    x = scores.detach().numpy().tolist()
    call = f"print([np.asarray(v).tolist() for v in {program.name}(np.array({x}, np.float32), np.array([0, 2, 1, 1]))])"
    block = "import sys\nsys.modules['minigrad'] = sys.modules['torch'] = None\n"
    found = subprocess.run([sys.executable, "-I", "-c", block + program.source + call], capture_output=True, text=True)
    loss = nn.functional.cross_entropy(scores, labels)
    loss.backward()
    assert found.returncode == 0, found.stderr
    value, gradient = ast.literal_eval(found.stdout)
    np.testing.assert_allclose(value, loss.item(), 1e-6)
    np.testing.assert_allclose(gradient, scores.grad.numpy(), 1e-6)


@pytest.mark.parametrize("example", [e for e in TRAINED if e not in NOT_IN_LOOPS])
def test_every_listing_derives(example: str) -> None:
    source = derived_from(f"{example}.py")
    assert "minigrad" not in source
    assert "torch" not in re.sub("#.*", "", source)
    compile(source, example, "exec")
    assert all(len(line) <= 88 for line in source.splitlines())


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
