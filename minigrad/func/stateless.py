"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minigrad.autograd.node import TensorBase
from minigrad.nn.modules.module import Module


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: dict[str, Any] | Sequence[dict[str, Any]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """What the module returns for `args` (a tuple, or the only argument) with other parameters and buffers.

    These are given by dotted name, in one dict or several; the module has its own again afterwards. Names of one
    parameter stand for each other where `tie_weights`; where `strict`, all names must be given, and no others. What
    forward assigns to a name is written to the dict that was given.
    """
    given = merged(parameter_and_buffer_dicts)
    new = untied(module, given) if tie_weights else given
    if strict:
        check_names(module, new)
    places = {dotted: place_of(module, dotted) for dotted in new}
    before = {dotted: place[name] for dotted, (place, name) in places.items() if name in place}
    for dotted, x in new.items():
        check_tensor(x)
        check_tensor(before.get(dotted), f"attribute `{dotted.rpartition('.')[2]}`: ")
    try:
        for dotted, (place, name) in places.items():
            place[name] = new[dotted]
        return module(*(args if isinstance(args, tuple) else () if args is None else (args,)), **kwargs or {})
    finally:
        for dotted in given:
            place, name = places[dotted]
            given[dotted] = place.get(name)
        for dotted, (place, name) in places.items():
            if dotted in before:
                place[name] = before[dotted]
            else:
                place.pop(name, None)


def check_tensor(x: Any, prefix: str = "") -> None:
    """TypeError unless x is a Tensor, or None."""
    if x is not None and not isinstance(x, TensorBase):
        raise TypeError(f"{prefix}{x} is not an instance of torch.Tensor")


def merged(dicts: Any) -> dict[str, Any]:
    """The dict, or the union of several. ValueError where a name is in two of them."""
    if isinstance(dicts, dict):
        return dicts
    if not isinstance(dicts, Sequence):
        raise ValueError(
            f"Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got {type(dicts)}"
        )
    if not all(isinstance(d, dict) for d in dicts):
        raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
    names = [name for d in dicts for name in d]
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise ValueError(f"{repeated} appeared in multiple dictionaries; behavior of functional call is ambiguous")
    return {name: x for d in dicts for name, x in d.items()}


def named_tensors(module: Module) -> dict[str, Any]:
    """The parameters and buffers under all their names."""
    return dict([*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)])


def untied(module: Module, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, also under the other names of the same tensors. ValueError where two names disagree."""
    names_of: dict[Any, list[str]] = {}
    for name, x in named_tensors(module).items():
        names_of.setdefault(x, []).append(name)
    new = dict(given)
    for names in names_of.values():
        values = [given[name] for name in names if name in given]
        if any(x is not values[0] for x in values):
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(names)}, which are tied. Consider using "
                "tie_weights=False"
            )
        new.update((name, values[0]) for name in names if values)
    return new


def check_names(module: Module, new: Mapping[str, Any]) -> None:
    """RuntimeError unless the names are those of the module's parameters and buffers."""
    known = named_tensors(module)
    problems = [
        f"{kind} key(s): {', '.join(map(repr, sorted(names)))}."
        for kind, names in (("Unexpected", new.keys() - known.keys()), ("Missing", known.keys() - new.keys()))
        if names
    ]
    if problems:
        raise RuntimeError(f"Error(s) in reparametrizing for {type(module).__name__}:\n\t" + "\n\t".join(problems))


def place_of(module: Module, dotted: str) -> tuple[dict[str, Any], str]:
    """The attributes of the module that a name belongs to, and the last part of the name."""
    path, _, name = dotted.rpartition(".")
    if not name:
        raise KeyError('tensor name can\'t be empty string ""')
    return module.get_submodule(path).__dict__, name
