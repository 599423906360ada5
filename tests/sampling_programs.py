"""Expressions that draw, each to be evaluated under both engines: values that are right, wrong, and at the edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from strategies import PORTABLE


def draws_by_mkl() -> bool:
    """Whether this torch takes numbers for bernoulli_(p) and exponential_() from a generator of MKL's, which it seeds
    with one draw of its own, as some builds do on Intel's CPUs. minigrad's are those of all other builds and CPUs."""
    one, other = torch.Generator(), torch.Generator()
    torch.empty(100).bernoulli_(0.5, generator=one)
    torch.rand(100, dtype=torch.float64, generator=other)
    return one.get_state().tolist() != other.get_state().tolist()


BY_MKL = draws_by_mkl()


class Near:
    """Draws that equal others within 64 units of rounding of 8 and the number, wherever they are finite.

    minigrad computes x * y + z with one rounding, as PyTorch's kernels do; but those for processors without AVX2 take
    two, and other polynomials for logarithms and sines, which were measured to differ by 30 units. 8 is what the
    terms of the tests' draws add up to.
    """

    def __init__(self, x: np.ndarray) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        unit = np.finfo(self.x.dtype).eps / 2
        return isinstance(other, Near) and np.allclose(self.x, other.x, 64 * unit, 512 * unit, equal_nan=True)

    def __repr__(self) -> str:
        return f"about {self.x}"


def as_drawn(x: np.ndarray) -> Any:
    """What to compare of drawn numbers: their bits, or, where PyTorch's kernels round twice, the numbers about."""
    return x.tobytes() if not PORTABLE or x.dtype.kind != "f" else Near(x)


