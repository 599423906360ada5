"""Python state, for the tests of compile(): holders of a number, ways to reach them, and to change what they hold."""

from dataclasses import dataclass

PREAMBLE = """
import argparse, array, collections, contextvars, ctypes, dataclasses, enum, functools, io, itertools, random, types
import weakref
import numpy as np
import minigrad as torch
from minigrad import nn

class Plain: pass
class Slots: __slots__ = ("k", "__weakref__")
@dataclasses.dataclass
class Data: k: float = 1.0
@dataclasses.dataclass(slots=True)
class SlotsData: k: float = 1.0
@dataclasses.dataclass(frozen=True)
class Frozen: k: float = 1.0
class Meta(type): pass
class ListOfMine(list): pass
class DictOfMine(dict): pass
class SetOfMine(set): pass
class FloatOfMine(float): pass
class AttrDict(dict):
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__
class Getter:
    def __getattr__(self, name): return self.__dict__["kept"][name]
class Descriptor:
    def __init__(self): self.k = 1.0
    def __get__(self, x, cls): return self.k
Pair = collections.namedtuple("Pair", "a b")
class Numbers(enum.Enum):
    ONE = 1.0
    def value_of(self): return self.k
class CallMe:
    def __init__(self): self.k = 1.0
    def __call__(self): return self.k
def function_with(k):
    def tell(): return k
    def change(now):
        nonlocal k
        k = now
    tell.change = change
    return tell
def plain(k):
    h = Plain(); h.k = k
    return h
def with_slots():
    h = Slots(); h.k = 1.0
    return h
def of_module():
    h = types.ModuleType("a_user_s"); h.k = 1.0
    return h
def of_standard_name():
    h = types.ModuleType("json"); h.k = 1.0
    return h
def new_class(meta=type, **names):
    return meta("Made", (), {"k": 1.0, **names})
def tensor_with():
    h = nn.Parameter(torch.ones(1)); h.k = 1.0
    return h
def optimizer(lr=1.0, **more):
    return torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=lr, **more)
def scheduled():
    o = optimizer()
    o.scheduler = torch.optim.lr_scheduler.LambdaLR(o, lambda i: 1.0 + i)
    return o.scheduler
def getter(k):
    h = Getter(); h.kept = {"k": k}
    return h
"""


@dataclass(frozen=True)
class Holder:
    """Where a number is: expressions that make `h`, read the number, and (statements) set it to `now`, or change it."""

    make: str
    read: str
    change: str
    write: str = ""  # a change that the function itself makes; as `change`, where there is none

    def __str__(self) -> str:
        return f"{self.make}: {self.read}; {self.change}"


