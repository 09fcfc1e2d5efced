"""`hil study` reports the arms that it ran, and the command that repeats it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from compress.errors import UserError
from helpers.studies import int8, network, study, trace
from hil.cli.main import app
from hil.study.arm_names import NAMES
from hil.study.result import StudyResult
from hil.study.study import StudySettings


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[StudySettings]:
    """The settings of studies that the command runs; every arm finds two networks at once."""
    settings: list[StudySettings] = []

    def run(wanted: StudySettings, deadline: object, show: object) -> StudyResult:
        settings.append(wanted)
        traces = [
            trace(arm.name, int8(), network(2, 0.9, 0.5), seed=seed, kind=arm.kind)
            for seed in wanted.seeds
            for arm in wanted.arms
        ]
        return study(*traces)

    monkeypatch.setattr("hil.study.study.study", run)
    monkeypatch.setattr("hil.target.open.check_reachable", lambda board: None)
    return settings


def hil_study(*options: str, results: Path) -> str:
    done = CliRunner().invoke(app, ["study", *options, "--results", str(results)])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_study_of_some_arms_has_a_name_and_a_command_of_its_own(
    asked: list[StudySettings], tmp_path: Path
) -> None:
    whole = tmp_path / "study-digits-m4.md"
    whole.write_text("the study of all arms")
    hil_study("--arms", "adaptive,int8,adaptive", "--seeds", "1", results=tmp_path)
    assert whole.read_text() == "the study of all arms"
    text = (tmp_path / "study-digits-m4-int8-adaptive.md").read_text("utf-8")
    assert (
        "`hil study --task digits --board m4 --seeds 1 --measurements 200 --epochs 120 "
        "--arms int8,adaptive`"
    ) in text
    for kind in ("hypervolume.png", "floors.png", "orders.png", "traces.csv.gz"):
        assert f"(study-digits-m4-int8-adaptive-{kind})" in text
        assert (tmp_path / f"study-digits-m4-int8-adaptive-{kind}").exists()
    assert [arm.name for arm in asked[0].arms] == ["int8", "adaptive"]
    # Their evaluations are worth as much to the study of all arms: the log is the same.
    assert asked[0].log == tmp_path / "study-digits-m4"


def test_all_arms_by_name_are_the_whole_study(asked: list[StudySettings], tmp_path: Path) -> None:
    hil_study("--arms", ",".join(reversed(NAMES)), "--seeds", "1", results=tmp_path)
    assert "--arms" not in (tmp_path / "study-digits-m4.md").read_text("utf-8")
    assert [arm.name for arm in asked[0].arms] == list(NAMES)


def test_a_study_has_the_label_and_the_seeds_that_are_asked_for(
    asked: list[StudySettings], tmp_path: Path
) -> None:
    options = ["--arms", "int8,elastic", "--seeds", "2", "--first-seed", "7", "--label", "small"]
    hil_study(*options, results=tmp_path)
    text = (tmp_path / "study-digits-m4-small.md").read_text("utf-8")
    assert "--first-seed 7 --arms int8,elastic --label small`" in text
    assert asked[0].seeds == (7, 8)


def test_unknown_arms_and_labels_that_are_no_names_are_refused(
    asked: list[StudySettings], tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, ["study", "--arms", "int8,PQR", "--results", str(tmp_path)])
    assert "--arms 'PQR': allowed are int8, int4" in str(done.exception)
    done = CliRunner().invoke(app, ["study", "--label", "../up", "--results", str(tmp_path)])
    assert "--label '../up': allowed are lower-case letters" in str(done.exception)
    assert not asked


@pytest.mark.parametrize("taken", ["runs", "results"])
def test_where_nothing_can_be_written_nothing_is_trained(
    taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hil.target.open.check_reachable", lambda board: None)
    monkeypatch.setattr("hil.trial.start.train_original", lambda *_: pytest.fail("it trains"))
    Path(taken).write_text("a file is in the way")
    done = CliRunner().invoke(app, ["study", "--seeds", "1", "--results", "results"])
    assert isinstance(done.exception, UserError), repr(done.exception)
    assert taken in str(done.exception)
