"""torch.save and torch.load: checkpoints in PyTorch's own zip format, read without running what a file says.

The format, as PyTorch 2.13's `torch/serialization.py` and `caffe2/serialize/inline_container.cc` write it: a zip
archive of uncompressed records in one folder. `data.pkl` is a pickle (protocol 2) in which a tensor is a call of
`torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)`, and a storage a persistent id
`("storage", torch.FloatStorage, key, location, elements)`; its bytes are record `data/<key>` and start at a multiple
of 64. Names such as `torch.FloatStorage` are text to a pickle: PyTorch need not be there to write them or to read them.

names.py has what these names mean, archive.py the zip, legacy.py the format of PyTorch before 1.6.
"""

from minigrad.serialization.names import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from minigrad.serialization.reading import load
from minigrad.serialization.writing import save

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "load", "safe_globals", "save"]
