"""Module: a function with parameters."""

from __future__ import annotations

from collections import Counter, OrderedDict, namedtuple
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from minigrad.at_once import Change, at_once
from minigrad.autograd.grad_mode import state
from minigrad.autograd.hooks import RemovableHandle, add_hook
from minigrad.autograd.node import TensorBase
from minigrad.metadata import Size, dtype, float16, float32, float64
from minigrad.nn.modules.hooks import (
    Hook,
    Hooks,
    call_with_hooks,
    everywhere,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
)
from minigrad.nn.modules.loading import check_state_is_tensors, copied
from minigrad.nn.modules.registered import Registered
from minigrad.nn.parameter import Parameter, UninitializedParameter
from minigrad.tensor import Tensor

__all__ = [
    "Module",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
]


class IncompatibleKeys(namedtuple("_IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What load_state_dict(strict=False) left out."""

    __slots__ = ()

    def __repr__(self) -> str:
        return super().__repr__() if any(self) else "<All keys matched successfully>"


class Module:
    """Base of all layers and models: subclass it, set parameters and modules as attributes, and define forward().

    What is registered is what stands in the attributes: Parameters, Modules, and the tensors that register_buffer()
    named. There is no second place that could disagree.
    """

    training: bool
    _version = 1  # of the names and shapes of the state, noted in checkpoints
    _buffer_names: dict[str, bool]  # whether each buffer is saved
    _empty: dict[str, type]  # the names that are registered as None, and whether for a Parameter or a Module
    _hooks: Hooks

    def __init__(self) -> None:
        self._empty = {}
        self._buffer_names = {}
        self._hooks = OrderedDict()
        self.training = True

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (Parameter, Module)) and "_buffer_names" not in self.__dict__:
            kind = "parameters" if isinstance(value, Parameter) else "module"
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call: call super().__init__() first")
        old, new = self._kind(name), kind_of(value)
        if new is Parameter or (new is Module and old is not Parameter):
            if old is not new and name in self.__dict__:
                delattr(self, name)  # so that it comes last, as what is registered anew
            self._empty.pop(name, None)
        elif old is not None and value is None:
            if old is not TensorBase:
                self._empty[name] = old
        elif old is Parameter:
            raise wrong_kind(value, name, "parameter", "torch.nn.Parameter")
        elif old is Module:
            raise wrong_kind(value, name, "child module", "torch.nn.Module")
        elif old is TensorBase and not isinstance(value, TensorBase):
            raise wrong_kind(value, name, "buffer", "torch.Tensor")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._buffer_names.pop(name, None)
        self._empty.pop(name, None)

    def _kind(self, name: str) -> type | None:
        """What a name is registered as: Parameter, Module, TensorBase (a buffer) or nothing."""
        if "_buffer_names" not in self.__dict__:
            return None
        kind = kind_of(self.__dict__.get(name)) or self._empty.get(name)
        return TensorBase if kind is None and name in self._buffer_names else kind

    def _modules_by_name(self) -> dict[str, Any]:
        """The modules that are attributes, and None for those that are registered as None."""
        return {
            name: value
            for name, value in self.__dict__.items()
            if isinstance(value, Module) or (value is None and self._empty.get(name) is Module)
        }

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What calling the module computes; to be defined by subclasses."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooks or everywhere:
            return call_with_hooks(self, args, kwargs)
        return self.forward(*args, **kwargs)

    # hooks

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before forward, or `hook(module, args, kwargs)` where `with_kwargs`.

        What it returns, if not None, replaces the arguments: a tuple of them, or a single one; with kwargs, a tuple
        (args, kwargs). Comes behind the hooks that are there, or before them where `prepend`.
        """
        return add_hook(self._hooks, Hook("forward_pre", hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, result)` after forward, or `hook(module, args, kwargs, result)` where `with_kwargs`.

        What it returns, if not None, replaces the result. Where `always_call` it is called even if forward raises.
        """
        return add_hook(self._hooks, Hook("forward", hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the module's backward, with the gradients of its results.

        What it returns, if not None, a tuple with one gradient for each result, replaces them.
        """
        return add_hook(self._hooks, Hook("full_backward_pre", hook), prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` once the gradients of the positional arguments are there.

        Both are tuples, with None for what is no tensor. What the hook returns, if not None, replaces `grad_input`.
        Where no argument requires gradients it is called with those of the results, and PyTorch's warning.
        """
        return add_hook(self._hooks, Hook("full_backward", hook), prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """NotImplementedError: PyTorch's old hook, which sees the gradients of a module's last operation alone."""
        raise NotImplementedError(
            "register_backward_hook, which PyTorch has deprecated, sees the last operation of a module and not the "
            "module: use register_full_backward_hook"
        )

    # registration

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, or (None) the name of one that may be set later."""
        self._check_name(name, "parameter")
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' "
                "(torch.nn.Parameter or None required)"
            )
        setattr(self, name, param)
        if param is None:
            self._empty[name] = Parameter

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that belongs to the state but is not trained; saved where `persistent`."""
        self._check_name(name, "buffer")
        if tensor is not None and not isinstance(tensor, TensorBase):
            raise TypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' (torch Tensor or None required)"
            )
        setattr(self, name, tensor)
        self._buffer_names[name] = persistent

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a module under a name, or (None) the name of one that may be set later."""
        self._check_name(name, "module")
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        setattr(self, name, module)
        if module is None:
            self._empty[name] = Module

    register_module = add_module

    def _check_name(self, name: str, kind: str) -> None:
        if "_buffer_names" not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call: call super().__init__() first")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {type(name).__name__}")
        if "." in name or not name:
            raise KeyError(f'{kind} name can\'t contain "." or be empty, got: {name!r}')
        same = {"parameter": Parameter, "buffer": TensorBase, "module": Module}[kind]
        if hasattr(self, name) and self._kind(name) is not same:
            raise KeyError(f"attribute '{name}' already exists")

    @property
    def _parameters(self) -> Registered:
        return Registered(self, Parameter, self.register_parameter)

    @property
    def _buffers(self) -> Registered:
        return Registered(self, TensorBase, self.register_buffer)

    @property
    def _modules(self) -> Registered:
        return Registered(self, Module, self.add_module)

    # walking

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that are attributes, each once, with their names."""
        seen = set()
        for name, module in self._modules_by_name().items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules that are attributes."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with their dotted names."""
        if "_buffer_names" not in self.__dict__:
            raise AttributeError(f"'{type(self).__name__}' object has no parameters yet: call super().__init__() first")
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules_by_name().items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def _named_tensors(
        self, belongs: Callable[[Module, str, Any], bool], prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in module.__dict__.items():
                if value is not None and belongs(module, name, value) and value not in seen:
                    if remove_duplicate:
                        seen.add(value)
                    yield f"{path}.{name}" if path else name, value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters, each once, with their dotted names."""
        return self._named_tensors(
            lambda module, name, value: isinstance(value, Parameter), prefix, recurse, remove_duplicate
        )

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters: what an optimizer is given."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers, each once, with their dotted names."""
        return self._named_tensors(
            lambda module, name, value: name in module._buffer_names, prefix, recurse, remove_duplicate
        )

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module of a dotted name; AttributeError where there is none."""
        module = self
        for name in target.split(".") if target else ():
            found = module.__dict__.get(name)
            if not isinstance(found, Module):
                raise AttributeError(f"{type(module).__name__} has no attribute `{name}` that is a module")
            module = found
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a dotted name; AttributeError where there is none."""
        path, _, name = target.rpartition(".")
        found = self.get_submodule(path).__dict__.get(name)
        if not isinstance(found, Parameter):
            raise AttributeError(f"`{target}` is not an nn.Parameter")
        return found

    # state

    def _state(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Parameters and persistent buffers by dotted name: a module's own, then those of its children."""
        for name, value in self.__dict__.items():
            if isinstance(value, Parameter):
                yield prefix + name, value
        for name, persistent in self._buffer_names.items():
            if persistent and self.__dict__[name] is not None:
                yield prefix + name, self.__dict__[name]
        for name, module in self._modules_by_name().items():
            if module is not None:
                yield from module._state(f"{prefix}{name}.")

    def state_dict(self, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """The parameters and persistent buffers by dotted name, detached but sharing memory.

        They are put into `destination`, or into a new OrderedDict, whose `_metadata` has the version of each module.
        """
        check_state_is_tensors(self)
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        if hasattr(destination, "_metadata"):
            for name, module in self.named_modules(prefix=prefix[:-1], remove_duplicate=False):
                destination._metadata[name] = {"version": module._version}
        destination.update((name, x if keep_vars else x.detach()) for name, x in self._state(prefix))
        return destination

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy the tensors of `state_dict` into the parameters and buffers; `assign` puts them in their place.

        RuntimeError for wrong shapes and, where `strict`, missing or unexpected keys. Unlike PyTorch, which has then
        loaded what fits, nothing is loaded where there is an error.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        check_state_is_tensors(self)
        own = dict(self._state())
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        errors = []
        if strict and missing:
            errors.append(f"Missing key(s) in state_dict: {', '.join(map(quoted, missing))}. ")
        if strict and unexpected:
            errors.append(f"Unexpected key(s) in state_dict: {', '.join(map(quoted, unexpected))}. ")
        given = {name: state_dict[name] for name in own if name in state_dict}
        for name, x in given.items():
            value = own[name]
            if not isinstance(x, Tensor):
                errors.append(f"{name}: expected a Tensor from the checkpoint, got {type(x).__name__}.")
            elif isinstance(value, UninitializedParameter):
                continue
            elif x.shape == (1,) and not value.ndim:
                given[name] = x[0]  # PyTorch before 0.4 had no 0-d tensors
            elif x.shape != value.shape:
                errors.append(
                    f"size mismatch for {name}: copying a param with shape {Size(x._array.shape)} from checkpoint, "
                    f"the shape in current model is {value.shape}."
                )
            elif assign and value.requires_grad and x._array.dtype.kind != "f":
                errors.append(f"{name}: only Tensors of floating point dtype can require gradients, not {x.dtype}.")
        if errors:
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(errors))
        changes: list[Change] = []
        written: Counter[int] = Counter()
        before = state.grad
        try:
            state.grad = False
            for name, x in given.items():
                if isinstance(own[name], UninitializedParameter) and isinstance(x, UninitializedParameter):
                    continue
                changes += self._assigned(name, own[name], x) if assign else copied(own[name], x, written)
        finally:
            state.grad = before
        at_once(changes)
        return IncompatibleKeys(missing, unexpected)

    def _assigned(self, name: str, old: Tensor, new: Tensor) -> list[Change]:
        """What puts a tensor of a state_dict in the place of a parameter or buffer."""
        if isinstance(old, Parameter):
            new = new if isinstance(new, Parameter) else Parameter(new)
            new.requires_grad = old.requires_grad
        path, _, attribute = name.rpartition(".")
        module = self.get_submodule(path)
        setattr(module, attribute, old)  # raises where the attribute may not be set
        return [(dict.__setitem__, module.__dict__, attribute, new)]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zeros."""
        zero_gradients(self.parameters(), set_to_none)

    def train(self, mode: bool = True) -> Self:
        """Set training mode here and in all modules below; returns the module."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """train(False)."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set requires_grad of all parameters; returns the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module, children first; returns the module."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert the floating parameters and buffers, in place; arguments as Tensor.to. Returns the module."""
        wanted = kwargs.get("dtype", next((x for x in args if isinstance(x, dtype)), None))
        if wanted is not None and not wanted.is_floating_point:
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={wanted}"
            )
        for tensor in [*self.parameters(), *self.buffers()]:
            if tensor.is_floating_point():
                tensor.data = tensor.data.to(*args, **kwargs)
                if tensor._grad is not None:
                    tensor._grad = tensor._grad.detach().to(*args, **kwargs)
        return self

    def half(self) -> Self:
        """to(torch.float16)."""
        return self.to(float16)

    def float(self) -> Self:
        """to(torch.float32)."""
        return self.to(float32)

    def double(self) -> Self:
        """to(torch.float64)."""
        return self.to(float64)

    def cpu(self) -> Self:
        """The module itself, which is on the CPU."""
        return self

    def cuda(self, device: Any = None) -> Self:
        """AssertionError: minigrad runs on the CPU alone."""
        return self.to("cuda")

    # text

    def extra_repr(self) -> str:
        """What stands between the parentheses of the repr; to be defined by subclasses."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [
            f"({name}): " + repr(module).replace("\n", "\n  ") for name, module in self._modules_by_name().items()
        ]
        if not children and len(lines) <= 1:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines + children) + "\n)"


def kind_of(value: Any) -> type | None:
    """Parameter or Module, where a value is one and so is registered when it becomes an attribute."""
    return Parameter if isinstance(value, Parameter) else Module if isinstance(value, Module) else None


def wrong_kind(value: Any, name: str, kind: str, expected: str) -> TypeError:
    given = value.type() if isinstance(value, Tensor) else type(value).__name__
    return TypeError(f"cannot assign '{given}' as {kind} '{name}' ({expected} or None expected)")


def quoted(name: str) -> str:
    return f'"{name}"'


def zero_gradients(parameters: Iterator[Any], set_to_none: bool) -> None:
    """Forget gradients, or set them to zeros without history."""
    for parameter in parameters:
        if set_to_none:
            parameter._grad = None
        elif parameter._grad is not None:
            parameter._grad.detach_().zero_()
