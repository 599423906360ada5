"""The definitions of the kernels that a program calls, so that it runs with NumPy alone."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable
from types import ModuleType
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


def definitions(functions: list[Callable[..., Any]]) -> tuple[list[str], list[str]]:
    """The imports, and the definitions in an order in which they can be executed."""
    imports: dict[str, None] = {}
    texts: dict[str, str] = {}
    for function in functions:
        add(inspect.unwrap(function).__name__, sys.modules[function.__module__], imports, texts)
    return list(imports), list(texts.values())


def add(name: str, module: ModuleType, imports: dict[str, None], texts: dict[str, str]) -> None:
    """Define a name as a module does, after the names that its definition uses."""
    if name in texts:
        return
    tree = ast.parse(inspect.getsource(module))
    node = next((n for n in tree.body if defines(n, name)), None)
    if node is None:
        add_import(name, tree, imports, texts)
        return
    texts[name] = ""  # it may call itself
    node = Plain().visit(node)
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and inner.id != name and inner.id in vars(module):
            add(inner.id, module, imports, texts)
    del texts[name]
    texts[name] = ast.unparse(node)


def add_import(name: str, tree: ast.Module, imports: dict[str, None], texts: dict[str, str]) -> None:
    """Import a name as a module does; define it, where it comes from minigrad."""
    for node in tree.body:
        for alias in node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else []:
            if (alias.asname or alias.name) != name or alias.name == "numpy":
                continue
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("minigrad"):
                add(alias.name, sys.modules[str(node.module)], imports, texts)
            else:
                imports[
                    ast.unparse(node).partition(" import ")[0] + f" import {name}"
                    if isinstance(node, ast.ImportFrom)
                    else ast.unparse(node)
                ] = None


def defines(node: ast.stmt, name: str) -> bool:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return node.name == name
    if isinstance(node, ast.Assign):
        return any(isinstance(t, ast.Name) and t.id == name for t in node.targets)
    return isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name
