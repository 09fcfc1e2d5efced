"""The guides' commands, as a reader types them, one after the other in an empty folder.

A guide's ```console blocks hold commands (`$ ...`) and lines that they print; `...` stands for
lines left out, and numbers may differ. Lines of ```sh blocks are commands. Searches are shortened
to two trials. Commands on a Nucleo end, without one, with the line that says what is missing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.checkout import ROOT

LIMIT_S = 600  # only ends a hang
GUIDES = ("first-run", "own-board", "lab-bench", "into-your-firmware", "ci")
BLOCK = re.compile(r"^```(console|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What a guide begins with: a run, a model. A search on bars takes a fraction of one on digits.
SEARCH = "hil evolve --board m4 --quiet"
MODEL = "cp runs/digits-m4/chosen/model.tflite ."
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
BEFORE = {
    "ci": (
        f"{sys.executable} - <<'END'{GUARDED}END",
        f"cp {ROOT}/docs/ci/policy.toml .",
    ),
    "into-your-firmware": (
        f"{SEARCH} --task {ROOT}/tests/helpers/small_task.py --run digits-m4",
        MODEL,
    ),
}
TOOLS = ("west", "arduino-cli", "cmake")  # a command of one that is not installed is left out


@dataclass(frozen=True)
class Step:
    """A command of a guide and the lines that its output must have, in this order."""

    command: str
    lines: tuple[str, ...]


def steps(guide: str) -> list[Step]:
    text = (ROOT / "docs" / f"{guide}.md").read_text(encoding="utf-8")
    found = []
    for kind, block in BLOCK.findall(text):
        if kind == "sh":
            found += [Step(line, ()) for line in block.splitlines()]
            continue
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.splitlines()
            shown = tuple(line for line in lines if line.strip() and line.strip() != "...")
            found.append(Step(command, shown))
    return found


def shortened(command: str) -> str:
    """The command with two trials, which is enough to try it."""
    if not command.startswith("hil evolve"):
        return command
    return re.sub(r" --(trials|minutes) \S+", "", command) + " --trials 2 --processes 1"


def pattern(line: str) -> str:
    """A regular expression for `line` with other numbers."""
    return r"[\d.,]+".join(re.escape(text) for text in re.split(r"[\d.,]*\d", line.strip()))


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which `hil` is this checkout's."""
    program = tmp_path / "bin" / "hil"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hil "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


@pytest.mark.parametrize("guide", GUIDES)
def test_its_commands_do_what_it_says(guide: str, path: str, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    imported = f"{ROOT}:{ROOT / 'tests'}"
    absent = tuple(f"{tool} " for tool in TOOLS if shutil.which(tool) is None)
    found = [step for step in steps(guide) if not step.command.startswith(absent)]
    assert found
    for step in [*(Step(command, ()) for command in BEFORE.get(guide, ())), *found]:
        done = subprocess.run(
            ["sh", "-euc", shortened(step.command)],
            cwd=tmp_path / "work",
            env={
                **os.environ,
                "PATH": path,
                "PYTHONPATH": imported,
                "COLUMNS": "120",
            },
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        if "--board nucleo" in step.command:
            assert done.returncode in (2, 3), done.stderr  # something to install, or to connect
            assert re.search("pack|probe", done.stdout + done.stderr)
            continue
        assert done.returncode == 0, (step.command, done.stdout, done.stderr)
        rest = done.stdout
        for line in step.lines:
            at = re.search(pattern(line), rest)
            assert at, (step.command, line, done.stdout)
            rest = rest[at.end() :]
