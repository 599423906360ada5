"""The engines with PyTorch's API: minigrad and PyTorch, eager, compiled, on CUDA, and as CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from itertools import chain
from typing import Any

from benchmarks.engines.loop import Backend, Loop, Unavailable, nothing
from benchmarks.engines.with_torch import API, EAGER_ONLY, STEPS, Training
from benchmarks.machine import all_cores
from benchmarks.problems import Problem


def host(tensors: list[Any]) -> list[Any]:
    return [tensor.detach().cpu().numpy().copy() for tensor in tensors]


def eager(api: API, training: Training, problem: Problem) -> Callable[[], Any]:
    """The step as it is written."""
    train, draws = training.train, training.draws
    return train if draws is None else lambda: train(*next(draws))


def compiled(api: API, training: Training, problem: Problem) -> Callable[[], Any]:
    """The whole step, from the forward pass to the update, by the engine's own compiler. (PyTorch's leaves out what it
    can't compile: it calls `backward` between the compiled parts.)"""
    if problem.mode == "recording":
        raise Unavailable("a compiled function doesn't record its operations one by one")
    if api.T.__name__ == "torch":
        api.T.compiler.reset()  # it gives up on code that it has compiled for many other workloads
    return eager(api, Training(api.T.compile(training.train), training.results, training.draws), problem)


def graph(api: API, training: Training, problem: Problem) -> Callable[[], Any]:
    """The whole step as a CUDA graph, in PyTorch's documented way: warmed up on a stream of its own, captured once on
    tensors that stay, replayed; new data are copied into those tensors."""
    cuda, no_grad = api.T.cuda, api.T.no_grad
    draws = training.draws
    first = [] if draws is None else list(next(draws))
    static = [tensor.clone() for tensor in first]
    side = cuda.Stream()
    side.wait_stream(cuda.current_stream())
    with cuda.stream(side):
        for _ in range(3):
            training.train(*static)
    cuda.current_stream().wait_stream(side)
    captured = cuda.CUDAGraph()
    with cuda.graph(captured):
        loss = training.train(*static)
    if problem.start:  # warming up has moved the parameters: back, in place, since the graph knows their addresses
        with no_grad():
            for parameter, start in zip(training.results(), api.tensors(*problem.start), strict=True):
                parameter.copy_(start)

    def step() -> Any:
        captured.replay()
        return loss

    if draws is None:
        return step
    batches = chain([first], draws)

    def step_on_a_batch() -> Any:
        for to, tensor in zip(static, next(batches), strict=True):
            to.copy_(tensor)
        captured.replay()
        return loss

    return step_on_a_batch


HOW = {"eager": eager, "compiled": compiled, "graph": graph}


def start_cuda(T: Any) -> None:
    """Initialise CUDA and the thread that runs its backward passes, which would otherwise share one core with ours."""
    with all_cores():
        T.ones(1, device="cuda", requires_grad=True).sum().backward()
        T.cuda.synchronize()


def load(module: str, device: str = "cpu", how: str = "eager", precision: str | None = None) -> Backend:
    """The engine. `precision` is torch.set_float32_matmul_precision's: "highest" is float32, "high" allows TF32."""
    T = import_module(module)
    if how == "compiled" and not hasattr(T, "compile"):
        raise Unavailable(f"{module} {T.__version__} has no compile")
    if device != "cpu":
        if not T.cuda.is_available():
            raise Unavailable("no CUDA device")
        start_cuda(T)
    return bind(T, device, how, precision)


def bind(T: Any, device: str, how: str, precision: str | None) -> Backend:
    """The Backend of a module with PyTorch's API."""
    api = API(T, device)

    def build(family: str, problem: Problem) -> Loop:
        if family in STEPS:
            make = STEPS[family]
        elif family not in EAGER_ONLY or how != "eager":
            raise Unavailable("no fixed graph of operations on the device")
        elif device != "cpu" and family == "epoch":
            raise Unavailable("the loader is on the CPU")
        else:
            make = EAGER_ONLY[family]
        set_precision: Callable[[], Any] = nothing
        if precision is not None:
            set_precision = lambda: T.set_float32_matmul_precision(precision)
        set_precision()  # the kernels of a graph are chosen when it is captured
        training = make(api, problem)
        step = HOW[how](api, training, problem)

        def begin() -> None:
            set_precision()
            training.begin()

        finish = nothing if device == "cpu" else T.cuda.synchronize
        read = (lambda: step().item()) if problem.reads_loss else step
        return Loop(read, lambda: host(training.results()), begin, finish)

    return build
