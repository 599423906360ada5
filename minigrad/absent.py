"""What is said where a script asks for what minigrad lacks."""

from __future__ import annotations


def no_module(name: str) -> ModuleNotFoundError:
    """The error for `import torch.x` of a module that minigrad lacks."""
    return ModuleNotFoundError(f"No module named {name!r}", name=name)
