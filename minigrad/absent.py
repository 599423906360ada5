"""What is said where a script asks for what minigrad lacks: whether PyTorch has it, and what comes nearest.

The names that PyTorch has are in torch_names.txt, which tests/torch_names.py writes.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable
from importlib import import_module
from opcode import opmap
from types import ModuleType
from typing import Any, NoReturn

CPU = "minigrad runs on the CPU alone: ask torch.cuda.is_available() first, which is False"
# What to do instead of the names looked for most, as they follow "torch."
INSTEAD = {
    "It has no convolutions: x.flatten(1) the images for nn.Linear, or convolve them before, with NumPy": (
        "nn.Conv1d nn.Conv2d nn.Conv3d nn.ConvTranspose1d nn.ConvTranspose2d nn.ConvTranspose3d nn.functional.conv1d "
        "nn.functional.conv2d nn.functional.conv3d nn.functional.conv_transpose2d conv1d conv2d conv3d"
    ),
    "To pool, reshape and reduce: x.reshape(n, c, h // 2, 2, w // 2, 2).amax((3, 5)) is MaxPool2d(2)": (
        "nn.MaxPool1d nn.MaxPool2d nn.AvgPool1d nn.AvgPool2d nn.AdaptiveAvgPool2d nn.functional.max_pool1d "
        "nn.functional.max_pool2d nn.functional.avg_pool2d nn.functional.adaptive_avg_pool2d"
    ),
    "For points it is (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt(), in a Module of your own": (
        "nn.BatchNorm1d nn.BatchNorm2d nn.functional.batch_norm"
    ),
    "It has no recurrent layers: write the step with nn.Linear and torch.tanh, and loop over it": (
        "nn.RNN nn.RNNCell nn.LSTM nn.LSTMCell nn.GRU nn.GRUCell"
    ),
    "It has no attention: (q @ k.mT / d**0.5).softmax(-1) @ v, between nn.Linear layers, is its heart": (
        "nn.MultiheadAttention nn.Transformer nn.TransformerEncoder nn.TransformerEncoderLayer "
        "nn.functional.scaled_dot_product_attention"
    ),
    "It is the sum or mean of nn.Embedding's rows": "nn.EmbeddingBag nn.functional.embedding_bag",
    "torch.compile is the compiler that there is; else call the function or the model as it is": (
        "jit compiler export fx onnx"
    ),
    f"{CPU}. There it does nothing, so leave it out": (
        "cuda.amp amp cuda.set_device cuda.Stream cuda.Event autocast GradScaler "
        "nn.DataParallel backends.cuda"
    ),
    CPU: (
        "cuda.get_device_properties cuda.memory_allocated "
        "cuda.max_memory_allocated cuda.FloatTensor cuda.LongTensor xpu mps"
    ),
    "It trains in this process alone": "distributed multiprocessing nn.parallel",
    "Print the losses, or plot them with matplotlib": "utils.tensorboard profiler",
    "optim.SGD takes a closure too: optimizer.step(closure)": "optim.LBFGS",
    "Its floating dtypes are float16, float32 and float64": (
        "bfloat16 complex64 complex128 cfloat cdouble complex view_as_complex view_as_real Tensor.bfloat16 fft"
    ),
}  # fmt: skip

# Names of minigrad's own that are imported when they are first used, since `import minigrad` is to be quick.
LATER = {("minigrad", "program"): "minigrad.program", ("minigrad", "compile"): "minigrad.program.compiled"}


@functools.cache
def torch_names() -> dict[str, set[str]]:
    """The public names of PyTorch 2.13, by module; those of the modules below it end with a slash."""
    with open(os.path.join(os.path.dirname(__file__), "torch_names.txt"), encoding="utf-8") as file:
        lines = file.read().splitlines()
    return {module: set(names) for module, *names in map(str.split, lines)}


def remark(owner: str, name: str, present: Iterable[str]) -> str:
    """What comes after "no attribute": of torch's `owner`, minigrad has the names `present`, and not this one."""
    from difflib import get_close_matches  # here, as it would lengthen every import of minigrad

    known = {key.rstrip("/") for key in torch_names().get(owner, ())}
    similar = get_close_matches(name, known.intersection(present), cutoff=0.7)
    if name not in known:
        return f". Did you mean: {similar[0]!r}?" if similar else ""
    path = f"{owner}.{name}".removeprefix("torch.")
    instead = next((text for text, names in INSTEAD.items() if path in names.split()), None)
    if instead is None:
        instead = (
            f"Of names like it, minigrad has {', '.join(similar)}" if similar else "Nothing in minigrad comes near it"
        )
    return f": PyTorch 2.13 has it, minigrad has not. {instead}"


def no_module(name: str) -> ModuleNotFoundError:
    """The error for `import torch.x` of a module that minigrad lacks."""
    owner, _, child = name.rpartition(".")
    known = f"{child}/" in torch_names().get(owner, ())
    return ModuleNotFoundError(f"No module named {name!r}{remark(owner, child, ()) if known else ''}", name=name)


def explain_in(module: ModuleType) -> None:
    """Let a module import its names of LATER, and explain those that it lacks, also to `from module import name`."""
    own = module.__name__
    owner = f"torch{own.removeprefix('minigrad')}"

    def __getattr__(name: str) -> Any:
        if (own, name) in LATER:
            found = import_module(LATER[own, name])
            value = vars(module)[name] = vars(found).get(name, found)
            return value
        shown = owner if sys.modules.get("torch") is sys.modules["minigrad"] else own
        text = "" if name.startswith("__") else remark(owner, name, vars(module))
        frame = sys._getframe(1)  # `from x import name` replaces an AttributeError by a text of its own
        if frame.f_code.co_code[frame.f_lasti] == opmap["IMPORT_FROM"]:
            raise ImportError(f"cannot import name {name!r} from {shown!r} ({module.__file__}){text}", name=shown)
        raise AttributeError(f"module {shown!r} has no attribute {name!r}{text}", name=name)

    vars(module)["__getattr__"] = __getattr__


def explain_modules() -> None:
    """Let every module of minigrad that PyTorch has too explain the names that it lacks."""
    for owner in torch_names():
        module = sys.modules.get("minigrad" + owner.removeprefix("torch"))
        if module is not None:
            explain_in(module)


class AbsentAttribute:
    """A name of torch.Tensor that Tensor lacks. To hasattr() it is not there; instances can have one of their own."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> NoReturn:
        what = f"type object {owner.__name__!r}" if instance is None else f"{owner.__name__!r} object"
        present = (name for cls in owner.__mro__ if cls is not AbsentAttributes for name in vars(cls))
        text = remark("torch.Tensor", self.name, present)
        raise AttributeError(f"{what} has no attribute {self.name!r}{text}", name=self.name)


class AbsentAttributes:
    """The last base of Tensor: what is found here is found nowhere else. A __getattr__ would slow every attribute."""

    __slots__ = ()
    locals().update({name: AbsentAttribute(name) for name in torch_names()["torch.Tensor"]})

    def __dir__(self) -> Iterable[str]:
        classes = (cls for cls in type(self).__mro__ if cls is not AbsentAttributes)
        return {*getattr(self, "__dict__", ()), *(name for cls in classes for name in vars(cls))}
