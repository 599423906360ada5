"""How the time of forward and backward grows with the length of the graph: by twice for twice the length.

    python benchmarks/growth.py [--quick]

A chain of additions, and a net of linear layers, each doubled several times. Prints microseconds for each operation or
layer: the minimum of some runs, and its ratio to that of half the length, which is near 1 where time is linear.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[variable] = "1"  # before NumPy is loaded

import argparse
import time
from collections.abc import Callable

import minigrad as torch


def chain(length: int) -> Callable[[], None]:
    """Forward and backward through so many additions."""
    x = torch.ones(1, requires_grad=True)

    def run() -> None:
        y = x
        for _ in range(length):
            y = y + 1.0
        y.sum().backward()

    return run


def net(layers: int) -> Callable[[], None]:
    """Forward and backward through so many linear layers."""
    model = torch.nn.Sequential(*(torch.nn.Linear(4, 4) for _ in range(layers)))
    x = torch.randn(8, 4)

    def run() -> None:
        model.zero_grad()
        model(x).sum().backward()

    return run


def seconds(run: Callable[[], None], runs: int) -> float:
    """The least time of some runs."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short graphs, one run: to see that it works")
    quick = parser.parse_args().quick
    print(f"{'graph':>10} {'length':>9} {'us each':>9} {'ratio':>6}")
    for name, make, longest in (("additions", chain, 1_000_000), ("layers", net, 10_000)):
        before = None
        for k in (3, 2, 1, 0):
            length = (longest // 100 if quick else longest) >> k
            each = seconds(make(length), 1 if quick else 3) / length * 1e6
            print(f"{name:>10} {length:>9} {each:>9.2f} {'' if before is None else f'{each / before:.2f}':>6}")
            before = each


if __name__ == "__main__":
    main()
