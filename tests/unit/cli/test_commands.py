"""The list of commands is true, in the order of use, and answers without slow imports."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from helpers.checkout import ROOT
from hil.cli.commands import COMMANDS, Entry, load_command, present_entries
from hil.cli.main import app
from hil.store.store import STORE_FILE

# Each takes a tenth of a second to seconds to import.
SLOW = ("torch", "numpy", "scipy", "matplotlib", "pyocd", "optuna", "distributed", "tflite")
# Calls `hil` with each of the lists of arguments, and tells which slow modules that imported.
CODE = """
import io, json, os, sys
from contextlib import redirect_stderr, redirect_stdout
from hil.__main__ import start
calls, slow = json.loads(sys.argv[1])
told = []
for arguments, asked in calls:
    sys.argv = ["hil", *arguments]
    os.environ.update(asked)
    out, code = io.StringIO(), None
    with redirect_stdout(out), redirect_stderr(io.StringIO()):
        try:
            start()
        except SystemExit as end:
            code = end.code or 0
    told.append([code, out.getvalue(), [one for one in slow if one in sys.modules]])
print(json.dumps(told))
"""
WRONG = [
    *(["evolve", "--nope"], ["evolve", "--engine", "nope"], ["evolve", "--board", "nope"]),
    *(["evolve", "--task", "nope"], ["evolve", "--max-flash", "nope"], ["report", "none"]),
    *(["bench", "--task", "nope"], ["bench", "m.tflite", "--board", "nope"]),
    *(["study", "--arms", "nope"], ["sensitivity", "--task", "nope"], ["bench", "none.tflite"]),
    *(["bench", "digits", "--keep", "/"], ["bench", "none:3"], ["compare", "none", "none"]),
    *(["export", "none", "--out", "lib"], ["trials", "export", "none", "a.csv"]),
]
RIGHT = [["boards"], ["init", "new"], ["bench", "--help"], ["evolve", "--help"]]


def calls(
    folder: Path, slow: Sequence[str], *asked: tuple[list[str], dict[str, str]]
) -> list[tuple[int, str, list[str]]]:
    """For each call in one process: exit code, stdout, the modules of `slow` imported by then."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps([asked, slow])],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    return [(code, out, modules) for code, out, modules in json.loads(done.stdout)]


def completing(words: str) -> dict[str, str]:
    """The environment by which bash asks for the completion of the last of `words`."""
    count = str(len(words.split()) - 1)
    return {"_HIL_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": count}


def test_the_list_of_commands_imports_nothing_slow(tmp_path: Path) -> None:
    lists: list[list[str]] = [["--help"], ["--version"], ["evolv"], ["doctor", "--help"]]
    asked = [(one, {}) for one in lists]
    found = calls(tmp_path, SLOW, *asked, ([], completing("hil ev")))
    assert [code for code, _, _ in found] == [0, 0, 2, 0, 0]
    assert [modules for _, _, modules in found] == [[]] * 5
    assert found[-1][1].split() == ["evolve"]


def test_help_and_wrong_options_import_nothing_slow(tmp_path: Path) -> None:
    asked = [(one, {}) for one in (*WRONG, *RIGHT)]
    found = calls(tmp_path, SLOW, *asked)
    codes = [2] * len(WRONG) + [0] * len(RIGHT)
    assert [(code, modules) for code, _, modules in found] == [(code, []) for code in codes]


def test_a_shell_completes_options_and_names_without_slow_imports(tmp_path: Path) -> None:
    for run in ("kws-m4", "digits-m3", "digits-m4"):
        (tmp_path / "runs" / run).mkdir(parents=True)
        (tmp_path / "runs" / run / STORE_FILE).touch()
    (tmp_path / "runs" / "digits-none").mkdir()  # no run yet
    runs = ["digits-m3", "digits-m4"]
    expected = {
        "hil evolve --max-f": ["--max-flash"],
        "hil evolve --board nucleo-f4": ["nucleo-f446re"],
        "hil evolve --task fashion_": ["fashion_resnet"],
        "hil evolve --engine ad": ["adaptive"],
        "hil evolve --run d": runs,
        "hil bench --board m5": ["m55"],
        "hil bench d": ["digits", "digits-m3:", "digits-m4:"],
        "hil doctor --board m5": ["m55"],
        "hil boards m5": ["m55"],
        "hil export --board m5": ["m55"],
        "hil study --task vw": ["vww"],
        "hil farm worker tcp://x:1 --board m5": ["m55"],
        "hil calibrate --board m5": ["m55"],
        "hil energy --board m5": ["m55"],
        "hil sensitivity --task vw": ["vww"],
        "hil report none": [],
        **{f"hil {one} d": runs for one in ("report", "dashboard", "export", "compare")},
        **{f"hil trials {one} d": runs for one in ("export", "import", "merge")},
        "hil compare digits-m3 k": ["kws-m4"],
        "hil trials merge kws-m4 d": runs,
    }
    found = calls(tmp_path, SLOW, *(([], completing(words)) for words in expected))
    shown = {words: out.split() for words, (_, out, _) in zip(expected, found, strict=True)}
    assert shown == expected
    assert [modules for _, _, modules in found] == [[]] * len(expected)


def test_the_version_is_the_packages() -> None:
    shown = CliRunner().invoke(app, ["--version"])
    assert shown.exit_code == 0
    assert shown.output.startswith(f"hil-compress {version('hil-compress')}, Python ")


def test_commands_are_listed_in_the_order_of_use() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    places = [shown.index(f"│ {entry.name} ") for entry in present_entries()]
    assert places == sorted(places)
    assert [entry.name for entry in COMMANDS][:7] == [
        *("init", "doctor", "boards", "operators", "bench", "evolve", "report"),
    ]


@pytest.mark.parametrize("entry", present_entries(), ids=lambda entry: entry.name)
def test_the_line_of_a_command_is_its_own(entry: Entry) -> None:
    command = load_command(entry.name)
    assert " ".join(inspect.cleandoc(command.help).split("\n\n")[0].split()) == entry.help


def test_every_module_with_commands_is_listed() -> None:
    registers = {
        path.stem
        for path in (ROOT / "hil/cli").glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name == "register"
    }
    assert registers == {entry.module for entry in present_entries()}
