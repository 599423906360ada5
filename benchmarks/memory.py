"""The peak of what a step allocates and has not yet freed, in MiB."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

import numpy as np

from benchmarks.engines.loop import Loop, Unavailable


def traced(loop: Loop) -> int:
    """Of Python and NumPy, which tells tracemalloc of its arrays."""
    gc.disable()
    tracemalloc.start()
    try:
        loop.step()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()


def profiled(loop: Loop) -> int:
    """Of PyTorch on the CPU: the running sum of what its profiler saw."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        loop.step()
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    return int(np.cumsum([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]).max(initial=0))


def on_the_device(loop: Loop) -> int:
    """Of PyTorch on CUDA, beyond what was there before the step. A graph's memory is there before."""
    import torch

    loop.finish()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    loop.step()
    loop.finish()
    return int(torch.cuda.max_memory_allocated() - before)


WAYS: dict[str, Callable[[Loop], int]] = {"tracemalloc": traced, "profiler": profiled, "cuda": on_the_device}


def peak(loop: Loop, way: str) -> float:
    """MiB, counted in an engine's way. Unavailable where it has none."""
    if way not in WAYS:
        raise Unavailable("nothing counts its memory")
    loop.step()  # what is made once is made
    return WAYS[way](loop) / 2**20
