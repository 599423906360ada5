"""torch.cuda on a machine without it: scripts ask `cuda.is_available()` and go on with the CPU."""

from typing import NoReturn


def no_gpu() -> AssertionError:
    """The error where a GPU is needed: PyTorch's, in a CPU build."""
    return AssertionError(
        "Torch not compiled with CUDA enabled: minigrad runs on the CPU alone; ask torch.cuda.is_available() first, "
        "which is False"
    )


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


def is_initialized() -> bool:
    """False."""
    return False


def empty_cache() -> None:
    """Nothing, as in PyTorch without a GPU."""


def current_device() -> NoReturn:
    """AssertionError, as in PyTorch without a GPU."""
    raise no_gpu()


def get_device_name(device: object = None) -> NoReturn:
    """AssertionError, as in PyTorch without a GPU."""
    raise no_gpu()


def synchronize(device: object = None) -> NoReturn:
    """AssertionError, as in PyTorch without a GPU."""
    raise no_gpu()
