"""A task is found by the name of its module or loaded from a user's file."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from compress.errors import UserError
from compress.tasks import TASK_NAMES, _find_names, full_task_name, get_task, task_label
from compress.tasks.digits import TASK
from compress.types import Task
from hil.cli.main import app

MINE = """
from dataclasses import replace
from torch import nn
from compress.tasks.digits import TASK as DIGITS

class Net(nn.Linear):
    def __init__(self):
        super().__init__(4, 2)

TASK = replace(DIGITS, name="mine", net=Net, accuracy_floor=0.5)
"""


def written(folder: Path, text: str, name: str = "mine.py") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_tasks_of_the_package_are_found_by_name() -> None:
    assert {"digits", "fashion", "kws", "motion"} < {*TASK_NAMES}
    assert get_task("digits") is TASK


def test_a_module_with_a_task_needs_no_entry_in_a_list(tmp_path: Path) -> None:
    written(tmp_path, '"""A task."""\n\nTASK = Task(\n    name="other",\n)\n', "other.py")
    written(tmp_path, "def helper() -> None:\n    TASK = Task()\n", "helper.py")
    assert _find_names(tmp_path) == ("other",)


def test_an_unknown_name_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(
        UserError, match=r"unknown task 'mine': allowed are .*digits, .*kws, .*or .*\.py"
    ):
        get_task("mine")


def test_a_file_is_loaded_once_per_text(tmp_path: Path) -> None:
    name = written(tmp_path, MINE)
    task = get_task(name)
    assert isinstance(task, Task)
    assert (task.name, task.accuracy_floor) == ("mine", 0.5)
    assert get_task(name) == task
    written(tmp_path, MINE.replace("0.5", "0.6"))
    changed = get_task(name)
    assert changed.accuracy_floor == 0.6
    assert changed.source != task.source
    assert not (tmp_path / "__pycache__").exists()


def test_a_relative_path_is_kept_as_an_absolute_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = written(tmp_path, MINE)
    monkeypatch.chdir(tmp_path)
    name = full_task_name("mine.py")
    assert name == whole
    assert get_task("mine.py").source == get_task(whole).source
    assert (full_task_name("kws"), task_label("kws"), task_label(name)) == ("kws", "kws", "mine")


def test_another_process_unpickles_the_network_of_a_file(tmp_path: Path) -> None:
    """Snapshots of the prefix cache are pickles that several processes read."""
    name = written(tmp_path, MINE)
    pickled = tmp_path / "net.pickle"
    pickled.write_bytes(pickle.dumps(get_task(name).net()))
    code = (
        "import pickle, sys; from pathlib import Path; from compress.tasks import get_task\n"
        "get_task(sys.argv[1]); print(type(pickle.loads(Path(sys.argv[2]).read_bytes())).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, name, pickled], capture_output=True, text=True, check=True
    )
    assert done.stdout == "Net\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("TASK = Task(\n", r"mine\.py, line 1: SyntaxError: .* was never closed; correct the file"),
        ("\0", r"mine\.py: \w+Error: .*null bytes; correct the file"),
        ("x = 1\nimport nothing_here\n", r"mine\.py, line 2: ModuleNotFoundError: .*nothing_here"),
        ("raise SystemExit(1)\n", r"mine\.py, line 1: SystemExit: 1; correct the file"),
        ("from compress.types import Task\nTASK = Task(name='x')\n", r"line 2: TypeError"),
        ("x = 1\n", r"mine\.py defines no TASK: add TASK = Task\(\.\.\.\)"),
        ("TASK = 'mine'\n", r"mine\.py: TASK is of type str, must be a compress\.types\.Task"),
    ],
)
def test_a_file_that_is_no_task_is_refused(tmp_path: Path, text: str, message: str) -> None:
    name = written(tmp_path, text)
    for _ in range(2):  # a failed load leaves no half-made module behind
        with pytest.raises(UserError, match=message):
            get_task(name)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read task file .*mine\.py: No such file"):
        get_task(str(tmp_path / "mine.py"))
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(UserError, match=r"cannot read task file .*folder\.py: Is a directory"):
        get_task(str(tmp_path / "folder.py"))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            "import numpy as np\n\ndef load():\n    return np.load('/none/mine.npz')\n",
            r"task file .*mine\.py: load, line 13: FileNotFoundError: .*No such file.*correct the",
        ),
        (
            "def load():\n    return 1, 2\n",
            r"load gives a tuple, must be a compress\.types\.Dataset",
        ),
    ],
)
def test_data_that_cannot_be_loaded_are_one_line(
    tmp_path: Path, function: str, message: str
) -> None:
    text = MINE.replace("TASK = replace(DIGITS,", f"{function}\nTASK = replace(DIGITS, load=load,")
    task = get_task(written(tmp_path, text))
    with pytest.raises(UserError, match=message) as caught:
        task.load()
    assert "\n" not in str(caught.value)


def test_a_network_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    task = get_task(written(tmp_path, MINE.replace("(4, 2)", "(4, 'two')")))
    with pytest.raises(UserError, match=r"mine\.py: net, line 8: TypeError: "):
        task.net()


@pytest.mark.parametrize(
    "command",
    [["bench"], ["sensitivity", "--task"], ["evolve", "--task"], ["study", "--task"]],
    ids=lambda command: command[0],
)
def test_every_command_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    imports = "from dataclasses import replace\nfrom compress.tasks.digits import TASK as DIGITS\n"
    load = "def load():\n    raise ValueError('no data')\n"
    name = written(tmp_path, f"{imports}{load}TASK = replace(DIGITS, name='mine', load=load)\n")
    with pytest.raises(UserError, match=r"mine\.py: load, line 4: ValueError: no data"):
        app([*command, name], standalone_mode=False)
    assert not (tmp_path / "runs").exists()
