"""Data exchange with NumPy, DLPack, buffers, pickle and copy: lines that both engines run, sharing memory alike."""

import copy
import io
import pickle
import warnings

import numpy as np
import pytest
import torch
from checkpoints import describe
from hypothesis import given
from hypothesis import strategies as st
from strategies import DTYPES, SEEDS, shapes

import minigrad
from minigrad import storage
from minigrad.ops import exchange


class Box:
    """Ways to write to what two objects may share, or to put them through pickle and copy."""

    def write(self, source, target, *seen):
        """Write 7 to the first element of `target`, and see everything."""
        target[(0,) * target.ndim] = 7
        return source, target, *seen

    def locked(self, array):
        array.flags.writeable = False
        return array

    def pickled(self, x, protocol=None):
        return pickle.loads(pickle.dumps(x, protocol))

    def noted(self, x, grad=None):
        x.note, x.grad = ["a"], grad
        return x

    def fields(self, other):
        return np.zeros(3, [("a", "f4"), ("b", other)])["a"]

    def saved(self, save, x):
        file = io.BytesIO()
        save(file, x)
        file.seek(0)
        return np.load(file)

    def stepped(self, T):
        p = T.nn.Parameter(T.ones(2))
        p.grad = T.ones(2)
        optimizer = T.optim.SGD([p], lr=0.5, momentum=0.9)
        optimizer.step()
        return optimizer

    def drawn(self, T, generator):
        T.randn(1, generator=generator)  # keeps the second of two normals
        return generator


NAMES = {"np": np, "copy": copy, "pickle": pickle, "box": Box(), "io": io}


