"""The benchmark suite: what it computes, not how long it takes."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import minigrad
from benchmarks import agreement, engines, measuring, plots, problems, report, results, session, targets, workloads
from benchmarks.__main__ import main
from benchmarks.engines import torch_variants, with_numpy, with_torch
from benchmarks.engines.loop import Loop, Unavailable
from benchmarks.problems import Problem
from benchmarks.results import Result, Row, Run

QUICK = session.Settings(rounds=1, seconds=0.001, threads=1)
TRAINED = [w for w in workloads.WORKLOADS if w.quick and w.group in ("loops", *workloads.SWEEPS)]


def steps(problem: Problem, backend: Any, family: str) -> agreement.Outcome:
    return agreement.outcome(backend(family, problem), problem)


def made_up(**times: list[float]) -> Result:
    rows = [Row(name.replace("_", " "), values) for name, values in times.items()]
    return Result("1", "a loop", "loops", None, "µs", rows)


def a_run(*found: Result, gpu: str | None = None) -> Run:
    machine = {"processor": "a CPU", "cores": 2, "threads": 1, "gpu": gpu, "system": "a system", "python": "3.11"}
    return Run({**machine, "versions": {"numpy": "2.4"}, "date": "2026-01-01"}, {}, {"jax.jit": "not here"}, [*found])


# The engines agree


@pytest.mark.parametrize("module", ["minigrad", "torch"])
@pytest.mark.parametrize("workload", TRAINED, ids=lambda w: w.name)
def test_engines_agree_with_numpy(workload, module):
    problem = workload.problem()
    reference = steps(problem, with_numpy.load(), workload.family)
    found = steps(problem, torch_variants.load(module), workload.family)
    assert agreement.difference(problem, found, reference, 1e-4) == ""
    assert len(set(found.losses)) == problems.STEPS  # it trains


@pytest.mark.parametrize("name", workloads.OPERATIONS)
def test_operations_agree(name):
    forward = problems.operation(name, "forward")
    value = steps(forward, with_numpy.load(), "operation")
    for mode in workloads.MODES:
        problem = dataclasses.replace(forward, mode=mode)
        found, theirs = (steps(problem, torch_variants.load(m), "operation") for m in ("minigrad", "torch"))
        assert agreement.difference(problem, found, theirs, 1e-5) == ""
        if mode != "backward":
            assert agreement.difference(problem, found, value, 1e-5) == ""


@pytest.mark.parametrize("workload", [w for w in TRAINED if w.group == "loops"], ids=lambda w: w.name)
def test_a_wrong_engine_is_found(workload):
    """A learning rate that is 1 percent off is found on every loop, and so is a NaN."""
    problem = workload.problem()
    reference = steps(problem, with_numpy.load(), workload.family)
    wrong = steps(dataclasses.replace(problem, lr=1.01 * problem.lr), with_numpy.load(), workload.family)
    assert agreement.difference(problem, wrong, reference, 2e-3) != ""
    wrong = agreement.Outcome(reference.losses, [result + np.nan for result in reference.results])
    assert agreement.difference(problem, wrong, reference, 2e-3) != ""
    wrong = agreement.Outcome([loss * 1.01 for loss in reference.losses], reference.results)
    assert agreement.difference(problem, wrong, reference, 2e-3) != ""


def planted(family: str, problem: Problem) -> Loop:
    """NumPy, with one parameter's update left out."""
    loop = with_numpy.load()(family, problem)
    return Loop(loop.step, lambda: [*loop.results()[:-1], problem.start[-1]])


def raising(family: str, problem: Problem) -> Loop:
    raise RuntimeError("broken")


def test_a_wrong_engine_is_an_error_and_the_others_are_timed():
    (workload,) = workloads.select(["1"], quick=True)
    chosen = [engines.Engine(name, "numpy", "") for name in (engines.BASELINE, "planted", "raising", "good")]
    backends = {engines.BASELINE: with_numpy.load(), "planted": planted, "raising": raising, "good": with_numpy.load()}
    result = session.run_workload(workload, chosen, backends, QUICK)
    assert list(result.timed()) == [engines.BASELINE, "good"]
    wrong, broken = result.rows[1:3]
    assert "result 1 is off" in wrong.error
    assert broken.error == "RuntimeError: broken"
    run = a_run(result)
    assert len(run.errors()) == 2
    assert "ERROR 1: linear regression, 15 points: planted: result 1 is off" in report.text(run)


