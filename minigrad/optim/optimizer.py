"""Optimizer: parameters in groups with hyper-parameters, a state for each parameter, and what all steps have in common.

The formulas are PyTorch's, in its order of operations. PyTorch rounds x + a * y once, by a fused multiply-add, where
NumPy rounds twice, and its square root (MKL's) is not always the nearest number: parameters differ by at most a unit
in the last place after a step, as measured, and by 1 (Adam) to 50 (with momentum) after twenty.
"""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from types import MethodType
from typing import Any

import numpy as np

from minigrad.autograd.grad_mode import enable_grad, unless_entered
from minigrad.autograd.grad_mode import state as thread
from minigrad.autograd.hooks import Hooks, RemovableHandle, add_hook
from minigrad.autograd.node import Array, Where, caller, wrap
from minigrad.metadata import float32, float64, get_default_dtype
from minigrad.nn.modules.module import zero_gradients
from minigrad.tensor import Tensor

Gradients = Iterator[tuple[Tensor, Array]]

# Options that came with later versions of PyTorch, and what they are where a checkpoint is older.
LATER_OPTIONS = {
    "momentum": 0,
    "centered": False,
    "nesterov": False,
    "amsgrad": False,
    "maximize": False,
    "foreach": None,
    "capturable": False,
    "differentiable": False,
    "decoupled_weight_decay": False,
    "fused": None,
}


def check_not_negative(**values: float | Tensor) -> None:
    """ValueError, PyTorch's, for the first hyper-parameter that is negative or NaN, or a tensor of several numbers."""
    for name, value in values.items():
        if isinstance(value, Tensor) and value._array.size != 1:
            raise ValueError(f"Tensor {name} must be 1-element")
        if not value >= 0.0:
            label = {"lr": "learning rate", "eps": "epsilon value"}.get(name, f"{name} value")
            raise ValueError(f"Invalid {label}: {value}")


def check_betas(betas: tuple[float | Tensor, float | Tensor]) -> None:
    """ValueError for the first of two decay rates that is not in [0, 1)."""
    for i in (0, 1):
        if not 0.0 <= betas[i] < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {betas[i]}")


def number(value: float | Tensor) -> Any:
    """A hyper-parameter as a Python or NumPy number; that of a tensor computes in the tensor's dtype, as in PyTorch."""
    return value._array.reshape(())[()] if isinstance(value, Tensor) else value


def scalar(value: float) -> Tensor:
    """A number of the state, such as the count of steps: 0-d and float32, unless the default dtype is float64."""
    return wrap(np.array(value, (float64 if get_default_dtype() is float64 else float32).numpy))


# PyTorch computes each of its operations on float16 in float32 and rounds once. So do an in-place operation on a
# float16 array with a float32 one, and these functions; gradients are handed to _update in float32.


def wide(x: Array) -> Array:
    """x; a float16 array in float32."""
    return x.astype(np.float32) if x.itemsize == 2 else x


def update(ufunc: np.ufunc, x: Array, value: float) -> Array:
    """ufunc(x, value) in the memory of x; anew where x is a number of NumPy's, as its functions make of 0-d arrays."""
    out = None if isinstance(x, np.generic) else x
    if x.itemsize == 2:
        result: Array = ufunc(x, value, out=out, dtype=np.float32, casting="same_kind").astype(x.dtype, copy=False)
    else:
        result = ufunc(x, value, out=out)
    return result


def rate(value: float, x: Array) -> Any:
    """The factor of what is added to x, which PyTorch alone converts to float16 first."""
    return wide(np.zeros_like(x) + value) if x.itemsize == 2 else value


def plus(x: Array, factor: float, y: Array) -> Array:
    """x + factor * y; rounded to float16 where y is, and given in float32."""
    out = x + rate(factor, y) * wide(y)
    return wide(out.astype(y.dtype)) if y.itemsize == 2 else out


def lerp(x: Array, y: Array, weight: float, dtype: Any) -> None:
    """x = (1 - weight) * x + weight * y, in place, from the end that is nearer, as torch.lerp.

    RuntimeError where x, a state, is not of `dtype`, the parameter's: digits would be lost, or seem to be there.
    """
    if x.dtype != dtype:
        raise RuntimeError(
            f"expected dtype {x.dtype} for `end` but got dtype {dtype}: the state is of {x.dtype}. "
            "Convert the model before its optimizer's first step, or make a new optimizer"
        )
    if weight < 0.5:
        x += weight * (y - x)
    else:
        np.subtract(y, (1 - weight) * (y - x), out=x, casting="same_kind")


