"""The hypervolume that an arm's networks dominate, over its measurements and over its epochs.

The four axes are the drop of validation accuracy below the seed's float network, and the ratios of
model flash, RAM and count to its int8 network. A drop from -1 to +2 points becomes 0 .. 1, and so
do ratios from 0 to 1.5: a network that needs more of one cost than int8 and less of another is
worth something. The reference corner is (1, 1, 1, 1), so that volumes are shares of 1. What lies
beyond the corner in any axis counts nothing, and more than a point above the float network counts
as one point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import moocore
import numpy as np
import numpy.typing as npt

from hil.study.choices import ratios_to, references
from hil.study.result import ArmTrace, StudyResult
from hil.types import Board, Floats, Trial

REPLAYS = 20
# Arms whose draws do not depend on what was drawn before: any order of them was as likely. They
# begin with the int8 network, always.
INDEPENDENT = ("random",)
_BEST_DROP, _WORST_DROP = -1.0, 2.0
WORST_RATIO = 1.5
_GRID = 101
_NOTHING = np.ones(4)


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """How one arm's hypervolume grows, by seed: float64 (replays, steps), shares of 1.

    `by_count[seed][:, n]` is after n measurements, n = 0 .. the most of any arm; `by_epochs` is at
    the study's `epoch_grid`. An arm that used less than others stays where it ended.
    `replayed` tells whether the rows are reorderings of one log instead of one run.
    """

    arm: str
    by_count: dict[int, Floats]
    by_epochs: dict[int, Floats]
    replayed: bool

    def at_count(self, measurements: int) -> dict[int, float]:
        """By seed the volume after so many measurements, the mean of the replays."""
        return {
            seed: float(rows[:, min(measurements, rows.shape[1] - 1)].mean())
            for seed, rows in self.by_count.items()
        }


def point(trial: Trial, reference: Trial, original: float, board: Board) -> Floats:
    """Where a trial lies on the four axes, float64 (4,); the corner itself if it counts nothing.

    `original` is the float network's validation accuracy, a share of 1.
    """
    if trial.state != "measured" or trial.accuracy is None:
        return _NOTHING
    ratios = ratios_to(trial, reference, board)
    drop = (100 * (original - trial.accuracy) - _BEST_DROP) / (_WORST_DROP - _BEST_DROP)
    costs = [ratios[cost] / WORST_RATIO for cost in ("model flash", "RAM", "count")]
    place = np.array([max(drop, 0.0), *costs])
    return place if (place < 1.0).all() else _NOTHING


def growing_volume(points: Floats) -> Floats:
    """The hypervolume of the first 0, 1, .. n rows of `points` (n, 4): float64 (n + 1,)."""
    volumes = np.zeros(len(points) + 1)
    front = np.empty((0, 4))
    for index, new in enumerate(points):
        volumes[index + 1] = volumes[index]
        if (new < 1.0).all() and not (front <= new).all(axis=1).any():
            front = np.vstack([front[~(new <= front).all(axis=1)], new])
            # A front that gains a point dominates no less, whatever the sum of its boxes rounds to.
            volumes[index + 1] = max(volumes[index], moocore.hypervolume(front, ref=_NOTHING))
    return volumes


def is_exchangeable(trace: ArmTrace) -> bool:
    """Whether the trials might as well have come in any other order.

    So it is with independent draws and with the sweep of a fixed method's settings, but not where
    an arm learns, or screens first.
    """
    fixed = trace.kind != "search" or trace.arm in INDEPENDENT
    return fixed and all(trial.fidelity == 1.0 for trial in trace.trials)


def orders(trace: ArmTrace, replays: int = REPLAYS) -> list[npt.NDArray[np.intp]]:
    """The orders in which the trials are looked at: as they came, or `replays` random ones.

    What random search begins with stays first. The same for the same seed and number of trials,
    whatever else the study holds.
    """
    steps = np.arange(len(trace.trials))
    if not is_exchangeable(trace):
        return [steps]
    chance = np.random.default_rng([trace.seed, len(steps)])
    first, drawn = np.split(steps, [1 if trace.arm in INDEPENDENT else 0])
    return [np.concatenate([first, chance.permutation(drawn)]) for _ in range(replays)]


def epoch_grid(result: StudyResult) -> Floats:
    """Epochs at which `Curves.by_epochs` is known, from 0 to the most that an arm has used."""
    most = max((trace.epochs for trace in result.traces), default=0.0)
    return np.linspace(0.0, max(most, 1.0), _GRID)


def curves(result: StudyResult, replays: int = REPLAYS) -> dict[str, Curves]:
    """The curves of every arm, by its name, in the seeds that have an int8 network."""
    grid, int8 = epoch_grid(result), references(result)
    found: dict[str, Curves] = {}
    for trace in result.traces:
        if trace.seed not in int8 or not trace.trials:
            continue
        original = result.originals[trace.seed]["val"]
        places = [point(trial, int8[trace.seed], original, result.board) for trial in trace.trials]
        rows = [
            _curve(trace.trials, np.array(places), order, result.most_measured, grid)
            for order in orders(trace, replays)
        ]
        arm = found.setdefault(trace.arm, Curves(trace.arm, {}, {}, is_exchangeable(trace)))
        arm.by_count[trace.seed] = np.array([by_count for by_count, _ in rows])
        arm.by_epochs[trace.seed] = np.array([by_epochs for _, by_epochs in rows])
    return found


def _curve(
    trials: Sequence[Trial],
    places: Floats,
    order: npt.NDArray[np.intp],
    most: int,
    grid: Floats,
) -> tuple[Floats, Floats]:
    """Volume after 0 .. `most` measurements, and at the epochs of the grid."""
    volumes = growing_volume(places[order])
    measured = np.cumsum([0, *(trials[i].measurement is not None for i in order)])
    epochs = np.cumsum([0.0, *(trials[i].epochs for i in order)])
    # The last step with no more than n measurements, or than so many epochs, spent.
    by_count = volumes[np.searchsorted(measured, np.arange(most + 1), side="right") - 1]
    by_epochs = volumes[np.searchsorted(epochs, grid + 1e-9, side="right") - 1]
    return by_count, by_epochs
