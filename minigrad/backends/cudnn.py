"""torch.backends.cudnn: switches that scripts set for a GPU. Without one they make no difference, as in PyTorch."""

from __future__ import annotations

enabled = True
benchmark = False
deterministic = False
allow_tf32 = True


def is_available() -> bool:
    """False: there is no GPU."""
    return False


def version() -> int | None:
    """None: there is no cuDNN."""
    return None
