"""torch.backends.mps: scripts ask whether a Mac's GPU is there, and go on with the CPU."""


def is_available() -> bool:
    """False: minigrad runs on the CPU alone."""
    return False


def is_built() -> bool:
    """False: minigrad runs on the CPU alone."""
    return False
