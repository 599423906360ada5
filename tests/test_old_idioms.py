"""What older tutorials type works as in PyTorch 2.13, with its warning, or is its error and says what to write."""

import warnings

import numpy as np
import pytest
import torch

import minigrad


def weights(engine):
    return engine.ones(2, requires_grad=True)


def data_of_loss(engine):
    return (weights(engine) * 2).sum().data


# What PyTorch refuses: the type is its own, the text says what to write today
REFUSED = {
    "loss.data[0]": (lambda t: data_of_loss(t)[0], "Use `tensor.item()` in Python"),
    "loss[0]": (lambda t: weights(t).sum()[0], "Use `tensor.item()` in Python"),
    "loss.data.numpy()[0]": (lambda t: data_of_loss(t).numpy()[0], "too many indices for array"),  # NumPy's
    "correct.data[0][0]": (lambda t: t.ones(2, 3).max(1)[1].data[0][0], "Use `tensor.item()` in Python"),
    "linspace(0, 10)": (lambda t: t.linspace(0, 10), "write torch.linspace(0, 10, 100)"),
    "x.cuda()": (lambda t: t.ones(2).cuda(), "write device='cpu', or torch.device('cuda' if"),
    "x.cuda(non_blocking=True)": (lambda t: t.ones(2).cuda(non_blocking=True), "minigrad runs on the CPU alone"),
    "x.to('cuda')": (lambda t: t.ones(2).to("cuda"), "minigrad runs on the CPU alone"),
    "model.cuda()": (lambda t: t.nn.Linear(1, 1).cuda(), "minigrad runs on the CPU alone"),
    "ones(device='cuda')": (lambda t: t.ones(2, device="cuda"), "minigrad runs on the CPU alone"),
    "cuda.current_device()": (lambda t: t.cuda.current_device(), "ask torch.cuda.is_available() first"),
    "cuda.get_device_name(0)": (lambda t: t.cuda.get_device_name(0), "ask torch.cuda.is_available() first"),
    "cuda.synchronize()": (lambda t: t.cuda.synchronize(), "ask torch.cuda.is_available() first"),
    "x.numpy()": (lambda t: weights(t).numpy(), "Use tensor.detach().numpy() instead."),
    "np.array(x)": (lambda t: np.array(weights(t)), "Use tensor.detach().numpy() instead."),
    "Variable of a list": (lambda t: t.autograd.Variable([1.0]), "Variable data has to be a tensor, but got list"),
    "Variable of an array": (lambda t: t.autograd.Variable(np.ones(2)), "Variable data has to be a tensor"),
    "Variable of integers": (lambda t: t.autograd.Variable(t.arange(2), requires_grad=True), "floating point"),
    "Variable(volatile=True, requires_grad=True)": (
        lambda t: t.autograd.Variable(t.ones(2), requires_grad=True, volatile=True),
        "Variable can't be volatile and require_grad at the same time!",
    ),
    "backward(retain_variables=True)": (lambda t: weights(t).sum().backward(retain_variables=True), "retain_variables"),
    "backward of a vector": (lambda t: (weights(t) * 2).backward(), "reduce it (.sum(), .mean()), or pass a gradient"),
    "backward twice": (
        lambda t: [loss.backward() for loss in [weights(t).square().sum()] * 2],
        "Specify retain_graph=True at the first backward()",
    ),
    "w -= outside no_grad": (lambda t: weights(t).sub_(1), "Write under torch.no_grad()"),
    "w.grad before backward": (lambda t: weights(t).grad.data, "'NoneType' object has no attribute 'data'"),
    "SGD of one parameter": (lambda t: t.optim.SGD(weights(t), lr=0.1), "write [param]"),
    "type('FloatTensor')": (lambda t: t.ones(2).type("FloatTensor"), "invalid type: 'FloatTensor'"),
    "mean of integers": (lambda t: t.arange(3).mean(), "convert with .float() first"),
    "sqrt of a number": (lambda t: t.sqrt(2.0), "sqrt(): argument 'input'"),
    "float labels": (lambda t: t.zeros(2)[t.ones(2)], "tensors used as indices must be long"),
    "int of a vector": (lambda t: int(t.ones(2)), "only one element tensors can be converted"),
    "gesv, which is gone": (lambda t: t.gesv, "has no attribute 'gesv'"),
}


