"""Sessions, accuracies and transactions of a store, and errors for different limits."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from compress.errors import UserError
from helpers.stores import IDENTITY, example
from helpers.trials import BASELINE, measured, pruned
from hil.board import board_sha256, load_board, without_limits
from hil.store.store import RunIdentity, Store


def test_failure_in_the_middle_adds_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path, IDENTITY) as store:
        with pytest.raises(sqlite3.IntegrityError), store.transaction():  # noqa: PT012
            store.add(measured(1, BASELINE))
            store.add(measured(1, pruned(0.25)))
        assert store.count() == 0
        assert store.add(measured(1, pruned(0.5)))
    with Store.read(tmp_path) as store:
        assert store.trials() == (measured(1, pruned(0.5)),)


def test_energy_and_originals(tmp_path: Path) -> None:
    with Store.open(tmp_path, IDENTITY) as store:
        with pytest.raises(ValueError, match="session"):
            store.add_energy(1.0)
        store.begin_session(0.9, "random")
        store.add_energy(1.5)
        store.add_energy(2.0)
        store.begin_session(0.9)
        store.add_energy(0.25)
        assert store.used_joules() == 3.75
        assert [(s.engine, s.energy_j) for s in store.sessions()] == [("random", 3.5), ("", 0.25)]
        assert store.set_original_accuracy("val", 0.9)
        assert not store.set_original_accuracy("val", 0.8)
        assert store.original_accuracies() == {"val": 0.9}


def test_trials_of_one_fidelity(tmp_path: Path) -> None:
    example(tmp_path)
    with Store.read(tmp_path) as store:
        assert [t.number for t in store.trials(1.0)] == [1, 2]
        assert [t.number for t in store.trials(0.25)] == [3]
        assert [t.number for t in store.trials()] == [1, 2, 3]


def test_limits_that_differ_are_not_blamed_on_the_board_file(tmp_path: Path) -> None:
    board = load_board("m4")
    identity = RunIdentity("digits", "m4", 0, board_sha256(without_limits(board)))
    with Store.open(tmp_path, identity):
        pass
    with pytest.raises(UserError) as error:
        Store.open(tmp_path, replace(identity, board_sha256=board_sha256(board)))
    assert "today's boards/m4.toml and --limits none" in str(error.value)
    assert "the same --limits" in str(error.value)
    assert "another boards" not in str(error.value)
