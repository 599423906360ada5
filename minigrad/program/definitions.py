"""The definitions of the kernels that a program calls, so that it runs with NumPy alone."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any


class Plain(ast.NodeTransformer):
    """Takes away what a reader of the program doesn't need: decorators, annotations."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list, node.returns = [], None
        for argument in (*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs):
            argument.annotation = None
        for extra in (node.args.vararg, node.args.kwarg):
            if extra is not None:
                extra.annotation = None
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        return node


def definitions(functions: list[Callable[..., Any]]) -> tuple[list[str], list[str]]:
    """The imports, and the definitions in an order in which they can be executed."""
    imports: dict[str, None] = {}
    texts: dict[str, str] = {}
    for function in functions:
        add(inspect.unwrap(function).__name__, sys.modules[function.__module__], imports, texts)
    return list(imports), list(texts.values())


def add(name: str, module: ModuleType, imports: dict[str, None], texts: dict[str, str]) -> None:
    """Define a name as a module does, after the names that its definition uses."""
    if name in texts or name == "np":
        return
    found = getattr(module, name)
    if isinstance(found, ModuleType):
        imports[f"import {found.__name__}"] = None
        return
    home = sys.modules[getattr(found, "__module__", None) or module.__name__]
    if home.__name__ == "typing" or not home.__name__.startswith("minigrad"):
        if isinstance(found, (FunctionType, type)):
            imports[f"from {home.__name__} import {name}"] = None
            return
        home = module
    if inspect.isclass(found) or isinstance(found, FunctionType) or callable(found):
        home = sys.modules.get(getattr(inspect.unwrap(found), "__module__", home.__name__) or "", home) if not isinstance(found, type) else home
    tree = ast.parse(inspect.getsource(home))
    node = next((n for n in tree.body if defines(n, name)), None)
    if node is None:
        origin = next(n for n in tree.body if isinstance(n, ast.ImportFrom) and any((a.asname or a.name) == name for a in n.names))
        add(name, sys.modules[str(origin.module)], imports, texts)
        return
    in_single = any(isinstance(d, ast.Name) and d.id == "in_single" for d in getattr(node, "decorator_list", []))
    node = Plain().visit(node)
    texts[name] = ""  # it may call itself
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and inner.id != name and inner.id in vars(home):
            add(inner.id, home, imports, texts)
    del texts[name]
    if in_single:
        raise NotImplementedError(name)
    texts[name] = ast.unparse(node)


def defines(node: ast.stmt, name: str) -> bool:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return node.name == name
    if isinstance(node, ast.Assign):
        return any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
    return isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name
