"""torch.cuda on a machine without it: scripts ask `cuda.is_available()` and go on with the CPU."""


def is_available() -> bool:
    """False: minigrad runs on the CPU alone."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing, as in PyTorch without a GPU."""


def manual_seed_all(seed: int) -> None:
    """Nothing, as in PyTorch without a GPU."""
