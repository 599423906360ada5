"""The examples: each trains as it does under torch, step by step, and shows what it sets out to show."""

import os
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from listing_recorder import EXAMPLES, array, assert_same_text, record
from sampling_programs import as_drawn

import minigrad

TRAINED = [
    "linear_regression",
    "linear_regression_csv",
    "polynomial_regression",
    "two_layer_net_autograd",
    "initialisation",
    "autograd_basics",
    "curve_fitting_net",
    "linear_regression_no_bias",
    "gradient_descent_by_hand",
    "tensor_and_variable",
    "curve_fitting_tensors",
    "linear_regression_scratch",
    "linear_regression_concise",
]
IN_NUMPY = ["two_layer_net_numpy", "linear_regression_by_hand", "exhaustive_search"]

# How far a loss, a parameter or a printed number may be from torch's, relative to max(1, |torch's|). Float64: what
# the project promises (4e-13 was measured). Float32: descent forgets a rounding as it converges, so the distance
# doesn't grow with the steps; 1e-5 is 84 units of rounding, where 12 were measured for the parameters and 38 for the
# losses.
BOUND = {"float64": 1e-10, "float32": 1e-5}
# Two examples amplify it. The net's predictions are sums of terms of some hundreds that cancel to errors of some
# hundredths, and a rounding may turn a ReLU on or off: 970 units were measured. The learning rate that is too large
# multiplies the roundings of the past as it multiplies the distance from the solution: 220 units.
FLOAT32_BOUND = {"two_layer_net_autograd": 1e-3, "linear_regression_scratch": 2e-4}


