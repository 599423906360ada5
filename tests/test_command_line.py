"""`minigrad run script.py` does what `python script.py` does, to the character, but for what torch is."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
MODULE = [sys.executable, "-m", "minigrad", "run"]
# What pip installs as `minigrad`, from the entry point in pyproject.toml
CONSOLE = "import sys\nfrom minigrad.__main__ import main\nif __name__ == '__main__':\n    sys.exit(main())\n"


def outcome(command, folder, environment=ENVIRONMENT, **options):
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, **options)
    return done.stdout, done.stderr, done.returncode


SCRIPTS = {
    "output": "print('out'); import sys; print('err', file=sys.stderr)",
    "arguments": "import sys; print(sys.argv)",
    "main": "print(__name__, __file__, __package__, __spec__, __cached__, __doc__, type(__loader__).__name__)",
    "docstring": "'''About.'''\nprint(__doc__, sorted(globals()))",
    "main module": "import sys; x = 1; print(sys.modules['__main__'].x, vars(sys.modules['__main__']) is globals())",
    "import beside it": "import sys, neighbour; print(neighbour.x, sys.path[0])",
    "stdin": "import sys; print(sys.stdin.read().upper(), end='')",
    "annotations": "x: undefined_name = 1" + "\nprint(__annotations__)",  # not the future of our own files
    "uncaught": "def f():\n    return 1 / 0\n\n\nf()",
    "raised from": "try:\n    {}['key']\nexcept KeyError as error:\n    raise ValueError('x') from error",
    "raised while handling": "try:\n    1 / 0\nexcept ZeroDivisionError:\n    undefined",
    "group": "raise ExceptionGroup('several', [ValueError(1), KeyError(2)])",
    "in an import": "import broken",
    "name error": "prnt('x')",
    "no such module": "import no_such_module_anywhere",
    "no such name": "from os import no_such_name",
    "syntax error": "x = 1\nif x\n    print(x)",
    "indentation error": "if True:\nprint(1)",
    "unclosed": "print((1, 2)",
    "syntax error in an import": "import unparsable",
    "exit()": "import sys; sys.exit()",
    "exit(3)": "import sys; sys.exit(3)",
    "exit(None)": "raise SystemExit(None)",
    "exit with a text": "import sys; sys.exit('the reason')",
    "exit(True)": "import sys; sys.exit(True)",
    "exit in a function": "def f():\n    exit(4)\nf()",
    "os._exit": "import os; print('lost'); os._exit(5)",
    "interrupted": "raise KeyboardInterrupt",
    "aborted": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "atexit": "import atexit; atexit.register(print, 'at exit'); print('before'); 1 / 0",
    "warning": "import warnings\nwarnings.warn('old')\ndef f():\n    warnings.warn('older', stacklevel=2)\nf()",
    "deprecation": "import warnings\nwarnings.warn('old', DeprecationWarning)",
    "escape": "x = '\\d'",
    "hook": "import sys\nsys.excepthook = lambda *args: print(args[:2], args[2].tb_lineno, args[2].tb_next)\n1 / 0",
    "thread": "from threading import Thread\nthread = Thread(target=lambda: 1 / 0)\nthread.start()\nthread.join()",
    "pickle": "import pickle\nclass A:\n    x = 3\nprint(pickle.loads(pickle.dumps(A())).x, A, pickle.dumps(A))",
    "encoding": "# -*- coding: latin-1 -*-\nprint(ascii('\xe4'))",
    "byte order mark": "\ufeffprint('x')",
    "no newline at the end": "print('x')\n# the end",
    "deleted": "class A:\n    def __del__(self):\n        print('deleted')\na = A()",
    "assertion": "assert 1 == 2, 'unequal'",
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "neighbour.py").write_text("x = 5")
    (tmp_path / "broken.py").write_text("def f():\n    raise OSError('broken')\n\n\nf()\n")
    (tmp_path / "unparsable.py").write_text("x = = 1")
    (tmp_path / "console").write_text(CONSOLE)
    return tmp_path


@pytest.mark.parametrize("name", SCRIPTS)
def test_as_python_does(name, folder):
    script = folder / "script.py"
    script.write_text(SCRIPTS[name], encoding="latin-1" if name == "encoding" else "utf-8")
    asked = ["script.py", "--epochs", "3", "-h", "--", "-v"]
    expected = outcome([sys.executable, *asked], folder, input="some text\n")
    assert outcome([*MODULE, *asked], folder, input="some text\n") == expected
    assert outcome([sys.executable, "console", "run", *asked], folder, input="some text\n") == expected


def test_the_statuses_are_those_meant(folder):
    """The comparison above can't see that both are wrong."""
    statuses = {"exit(3)": 3, "exit with a text": 1, "uncaught": 1, "os._exit": 5, "interrupted": -signal.SIGINT}
    for name, status in statuses.items():
        (folder / "script.py").write_text(SCRIPTS[name])
        assert outcome([*MODULE, "script.py"], folder)[2] == status


@pytest.mark.parametrize("options", [["-O"], ["-W", "error"], ["-P"], ["-I"], ["-X", "dev"]])
def test_options_of_python_hold(options, folder):
    (folder / "script.py").write_text("import sys, warnings\nassert sys.flags.optimize\nwarnings.warn('x')")
    if "-I" in options:  # which ignores PYTHONPATH
        (folder / "console").write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n" + CONSOLE)
    expected = outcome([sys.executable, *options, "script.py"], folder)
    assert outcome([sys.executable, *options, "console", "run", "script.py"], folder) == expected


