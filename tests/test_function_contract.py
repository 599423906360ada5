"""The contract of autograd.Function: what forward may return, mark and save, and backward return, right and wrong.

Each line is a program: what forward does with its arguments `a` (and `b`), and what is done with its result `z`. It is
run under torch and minigrad, and all that can be seen afterwards of the tensors in it must be the same.
"""

from __future__ import annotations

import warnings
from collections import namedtuple
from typing import Any

import pytest
import torch
from engines import lines
from programs import function, leaf, plain

import minigrad

Pair = namedtuple("Pair", "a b")


def seen(T: Any, names: dict[str, Any]) -> Any:
    """Of each tensor: values, dtype, history, version, whether a view, the gradient, and which others it is."""
    tensors: dict[str, Any] = {}
    for name, x in names.items():
        parts = x if isinstance(x, (tuple, list)) else [x]
        tensors |= {f"{name}{i}": y for i, y in enumerate(parts) if isinstance(y, T.Tensor)}
        tensors[name] = [type(x).__name__, *(y if isinstance(y, (int, str, bool)) else None for y in parts)]
    found = {}
    for name, x in tensors.items():
        if isinstance(x, list):
            found[name] = x
            continue
        node = x.grad_fn
        found[name] = [
            x.tolist(), str(x.dtype), x.requires_grad, x.is_leaf, x._is_view(), x._version,
            None if node is None else node.name(),
            plain(x.grad) if x.is_leaf else None,
            [other for other, y in tensors.items() if y is x],
        ]  # fmt: skip
    return found


def run(T: Any, forward: str, after: str) -> Any:
    """The program's tensors; or the type of its error, and how the message begins.

    Forward is given h, a result of the leaf x, or what `after` gives to `apply`. Backward gives each of its inputs 5
    times the sum of the first result's gradient, 6 times that of the second, and so on.
    """

    def backward(ctx: Any, *gs: Any) -> Any:
        total = sum((i + 5) * g.sum() for i, g in enumerate(gs) if g is not None)
        return tuple(None if s is None else total * T.ones(s, dtype=T.float64) for s in ctx.shapes)

    body = f"def forward(ctx, a, b=None):\n ctx.shapes = [getattr(i, 'shape', None) for i in (a, b)]\n {forward}"
    x = leaf(T, 1.0, 2.0)
    ones = T.ones(3, dtype=T.float64)
    names = {"T": T, "x": x, "h": x * 1, "Pair": Pair, "k": T.tensor([1, 2]), "base": ones, "w": leaf(T, 3.0, 4.0)}
    exec(body, names)
    made = function(T, names.pop("forward"), backward)

    def apply(a: Any, b: Any = None) -> Any:
        names["a"] = a
        return made.apply(a, b)

    names["apply"] = apply
    try:
        if "apply" not in after:
            names["z"] = apply(names["h"])
        exec(after, names)
        return seen(T, {name: names[name] for name in ("x", "h", "k", "base", "w", "a", "z") if name in names})
    except Exception as error:
        return type(error).__name__, str(error)[:20]


