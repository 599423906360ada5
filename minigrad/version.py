"""torch.version: what PyTorch says of how it was built."""

from __future__ import annotations

cuda: str | None = None
hip: str | None = None
debug = False
