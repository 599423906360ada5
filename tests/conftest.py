"""Settings shared by every test: how many examples Hypothesis tries, and a quiet, single-threaded torch."""

import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, is_hypothesis_test, settings
from surroundings import Surroundings

import minigrad
from minigrad.program import compiled
from minigrad.program.contract import Contract
from minigrad.program.recorder import Recorder

_found: list[Surroundings] = []  # how the latest test left everything

# An example builds tensors in two engines and differentiates twice, so it is slow by Hypothesis's measure, and a
# drawn case holds arrays, so it is large: neither says that anything is wrong.
_SUPPRESSED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]

# CI: the same examples in every run, so that a red test is red again; nothing is written to disk.
settings.register_profile(
    "ci", derandomize=True, database=None, deadline=None, max_examples=50, suppress_health_check=_SUPPRESSED
)
# On the kernels of other processors, after the profile above on those of this one
settings.register_profile("short", settings.get_profile("ci"), max_examples=15)
# Before a release, and after a change to a rule: HYPOTHESIS_PROFILE=deep pytest
settings.register_profile("deep", deadline=None, max_examples=1000, suppress_health_check=_SUPPRESSED, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

torch.set_num_threads(1)  # the arrays are tiny; pytest-xdist uses the cores
torch.set_warn_always(True)  # a warning that torch gives once a process would depend on the order of the tests


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests whose outcome could depend on the processor: those that draw numbers, and those that train."""
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)) or hasattr(getattr(item, "module", None), "record"):
            item.add_marker(pytest.mark.numerical)


@pytest.fixture(autouse=True)
def leaves_nothing_behind() -> Iterator[None]:
    """Every test begins from the same seed, and leaves everything else as it found it: the order doesn't matter."""
    if not _found:
        _found.append(Surroundings())
    torch.default_generator.manual_seed(0)
    minigrad.manual_seed(0)
    yield
    differences = _found[0].differences()
    if differences:
        _found[0] = Surroundings()  # so that the next test isn't blamed
        pytest.fail("the test left behind: " + "; ".join(differences[:20]))


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by an item whenever a function is traced."""
    found: list[int] = []

    class Counted(Recorder):
        def __init__(self, contract: Contract) -> None:
            found.append(1)
            super().__init__(contract)

    monkeypatch.setattr(compiled, "Recorder", Counted)
    return found
