"""Nonlinearities of neural networks."""

from __future__ import annotations

import math

import numpy as np

from minigrad.kernels.layout import Array, dispatched
from minigrad.kernels.numeric import expit, sigmoid

_erfc = np.frompyfunc(math.erfc, 1, 1)  # NumPy has none


@dispatched
def leaky_relu(x: Array, *, slope: float) -> Array:
    return np.where(x > 0, x, x * slope)


@dispatched
def leaky_relu_backward(x: Array, y: Array, *, slope: float) -> Array:
    """The gradient of leaky_relu: x where its input y is above 0, else x * slope."""
    return np.where(y > 0, x, x * slope)


@dispatched
def elu(x: Array, *, alpha: float, scale: float) -> Array:
    """scale * x where x is above 0, else scale * alpha * (exp(x) - 1)."""
    return np.where(x > 0, x * scale, np.expm1(x) * (alpha * scale))


def elu_rule(g: Array, x: Array, alpha: float, scale: float) -> Array:
    below = np.where(x < 0, x, 0)  # no overflow, and no second gradient, where it is not meant
    return np.where(x <= 0, g * (alpha * scale) * np.exp(below), g * scale)


@dispatched
def softplus(x: Array, *, beta: float, threshold: float) -> Array:
    """log(1 + exp(beta * x)) / beta; x where beta * x is above `threshold`."""
    return np.where(x * beta > threshold, x, np.logaddexp(0, x * beta, dtype=x.dtype) / beta)


def softplus_rule(g: Array, x: Array, beta: float, threshold: float) -> Array:
    return np.where(x * beta > threshold, g, g * expit(x * beta))


@dispatched
def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


def silu_rule(g: Array, x: Array) -> Array:
    return g * expit(x) * (1 + x * expit(-x))


@dispatched
def gelu(x: Array) -> Array:
    return x * normal_cdf(x)


@dispatched
def normal_cdf(x: Array) -> Array:
    """The distribution function of the standard normal numbers."""
    complement = np.asarray(_erfc(x.astype(np.float64) * -math.sqrt(0.5)), np.float64)
    return (0.5 * complement).astype(x.dtype)


def normal_density(x: Array) -> Array:
    return np.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))


def gelu_rule(g: Array, x: Array) -> Array:
    return g * (normal_cdf(x) + x * normal_density(x))


@dispatched
def gelu_tanh(x: Array) -> Array:
    """The approximation of gelu by tanh: x * (1 + tanh(u)) / 2, which is x * sigmoid(2 * u)."""
    return x * sigmoid(twice_cubic(x))


def twice_cubic(x: Array) -> Array:
    return 2 * math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))


def gelu_tanh_rule(g: Array, x: Array) -> Array:
    x = np.minimum(np.maximum(x, -30), 30)  # beyond, it is 0 or 1, and powers of x would overflow
    u = twice_cubic(x)
    slope = 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * (x * x))
    s = expit(u)
    return g * (s + x * (s * expit(-u)) * slope)


@dispatched
def hardtanh(x: Array, *, low: float, high: float) -> Array:
    x = np.maximum(low, x) if x.itemsize > 2 else np.maximum(x, low)  # NumPy's choice of two zeros: -0.0 stays
    return np.minimum(high, x) if x.itemsize > 2 else np.minimum(x, high)


@dispatched
def hardtanh_backward(x: Array, y: Array, *, low: float, high: float) -> Array:
    """The gradient of hardtanh: x where its input y is between the bounds, else 0."""
    return np.where(np.logical_or(y <= low, y >= high), 0, x)