# T is the engine; leaf() requires a gradient; longs and bools are zeros of those dtypes.
PROGRAMS = {
    "random_": """
        zeros(3).random_(); zeros(3).random_(5); zeros(3).random_(2, 5); zeros(3).random_(2, None)
        zeros(3).random_(to=5); zeros(3).random_(5, 2); zeros(3).random_(0); zeros(3).random_(2.5)
        zeros(3).random_(True); zeros(3).random_(0, 2 ** 25); zeros(3).half().random_(0, 2 ** 12)
        longs().random_(-2 ** 63, None); longs().random_(2 ** 63); longs().random_(2 ** 63 - 1)
        zeros(3, dtype=T.uint8).random_(257); zeros(3, dtype=T.uint8).random_(256)
        zeros(3, dtype=T.uint8).random_(-1, 3); bools().random_(); bools().random_(3); bools().random_(0, 2)
        zeros(3, dtype=T.uint8).random_(5, None); zeros(3, dtype=T.int8).random_(-128, None)
        zeros(3).random_(5, None); zeros(3).random_(-5, None); zeros(0).random_(5, 2); leaf().random_()
        zeros(3).random_(generator=T.Generator()); zeros(3).random_(generator=3); zeros(1).expand(3).random_()
        zeros(3).random_(-2 ** 63, None); zeros(3).half().random_(-2 ** 63, None)
        zeros(3, dtype=T.int32).random_(-2 ** 63, None); zeros(3).double().random_(-2 ** 63, None)
        zeros(3, dtype=T.int32).random_(0, None); zeros(3, dtype=T.int32).random_(0, 2 ** 30)
        zeros(3, dtype=T.int32).random_(0, 2 ** 28); zeros(3, dtype=T.int32).random_(0, 2 ** 28 - 1)
        zeros(3).random_(0, 2 ** 29); zeros(3).random_(-2 ** 24 - 3, 2 ** 24 + 9); zeros(3).half().random_(-70000, 3)
        zeros(3, dtype=T.int64).random_(T.tensor(5)); zeros(3, dtype=T.int64).random_(T.tensor(5.0))
        zeros(3).random_(1, 2, 3); zeros(3).random_(None); zeros(3).random_(0, 2 ** 70)
    """,
    "bernoulli_": """
        zeros(3).bernoulli_(); zeros(3).bernoulli_(0.3); zeros(3).bernoulli_(1.5); zeros(3).bernoulli_(-0.5)
        zeros(3).bernoulli_(nan); zeros(3).bernoulli_(T.tensor([0.0, 0.5, 1.0]))
        zeros(3).bernoulli_(T.tensor([0, 1, 1])); zeros(3).bernoulli_(T.tensor([0.0, 0.5, 1.0], dtype=T.float64))
        zeros(3).bernoulli_(T.tensor([0.0, 0.5, 2.0])); zeros(3).bernoulli_(T.tensor(0.5))
        zeros(3).bernoulli_(ones(2) * 0.5); zeros(3).bernoulli_(ones(2, 3) * 0.5)
        zeros(2, 3).bernoulli_(ones(3) * 0.5); zeros(2, 3).bernoulli_(ones(2, 1) * 0.5); longs().bernoulli_(0.5)
        bools().bernoulli_(0.5); longs().bernoulli_(ones(3) * 0.5); zeros(3).half().bernoulli_(0.5)
        zeros(3).half().bernoulli_(ones(3).half() * 0.5); zeros(3).half().bernoulli_(ones(3) * 0.5)
        zeros(0).bernoulli_(3.0); leaf().bernoulli_(0.5); zeros(3).bernoulli_(p=0.2); zeros(3).bernoulli_("a")
        zeros(3).bernoulli_(True); zeros(1).expand(3).bernoulli_()
        zeros(3).bernoulli_(T.tensor(0.5, dtype=T.float64))
    """,
    "exponential_": """
        zeros(3).exponential_(); zeros(3).exponential_(2); zeros(3).exponential_(lambd=2); zeros(3).exponential_(0)
        zeros(3).exponential_(-1); zeros(3).exponential_(inf); zeros(3).exponential_(nan); longs().exponential_()
        zeros(0).exponential_(-1); bools(0).exponential_(); zeros(1).expand(3).exponential_(); leaf().exponential_()
    """,
    "geometric_": """
        zeros(3).geometric_(0.3); zeros(3).geometric_(); zeros(3).geometric_(0); zeros(3).geometric_(1)
        zeros(3).geometric_(-1); longs().geometric_(0.01); bools().geometric_(0.3)
        zeros(3, dtype=T.uint8).geometric_(0.001); zeros(3).half().geometric_(0.3); zeros(3).double().geometric_(0.3)
        leaf().geometric_(0.5); bools(0).geometric_(0.5); zeros(0).geometric_(2); zeros(3).geometric_("a")
    """,
    "log_normal_": """
        zeros(3).log_normal_(); zeros(3).log_normal_(1, 2); zeros(3).log_normal_(mean=1, std=2)
        zeros(3).log_normal_(1, 0); zeros(3).log_normal_(1, -1); zeros(20).log_normal_()
        zeros(3).double().log_normal_(); zeros(3).half().log_normal_(); longs().log_normal_(); longs(0).log_normal_()
    """,
    "cauchy_": """
        zeros(3).cauchy_(); zeros(3).cauchy_(1, 2); zeros(3).cauchy_(median=1, sigma=2); zeros(3).cauchy_(1, 0)
        zeros(3).cauchy_(1, -2); longs().cauchy_(); zeros(3).half().cauchy_(); zeros(3).double().cauchy_()
        leaf().cauchy_(); longs(0).cauchy_()
    """,
    "uniform_": """
        zeros(3).uniform_(1); zeros(3).uniform_(0, inf); zeros(3).uniform_(nan, 1); zeros(3).uniform_(-1e+39, 1e+39)
        zeros(3).uniform_(-3e+38, 3e+38); zeros(3).half().uniform_(-60000, 60000); zeros(3).half().uniform_(0, 70000)
        zeros(3).double().uniform_(-1.7e+308, 1.7e+308); zeros(3).uniform_(1, 1); zeros(3).uniform_(to=2)
        zeros(3).uniform_(a=1); zeros(3).uniform_(0, 1, 2); zeros(3).uniform_("a"); zeros(0).uniform_(2, 1)
        longs().uniform_(); longs(0).uniform_(); zeros(1).expand(3).uniform_(); leaf().uniform_()
        zeros(3).uniform_(T.tensor(0.5), 1); zeros(3).uniform_(None)
    """,
    "normal_": """
        zeros(3).normal_(nan, 1); zeros(3).normal_(0, nan); zeros(3).normal_(0, inf); zeros(0).normal_(0, -1)
        longs().normal_(); longs(0).normal_(); zeros(3).normal_(1, 1, 1); zeros(3).normal_(True)
        zeros(1).expand(3).normal_(); zeros(1).expand(20).normal_(); zeros(1).expand(1).normal_()
        zeros(0, 1).expand(0, 5).normal_(); leaf().normal_(); zeros(3).normal_(T.tensor(0.5), 1)
        zeros(3).normal_(mean=T.tensor(0.5), std=ones(3)); zeros(3).normal_(1, generator=3)
    """,
    "normal": """
        T.normal(ones(3), 2.0); T.normal(2.0, ones(3)); T.normal(ones(3), ones(3)); T.normal(ones(20), ones(20) * 2)
        T.normal(ones(3, 1), ones(2)); T.normal(ones(3), ones(2)); T.normal(1.0, 2.0, (3,)); T.normal(1, 2, (3,))
        T.normal(1.0, 2.0, 3); T.normal(1.0, 2.0); T.normal(mean=1.0, std=2.0, size=(2, 2)); T.normal(ones(3))
        T.normal(1.0); T.normal(std=ones(3)); T.normal(mean=ones(3)); T.normal(0.0, -1.0, (3,))
        T.normal(ones(3), -1.0); T.normal(0.0, -ones(3)); T.normal(0.0, -ones(0)); T.normal(longs(), 1.0)
        T.normal(0.0, longs()); T.normal(longs(), ones(3)); T.normal(ones(3), longs())
        T.normal(ones(3), ones(3).double()); T.normal(ones(3).double(), ones(3)); T.normal(ones(3).half(), ones(3))
        T.normal(ones(3), ones(3).half()); T.normal(ones(3).half(), 1.0); T.normal(ones(3), 1.0, out=zeros(3))
        T.normal(ones(3), 1.0, out=zeros(3).double()); T.normal(ones(3), 1.0, out=longs())
        T.normal(ones(3), 1.0, out=zeros(0)); T.normal(ones(3), 1.0, out=zeros(2, 3))
        T.normal(ones(3), ones(3), out=zeros(2, 3)); T.normal(1.0, ones(3), out=zeros(2, 3))
        T.normal(1.0, 1.0, (3,), out=zeros(2, 3)); T.normal(1.0, 1.0, (3,), out=zeros(2, 3), dtype=T.float64)
        T.normal(1.0, 1.0, (3,), dtype=T.float64); T.normal(1.0, 1.0, (3,), dtype=T.float16)
        T.normal(1.0, 1.0, (3,), dtype=T.int64); T.normal(1.0, 1.0, (3,), requires_grad=True)
        T.normal(1.0, 1.0, (3,), device="cuda"); T.normal(ones(3), 1.0, dtype=T.float64)
        T.normal(ones(3), 1.0, size=(3,)); T.normal(ones(4, 5).t(), 1.0); T.normal(ones(4, 5).t(), ones(4, 5).t())
        T.normal(0.0, ones(4, 5).t()); T.normal(ones(()), 1.0); T.normal(ones(()), ones(3)); T.normal(True, 1.0, (3,))
        T.normal("a", 1.0, (3,)); T.normal(ones(3), "a"); T.normal(ones(3), 1.0, T.Generator())
        T.normal(ones(3), T.tensor([1.0, nan, 1.0])); T.normal(ones(3), T.tensor([1.0, nan, -1.0]))
    """,
    "multinomial": """
        T.multinomial(ones(3), 2); T.multinomial(ones(3), 4); T.multinomial(ones(3), 4, True)
        T.multinomial(ones(3), 0); T.multinomial(ones(3), -1); T.multinomial(ones(3), 1.5); T.multinomial(zeros(3), 1)
        T.multinomial(zeros(3), 2); T.multinomial(zeros(3), 2, True); T.multinomial(-ones(3), 1)
        T.multinomial(-ones(3), 2, True); T.multinomial(T.tensor([1.0, -1, 1]), 2, True)
        T.multinomial(T.tensor([1.0, nan, 1]), 2, True); T.multinomial(T.tensor([1.0, inf, 1]), 2, True)
        T.multinomial(T.tensor([1.0, inf, 1]), 2); T.multinomial(T.tensor([1.0, 0, 0]), 2)
        T.multinomial(T.tensor([1.0, 0, 0]), 1); T.multinomial(T.tensor([[1.0, 0, 0], [0, 0, 0]]), 1)
        T.multinomial(T.tensor([[1.0, 0, 0], [1, 0, 0]]), 2, True); T.multinomial(longs(), 1)
        T.multinomial(ones(3).half(), 2); T.multinomial(ones(3).half(), 2, True); T.multinomial(ones(2, 2, 2), 1)
        T.multinomial(ones(()), 1); T.multinomial(ones(0), 1); T.multinomial(ones(0, 3), 1)
        T.multinomial(ones(0, 3), 2, True); T.multinomial(ones(3, 0), 1); T.multinomial(ones(3), 2, out=longs(2))
        T.multinomial(ones(3), 2, out=longs(5)); T.multinomial(ones(3), 2, out=zeros(2))
        T.multinomial(ones(3), num_samples=2, replacement=True); T.multinomial([1.0, 2.0], 1)
        T.multinomial(ones(3), 2, 2); T.multinomial(ones(5, 3).t(), 2); T.multinomial(ones(5, 3).t(), 2, True)
        ones(3).multinomial(2)
    """,
    "bernoulli": """
        T.bernoulli(ones(3) * 0.5); T.bernoulli(ones(3) * 0.5, 0.3); T.bernoulli(ones(3) * 0.5, p=0.3)
        T.bernoulli(longs(), p=0.3); T.bernoulli(longs()); T.bernoulli(ones(3) * 2); T.bernoulli(ones(3), 2.0)
        T.bernoulli(ones(3) * 0.5, out=zeros(3)); T.bernoulli(ones(3) * 0.5, out=zeros(3).double())
        T.bernoulli(ones(3) * 0.5, out=longs()); T.bernoulli(ones(3) * 0.5, out=zeros(0))
        T.bernoulli(ones(3) * 0.5, out=zeros(2)); T.bernoulli(ones(3).double() * 0.5, out=zeros(3))
        T.bernoulli(ones(4, 5).t() * 0.5); T.bernoulli(ones(3) * 0.5, generator=T.Generator()); T.bernoulli(0.5)
        T.bernoulli(T.tensor([0.5, nan])); T.bernoulli(bools()); ones(3).bernoulli(); ones(3).bernoulli(0.5)
        ones(3).bernoulli(p=0.5); T.bernoulli(ones(3) * 0.5, 0.3, out=zeros(3))
    """,
    "poisson": """
        T.poisson(ones(3)); T.poisson(T.tensor([-1.0])); T.poisson(longs()); T.poisson(zeros(3).double() + 20)
        T.poisson(zeros(4, 5).t() + 3); T.poisson(zeros(3) + 1, generator=T.Generator())
    """,
    "randint": """
        T.randint(3, (2,)); T.randint(3, [2]); T.randint(1, 3, (2,)); T.randint(3, size=(2,))
        T.randint(high=3, size=(2,)); T.randint(low=1, high=3, size=(2,)); T.randint(1, high=3, size=(2,))
        T.randint(1, 3, size=(2,)); T.randint(size=(2,), high=3); T.randint(low=1, size=(2,)); T.randint(3)
        T.randint(3, 2); T.randint(3, size=2); T.randint(3, ()); T.randint(1, 3, 2); T.randint(3, 3, (2,))
        T.randint(3, 1, (2,)); T.randint(3.0, (2,)); T.randint(3.5, (2,)); T.randint(T.tensor(3), (2,))
        T.randint(True, (2,)); T.randint(0, (2,)); T.randint(-3, (2,)); T.randint(-3, 0, (2,))
        T.randint(2, (2,), dtype=T.bool); T.randint(3, (2,), dtype=T.bool); T.randint(3, (2,), dtype=T.float32)
        T.randint(2 ** 24 + 5, (2,), dtype=T.float32); T.randint(2 ** 12, (2,), dtype=T.float16)
        T.randint(2 ** 17, (2,), dtype=T.float16); T.randint(256, (2,), dtype=T.uint8)
        T.randint(257, (2,), dtype=T.uint8); T.randint(-1, 25, (2,), dtype=T.uint8); T.randint(2 ** 63 - 1, (2,))
        T.randint(2 ** 63, (2,)); T.randint(-2 ** 63, 2 ** 63 - 1, (2,)); T.randint(3, (2,), out=longs(2))
        T.randint(3, (2,), out=zeros(2)); T.randint(3, (2,), out=zeros(2), dtype=T.float32)
        T.randint(3, (2,), out=zeros(2), dtype=T.int64); T.randint(3, (2,), out=longs(5))
        T.randint(3, (2,), requires_grad=True); T.randint(3, (2,), requires_grad=True, dtype=T.float32)
        T.randint(3, (2,), generator=T.Generator()); T.randint(3, (0,)); T.randint(0, (0,)); T.randint(3, (-1,))
    """,
    "randint_like": """
        T.randint_like(zeros(2), 3); T.randint_like(zeros(2), 1, 3); T.randint_like(longs(2), low=1, high=3)
        T.randint_like(longs(2), high=3); T.randint_like(longs(2), T.tensor(3)); T.randint_like(zeros(4, 5).t(), 3)
        T.randint_like(zeros(4, 5).t(), 1, 3); T.randint_like(zeros(1).expand(4), 1, 3); T.randint_like(3, 1, 3)
    """,
    "like": """
        T.rand_like(zeros(4, 5).t()); T.randn_like(zeros(4, 5).t()); T.randn_like(zeros(4, 10)[:, ::2])
        T.randn_like(zeros(4, 10)[:, ::2].t()); T.rand_like(zeros(2, 3, 4).permute(2, 0, 1))
        T.rand_like(zeros(3, 1).expand(3, 4)); T.rand_like(zeros(1, 3).expand(4, 3))
        T.rand_like(zeros(2, 3, 1, 1).expand(2, 3, 4, 5).permute(3, 1, 0, 2))
        T.rand_like(zeros(4, 5).t(), dtype=T.float64); T.rand_like(longs()); T.rand_like(longs(), dtype=T.float32)
        T.rand_like(longs(), dtype=T.int32); T.rand_like(zeros(3), generator=T.Generator())
        T.randn_like(zeros(3), device="cuda"); T.rand_like(zeros(3, requires_grad=True)).requires_grad
    """,
    "randperm": """
        T.randperm(5); T.randperm(0); T.randperm(-1); T.randperm(5.0); T.randperm(True); T.randperm(T.tensor(5))
        T.randperm(5, dtype=T.int32); T.randperm(5, dtype=T.float32); T.randperm(5, dtype=T.float16)
        T.randperm(2 ** 11 + 2, dtype=T.float16); T.randperm(300, dtype=T.uint8); T.randperm(5, dtype=T.bool)
        T.randperm(5, out=longs(5)); T.randperm(5, out=longs(0)); T.randperm(5, out=longs(3))
        T.randperm(5, out=longs(10)[::2]); T.randperm(5, out=zeros(5)); T.randperm(5, out=zeros(5), dtype=T.int64)
        T.randperm(5, requires_grad=True); T.randperm(5, requires_grad=True, dtype=T.float32); T.randperm(n=5)
        T.randperm(5, device="cuda"); T.randperm(255, dtype=T.uint8); T.randperm(256, dtype=T.uint8)
        T.randperm(128, dtype=T.int8); T.randperm(2049, dtype=T.float16)
    """,
    "rand": """
        T.rand(); T.rand(()); T.rand([]); T.rand(size=(2, 3)); T.rand(2, 3, pin_memory=True)
        T.rand(2, 3, device="cuda"); T.rand(2, 3, generator=3); T.rand(2, 3, dtype=T.int64)
        T.rand(2, 3, dtype=T.bool); T.rand(2, 3, dtype=float); T.rand(2, 3, out=zeros(3))
        T.rand(2, 3, out=zeros(2, 6)[:, ::2]); T.rand(20, out=zeros(40)[::2]); T.randn(20, out=zeros(40)[::2])
        T.randn(20, out=zeros(20)); T.rand(2.5); T.rand(-1); T.rand(T.tensor(3)); T.rand(T.Size([2, 3]))
        T.rand((2, 3), (4,)); T.rand("a"); T.rand(2, out=longs(2)); T.rand(True)
    """,
    "init": """
        init.trunc_normal_(zeros(5)); init.trunc_normal_(zeros(20), 1.0, 2.0, -1.0, 1.5)
        init.trunc_normal_(zeros(20), 5.0, 1.0, -1.0, 1.5); init.trunc_normal_(zeros(20).double())
        init.trunc_normal_(zeros(20).half()); init.trunc_normal_(longs(5)); init.sparse_(zeros(4, 5), 0.3)
        init.sparse_(zeros(4, 5, 6), 0.3); init.sparse_(zeros(4, 5), 0.3, std=2)
        init.sparse_(zeros(4, 5), sparsity=1.3); init.dirac_(zeros(3, 4, 5)); init.dirac_(zeros(3, 4))
        init.dirac_(zeros(4, 3, 3, 3), 2); init.dirac_(zeros(3, 3, 3, 3), 2)
        init.uniform_(zeros(3), generator=T.Generator())
    """,
}
