"""The benchmark suite: `python -m benchmarks` runs every workload on every engine that is installed."""