# CUDA, on a stand-in: what is recorded on the CPU is replayed there


class Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out


class Captured:
    """A CUDA graph that holds the operations: replayed, each writes its result where it wrote it when captured."""

    def __init__(self) -> None:
        self.recorder = Recorder()

    def replay(self) -> None:
        with torch.no_grad():
            for func, args, kwargs, out in self.recorder.calls:
                found = func(*args, **kwargs)
                pairs = zip(out, found, strict=True) if isinstance(out, tuple | list) else [(out, found)]
                for to, result in pairs:
                    if isinstance(to, torch.Tensor) and to.data_ptr() != result.data_ptr():
                        to.copy_(result)


@contextmanager
def stream(_):
    yield


@contextmanager
def capture(graph):
    with graph.recorder:
        yield


class StandIn:
    """torch, with a CUDA whose device is the CPU."""

    cuda = SimpleNamespace(
        Stream=lambda: SimpleNamespace(wait_stream=lambda other: None),
        current_stream=lambda: SimpleNamespace(wait_stream=lambda other: None),
        stream=stream,
        graph=capture,
        CUDAGraph=Captured,
        synchronize=lambda: None,
    )

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


class OnCPU(with_torch.API):
    """Its tensors lie on the CPU, whatever device is asked for."""

    def __init__(self, T: Any, device: str) -> None:
        super().__init__(T, torch.device("cpu"))  # type: ignore[arg-type]


@pytest.mark.parametrize("workload", [w for w in TRAINED if w.group == "loops"], ids=lambda w: w.name)
@pytest.mark.parametrize("how", ["eager", "graph"])
def test_cuda_trains_as_numpy_does(workload, how, monkeypatch):
    monkeypatch.setattr(torch_variants, "API", OnCPU)
    problem = workload.problem()
    reference = steps(problem, with_numpy.load(), workload.family)
    precision = torch.get_float32_matmul_precision()
    found = steps(problem, torch_variants.bind(StandIn(), "cuda", how, "highest"), workload.family)
    torch.set_float32_matmul_precision(precision)
    assert agreement.difference(problem, found, reference, 1e-4) == ""


def test_the_compiled_engine_compiles_the_whole_step(monkeypatch):
    given = []
    monkeypatch.setattr(minigrad, "compile", lambda step: given.append(step) or step, raising=False)
    workload = workloads.select(["16"], quick=True)[0]
    problem = workload.problem()
    found = steps(problem, torch_variants.load("minigrad", how="compiled"), workload.family)
    assert len(given) == 1
    assert agreement.difference(problem, found, steps(problem, with_numpy.load(), workload.family), 1e-4) == ""


def test_without_a_device_the_columns_say_so():
    if torch.cuda.is_available():
        pytest.skip("there is a device")
    chosen = [engine for engine in engines.ENGINES if "CUDA" in engine.name]
    assert len(chosen) == 3
    assert session.find(chosen) == ({}, dict.fromkeys((e.name for e in chosen), "no CUDA device"))


def test_an_engine_that_is_not_installed_says_so():
    with pytest.raises(Unavailable, match="not installed"):
        engines.Engine("none", "no_such_module_as_this", "").load()


# Time


def test_ratios_are_taken_within_rounds():
    """A machine that is slow in one round is slow for both."""
    spread = measuring.ratio([2.0, 200.0, 4.0], [1.0, 100.0, 1.0])
    assert (spread.low, spread.median, spread.high) == (2.0, 2.0, 3.0)
    assert measuring.Spread.of([7.0]) == measuring.Spread(7.0, 7.0, 7.0)
    with pytest.raises(ValueError, match=r"shorter|longer"):
        measuring.ratio([1.0], [1.0, 2.0])


