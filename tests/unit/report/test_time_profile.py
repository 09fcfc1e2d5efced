"""The time profile: every second is in one step or in the overhead; rates follow from counts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from compress.types import StageCost
from helpers.trials import BASELINE, infeasible, measured, pruned
from hil.report.time_profile import TimeProfile, profile_of, profile_to_json, rows, sentences
from hil.store.store import Session
from hil.types import Estimate, Trial

COSTS = (
    StageCost("prune", 2, 30.0, cached=True),
    StageCost("quantize", 3, 12.0),
    StageCost("lower", 0, 4.0),
)
SECONDS = {"compress": 20.0, "oracle": 2.0, "build": 5.0, "measure": 3.0}
FULL = measured(1, BASELINE, seconds=SECONDS, costs=COSTS)
OTHER = measured(2, pruned(0.5), seconds=SECONDS, costs=(*COSTS[1:],))
FAILED = infeasible(3, pruned(0.1), seconds={"compress": 1.0}, costs=())
SCREENED = replace(
    FULL, number=4, state="screened", measurement=None, fidelity=0.25, seconds={"compress": 9.0}
)


def session(**changes: Any) -> Session:
    fields = {"id": 1, "started": 100.0, "heartbeat": 150.0, "accuracy_target": 0.9}
    return Session(**{**fields, "stopped_by": None, "processes": 2, **changes})


def profile(*sessions: Session) -> TimeProfile:
    return profile_of((FULL, OTHER, FAILED, SCREENED), sessions or (session(),))


def test_seconds_by_step() -> None:
    found = profile()
    assert found.steps == {
        "quantize": 24.0,
        "lower": 8.0,
        "reference": 8.0,  # what is left of compressing: 20 - 12 - 4, twice
        "oracle": 4.0,
        "build": 10.0,
        "measure": 6.0,
        "not applicable": 1.0,
        "screening": 9.0,
    }
    assert found.busy_seconds == sum(t.seconds.get("compress", 0) for t in (SCREENED, FAILED)) + 60
    assert found.cached_seconds == 60.0  # the pruning of FULL and of what screened it


def test_everything_else_is_wall_time_by_processes_without_the_steps() -> None:
    assert profile().capacity_seconds == 100.0
    assert profile().overhead == pytest.approx(0.30)
    longer = profile(session(), session(heartbeat=200.0, processes=4))
    assert longer.capacity_seconds == 500.0
    assert longer.wall_seconds == 150.0
    assert longer.overhead == pytest.approx(1 - 70 / 500)
    shares = [share for _, _, share in rows(longer)]
    assert sum(shares) == pytest.approx(1.0)
    assert rows(longer)[-1][0] == "everything else"
    assert shares[:-1] == sorted(shares[:-1], reverse=True)


@pytest.mark.parametrize(
    "sessions",
    [(session(processes=0),), (session(), session(processes=0)), (session(heartbeat=110.0),)],
)
def test_what_cannot_be_known_is_not_said(sessions: tuple[Session, ...]) -> None:
    found = profile(*sessions)
    assert found.overhead is None
    assert "everything else" not in [step for step, _, _ in rows(found)]
    assert sum(share for _, _, share in rows(found)) == pytest.approx(1.0)


def test_trials_an_hour() -> None:
    found = profile()
    assert (found.screened, found.full, found.measured) == (1, 3, 2)
    assert found.per_hour(found.measured) == pytest.approx(2 * 3600 / 50)
    assert "trials per hour: 72 screened, 216 tried in full, 144 measured" in sentences(found)
    assert profile_of((), ()).per_hour(0) == 0.0


@pytest.mark.parametrize("sessions", [(), (session(heartbeat=110.0),)])
def test_trials_of_another_run_say_nothing_of_this_ones_speed(sessions: tuple[Session]) -> None:
    found = profile_of((FULL, OTHER), sessions)
    assert not [line for line in sentences(found) if "per hour" in line]
    assert profile_to_json(found)["per_hour"] == {"screened": None, "full": None, "measured": None}


def test_a_run_without_trials_has_no_steps() -> None:
    assert rows(profile_of((), ())) == []


def test_rungs_and_gate_are_judged_by_ranks() -> None:
    trials: list[Trial] = []
    for n in range(1, 6):
        full = measured(
            n,
            pruned(n / 10),
            accuracy=0.9 + n / 100,
            flash=20_000 + n,
            ram=9_000 - n,
            count=n,
            estimate=Estimate(n * n, 1, 100 * n, n, 3),
        )
        early = replace(full, number=10 + n, fidelity=0.1, state="screened", measurement=None)
        trials += [full, replace(early, accuracy=0.5 + n / 100)]
    found = profile_of(trials, (session(),))
    assert [(r.fidelity, r.spearman, r.n) for r in found.rungs] == [(0.1, pytest.approx(1.0), 5)]
    assert [(g.cost, round(g.spearman, 9), g.n) for g in found.gate] == [
        ("flash", 1.0, 5),
        ("RAM", -1.0, 5),
        ("count", 1.0, 5),
    ]
    said = "\n".join(sentences(found))
    assert "of accuracy after 10 % and after all of the training: 1.00 (Spearman" in said
    assert "correlation of estimated and measured RAM: -1.00 (Spearman, 5 trials)" in said


def test_json() -> None:
    printed = json.loads(json.dumps(profile_to_json(profile()), allow_nan=False))
    assert printed["overhead"] == pytest.approx(0.3)
    assert printed["steps"]["screening"] == 9.0
    assert printed["per_hour"]["screened"] == pytest.approx(72)