RESULTS = """
# written to and marked
a.mul_(2); ctx.mark_dirty(a); return a | z.sum().backward()
a.mul_(2); ctx.mark_dirty(a); return a.clone() | (z.sum() + h.sum()).backward()
a.mul_(2); ctx.mark_dirty(a); return a.clone() | z = apply(T.ones(2))
a.mul_(2); ctx.mark_dirty(a); return a.view(-1) | z.sum().backward()
a.mul_(2); ctx.mark_dirty(a); return a, a | (z[0] * 2 + z[1] * 3).sum().backward()
a.mul_(2); b.mul_(3); ctx.mark_dirty(a, b); return a | z = apply(h, x * 2)
a.mul_(2); b.mul_(3); ctx.mark_dirty(a, b); return b, a | z = apply(h, x * 2); (z[0] + z[1] * z[1]).sum().backward()
a.mul_(2); ctx.mark_dirty(a); ctx.mark_dirty(); return a.clone() | z.sum().backward()
a.mul_(2); ctx.mark_dirty(a); ctx.mark_dirty(a); return a | (z * z).sum().backward()
ctx.mark_dirty(a); return a | z.sum().backward()
c = a * 2; ctx.mark_dirty(c); return c | z.sum().backward()
c = a * 2; ctx.mark_dirty(c); return a * 3 | z.sum().backward()
ctx.mark_dirty(3); return a * 2 |
a.mul_(2); ctx.mark_dirty(a); return a | z = apply(x)
a.mul_(2); ctx.mark_dirty(a); return a | z = apply(x[:1])
a.mul_(2); ctx.mark_dirty(a); return a | z = apply(base)
a.mul_(2); ctx.mark_dirty(a); return a | z = T.no_grad()(apply)(x)
a.add_(b); ctx.mark_dirty(a); return a | z = apply(base[:2], x); (base * base).sum().backward()
a.add_(b); ctx.mark_dirty(a); return a | z = apply(base, x[0]); z.sum().backward()
a.mul_(2); ctx.mark_dirty(a); return a | z = apply(h[:1]); (h * h).sum().backward()
a.mul_(2); ctx.mark_dirty(a); return a | v = h.view(2, 1); z = apply(h[:1]); (v * v).sum().backward()
a.mul_(2); ctx.mark_dirty(a); return a | v = h[:1]; z = apply(h); (v * v).sum().backward()
a.mul_(2); ctx.mark_dirty(a); return a | c = h * h; z = apply(h); c.sum().backward()
a.mul_(2); ctx.mark_dirty(a); return a | h.retain_grad(); z = apply(h); (z * z).sum().backward(); x = h.grad
a.mul_(2); ctx.mark_dirty(a); return a | z = apply(x[:1].expand(3)); z.sum().backward()
a.mul_(2); ctx.mark_dirty(a); return a | z = apply(h, h); z.sum().backward()
ctx.save_for_backward(a); a.mul_(3); ctx.mark_dirty(a); return a | (z * z).sum().backward()
# written to, not marked
a.mul_(2); return a | z.sum().backward()
a.mul_(2); return a * 3 | (z.sum() + h.sum()).backward()
# not to be differentiated
c = a * 3; ctx.mark_non_differentiable(c); return c | h.sum().backward()
c = a * 3; ctx.mark_non_differentiable(c); return c, a * 2 | z[0].requires_grad_(); (z[0] + z[1]).sum().backward()
c = a * 3; d = a * 2; ctx.mark_non_differentiable(c); ctx.mark_non_differentiable(d); return c, d |
ctx.mark_non_differentiable(3); return a * 2 |
ctx.mark_non_differentiable(a); return a |
ctx.mark_non_differentiable(a); return a, a * 2 | z = apply(x); z[1].sum().backward()
c = a.view(2); ctx.mark_non_differentiable(c); return c |
a.mul_(2); ctx.mark_dirty(a); ctx.mark_non_differentiable(a); return a |
a.mul_(2); ctx.mark_dirty(a); ctx.mark_non_differentiable(a); return a, b * 2 | apply(base, x)[1].sum().backward()
# returned as they came
return a | z.sum().backward()
return a | z = apply(x); z.sum().backward()
return a | z.mul_(2)
return a | h.mul_(2); z.sum().backward()
return a | h.mul_(2); h.sum().backward(); z.grad_fn
return a | T.no_grad()(h.mul_)(2); z.sum().backward()
return a | z = apply(base)
return a | z = apply(base); z.mul_(2)
return a | z = apply(base[:2]); z.mul_(h)
return a | z = T.no_grad()(apply)(x)
return a | z = T.no_grad()(apply)(h)
return a | z = T.inference_mode()(apply)(T.ones(2)).is_inference()
return b | z = apply(x, base); z.sum().backward()
return b | z = apply(x, base); z.mul_(3)
return b | z = apply(x, base); base.mul_(3); z.sum()
return b, a * 2 | z = apply(x, k); z[1].sum().backward()
return a, a | (z[0] * 2 + z[1] * 3).sum().backward()
return a, a * 2 | z[0].mul_(2)
return a, a * 2 | z[1].mul_(2); (z[0] + z[1]).sum().backward()
c = a * 2; return c, c | (z[0] * 2 + z[1] * 3).sum().backward()
# views
return a[:1] | z.sum().backward()
return a[:1] | z.mul_(2)
return a[:1] | T.no_grad()(z.mul_)(2); z.grad_fn
return a[:1] | h.mul_(2); z.sum().backward()
return a[:1] | h.mul_(2); h.sum().backward()
return a[:1] | v = h.view(2); z = apply(v); v.mul_(2); z.sum()
return a[:1] | z = T.no_grad()(apply)(h)
return a[:1] | z = T.no_grad()(apply)(h); z.mul_(2)
return a[:1] | z = apply(base)
return a[:1] | z = apply(base); z.mul_(2)
return a[:1] | z = apply(base); z.mul_(w[:1])
return a[:1], a[1:] | (z[0] * z[1]).sum().backward()
return a[:1], a[1:] | z[0].mul_(2)
return a[:0] | z.mul_(2)
return (a * 2)[:1] | z.sum().backward()
return (a * 2)[:1] | z.mul_(3)
c = a * 2; return c, c[:1] | (z[0].sum() + z[1].sum()).backward()
c = a * 2; return c, c[:1] | z[0].mul_(2); z[0].sum().backward()
c = a * 2; return c, c[:1] | z[0].mul_(2); z[1].sum().backward()
c = a * 2; return c, c[:1] | z[1].mul_(2)
return a.detach() | z.mul_(3); z.sum().backward()
return a.data | z.mul_(3); z.sum().backward()
# of elsewhere
return base | z.sum().backward()
return base | z.mul_(2); z.sum().backward()
return base[:2] | z.sum().backward()
return base[:2] | z.mul_(2)
return w | z.sum().backward()
return w | z = w.requires_grad
# of other types
return None |
return 3 |
return 's' |
return [a * 2] |
return () |
return (a * 2,) |
return {'a': a * 2} |
return a * 2, None, 3, 's' | z[0].sum().backward()
return Pair(a * 2, a * 3) | z[0].sum().backward()
return Pair(a * 2, a * 3) | z = apply(base)
return a.shape | z = apply(base)
return a.long() | h.sum().backward()
return a > 1, a * 2 | z[1].sum().backward()
return a.half() | z.sum().backward()
return a.double() | z = apply(base)
# saved
ctx.save_for_backward(a, 3); return a * 2 |
ctx.save_for_backward(a, 3); return a * 2 | z = apply(base)
ctx.save_for_backward([a]); return a * 2 |
ctx.save_for_backward(a); return T.tensor(len(ctx.saved_tensors)) |
ctx.set_materialize_grads(0); return a * 2 |
ctx.set_materialize_grads(None); return a * 2 |
"""