class Clock:
    """Time that goes on as the steps say."""

    def __init__(self) -> None:
        self.now, self.order = 0.0, []

    def loop(self, name: str, seconds: float, finish: float = 0.0) -> Loop:
        def spend(time: float) -> None:
            self.now += time

        return Loop(
            lambda: spend(seconds),
            list,
            begin=lambda: (self.order.append(name), spend(99.0)),
            finish=lambda: spend(finish),
        )


def test_engines_take_turns_and_preparing_is_not_timed():
    clock = Clock()
    loops = {"a": clock.loop("a", 1e-3), "b": clock.loop("b", 1e-2), "c": clock.loop("c", 1.0, finish=0.5)}
    times = measuring.measure(loops, 3, 1e9, clock=lambda: clock.now)
    assert times == {name: pytest.approx([us] * 3) for name, us in (("a", 1e3), ("b", 1e4), ("c", 1.5e6))}
    assert clock.order[-9:] == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]


def test_rounds_end_with_the_time_that_is_given():
    clock = Clock()
    assert len(measuring.measure({"a": clock.loop("a", 1e-3)}, 41, 500.0, clock=lambda: clock.now)["a"]) == 5
    assert len(measuring.measure({"a": clock.loop("a", 1e-3)}, 41, 1.0, clock=lambda: clock.now)["a"]) == 3
    assert len(measuring.measure({"a": clock.loop("a", 1e-3)}, 2, 1.0, clock=lambda: clock.now)["a"]) == 2


# Numbers to reach


def test_check_compares_with_the_table():
    result = made_up(NumPy_by_hand=[10.0], minigrad=[15.0], PyTorch=[150.0])
    assert [(f.value, f.holds) for f in targets.check(a_run(result))] == [(1.5, True), (0.1, True)]
    result = made_up(NumPy_by_hand=[10.0], minigrad=[17.0], PyTorch=[100.0])
    assert [f.holds for f in targets.check(a_run(result))] == [False, False]
    result = made_up(NumPy_by_hand=[10.0], minigrad=[15.0])
    assert [f.holds for f in targets.check(a_run(result))] == [True, False]  # not measured is not reached


@pytest.mark.parametrize(
    ("minigrad", "torch", "blas", "holds"),
    [
        (9.0, 10.0, 5.0, True),
        (11.0, 10.0, 5.0, False),  # slower than PyTorch
        (10.4, 10.0, 9.95, True),  # slower, but all of it is the product
        (10.0, 10.3, 9.4, False),  # ahead of PyTorch, but not within 5 percent of BLAS
    ],
)
def test_sweeps_are_held_against_pytorch_and_then_blas(minigrad, torch, blas, holds):
    result = made_up(minigrad=[minigrad], PyTorch=[torch], BLAS_alone=[blas])
    result.group, result.size = "points", 10
    (finding,) = targets.check(a_run(result))
    assert finding.holds is holds


def test_check_wants_a_linear_backward():
    def graph(nodes: int, time: float) -> Result:
        rows = [Row("minigrad", [time]), Row("PyTorch", [10 * time])]
        return Result(f"graph-backward-{nodes}", "", "graph", nodes, "µs", rows)

    assert targets.check(a_run(graph(250_000, 1.0), graph(1_000_000, 4.4)))[-1].holds
    assert not targets.check(a_run(graph(250_000, 1.0), graph(1_000_000, 8.0)))[-1].holds


# Results


def test_results_survive_json(tmp_path):
    run = a_run(made_up(NumPy_by_hand=[10.0, 11.0], minigrad=[15.0, 16.5]))
    run.results[0].rows += [Row("micrograd", reason="scalars only"), Row("MyGrad", error="off")]
    results.write(run, tmp_path / "run.json")
    assert results.read(tmp_path / "run.json") == run
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(ValueError, match="does not hold results"):
        results.read(tmp_path / "other.json")


