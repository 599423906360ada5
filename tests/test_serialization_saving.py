"""minigrad.serialization as it writes: what a kill or a failure leaves, and the arguments and their errors."""

import io
import os
import pickle
import stat
import subprocess
import sys
import threading
import zipfile

import numpy as np
import pytest
from checkpoints import DEEP, OURS, THEIRS, checkpoint, describe, sample, storage, tensor

import minigrad
from minigrad.autograd.node import wrap
from minigrad.serialization import archive, load, save

# What a kill leaves behind. The processes are forked from a fresh one, which has no threads.

KILLED = """
import io, os, random, signal, sys, time
import minigrad
from minigrad.serialization import archive
from minigrad.serialization import load, save

path, times = sys.argv[1], int(sys.argv[2])

def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)

def made(step):
    return {"step": step, "x": minigrad.full((100_000,), step)}

def killed(work, seconds):
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(7)
    if seconds:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    loaded = load(path)
    assert loaded["x"].tolist() == [loaded["step"]] * 100_000
    return loaded["step"]

class Dying(io.FileIO):
    left = 0

    def write(self, part):
        if Dying.left == 0:
            super().write(part[: len(part) // 2])
            die()
        Dying.left -= 1
        return super().write(part)

def dying_at(step):  # of a save: each write, in the middle, and then fsync and replace, before and after
    def work():
        archive.open = lambda name, mode: Dying(name, mode)
        Dying.left = step
        if step >= writes:
            function = (os.fsync, os.replace)[(step - writes) // 2]
            late = (step - writes) % 2
            setattr(os, function.__name__, lambda *args: late and function(*args) or die())
        save(made(1), path)
    return work

def forever():
    step = 2
    while True:
        save(made(step), path)
        step += 1

writes = 0

class Counting(io.BytesIO):
    def write(self, part):
        global writes
        writes += 1

save(made(0), Counting())
save(made(0), path)
left = [killed(dying_at(step), 0) for step in range(writes + 4)]
assert left == [0] * (writes + 3) + [1], left
rng = random.Random(0)
for _ in range(times):
    killed(forever, rng.uniform(0.001, 0.03))
"""


def broken(*args):
    raise OSError(28, "No space left on device")


class TestSaving:
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes as POSIX has them")
    def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new_one(self, tmp_path):
        subprocess.run([sys.executable, "-c", KILLED, tmp_path / "x.pt", str(100 if DEEP else 10)], check=True)

    def test_readers_never_see_a_part(self, tmp_path):
        path = tmp_path / "x.pt"
        save({"step": -1, "x": minigrad.full((100_000,), -1)}, path)
        stop = threading.Event()

        def write():
            step = 0
            while not stop.is_set():
                save({"step": step, "x": minigrad.full((100_000,), step)}, path)
                step += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(30):
                loaded = load(path)
                assert set(loaded["x"].tolist()) == {loaded["step"]}
        finally:
            stop.set()
            writer.join()

    @pytest.mark.parametrize("step", ["fsync", "replace"])
    def test_a_failure_leaves_the_old_file_and_no_other(self, step, tmp_path, monkeypatch):
        path = tmp_path / "x.pt"
        save([1], path)
        monkeypatch.setattr(os, step, broken)
        with pytest.raises(OSError, match="No space"):
            save([2], path)
        assert load(path) == [1]
        assert os.listdir(tmp_path) == ["x.pt"]

    def test_what_cannot_be_pickled_leaves_the_old_file(self, tmp_path):
        path = tmp_path / "x.pt"
        save([1], path)
        for bad in (lambda: 0, (i for i in ()), threading.Lock()):
            with pytest.raises((pickle.PicklingError, TypeError)):
                save([bad], path)
        assert load(path) == [1]
        assert os.listdir(tmp_path) == ["x.pt"]

    def test_permissions_links_and_devices_stay(self, tmp_path):
        path, link = tmp_path / "x.pt", tmp_path / "link.pt"
        old = os.umask(0o027)
        try:
            save([1], path)
        finally:
            os.umask(old)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        link.symlink_to("x.pt")
        save([2], link)
        assert link.is_symlink()
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
        assert load(path) == [2]
        assert sorted(os.listdir(tmp_path)) == ["link.pt", "x.pt"]

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a named pipe")
    def test_what_is_no_file_is_written_to(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        received = []
        reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_bytes()), daemon=True)
        reader.start()
        save([3], tmp_path / "pipe")
        reader.join(5)
        assert load(io.BytesIO(received[0])) == [3]
        assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)

    def test_memory_of_two_dtypes(self):
        x = np.zeros(4, np.float32)
        with pytest.raises(RuntimeError, match="view the same data as different types"):
            save([minigrad.from_numpy(x), minigrad.from_numpy(x.view(np.int32))], io.BytesIO())
        save([minigrad.from_numpy(x), minigrad.from_numpy(x[1:].view(np.int32))], io.BytesIO())  # as in PyTorch
        fields = np.zeros(3, [("a", "f4"), ("b", "i1")])
        with pytest.raises(RuntimeError, match="clone"):
            save(wrap(fields["a"]), io.BytesIO())