def holders() -> list[Holder]:
    attribute, item, first = ("h.k", "h.k = now"), ("h['k']", "h['k'] = now"), ("h[0]", "h[0] = now")
    return [
        *(Holder(make, *attribute, "h.k += 1.0") for make in (
            "plain(1.0)", "with_slots()", "Data()", "SlotsData()", "types.SimpleNamespace(k=1.0)",
            "argparse.Namespace(k=1.0)", "of_module()", "of_standard_name()", "new_class()", "new_class(Meta)",
            "tensor_with()", "AttrDict(k=1.0)",
        )),
        *(Holder(make, *item, "h['k'] += 1.0") for make in (
            "dict(k=1.0)", "collections.OrderedDict(k=1.0)", "collections.defaultdict(float, k=1.0)",
            "DictOfMine(k=1.0)", "collections.UserDict(k=1.0)", "collections.ChainMap({'k': 1.0})", "AttrDict(k=1.0)",
        )),
        *(Holder(make, *first, "h[0] += 1.0") for make in (
            "[1.0]", "ListOfMine([1.0])", "collections.deque([1.0])", "collections.UserList([1.0])",
            "array.array('d', [1.0])", "(ctypes.c_double * 1)(1.0)",
        )),
        Holder("Frozen()", "h.k", "object.__setattr__(h, 'k', now)"),
        Holder("getter(1.0)", "h.k", "h.kept['k'] = now"),
        Holder("plain([1.0])", "h.k[0]", "h.k[0] = now"),
        Holder("plain({'a': [1.0]})", "h.k['a'][0]", "h.k['a'][0] = now"),
        Holder("plain(plain(1.0))", "h.k.k", "h.k.k = now", "h.k.k += 1.0"),
        Holder("plain((1.0, [1.0]))", "h.k[1][0]", "h.k[1][0] = now"),
        Holder("[[1.0]]", "h[0][0]", "h[0][0] = now", "h[0].append(2.0)"),
        Holder("[1.0]", "float(len(h))", "h[:] = [0.0] * int(now)", "h.append(1.0)"),
        Holder("{1.0}", "float(len(h))", "h.clear(), h.update(range(int(now)))", "h.add(9.0)"),
        Holder("SetOfMine([1.0])", "float(len(h))", "h.clear(), h.update(range(int(now)))", "h.add(9.0)"),
        Holder("{}", "h.get('k', 1.0)", "h.update(k=now)", "h.setdefault('k', 3.0)"),
        Holder("Plain()", "getattr(h, 'k', 1.0)", "h.k = now", "h.k = 3.0"),
        Holder("Plain()", "(h.k if hasattr(h, 'k') else 1.0)", "h.k = now"),
        Holder("Plain()", "vars(h).get('k', 1.0)", "h.k = now", "vars(h)['k'] = 4.0"),
        Holder("Slots()", "getattr(h, 'k', 1.0)", "h.k = now"),
        Holder("plain(1.0)", "getattr(h, f'{\"k\"}')", "h.k = now", "setattr(h, f'{\"k\"}', 5.0)"),
        Holder("plain(1.0)", "h.__dict__['k']", "h.k = now", "h.__dict__['k'] = 6.0"),
        Holder("plain(+1.0)", "operator_k(h)", "h.k = now"),
        Holder("DictOfMine()", "h.k", "h.k = now", "h.k = 7.0"),
        Holder("ListOfMine()", "h.k", "h.k = now", "h.k = 7.0"),
        Holder("FloatOfMine(1.0)", "h.k", "h.k = now", "h.k = 7.0"),
        Holder("Numbers.ONE", "h.value_of()", "h.k = now", "h.k = 7.0"),
        Holder("Pair(1.0, [1.0])", "h.b[0]", "h.b[0] = now"),
        Holder("types.MappingProxyType(kept)", "h['k']", "kept['k'] = now"),
        Holder("kept.values()", "[*h][0]", "kept['k'] = now"),
        Holder("kept.items()", "[*h][0][1]", "kept['k'] = now"),
        Holder("kept.keys()", "float(len(h))", "kept.clear(), kept.update(zip(range(int(now)), range(9)))"),
        Holder("memoryview(bytearray([1]))", "float(h[0])", "h[0] = int(now)"),
        Holder("bytearray([1])", "float(h[0])", "h[0] = int(now)", "h.append(1)"),
        Holder("ctypes.c_double(1.0)", "h.value", "h.value = now"),
        Holder("weakref.ref(alive)", "h().k", "alive.k = now"),
        Holder("weakref.WeakValueDictionary(a=alive)", "h['a'].k", "alive.k = now"),
        Holder("contextvars.ContextVar('v', default=1.0)", "h.get()", "h.set(now)"),
        Holder("new_class(told=classmethod(lambda cls: cls.k))", "h.told()", "h.k = now"),
        Holder("new_class(told=staticmethod(lambda: kept['k']))", "h.told()", "kept['k'] = now"),
        Holder("new_class(d=Descriptor())()", "h.d", "type(h).__dict__['d'].k = now"),
        Holder("new_class(p=property(lambda self: self.k))()", "h.p", "type(h).k = now"),
        Holder("new_class()()", "h.k", "h.k = now", "h.k += 1.0"),
        Holder("CallMe()", "h()", "h.k = now"),
        Holder("CallMe().__call__", "h()", "h.__self__.k = now"),
        Holder("function_with(1.0)", "h()", "h.change(now)"),
        Holder("function_with(1.0)", "h.k", "h.k = now", "h.k = 8.0"),
        Holder("functools.partial(lambda k: k[0], [1.0])", "h()", "h.args[0][0] = now"),
        Holder("functools.partial(lambda k: k, k=1.0)", "h()", "h.keywords['k'] = now"),
        Holder("functools.lru_cache(lambda: kept['k'])", "h()", "kept['k'] = now, h.cache_clear()"),
        Holder("np.ones(1)", "h.item()", "h[0] = now"),
        Holder("np.ones(1)", "torch.from_numpy(h)", "h[0] = now", "h[0] += 1.0"),
        Holder("np.ones(())", "float(h)", "h[()] = now"),
        Holder("np.float64(1.0)", "h", "pass"),
        Holder("iter([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])", "next(h)", "pass"),
        Holder("itertools.count(1.0)", "next(h)", "pass"),
        Holder("itertools.cycle([1.0, 2.0])", "next(h)", "pass"),
        Holder("(float(i) for i in range(1, 99))", "next(h)", "pass"),
        Holder("random.Random(0)", "h.random()", "pass"),
        Holder("random", "h.random()", "pass"),
        Holder("np.random.default_rng(0)", "h.random()", "pass"),
        Holder("np.random", "h.rand()", "pass"),
        Holder("io.StringIO('1 2 3 4 5 6 7 8 9 1 2 3 4')", "float(h.read(2))", "pass"),
        Holder("torch.Generator()", "torch.rand(1, generator=h)", "pass"),
        Holder("torch.Generator()", "float(h.initial_seed())", "h.manual_seed(int(now))"),
        Holder("torch", "float(h.initial_seed() % 100)", "h.manual_seed(int(now))", "h.manual_seed(7)"),
        Holder("torch.ones(1)", "h", "h.fill_(now)", "h.add_(1.0)"),
        Holder("torch.ones(1)", "float(h._version)", "h.fill_(now)"),
        Holder("torch.ones(1)", "float(h.requires_grad + 1)", "h.requires_grad_(now == 2.0)"),
        Holder("optimizer()", "h.param_groups[0]['lr']", "h.param_groups[0]['lr'] = now",
               "h.param_groups[0]['lr'] += 1.0"),
        Holder("optimizer()", "h.defaults['lr']", "h.defaults['lr'] = now"),
        Holder("optimizer()", "h.state_dict()['param_groups'][0]['lr']", "h.param_groups[0]['lr'] = now"),
        Holder("optimizer()", "float(len(h.param_groups))", "h.add_param_group({'params': [torch.ones(1)]})",
               "h.add_param_group({'params': [torch.ones(1)]})"),
        Holder("optimizer(momentum=0.5)", "float(len(h.state) + 1)", "h.state[h.param_groups[0]['params'][0]] = {}"),
        Holder("optimizer()", "getattr(h, 'k', 1.0)", "h.k = now", "h.k = 3.0"),
        Holder("scheduled()", "h.get_last_lr()[0]", "h.optimizer.step(), h.step()", "h.step()"),
        Holder("scheduled()", "float(h.last_epoch)", "h.optimizer.step(), h.step()", "h.step()"),
        Holder("scheduled().optimizer", "h.scheduler.get_last_lr()[0]", "h.step(), h.scheduler.step()"),
        Holder("torch.utils.data.DataLoader([1.0])", "float(len(h))", "h.dataset.append(2.0)"),
        Holder("torch.utils.data.DataLoader([1.0])", "float([*h][0])", "h.dataset[0] = now"),
        Holder("nn.Dropout(0.0)", "h.p", "h.p = now / 4"),
        Holder("nn.Dropout(0.0)", "h.k", "h.k = now", "h.k = 9.0"),
        Holder("nn.Dropout(0.0)", "float(h.training + 1)", "h.train(now == 2.0)", "h.eval()"),
        Holder("nn.Sequential(nn.Tanh())", "float(len(h))", "h.append(nn.Tanh())", "h.append(nn.Tanh())"),
        Holder("nn.Linear(1, 1)", "float(len(list(h.parameters())))", "h.register_parameter('more', None)"),
        Holder("nn.Linear(1, 1)", "float(len([*h.named_children()]) + 1)", "setattr(h, f'c{now}', nn.Tanh())"),
        Holder("1.0", "h", "h = now"),
        Holder("'k'", "kept[h]", "kept['k'] = now"),
    ]  # fmt: skip


