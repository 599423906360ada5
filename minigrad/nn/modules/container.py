"""Modules of modules, and of parameters."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from itertools import groupby
from typing import Any, NoReturn, Self

from minigrad.nn.modules.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor


def position(index: Any, length: int) -> int:
    """An index, which may be negative, from 0; IndexError out of range."""
    i = operator.index(index)
    if not -length <= i < length:
        raise IndexError(f"index {i} is out of range: there are {length}")
    return i % length


class Row(Module):
    """Modules in a row, named by their numbers; what Sequential and ModuleList share."""

    def _names(self) -> list[str]:
        return list(self._modules_by_name())

    def _name(self, index: Any) -> str:
        names = self._names()
        return names[position(index, len(names))]

    def _number(self, modules: Iterable[Module]) -> None:
        """Let the modules be these, numbered anew."""
        modules = list(modules)
        for name in self._names():
            delattr(self, name)
        for i, module in enumerate(modules):
            self.add_module(str(i), module)

    def __setitem__(self, index: Any, module: Module) -> None:
        setattr(self, self._name(index), module)

    def __delitem__(self, index: Any) -> None:
        for name in self._names()[index] if isinstance(index, slice) else [self._name(index)]:
            delattr(self, name)
        self._number(self)

    def __len__(self) -> int:
        return len(self._names())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules_by_name().values())

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError

    def append(self, module: Module) -> Self:
        """Add a module at the end; returns the container."""
        self.add_module(str(len(self)), module)
        return self

    def pop(self, key: Any) -> Any:
        """Take the module at an index away, and return it."""
        module = self[key]
        del self[key]
        return module

    def _shift(self, index: int, module: Any) -> None:
        """Put a module before the one at `index`; KeyError unless they are named by their numbers."""
        names, modules = self._names(), list(self)
        for i in range(min(index, 0), len(names)):
            if i >= index and (i < 0 or names[i] != str(i)):
                raise KeyError(str(i))
        for i, moved in zip(range(index, len(modules)), modules[index:], strict=True):
            setattr(self, str(i + 1), moved)
        setattr(self, str(index), module)


class Sequential(Row):
    """Modules called one after the other, given one by one or as an OrderedDict of names."""

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], OrderedDict):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            for i, module in enumerate(modules):
                self.add_module(str(i), module)

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict((name, getattr(self, name)) for name in self._names()[index]))
        return getattr(self, self._name(index))

    def extend(self, sequential: Iterable[Module]) -> Self:
        """Add modules at the end; returns the container."""
        for module in list(sequential):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Put a module before the one at `index`; returns the container. IndexError out of range."""
        if not isinstance(module, Module):
            raise AssertionError(f"module should be of type: {Module}, got {type(module)}")
        n = len(self)
        if not -n <= index <= n:
            raise IndexError(f"Index out of range: {index}")
        self._shift(index + n if index < 0 else index, module)
        return self

    def _sequential(self, other: Any) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(f"add operator supports only objects of Sequential class, but {type(other)} is given.")
        return other

    def __add__(self, other: Any) -> Sequential:
        return Sequential(*self, *self._sequential(other))

    def __iadd__(self, other: Any) -> Self:
        return self.extend(self._sequential(other))

    def _times(self, other: Any) -> list[Module]:
        if not isinstance(other, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self)} and {type(other)}")
        if other <= 0:
            raise ValueError(f"Non-positive multiplication factor {other} for {type(self)}")
        return list(self) * other

    def __mul__(self, other: Any) -> Sequential:
        return Sequential(*self._times(other))

    __rmul__ = __mul__

    def __imul__(self, other: Any) -> Self:
        return self.extend(self._times(other)[len(self) :])


class ModuleList(Row):
    """A list whose modules, and their parameters, belong to the module that it is an attribute of."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return getattr(self, self._name(index))

    def insert(self, index: int, module: Module) -> None:
        """Put a module before the one at `index`, which is not negative."""
        self._shift(index, module)

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end; returns the list. TypeError unless it can be iterated over."""
        if not isinstance(modules, Iterable):
            raise TypeError(f"ModuleList.extend should be called with an iterable, but got {type(modules).__name__}")
        for module in list(modules):
            self.append(module)
        return self

    __iadd__ = extend

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __repr__(self) -> str:
        lines, first = [], 0
        for text, group in groupby(map(repr, self)):
            n = len(list(group))
            name = f"({first}): " if n == 1 else f"({first}-{first + n - 1}): {n} x "
            lines.append((name + text).replace("\n", "\n  "))
            first += n
        body = "\n  ".join(lines)
        return f"{type(self).__name__}(\n  {body}\n)" if lines else f"{type(self).__name__}()"


def key_and_value(pair: Any, i: int) -> tuple[Any, Any]:
    """One of the pairs that update() is given. TypeError, ValueError unless it is one."""
    if not isinstance(pair, Iterable):
        raise TypeError(f"update sequence element #{i} should be Iterable; is {type(pair).__name__}")
    found = tuple(pair)
    if len(found) != 2:
        raise ValueError(f"update sequence element #{i} has length {len(found)}; 2 is required")
    return found


