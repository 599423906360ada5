"""Small programs of autograd that run alike under minigrad and torch: accumulation, versions, views, writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import minigrad


def both(program: Any) -> None:
    """Run a program on either engine; what it returns must be the same, an error's type included."""
    found = []
    for T in (minigrad, torch):
        try:
            result = program(T)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            result = type(error).__name__
        found.append(plain(result))
    np.testing.assert_equal(*found)


def plain(x: Any) -> Any:
    if isinstance(x, (tuple, list)):
        return [plain(item) for item in x]
    return x.detach().numpy().tolist() if hasattr(x, "detach") else x


def leaf(T: Any, *values: float) -> Any:
    return T.tensor(values, dtype=T.float64, requires_grad=True)


def function(T: Any, forward: Any, backward: Any, setup: Any = None) -> Any:
    """A Function of these methods."""
    methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    if setup is not None:
        methods["setup_context"] = staticmethod(setup)
    return type("Mine", (T.autograd.Function,), methods)


def accumulate(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0)
    grads = []
    for _ in range(3):
        (x * x).sum().backward()
        grads.append(x.grad.clone())
    held = x.grad
    (x * 3).sum().backward()
    return *grads, held is x.grad, held


def two_leaves_do_not_share(T: Any) -> Any:
    x, y = leaf(T, 1.0), leaf(T, 2.0)
    (x + y).backward()
    x.grad.add_(10)
    return x.grad, y.grad


def the_seed_is_not_shared(T: Any) -> Any:
    x, seed = leaf(T, 1.0, 2.0), T.ones(2, dtype=T.float64)
    (x + 0).backward(seed)
    seed.zero_()
    return x.grad