def told(T, line):
    """What a line gives, in words that the two engines share; the type of an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return describe(eval(line, {"T": T, "ones": np.ones(3), "six": np.arange(6.0).reshape(2, 3), **NAMES}))
        except Exception as error:
            return "raised", type(error).__name__


LINES = """
np.asarray(T.ones(2)).tolist(), np.asarray(T.tensor(1.0)).shape, np.asarray(T.ones(0, 3)).shape
(lambda x: box.write(x, np.asarray(x))[0])(T.ones(2))
(lambda x: box.write(x, np.array(x))[0])(T.ones(2))
(lambda x: box.write(x, np.array(x, copy=True))[0])(T.ones(2))
(lambda x: box.write(x, np.asarray(x, "f8"))[0])(T.ones(2))
(lambda x: box.write(x, x.numpy())[0])(T.ones(2))
(lambda x: box.write(x, x.detach().numpy())[0])(T.ones(2, requires_grad=True))
(lambda x: box.write(x, x.numpy(force=True))[0])(T.ones(2, requires_grad=True))
np.array(T.ones(2), "f8", copy=False)
np.array(T.ones(2, requires_grad=True))
np.asarray(T.ones(2, requires_grad=True) * 2)
np.asarray([T.ones(2), T.zeros(2)]).tolist()
T.from_numpy(ones[::-1])
T.from_numpy(six[:, ::-1])
T.from_numpy(ones.astype(">f4"))
T.from_numpy(ones.astype(">i2"))
T.from_numpy(np.array(["a"]))
T.from_numpy(np.array([None]))
T.from_numpy(ones.astype("M8[s]"))
T.from_numpy(np.float64(3))
T.from_numpy(np.array(3.0))
T.from_numpy([1, 2])
T.from_numpy(T.ones(2))
T.from_numpy(None)
T.from_numpy(box.fields("i1"))
T.from_numpy(box.fields("i4"))
T.tensor(box.fields("i1"))
T.as_tensor(box.fields("i1"))
T.from_numpy(np.ma.array([1, 2]))
T.from_numpy(np.arange(10.0)[3:])
T.from_numpy(np.arange(10.0)[3:8:2])
T.from_numpy(six.T)
T.from_numpy(six[1])
T.from_numpy(six[:, 1])
T.from_numpy(np.broadcast_to(ones, (2, 3)))
T.from_numpy(box.locked(ones))
(lambda x: box.write(ones, x, x._version))(T.from_numpy(ones))
(lambda x: box.write(x, ones, x._version))(T.from_numpy(ones))
(lambda x: box.write(x, ones, x._version))(T.as_tensor(ones))
(lambda x: box.write(x, ones))(T.as_tensor(ones, dtype=T.float32))
(lambda x: box.write(x, ones))(T.tensor(ones))
(lambda x: box.write(x, ones))(T.asarray(ones))
(lambda x: box.write(x, ones))(T.asarray(ones, copy=True))
(lambda x: box.write(x, ones))(T.asarray(ones, copy=False))
(lambda x: box.write(x, ones))(T.asarray(ones, dtype=T.float32))
(lambda x: box.write(x, ones))(T.asarray(ones, dtype=T.float64, copy=False))
T.asarray(ones, dtype=T.float32, copy=False)
T.asarray([1, 2.0]), T.asarray(3), T.asarray((1, 2), dtype=T.float64), T.asarray([True])
T.asarray([1, 2], copy=False)
T.asarray([1, 2], copy=True)
T.asarray(T.ones(2), requires_grad=True)
T.asarray(T.ones(2, requires_grad=True))
T.asarray(T.ones(2, requires_grad=True), requires_grad=False)
T.asarray(T.ones(2, requires_grad=True) * 2).is_leaf
T.asarray(T.ones(2, requires_grad=True) * 2, requires_grad=True).is_leaf
T.asarray(T.ones(2, requires_grad=True), copy=True).is_leaf
(lambda x: (T.asarray(x) is x, T.asarray(x, dtype=T.float32) is x, T.asarray(x, copy=True) is x))(T.ones(2))
T.asarray(np.float32(3)), T.asarray(np.int64(3)), T.asarray(np.bool_(True))
T.asarray(b"abc", dtype=T.uint8)
T.asarray(bytearray(b"abc"), dtype=T.uint8)
T.asarray(bytearray(8))
T.asarray(bytearray(7), dtype=T.float32)
T.asarray(memoryview(bytearray(4)), dtype=T.uint8)
T.asarray(ones[::-1])
T.asarray(ones.astype(">f4"))
T.asarray("abc")
T.asarray(None)
T.asarray([[1], [2, 3]])
T.asarray([T.tensor(1), T.tensor(2)])
T.asarray(np.ones(2, "i4"), requires_grad=True)
T.asarray(ones, requires_grad=True)
T.asarray(ones, device="cpu"), T.asarray([1], device=T.device("cpu"))
T.tensor(ones[::-1])
T.as_tensor(ones[::-1])
T.as_tensor(ones.astype(">f4"))
T.frombuffer(bytearray(8), dtype=T.float32)
T.frombuffer(bytearray(8), dtype=T.float32, requires_grad=True)
T.frombuffer(bytearray(range(8)), dtype=T.uint8, count=3, offset=2)
T.frombuffer(b"abcd", dtype=T.uint8)
T.frombuffer(bytearray(7), dtype=T.float32)
T.frombuffer(bytearray(7), dtype=T.float32, count=1)
T.frombuffer(bytearray(0), dtype=T.float32)
T.frombuffer(bytearray(8), dtype=T.float32, count=0)
T.frombuffer(bytearray(8), dtype=T.float32, offset=8)
T.frombuffer(bytearray(8), dtype=T.float32, offset=-1)
T.frombuffer(bytearray(8), dtype=T.float32, count=3)
T.frombuffer(bytearray(8))
T.frombuffer(3, dtype=T.uint8)
(lambda b: box.write(b[0], T.frombuffer(b, dtype=T.uint8), b[0]))(bytearray(2))
np.from_dlpack(T.ones(3)).tolist(), np.from_dlpack(T.ones(2, 3).T).strides, np.from_dlpack(T.ones(0, 3)).shape
np.from_dlpack(T.tensor(2.0)).tolist(), np.from_dlpack(T.tensor([True])).tolist()
(lambda x: box.write(x, np.from_dlpack(x))[0])(T.ones(3))
(lambda x: box.write(x, np.from_dlpack(x.expand(2, 3)))[0])(T.ones(3))
(lambda x: box.write(np.from_dlpack(x).tolist, x)[0]())(T.ones(3))
np.from_dlpack(T.ones(3, requires_grad=True))
np.from_dlpack(T.ones(3, requires_grad=True) * 2)
[int(n) for n in T.ones(3).__dlpack_device__()]
T.ones(3).__dlpack__(stream=3)
T.ones(3).__dlpack__(1)
[repr(T.ones(3).__dlpack__(**k))[:25] for k in ({}, {"stream": None}, {"stream": -1}, {"dl_device": (1, 0)}, {"copy": True})]
T.ones(3).__dlpack__(dl_device=(2, 0))
T.ones(3, requires_grad=True).__dlpack__()
(lambda x: box.write(ones, x))(T.from_dlpack(ones))
(lambda x: box.write(x, ones, x._version))(T.from_dlpack(ones))
(lambda x: box.write(ones, x))(T.from_dlpack(ones, copy=True))
(lambda x: box.write(ones, x))(T.from_dlpack(ones, copy=False))
T.from_dlpack(np.ones((0, 3))), T.from_dlpack(np.array(3.0)), T.from_dlpack(ones > 0), T.from_dlpack(six.T), T.from_dlpack(six[:, ::2])
T.from_dlpack(ones.astype(">f4"))
T.from_dlpack(box.locked(ones))
(lambda x: (*box.write(x, T.from_dlpack(x)), x._version, T.from_dlpack(x) is x))(T.ones(3))
(lambda x: box.write(x, T.from_dlpack(x.__dlpack__())))(T.ones(3))
(lambda x: box.write(x, T.from_dlpack(x.__dlpack__(copy=True))))(T.ones(3))
T.from_dlpack(T.ones(3, requires_grad=True))
(lambda c: (T.from_dlpack(c), T.from_dlpack(c)))(T.ones(3).__dlpack__())
T.from_dlpack(3)
T.from_dlpack([1])
T.from_dlpack(ones, device="cpu")
T.from_dlpack(ones, device="cuda")
T.from_dlpack(T.arange(4.0)[1:])
T.utils.dlpack.from_dlpack(T.utils.dlpack.to_dlpack(T.ones(3)))
T.from_dlpack(T.to_dlpack(T.ones(3, requires_grad=True)))
box.saved(np.save, T.ones(2)).tolist()
box.saved(np.save, T.ones(2, requires_grad=True))
(lambda a: np.multiply(T.ones(3), 2, out=a) is a)(ones)
np.multiply(ones, 2, out=T.ones(3))
T.zeros(0, 3).stride(), T.zeros(2, 0, 3).stride(), T.zeros(0).stride(), T.zeros(3, 0).stride(), (T.zeros(0, 3) + 1).stride()
T.zeros(4, 6)[1:1].stride(), T.zeros(4, 6)[1:1].T.stride(), T.ones(()).stride(), T.ones(2, 3).stride(-2)
T.ones(2, 3).stride(2)
T.ones(()).stride(0)
T.arange(6.0)[2:][1:].storage_offset(), T.arange(6.0).view(2, 3)[1].storage_offset()
T.zeros(0).data_ptr(), T.zeros(0, 3).data_ptr(), T.ones(4)[4:].data_ptr(), T.ones(2).data_ptr() == 0
(lambda x: (x[1:].data_ptr() - x.data_ptr(), x[1:].untyped_storage().data_ptr() - x.data_ptr()))(T.ones(4))
(lambda x: (x[1:].storage()._cdata == x.untyped_storage()._cdata, x.clone().storage()._cdata == x.storage()._cdata))(T.ones(4))
T.ones(4)[1:].untyped_storage().nbytes(), T.zeros(0).untyped_storage().nbytes(), len(T.ones(2).untyped_storage())
T.arange(3.0).storage().tolist(), T.arange(3.0).storage().size(), len(T.arange(3)[1:].storage()), list(T.arange(3.0).storage())
repr(T.arange(3.0).storage()), str(T.tensor([True]).storage()), repr(T.arange(2).byte().untyped_storage()), repr(T.arange(2).storage())
T.arange(3.0).storage()[1], T.arange(3).storage()[-1], T.arange(3.0).untyped_storage()[7], T.arange(6.0)[3:].storage()[0]
T.arange(3.0).storage()[3]
T.arange(3.0).storage()[1:2]
(lambda x: (x.storage().__setitem__(3, 5), x, x._version))(T.zeros(2, 2))
(lambda x: (x.storage().fill_(5).size(), x, x._version))(T.zeros(2, 2))
(lambda x: (x.storage().clone().__setitem__(3, 5), x))(T.zeros(2, 2))
T.ones(2).storage().dtype, str(T.ones(2).storage().device), T.ones(2).storage().nbytes(), T.ones(2).storage().element_size()
type(T.ones(2).storage()).__name__, type(T.ones(2).untyped_storage()).__name__, T.ones(2).storage().type()
T.ones(2).storage().untyped().nbytes(), isinstance(T.ones(2).storage(), T.TypedStorage), isinstance(T.ones(2).untyped_storage(), T.UntypedStorage)
T.is_storage(T.ones(2).storage()), T.is_storage(T.ones(2).untyped_storage()), T.is_storage(T.ones(2))
(lambda x: [x.is_set_to(y) for y in (x, x.view(2), x.detach(), x.clone(), x[1:], x.view(1, 2), x[::2], copy.copy(x))])(T.ones(2))
T.ones(2).is_set_to(3)
[box.pickled(T.ones(2, requires_grad=True), protocol) for protocol in range(6)]
box.pickled(T.arange(6.0).view(2, 3).T), box.pickled(T.arange(6.0)[2:4]), box.pickled(T.ones(3).expand(2, 3))
box.pickled(T.zeros(0, 3)), box.pickled(T.tensor(True)), box.pickled(T.ones(2).half())
box.pickled(T.ones(2, requires_grad=True) * 2)
box.write(*box.pickled((lambda x: [x, x[1:]])(T.arange(4.0)))[::-1])
(lambda a, b: a is b)(*box.pickled([T.ones(2)] * 2))
(lambda x: (x, x.note, x.grad))(box.pickled(box.noted(T.ones(2, requires_grad=True), T.ones(2))))
(lambda x: (x, x.note, x.grad))(box.pickled(box.noted(T.nn.Parameter(T.ones(2)), T.ones(2))))
(lambda x: (x, x.note, x.grad))(copy.deepcopy(box.noted(T.ones(2, requires_grad=True), T.ones(2))))
(lambda x: (x, x.grad))(copy.deepcopy(box.noted(T.nn.Parameter(T.ones(2)), T.ones(2))))
(lambda x: (x, copy.copy(x), copy.copy(x).note is x.note, copy.copy(x).grad))(box.noted(T.nn.Parameter(T.ones(2)), T.ones(2)))
(lambda x: box.write(x, copy.copy(x), x._version))(T.ones(3))
copy.copy(T.ones(2, requires_grad=True) * 2)
copy.deepcopy(T.ones(2, requires_grad=True) * 2)
box.write(*copy.deepcopy((lambda x: [x, x[:1]])(T.arange(4.0))))
copy.deepcopy((lambda x: (x.view(2, 2).T, x[1:], x))(T.arange(4.0)))
copy.deepcopy(T.ones(3).expand(2, 3)), copy.deepcopy(T.arange(6.0)[::2]), copy.deepcopy(T.zeros(0, 3)), copy.deepcopy(T.tensor(1.0))
(lambda m: (repr(m), m[0].weight is m[1].weight, m.state_dict().keys()))(box.pickled((lambda l: T.nn.Sequential(l, l))(T.nn.Linear(2, 2))))
(lambda m: (repr(m), m[0] is m[1]))(copy.deepcopy((lambda l: T.nn.Sequential(l, l))(T.nn.Linear(2, 2))))
box.pickled(T.nn.Linear(2, 1).state_dict())._metadata, copy.deepcopy(T.nn.Linear(2, 1).state_dict())._metadata
(lambda o: (repr(o), o.state_dict(), o.param_groups[0]["params"][0] in o.state))(box.pickled(box.stepped(T)))
(lambda o: (repr(o), o.state_dict(), o.param_groups[0]["params"][0] in o.state))(copy.deepcopy(box.stepped(T)))
(lambda o, p: p is o.param_groups[0]["params"][0])(*copy.deepcopy((lambda o: (o, o.param_groups[0]["params"][0]))(box.stepped(T))))
(lambda g: T.randn(3, generator=box.pickled(g)).equal(T.randn(3, generator=g)))(box.drawn(T, T.Generator().manual_seed(3)))
(lambda g: T.randn(3, generator=copy.deepcopy(g)).equal(T.randn(3, generator=g)))(box.drawn(T, T.Generator().manual_seed(3)))
(lambda d: (d[1], len(d)))(box.pickled(T.utils.data.TensorDataset(T.ones(3, 2), T.arange(3))))
list(box.pickled(T.utils.data.DataLoader(T.utils.data.TensorDataset(T.arange(5)), batch_size=2)))
(lambda d: (d[1], len(d)))(copy.deepcopy(T.utils.data.Subset(T.utils.data.TensorDataset(T.arange(3)), [0, 2])))
box.pickled(T.float32) is T.float32, copy.deepcopy(T.bool) is T.bool, box.pickled(T.device("cpu")), box.pickled(T.Size([1, 2]))
"""  # noqa: E501


@pytest.mark.parametrize("line", [line for line in LINES.split("\n") if line])
def test_the_same_line(line):
    assert told(minigrad, line) == told(torch, line)


def test_numpy_is_told_whether_to_copy():
    x = minigrad.ones(2)
    assert np.shares_memory(np.array(x, copy=False), x.numpy())
    assert np.shares_memory(np.array(x, copy=None), x.numpy())
    assert not np.shares_memory(np.array(x, copy=True), x.numpy())


# DLPack, both ways, of every dtype and layout.

LAYOUTS = (
    lambda x: x,
    lambda x: x.transpose(0, -1),
    lambda x: x[1:],
    lambda x: x[..., ::2],
    lambda x: x[None].expand(2, *x.shape),
)
CONSUMERS = {"torch": torch.from_dlpack, "minigrad": minigrad.from_dlpack, "numpy": np.from_dlpack}
PRODUCERS = {"torch": torch.from_numpy, "minigrad": minigrad.from_numpy}


@pytest.mark.parametrize("consumer", CONSUMERS)
@pytest.mark.parametrize("producer", PRODUCERS)
@given(dtype=st.sampled_from(DTYPES), shape=shapes(1), seed=SEEDS, layout=st.sampled_from(LAYOUTS))
def test_dlpack(producer, consumer, dtype, shape, seed, layout):
    values = np.random.default_rng(seed).integers(0, 2, shape).astype(dtype)
    made = layout(PRODUCERS[producer](values))
    got = CONSUMERS[consumer](made)
    assert str(got.dtype).removeprefix("torch.") == dtype
    assert tuple(got.shape) == tuple(made.shape)
    seen = got if consumer == "numpy" else got.numpy()
    assert seen.tobytes() == made.numpy().tobytes()
    for n, ours, theirs in zip(seen.shape, seen.strides, made.stride(), strict=True):
        assert n < 2 or not seen.size or ours // seen.itemsize == theirs
    if seen.size:
        to_write = seen if seen.flags.writeable else made.numpy()  # NumPy 2.0 has read-only arrays only
        to_write[(0,) * seen.ndim] = not seen[(0,) * seen.ndim]
        assert seen.tobytes() == made.numpy().tobytes()
        assert seen.tobytes() == layout(torch.from_numpy(values)).numpy().tobytes()


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_memory_lives_as_long_as_the_last_of_its_users(consumer):
    for make in (lambda: minigrad.arange(1000.0), lambda: minigrad.from_dlpack(torch.arange(1000.0))):
        kept = [CONSUMERS[consumer](make()) for _ in range(20)]
        rubbish = [np.full(1000, -1, np.float32) for _ in range(100)]
        assert all(x.tolist() == list(range(1000)) for x in kept)
        assert len(rubbish) == 100
    x = copy.copy(minigrad.from_numpy(np.arange(1000.0)[1:]))
    bytes_ = minigrad.arange(1000.0).untyped_storage()
    rubbish = [np.full(1000, -1.0) for _ in range(100)]
    assert x.tolist() == list(range(1, 1000))
    assert bytes_.tolist() == torch.arange(1000.0).untyped_storage().tolist()


def test_what_is_read_only_stays_so():
    array = np.ones(3)
    array.flags.writeable = False
    made = []
    for make in (minigrad.from_numpy, minigrad.as_tensor, minigrad.asarray):
        with pytest.warns(UserWarning, match="The given NumPy array is not writable"):
            made.append(make(array))
    if exchange.VERSIONED:
        made.append(minigrad.from_dlpack(array))
    else:  # NumPy 2.0, whose DLPack can't say that an array is read-only
        with pytest.raises(BufferError):
            minigrad.from_dlpack(array)
    for x in made:
        for write in (lambda x: x.add_(1), lambda x: x.fill_(2), lambda x: x.__setitem__(0, 3), lambda x: x.zero_()):
            with pytest.raises(RuntimeError, match="read-only"):
                write(x)
    assert array.tolist() == [1, 1, 1]
    assert minigrad.from_numpy(np.ones(3)).expand(2, 3).numpy().flags.writeable


class Old:
    """A producer of DLPack's first version."""

    def __init__(self, x, device=(1, 0)):
        self.x, self.device = x, device

    def __dlpack__(self, stream=None):
        return self.x.__dlpack__()

    def __dlpack_device__(self):
        return self.device