@pytest.mark.filterwarnings("ignore:ctx.mark_dirty.. received:UserWarning")
@pytest.mark.parametrize("line", lines(RESULTS))
def test_what_forward_returns_and_marks(line: str) -> None:
    forward, after = (part.strip() for part in line.split("|"))
    assert run(minigrad, forward, after) == run(torch, forward, after)


def test_a_mark_on_what_is_no_input_warns() -> None:
    for T in (minigrad, torch):
        with pytest.warns(UserWarning, match="tensor that was not an input"):
            run(T, "c = a * 2; ctx.mark_dirty(c); return c", "")


GRADIENTS = """
g, g
g, g, g
g, g, None, None
g, None, None
g,
g
None
None, None
g, None
None, g
[g, g]
1.0, g
g, 1.0
'a', g
()
g[:1], g
T.cat([g, g]), g
g.expand(3, 2), g
g.sum(), g
g.view(2, 1), g
g.view(1, 2), g
g, g[:1]
g.long(), g
g > 0, g
g.float(), g
g.half(), g
g.numpy(), g
T.ones(1, dtype=T.float64).expand(2), g
Pair(g, g * 2)
1 / 0
"""


@pytest.mark.parametrize("returned", lines(GRADIENTS))
def test_what_backward_returns(returned: str) -> None:
    """Where both arguments need gradients, the first alone, and where the second is a number; also to record again."""

    def program(T: Any, second: str, again: bool, of_leaf: bool) -> Any:
        x, w = leaf(T, 1.0, 2.0), leaf(T, 3.0, 4.0)
        names = {"T": T, "Pair": Pair}
        made = function(T, lambda ctx, x, w: x * w, lambda ctx, g: eval(returned, names | {"g": g}))
        given = {"needs": w, "plain": w.detach(), "number": 3.0}[second]
        try:
            z = made.apply(x if of_leaf else x * 1, given).sum()
            wanted = (x, w) if second == "needs" else (x,)
            found = T.autograd.grad(z, wanted, create_graph=again, allow_unused=True)
        except Exception as error:
            return type(error).__name__, str(error)[:25]
        return [None if g is None else (g.tolist(), str(g.dtype), g.requires_grad) for g in found]

    for second in ("needs", "plain", "number"):
        for again in (False, True):
            for of_leaf in (False, True):
                found, expected = (program(T, second, again, of_leaf) for T in (minigrad, torch))
                assert found == expected, (second, again, of_leaf)