@pytest.fixture(autouse=True)
def one_thread_each():
    """Under pytest-xdist, torch's threads would fight over the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(example, folder, engine="minigrad", dtype="float32"):
    return record(example, engine, dtype, folder)


def relative_difference(mine, theirs):
    mine, theirs = np.asarray(mine, np.float64), np.asarray(theirs, np.float64)
    return np.max(np.abs(mine - theirs) / np.maximum(1, np.abs(theirs)), initial=0.0)


def test_every_example_is_tested():
    scripts = {path.stem for path in EXAMPLES.glob("*.py")} - {"plots", "make_data", "derived_program"}
    assert scripts == {*TRAINED, *IN_NUMPY}
    assert len(scripts) == 16


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("example", TRAINED)
def test_trajectory_is_that_of_torch(example, dtype, tmp_path):
    bound = FLOAT32_BOUND.get(example, BOUND[dtype]) if dtype == "float32" else BOUND[dtype]
    folders = tmp_path / "torch", tmp_path / "minigrad"
    for folder in folders:
        folder.mkdir()
    theirs = record(example, "torch", dtype, folders[0])

    compared = 0

    def compare(index, mine):
        nonlocal compared
        their = theirs.steps[index]
        assert mine.new.keys() == their.new.keys()
        assert mine.updated.keys() == their.updated.keys()
        for name, value in their.new.items():
            assert mine.new[name].dtype == value.dtype
            assert as_drawn(mine.new[name]) == as_drawn(value), f"{name} starts elsewhere at step {index}"
        assert relative_difference(mine.loss, their.loss) <= bound, f"loss of step {index}"
        for name, value in their.updated.items():
            assert mine.updated[name].shape == value.shape
            assert relative_difference(mine.updated[name], value) <= bound, f"{name} after step {index}"
        compared += 1

    mine = record(example, "minigrad", dtype, folders[1], compare)
    assert compared == len(theirs.steps) > 0
    assert mine.figures == theirs.figures
    assert mine.warnings == theirs.warnings
    assert mine.checkpoint.keys() == theirs.checkpoint.keys()
    for name, value in theirs.checkpoint.items():
        assert relative_difference(mine.checkpoint[name], value) <= bound
    assert_same_text(mine.text, theirs.text, bound)


# What each one shows


def test_first_example_runs_as_the_readme_says(tmp_path):
    script = [sys.executable, "-W", "error", "-m", "minigrad", "run", str(EXAMPLES / "linear_regression.py")]
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(EXAMPLES.parent)}
    done = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"(Epoch \[\d+/100\], Loss: \d+\.\d{4}\n){20}", done.stdout)
    assert done.stderr == ""
    assert (tmp_path / "plots" / "linear_regression.png").stat().st_size > 10_000
    assert (tmp_path / "model.ckpt").exists()


def test_linear_regression_logs_and_saves(tmp_path):
    recording = run("linear_regression", tmp_path)
    lines = [
        f"Epoch [{i + 1}/100], Loss: {step.loss:.4f}" for i, step in enumerate(recording.steps) if (i + 1) % 5 == 0
    ]
    assert recording.text.splitlines() == lines
    losses = [step.loss for step in recording.steps]
    assert losses == sorted(losses, reverse=True)
    for name, value in recording.steps[-1].updated.items():
        assert np.array_equal(recording.checkpoint[name.removeprefix("model.")], value)


def test_csv_regression_finds_the_slope(tmp_path):
    recording = run("linear_regression_csv", tmp_path)
    data = np.loadtxt(EXAMPLES / "data.csv", delimiter=",", skiprows=1)
    assert data.shape == (100, 2)
    assert ((data >= 0) & (data <= [100, 150])).all()
    assert recording.text.splitlines()[19].startswith("Epoch [2000/2000], Loss: ")
    # The best slope for the intercept at hand: along it, descent has converged long since
    x, y = data.T
    slope = (x * (y - recording.variables["bias"])).sum() / (x * x).sum()
    assert recording.variables["weight"] == pytest.approx(slope, abs=1e-3)


def test_committed_data_are_those_of_the_script(monkeypatch):
    written = {}
    monkeypatch.setattr(np, "savetxt", lambda path, values, **_: written.update({path: values}))
    path = EXAMPLES / "make_data.py"
    exec(compile(path.read_text(), str(path), "exec"), {"__file__": str(path)})
    ((to, values),) = written.items()
    assert to == str(EXAMPLES / "data.csv")
    np.testing.assert_allclose(np.loadtxt(to, delimiter=",", skiprows=1), values, rtol=0, atol=5.1e-5)


def test_polynomial_regression_stops_at_its_aim(tmp_path):
    recording = run("polynomial_regression", tmp_path)
    assert recording.steps[-1].loss < 1e-3
    assert min(step.loss for step in recording.steps[:-1]) >= 1e-3
    np.testing.assert_allclose(recording.checkpoint["poly.weight"], [[0.5, 3, 2.4]], atol=0.1)
    np.testing.assert_allclose(recording.checkpoint["poly.bias"], [0.9], atol=0.1)


def test_two_layer_net_by_hand_equals_autograd(tmp_path, monkeypatch):
    by_hand = run("two_layer_net_numpy", tmp_path).variables
    np.random.seed(0)
    monkeypatch.setattr(
        minigrad,
        "randn",
        lambda *size, requires_grad=False, **_: minigrad.tensor(np.random.randn(*size), requires_grad=requires_grad),
    )
    on_autograd = run("two_layer_net_autograd", tmp_path, dtype="float64").variables
    assert len(by_hand["losses"]) == 500
    assert by_hand["losses"][-1] < 1e-3 < 1e6 < by_hand["losses"][0]
    assert relative_difference(on_autograd["losses"], by_hand["losses"]) <= 1e-10
    for name in ("w1", "w2"):
        assert relative_difference(array(on_autograd[name]), by_hand[name]) <= 1e-10


def test_initialisations(tmp_path):
    recording = run("initialisation", tmp_path)
    spreads = {name: np.array(spread) for name, spread in recording.variables["spreads"].items()}
    assert (spreads["zeros, tanh"] == 0).all()
    assert (np.diff(spreads["normal(0, 0.01), tanh"]) < 0).all()
    assert spreads["normal(0, 0.01), tanh"][-1] < 1e-6
    assert spreads["Xavier, tanh"][-1] > 0.2
    assert spreads["Xavier, ReLU"][-1] < 0.1 * spreads["Xavier, ReLU"][0]
    assert (abs(spreads["He, ReLU"] - spreads["He, ReLU"][0]) < 0.2).all()
    # Most of the sigmoids are where their slope is less than a tenth of its largest
    saturated = recording.variables["activations"](*recording.variables["cases"][1][1:])[-1].numpy()
    assert np.mean(saturated * (1 - saturated) < 0.025) > 0.7

    # The units of the hidden net learn together; the regressions learn
    weight = recording.variables["net"][0].weight.detach().numpy()
    assert abs(weight).min() > 0.1
    np.testing.assert_allclose(weight, np.broadcast_to(weight[0], weight.shape), rtol=1e-6)
    assert recording.figures == ["initialisation_histograms", "initialisation_by_layer"]
    _, linear, logistic = (recording.steps[i : i + 200] for i in (0, 200, 400))
    np.testing.assert_allclose(linear[-1].updated["w"], [[2], [-3.4]], atol=1e-4)
    assert logistic[-1].loss < 0.1 < logistic[0].loss
    assert recording.text.endswith("accuracy 1.0000\n")


def test_autograd_basics_prints_three_gradients(tmp_path):
    assert run("autograd_basics", tmp_path).text == "tensor([2.])\ntensor([1.])\ntensor([1.])\n"


def test_linear_regression_by_hand_has_autograds_gradient(tmp_path):
    recording = run("linear_regression_by_hand", tmp_path)
    x, y = minigrad.tensor([1.0, 2.0, 3.0]), minigrad.tensor([2.0, 4.0, 6.0])
    w = minigrad.tensor(0.0, requires_grad=True)
    lines = recording.text.splitlines()
    for epoch, line in enumerate(lines[1:-1]):
        loss = ((w * x - y) ** 2).mean()
        loss.backward()
        by_hand = recording.variables["gradient"](x.numpy(), y.numpy(), (w * x).detach().numpy())
        assert by_hand == pytest.approx(w.grad.item(), rel=1e-6, abs=1e-12)
        with minigrad.no_grad():
            w -= 0.1 * w.grad
        w.grad = None
        assert_same_text(line, f"epoch {epoch + 1}: w = {w.item():.3f}, loss = {loss.item():.8f}", 1e-6)
    assert lines[0] == "Prediction before training: f(5) = 0.000"
    assert len(lines[1:-1]) == 10
    assert lines[-1] == "Prediction after training: f(5) = 10.000"


def test_curve_fitting_net_bends(tmp_path):
    recording = run("curve_fitting_net", tmp_path)
    assert recording.text.startswith("Net(\n  (hidden): Linear(in_features=1, out_features=10, bias=True)\n")
    assert len(recording.steps) == 100
    assert recording.steps[-1].loss < 0.02 < 0.1 < recording.steps[0].loss


def test_linear_regression_without_a_bias(tmp_path):
    recording = run("linear_regression_no_bias", tmp_path)
    ((category, text),) = recording.warnings
    assert category is UserWarning
    assert text == "size_average and reduce args will be deprecated, please use reduction='sum' instead."
    costs = recording.variables["costs"]
    assert len(costs) == 20
    assert costs == sorted(costs, reverse=True)
    assert recording.variables["model"].weight.item() == pytest.approx(2, abs=0.01)


def test_exhaustive_search_agrees_with_the_gradient(tmp_path):
    found = run("exhaustive_search", tmp_path).variables
    assert len(found["w_list"]) == 41
    assert found["w_list"][found["best"]] == pytest.approx(2)
    x, y = minigrad.tensor(found["x_data"]), minigrad.tensor(found["y_data"])
    w = minigrad.tensor(np.array(found["w_list"]).reshape(-1, 1), requires_grad=True)
    mse = (w * x - y).pow(2).mean(dim=1)
    mse.sum().backward()
    np.testing.assert_allclose(mse.detach().numpy(), found["mse_list"], rtol=1e-6, atol=1e-6)
    # The loss is a parabola: its difference quotient over two neighbours is its slope
    slopes = (np.array(found["mse_list"][2:]) - found["mse_list"][:-2]) / 0.2
    np.testing.assert_allclose(w.grad.reshape(-1)[1:-1].numpy(), slopes, rtol=1e-6, atol=1e-6)


def test_descent_by_hand_equals_autograd_and_stalls(tmp_path):
    recording = run("gradient_descent_by_hand", tmp_path)
    w = minigrad.tensor(1.0, dtype=minigrad.float64, requires_grad=True)
    x = minigrad.tensor([1.0, 2.0, 3.0], dtype=minigrad.float64)
    optimizer = minigrad.optim.SGD([w], lr=0.01)
    costs = []
    for _ in range(100):
        loss = (w * x - 2 * x).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        costs.append(loss.item())
    assert relative_difference(recording.variables["costs"], costs) <= 1e-12
    assert recording.variables["w"] == pytest.approx(w.item(), abs=1e-12)
    lines = recording.text.splitlines()
    assert lines[0] == "Predict (before training) 4 4.0"
    assert lines[11] == "Predict (after training) 4 7.9998"
    # The same function, two starts: the lesser valley; and a saddle left or not
    assert "from 1.4: u=0.9304 value=-0.5167" in recording.text
    assert "from -0.5: u=-1.0575 value=-1.5148" in recording.text
    assert "from (1.0, 0.0): u=0.0000 v=0.0000 value=0.0000" in recording.text
    assert "from (1.0, 0.01): u=0.0000 v=1.0000 value=-0.2500" in recording.text


def test_tensor_and_variable_are_one(tmp_path):
    recording = run("tensor_and_variable", tmp_path)
    lines = recording.text.splitlines()
    assert lines[:4] == [
        "tensor([[1., 2.],",
        "        [3., 4.]])",
        "tensor([[1., 2.],",
        "        [3., 4.]], requires_grad=True)",
    ]
    assert "True" in lines
    x = recording.variables["x"]
    np.testing.assert_allclose(x.grad.numpy(), 2 * (x.data.numpy() + 2) / 100, rtol=1e-6)


def test_curve_fitting_with_tensors_finds_the_line(tmp_path):
    found = run("curve_fitting_tensors", tmp_path).variables
    x, y, k, b = (found[name].data.numpy().astype(np.float64) for name in "xykb")
    assert k == pytest.approx((x * (y - b)).sum() / (x * x).sum(), abs=1e-3)


def test_regression_from_scratch(tmp_path):
    recording = run("linear_regression_scratch", tmp_path)
    found = recording.variables
    assert len(recording.steps) == 300 + 3 * 100
    np.testing.assert_allclose(array(found["w"]), [[2], [-3.4]], atol=0.01)
    np.testing.assert_allclose(array(found["b"]), [4.2], atol=0.01)
    np.testing.assert_allclose(found["solution"], [2, -3.4, 4.2], atol=0.002)
    ends = {lr: np.mean(found["train"](lr)[-10:]) for lr in (0.001, 0.03, 2.0)}
    assert ends[0.03] < 1 < ends[0.001] < 1e6 < ends[2.0] < np.inf


def test_concise_regression_has_the_data_of_the_scratch_one(tmp_path):
    recording = run("linear_regression_concise", tmp_path)
    found = recording.variables
    scratch = run("linear_regression_scratch", tmp_path).variables
    for name in ("features", "labels"):
        assert np.array_equal(array(found[name]), array(scratch[name]))
    assert len(recording.steps) == 300
    assert recording.text.count("Parameter containing:") == 2
    assert [f"epoch {i + 1}, loss {loss:f}" for i, loss in enumerate(found["losses"][1:])] == [
        line for line in recording.text.splitlines() if line.startswith("epoch")
    ]
    np.testing.assert_allclose(array(found["net"][0].weight), [[2, -3.4]], atol=0.01)


# Spellings of older tutorials: what torch takes, silently or with a warning, and what it refuses

SPELLINGS = {
    "Variable": lambda torch: torch.autograd.Variable(torch.Tensor([1]), requires_grad=True),
    "Variable of a list": lambda torch: torch.autograd.Variable([1.0]),
    "MSELoss(size_average=False)": lambda torch: torch.nn.MSELoss(size_average=False)(torch.ones(3), torch.zeros(3)),
    "MSELoss(size_average=True)": lambda torch: torch.nn.MSELoss(size_average=True)(torch.ones(3), torch.zeros(3)),
    "MSELoss(reduce=False)": lambda torch: torch.nn.MSELoss(reduce=False)(torch.ones(3), torch.zeros(3)),
    "mse_loss(size_average=False)": lambda torch: torch.nn.functional.mse_loss(
        torch.ones(3), torch.zeros(3), size_average=False
    ),
    "MSELoss, other shape": lambda torch: torch.nn.MSELoss()(torch.ones(3, 1), torch.zeros(3)),
    "loss.data[0]": lambda torch: torch.ones(3).sum().data[0],
    "linspace without steps": lambda torch: torch.linspace(0, 10),
    "type(FloatTensor)": lambda torch: torch.arange(3).type(torch.FloatTensor),
    "type(DoubleTensor)": lambda torch: torch.arange(3).type(torch.DoubleTensor),
    "type(LongTensor)": lambda torch: torch.ones(3).type(torch.LongTensor),
    "type()": lambda torch: torch.ones(3).type(),
    "FloatTensor of a size": lambda torch: tuple(torch.FloatTensor(2, 3).shape),
    "LongTensor": lambda torch: torch.LongTensor([1, 2]),
    "data.tolist()": lambda torch: torch.ones(2, 2).data.tolist(),
    "np.array(tensor)": lambda torch: np.array(torch.ones(2, 2)),
    "data.cpu().numpy()": lambda torch: torch.ones(2, requires_grad=True).data.cpu().numpy(),
    "numpy() of a leaf that requires grad": lambda torch: torch.ones(2, requires_grad=True).numpy(),
    "np.array() of a leaf that requires grad": lambda torch: np.array(torch.ones(2, requires_grad=True)),
    "device": lambda torch: torch.ones(2, device=torch.device("cpu")),
    "w -= outside no_grad": lambda torch: torch.ones(2, requires_grad=True).sub_(1),
    "cuda.is_available()": lambda torch: torch.cuda.is_available(),
    "bias.data.fill_(0)": lambda torch: torch.nn.Linear(2, 1).bias.data.fill_(0),
    "functional.sigmoid": lambda torch: torch.nn.functional.sigmoid(torch.zeros(2)),
    "functional.tanh": lambda torch: torch.nn.functional.tanh(torch.zeros(2)),
    "init.constant": lambda torch: torch.nn.init.constant(torch.zeros(2), 1),
}


def outcome(spelling, engine):
    """What a spelling gives under an engine: the value or the type of the error, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = spelling(engine)
        except Exception as error:
            value = type(error)
    if isinstance(value, engine.Tensor):
        value = (value.requires_grad, str(value.dtype), array(value).tolist())
    elif isinstance(value, np.ndarray):
        value = (value.dtype, value.tolist())
    return value, [(w.category, str(w.message)) for w in caught if "__array__" not in str(w.message)]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_of_older_tutorials(spelling):
    assert outcome(SPELLINGS[spelling], minigrad) == outcome(SPELLINGS[spelling], torch)