# Errors of the arguments: the same type as PyTorch's.


@pytest.mark.parametrize(
    "call",
    [
        lambda E, path: E.save([1], path / "missing" / "x.pt"),
        lambda E, path: E.save([1], path),
        lambda E, path: E.save([1], 5),
        lambda E, path: E.save([1], None),
        lambda E, path: E.read(path / "missing.pt"),
        lambda E, path: E.read(path),
        lambda E, path: E.read(5),
        lambda E, path: E.load(b""),
        lambda E, path: E.load(E.dump([1])[:-30]),
        lambda E, path: E.load(E.dump([1]), mmap=True),
        lambda E, path: E.load(E.dump([1]), weights_only=True, pickle_module=pickle),
        lambda E, path: E.load(E.dump([E.T.ones(1)]), map_location="cuda"),
        lambda E, path: E.load(E.dump([E.T.ones(1)]), map_location=E.T.device("cuda", 0)),
        lambda E, path: E.load(E.dump([E.T.ones(1)]), map_location={"cpu": "cuda:0"}),
        lambda E, path: E.load(E.dump([E.T.ones(1)]), map_location="moon"),
        lambda E, path: E.load(E.dump([E.T.ones(1)]), map_location=3),
        lambda E, path: E.load(E.dump([slice(1)])),
        lambda E, path: E.load(E.dump([np.float64(1)])),
    ],
)
def test_errors(call, tmp_path):
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        call(THEIRS, tmp_path)
    with pytest.raises(theirs.type) as ours:
        call(OURS, tmp_path)
    assert ours.type is theirs.type


@pytest.mark.parametrize(
    "place",
    [None, "cpu", minigrad.device("cpu"), {"cuda:0": "cpu"}, lambda storage, location: storage, lambda s, l: None],
)
def test_map_location(place):
    assert load(io.BytesIO(OURS.dump([minigrad.ones(2)])), place)[0].tolist() == [1, 1]


def test_storages_of_another_device_can_be_mapped():
    data = checkpoint(b"\x80\x02" + tensor(memory=storage(location="cuda:0")) + b".")
    for place in ("cpu", {"cuda:0": "cpu"}, lambda storage, location: storage if location == "cuda:0" else None):
        assert load(io.BytesIO(data), map_location=place).tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(RuntimeError, match="map_location"):
        load(io.BytesIO(data))


def test_pickle_module(tmp_path):
    with pytest.raises(RuntimeError, match="leave"):
        save([1], tmp_path / "x.pt", pickle_module=zipfile)
    assert os.listdir(tmp_path) == []
    for engine in (OURS, THEIRS):
        data = engine.dump([1], pickle_module=pickle, pickle_protocol=2)
        assert engine.load(data, pickle_module=pickle) == [1]


def test_other_protocols_of_pickle_are_for_weights_only_false():
    made = sample(minigrad)
    data = OURS.dump(made, pickle_protocol=4)
    assert describe(load(io.BytesIO(data), weights_only=False, pickle_module=pickle)) == describe(made)
    with pytest.raises(pickle.UnpicklingError, match="opcode"):
        load(io.BytesIO(data))


@pytest.mark.parametrize("chunk", [16, 1 << 24])
@pytest.mark.parametrize("old_format", [False, True])
def test_what_is_written_is_what_was_checked(chunk, old_format, monkeypatch):
    """Another thread trains while its parameters are saved: here, whenever something is written."""
    monkeypatch.setattr(archive, "CHUNK", chunk)
    weights = minigrad.zeros(10)

    class File(io.BytesIO):
        def write(self, part):
            count = super().write(part)
            weights.add_(1)
            return count

    file = File()
    save({"weights": weights}, file, _use_new_zipfile_serialization=not old_format)
    file.seek(0)
    found = load(file)["weights"]
    assert (found > 0).all()
    assert minigrad.equal(found, found.round())


def test_saving_while_another_thread_trains(tmp_path):
    weights, stop = minigrad.zeros(300_000), threading.Event()

    def train():
        while not stop.is_set():
            weights.add_(1)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for _ in range(10):
            save({"weights": weights}, tmp_path / "w.pt")
            load(tmp_path / "w.pt")
    finally:
        stop.set()
        thread.join()
