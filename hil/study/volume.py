"""The hypervolume that an arm's networks dominate, over its measurements and over its epochs.

There are four objectives, all minimized and scaled to 0 .. 1:

    (drop + 1) / 3     drop of validation accuracy below the seed's float network, -1 .. 2 points
    ratio / 1.5        ratios of model flash, RAM and count to the seed's int8 network, 0 .. 1.5

The reference point is (1, 1, 1, 1): the hypervolume (Zitzler & Thiele 1998) is a share of 1.
Ratios up to 1.5 count, since a network may trade more of one cost than int8's for less of another.
A network beyond the reference point in any objective adds nothing; an accuracy more than one point
above the float network counts as one point above. The scale is fixed, so that an arm's volume does
not depend on the other arms (docs/decisions/0023).
"""

from __future__ import annotations

from dataclasses import dataclass

import moocore
import numpy as np
import numpy.typing as npt

from hil.study.choices import ratios_to, references
from hil.study.result import ArmTrace, StudyResult
from hil.types import Board, Floats, Trial

REPLAYS = 20
# Searches with independent draws: every order of the draws was equally likely. They always begin
# with the int8 network.
INDEPENDENT = ("random",)
_BEST_DROP, _WORST_DROP = -1.0, 2.0
WORST_RATIO = 1.5
_GRID = 101  # points of the epoch grid
_REFERENCE = np.ones(4)


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """One arm's hypervolume as it grows, by seed: float64 (replays, steps), shares of 1.

    `by_count[seed][:, n]` is the volume after n measurements, n from 0 to the most of any arm.
    `by_epochs[seed]` has the volumes at the study's `epoch_grid`. Beyond its end an arm keeps its
    last volume. The rows are random orders of the trials if `replayed`, otherwise the one real run.
    """

    arm: str
    by_count: dict[int, Floats]
    by_epochs: dict[int, Floats]
    replayed: bool

    def at_count(self, measurements: int) -> dict[int, float]:
        """The volume of each seed after so many measurements, the mean over the replays."""
        return {
            seed: float(rows[:, min(measurements, rows.shape[1] - 1)].mean())
            for seed, rows in self.by_count.items()
        }


def point(trial: Trial, reference: Trial, original: float, board: Board) -> Floats:
    """The four scaled objectives of a trial, float64 (4,); the reference point if it adds nothing.

    `original` is the float network's validation accuracy, a share of 1.
    """
    if trial.state != "measured" or trial.accuracy is None:
        return _REFERENCE
    ratios = ratios_to(trial, reference, board)
    drop = (100 * (original - trial.accuracy) - _BEST_DROP) / (_WORST_DROP - _BEST_DROP)
    costs = [ratios[cost] / WORST_RATIO for cost in ("model flash", "RAM", "count")]
    place = np.array([max(drop, 0.0), *costs])
    return place if (place < 1.0).all() else _REFERENCE


def cumulative_hypervolume(points: Floats) -> Floats:
    """The hypervolume of the first 0, 1, .. n rows of `points` (n, 4): float64 (n + 1,)."""
    volumes = np.zeros(len(points) + 1)
    front = np.empty((0, 4))
    for index, new in enumerate(points):
        volumes[index + 1] = volumes[index]
        if (new < 1.0).all() and not (front <= new).all(axis=1).any():
            front = np.vstack([front[~(new <= front).all(axis=1)], new])
            # The volume never shrinks; the maximum removes the rounding of its computation.
            volumes[index + 1] = max(volumes[index], moocore.hypervolume(front, ref=_REFERENCE))
    return volumes


def is_exchangeable(trace: ArmTrace) -> bool:
    """True if every order of the trials was equally likely.

    That holds for independent draws and for the sweep of a fixed arm's settings, but not for an arm
    that learns or screens.
    """
    fixed = trace.kind != "search" or trace.arm in INDEPENDENT
    return fixed and all(trial.fidelity == 1.0 for trial in trace.trials)


def replay_orders(trace: ArmTrace, replays: int = REPLAYS) -> list[npt.NDArray[np.intp]]:
    """The orders in which to replay the trials, each intp (trials,): permutations of their indices.

    An exchangeable trace (see `is_exchangeable`) has `replays` random orders, any other only its
    own. The int8 network stays first in random search. The orders depend on the seed and the number
    of trials only, so that they stay the same as a study grows.
    """
    steps = np.arange(len(trace.trials))
    if not is_exchangeable(trace):
        return [steps]
    chance = np.random.default_rng([trace.seed, len(steps)])
    first, drawn = np.split(steps, [1 if trace.arm in INDEPENDENT else 0])
    return [np.concatenate([first, chance.permutation(drawn)]) for _ in range(replays)]


def epoch_grid(result: StudyResult) -> Floats:
    """The epochs of the columns of `Curves.by_epochs`: 101, from 0 to the most of any arm."""
    most = max((trace.epochs for trace in result.traces), default=0.0)
    return np.linspace(0.0, max(most, 1.0), _GRID)


def curves(result: StudyResult, replays: int = REPLAYS) -> dict[str, Curves]:
    """The curves of each arm, by name, in the seeds that have an int8 network."""
    grid, int8 = epoch_grid(result), references(result)
    found: dict[str, Curves] = {}
    for trace in result.traces:
        if trace.seed not in int8 or not trace.trials:
            continue
        original = result.originals[trace.seed]["val"]
        places = [point(trial, int8[trace.seed], original, result.board) for trial in trace.trials]
        rows = [
            _curve(trace, np.array(places), order, result.most_measured, grid)
            for order in replay_orders(trace, replays)
        ]
        arm = found.setdefault(
            trace.arm,
            Curves(trace.arm, by_count={}, by_epochs={}, replayed=is_exchangeable(trace)),
        )
        arm.by_count[trace.seed] = np.array([by_count for by_count, _ in rows])
        arm.by_epochs[trace.seed] = np.array([by_epochs for _, by_epochs in rows])
    return found


def _curve(
    trace: ArmTrace,
    places: Floats,
    order: npt.NDArray[np.intp],
    most: int,
    grid: Floats,
) -> tuple[Floats, Floats]:
    """The volumes after 0 .. `most` measurements, and at the epochs of the grid."""
    volumes = cumulative_hypervolume(places[order])
    measured = np.cumsum([0, *(trace.trials[i].measurement is not None for i in order)])
    epochs = np.cumsum([0.0, *(trace.charges[i].epochs for i in order)])
    # For each n the last step at which at most n measurements (or epochs) were used.
    by_count = volumes[np.searchsorted(measured, np.arange(most + 1), side="right") - 1]
    by_epochs = volumes[np.searchsorted(epochs, grid + 1e-9, side="right") - 1]
    return by_count, by_epochs
