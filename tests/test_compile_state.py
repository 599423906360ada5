"""compile(): what else it relies on, what it leaves, what it refuses."""

import gc
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compiled_twins import Net, Twin, equal

import minigrad
from minigrad import nn, optim
from minigrad.program import TracingError

T = minigrad
F = nn.functional


def test_gradients_may_be_there_or_not() -> None:
    """backward() adds to what is there, and makes what isn't."""

    def make() -> tuple[Any, Any]:
        T.manual_seed(0)
        w, x = T.randn(3, 2, requires_grad=True), T.randn(5, 3)

        def step() -> Any:
            loss = (x @ w).tanh().sum()
            loss.backward()
            return loss

        return w, step

    (w, eager), (v, plain) = make(), make()
    step = T.compile(plain)
    held = []
    for i in range(9):
        for p, f in ((w, eager), (v, step)):
            if i in (2, 6):
                p.grad = None
            if i == 4:
                p.grad = T.ones(3, 2)
            if i == 7:
                p.grad.zero_()
            f()
        equal([v.grad.numpy(), v.grad._version], [w.grad.numpy(), w.grad._version])
        held.append((v.grad, v.grad.numpy().copy()))
    assert held[0][0] is held[1][0] and held[2][0] is held[3][0] and held[1][0] is not held[2][0]
    np.testing.assert_array_equal(held[1][0].numpy(), held[1][1])


def test_listing_5(traces: list[int]) -> None:
    """A .grad that each step leaves at 0 is not added to; one that somebody has written to is."""

    def make() -> tuple[Any, ...]:
        T.manual_seed(0)
        w, x, lr = T.randn(3, 2, requires_grad=True), T.randn(5, 3), 0.1

        def step() -> None:
            nonlocal w
            (x @ w).pow(2).sum().backward()
            with T.no_grad():
                w -= lr * w.grad
                w.grad.zero_()

        return w, step, lambda: w

    (w, eager, _), (v, plain, current) = make(), make()
    step = T.compile(plain)
    for i in range(10):
        for p, f in ((w, eager), (v, step)):
            if i == 5:
                p.grad.fill_(2.0)
            f()
        equal([v.detach().numpy(), v.grad.numpy(), v._version, v.grad._version],
              [w.detach().numpy(), w.grad.numpy(), w._version, w.grad._version])  # fmt: skip
    assert current() is v
    assert len(traces) == 3  # without a .grad, with one of zeros, with any


def test_modes() -> None:
    w, x = T.ones(2, requires_grad=True), T.ones(2)
    step = T.compile(lambda: (w * x).sum().detach())
    for _ in range(2):
        assert step().item() == 2 and not step().requires_grad
        with T.no_grad():
            assert step().item() == 2
        with T.inference_mode():
            assert step().is_inference()
        assert not step().is_inference()


def test_globals_and_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Settings:
        def __init__(self) -> None:
            self.rate, self.inner = 3.0, {"deep": [4.0]}

    settings, x = Settings(), T.ones(2)
    plain = lambda k=1.0: x * FACTOR * settings.rate * settings.inner["deep"][0] * k
    f = T.compile(plain)

    def check() -> None:
        for _ in range(2):
            np.testing.assert_array_equal(f().numpy(), plain().numpy())

    check()
    monkeypatch.setitem(globals(), "FACTOR", 5.0)
    check()
    settings.rate = 7.0
    check()
    settings.inner["deep"][0] = 8.0
    check()
    x = T.zeros(2)
    check()
    plain.__defaults__ = (9.0,)
    check()


FACTOR = 2.0
x_of_module = T.ones(3)


HOOKS: list[Callable[..., Any]] = [
    lambda net, opt, hook: net.register_forward_hook(hook),
    lambda net, opt, hook: net.weight.register_hook(hook),
    lambda net, opt, hook: net.weight.register_post_accumulate_grad_hook(hook),
    lambda net, opt, hook: opt.register_step_post_hook(hook),
    lambda net, opt, hook: nn.modules.module.register_module_forward_hook(hook),
]


@pytest.mark.parametrize("add", HOOKS)
def test_hooks_added_later(add: Callable[..., Any]) -> None:
    net = nn.Linear(2, 1)
    opt = optim.SGD(net.parameters(), lr=0.1)
    x = T.ones(4, 2)

    @T.compile
    def step() -> Any:
        opt.zero_grad()
        loss = net(x).sum()
        loss.backward()
        opt.step()
        return loss

    step()
    step()
    with add(net, opt, lambda *args: None):
        before = [p.detach().numpy().copy() for p in net.parameters()]
        with pytest.raises(TracingError, match="hook"):
            step()
        equal([p.detach().numpy() for p in net.parameters()], before)
    step()