@pytest.mark.parametrize("idiom", REFUSED)
def test_refused_as_by_pytorch(idiom):
    attempt, text = REFUSED[idiom]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # compared below
        with pytest.raises(Exception) as theirs:  # noqa: PT011  # of any type: torch says which
            attempt(torch)
        with pytest.raises(theirs.type) as mine:
            attempt(minigrad)
    assert mine.type is theirs.type
    assert text in str(mine.value)


# What still works, silently or with a warning
WORKING = {
    "Variable": lambda t: t.autograd.Variable(t.Tensor([1]), requires_grad=True),
    "Variable()": lambda t: t.autograd.Variable(),
    "Variable(volatile=True)": lambda t: t.autograd.Variable(t.ones(2), volatile=True),
    "Variable(volatile=False)": lambda t: t.autograd.Variable(t.ones(2), volatile=False),
    "isinstance of Variable": lambda t: isinstance(t.ones(2), t.autograd.Variable),
    "Variable.data": lambda t: t.autograd.Variable(t.ones(2), requires_grad=True).data,
    "x.add_(alpha, y)": lambda t: t.ones(2).add_(-0.5, t.ones(2)),
    "x.add(alpha, y)": lambda t: t.ones(2).add(2, t.ones(2)),
    "x.sub_(alpha, y)": lambda t: t.ones(2).sub_(0.5, t.ones(2)),
    "x.sub(alpha, y)": lambda t: t.ones(2).sub(0.5, t.ones(2)),
    "w.data.add_(-lr, grad)": lambda t: weights(t).data.add_(-0.1, t.ones(2)),
    "F.sigmoid": lambda t: t.nn.functional.sigmoid(t.zeros(2)),
    "F.tanh": lambda t: t.nn.functional.tanh(t.zeros(2)),
    "type(FloatTensor)": lambda t: t.arange(3).type(t.FloatTensor),
    "type('torch.DoubleTensor')": lambda t: t.arange(3).type("torch.DoubleTensor"),
    "isinstance of FloatTensor": lambda t: [isinstance(t.ones(2), x) for x in (t.FloatTensor, t.LongTensor)],
    "xavier_uniform": lambda t: t.nn.init.xavier_uniform(t.zeros(0, 2)),
    "xavier_normal": lambda t: t.nn.init.xavier_normal(t.zeros(0, 2)),
    "uniform": lambda t: t.nn.init.uniform(t.zeros(0)),
    "normal": lambda t: t.nn.init.normal(t.zeros(0)),
    "constant": lambda t: t.nn.init.constant(t.zeros(2), 1),
    "MSELoss(size_average=False)": lambda t: t.nn.MSELoss(size_average=False)(t.ones(3), t.zeros(3)),
    "L1Loss(size_average=False)": lambda t: t.nn.L1Loss(size_average=False)(t.ones(3), t.zeros(3)),
    "mse_loss(reduce=False)": lambda t: t.nn.functional.mse_loss(t.ones(3), t.zeros(3), reduce=False),
    "cuda.is_available()": lambda t: t.cuda.is_available(),
    "cuda.manual_seed(0)": lambda t: t.cuda.manual_seed(0),
    "cuda.empty_cache()": lambda t: t.cuda.empty_cache(),
    "cuda.is_initialized()": lambda t: t.cuda.is_initialized(),
    "version.cuda": lambda t: t.version.cuda,
    "cudnn": lambda t: [
        t.backends.cudnn.enabled,
        t.backends.cudnn.benchmark,
        t.backends.cudnn.deterministic,
        t.backends.cudnn.is_available(),
        t.backends.cudnn.version(),
    ],
    "mps": lambda t: [t.backends.mps.is_available(), t.backends.mps.is_built()],
    "'{:.2f}'.format(loss)": lambda t: "{:.2f}".format(t.ones(3).mean()),  # noqa: UP032
}


def outcome(attempt, engine):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = attempt(engine)
    if isinstance(value, engine.Tensor):
        value = value.requires_grad, str(value.dtype), value.tolist()
    return value, [(w.category, str(w.message).partition(" (Triggered internally")[0]) for w in caught]


@pytest.mark.parametrize("idiom", WORKING)
def test_works_as_in_pytorch(idiom):
    assert outcome(WORKING[idiom], minigrad) == outcome(WORKING[idiom], torch)


def test_warnings_show_the_line_of_the_script():
    for idiom in ("Variable(volatile=True)", "x.add_(alpha, y)", "xavier_uniform"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            WORKING[idiom](minigrad)
        assert [w.filename for w in caught] == [__file__]
