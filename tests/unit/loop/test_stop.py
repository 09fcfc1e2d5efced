"""Stop rules: the goal met without improvement, or a budget (also of energy) used up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from compress.errors import UserError
from helpers.trials import BASELINE, measured, pruned
from hil.board import load_board
from hil.energy.machine_energy import EnergyBudget, MachineMeter
from hil.loop.stop import StopRule, feasible_front
from hil.objective.goal import Goal, make_goal
from hil.store.store import RunIdentity, Store

GOAL = make_goal(load_board("m4"), 0.9, max_flash=35_000)


@dataclass(frozen=True)
class Budget:
    trials: int = 100
    minutes: float = 60.0
    patience_trials: int = 2


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "run", RunIdentity("digits", "m4", 1, "5e"))


def zone(folder: Path, number: str, name: str, energy_uj: int, range_uj: int = 1_000_000) -> Path:
    made = folder / f"intel-rapl:{number}"
    made.mkdir(parents=True, exist_ok=True)
    for file, value in (
        ("name", name),
        ("energy_uj", energy_uj),
        ("max_energy_range_uj", range_uj),
    ):
        (made / file).write_text(f"{value}\n")
    return made


def test_energy_of_packages_and_memory_is_added_up_and_wraps_around(tmp_path: Path) -> None:
    package = zone(tmp_path, "0", "package-0", 900_000)
    memory = zone(tmp_path, "0:1", "dram", 10)
    core = zone(tmp_path, "0:0", "core", 0)  # a part of the package
    platform = zone(tmp_path, "1", "psys", 0)  # contains the package
    meter = MachineMeter(tmp_path)
    assert meter.joules_since_last_call() == 0.0
    (package / "energy_uj").write_text("400000\n")
    (memory / "energy_uj").write_text("250010\n")
    for other in (core, platform):
        (other / "energy_uj").write_text("777777\n")
    assert meter.joules_since_last_call() == pytest.approx(0.5 + 0.25)
    assert meter.joules_since_last_call() == 0.0


def test_a_machine_without_counters_says_what_else_to_use(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no energy counter.*--minutes, --trials"):
        MachineMeter(tmp_path / "nowhere")
    zone(tmp_path, "0:0", "core", 0)
    with pytest.raises(UserError, match="no energy counter"):
        MachineMeter(tmp_path)


def test_a_counter_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = zone(tmp_path, "0", "package-0", 5)
    (made / "energy_uj").write_text("many\n")
    with pytest.raises(UserError, match=r"energy_uj holds 'many'.*--minutes"):
        MachineMeter(tmp_path)
    (made / "energy_uj").unlink()
    with pytest.raises(UserError, match=r"energy_uj cannot be read.*--minutes"):
        MachineMeter(tmp_path)

    def refuse(path: Path, **_: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(UserError, match=r"may not be read \(since Linux 5.10.*chmod"):
        MachineMeter(tmp_path)


def test_energy_counts_over_all_sessions(store: Store, tmp_path: Path) -> None:
    package = zone(tmp_path, "0", "package-0", 0, 10**9)
    with store:
        store.begin_session(0.9)
        for used_joules in (60, 120):
            meter = MachineMeter(tmp_path)
            rule = StopRule(Budget(), GOAL, EnergyBudget(100.0, meter))
            assert rule.reason(store) == ""
            assert rule.may_start(store, 5)
            (package / "energy_uj").write_text(f"{used_joules * 10**6}\n")
            rule.note_energy(store)
            store.begin_session(0.9)
        assert store.used_joules() == pytest.approx(120)
        assert rule.reason(store) == "energy"
        assert not rule.may_start(store, 0)
        without = StopRule(Budget(), GOAL)
        without.note_energy(store)
        assert without.reason(store) == ""


def test_target_is_met_only_within_the_limits(store: Store) -> None:
    big = measured(1, BASELINE, flash=40_000)
    fits = measured(2, pruned(0.5), flash=30_000)
    worse = [measured(n, pruned(1 / n), flash=34_000) for n in range(3, 6)]
    with store:
        rule = StopRule(Budget(), GOAL)
        rule.batch_ended([big])
        rule.batch_ended([big, big])
        assert rule.reason(store) == ""  # nothing that keeps the limits yet
        rule.batch_ended([fits])
        rule.batch_ended(worse[:1])
        assert rule.reason(store) == ""
        rule.batch_ended(worse[1:2])
        assert rule.reason(store) == "target"
        rule.batch_ended([measured(9, pruned(0.01), flash=20_000)])
        assert rule.reason(store) == ""
        rule.batch_ended([])
        assert rule.reason(store) == "exhausted"


def test_the_front_is_of_those_that_keep_the_limits() -> None:
    over, fits = measured(1, BASELINE, flash=40_000, accuracy=0.99), measured(2, pruned(0.5))
    assert feasible_front([over, fits], GOAL) == (fits,)
    assert feasible_front([over, fits], Goal.of(load_board("m4"), 0.9)) == (over, fits)


def test_trials_and_minutes_end_it(store: Store) -> None:
    with store:
        store.begin_session(0.9)
        store.add(measured(1, BASELINE))
        assert StopRule(Budget(trials=1), GOAL).reason(store) == "trials"
        assert not StopRule(Budget(trials=2), GOAL).may_start(store, 1)
        assert StopRule(Budget(minutes=0.0), GOAL).reason(store) == "minutes"
