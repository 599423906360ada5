"""Scripts in the manner of well-known tutorials print under `minigrad run` what they print under PyTorch."""

from pathlib import Path

import pytest
from test_same_characters import printed

SCRIPTS = Path(__file__).with_name("scripts")


@pytest.mark.parametrize("script", sorted(path.stem for path in SCRIPTS.glob("*.py")))
def test_prints_what_pytorch_prints(script, tmp_path):
    mine = printed(["-m", "minigrad", "run"], script, tmp_path / "minigrad", SCRIPTS)
    theirs = printed([], script, tmp_path / "torch", SCRIPTS)
    assert mine == theirs != ""
