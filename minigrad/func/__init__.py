"""Functions that make functions: gradients and Jacobians of a function of tensors, and modules as functions."""

from minigrad.func.stateless import functional_call
from minigrad.func.transforms import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, vjp

__all__ = ["functional_call", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "vjp"]
