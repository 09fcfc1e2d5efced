"""How far the trainings on a farm's machines are: told with each worker's heartbeat.

Dask's workers send figures of their own to the scheduler, twice a second and up, and a search reads
them there with the resources that it looks at anyway. Nobody waits for anybody: what a worker that
hangs told last grows old, and what one told that left goes with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from compress.training.progress import listen
from hil.trial.training_file import Training, TrainingRate, longest_first

METRIC = "training"  # its name among the figures of a worker
_OLD_S = 10.0  # behind the newest heartbeat of the farm: the worker hangs

_told: tuple[str, Training] | None = None  # the search and the training of this process


@contextmanager
def training_told(session: str) -> Iterator[None]:
    """Tell the trainings of this process, which trains one network at a time, as of this search."""
    rate = TrainingRate()

    def tell(done: float, epochs: float) -> None:
        global _told
        _told = session, rate.training(done, epochs)

    listen(tell)
    try:
        yield
    finally:
        _end()


def _end() -> None:
    global _told
    listen(None)
    _told = None


def training_metric(_: object) -> list[Any] | None:
    """What a worker process tells: search, epochs done and of the whole, seconds left."""
    if (told := _told) is None:
        return None
    training = told[1]
    left_s = None if training.left_s is None else float(training.left_s)
    return [told[0], float(training.done), float(training.epochs), left_s]


def trainings_of(workers: Mapping[str, Any], session: str) -> tuple[Training, ...]:
    """The trainings of one search, from the scheduler's facts about workers, longest first.

    Figures of another form, as those of workers with other code, are passed over.
    """
    newest = max((one["last_seen"] for one in workers.values()), default=0.0)
    fresh = [one for one in workers.values() if newest - one["last_seen"] <= _OLD_S]
    found = [_training(one["metrics"].get(METRIC), session) for one in fresh]
    return longest_first(one for one in found if one is not None)


def _training(told: object, session: str) -> Training | None:
    match told:
        case [str(of), float(done), float(epochs), (None | float()) as left_s] if of == session:
            if all(map(math.isfinite, (done, epochs, left_s or 0.0))):
                return Training(done, epochs, left_s)
    return None
