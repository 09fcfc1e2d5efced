"""Projects on the command line: options over hil.toml, `hil init`, and mistakes before any work."""

from __future__ import annotations

import subprocess
import sys
from inspect import signature
from pathlib import Path

import pytest

import hil.loop.evolve
from compress.errors import UserError
from compress.pipeline.network import check_net
from compress.projects.keys import SEARCH_KEYS
from compress.projects.project import Project
from helpers.projects import TOML, opened, read, write_project
from hil.cli.commands import load_command
from hil.cli.evolve import without_former_weights
from hil.cli.main import app
from hil.cli.task_options import TaskChoice, what_to_measure
from hil.loop.evolve import Settings
from hil.trial.start import check_startable


def asked(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Settings:
    """The settings that a search gets."""
    told: list[Settings] = []

    def search(settings: Settings) -> str:
        told.append(settings)
        raise UserError("enough")

    monkeypatch.setattr(hil.loop.evolve, "evolve", search)
    with pytest.raises(UserError, match="enough"):
        app(["evolve", *arguments], standalone_mode=False)
    return told[0]


def project(settings: Settings) -> Project:
    assert isinstance(settings.task, Project)
    return settings.task


SEARCH = '[search]\nboard = "m4"\nminutes = 3\nmax_flash = 65536\nengine = "random"\n'


def test_a_folder_with_a_project_needs_no_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_project(tmp_path / "mine", TOML + "floor = 0.7\n" + SEARCH)
    monkeypatch.chdir(path.parent)
    settings = asked(monkeypatch)
    assert project(settings) == read(path)
    assert (settings.goal.board.name, settings.minutes, settings.engine) == ("m4", 3.0, "random")
    assert (settings.goal.accuracy, settings.goal.flash_bytes) == (0.7, 65536)
    assert settings.folder == Path("runs/mine-m4")
    assert "36 samples train" in capsys.readouterr().err


def test_the_command_line_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path / "mine", TOML + "floor = 0.7\n" + SEARCH)
    monkeypatch.chdir(tmp_path)
    given = ("--task", "mine", "--board", "m3", "--name", "x", "--mean", "1,", "--floor", "0.6")
    with pytest.raises(UserError, match=r"--mean '1,': must be numbers, one for each channel"):
        app(["evolve", *given], standalone_mode=False)
    settings = asked(monkeypatch, *given[:6], "--mean", "1", "--floor", "0.6")
    assert (settings.goal.board.name, settings.minutes, settings.goal.accuracy) == ("m3", 3.0, 0.6)
    assert project(settings).settings.mean == (1.0,)
    assert settings.folder.name == "x-m3"


def test_options_alone_are_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    options = ("--model", "mine/net.py:build", "--data", "mine/data.py:load", "--accuracy", "0.6")
    settings = asked(monkeypatch, *options)
    assert project(settings).settings.model.path == tmp_path / "mine" / "net.py"
    assert (settings.folder.name, settings.goal.accuracy) == ("net-m3", 0.6)
    monkeypatch.chdir(tmp_path / "mine")
    (tmp_path / "mine" / "hil.toml").unlink()
    with pytest.raises(UserError, match=r"--data is missing: a project needs model and data"):
        app(["evolve", "--model", "net.py"], standalone_mode=False)
    with pytest.raises(UserError, match=r"--task digits and --model: options of a project"):
        app(["evolve", "--task", "digits", "--model", "net.py"], standalone_mode=False)


@pytest.mark.parametrize("command", ["evolve", "bench", "sensitivity", "study"])
def test_every_command_refuses_a_bad_project_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    write_project(tmp_path, TOML + "epoch = 1\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"\[task\] epoch: "):
        app([command], standalone_mode=False)
    assert not (tmp_path / "runs").exists()


def test_the_keys_of_search_are_options_of_evolve() -> None:
    names = {parameter.name for parameter in load_command("evolve").params}
    assert set(SEARCH_KEYS) <= names
    own = set(signature(TaskChoice).parameters)
    assert own == {"task", "parts", "own"}


def test_weights_of_a_goal_are_still_taken() -> None:
    choice = TaskChoice(None, {"weights": "flash=1,ram=2", "model": "net.py"})
    assert without_former_weights(choice, None) == (
        TaskChoice(None, {"model": "net.py"}),
        "flash=1,ram=2",
    )
    files = TaskChoice(None, {"weights": "trained.pt"})
    assert without_former_weights(files, "ram=1") == (files, "ram=1")


def test_bench_takes_a_model_or_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nothing = TaskChoice(None, {})
    assert what_to_measure("a.tflite", TaskChoice(None, {"data": "x.npz"}), "x.npz") == (
        "a.tflite",
        Path("x.npz"),
    )
    with pytest.raises(UserError, match="MODEL is missing"):
        what_to_measure(None, nothing, None)
    with pytest.raises(UserError, match=r"a\.tflite and --model: name one network"):
        what_to_measure("a.tflite", TaskChoice(None, {"model": "net.py"}), None)
    path = write_project(tmp_path)
    assert what_to_measure(None, nothing, None) == (read(path), None)


def test_init_writes_a_project_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new"
    app(["init", str(folder)], standalone_mode=False)
    assert "next: cd" in capsys.readouterr().out
    names = {path.name for path in folder.iterdir()}
    assert names == {"README.md", "data.py", "hil.toml", "net.py"}
    with pytest.raises(UserError, match=r"new has README\.md, .* already, and nothing is overwr"):
        app(["init", str(folder)], standalone_mode=False)
    other = tmp_path / "other"
    other.mkdir()
    (other / "net.py").write_text("mine")
    with pytest.raises(UserError, match=r"other has net\.py already"):
        app(["init", str(other)], standalone_mode=False)
    assert [path.name for path in other.iterdir()] == ["net.py"]
    with pytest.raises(UserError, match=r"--type 'gan': allowed are .*classification"):
        app(["init", str(tmp_path / "third"), "--type", "gan"], standalone_mode=False)


@pytest.mark.parametrize("kind", ["classification", "regression", "autoencoder"])
def test_each_example_is_a_startable_task(tmp_path: Path, kind: str) -> None:
    app(["init", str(tmp_path / "new"), "--type", kind], standalone_mode=False)
    task = opened(tmp_path / "new" / "hil.toml").task
    check_net(task)
    check_startable(task)
    assert task.type == kind


def test_help_imports_no_torch() -> None:
    code = "import sys, hil.cli.main; print('torch' in sys.modules, 'PIL' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"