def test_a_second_backward_raises() -> None:
    w = T.ones(2, requires_grad=True)

    @T.compile
    def step() -> Any:
        loss = (w * w).sum()
        loss.backward()
        return loss

    for _ in range(3):
        with pytest.raises(RuntimeError, match="second time"):
            step().backward()


def test_what_is_refused_leaves_everything_as_it_was() -> None:
    w, x = T.ones(3, requires_grad=True), T.arange(3.0)
    optimizer = optim.Adam([w], lr=0.1)
    w.grad = T.ones(3)
    optimizer.step()
    count, log = 0, []

    def looks() -> None:
        if w.sum() > 0:
            pass

    def prints() -> None:
        w.sum().item()

    def numbers() -> None:
        float(x.numpy().sum())

    def counts() -> None:
        nonlocal count
        count += 1

    def notes() -> None:
        log.append(w)

    def draws() -> None:
        np.random.rand()

    def schedules() -> None:
        optimizer.param_groups[0]["lr"] *= 0.5

    for last in (looks, prints, numbers, counts, notes, draws, schedules):

        def step() -> Any:
            T.rand(2)
            x.add_(1)
            (w * x).sum().backward()
            optimizer.step()
            return last()  # noqa: B023

        def everything() -> list[Any]:
            entries = optimizer.state[w]
            state = [entries[name].numpy().copy() for name in ("step", "exp_avg", "exp_avg_sq")]
            kept = [w.detach().numpy().copy(), w.grad.numpy().copy(), x._array.copy(), T.get_rng_state().numpy()]
            return [*state, *kept, w._version, x._version, w.grad._version, id(w.grad), optimizer.param_groups[0]["lr"]]

        before = everything()
        draw = np.random.get_state()[2]
        with pytest.raises(TracingError):
            T.compile(step)()
        equal(everything(), before)
        assert np.random.get_state()[2] == draw and count == 0 and not log