def graph_is_kept(T: Any) -> Any:
    x = leaf(T, 2.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    return x.grad


def second_backward_fails_and_changes_nothing(T: Any) -> Any:
    x = leaf(T, 2.0)
    y = x * x
    y.backward()
    try:
        y.backward()
    except RuntimeError:
        return x.grad
    return None


def nothing_saved_nothing_freed(T: Any) -> Any:
    x = leaf(T, 2.0, 3.0)
    y = (x + 1).sum()
    y.backward()
    y.backward()
    return x.grad


def inputs_alone(T: Any) -> Any:
    x, y = leaf(T, 2.0), leaf(T, 3.0)
    z = x * y
    w = z * z
    w.backward(inputs=[x], retain_graph=True)
    kept = x.grad.clone(), y.grad
    z.retain_grad()
    w.backward(inputs=[z])
    return *kept, x.grad, y.grad, z.grad


def retained(T: Any) -> Any:
    x = leaf(T, 2.0)
    y = x * x
    y.retain_grad()
    y.retain_grad()
    (y * y).backward()
    return y.grad, x.grad, y.retains_grad


def grad_with_unused(T: Any) -> Any:
    x, y = leaf(T, 2.0), leaf(T, 3.0)
    return (
        *T.autograd.grad(x * x, [x, y], allow_unused=True),
        *T.autograd.grad(x * x, [x, y], materialize_grads=True),
        x.grad,
    )


def grad_of_intermediate(T: Any) -> Any:
    x = leaf(T, 2.0)
    y = x * x
    return T.autograd.grad(y * y, [x, y])


def several_roots(T: Any) -> Any:
    x = leaf(T, 2.0)
    T.autograd.backward([x * x, x * 3], [T.tensor([1.0], dtype=T.float64), T.tensor([2.0], dtype=T.float64)])
    return x.grad


def same_root_twice(T: Any) -> Any:
    x = leaf(T, 2.0)
    y = x * x
    T.autograd.backward([y, y], retain_graph=True)
    return x.grad


def third_derivative(T: Any) -> Any:
    x = leaf(T, 0.3, -2.0)
    y = (x.sin() * x.exp()).sum()
    for _ in range(3):
        (g,) = T.autograd.grad(y, x, create_graph=True)
        y = g.sum()
    return g, g.requires_grad


def create_graph_accumulates(T: Any) -> Any:
    x = leaf(T, 2.0)
    (x**3).backward(create_graph=True)
    first = x.grad
    (x**3).backward(create_graph=True)
    return first, x.grad, x.grad.requires_grad


def grad_clears_history(T: Any) -> Any:
    x = leaf(T, 2.0)
    (x**3).backward(create_graph=True)
    (x * 2).backward()
    return x.grad


def zero_and_reset(T: Any) -> Any:
    x = leaf(T, 2.0)
    (x * x).backward()
    x.grad.zero_()
    (x * x).backward()
    x.grad = None
    (x * x).backward()
    return x.grad


def constant_loss(T: Any) -> Any:
    T.ones(1).backward()


def backward_in_no_grad(T: Any) -> Any:
    x = leaf(T, 2.0)
    with T.no_grad():
        y = x * x
    return y.requires_grad, y.is_leaf, y.grad_fn is None


def item_assignment(T: Any) -> Any:
    x, v = leaf(T, 1.0, 2.0, 3.0), leaf(T, 5.0)
    y = x * 2
    y[1:2] = v
    y[0] *= y[2]
    (y * y).sum().backward()
    return y, x.grad, v.grad, y._version


def view_then_write_base(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0, 3.0, 4.0)
    y = x * 1
    v = y.view(2, 2)
    y.mul_(3)
    (v * v).sum().backward()
    return x.grad, v


def write_view_of_view(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0, 3.0, 4.0)
    y = x * 1
    y.view(2, 2).t()[1].add_(10).mul_(2)
    (y * y).sum().backward()
    return y, x.grad


def write_into_what_needs_none(T: Any) -> Any:
    buffer, x = T.zeros(3, dtype=T.float64), leaf(T, 2.0)
    buffer[1:2] = x * x
    buffer[2] = 7
    (buffer * buffer).sum().backward()
    return buffer, x.grad, buffer.requires_grad, buffer.is_leaf


def transposed_in_place(T: Any) -> Any:
    x = leaf(T, 1.0, -2.0, 3.0, -4.0)
    y = (x * 2).reshape(2, 2)
    y.t().clamp_(min=0)
    y.sum().backward()
    return y, x.grad


def exp_in_place(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0)
    y = (x * 1).exp_()
    (y * 3).sum().backward()
    return x.grad, y._version


def saved_result_then_written(T: Any) -> Any:
    x = leaf(T, 1.0)
    y = x.exp()
    y.add_(1)
    y.backward()


def saved_input_then_detached_write(T: Any) -> Any:
    x = leaf(T, 1.0)
    y = x * 1
    z = y * y
    y.detach().zero_()
    z.backward()


def data_writes_go_unnoticed(T: Any) -> Any:
    x = leaf(T, 1.0)
    y = x * 1
    z = y * y
    y.data.zero_()
    z.backward()
    return x.grad


def leaf_written_between(T: Any) -> Any:
    w = leaf(T, 1.0)
    loss = w * w
    with T.no_grad():
        w -= 0.1
    loss.backward()


def second_order_sees_writes(T: Any) -> Any:
    x = leaf(T, 2.0)
    y = x * 1
    (g,) = T.autograd.grad(y**3, y, create_graph=True)
    y.add_(1)
    g.backward()


def multiplied_by_itself_in_place(T: Any) -> Any:
    x, w = leaf(T, 2.0), leaf(T, 3.0)
    y = x * 1
    y *= w
    y.backward()
    return x.grad, w.grad


def expanded_write(T: Any) -> Any:
    T.ones(1).expand(3).add_(1)


def requires_grad_of_integers(T: Any) -> Any:
    T.tensor([1]).requires_grad_()


def leaf_in_place(T: Any) -> Any:
    leaf(T, 1.0).add_(1)


def view_of_leaf_in_place(T: Any) -> Any:
    leaf(T, 1.0, 2.0)[0].fill_(3)


def index_changed_in_a_loop(T: Any) -> Any:
    x, i, total = leaf(T, 1.0, 2.0, 3.0), T.tensor([0]), 0
    for k in range(3):
        total = total + (k + 1) * x[i.clone()]
        i[0] = min(k + 1, 2)
    total.sum().backward()
    return x.grad


def out_counts_as_a_write(T: Any) -> Any:
    w, c = leaf(T, 1.0, 1.0), T.ones(2, dtype=T.float64)
    loss = (w * c).sum()
    T.add(c, 1, out=c)
    loss.backward()


def stale_view_as_a_value(T: Any) -> Any:
    w, b, z = leaf(T, 3.0), T.zeros(3, dtype=T.float64), T.zeros(2, dtype=T.float64)
    v = b[0]
    b += w
    z[0] = v
    u = T.zeros(1, dtype=T.float64)
    u.copy_(v)
    (z.sum() + u.sum()).backward()
    return z.requires_grad, w.grad


def view_made_under_no_grad(T: Any) -> Any:
    y = leaf(T, 1.0, 2.0) * 1
    with T.no_grad():
        v = y[0]
    v.mul_(2)


def retained_and_written(T: Any) -> Any:
    x = leaf(T, 1.0, 1.0)
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    y[0] = 5.0
    (y * y).sum().backward()
    return y.retains_grad, y.grad, x.grad


def detached_view_in_place(T: Any) -> Any:
    (leaf(T, 1.0, 2.0) * 2)[0].detach_()


def scalar_written_by_a_mask(T: Any) -> Any:
    x = T.tensor(2.0, requires_grad=True)
    y = x * 1.5
    y[y > 0] = 1.0
    y.backward()
    return x.grad


def gradient_used_then_accumulated(T: Any) -> Any:
    w, v = leaf(T, 1.0, 1.0), leaf(T, 1.0, 1.0)
    (w * w).sum().backward()
    loss = (w.grad * v).sum()
    (w * w).sum().backward()
    loss.backward()


def expanded_grad(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0)
    x.grad = T.ones(1, dtype=T.float64).expand(2)
    (x * x).sum().backward()


def second_backward_through_svd(T: Any) -> Any:
    y = T.eye(2, dtype=T.float64, requires_grad=True).norm(p="nuc")
    y.backward()
    y.backward()


def requires_grad_of_a_result(T: Any) -> Any:
    (leaf(T, 1.0) * 2).requires_grad = True


def copied_and_filled(T: Any) -> Any:
    x, v, s = leaf(T, 1.0, 2.0), leaf(T, 5.0), T.tensor(3.0, dtype=T.float64, requires_grad=True)
    y, z = x * 1, x * x
    y.copy_(v * v)
    z[0].fill_(s)
    (y * z).sum().backward()
    return y, z, x.grad, v.grad, s.grad


def overwritten_has_gradient_zero(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0)
    (x * 3).copy_(T.ones(2, dtype=T.float64)).sum().backward()
    return x.grad


def second_order_through_a_written_view(T: Any) -> Any:
    x, w = leaf(T, 1.0, 2.0, 3.0, 4.0), leaf(T, 0.5, -1.5)
    y = x * x * x
    square = y.view(2, 2)
    square[1].mul_(w)
    loss = (y * y).sum() + (square.t()[0] ** 3).sum()
    first = T.autograd.grad(loss, [x, w], create_graph=True)
    return *first, *T.autograd.grad(sum((g**2).sum() for g in first), [x, w])


def unbind_and_split(T: Any) -> Any:
    x = leaf(T, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    a, _, c = x.view(3, 2).unbind()
    head, tail = (x * x).split([2, 4])
    (a * c).sum().backward()
    (head.sum() * tail[0]).backward()
    return x.grad


def gradient_is_contiguous(T: Any) -> Any:
    x = T.ones(2, 3, dtype=T.float64, requires_grad=True)
    (x.t() @ T.ones(2, 2, dtype=T.float64)).sum().backward()
    y = leaf(T, 1.0)
    y.expand(4).sum().backward()
    return x.grad.is_contiguous(), y.grad.stride()


PROGRAMS = [
    value for value in list(globals().values()) if callable(value) and getattr(value, "__code__", None)
    and value.__code__.co_varnames[:1] == ("T",) and value.__code__.co_argcount == 1
]  # fmt: skip
