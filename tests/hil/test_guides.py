"""The guides' commands, as a reader types them, one after the other in an empty folder.

A guide's ```console blocks hold commands (`$ ...`) and lines that they print; `...` stands for
lines left out, and numbers may differ. Lines of ```sh blocks are commands. Blocks with a title are
files. What is done otherwise than a page says stands in the tables below.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from compress.cache import cache_folder
from helpers.checkout import ROOT
from helpers.commands import forking
from helpers.guides import File, Step, Terminal, parts, pattern

# These go on in the folder of the first, with its run.
CONTINUING = ("reading-a-report", "into-your-firmware")
GUIDES = ("first-run", *CONTINUING, "own-network", "own-board", "lab-bench", "ci", "farm")

# Searches try one network only, without looking at fifty others before, in one process.
SHORT = " --trials 1 --engine random"
SMALL = ROOT / "tests" / "helpers" / "small_task.py"
CHANGES = {
    # One computer stands for all, an emulated board for the Nucleo, a small task for keywords.
    "farm": {
        "--host tls://0.0.0.0": "--host tls://127.0.0.1 --port 0",
        "--trainers 8": "--trainers 1",
        "--board nucleo-f446re": "--board m3",
        "--task kws": f"--task {SMALL}",
    },
}
# These run until Ctrl-C, each in a terminal of its own: what they print when they are ready.
ENDLESS = {
    "hil farm scheduler": r"farm at (\S+);",
    "hil farm worker": r"worker of (\S+):",
    "hil dashboard": r"dashboard: (\S+)",
}
EXAMPLE_ADDRESS = "tls://10.0.0.5:8786"  # of the page; the scheduler prints the true one

# What a reader has before: an int8 network with samples, float samples of three kinds.
GUARDED = """
import numpy as np
from compress.tflite.exporter import export_tflite
from helpers.graph_examples import residual

graph = residual()
for name in ("former", "model"):
    open(f"{name}.tflite", "wb").write(export_tflite(graph))
x = np.random.default_rng(0).integers(-128, 128, (32, *graph.input_tensor.shape[1:]))
y = np.arange(32) % graph.output_tensors[0].elements
np.savez("samples.npz", x=x.astype(np.int8), y=y)
"""
MINE = """
import pathlib
import numpy as np

arrays = {}
for name, count in (("train", 96), ("val", 48), ("test", 48)):
    y = arrays[f"y_{name}"] = np.arange(count) % 3
    noise = np.random.default_rng(count).normal(0, 0.3, (count, 3, 32, 32))
    arrays[f"x_{name}"] = noise + np.eye(3)[y][:, :, None, None]
np.savez(pathlib.Path.home() / "mine.npz", **arrays)
"""
BEFORE = {
    "ci": (f"{sys.executable} -c '{GUARDED}'", f"cp {ROOT}/docs/ci/policy.toml ."),
    "into-your-firmware": ("cp runs/digits-m3/chosen/model.tflite .",),
    "own-network": (f"{sys.executable} -c '{MINE}'",),
}
TOOLS = ("west", "arduino-cli", "cmake")  # a command of one that is not installed is left out


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """That of a reader with an empty home, and `hil` of this checkout on the PATH."""
    home = tmp_path_factory.mktemp("home")
    program = home / "bin" / "hil"
    program.parent.mkdir()
    words = shlex.join(forking())
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return {
        **os.environ,
        "HOME": str(home),
        "XDG_CACHE_HOME": str(cache_folder().parent),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "COLUMNS": "120",
    }


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """The folder in which the first guide's commands were run."""
    folder = tmp_path_factory.mktemp("first-run")
    follow("first-run", folder, environment)
    return folder


@pytest.mark.parametrize("guide", GUIDES)
def test_its_commands_do_what_it_says(
    guide: str, request: pytest.FixtureRequest, environment: dict[str, str], tmp_path: Path
) -> None:
    if guide == "farm" and shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path
    if guide in ("first-run", *CONTINUING):
        folder = request.getfixturevalue("first_run")
    if guide != "first-run":
        follow(guide, folder, environment)


def follow(guide: str, folder: Path, environment: dict[str, str]) -> None:
    """Do what the page says, beginning in `folder`."""
    address = EXAMPLE_ADDRESS
    with Terminal(folder, environment) as terminal:
        for part in (*map(Step, BEFORE.get(guide, ())), *to_do(guide)):
            if isinstance(part, File):
                terminal.write(part)
                continue
            command = changed(part.command, guide).replace(EXAMPLE_ADDRESS, address)
            ready = [line for begin, line in ENDLESS.items() if command.startswith(begin)]
            if not ready:
                check(terminal, command, part.lines)
                continue
            address = terminal.start(command, ready[0])
            if address.startswith("http"):
                with urllib.request.urlopen(address) as answer:
                    assert "digits" in answer.read().decode()


def to_do(guide: str) -> Iterator[File | Step]:
    """The page's files and commands, without those of tools that are not installed."""
    absent = tuple(f"{tool} " for tool in TOOLS if shutil.which(tool) is None)
    found = [
        part
        for part in parts(guide)
        if isinstance(part, File) or not part.command.startswith(absent)
    ]
    assert found
    yield from found


def changed(command: str, guide: str) -> str:
    """The command as the tables have it."""
    for old, new in CHANGES.get(guide, {}).items():
        command = command.replace(old, new)
    if not command.startswith("hil evolve"):
        return command
    processes = "" if "--farm" in command else " --processes 1"
    return re.sub(r" --(trials|minutes) \S+", "", command) + SHORT + processes


def check(terminal: Terminal, command: str, lines: tuple[str, ...]) -> None:
    """Run it. Commands on a Nucleo end, without one, with the line that says what is missing."""
    done = terminal.run(command)
    if "--board nucleo" in command:
        assert done.returncode in (2, 3), done.stderr  # something to install, or to connect
        assert re.search("pack|probe", done.stdout + done.stderr)
        return
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    rest = done.stdout
    for line in lines:
        at = re.search(pattern(line), rest)
        assert at, (command, line, done.stdout)
        rest = rest[at.end() :]
