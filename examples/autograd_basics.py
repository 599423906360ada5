"""Autograd in one line: y = w x + b at x = 1, w = 2, b = 3, and its three derivatives w, x and 1.

Run: minigrad run examples/autograd_basics.py
"""

import torch
from torch.autograd import Variable

# Create tensors. Variable(t, requires_grad=True) is the old spelling of t.requires_grad_()
x = Variable(torch.Tensor([1]), requires_grad=True)
w = Variable(torch.Tensor([2]), requires_grad=True)
b = Variable(torch.Tensor([3]), requires_grad=True)

# Build a computational graph
y = w * x + b  # y = 2 * x + 3

# Compute gradients
y.backward()

# Print out the gradients
print(x.grad)  # x.grad = 2
print(w.grad)  # w.grad = 1
print(b.grad)  # b.grad = 1
