"""compile(): what a compiled function leaves equals what an eager twin leaves, also when what it relies on changes."""

import gc
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim
from minigrad.program import TracingError
from minigrad.program.recorder import Recorder

T = minigrad
F = nn.functional


class Net(nn.Module):
    def __init__(self, drop: float = 0.0) -> None:
        super().__init__()
        self.hidden = nn.Linear(3, 8)
        self.dropout = nn.Dropout(drop)
        self.predict = nn.Linear(8, 2)
        self.scale = 1.0

    def forward(self, x: Any) -> Any:
        return self.predict(self.dropout(F.relu(self.hidden(x)))) * self.scale


class Twin:
    """A small training loop, whose step may be compiled."""

    def __init__(self, compiled: bool, optimizer: Callable[..., Any], drop: float = 0.0, **options: Any) -> None:
        T.manual_seed(3)
        self.net = Net(drop)
        self.x, self.y = T.randn(6, 3), T.randn(6, 2)
        self.optimizer = optimizer(self.net.parameters(), **options)
        self.factor = 1.0
        self.before: list[Any] = []
        self.criterion = nn.MSELoss()
        net, opt, criterion = self.net, self.optimizer, self.criterion

        def step(x: Any, y: Any, factor: float = 1.0) -> Any:
            loss = criterion(net(x), y) * factor
            opt.zero_grad()
            loss.backward()
            opt.step()
            return loss

        self.step = T.compile(step) if compiled else step

    def everything(self) -> list[Any]:
        found: list[Any] = []
        for p in self.net.parameters():
            found += [p.detach().numpy().copy(), p._version, p.requires_grad]
            found += [None] if p.grad is None else [p.grad.numpy().copy(), p.grad._version]
            for name, x in self.optimizer.state.get(p, {}).items():
                found += [name, x.numpy().copy() if isinstance(x, T.Tensor) else x, getattr(x, "_version", None)]
        return [*found, T.get_rng_state().numpy()]


