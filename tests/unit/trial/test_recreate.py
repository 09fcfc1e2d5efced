"""Continuing an imported run: its networks are trained again, or reported as missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from compress.errors import UserError
from helpers.trials import BASELINE, AnsweringPool, infeasible, measured, pruned
from hil.board import load_board
from hil.loop.evolve import trials_missing_finals
from hil.loop.finals import measure_finals
from hil.loop.progress import SearchProgress
from hil.objective.goal import Goal
from hil.report.export import export_chosen
from hil.search.engine import Proposal
from hil.store.run_folder import network_path, save_network
from hil.store.store import Final, RunIdentity, Store
from hil.study.study import Deadline
from hil.trial.recreate import recreate

GOAL = Goal.of(load_board("m4"), 0.9)
BASE = measured(1, BASELINE)
SMALL = measured(2, pruned(0.5), accuracy=0.93, flash=20_000)
TINY = measured(3, pruned(0.25), accuracy=0.91, flash=15_000, program_sha256="of another machine")
POOR = measured(4, pruned(0.1), accuracy=0.5)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path, RunIdentity("digits", "m4", 0, "5e"))


class Budget:
    trials, minutes, patience_trials = 10, 1.0, 10


def numbers(store: Store) -> list[int]:
    return [trial.number for trial in trials_missing_finals(store, GOAL)]


def test_an_imported_run_is_finished_with_networks_made_again(store: Store) -> None:
    pool = AnsweringPool()
    with store, SearchProgress(Budget(), GOAL) as progress:
        for trial in (BASE, SMALL, TINY, POOR):
            store.add(trial)
        save_network(store.folder, 1, b"network")
        assert numbers(store) == [1, 2, 3]
        measure_finals(trials_missing_finals(store, GOAL), store, pool, progress.show)
        assert [final.number for final in store.finals()] == [1, 2]
        assert network_path(store.folder, 2).read_bytes() == b"network"
        assert not network_path(store.folder, 3).exists()
        assert numbers(store) == [3]
    assert pool.tried == [SMALL.genome.key, TINY.genome.key]


def test_the_chosen_network_is_made_again_even_where_its_figures_are_known(store: Store) -> None:
    pool = AnsweringPool()
    with store, SearchProgress(Budget(), GOAL) as progress:
        for trial in (BASE, SMALL):
            store.add(trial)
            store.add_final(Final(trial.number, "test", 9, 10, 0.9))
        assert numbers(store) == [2]
        measure_finals(trials_missing_finals(store, GOAL), store, pool, progress.show)
        assert numbers(store) == []
    assert pool.tried == [SMALL.genome.key]
    assert pool.tested == []


def test_what_cannot_be_made_again_is_lost(tmp_path: Path) -> None:
    class Failing(AnsweringPool):
        def trial(self, number: int, proposal: Proposal):  # type: ignore[no-untyped-def]
            future = super().trial(number, proposal)
            outcome = future.result()
            told = replace(infeasible(number, proposal.genome), program_sha256="cd" * 32)
            future.set_result = None  # type: ignore[assignment,method-assign]
            future._result = replace(outcome, trial=told, tflite=b"")  # type: ignore[attr-defined]
            return future

    assert recreate([SMALL], tmp_path, Failing(), lambda done, total: None) == {2}
    assert not network_path(tmp_path, 2).exists()


def test_none_is_begun_once_time_is_up(tmp_path: Path) -> None:
    pool, deadline = AnsweringPool(), Deadline(0.0)
    lost = recreate([SMALL], tmp_path, pool, lambda done, total: None, lambda: deadline.over)
    assert (lost, pool.tried) == (frozenset(), [])


def test_a_missing_network_cannot_be_exported_and_an_older_choice_does_not_stay(
    tmp_path: Path,
) -> None:
    (tmp_path / "chosen").mkdir()
    with pytest.raises(UserError, match=r"0002\.tflite is missing.*trial 2.*hil trials merge"):
        export_chosen(tmp_path, SMALL, load_board("m4"), "digits")
    assert not (tmp_path / "chosen").exists()
