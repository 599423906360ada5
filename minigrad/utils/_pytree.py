"""Nested containers of values, taken apart into a flat list and put together again.

A tree is a dict, list, tuple, namedtuple, OrderedDict, defaultdict or deque of trees; anything else, None included, is
a leaf.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, repr=False)
class TreeSpec:
    """The structure of a tree: the type of its outermost container, and the structures of what that contains."""

    type: type | None  # None for a leaf
    context: Any  # what the type needs besides its children, such as the keys of a dict
    children_specs: tuple[TreeSpec, ...]

    @property
    def num_leaves(self) -> int:
        return 1 if self.type is None else sum(child.num_leaves for child in self.children_specs)

    def __repr__(self) -> str:
        return self._text(0)

    def _text(self, indent: int) -> str:
        if self.type is None:
            return "*"
        children = f",\n{' ' * (indent + 2)}".join(child._text(indent + 2) for child in self.children_specs)
        return f"TreeSpec({self.type.__name__}, {self.context}, [{children}])"


LEAF = TreeSpec(None, None, ())


def taken_apart(tree: Any) -> tuple[list[Any], Any] | None:
    """The children of a container, and what is needed besides them to make it anew; None for a leaf."""
    kind = type(tree)
    if kind in (list, tuple):
        return [*tree], None
    if kind in (dict, OrderedDict):
        return [*tree.values()], [*tree]
    if kind is defaultdict:
        return [*tree.values()], [tree.default_factory, [*tree]]
    if kind is deque:
        return [*tree], tree.maxlen
    if isinstance(tree, tuple) and hasattr(kind, "_fields"):
        return [*tree], kind
    return None


def put_together(kind: Any, context: Any, children: list[Any]) -> Any:
    """The container of that type, of these children."""
    if kind in (dict, OrderedDict):
        return kind(zip(context, children, strict=True))
    if kind is defaultdict:
        return kind(context[0], zip(context[1], children, strict=True))
    if kind is deque:
        return kind(children, context)
    return kind(children) if context is None else kind(*children)  # a list or tuple, or a namedtuple


def tree_flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], TreeSpec]:
    """The leaves of a tree, from left to right, and its structure; `is_leaf` may stop at a container."""
    parts = None if is_leaf is not None and is_leaf(tree) else taken_apart(tree)
    if parts is None:
        return [tree], LEAF
    children, context = parts
    flat = [tree_flatten(child, is_leaf) for child in children]
    leaves = [leaf for found, _ in flat for leaf in found]
    return leaves, TreeSpec(type(tree), context, tuple(spec for _, spec in flat))


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves of a tree, from left to right."""
    return tree_flatten(tree, is_leaf)[0]


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree of that structure with these leaves. ValueError where their number is wrong."""
    leaves = [*leaves]
    if len(leaves) != treespec.num_leaves:
        raise ValueError(
            f"treespec.unflatten(leaves): `leaves` has length {len(leaves)} but the spec refers to a pytree that holds "
            f"{treespec.num_leaves} items ({treespec})."
        )
    return _built(iter(leaves), treespec)


def _built(leaves: Iterator[Any], spec: TreeSpec) -> Any:
    if spec.type is None:
        return next(leaves)
    return put_together(spec.type, spec.context, [_built(leaves, child) for child in spec.children_specs])


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """The tree with `func` of each leaf, and of the leaves at its place in trees of the same structure."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [tree_flatten(rest, is_leaf) for rest in rests]
    for _, other in others:
        if other != spec:
            raise ValueError(f"tree_map: the trees differ in structure: {spec} and {other}")
    return tree_unflatten(map(func, leaves, *(flat for flat, _ in others)), spec)
