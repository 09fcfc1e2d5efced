"""What a search reads of the trainings on a farm, from the scheduler's facts about workers."""

from __future__ import annotations

from typing import Any

from compress.training.progress import tell_epochs
from hil.farm.trainings import METRIC, training_metric, training_told, trainings_of
from hil.trial.training_file import Training


def worker(told: object, last_seen: float = 100.0) -> dict[str, Any]:
    return {"last_seen": last_seen, "metrics": {METRIC: told, "cpu": 3.0}}


def test_the_training_of_a_process_is_told_while_it_goes_on() -> None:
    assert training_metric(None) is None
    with training_told("mine"):
        assert training_metric(None) is None  # as before the first step
        tell_epochs(1, 4)
        told = training_metric(None)
    assert told == ["mine", 1.0, 4.0, None]
    assert training_metric(None) is None
    tell_epochs(2, 4)
    assert training_metric(None) is None
    assert trainings_of({"a": worker(told)}, "mine") == (Training(1.0, 4.0, None),)


def test_only_what_is_this_searchs_fresh_and_well_formed_is_read() -> None:
    """The workers may have any code, and one of them hangs."""
    workers = {
        "short": worker(["mine", 1.0, 4.0, 20.0]),
        "long": worker(["mine", 2.0, 8.0, 60.0], last_seen=95.0),
        "new": worker(["mine", 0.5, 8.0, None]),
        "hangs": worker(["mine", 3.0, 8.0, 90.0], last_seen=80.0),
        "other": worker(["other", 1.0, 4.0, 20.0]),
        "idle": worker(None),
        "former": {"last_seen": 100.0, "metrics": {}},
        "odd": worker(["mine", float("nan"), 4.0, 20.0]),
        "odder": worker({"mine": 1.0}),
    }
    assert trainings_of(workers, "mine") == (
        Training(2.0, 8.0, 60.0),
        Training(1.0, 4.0, 20.0),
        Training(0.5, 8.0, None),
    )
    assert trainings_of({}, "mine") == ()
