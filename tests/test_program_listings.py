"""Derived programs of the examples' listings, and the command that prints them."""

import ast
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_listings import TRAINED

import minigrad
from minigrad import nn
from minigrad.program import trace

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
    with tempfile.TemporaryDirectory() as folder:  # where its plots go
        found = subprocess.run(
            [sys.executable, "-m", "minigrad", "derive", str(EXAMPLES / script)],
            cwd=folder,
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
