"""The options of `hil evolve` and the settings they give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import hil.loop.evolve
from compress.errors import UserError
from helpers.trials import BASELINE, measured
from hil import formatting
from hil.board import board_sha256, load_board
from hil.cli.main import app
from hil.energy.calibration import save_calibration
from hil.loop.evolve import Settings
from hil.objective.costs import costs_of
from hil.report import findings
from hil.report.summary import summarize
from hil.store.store import RunIdentity, Store


def asked(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> Settings:
    """The settings that a search gets."""
    told: list[Settings] = []

    def search(settings: Settings) -> str:
        told.append(settings)
        raise UserError("enough")

    monkeypatch.setattr(hil.loop.evolve, "evolve", search)
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match="enough"):
        app(["evolve", *arguments], standalone_mode=False)
    return told[0]


def test_a_calibrated_board_can_be_held_to_an_energy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A board whose file has no power figure; the report uses the calibration, too."""
    board = load_board("nucleo-f103rb")
    assert board.energy is None
    monkeypatch.setattr("hil.energy.calibration.settings_folder", lambda: tmp_path)
    monkeypatch.setattr("hil.target.open.check_reachable", lambda _: None)  # no probe is here
    options = ("--board", board.name, "--max-energy", "1mJ")
    with pytest.raises(UserError, match=r"no power figure is known.*hil calibrate"):
        app(["evolve", *options], standalone_mode=False)
    save_calibration(board, 80.0, 3.3, idle_mw=None, how="read")
    goal = asked(monkeypatch, tmp_path, *options).goal
    trial = measured(1, BASELINE)
    assert trial.measurement is not None
    counted = replace(trial, measurement=replace(trial.measurement, counter="dwt", count=72_000))
    costs = costs_of(counted.measurement, goal.board)  # 1 ms at 72 MHz and 80 mW
    assert costs.energy_uj == pytest.approx(80.0)
    identity = RunIdentity("digits", board.name, 0, board_sha256(board))
    with Store.open(tmp_path / "run", identity) as store:
        store.begin_session(goal.accuracy, goal=goal.to_json())
        store.add(counted)
        notes = findings.notes(summarize(store))
    assert "80 mW" in notes["energy"]
    assert formatting.plus_minus(0.05) in notes["energy"]


def test_patience_is_the_trials_without_improvement_that_end_a_search(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert asked(monkeypatch, tmp_path).patience_trials == 60
    assert asked(monkeypatch, tmp_path, "--patience", "200").patience_trials == 200


def test_a_task_file_names_its_run_by_its_stem_and_is_kept_by_its_absolute_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Workers in another folder load the task by the string in the settings."""
    (tmp_path / "mine.py").write_text("from compress.tasks.digits import TASK\n")
    settings = asked(monkeypatch, tmp_path, "--task", "mine.py", "--board", "m4")
    assert settings.task == str(tmp_path / "mine.py")
    assert settings.folder.name == "mine-m4"
    with pytest.raises(UserError, match=r"cannot read task file .*missing\.py"):
        app(["evolve", "--task", "missing.py"], standalone_mode=False)
