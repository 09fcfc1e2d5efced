"""How far the training in each worker is, by a small file that the worker writes.

A file needs no lock and no reader: a worker that is killed leaves nobody waiting.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

_INTERVAL_S = 0.5
_SUFFIX = ".training"


@dataclass(frozen=True, slots=True)
class Training:
    """A training that a worker is in: epochs done and of the whole, seconds left by its rate."""

    done: float
    epochs: float
    left_s: float | None


class TrainingRate:
    """The rate of one training after the other, from what a `progress.Listener` is told.

    It is that since the training's first step here, as a training may go on from a checkpoint.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._first = (0.0, 0.0)  # epochs done and time at the first step of this training
        self._last = float("inf")

    def training(self, done: float, epochs: float) -> Training:
        """How far the training is that now has `done` of `epochs`."""
        now = self._now()
        if done <= self._last:
            self._first = (done, now)
        self._last = done
        rate = (done - self._first[0]) / (now - self._first[1]) if now > self._first[1] else 0.0
        return Training(done, epochs, (epochs - done) / rate if rate > 0 else None)

    def ended(self) -> None:
        """What is told next is another training."""
        self._last = float("inf")


class TrainingFile:
    """The file of this process in `folder`; `tell` is a `compress.training.progress.Listener`.

    It is written at most every half second.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._path = folder / f"{os.getpid()}{_SUFFIX}"
        self._now = now
        self._rate = TrainingRate(now)
        self._written = float("-inf")

    def tell(self, done: float, epochs: float) -> None:
        """Write how far the training is, unless it was just written."""
        now, training = self._now(), self._rate.training(done, epochs)
        if now - self._written < _INTERVAL_S:
            return
        self._written = now
        part = self._path.with_suffix(".part")
        with suppress(OSError):  # a full disk stops no training
            part.write_text(json.dumps(astuple(training)))
            part.replace(self._path)

    def ended(self) -> None:
        """Remove the file: the job that trained is done."""
        self._rate.ended()
        self._written = float("-inf")
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def read_trainings(folder: Path) -> tuple[Training, ...]:
    """The trainings of all workers with a file in `folder`, the one that takes longest first."""
    found = []
    for path in folder.glob(f"*{_SUFFIX}"):
        with suppress(OSError, ValueError):  # removed just now
            found.append(Training(*json.loads(path.read_text())))
    return longest_first(found)


def longest_first(trainings: Iterable[Training]) -> tuple[Training, ...]:
    """The trainings, the one that takes longest first."""
    return tuple(sorted(trainings, key=lambda one: -(one.left_s or 0.0)))
