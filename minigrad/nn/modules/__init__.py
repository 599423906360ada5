"""Layers, losses and containers, in files as PyTorch's."""

from minigrad.nn.modules.activation import ReLU, Sigmoid, Tanh
from minigrad.nn.modules.container import Sequential
from minigrad.nn.modules.linear import Identity, Linear
from minigrad.nn.modules.loss import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, L1Loss, MSELoss, NLLLoss
from minigrad.nn.modules.module import Module

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "Identity", "L1Loss", "Linear", "MSELoss", "Module", "NLLLoss",
    "ReLU", "Sequential", "Sigmoid", "Tanh",
]  # fmt: skip
