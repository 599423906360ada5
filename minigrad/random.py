"""PyTorch's torch.random: Generator, the default one, and the functions that seed it and save its state."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from minigrad.autograd.node import TensorBase, wrap
from minigrad.metadata import CPU, check_device
from minigrad.metadata import device as Device
from minigrad.stream import Stream

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

__all__ = ["fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]


class Generator(Stream):
    """A source of random numbers: each gives PyTorch's, from the seed or the state that it is set to.

    RuntimeError for a device other than the CPU.
    """

    __slots__ = ()
    device = CPU

    def __init__(self, device: str | Device | int | None = None) -> None:
        check_generator_device(device)
        super().__init__()

    def manual_seed(self, seed: int) -> Generator:
        """Begin anew from `seed` in [-2**63, 2**64), negative ones counting from 2**64; returns the generator.

        RuntimeError or TypeError where `seed` is no int, ValueError where it is out of range.
        """
        if isinstance(seed, np.integer):
            raise TypeError(f"an integer is required, not {type(seed).__name__}: pass int(seed)")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}: {seed!r}; pass an int")
        if not -(2**63) <= seed < 2**64:
            raise ValueError(f"Overflow when unpacking long long: the seed {seed} is not in [-2**63, 2**64)")
        self.restart(seed % 2**64)
        return self

    def seed(self) -> int:
        """Begin anew from a seed of the operating system's, which is returned."""
        return self.manual_seed(int.from_bytes(os.urandom(8), "little")).initial_seed()

    def initial_seed(self) -> int:
        """The seed that the generator began from."""
        return self._seed

    def get_state(self) -> Tensor:
        """The state as a uint8 tensor, the same bytes as PyTorch's."""
        return wrap(self.state())

    def set_state(self, new_state: Tensor) -> Generator:
        """Continue from a state of `get_state`, minigrad's or PyTorch's; returns the generator.

        TypeError, RuntimeError where it is none.
        """
        if not isinstance(new_state, TensorBase):
            raise TypeError(f"expected a torch.ByteTensor, but got {type(new_state).__name__}")
        state = new_state._array
        if state.dtype != np.uint8:
            raise TypeError(f"RNG state must be a torch.ByteTensor, of uint8; got {new_state.dtype}")
        if not state.flags.c_contiguous:
            raise RuntimeError("RNG state must be contiguous: pass new_state.contiguous()")
        self.restore(state)
        return self

    def clone_state(self) -> Generator:
        """Another generator in the same state."""
        twin = type(self)()
        twin.restore(self.state())
        return twin

    def graphsafe_get_state(self) -> NoReturn:
        """NotImplementedError, as PyTorch's generators on the CPU: it is for CUDA graphs."""
        raise NotImplementedError("graphsafe_get_state is not supported in this Generator: use get_state()")

    def graphsafe_set_state(self, state: Generator) -> NoReturn:
        """NotImplementedError, as PyTorch's generators on the CPU: it is for CUDA graphs."""
        raise NotImplementedError("graphsafe_set_state is not supported in this Generator: use set_state()")

    def get_offset(self) -> NoReturn:
        """RuntimeError, as PyTorch's generators on the CPU."""
        raise RuntimeError("CPU Generator does not use offset: use get_state()")

    def set_offset(self, offset: int) -> NoReturn:
        """RuntimeError, as PyTorch's generators on the CPU."""
        raise RuntimeError("CPU Generator does not use offset: use set_state()")

    def __repr__(self) -> str:
        return f"<torch._C.Generator object at {id(self):#x}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.device,), (self._seed, None, self.get_state())

    def __setstate__(self, state: tuple[int, None, Tensor]) -> None:
        self.manual_seed(state[0])
        self.set_state(state[2])


def check_generator_device(d: str | Device | int | None) -> None:
    """Pass where `d` names the CPU; else PyTorch's errors."""
    if d is None or (isinstance(d, (str, Device)) and Device(d).type == "cpu"):
        return
    if isinstance(d, (int, str, Device)) and not isinstance(d, bool):
        raise RuntimeError(f"Cannot get a generator for device {d}: minigrad runs on the CPU alone; write Generator()")
    raise TypeError(f"Generator(): argument 'device' (position 1) must be torch.device, not {type(d).__name__}")


default_generator = Generator()


def manual_seed(seed: Any) -> Generator:
    """Seed the default generator with int(seed), and return it."""
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Seed the default generator from the system's entropy, and return the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator, as uint8."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Set the state of the default generator to one that get_rng_state() gave."""
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(
    devices: Sequence[str | Device | int] | None = None, enabled: bool = True, device_type: str | None = None
) -> Iterator[None]:
    """What the block draws from the default generator, and how it seeds it, is forgotten at its end.

    `devices` and `device_type` are for other devices than the CPU, and change nothing here; AssertionError,
    RuntimeError where they name none that is there, or that PyTorch knows.
    """
    if not enabled:
        yield
        return
    if device_type is not None:
        Device(device_type)
    for d in devices or ():
        check_device(d)
    state = default_generator.state()
    try:
        yield
    finally:
        default_generator.restore(state)