def test_producers_of_the_first_version_and_of_other_devices():
    array = np.ones(3)
    minigrad.from_dlpack(Old(array)).mul_(2)
    assert array.tolist() == [2, 2, 2]
    with pytest.raises(BufferError, match="CPU"):
        minigrad.from_dlpack(Old(array, (2, 0)))
    with pytest.raises(TypeError, match="complex64"):
        minigrad.from_dlpack(torch.ones(3, dtype=torch.complex64))
    with pytest.raises(ValueError, match="negative"):  # PyTorch ends the process
        minigrad.from_dlpack(array[::-1])


def test_who_owns_memory():
    base = np.arange(12.0).reshape(3, 4)
    views = [base, base.T[1:], np.lib.stride_tricks.as_strided(base[1], (2, 2), (8, 8)), base[2, 3]]
    assert all(storage.owner(np.asarray(x)) is storage.owner(base) for x in views[:3])
    data, start = storage.memory(base.T[1:])
    assert (data.nbytes, start) == (96, 8)
    assert storage.owner(data) is storage.owner(base)
    assert storage.memory(np.empty((0, 3)))[0].nbytes == 0
    assert minigrad.from_numpy(base[1:]).untyped_storage().nbytes() == 64


def test_with_dlpack_of_the_first_version(monkeypatch):
    """As NumPy 2.0 has it, whose arrays from DLPack are all read-only: there, too, memory is shared both ways."""
    monkeypatch.setattr(exchange, "VERSIONED", False)
    x = minigrad.arange(6.0).view(2, 3)
    y = minigrad.from_dlpack(x.T)
    y[0, 1] = 7.0
    assert x[1, 0] == 7
    array = np.ones(3)
    minigrad.from_dlpack(array).mul_(2)
    assert array.tolist() == [2, 2, 2]