def test_another_folder_and_a_link(folder):
    (folder / "scripts").mkdir()
    (folder / "scripts" / "script.py").write_text("import sys; print(sys.argv, __file__, sys.path[0]); 1 / 0")
    (folder / "link.py").symlink_to("scripts/script.py")
    for script in ("scripts/script.py", str(folder / "scripts" / "script.py"), "link.py", "./scripts/../link.py"):
        assert outcome([*MODULE, script], folder) == outcome([sys.executable, script], folder)


def test_endless_recursion(folder):
    """As under python, but for the number of frames that are left of a thousand."""
    (folder / "script.py").write_text("def f(n):\n    return f(n + 1)\nf(0)")
    texts = [outcome([*command, "script.py"], folder)[1] for command in ([sys.executable], MODULE)]
    texts = [re.sub(r"repeated \d+ more", "repeated N more", text) for text in texts]
    assert texts[0] == texts[1]
    assert "repeated N more" in texts[0]


@pytest.mark.parametrize("statement", ["import torch.distributed", "from torch.nn import Conv2d", "torch.vmap"])
def test_frames_that_explain_are_not_shown(statement, folder):
    """Those of the import of torch and of its missing names, in an exception and in what it came from."""
    lines = [
        "import torch",
        "try:",
        f"    {statement}",
        "except Exception as error:",
        "    raise ValueError from error",
    ]
    (folder / "script.py").write_text("\n".join(lines))
    err = outcome([*MODULE, "script.py"], folder)[1]
    frames = [line for line in err.splitlines() if line.startswith("  File ")]
    assert frames == [f'  File "{folder / "script.py"}", line {n}, in <module>' for n in (3, 5)]
    assert "PyTorch 2.13 has it, minigrad has not" in err


def test_a_file_that_is_not_there(folder):
    expected = outcome([sys.executable, "missing.py"], folder)
    out, err, status = outcome([*MODULE, "missing.py"], folder)
    assert (out, status) == ("", 2) == (expected[0], expected[2])
    assert err.partition(": ")[2] == expected[1].partition(": ")[2]
    assert err == f"minigrad: can't open file '{folder / 'missing.py'}': [Errno 2] No such file or directory\n"


def test_a_folder_is_no_script(folder):
    out, err, status = outcome([*MODULE, "."], folder)
    assert (out, status) == ("", 2)
    assert err.endswith("[Errno 21] Is a directory\n")


def test_help(folder):
    out, err, status = outcome([sys.executable, "-m", "minigrad", "--help"], folder)
    assert status == 0
    assert "run a PyTorch script without PyTorch" in out
    out, err, status = outcome([*MODULE, "--help"], folder)
    assert out.startswith("usage: minigrad run [-h] script ...\n")
    out, err, status = outcome([sys.executable, "-m", "minigrad"], folder)
    assert (out, status) == ("", 2)
    assert "the following arguments are required: command" in err
    assert outcome(MODULE, folder)[2] == 2


SCRIPT = """\
import pickle
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.autograd import Variable
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, x):
        return F.relu(self.linear(x))


torch.manual_seed(1)
model = Net()
loader = DataLoader(TensorDataset(torch.randn(4, 2), torch.ones(4, 1)), batch_size=2, shuffle=True)
for x, y in loader:
    print(F.mse_loss(model(Variable(x)), y))
print(model, type(model), type(model.linear), type(x), type(model.linear.weight), isinstance(x, torch.Tensor))
torch.save(model, "whole.pt")
again = torch.load("whole.pt", weights_only=False)
print(again(x).equal(model(x)), type(again), type(pickle.loads(pickle.dumps(model)).linear))
print(torch.__version__ >= "2.9", sys.argv)
"""


def test_a_script_prints_what_it_prints_under_pytorch(folder):
    (folder / "script.py").write_text(SCRIPT)
    out, err, status = outcome([sys.executable, "script.py"], folder)
    assert (err, status) == ("", 0)
    assert outcome([*MODULE, "script.py"], folder) == (out, "", 0)


def test_without_pytorch(folder):
    """As where it is not installed: a module of that name, found first, raises what Python raises."""
    (folder / "bare" / "torch").mkdir(parents=True)
    error = "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')"
    (folder / "bare" / "torch" / "__init__.py").write_text(error)
    bare = ENVIRONMENT | {"PYTHONPATH": f"{folder / 'bare'}:{ROOT}"}
    (folder / "script.py").write_text(SCRIPT)
    expected = outcome([sys.executable, "script.py"], folder)
    assert outcome([*MODULE, "script.py"], folder, bare) == expected
    assert outcome([sys.executable, "script.py"], folder, bare)[2] == 1
    (folder / "script.py").write_text("import minigrad\nwith minigrad.real_torch() as torch:\n    print(torch)")
    out, err, status = outcome([*MODULE, "script.py"], folder, bare)
    assert (out, status) == ("", 1)
    assert err.splitlines()[-1].startswith("ModuleNotFoundError: PyTorch is not installed here")
    assert "pip install torch" in err
