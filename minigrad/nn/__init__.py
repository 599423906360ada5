"""Neural networks: modules, parameters, losses."""

from minigrad.nn import functional, init, modules, parameter, utils
from minigrad.nn.modules import *
from minigrad.nn.parameter import Parameter, UninitializedParameter
