"""Neural networks: modules, parameters, losses."""

from minigrad.nn import functional, init
from minigrad.nn.layers import Identity, L1Loss, Linear, MSELoss, ReLU, Sequential, Sigmoid, Tanh
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter

__all__ = [
    "Identity",
    "L1Loss",
    "Linear",
    "MSELoss",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "functional",
    "init",
]