def test_runs_of_one_machine_are_merged():
    first, second = a_run(made_up(minigrad=[1.0])), a_run(made_up(minigrad=[2.0], PyTorch=[3.0]))
    second.machine = {**second.machine, "date": "2026-02-02"}
    second.results.append(Result("2", "another", "loops", None, "µs", []))
    elsewhere = a_run(made_up(minigrad=[4.0]), gpu="a GPU")
    merged = results.merge([first, elsewhere, second])
    assert [run.machine["gpu"] for run in merged] == [None, "a GPU"]
    assert [(r.name, r.timed()) for r in merged[0].results] == [("1", {"minigrad": [2.0], "PyTorch": [3.0]}), ("2", {})]


def test_report_gives_medians_ratios_and_quartiles():
    run = a_run(made_up(NumPy_by_hand=[10.0, 20.0, 10.0], minigrad=[20.0, 40.0, 30.0], PyTorch=[100.0, 200.0, 120.0]))
    text = report.text(run)
    assert "jax.jit: not here" in text
    assert "minigrad 30 25 to 35 2 2 to 2.5 1" in [" ".join(line.split()) for line in text.splitlines()]
    row = "| a loop | 10 | 30 | 120 | 2 (2 to 2.5) | 5 (4.5 to 5) |"
    assert row in report.markdown(run).splitlines()


def test_the_gpu_overtakes_for_good():
    numpy = {10: 1.0, 100: 2.0, 1000: 9.0, 10_000: 90.0}
    assert plots.crossing(numpy, {10: 5.0, 100: 5.0, 1000: 5.0, 10_000: 5.0}) == 1000
    assert plots.crossing(numpy, {10: 0.5, 100: 5.0, 1000: 5.0}) == 1000
    assert plots.crossing(numpy, {10: 0.5, 100: 5.0}) is None


def test_the_plot_of_a_sweep_shows_where_the_gpu_overtakes():
    sweep = [
        Result(f"points-{n}", "", "points", n, "µs", [Row("NumPy by hand", [n / 10]), Row("PyTorch CUDA", [50.0])])
        for n in (10, 100, 1000)
    ]
    pyplot = plots.require()
    figure = plots.curves([a_run(*sweep, gpu="a GPU"), a_run(*sweep[:2])], "points", pyplot)
    assert [text.get_text() for text in figure.axes[0].texts] == ["PyTorch CUDA overtakes\nNumPy at 1,000"]
    assert figure.axes[0].get_legend_handles_labels()[1][::2] == ["NumPy by hand (a GPU)", "NumPy by hand (a CPU)"]
    pyplot.close(figure)


def test_an_interrupted_session_keeps_what_is_done():
    def until_interrupted():
        yield from workloads.select(["10"], quick=True)
        raise KeyboardInterrupt

    run = session.run(until_interrupted(), engines.select(["minigrad"]), QUICK)
    assert [result.name for result in run.results] == ["10"]
    assert "Interrupted" in report.text(run)


# The command line


def test_a_small_session(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.__main__.limit_threads", lambda threads: None)
    file = tmp_path / "run.json"
    arguments = ["--quick", "--rounds", "1", "--workloads", "10", "points-10", "--engines", "minigrad", "pytorch cuda"]
    assert main([*arguments, "--json", str(file), "--markdown", str(tmp_path / "run.md")]) == 0
    found = json.loads(file.read_text())
    assert [[row["engine"] for row in result["rows"]] for result in found["results"]] == [
        [engines.BASELINE, "minigrad"]
    ] * 2
    assert all(len(row["times"]) == 1 for result in found["results"] for row in result["rows"])
    assert capsys.readouterr().out.startswith(found["machine"]["processor"])
    assert main(["--from", str(file), "--plots", str(tmp_path / "plots")]) == 0
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"loops.png", "points.png"}
    assert main(["--from", str(file), "--check"]) == 1  # there is nothing of PyTorch's in it
    assert main(["--workloads", "nonesuch"]) == 2
    assert "nonesuch" in capsys.readouterr().err


def test_list_names_workloads_and_engines():
    command = [sys.executable, "-m", "benchmarks", "--list"]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=True)
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert any(line.startswith("784 ") and line.endswith("784-256-10, batch 128") for line in lines)
    assert any(line.split() == ["minigrad", "ready"] for line in lines)
    assert len(lines) == 2 + len(workloads.WORKLOADS) + len(engines.ENGINES)