class ModuleDict(Module):
    """A dict whose modules, and their parameters, belong to the module that it is an attribute of."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return self._modules_by_name()[key]  # type: ignore[no-any-return]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        self[key]  # KeyError unless it is a module
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._modules_by_name())

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules_by_name())

    def __contains__(self, key: object) -> bool:
        return key in self._modules_by_name()

    def clear(self) -> None:
        """Remove all modules."""
        for name in self:
            delattr(self, name)

    def pop(self, key: str) -> Module:
        """Remove the module of a key, and return it."""
        module = self[key]
        del self[key]
        return module

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._modules_by_name().keys()

    def items(self) -> ItemsView[str, Module]:
        """The names and modules."""
        return self._modules_by_name().items()

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return self._modules_by_name().values()

    def update(self, modules: Any) -> None:
        """Add the modules of a mapping, or of pairs of key and module."""
        if not isinstance(modules, Iterable):
            raise TypeError(
                "ModuleDict.update should be called with an iterable of key/value pairs, but got "
                f"{type(modules).__name__}"
            )
        if isinstance(modules, (Mapping, ModuleDict)):
            modules = modules.items()
        for i, pair in enumerate(modules):
            key, module = key_and_value(pair, i)
            self[key] = module


def parameter_text(x: Any, kind: str) -> str:
    """How a container of parameters prints one of its values."""
    if not isinstance(x, Tensor):
        return f"Object of type: {type(x).__name__}"
    return f"Parameter containing: [{kind} of size {'x'.join(map(str, x.shape))}]"


def as_parameter(x: Any) -> Any:
    """A tensor as a Parameter; anything else as it is."""
    return Parameter(x) if isinstance(x, Tensor) and not isinstance(x, Parameter) else x


class ParameterList(Module):
    """A list whose parameters belong to the module that it is an attribute of. Tensors become parameters."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return getattr(self, str(position(index, self._size)))

    def __setitem__(self, index: Any, value: Any) -> None:
        setattr(self, str(position(index, self._size)), as_parameter(value))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter([getattr(self, str(i)) for i in range(self._size)])

    def append(self, value: Any) -> Self:
        """Add a value at the end; returns the list."""
        setattr(self, str(self._size), as_parameter(value))
        self._size += 1
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Add values at the end; returns the list. TypeError for a tensor."""
        if not isinstance(values, Iterable) or isinstance(values, Tensor):
            raise TypeError(f"ParameterList.extend should be called with an iterable, but got {type(values).__name__}")
        for value in list(values):
            self.append(value)
        return self

    __iadd__ = extend

    def extra_repr(self) -> str:
        return "\n".join(f"  ({i}): {parameter_text(x, str(getattr(x, 'dtype', '')))}" for i, x in enumerate(self))

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError("ParameterList should not be called.")


class ParameterDict(Module):
    """A dict whose parameters belong to the module that it is an attribute of. Tensors become parameters."""

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        return getattr(self, self._checked(key))

    def _checked(self, key: Any) -> str:
        if not isinstance(key, str):
            raise TypeError(
                "Index given to ParameterDict cannot be used as a key as it is not a string (type is "
                f"{type(key).__name__!r})."
            )
        return key

    def __setitem__(self, key: str, value: Any) -> None:
        value = as_parameter(value)
        if isinstance(value, Parameter):
            self.register_parameter(self._checked(key), value)
        else:
            setattr(self, self._checked(key), value)
        self._keys[key] = None

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._keys))

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def copy(self) -> ParameterDict:
        """Another dict of the same parameters."""
        return ParameterDict(OrderedDict(self.items()))

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of a key, which is set to `default` where there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Remove all."""
        for key in list(self):
            del self[key]

    def pop(self, key: str) -> Any:
        """Remove the value of a key, and return it."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Remove the last key and value, and return them."""
        key = list(self)[-1]
        return key, self.pop(key)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or `default`."""
        return self[key] if key in self._keys else default

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A dict with these keys, and `default` for each."""
        return ParameterDict([(key, default) for key in keys])

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._keys.keys()

    def items(self) -> ItemsView[str, Any]:
        """The names and parameters."""
        return {key: self[key] for key in self}.items()

    def values(self) -> ValuesView[Any]:
        """The parameters."""
        return dict(self.items()).values()

    def update(self, parameters: Any) -> None:
        """Add the values of a mapping (in the order of the keys, unless it is an OrderedDict), or of pairs."""
        if not isinstance(parameters, Iterable):
            raise TypeError(
                "ParametersDict.update should be called with an iterable of key/value pairs, but got "
                f"{type(parameters).__name__}"
            )
        if isinstance(parameters, (OrderedDict, ParameterDict)):
            parameters = parameters.items()
        elif isinstance(parameters, Mapping):
            parameters = sorted(parameters.items())
        for i, pair in enumerate(parameters):
            key, value = key_and_value(pair, i)
            self[key] = value

    def extra_repr(self) -> str:
        return "\n".join(
            f"  ({key}): {parameter_text(x, x.type() if isinstance(x, Tensor) else '')}" for key, x in self.items()
        )

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError("ParameterDict should not be called.")

    def __or__(self, other: Any) -> ParameterDict:
        copy = self.copy()
        copy.update(other)
        return copy

    def __ror__(self, other: dict[str, Any]) -> dict[str, Any]:
        return other | dict(self.items())

    def __ior__(self, other: Any) -> Self:
        self.update(other)
        return self