def sets_up(T: Any, forward: Any, setup: Any, **options: Any) -> Any:
    def backward(ctx: Any, *gs: Any) -> Any:
        return (gs[0] * (len(ctx.saved_tensors) + 4), *[None] * (len(ctx.needs_input_grad) - 1))

    log: list[Any] = []
    x = leaf(T, 1.0, 2.0)
    h = x * 1
    made = function(T, forward, backward, lambda ctx, inputs, output: setup(ctx, inputs, output, log))
    z = made.apply(h if options.pop("of_result", True) else T.ones(2, dtype=T.float64), **options)
    first = z[0] if isinstance(z, tuple) else z
    if first.requires_grad:
        first.sum().backward()
    return z, first is h, first._version, x.grad, log


SETUPS: dict[str, Any] = {
    "types": lambda T: sets_up(
        T,
        lambda x: (x * 2, x * 3),
        lambda c, i, o, log: log.append(
            [type(i).__name__, type(o).__name__, T.is_grad_enabled(), i[0].requires_grad, o[0].requires_grad]
        ),
    ),
    "defaults are inputs": lambda T: sets_up(T, lambda x, k=3: x * k, lambda c, i, o, log: log.append(i[1:])),
    "by keyword": lambda T: sets_up(T, lambda x, k=3: x * k, lambda c, i, o, log: log.append(i[1:]), k=2),
    "unknown keyword": lambda T: sets_up(T, lambda x, k=3: x * k, lambda c, i, o, log: None, q=2),
    "as it came": lambda T: sets_up(T, lambda x: x, lambda c, i, o, log: None),
    "as it came, saved": lambda T: sets_up(T, lambda x: x, lambda c, i, o, log: c.save_for_backward(o)),
    "as it came, saved in vain": lambda T: sets_up(
        T, lambda x: x, lambda c, i, o, log: c.save_for_backward(*i), of_result=False
    ),
    "written": lambda T: sets_up(T, lambda x: x.mul_(2), lambda c, i, o, log: c.mark_dirty(*i)),
    "written, saved": lambda T: sets_up(
        T, lambda x: x.mul_(2), lambda c, i, o, log: (c.mark_dirty(o), c.save_for_backward(o))
    ),
    "not differentiable": lambda T: sets_up(
        T, lambda x: (x * 2, x * 3), lambda c, i, o, log: c.mark_non_differentiable(o[1])
    ),
    "returns something": lambda T: sets_up(T, lambda x: x * 2, lambda c, i, o, log: 5),
    "forward with ctx": lambda T: sets_up(T, lambda c, x: x * 2, lambda c, i, o, log: 5),
}


@pytest.mark.parametrize("name", SETUPS)
def test_context_set_up_apart(name: str) -> None:
    found = []
    for T in (minigrad, torch):
        try:
            found.append(plain(SETUPS[name](T)))
        except Exception as error:
            found.append([type(error).__name__, str(error)[:20]])
    assert found[0] == found[1]


def test_backward_or_vjp() -> None:
    for T in (minigrad, torch):
        forward, five = staticmethod(lambda ctx, x: x * 2), staticmethod(lambda ctx, g: g * 5)
        made = type("Mine", (T.autograd.Function,), {"forward": forward, "vjp": five})
        x = leaf(T, 1.0)
        assert T.autograd.grad(made.apply(x), x)[0].tolist() == [5]
        made.backward = five
        with pytest.raises(RuntimeError, match="Implementing both 'backward' and 'vjp'"):
            made.apply(x).backward()


def test_second_order_of_what_was_written_to() -> None:
    """The value that was saved before the write, and the result itself."""
    for T in (minigrad, torch):
        x = leaf(T, 1.5, 2.0)

        def square(ctx: Any, a: Any) -> Any:
            ctx.save_for_backward(a.clone(), a)
            ctx.mark_dirty(a)
            return a.mul_(a)

        def backward(ctx: Any, g: Any) -> Any:
            before, after = ctx.saved_tensors
            return 2 * g * before + 0 * after

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            h = function(T, square, backward).apply(x * 1)
        (first,) = T.autograd.grad((h * h).sum(), x, create_graph=True)
        assert first.tolist() == [13.5, 32]  # 4 x**3
        (second,) = T.autograd.grad(first.sum(), x)
        assert second.tolist() == [18, 32]  # 8 x**2: what was cloned under no_grad has no history


def test_what_is_refused_is_not_counted_as_a_write() -> None:
    """PyTorch counts one, though nothing was written."""

    class Dirty(minigrad.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.mark_dirty(x)
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    x = minigrad.ones(2, requires_grad=True) * 1
    before = x._version
    with pytest.raises(RuntimeError, match="marked as dirty"):
        Dirty.apply(x)
    assert x._version == before
