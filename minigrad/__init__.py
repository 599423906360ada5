"""PyTorch you can read: Tensor, autograd, nn, optim and utils.data on NumPy. `import minigrad as torch`."""

from math import e, inf, nan, pi
from typing import TYPE_CHECKING

from minigrad import autograd, backends, cuda, func, nn, optim, random, utils, version
from minigrad.absent import explain_modules
from minigrad.as_torch import install_as_torch, real_torch
from minigrad.autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from minigrad.autograd.anomaly_mode import is_anomaly_check_nan_enabled, is_anomaly_enabled
from minigrad.explain import diagnose
from minigrad.legacy import (
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
)
from minigrad.metadata import (
    Size,
    contiguous_format,
    device,
    dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    layout,
    memory_format,
    preserve_format,
    set_default_dtype,
    strided,
    uint8,
)
from minigrad.metadata import bool_ as bool
from minigrad.metadata import float16 as half
from minigrad.metadata import float32 as float
from minigrad.metadata import float64 as double
from minigrad.metadata import int16 as short
from minigrad.metadata import int32 as int
from minigrad.metadata import int64 as long
from minigrad.printing import set_printoptions
from minigrad.random import (
    Generator,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from minigrad.serialization import load, save
from minigrad.storage import TypedStorage, UntypedStorage, is_storage
from minigrad.tensor import Tensor, is_tensor

from minigrad.ops import *  # isort: skip  # after minigrad.tensor, the module, whose name the function takes over

if TYPE_CHECKING:  # imported when it is first used: absent.LATER
    from minigrad import program
    from minigrad.program.compiled import compile

__version__ = "0.1.0"

explain_modules()