def observed(step: Callable[..., Any]) -> Callable[..., Any]:
    """step() with the hooks around it, and with a note of the call, which learning rate schedulers ask for."""

    @functools.wraps(step)
    def run(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        self._opt_called = True
        args = self, *args
        for pre_hook in self._optimizer_step_pre_hooks.values():
            changed = pre_hook(self, args, kwargs)
            if changed is not None:
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        f"{step} must return None or a tuple of (new_args, new_kwargs), but got {changed}."
                    )
                args, kwargs = changed
        result = step(*args, **kwargs)
        for post_hook in self._optimizer_step_post_hooks.values():
            post_hook(self, args, kwargs)
        return result

    run.observed = True  # type: ignore[attr-defined]
    return run


def loaded(p: Tensor, key: str, value: Any) -> Any:
    """A copy of a value of p's saved state, in p's dtype; the count of steps keeps its own, or becomes a tensor."""
    if key == "step":
        return deepcopy(value) if isinstance(value, Tensor) else scalar(float(value))
    return value.to(p.dtype).clone() if isinstance(value, Tensor) else deepcopy(value)


class Optimizer:
    """Base of all optimizers. `params` are tensors, or dicts with "params" and hyper-parameters of their own.

    `foreach` and `fused` are PyTorch's choices of implementation, which are kept in the groups and change nothing;
    `differentiable=True` and `capturable=True` are refused.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                f"{params.type()}: write [param]"
            )
        self._prepare()
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def _prepare(self) -> None:
        """What an optimizer has beside the options, the groups and the state, and doesn't keep in a copy or pickle."""
        self._name = f"{type(self).__name__}.step"  # what errors say has written to a parameter
        self._opt_called = False
        self._optimizer_step_pre_hooks: Hooks = OrderedDict()
        self._optimizer_step_post_hooks: Hooks = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._prepare()
        self.__dict__.update(state)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, with the defaults for the hyper-parameters that it doesn't give."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of sets changes"
            )
        params = [params] if isinstance(params, Tensor) else list(params)
        named = [isinstance(p, tuple) for p in params]  # as named_parameters() gives them
        if any(named):
            if not all(named):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing")
            param_group = {**param_group, "param_names": [name for name, _ in params]}
            params = [p for _, p in params]
        if len({id(p) for p in params}) < len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an error",
                UserWarning,
                stacklevel=4,
            )
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}")
            if p._node is not None:
                raise ValueError("can't optimize a non-leaf Tensor: give the leaf that it was computed from")
        known = {id(p) for group in self.param_groups for p in group["params"]}
        if any(("param_names" in group) != ("param_names" in param_group) for group in self.param_groups):
            raise ValueError(
                "all optimizer param groups should be with/without names. cannot add param group "
                f"{'with' if any(named) else 'without'} names to the optimizer"
            )
        if any(id(p) in known for p in params):
            raise ValueError("some parameters appear in more than one parameter group")
        group = {**param_group, **{k: param_group.get(k, v) for k, v in self.defaults.items()}, "params": params}
        self._check(group)
        self.param_groups.append(group)

    def _check(self, group: dict[str, Any]) -> None:
        """Refuse the options of a group that ask for what can't be done."""
        if group.get("differentiable"):
            raise NotImplementedError(
                f"minigrad's {type(self).__name__} can't be differentiated through: write the update as operations"
            )
        if group.get("capturable"):
            raise AssertionError("If capturable=True, params and state_steps must be on a GPU: minigrad knows none")
        if group.get("fused") and group.get("foreach"):
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zeros."""
        for group in self.param_groups:
            zero_gradients(group["params"], set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update each parameter that has a gradient. Returns the loss of `closure`, which is called first, if given."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        quiet, where = thread.quiet, caller()
        for group in self.param_groups:
            try:  # quietly(), written out
                quiet(self._update, group, self._gradients(group, where))
            except RuntimeError as error:
                unless_entered(error)(self._update, group, self._gradients(group, where))
        return loss

    def _gradients(self, group: dict[str, Any], where: Where) -> Gradients:
        """Each parameter that has a gradient, with the gradient as the options want it, which is not to be changed.

        When the next one is asked for, the update of the last is done, and counts as a write to it.
        """
        maximize, weight_decay = group["maximize"], group["weight_decay"]
        if weight_decay:
            decoupled = group.get("decoupled_weight_decay")
            shrink = float(1 - number(group["lr"]) * number(weight_decay))
            weight_decay = float(weight_decay)
        for p in group["params"]:
            if p._grad is None:
                continue
            grad = wide(p._grad._array)
            if maximize:
                grad = -grad
            if weight_decay:
                if decoupled:
                    update(np.multiply, p._array, shrink)
                else:
                    grad = plus(grad, weight_decay, p._array)
            yield p, grad
            counter = p._counter
            counter[0] += 1
            counter[1] = self._name, where

    def _update(self, group: dict[str, Any], gradients: Gradients) -> None:
        """Change the arrays and the states of a group's parameters in place; to be defined by subclasses."""
        raise NotImplementedError

    def _advance(self, p: Tensor, *names: str, **numbers: float) -> tuple[Any, ...]:
        """Count a step of p; its number, and the arrays of p's state: numbers, and zeros of p's shape."""
        entries = self.state[p]
        if not entries:
            entries["step"] = scalar(0.0)
            entries.update({name: scalar(value) for name, value in numbers.items()})
            entries.update({name: wrap(np.zeros_like(p._array)) for name in names})
        step = entries["step"]._array
        step += 1
        return step.item(), *(entries[name]._array for name in (*numbers, *names))

    def _observe(self) -> None:
        """Observe step() from now on; an optimizer that nobody observes has nothing to pay."""
        if not hasattr(self.step, "observed"):
            self.step = MethodType(observed(type(self).step), self)  # type: ignore[method-assign]

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Let `hook(optimizer, args, kwargs)` run before each step; it may return other (args, kwargs) for it."""
        self._observe()
        return add_hook(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Let `hook(optimizer, args, kwargs)` run after each step."""
        self._observe()
        return add_hook(self._optimizer_step_post_hooks, hook)

    def state_dict(self) -> dict[str, Any]:
        """The state and the groups, with parameters numbered in their order."""
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            options = {key: value for key, value in group.items() if key != "params"}
            groups.append({**options, "params": [numbers[id(p)] for p in group["params"]]})
        state = {numbers[id(p)] if isinstance(p, Tensor) else p: entries for p, entries in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state_dict(). ValueError, and nothing loaded, where its groups have other lengths."""
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError(
                f"loaded state dict has a different number of parameter groups: {len(saved)} for "
                f"{len(self.param_groups)}"
            )
        lengths = [(len(a["params"]), len(b["params"])) for a, b in zip(saved, self.param_groups, strict=True)]
        if any(a != b for a, b in lengths):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group: "
                f"(loaded, own) sizes are {lengths}"
            )
        by_number = {
            i: p
            for a, b in zip(saved, self.param_groups, strict=True)
            for i, p in zip(a["params"], b["params"], strict=True)
        }
        state: defaultdict[Any, Any] = defaultdict(dict)
        for i, entries in state_dict["state"].items():
            if i in by_number:
                p = by_number[i]
                state[p] = {key: loaded(p, key, value) for key, value in entries.items()}
            else:
                state[i] = deepcopy(entries)
        groups = [self._loaded_group(a, b) for a, b in zip(saved, self.param_groups, strict=True)]
        self.__dict__.update({"param_groups": groups, "state": state})  # one step, which no interrupt can halve

    def _loaded_group(self, saved: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
        """The options of a saved group, for the parameters of our own."""
        group = deepcopy({key: value for key, value in saved.items() if key != "params"})
        if "param_names" in own:
            group.setdefault("param_names", own["param_names"])
        later = {key: value for key, value in LATER_OPTIONS.items() if key in self.defaults and key not in group}
        group = {**group, **later, "params": own["params"]}
        self._check(group)
        return group

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            text += "".join(f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params")
        return text + ")"
