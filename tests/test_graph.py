"""The graph as a user sees it: the names of its nodes, and what comes next, against torch."""

from unittest import mock

import pytest
import torch
import torch.nn.functional
from hypothesis import given
from hypothesis import strategies as st
from listing_recorder import record
from op_samples import SAMPLES
from test_listings import TRAINED
from test_ops import cases, leaves_of

import minigrad

# Where the last node has another name than torch's: one row of the table stands for several of torch's nodes there.
OTHERWISE_NAMED = {
    "matmul:2-d, 3-d": "torch puts the batch into one matrix, by a clone of transposes",
    "matmul:3-d, 3-d": "where nothing is summed up, torch transposes",
    "nn.functional.linear": "of what is not contiguous torch adds the bias by a node of its own",
    "einsum": "dims are put in order last; torch sums up last",
    "einsum:sublists": "dims are put in order last; torch views the product of batches last",
    "einsum:several": "dims are put in order last; torch views the product of batches last",
    "norm:nuc": "torch permutes where this reshapes",
}


def tree(node, depth=None):
    """The names of the nodes below a node, and the numbers of the results that lead to them."""
    if node is None or depth == 0:
        return None
    deeper = None if depth is None else depth - 1
    return node.name(), tuple((tree(n, deeper), i) for n, i in node.next_functions)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if str(s) not in OTHERWISE_NAMED], ids=str)
@given(data=st.data())
def test_results_have_the_names_of_torch(sample, data):
    case = data.draw(cases(sample, differentiate=True))
    args = tuple(x for x in case.args if x is not None)  # dim=None passed on is another overload in torch
    case = type(case)(args, {k: x for k, x in case.kwargs.items() if x is not None and k != "decimals"}, case.needs)
    shown = []
    for T in (torch, minigrad):
        args, kwargs, _ = case.arguments(T, "float32")
        try:
            outs = [*leaves_of(sample.call(T, *args, **kwargs))]
        except Exception:  # test_ops compares the errors
            return
        nodes = [getattr(out, "grad_fn", None) for out in outs]
        shown.append([None if node is None else node.name() for node in nodes])
    assert shown[1] == shown[0]


EXPRESSIONS = """
x.max(0)[0]  x.max(0, keepdim=True)[0]  x.max()  x.sort()[0]  x.sort(stable=True)[0]  x.topk(2)[0]
x.sum(0)  x.sum((0, 1))  x.sum()  x.mean(0)  x.mean()  x.prod()  x.prod(0)  x.std()  x.var(0)  x.norm()  x.logsumexp(0)
x.squeeze()  x.squeeze(0)  x.squeeze((0, 1))  x.unsqueeze(0)  x.T  x.t()  x.mT  x.permute(1, 0)  x.transpose(0, 1)
x.view(9)  x.reshape(9)  x.flatten()  x.expand(2, 3, 3)  x.repeat(2, 1)  x.flip(0)  x.tril()  x.diagonal()
x.clamp(0, 1)  x.clamp(min=0)  x.clamp_min(0)  x.relu()  x.sigmoid()  x.tanh()  x.softmax(0)  x.log_softmax(0)
x + 1  x + x  x - 2  2 - x  x * 2  x * x  x / 2  2 / x  x ** 2  x ** 0.5  x ** x  -x  x.exp()  x.log()  x.sqrt()
T.rsub(x, x)  x.round()  x.div(x, rounding_mode='floor')
x.unbind()[0]  x.split(1)[1]  x.split([1, 2])[1]  x.chunk(2)[0]  x[0]  x[:, 0]  x[0:1]  x[x > 0]  x[[0, 1]]  x[None]
T.cat([x, x])  T.stack([x, x])  T.where(x > 0, x, 0.)  x.double()  x.clone()  x.T.contiguous()  x.masked_select(x > 0)
x.gather(0, T.tensor([[0, 1, 2]]))  x.index_select(0, T.tensor([1]))  x.cumsum(0)
x.mv(v)  v.dot(v)  x @ x  x @ v  v @ x  v @ v  T.outer(v, v)  T.addmm(x, x, x)  T.bmm(b, b)
F.linear(x, x, v)  F.linear(x, x)  F.linear(v, x, v)  F.linear(v, x)  F.linear(b, x, v)  F.linear(b, x)
F.linear(x.detach(), x, v)  F.linear(x, x.detach(), v)  F.mse_loss(x, x.detach())  F.mse_loss(F.linear(b, x, v), b)
"""


@pytest.mark.parametrize("expression", [e for line in EXPRESSIONS.split("\n") for e in line.split("  ") if e])
def test_graph_of_an_expression(expression):
    shown = []
    for T in (torch, minigrad):
        x, v, b = (T.ones(shape, requires_grad=True) for shape in ((3, 3), (3,), (2, 3, 3)))
        out = eval(expression, {"T": T, "F": T.nn.functional, "x": x, "v": v, "b": b})
        shown.append(tree(out.grad_fn))
    assert shown[1] == shown[0]


WRITES = (
    "y[0] = 1", "y[:, 1] = v", "y[y > 0] = 1", "y[[0]] = 1.", "y[0, 0] = v[0]", "y[0].add_(1)", "y.t().mul_(2)",
    "y.fill_(2)", "y.fill_(v[0])", "y.zero_()", "y.copy_(v)", "y.add_(1)", "y.clamp_(0)", "y.relu_()", "y.sub_(v)",
    "y.masked_fill_(y > 0, 1.)",
)  # fmt: skip


@pytest.mark.parametrize("write", WRITES)
def test_name_of_what_was_written_to(write):
    shown = []
    for T in (torch, minigrad):
        v = T.ones(3, requires_grad=True)
        y = T.ones(3, 3, requires_grad=True) * 1
        exec(write, {"y": y, "v": v})
        shown.append((y.grad_fn.name(), repr(y)))
    assert shown[1] == shown[0]


@pytest.mark.parametrize("example", TRAINED)
def test_graph_of_every_loss_of_an_example(example, tmp_path):
    shown = []
    for T in (torch, minigrad):
        trees = []
        backward = T.Tensor.backward

        def noting(loss, *args, trees=trees, backward=backward, **kwargs):
            trees.append(tree(loss.grad_fn))
            return backward(loss, *args, **kwargs)

        with mock.patch.object(T.Tensor, "backward", noting):
            record(example, T.__name__, "float32", tmp_path)
        shown.append(trees)
    assert shown[1] == shown[0] != []


def test_leaves_are_the_same_wherever_they_are_met():
    w = minigrad.ones(2, requires_grad=True)
    (a, _), (b, _) = (w * w).grad_fn.next_functions
    assert a == b
    assert a.variable is w
    assert {a, b} == {a}


def test_results_of_one_operation_are_told_apart():
    for T in (torch, minigrad):
        parts = T.ones(4, requires_grad=True).split(2)
        (first, i), (second, j) = (parts[0] + parts[1]).grad_fn.next_functions
        assert first is second
        assert (i, j) == (0, 1)


def test_repr_of_nodes():
    for T in (torch, minigrad):
        loss = T.ones(2, requires_grad=True).sum()
        assert repr(loss.grad_fn).startswith("<SumBackward0 object at 0x")
        assert repr(loss.grad_fn.next_functions[0][0]).startswith("<AccumulateGrad object at 0x")
        assert loss.grad_fn.next_functions[0][0].variable.shape == (2,)
