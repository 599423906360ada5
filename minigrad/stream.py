"""PyTorch's CPU random numbers, number for number, on NumPy's Mersenne Twister.

Every draw reads 32-bit words of MT19937 [1] (two of them, the high one first, where 64 bits are wanted) and maps
them to numbers with the formulas of PyTorch 2.13 [2]. The reference is PyTorch's x86-64 build, whose compiler fuses
`x * y + z` into one rounding wherever it can; so does this file, by `_fma32` and `_fma64`.

All draws in float64, float32 and float16 equal PyTorch's to the last bit on x86-64, but for two corners. `_fma32`
rounds twice, and may miss the last bit of an intermediate result once in some 2**28 (no normal of 160 million did);
`_fma64` may miss it where bounds, means or deviations are not within 1e-250 to 1e250, because its errors underflow.

[1] Matsumoto, Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998), 3-30; seeded as their `init_genrand`.
[2] ATen/core/DistributionsHelper.h, ATen/core/TransformationHelper.h, ATen/native/cpu/DistributionTemplates.h.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
Shape = int | Sequence[int]

DEFAULT_SEED = 67280421310721  # c10::detail::default_rng_seed_val
CHUNK = 32768  # numbers at a time, so that temporaries stay in the cache; a multiple of 16
_HALF, _LOW53 = np.uint64(32), np.uint64(2**53 - 1)

# The state as torch.Generator.get_state() gives it (ATen/CPUGeneratorImpl.cpp): the engine, then the normal that waits.
STATE = np.dtype(
    {
        "names": ["seed", "left", "seeded", "next", "state", "normal", "has_normal"],
        "formats": ["u8", "i4", "i4", "u8", ("u8", 624), "f8", "i4"],
        "offsets": [0, 8, 12, 16, 24, 5024, 5040],
        "itemsize": 5056,
    }
)


class Stream:
    """The draws of a torch.Generator on the CPU, as new C-contiguous ndarrays of a given shape; an int is a length.

    Bounds, probabilities and deviations are taken as they are: `ops` checks what users pass.
    """

    __slots__ = ("_engine", "_lock", "_next_normal", "_seed")

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        self._engine: tuple[Any, Callable[..., Any]] | None = None
        # Of the normal that waits, and of the start; NumPy's engine has one of its own. A signal handler may draw too.
        self._lock = threading.RLock()
        self.restart(seed)

    def _started(self) -> tuple[Any, Callable[..., Any]]:
        """NumPy's engine, made when it is first asked for: numpy.random takes long to import."""
        if self._engine is None:
            with self._lock:
                # RandomState seeds as the original MT19937, from 32 bits; NumPy's newer generators hash their seeds.
                engine = np.random.MT19937(0)
                twister = np.random.RandomState(engine)
                twister.seed(self._seed % 2**32)
                made = twister, engine.random_raw
                if self._engine is None:
                    self._engine = made
        return self._engine

    @property
    def _twister(self) -> Any:
        return self._started()[0]

    @property
    def _raw(self) -> Callable[..., Any]:
        """raw() is one word, raw(n) an array of uint64."""
        return self._started()[1]

    # -- state --------------------------------------------------------------------------------------------------------

    def restart(self, seed: int) -> None:
        """Begin anew from a seed of 64 bits, of which the lower 32 count."""
        with self._lock:
            self._seed = seed
            if self._engine is not None:
                self._twister.seed(seed % 2**32)
            self._next_normal: float | None = None

    def state(self) -> NDArray[np.uint8]:
        """The state as the 5056 bytes of torch.Generator.get_state()."""
        engine: Any = self._twister.get_state(legacy=False)
        key, position = engine["state"]["key"], engine["state"]["pos"]
        state = np.zeros((), STATE)
        state["seed"], state["seeded"], state["state"] = self._seed, 1, key
        # Before the first draw torch says `next = 0`, after each 624th word `next = 624`: both refill.
        fresh = position == 624 and int(key[0]) == self._seed % 2**32
        state["left"], state["next"] = 625 - position, 0 if fresh else position
        if self._next_normal is not None:
            state["normal"], state["has_normal"] = self._next_normal, 1
        return np.frombuffer(state.tobytes(), np.uint8).copy()

    def restore(self, state: NDArray[np.uint8]) -> None:
        """Continue from such bytes; RuntimeError where they are no state."""
        if state.size != STATE.itemsize:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {STATE.itemsize} but found the input RNG state size to be "
                f"{state.size}"
            )
        fields: Any = np.frombuffer(state.tobytes(), STATE)[0]
        left, position = int(fields["left"]), int(fields["next"])
        if not (fields["seeded"] and 0 < left <= 624 and position <= 624):
            raise RuntimeError(f"Invalid mt19937 state: seeded={fields['seeded']}, left={left}, next={position}")
        self.restart(int(fields["seed"]))
        key = fields["state"].astype(np.uint32)
        self._twister.set_state(("MT19937", key, 624 if left == 1 else position, 0, 0.0))
        self._next_normal = float(fields["normal"]) if fields["has_normal"] else None

    # -- words --------------------------------------------------------------------------------------------------------

    def _words64(self, n: int) -> NDArray[np.uint64]:
        words: NDArray[np.uint64] = self._raw(2 * n)
        return words[0::2] << _HALF | words[1::2]

    def _unit(self, n: int, double: bool) -> Array:
        """n uniforms on [0, 1): float64 with 53 random bits, or float32 with 24."""
        # Signed integers convert to floats in one instruction, unsigned ones do not.
        if double:
            u: Array = (self._words64(n) & _LOW53).view(np.int64) * 2.0**-53
            return u
        words: Array = self._raw(n).astype(np.int32)
        words &= 0xFFFFFF
        return words.astype(np.float32) * np.float32(2.0**-24)

    def int64(self) -> int:
        """One integer of [0, 2**63), as torch.empty((), dtype=torch.int64).random_(); seeds the DataLoader."""
        high, low = self._raw(2).tolist()
        return int(high << 32 | low) % 2**63

    # -- draws --------------------------------------------------------------------------------------------------------

    def uniform(self, shape: Shape, dtype: DTypeLike, low: float = 0.0, high: float = 1.0) -> Array:
        """Uniform numbers on [low, high), as Tensor.uniform_ and torch.rand."""
        dtype = np.dtype(dtype)
        x: Array = self._unit(_size(shape), dtype.char == "d")
        if low != 0.0 or high != 1.0:
            if dtype.char == "d":
                for i in range(0, len(x), CHUNK):
                    x[i : i + CHUNK] = _fma64(x[i : i + CHUNK], high - low, low)
            else:
                x = _fma32(x, float(np.float32(high) - np.float32(low)), float(np.float32(low)))
        if dtype.char != "f":
            x = x.astype(dtype, copy=False)
        if low != 0.0 or high != 1.0 or dtype.char == "e":
            x[x == np.asarray(high, dtype)] = low  # rounding must not reach the open end
        return x.reshape(shape)

    def normal(
        self, shape: Shape, dtype: DTypeLike, mean: float = 0.0, std: float = 1.0, *, contiguous: bool = True
    ) -> Array:
        """Normal numbers of the given mean and standard deviation, as torch.randn, Tensor.normal_, torch.normal.

        The method of Box and Muller, Ann. Math. Statist. 29 (1958), 610: one by one below 16 elements, and where the
        tensor that they are for is not `contiguous`; else in blocks of 16.
        """
        dtype, n = np.dtype(dtype), _size(shape)
        if n < 16 or not contiguous:
            return _narrow(self._normals(n, mean, std), dtype).reshape(shape)
        double = dtype.char == "d"
        block = _normals64 if double else _normals32
        out, whole = np.empty(n, dtype), n - n % 16
        for i in range(0, whole, CHUNK):
            j = min(i + CHUNK, whole)
            block(self._unit(j - i, double), mean, std, out[i:j])
        if n != whole:
            if dtype.char != "e":  # PyTorch draws for the incomplete block too, and uses it nowhere
                self._unit(n - whole, double)
            block(self._unit(16, double), mean, std, out[-16:])
        return out.reshape(shape)

    def _normals(self, n: int, mean: float, std: float) -> Array:
        """n normals in float64, one by one: the second of the last pair waits in the generator."""
        x: list[float] = []
        with self._lock:
            if n and self._next_normal is not None:
                x.append(self._next_normal)
                self._next_normal = None
            u = self._unit((n - len(x) + 1) // 2 * 2, double=True).tolist()
            for u1, u2 in zip(u[0::2], u[1::2], strict=True):
                radius, angle = math.sqrt(-2.0 * math.log1p(-u2)), 2.0 * math.pi * u1
                x += radius * math.cos(angle), radius * math.sin(angle)
            if len(x) > n:
                self._next_normal = x.pop()
        return _fma64(np.array(x), std, mean)

    def permutation(self, n: int) -> NDArray[np.int64]:
        """The integers 0 ... n - 1 in random order, as torch.randperm: Fisher and Yates, from the front."""
        target = np.arange(n)
        if n > 1:
            target[:-1] += (self._raw(n - 1) % np.arange(n, 1, -1, dtype=np.uint64)).view(np.int64)
        if n >= 1000:
            return _swapped(target)
        p = list(range(n))
        for i, j in enumerate(target.tolist()):
            p[i], p[j] = p[j], p[i]
        return np.array(p, np.int64)

    def integers(self, shape: Shape, dtype: DTypeLike, low: int, high: int) -> Array:
        """Integers low <= k < high in any dtype, as torch.randint and Tensor.random_(low, high)."""
        n, span = _size(shape), high - low
        words = self._words64(n) if span >= 2**28 else self._raw(n)
        if span < 2**64:  # else the bits are taken as they are
            words %= np.uint64(span)
            words += np.uint64(low % 2**64)  # wraps around, as two's complement does
        return words.view(np.int64).astype(dtype).reshape(shape)

    def random(self, shape: Shape, dtype: DTypeLike) -> Array:
        """Tensor.random_(): integers of [0, 2**bits), of a float dtype those of [0, 2**precision], of bool both."""
        dtype, n = np.dtype(dtype), _size(shape)
        words = self._words64(n) if dtype.char in "dlq" else self._raw(n)
        if dtype.kind == "f":
            words %= np.uint64(2 ** (np.finfo(dtype).nmant + 1) + 1)
        else:
            words &= np.uint64(1 if dtype.kind == "b" else np.iinfo(dtype).max)
        return words.view(np.int64).astype(dtype).reshape(shape)

    def exponential(self, shape: Shape, dtype: DTypeLike, rate: float = 1.0) -> Array:
        """Exponential numbers of the given rate, as Tensor.exponential_: the inverse of the distribution."""
        log = _libm(np.log1p, -self._unit(_size(shape), double=True))
        return _narrow(-1.0 / rate * log, np.dtype(dtype)).reshape(shape)

    def geometric(self, shape: Shape, dtype: DTypeLike, p: float) -> Array:
        """How many trials of probability p until the first success, as Tensor.geometric_: the inverse again."""
        dtype = np.dtype(dtype)
        with np.errstate(divide="ignore"):
            log = _libm(np.log, self._unit(_size(shape), double=True))
        trials = np.ceil(log / math.log1p(-p)).reshape(shape)
        return _narrow(trials, dtype) if dtype.kind == "f" else trials.astype(np.int64).astype(dtype)

    def log_normal(self, shape: Shape, dtype: DTypeLike, mean: float = 1.0, std: float = 2.0) -> Array:
        """Numbers whose logarithms are normal, as Tensor.log_normal_: one by one."""
        with np.errstate(over="ignore"):
            x = _libm(np.exp, self._normals(_size(shape), mean, std))
        return _narrow(x, np.dtype(dtype)).reshape(shape)

    def cauchy(self, shape: Shape, dtype: DTypeLike, median: float = 0.0, sigma: float = 1.0) -> Array:
        """Cauchy numbers, as Tensor.cauchy_: the inverse of the distribution."""
        tan = _libm(np.tan, math.pi * (self._unit(_size(shape), double=True) - 0.5))
        return _narrow(_fma64(tan, sigma, median), np.dtype(dtype)).reshape(shape)

    def poisson(self, rates: Array) -> Array:
        """Counts of the given mean rates, in their dtype, as torch.poisson."""
        return np.array([self._one_poisson(rate) for rate in rates.ravel().tolist()], rates.dtype).reshape(rates.shape)

    def _one_poisson(self, rate: float) -> int:
        """Below 10 uniforms are multiplied (Knuth, The Art of Computer Programming 2, 3.4.1), from there candidates
        rejected: PTRS of Hoermann, Insurance: Mathematics and Economics 12 (1993), 39."""
        if rate == 0.0:
            return 0
        if rate < 10.0:
            limit, product, count = math.exp(-rate), self._one_unit(), 0
            while product > limit:
                product *= self._one_unit()
                count += 1
            return count
        root, log = math.sqrt(rate), math.log(rate)
        b = 0.931 + 2.53 * root
        a = -0.059 + 0.02483 * b
        while True:
            u, v = self._one_unit() - 0.5, self._one_unit()
            us = 0.5 - abs(u)
            count = math.floor((2.0 * a / us + b) * u + rate + 0.43)
            if us >= 0.07 and v <= 0.9277 - 3.6224 / (b - 2.0):
                return count
            if count < 0 or (us < 0.013 and v > us):
                continue
            bound = math.log(v) + math.log(1.1239 + 1.1328 / (b - 3.4)) - math.log(a / (us * us) + b)
            if bound <= -rate + count * log - math.lgamma(count + 1):
                return count

    def _one_unit(self) -> float:
        high, low = self._raw(2).tolist()
        return float(((high << 32 | low) & 0x1FFFFFFFFFFFFF) * 2.0**-53)

    def choices(self, weights: Array, n: int) -> NDArray[np.int64]:
        """n indices for each row of weights (rows, m), drawn with replacement: the cumulative sums are searched."""
        out = np.empty((len(weights), n), np.int64)
        for row, indices in zip(weights, out, strict=True):
            sums = np.cumsum(row, dtype=np.promote_types(row.dtype, np.float32))
            sums /= sums[-1]
            indices[:] = np.searchsorted(sums.astype(np.float64), self._unit(n, double=True))
        return out


# -- arithmetic -------------------------------------------------------------------------------------------------------


def _size(shape: Shape) -> int:
    return shape if isinstance(shape, int) else math.prod(shape)


def _narrow(x: Array, dtype: np.dtype[Any]) -> Array:
    """From float64; a float16 through float32, in two roundings, as PyTorch's."""
    with np.errstate(over="ignore"):
        return x if dtype.char == "d" else x.astype(np.float32).astype(dtype, copy=False)


def _swapped(target: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 ... n - 1 after p[i], p[target[i]] = p[target[i]], p[i] for i = 0 ... n - 1, where no target lies before i.

    Step i leaves in place i what the last earlier step with the same target put there, and that is what then stood in
    the place of that step: a chain of ever earlier steps, which is followed from all places at once.
    """
    n = len(target)
    step, bits = np.arange(n), n.bit_length()
    writes = np.sort(target << bits | step)  # by target, then by step
    place, time = writes >> bits, writes & ((1 << bits) - 1)
    again = place[1:] == place[:-1]
    before = np.full(n, -1)  # the last step with the same target before each step
    before[time[1:][again]] = time[:-1][again]
    last = np.append(~again, True)
    source = step.copy()  # the last step whose target is a place; the place's own where there is none
    source[place[last]] = time[last]
    while not np.array_equal(source, further := source[source]):
        source = further
    return np.where(before < 0, target, source[before])


def _libm(function: Callable[[Array], Array], x: Array) -> Array:
    """The C library's value, as PyTorch takes it: NumPy's AVX-512 kernels differ in the last place, and pass up views
    that run backwards."""
    return function(x.ravel()[::-1])[::-1].reshape(x.shape)


def _split(x: Any) -> tuple[Any, Any]:
    """x as a sum of two numbers of 26 bits: Dekker, Numer. Math. 18 (1971), 224."""
    scaled = 134217729.0 * x  # 2**27 + 1
    high = scaled - (scaled - x)
    return high, x - high


def _two_sum(x: Any, y: Any) -> tuple[Any, Any]:
    """x + y as its rounded value and the error: Knuth, The Art of Computer Programming 2, 4.2.2."""
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)


def _fma64(x: Array, y: float, z: float) -> Array:
    """x * y + z rounded once, in float64: Boldo, Melquiond, "Emulation of a FMA", IEEE Trans. Comput. 57 (2008)."""
    product = x * y
    if z == 0.0 or abs(math.frexp(y)[0]) == 0.5 or not math.isfinite(y + z):
        return np.asarray(product + z)  # at most one of the two operations rounds
    (x1, x2), (y1, y2) = _split(x), _split(y)
    error = ((x1 * y1 - product) + x1 * y2 + x2 * y1) + x2 * y2
    upper, lower = _two_sum(z, error)
    upper, middle = _two_sum(product, upper)
    rest, lost = _two_sum(lower, middle)
    # Rounded to odd, the rest cannot tip the last sum to the wrong side (3 x is often halfway between two numbers).
    even = (lost != 0.0) & (rest.view(np.int64) & 1 == 0)
    rest[even] = np.nextafter(rest[even], np.copysign(np.inf, lost[even]))
    return np.asarray(upper + rest)


def _fma32(x: Array, y: Array | float, z: Array | float) -> Array:
    """x * y + z rounded once, in float32: the product of two float32 is exact in float64.

    Operands are converted before the operations, as NumPy is slow to convert within them.
    """
    total = x.astype(np.float64)
    total *= np.asarray(y, np.float64)
    total += np.asarray(z, np.float64)
    return total.astype(np.float32)


def _horner(coefficients: Sequence[float], x: Array) -> Array:
    """A polynomial in float32, by fused multiply-adds; x has values of float32 in float64."""
    total, narrow = x * coefficients[0], np.empty(x.shape, np.float32)
    for c in coefficients[1:-1]:
        total += c
        narrow[:] = total
        total[:] = narrow
        total *= x
    total += coefficients[-1]
    return total.astype(np.float32)


def _normals64(u: Array, mean: float, std: float, out: Array) -> None:
    """Normals into `out` from as many uniforms, a multiple of 16: NormalFill16<double>."""
    u, out = u.reshape(-1, 2, 8), out.reshape(-1, 2, 8)
    radius = np.sqrt(-2.0 * _libm(np.log, 1.0 - u[:, 0]))
    angle = 2.0 * math.pi * u[:, 1]
    out[:, 0] = _fma64(radius * _libm(np.cos, angle), std, mean)
    out[:, 1] = _fma64(radius * _libm(np.sin, angle), std, mean)


def _singles(*values: float) -> list[float]:
    return [float(np.float32(value)) for value in values]


# Cephes' logf, sinf and cosf (Moshier), in the arrangement of ATen/native/cpu/avx_mathfun.h.
_LOG = _singles(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1)
_LOG += _singles(-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)
_SIN = _singles(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COS = _singles(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_QUARTER_TURN = 2.0 * sum(_singles(0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8))  # exact
_SQRT_HALF = int(np.float32(math.sqrt(0.5)).view(np.int32))


def _normals32(u: Array, mean: float, std: float, out: Array) -> None:
    """Normals into `out` from as many uniforms, a multiple of 16: NormalFill16<float>.

    Where the products are exact a plain float32 operation does for a fused one.
    """
    # log(1 - u): 1 - u = (1 + x) 2**e with 1 + x in [sqrt(0.5), sqrt(2)), cut from the bits of the float
    u, out = u.reshape(-1, 2, 8), out.reshape(-1, 2, 8)
    bits = (1.0 - u[:, 0].ravel()).view(np.int32)
    exponent = (bits - _SQRT_HALF) >> 23
    x = (bits - (exponent << 23)).view(np.float32) - 1.0
    e, square = exponent.astype(np.float32), x * x
    log = _fma32(_horner(_LOG, x.astype(np.float64)) * x, square, e * np.float32(-2.12194440e-4))
    log -= 0.5 * square
    log += x
    log += e * 0.693359375
    log *= -2.0
    radius = np.sqrt(log, out=log)

    # sine and cosine: the angle less the nearest whole number of quarter turns
    angle = u[:, 1].ravel() * np.float32(2.0 * math.pi)
    turns = ((angle * np.float32(4.0 / math.pi)).astype(np.int32) + 1) >> 1
    x = _fma32(turns, -_QUARTER_TURN, angle)
    square = x * x
    wide = square.astype(np.float64)
    cos = _fma32(_horner(_COS, wide) * square, wide, -0.5 * square)
    cos += 1.0
    wide_x = x.astype(np.float64)
    sin = _fma32(_horner(_SIN, wide) * square, wide_x, wide_x)
    # The odd quarters swap the two; signs follow. Bit by bit, as np.where is slow on masks without a pattern.
    cos_bits, sin_bits = cos.view(np.int32), sin.view(np.int32)
    swap = (cos_bits ^ sin_bits) & -(turns & 1)
    cos_bits ^= swap ^ (((turns + 1) & 2) << 30)
    sin_bits ^= swap ^ ((turns & 2) << 30)

    for i, x in enumerate((cos, sin)):
        x *= radius
        x = x + np.float32(mean) if std == 1.0 else _fma32(x, *_singles(std, mean))
        out[:, i] = x.reshape(-1, 8)