# How a function comes to `h`: code that defines f(x). READ and WRITE stand for the expressions of a holder.
WAYS = """
## global
def f(x):
    WRITE
    return x * READ

## closure
def make():
    h = globals()['h']
    def f(x):
        WRITE
        return x * READ
    return f
f = make()

## default
def f(x, h=h):
    WRITE
    return x * READ

## keyword default
def f(x, *, h=h):
    WRITE
    return x * READ

## attribute
box = plain(h)
def f(x):
    h = box.k
    WRITE
    return x * READ

## class
class Box: kept = h
def f(x):
    h = Box.kept
    WRITE
    return x * READ

## inherited
class Base: kept = h
class Box(Base): pass
def f(x):
    h = Box().kept
    WRITE
    return x * READ

## dict
box = {'h': h}
def f(x):
    h = box['h']
    WRITE
    return x * READ

## list
box = [[h]]
def f(x):
    h = box[0][0]
    WRITE
    return x * READ

## tuple
box = (h, 1)
def f(x):
    h = box[0]
    WRITE
    return x * READ

## python module
box = types.ModuleType('users')
box.h = h
def f(x):
    h = box.h
    WRITE
    return x * READ

## method
class Box:
    def __init__(self, h): self.h = h
    def value(self, x):
        h = self.h
        WRITE
        return x * READ
box = Box(h)
def f(x): return box.value(x)

## bound method
class Box:
    def __init__(self, h): self.h = h
    def value(self, x):
        h = self.h
        WRITE
        return x * READ
f = Box(h).value

## callable object
class Box:
    def __init__(self, h): self.h = h
    def __call__(self, x):
        h = self.h
        WRITE
        return x * READ
f = Box(h)

## property
class Box:
    def __init__(self, h): self.h = h
    @property
    def value(self):
        h = self.h
        WRITE
        return READ
box = Box(h)
def f(x): return x * box.value

## module
class Net(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.h = h
    def forward(self, x):
        h = self.h
        WRITE
        return x * READ
f = Net(h)

## module inside
class Net(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.h = [h]
    def forward(self, x):
        h = self.h[0]
        WRITE
        return x * READ
net = nn.Sequential(Net(h), nn.Identity())
def f(x): return net(x)

## deep
def inner():
    WRITE
    return READ
def middle(): return inner()
def outer(): return middle()
def f(x): return x * outer()

## function attribute
def helper(): return helper.h
helper.h = h
def f(x):
    h = helper()
    WRITE
    return x * READ

## partial
def raw(x, h):
    WRITE
    return x * READ
f = functools.partial(raw, h=h)

## lambda
box = [h]
f = lambda x: (lambda h: x * READ)(box[0])

## comprehension
box = [h]
f = lambda x: [x * READ for h in box][0]

## decorated
@torch.no_grad()
def f(x):
    WRITE
    return x * READ

## generator inside
def values():
    WRITE
    yield READ
def f(x): return x * next(values())

## with
import contextlib
@contextlib.contextmanager
def values():
    WRITE
    yield READ
def f(x):
    with values() as v: return x * v

## custom Function
class Op(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        WRITE
        return x * READ
    @staticmethod
    def backward(ctx, g): return g
def f(x): return Op.apply(x)

## argument
def f(x, h):
    WRITE
    return x * READ

## argument in a list
def f(x, box):
    h = box[0]
    WRITE
    return x * READ
"""
REACHED = dict(part.split("\n", 1) for part in WAYS.split("## ")[1:])
