"""Layers, losses and containers, in files as PyTorch's."""

from minigrad.nn.modules.activation import ReLU, Sigmoid, Tanh
from minigrad.nn.modules.container import Sequential
from minigrad.nn.modules.linear import Identity, Linear
from minigrad.nn.modules.loss import L1Loss, MSELoss
from minigrad.nn.modules.module import Module

__all__ = ["Identity", "L1Loss", "Linear", "MSELoss", "Module", "ReLU", "Sequential", "Sigmoid", "Tanh"]
