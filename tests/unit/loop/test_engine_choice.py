"""The choice of the engine by cost: what pays, and that a run keeps its engine."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from compress.pipeline.network import Original, original_of
from compress.tasks.digits import TASK
from compress.training.train import save
from hil.loop.engine_choice import elastic_cost, engine_for, epoch_seconds, nothing_measured
from hil.search.registry import AUTO
from hil.store.store import RunIdentity, Store


@dataclass(frozen=True)
class Asked:
    engine: str = AUTO
    trials: int = 150
    minutes: float = 8.0
    processes: int = 2


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    path = tmp_path_factory.mktemp("original") / "original.pt"
    save(TASK.net(), path)
    return original_of(TASK, TASK.load(), 0, path.read_bytes())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path, RunIdentity("digits", "m3", 0, "5e"))


def test_it_pays_where_training_is_quick_and_the_budget_long(original: Original) -> None:
    """96 epochs of three networks' work at 0.1 s: 29 s of 480."""
    cost = elastic_cost(Asked(), original, 0.1)
    assert cost.seconds == pytest.approx(16 * 6 * 3 * 0.1)
    assert cost.share == pytest.approx(cost.seconds / 480)
    assert cost.shapes == 4 * 4 * 7 * 2  # one block can be dropped
    assert cost.candidates == 150
    assert cost.pays


@pytest.mark.parametrize(
    "asked", [Asked(minutes=0.5), Asked(trials=9), Asked(minutes=1.0, processes=1)]
)
def test_it_does_not_pay_for_few_candidates(asked: Asked, original: Original) -> None:
    assert not elastic_cost(asked, original, 0.3).pays


def test_an_epoch_is_timed(original: Original) -> None:
    before = {name: value.clone() for name, value in original.module.state_dict().items()}
    assert 0.0 < epoch_seconds(original) < 300.0
    after = original.module.state_dict()
    assert all(bool((after[name] == value).all()) for name, value in before.items())


def test_what_was_asked_for_or_used_before_is_kept(store: Store, original: Original) -> None:
    with store:
        store.begin_session(0.9, AUTO)
        assert engine_for(Asked(engine="tpe"), original, store)[0] == "tpe"
        quick = replace(Asked(), minutes=1e4)
        name, why = engine_for(replace(quick, trials=99), original, store)
        assert name == "adaptive"
        assert "99 trials are too few" in why
        assert engine_for(quick, original, store)[0] == "elastic"
        store.name_engine("adaptive")
        store.end_session("minutes")
        store.begin_session(0.9, AUTO)
        name, why = engine_for(quick, original, store)
        assert name == "adaptive"
        assert "before" in why


def test_a_budget_that_measured_nothing_says_why_and_which_would_do(original: Original) -> None:
    """The candidates that it leaves time for take some more than being ready does."""
    line = nothing_measured(Asked(minutes=1.0), original, 95.0)
    assert line.startswith(
        "0 networks measured in 1 min 0 s: training the original network and getting ready took "
        "1 min 35 s, a candidate takes about "
    )
    found = re.search(r"--minutes (\d+) leaves time for about 10$", line)
    assert found is not None
    assert int(found[1]) >= 2