@pytest.fixture(autouse=True)
def traces(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by an item whenever a function is traced."""
    found: list[int] = []

    class Counted(Recorder):
        def __init__(self) -> None:
            found.append(1)
            super().__init__()

    monkeypatch.setattr(minigrad.program.compiled, "Recorder", Counted)
    return found


def equal(found: Any, expected: Any) -> None:
    assert len(found) == len(expected)
    for x, y in zip(found, expected, strict=True):
        if isinstance(y, np.ndarray):
            assert (x.dtype, x.shape) == (y.dtype, y.shape)
            np.testing.assert_array_equal(x, y)
        else:
            assert x == y


def run(change: Callable[[Twin], Any], optimizer: Callable[..., Any] = optim.SGD, **options: Any) -> Any:
    """Four calls, a change, four calls: all that is left, with and without compile()."""
    options = {"lr": 0.1, **options}
    left = []
    for compiled in (False, True):
        twin = Twin(compiled, optimizer, **options)
        losses = []
        T.manual_seed(4)
        for i in range(8):
            if i == 4:
                change(twin)
            loss = twin.step(twin.x, twin.y, twin.factor)
            losses.append((loss, loss.item()))
        assert all(x.item() == was for x, was in losses)
        left.append([[was for _, was in losses], losses[-1][0].requires_grad, str(losses[-1][0]), *twin.everything()])
    equal(left[1][0], left[0][0])
    equal(left[1][1:], left[0][1:])
    return twin


def nothing(twin: Twin) -> None:
    pass


OPTIMIZERS: list[Any] = [
    (optim.SGD, {}),
    (optim.SGD, {"momentum": 0.9}),
    (optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    (optim.SGD, {"momentum": 0.9, "dampening": 0.5, "maximize": True}),
    (optim.Adam, {}),
    (optim.Adam, {"amsgrad": True, "weight_decay": 0.1}),
    (optim.AdamW, {}),
    (optim.Adagrad, {}),
    (optim.RMSprop, {"momentum": 0.5, "centered": True}),
    (optim.Adadelta, {}),
    (optim.Adamax, {}),
]


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS, ids=str)
def test_optimizers(optimizer: Any, options: Any, traces: list[int]) -> None:
    run(nothing, optimizer, **options)
    assert len(traces) <= 2  # the first step may make the state


def test_dropout_is_drawn_afresh() -> None:
    run(nothing, drop=0.5)
    run(lambda twin: twin.net.eval(), drop=0.5)


def set_lr(twin: Twin) -> None:
    twin.optimizer.param_groups[0]["lr"] = 0.03


def schedule(twin: Twin) -> None:
    twin.scheduler = optim.lr_scheduler.StepLR(twin.optimizer, 1, 0.5)  # type: ignore[attr-defined]
    twin.optimizer.step()
    twin.scheduler.step()  # type: ignore[attr-defined]


def set_momentum(twin: Twin) -> None:
    twin.optimizer.param_groups[0]["momentum"] = 0.5


def new_shape(twin: Twin) -> None:
    twin.x, twin.y = T.randn(4, 3), T.randn(4, 2)


def new_dtype(twin: Twin) -> None:
    twin.net.double()
    twin.x, twin.y = twin.x.double(), twin.y.double()


def new_strides(twin: Twin) -> None:
    twin.x = twin.x.t().clone().t()


def freeze(twin: Twin) -> None:
    twin.net.hidden.weight.requires_grad = False


def new_gradient(twin: Twin) -> None:
    twin.x.requires_grad = True


def replace_parameter(twin: Twin) -> None:
    twin.net.hidden.weight = nn.Parameter(twin.net.hidden.weight.detach() * 2)


def replace_module(twin: Twin) -> None:
    twin.net.hidden = nn.Linear(3, 8)


def replace_data(twin: Twin) -> None:
    twin.net.hidden.weight.data = twin.net.hidden.weight.data * 2


def new_data(twin: Twin) -> None:
    twin.x, twin.y = T.randn(6, 3), T.randn(6, 2)


def same_memory(twin: Twin) -> None:
    twin.y = twin.net.predict.bias.detach().expand(6, 2)


def view_of_parameter(twin: Twin) -> None:
    twin.x = twin.net.hidden.weight.detach()[:6]


def set_factor(twin: Twin) -> None:
    twin.factor = 0.5


def set_attribute(twin: Twin) -> None:
    twin.net.scale = 0.25


def set_reduction(twin: Twin) -> None:
    twin.criterion.reduction = "sum"


def add_group(twin: Twin) -> None:
    twin.optimizer.add_param_group({"params": [T.zeros(2, requires_grad=True)]})


def load(twin: Twin) -> None:
    twin.optimizer.load_state_dict(twin.optimizer.state_dict())


def no_gradients(twin: Twin) -> None:
    twin.optimizer.zero_grad()


CHANGES = [
    set_lr, schedule, set_momentum, new_shape, new_dtype, new_strides, freeze, new_gradient, replace_parameter,
    replace_module, replace_data, new_data, same_memory, view_of_parameter, set_factor, set_attribute, set_reduction,
    add_group, load, no_gradients,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS[:2] + OPTIMIZERS[4:5], ids=str)
def test_guards(change: Callable[[Twin], None], optimizer: Any, options: Any, traces: list[int]) -> None:
    if optimizer is optim.Adam and change in (set_momentum, new_dtype):
        pytest.skip("Adam has no momentum, and its state a dtype")
    run(change, optimizer, **options)
    fewest = 1 if optimizer is optim.SGD and not options else 2
    free = (set_lr, schedule, new_data) if change is not schedule else (set_lr,)
    assert len(traces) <= fewest + 2
    if change in free:
        assert len(traces) == fewest


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
        x.numpy().sum()

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
        assert np.random.get_state()[2] == draw


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
