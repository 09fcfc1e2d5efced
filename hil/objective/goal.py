"""What the user wants of a network: an accuracy, limits, and how its costs are weighed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from compress.errors import UserError
from hil.objective.costs import Costs, costs_of, cycles_of, knows_cycles
from hil.objective.pareto import best as best_score
from hil.objective.pareto import measurement_of
from hil.objective.pareto import score as geometric_mean
from hil.types import Board, Measurement, Trial

_UNKNOWN_EXCESS = 1.0  # what is not known keeps no limit: as if it were twice that
_ASKED = ("accuracy", "flash_bytes", "ram_bytes", "latency_ms", "energy_uj")


@dataclass(frozen=True, slots=True)
class ObjectiveWeights:
    """How much each cost counts in the weighted sum, as ratios to the int8 baseline's.

    `accuracy` weighs what is lost against the baseline, in points (percent) of accuracy.
    """

    accuracy: float = 0.0
    flash: float = 1.0
    ram: float = 1.0
    latency: float = 1.0
    energy: float = 0.0

    def mean(self, flash: float, ram: float, work: float, lost_points: float) -> float:
        """Weighted mean of ratios to the baseline's flash, RAM and work, and the points lost.

        On one board energy follows time (docs/decisions/0022): both weigh the ratio of the work.
        """
        pairs = ((self.flash, flash), (self.ram, ram), (self.latency + self.energy, work))
        total = sum(weight for weight, _ in pairs)
        weighed = sum(weight * ratio for weight, ratio in pairs)
        return (weighed + self.accuracy * lost_points) / (total or 1.0)


@dataclass(frozen=True, slots=True)
class Goal:
    """Limits that make a network feasible on `board`, and `weights` (None: all of the front).

    `accuracy` is the floor, a share of 1 on the validation split; the rest are the most that an
    inference may take. None where the user set no limit.
    """

    board: Board
    accuracy: float
    flash_bytes: int
    ram_bytes: int
    latency_ms: float | None = None
    energy_uj: float | None = None
    weights: ObjectiveWeights | None = None

    @classmethod
    def of(cls, board: Board, accuracy: float) -> Goal:
        """The board's own limits."""
        return cls(board, accuracy, board.flash_limit_bytes, board.ram_limit_bytes)

    def violation(self, trial: Trial) -> float:
        """How far it is off: 0 for a feasible trial, below 1 for one that was measured.

        The sum s of the relative excesses as s / (1 + s), so that what could not be built is always
        further off than what could.
        """
        if trial.measurement is None or trial.accuracy is None:
            return 1.0 + trial.violation
        costs = costs_of(trial.measurement, self.board)
        excess = sum(
            _UNKNOWN_EXCESS if used is None else max(0.0, used / most - 1.0)
            for used, most in self._limited(costs)
        )
        missing = max(0.0, self.accuracy - trial.accuracy)
        excess += missing / self.accuracy if missing else 0.0
        return excess / (1.0 + excess)

    def weighed(self, trial: Trial, baseline: Trial) -> float:
        """Weighted mean of the cost ratios to the int8 `baseline`; smaller is better.

        Work is cycles, or instructions where nothing else was counted. Raises ValueError for
        trials that were not measured.
        """
        mine, theirs = measurement_of(trial), measurement_of(baseline)
        return (self.weights or ObjectiveWeights()).mean(
            mine.flash.total / theirs.flash.total,
            mine.ram.total / theirs.ram.total,
            _work(mine) / _work(theirs),
            100 * ((baseline.accuracy or 0.0) - (trial.accuracy or 0.0)),
        )

    def score(self, trial: Trial, baseline: Trial) -> float:
        """What is chosen by, smaller is better: `weighed` with weights, else `pareto.score`.

        Raises ValueError for trials that were not measured.
        """
        if self.weights is None:
            return geometric_mean(measurement_of(trial), measurement_of(baseline))
        return self.weighed(trial, baseline)

    def best(self, trials: Iterable[Trial], baseline: Trial | None) -> Trial | None:
        """The one to choose of the `trials` that keep every limit; None if none does.

        With weights that of the smallest weighted mean against the `baseline`, otherwise (or
        where that was not measured) that of the smallest `pareto.score`.
        """
        feasible = [t for t in trials if t.state == "measured" and self.violation(t) == 0.0]
        if self.weights is None or baseline is None or baseline.measurement is None:
            return best_score(feasible, self.accuracy)

        def rank(trial: Trial) -> tuple[float, float, int]:
            return self.weighed(trial, baseline), -(trial.accuracy or 0.0), trial.number

        return min(feasible, key=rank, default=None)

    def to_json(self) -> dict[str, Any]:
        """What the user asked for, without the board, for `from_json`."""
        asked = {name: getattr(self, name) for name in _ASKED}
        return {**asked, "weights": None if self.weights is None else asdict(self.weights)}

    @classmethod
    def from_json(cls, board: Board, asked: Mapping[str, Any]) -> Goal:
        """The goal that `to_json` told. Raises KeyError or TypeError for anything else."""
        weights = None if asked["weights"] is None else ObjectiveWeights(**asked["weights"])
        return cls(board, **{name: asked[name] for name in _ASKED}, weights=weights)

    def _limited(self, costs: Costs) -> Iterator[tuple[float | None, float]]:
        """What is used (None if not known) and the most allowed, where there is a limit."""
        pairs: tuple[tuple[float | None, float | None], ...] = (
            (costs.flash_bytes, self.flash_bytes),
            (costs.ram_bytes, self.ram_bytes),
            (costs.latency_ms, self.latency_ms),
            (costs.energy_uj, self.energy_uj),
        )
        for used, most in pairs:
            if most is not None:
                yield used, most


def make_goal(
    board: Board,
    accuracy: float,
    max_flash: int | None = None,
    max_ram: int | None = None,
    max_latency: float | None = None,
    max_energy: float | None = None,
    weights: ObjectiveWeights | None = None,
) -> Goal:
    """The user's limits (bytes, ms, microjoules an inference) within those of `board`.

    Raises UserError for a limit that the board cannot be held to: more memory than it has, a time
    where only instructions are counted, an energy (or its weight) where no power is known.
    """
    energy_asked = max_energy is not None or (weights is not None and weights.energy > 0)
    if max_latency is not None and not knows_cycles(board):
        raise UserError(
            f"a limit on latency: board {board.name} counts instructions, and those are not time; "
            "choose a board whose cycles are counted or modelled (hil boards: cycles)"
        )
    if energy_asked and (board.energy is None or not knows_cycles(board)):
        raise UserError(
            f"a limit or weight on energy: no power figure is known for board {board.name}; "
            "limit or weigh latency instead, choose a board that has one (hil boards: mW), or "
            "measure that of a real board (hil calibrate)"
        )
    return Goal(
        board,
        accuracy,
        _within("flash", max_flash, board.flash_limit_bytes, board),
        _within("RAM", max_ram, board.ram_limit_bytes, board),
        max_latency,
        max_energy,
        weights,
    )


def _within(memory: str, wanted: int | None, limit: int, board: Board) -> int:
    if wanted is not None and wanted > limit:
        raise UserError(
            f"a limit of {wanted} bytes of {memory}: board {board.name} allows {limit}, and the "
            "smaller of the two counts; ask for less, or leave the limit out"
        )
    return limit if wanted is None else wanted


def _work(measurement: Measurement) -> int:
    """Cycles of one inference, or its instructions where nothing tells the cycles."""
    cycles = cycles_of(measurement)
    return measurement.count if cycles is None else cycles