def test_out_of_range_targets_raise_before_anything_has_changed() -> None:
    net = nn.Linear(2, 3)
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    x = T.ones(4, 2)

    @T.compile
    def step(target: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(F.dropout(net(x), 0.5), target)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(3):
        step(T.tensor([0, 1, 2, 0]))
    before = [p.detach().numpy().copy() for p in net.parameters()]
    with pytest.raises(IndexError):
        step(T.tensor([0, 1, 2, 3]))
    equal([p.detach().numpy() for p in net.parameters()], before)


def test_cache_is_bounded(traces: list[int]) -> None:
    f = T.compile(lambda x: x * 2)
    for n in range(20):
        assert f(T.ones(n + 1)).shape == (n + 1,)
    assert len(traces) == 20
    f(T.ones(20))
    f(T.ones(13))
    assert len(traces) == 20
    f(T.ones(12))
    assert len(traces) == 21


def test_threads() -> None:
    f = T.compile(lambda x: (x * 2 + 1).sum())
    wrong = []

    def work(n: int) -> None:
        for _ in range(200):
            x = T.full((100,), float(n))
            if f(x).item() != 100 * (2 * n + 1):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_results_are_never_overwritten() -> None:
    x = T.randn(5)
    f = T.compile(lambda: (x * 2, [x.exp(), {"sum": x.sum()}]))
    held = [f() for _ in range(4)]
    copies = [(a.numpy().copy(), b.numpy().copy(), c["sum"].item()) for a, (b, c) in held]
    x.zero_()
    f()
    for (a, (b, c)), (u, v, w) in zip(held, copies, strict=True):
        equal([a.numpy(), b.numpy(), c["sum"].item()], [u, v, w])


def test_steady_state_allocates_what_is_returned_alone() -> None:
    twin = Twin(True, optim.SGD, lr=0.1, momentum=0.9)
    for _ in range(5):
        twin.step(twin.x, twin.y)
    gc.collect()
    gc.disable()
    try:
        tracemalloc.start()
        twin.step(twin.x, twin.y)
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        twin.step(twin.x, twin.y)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    gradients = sum(p.grad.nbytes + 400 for p in twin.net.parameters())
    assert peak - before < gradients + 1500
    assert after - before < 300


def test_arguments() -> None:
    """Tensors in containers and by name; an argument that shares the memory of one that is written to."""
    w = T.ones(3)

    def plain(xs: Any, *, scale: float = 1.0, flag: bool = True) -> Any:
        w.add_(xs["a"] * scale)
        xs["b"][0].mul_(2)
        return xs["b"][0] + (w if flag else 0)

    f = T.compile(plain)
    twin_w = w.clone()
    for i in range(8):
        a, b = T.randn(3), T.randn(3)
        options: dict[str, Any] = {"scale": 2.0} if i % 3 == 1 else {"flag": i % 3 == 0}
        xs = {"a": a, "b": [b]}
        ys = {"a": a.clone(), "b": [b.clone()]}
        if i >= 4:
            xs["a"] = w[:]
        if i >= 6:
            xs["b"] = [xs["a"]]
        found = f(xs, **options)
        w_now, w_save = w, w.clone()
        assert found.shape == (3,)
        if i < 4:
            w = twin_w
            expected = plain(ys, **options)
            twin_w, w = w, w_now
            equal([found.numpy(), w.numpy(), b.numpy()], [expected.numpy(), twin_w.numpy(), ys["b"][0].numpy()])
        assert w_save is not w


@pytest.mark.parametrize("of_module", [False, True])
def test_a_forward_pass_alone(of_module: bool, traces: list[int]) -> None:
    """Its results have one node, whose backward pass is a program too."""
    left = []
    for compiled in (False, True):
        T.manual_seed(0)
        net = Net(0.3)
        optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        model = (T.compile(net) if of_module else T.compile(lambda x: net(x))) if compiled else net  # noqa: B023
        found = []
        for i in range(6):
            x = T.randn(4, 3, requires_grad=i > 2)
            out = model(x)
            optimizer.zero_grad()
            loss = (out**2).mean()
            loss.backward(retain_graph=i == 4)
            if i == 4:
                loss.backward()
            with pytest.raises(RuntimeError, match="second time"):
                loss.backward()
            found += [loss.item(), *(p.grad.numpy().copy() for p in net.parameters())]
            found += [x.grad.numpy()] if i > 2 else []
            optimizer.step()
        left.append(found)
        assert str(out.grad_fn).startswith("<CompiledFunctionBackward" if compiled else "<Mul")
    equal(left[1], left[0])
    assert len(traces) == 2


def test_several_forward_passes_before_a_backward_pass() -> None:
    w = T.randn(3, requires_grad=True)
    plain = lambda x: ((x * w * w).exp(), (w * x).sum())
    f = T.compile(plain)
    xs = [T.randn(3) for _ in range(4)]
    gradients = []
    for g in (plain, f):
        w.grad = None
        for a, b in [g(x) for x in xs]:
            (a.sum() * b).backward()
        gradients.append(w.grad.numpy())
    np.testing.assert_array_equal(*gradients)
    a, _ = f(xs[0])
    with T.no_grad():
        w.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        a.sum().backward()
    a, _ = f(xs[0])
    with pytest.raises(RuntimeError, match="double backward"):
        T.autograd.grad(a.sum(), w, create_graph=True)


def test_compiled_modules() -> None:
    net = nn.Linear(2, 1)
    compiled = T.compile(net)
    assert [*compiled.state_dict()] == ["_orig_mod.weight", "_orig_mod.bias"]
    assert compiled.weight is net.weight and isinstance(compiled, nn.Module)
    assert [*compiled.parameters()] == [*net.parameters()]
    compiled(T.ones(1, 2))
    assert "def run" in compiled.source
    assert T.compile(net, disable=True) is net


def test_as_torch_calls_it() -> None:
    @T.compile(fullgraph=True, backend="inductor", mode="max-autotune", dynamic=False)
    def f(x: Any) -> Any:
        """A docstring."""
        return x * 2

    assert f(T.ones(2)).tolist() == [2.0, 2.0] and f.__name__ == "f" and f.__doc__ == "A docstring."
    assert "multiply" in f.source
    with pytest.raises(TypeError):
        T.compile(3)


def test_donated_gradients() -> None:
    T.manual_seed(0)
    left = []
    for options in (None, {"donate": True}):
        T.manual_seed(0)
        net = Net()
        x, y = T.randn(6, 3), T.randn(6, 2)
        optimizer = optim.SGD(net.parameters(), lr=0.1)

        def step() -> Any:
            optimizer.zero_grad()  # noqa: B023
            loss = F.mse_loss(net(x), y)  # noqa: B023
            loss.backward()
            optimizer.step()  # noqa: B023
            return loss

        f = step if options is None else T.compile(**options)(step)
        found: list[Any] = []
        for _ in range(5):
            found.append(f().item())
            found += [
                a for p in net.parameters() for a in (p.grad.numpy().copy(), p.grad._version, p.detach().numpy().copy())
            ]
            before = [p.grad for p in net.parameters()]
        f()
        again = [p.grad is g for p, g in zip(net.parameters(), before, strict=True)]
        assert all(again) if options else not any(again)
        left.append(found)
    equal(left[1], left[0])


class Noting(nn.Module):
    """A module that keeps what it computes."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.seen, self.count = how, [], 0

    def forward(self, x: Any) -> Any:
        if self.how == "append":
            self.seen.append(x)
        elif self.how == "count":
            self.count += 1
        else:
            self.last = x
        return x * 2


@pytest.mark.parametrize("how", ["append", "count", "set"])
def test_modules_that_keep_things(how: str) -> None:
    net = Noting(how)
    with pytest.raises(TracingError):
        T.compile(net)(T.ones(2))
    assert net.count == 0 and not net.seen and not hasattr(net, "last")
