"""The end of a search: its reason is that of the loop, whatever the final figures take."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import hil.loop.evolve
from compress.errors import UserError
from compress.pipeline.diagnose import diagnose
from helpers.networks import original
from helpers.stores import make_store
from helpers.trials import BASELINE, AnsweringPool, measured, with_cycles
from hil.board import board_sha256, load_board, without_waits
from hil.loop.evolve import (
    Settings,
    evolve,
    open_store,
    original_line,
    other_kernels,
    search,
)
from hil.loop.stop import StopRule
from hil.objective.goal import Goal
from hil.search.engine import Proposal
from hil.store.run_folder import original_path, read_diagnosis
from hil.store.store import Final, RunIdentity, Store
from hil.trial.start import Start
from hil.types import Trial

GOAL = Goal.of(load_board("m4"), 0.9)


@dataclass
class Budget:
    trials: int = 100
    minutes: float = 60.0
    patience_trials: int = 100


class OneIdea:
    """An engine that has nothing left to try after the baseline."""

    def __init__(self) -> None:
        self.ideas = [Proposal(BASELINE)]

    def ask(self) -> list[Proposal]:
        asked, self.ideas = self.ideas, []
        return asked

    def tell(self, trials: Sequence[Trial]) -> None:
        assert len(trials) <= 1


def test_minutes_that_the_final_figures_use_up_did_not_end_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = Budget()

    class Slow(AnsweringPool):
        def final(self, number: int, tflite: bytes) -> Future[Final]:
            budget.minutes = 0.0
            return super().final(number, tflite)

    monkeypatch.setattr(hil.loop.evolve, "open_pool", lambda settings, start: Slow())
    monkeypatch.setattr(hil.loop.evolve, "open_engine", lambda *_: OneIdea())
    monkeypatch.setattr(Start, "original", lambda start: original("mobile"))
    monkeypatch.setattr(Start, "prepare", lambda *values: Start(*values, b""))
    settings = Settings("digits", GOAL, tmp_path, 100, 60.0)
    with Store.open(tmp_path, RunIdentity("digits", "m4", 0, "5e")) as store:
        store.begin_session(0.9)
        assert search(settings, store, StopRule(budget, GOAL)) == "exhausted"
        assert [final.number for final in store.finals()] == [1]
        diagnosis = read_diagnosis(tmp_path)
        assert diagnosis is not None
        assert store.original_accuracies() == {
            "val": diagnosis.accuracy,
            "test": original("mobile").share(original("mobile").data.test),
        }


def test_a_goal_that_is_refused_is_not_what_the_report_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(task: object, goal: Goal) -> None:
        raise UserError("no network is so small")

    monkeypatch.setattr(hil.loop.evolve, "check_prerequisites", lambda settings: None)
    monkeypatch.setattr(hil.loop.evolve, "check_feasible", refuse)
    with Store.open(tmp_path, RunIdentity("digits", "m4", 0, board_sha256(GOAL.board))) as store:
        store.begin_session(GOAL.accuracy, goal=GOAL.to_json())
        store.add(measured(1, BASELINE))
        store.end_session("trials")
        before = store.sessions()
    (tmp_path / "original.pt").touch()
    tiny = replace(GOAL, flash_bytes=1024)
    with pytest.raises(UserError, match="so small"):
        evolve(Settings("digits", tiny, tmp_path, 100, 60.0))
    with Store.read(tmp_path) as store:
        assert store.sessions() == before


@pytest.mark.parametrize("has_waits", [True, False])
def test_a_run_is_continued_with_the_memories_it_began_with(
    has_waits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Goal] = []

    def note(settings: Settings, store: Store, rule: StopRule) -> str:
        seen.extend((settings.goal, rule.goal))
        return "trials"

    for name in ("check_prerequisites", "check_feasible"):
        monkeypatch.setattr(hil.loop.evolve, name, lambda *_: None)
    monkeypatch.setattr(hil.loop.evolve, "search", note)
    board = GOAL.board if has_waits else without_waits(GOAL.board)
    with Store.open(tmp_path, RunIdentity("digits", "m4", 0, board_sha256(GOAL.board))) as store:
        store.add(with_cycles(measured(1, BASELINE), 1_000_000, board))
    (tmp_path / "original.pt").touch()
    evolve(Settings("digits", GOAL, tmp_path, 100, 60.0))
    assert seen == [replace(GOAL, board=board)] * 2


@pytest.mark.parametrize("was_there", [False, True])
@pytest.mark.parametrize("has_original", [False, True])
def test_a_refused_search_leaves_no_new_folder(
    tmp_path: Path, was_there: bool, has_original: bool
) -> None:
    folder = tmp_path / "digits-m4"
    if was_there:
        folder.mkdir()
    refused = pytest.raises(UserError, match="nothing learned")
    with refused, open_store(folder, RunIdentity("digits", "m4", 0, "5e")) as store:
        store.begin_session(0.9)
        if has_original:
            original_path(folder).touch()
        raise UserError("nothing learned")
    assert folder.exists() == (was_there or has_original)


def test_the_float_network_is_told_before_the_search() -> None:
    found = original("mobile")
    line = original_line(found, diagnose(found))
    share, count = found.share(found.data.val), len(found.data.val)
    near = (share * count + 2) / (count + 4)  # two right and two wrong added, as Agresti and Coull
    error = (2 * near * (1 - near) / (count + 4)) ** 0.5
    assert line == (
        f"float network, trained for this run: accuracy {100 * share:.1f} % on "
        f"{count} validation samples; a difference of two such networks has a standard error of "
        f"at most {100 * error:.2f} points"
    )
    task = replace(found.task, pretrained=lambda module: None)
    assert "weights as given" in original_line(replace(found, task=task), diagnose(found))


def test_trials_of_other_kernels_are_told(tmp_path: Path) -> None:
    make_store(tmp_path, measured(1, BASELINE))
    with Store.read(tmp_path) as store:
        kernels = measured(1, BASELINE).provenance.kernels
        assert other_kernels(store, kernels) == ""
        told = other_kernels(store, "tuned and others")
    assert f"measured with {kernels}, new ones are with tuned and others" in told
