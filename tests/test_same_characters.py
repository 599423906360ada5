"""Each example prints under `minigrad run` what it prints under PyTorch, character for character.

PyTorch, NumPy and their BLAS choose kernels by the processor, and these add in other orders, some with fused steps.
Here all of them take the kernels that run on every x86-64 processor, so that what is equal is equal on any machine.
With the machine's own kernels, test_listings.py compares every step and the text within roundings.
"""

import os
import re
import subprocess
import sys

import pytest
from listing_recorder import EXAMPLES, NUMBER
from numpy._core._multiarray_umath import __cpu_dispatch__ as numpy_kernels

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PORTABLE = ONE_THREAD | {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OPENBLAS_CORETYPE": "Prescott",
    "NPY_DISABLE_CPU_FEATURES": " ".join(numpy_kernels),
}

# What is not equal: by how much a number may differ, beside a unit of the last digit printed. All are float32
# roundings: the float64 run of the same example agrees to 1e-10 (test_listings.py). Both engines add the same terms,
# but sums of more than 7 in another order.
UNIT = 2.0**-24
ROUNDINGS = {
    # Descent forgets a rounding as it converges: what is left are those of the latest steps, some dozen units.
    "curve_fitting_tensors": lambda number: 32 * UNIT * number,
    "linear_regression_csv": lambda number: 32 * UNIT * number,
    # The loss is the sum of 640 squares. The net's outputs are sums of terms of some hundreds, so that each has a
    # rounding error of 100 units, however close it is to its target: the root of the loss is off by sqrt(640) of it.
    "two_layer_net_autograd": lambda number: 2 * number**0.5 * 640**0.5 * 100 * UNIT,
}
OTHERS = ("plots", "make_data", "derived_program")  # no scripts for PyTorch
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem not in OTHERS)


def printed(command, example, folder, scripts=EXAMPLES):
    environment = {**os.environ, **PORTABLE, "MPLBACKEND": "Agg", "PYTHONPATH": str(EXAMPLES.parent)}
    script = [sys.executable, *command, str(scripts / f"{example}.py")]
    folder.mkdir()
    return subprocess.run(script, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def unit(number):
    """One in the last digit of a printed number."""
    mantissa, _, exponent = number.partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


@pytest.mark.parametrize("example", SCRIPTS)
def test_prints_what_pytorch_prints(example, tmp_path):
    mine = printed(["-m", "minigrad", "run"], example, tmp_path / "minigrad")
    theirs = printed([], example, tmp_path / "torch")
    assert theirs
    if example not in ROUNDINGS:
        assert mine == theirs
        return
    assert NUMBER.sub("#", mine) == NUMBER.sub("#", theirs)
    for my_number, their_number in zip(NUMBER.findall(mine), NUMBER.findall(theirs), strict=True):
        bound = 1.01 * unit(their_number) + ROUNDINGS[example](abs(float(their_number)))
        assert abs(float(my_number) - float(their_number)) <= bound


def test_examples_are_plain_pytorch():
    for example in SCRIPTS:
        source = (EXAMPLES / f"{example}.py").read_text()
        assert not re.search(r"^(import|from) .*minigrad", source, re.MULTILINE), example
