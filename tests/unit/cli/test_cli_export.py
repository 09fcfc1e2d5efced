"""The command `hil export`: a run's chosen network or a file as a library."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from compress.errors import UserError
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from helpers.trials import BASELINE, measured, pruned
from hil.board import board_sha256, load_board
from hil.cli import export
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.store.run_folder import network_path, save_network
from hil.store.store import RunIdentity, Store


def network() -> Graph:
    """A network for the task `digits`: 8x8 pixels, ten classes."""
    b = GraphBuilder(seed=6)
    x = b.conv(b.input((8, 8, 1), 0.02), 4, (3, 3), (2, 2))
    return b.finish(b.fully_connected(x, 10), "digits")


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """The command, in a folder with a run of two trials; the second's network is missing."""
    monkeypatch.chdir(tmp_path)
    board = load_board("m4")
    content = export_tflite(network())
    graph = import_tflite(content, "digits")
    program = render(make_plan(graph, board, "flash"), board)
    trial = replace(measured(1, BASELINE, count=4321), program_sha256=program.sha256)
    with Store.open(Path("runs/a"), RunIdentity("digits", "m4", 0, board_sha256(board))) as store:
        store.add(trial)
        store.add(measured(2, pruned(0.5), accuracy=0.1))
    save_network(Path("runs/a"), 1, content)
    Path("net.tflite").write_bytes(content)
    app = typer.Typer()
    export.register(app, Path("runs"))
    return app


def call(app: typer.Typer, *arguments: str) -> Any:
    done = CliRunner().invoke(app, [*arguments, "--json"])
    if done.exception is not None:
        raise done.exception
    return json.loads(done.stdout)


def test_the_chosen_network_of_a_run(command: typer.Typer) -> None:
    result = call(command, "a", "--out", "lib", "--no-measure")
    assert (result["prefix"], result["board"]) == ("digits", "m4")
    assert result["measured"]["count"] == 4321
    manifest = json.loads(Path("lib/manifest.json").read_text("utf-8"))
    assert manifest["network"]["trial"]["number"] == 1
    assert manifest["network"]["use"]["classes"] == [str(i) for i in range(10)]
    assert manifest["measured"]["provenance"]["compiler"] == "arm-none-eabi-gcc 12.2.1"
    assert manifest["selftest"]["origin"] == "evenly spaced in the validation split"
    assert Path("lib/digits.tflite").read_bytes() == network_path(Path("runs/a"), 1).read_bytes()
    readme = Path("lib/README.md").read_text("utf-8")
    assert "| instructions (emulator, exact) | 4321 for one inference |" in readme
    assert "trial 1's firmware" in readme
    assert "#define DIGITS_CLASSES 10" in Path("lib/src/digits.h").read_text("utf-8")


def test_a_file_and_another_board_have_no_figures_of_the_run(command: typer.Typer) -> None:
    options = ("--no-measure", "--prefix", "mine")
    found = call(command, "net.tflite", "--board", "m7", "--out", "lib", *options)
    assert (found["board"], found["measured"]) == ("m7", None)
    assert "was not measured" in Path("lib/README.md").read_text("utf-8")
    other = call(command, "a", "--board", "m3", "--out", "lib", *options)  # over the earlier one
    assert (other["board"], other["measured"]) == ("m3", None)
    assert "cortex-m3" in Path("lib/README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a",), r"--out FOLDER is missing"),
        (("a", "a.csv"), r"hil trials export RUN FILE"),
        (("a", "--out", "a.parquet"), r"hil trials export RUN FILE"),
        (("net.tflite", "--out", "lib"), r"--board is missing"),
        (("net.tflite", "--out", "lib", "--board", "m4", "--trial", "3"), r"is a file, not a run"),
        (("a", "--out", "lib", "--prefix", "No"), r"--prefix No"),
        (("a", "--out", "lib", "--trial", "2"), r"no network of trial 2"),
        (("a", "--out", "lib", "--trial", "9"), r"no trial 9 in runs/a: it has trials 1 to 2"),
        (("b", "--out", "lib"), r"no run in runs/b"),
        (("a", "--out", "runs"), r"not a library that hil export wrote"),
    ],
)
def test_mistakes_write_nothing(
    command: typer.Typer, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        call(command, *arguments)
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["net.tflite", "runs"]
