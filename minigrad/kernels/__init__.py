"""Functions on arrays that NumPy lacks: they are rows of the table of derivatives, and what its rules call."""

from minigrad.kernels.activations import *
from minigrad.kernels.layout import *
from minigrad.kernels.losses import *
from minigrad.kernels.numeric import *
from minigrad.kernels.sums import *
