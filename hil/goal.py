"""What the user wants of a network: an accuracy, limits, and how its costs are weighed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hil.costs import Costs, costs_of
from hil.types import Board, Trial


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each cost counts in the weighted sum, as ratios to the int8 baseline's.

    `accuracy` weighs what is lost against the baseline, in points (percent) of accuracy.
    """

    accuracy: float = 0.0
    flash: float = 1.0
    ram: float = 1.0
    latency: float = 1.0
    energy: float = 0.0


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
    weights: Weights | None = None

    @classmethod
    def of(cls, board: Board, accuracy: float) -> Goal:
        """The board's own limits."""
        return cls(board, accuracy, board.flash_limit_bytes, board.ram_limit_bytes)

    def violation(self, trial: Trial) -> float:
        """Sum of the relative excesses; 0 for a feasible trial, above 1 for one not measured."""
        if trial.measurement is None or trial.accuracy is None:
            return 1.0 + trial.violation
        costs = costs_of(trial.measurement, self.board)
        excess = sum(max(0.0, used / most - 1.0) for used, most in self._limited(costs))
        return excess + max(0.0, (self.accuracy - trial.accuracy) / self.accuracy)

    def weighed(self, trial: Trial, baseline: Trial) -> float:
        """Weighted mean of the cost ratios to the int8 `baseline`; smaller is better.

        Raises ValueError for trials that were not measured.
        """
        weights = self.weights or Weights()
        if trial.measurement is None or baseline.measurement is None:
            raise ValueError(f"trial {trial.number} or {baseline.number} was not measured")
        mine, theirs = (costs_of(m, self.board) for m in (trial.measurement, baseline.measurement))
        latency = (mine.count, theirs.count)
        if mine.latency_ms is not None and theirs.latency_ms is not None:
            latency_ms = mine.latency_ms / theirs.latency_ms
        else:
            latency_ms = latency[0] / latency[1]
        energy = (
            mine.energy_uj / theirs.energy_uj
            if mine.energy_uj is not None and theirs.energy_uj is not None
            else latency_ms
        )
        lost_points = 100 * ((baseline.accuracy or 0.0) - (trial.accuracy or 0.0))
        parts = (
            (weights.flash, mine.flash_bytes / theirs.flash_bytes),
            (weights.ram, mine.ram_bytes / theirs.ram_bytes),
            (weights.latency, latency_ms),
            (weights.energy, energy),
        )
        total = sum(weight for weight, _ in parts) or 1.0
        weighed = sum(weight * ratio for weight, ratio in parts)
        return (weighed + weights.accuracy * lost_points) / total

    def _limited(self, costs: Costs) -> Iterator[tuple[float, float]]:
        """What is used and the most allowed, where there is a limit and a figure."""
        pairs: tuple[tuple[float | None, float | None], ...] = (
            (costs.flash_bytes, self.flash_bytes),
            (costs.ram_bytes, self.ram_bytes),
            (costs.latency_ms, self.latency_ms),
            (costs.energy_uj, self.energy_uj),
        )
        for used, most in pairs:
            if used is not None and most is not None:
                yield used, most
