"""The goal of a search: an accuracy floor, limits on the costs, and objective weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from compress.errors import UserError
from compress.metrics.scale import MetricScale
from hil.objective.choice import Eligible, choose_eligible
from hil.objective.costs import Costs, costs_of, cycles_of, knows_cycles
from hil.objective.floor import Floor, parse_floor
from hil.objective.pareto import measurement_of
from hil.objective.pareto import score as geometric_mean
from hil.types import Board, Measurement, Memory, Trial

if TYPE_CHECKING:
    from hil.objective.decision import FloorOdds

_UNKNOWN_EXCESS = 1.0  # an unknown cost violates its limit as if it were twice the limit
_ASKED = ("accuracy", "flash_bytes", "ram_bytes", "latency_ms", "energy_uj")


@dataclass(frozen=True, slots=True)
class ObjectiveWeights:
    """The factors of the cost ratios (network / int8 baseline) in the weighted mean, all >= 0.

    `accuracy` is the factor of each percentage point of accuracy lost against the baseline.
    """

    accuracy: float = 0.0
    flash: float = 1.0
    ram: float = 1.0
    latency: float = 1.0
    energy: float = 0.0

    def mean(self, flash: float, ram: float, work: float, lost_points: float) -> float:
        """The weighted mean of the ratios to the baseline, plus the penalty for points lost.

        `work` is the ratio of cycles or instructions. It is weighed by latency and energy together:
        on one board energy is proportional to time (docs/decisions/0022). `lost_points` is in
        percentage points. The divisor is the sum of the cost factors, without that of accuracy, or
        1 if that sum is 0.
        """
        pairs = ((self.flash, flash), (self.ram, ram), (self.latency + self.energy, work))
        total = sum(weight for weight, _ in pairs)
        weighted = sum(weight * ratio for weight, ratio in pairs)
        return (weighted + self.accuracy * lost_points) / (total or 1.0)


@dataclass(frozen=True, slots=True)
class Goal:
    """The limits that a feasible network keeps on `board`, and the objective weights.

    `accuracy` is the floor on the validation split: the task's metric as a share where more is
    better (`compress.metrics.scale`). It follows from `floor`, if that is not None, once the float
    network is known (`settled`). The others are upper limits for one inference, None where there is
    none. Without `weights` the whole front is sought. The chosen network must keep the floor with
    the probability `confidence` (`hil.objective.decision`); None: to keep it on the validation
    split is enough. Networks whose cost is within the share `near` of the least count as equally
    cheap (`hil.objective.choice`).
    """

    board: Board
    accuracy: float
    flash_bytes: int
    ram_bytes: int
    latency_ms: float | None = None
    energy_uj: float | None = None
    weights: ObjectiveWeights | None = None
    floor: Floor | None = None
    confidence: float | None = None
    near: float = 0.0

    def settled(self, metric: MetricScale, original: float) -> Goal:
        """The goal with the `accuracy` that `floor` means for a float network of value `original`.

        `metric` has its reference.
        """
        if self.floor is None:
            return self
        return replace(self, accuracy=self.floor.share(metric, original))

    @classmethod
    def of(cls, board: Board, accuracy: float) -> Goal:
        """The goal with the board's own limits."""
        return cls(board, accuracy, board.flash_limit_bytes, board.ram_limit_bytes)

    @property
    def saves(self) -> Memory:
        """The memory that stored weights save: RAM if it weighs more than flash, else flash."""
        return "ram" if self.weights and self.weights.ram > self.weights.flash else "flash"

    def violation(self, trial: Trial) -> float:
        """The constraint violation: 0 if feasible, 0 .. 1 if measured, above 1 if not measured.

        A measured trial has s / (1 + s), s the sum of the relative excesses over the limits. The
        mapping keeps it below 1, so that a trial that could not be built is always worse.
        """
        if trial.measurement is None or trial.accuracy is None:
            return 1.0 + trial.violation
        costs = costs_of(trial.measurement, self.board)
        excess = sum(
            _UNKNOWN_EXCESS if used is None else max(0.0, used / most - 1.0)
            for used, most in self._limited(costs)
        )
        excess += self.shortfall(trial.accuracy)
        return excess / (1.0 + excess)

    def shortfall(self, accuracy: float) -> float:
        """How much an accuracy is below the floor, relative to the floor; 0 if it is not."""
        missing = max(0.0, self.accuracy - accuracy)
        return missing / (abs(self.accuracy) or 1.0) if missing else 0.0

    def weighted_mean(self, trial: Trial, baseline: Trial) -> float:
        """The weighted mean of the cost ratios to the int8 `baseline`; smaller is better.

        Work is cycles, or instructions where cycles are unknown. Raises ValueError for trials that
        were not measured.
        """
        mine, theirs = measurement_of(trial), measurement_of(baseline)
        return (self.weights or ObjectiveWeights()).mean(
            flash=mine.flash.total / theirs.flash.total,
            ram=mine.ram.total / theirs.ram.total,
            work=_work_ratio(mine, theirs, self.board),
            lost_points=100 * ((baseline.accuracy or 0.0) - (trial.accuracy or 0.0)),
        )

    def score(self, trial: Trial, baseline: Trial) -> float:
        """`weighted_mean`, or `pareto.score` without weights; smaller is better.

        Raises ValueError for trials that were not measured.
        """
        if self.weights is None:
            return geometric_mean(measurement_of(trial), measurement_of(baseline))
        return self.weighted_mean(trial, baseline)

    def candidates(self, trials: Iterable[Trial], baseline: Trial | None) -> tuple[Eligible, ...]:
        """The feasible trials with their costs and accuracy bounds.

        Those are sure that keep the floor with at least the probability `confidence`; if no
        feasible trial does, it is the most probable one alone. The cost is the weighted mean to the
        `baseline`; without weights, or without a measured baseline, it is the `pareto.score`.
        """
        known = sorted(trials, key=lambda trial: trial.number)  # sums of floats depend on order
        odds = self.odds(known)
        feasible = [t for t in known if t.state == "measured" and self.violation(t) == 0.0]
        if not feasible:
            return ()
        sure = {trial.number for trial in self._sure(feasible, odds)}
        measured = baseline is not None and baseline.measurement is not None
        first = baseline if measured and self.weights is not None else None
        goal = self if first is not None else replace(self, weights=None)
        return tuple(
            Eligible(
                trial,
                cost=goal.score(trial, first or feasible[0]),
                bound=self._bound(trial, odds),
                is_sure=trial.number in sure,
            )
            for trial in feasible
        )

    def best(self, trials: Iterable[Trial], baseline: Trial | None) -> Trial | None:
        """The trial that `choose_eligible` takes of the candidates; None if there is none.

        A weight on accuracy says what a percentage point may cost: then `near` does not count.
        """
        found = choose_eligible(self.candidates(trials, baseline), self.nearness)
        return None if found is None else found.trial

    @property
    def nearness(self) -> float:
        """The share of the least cost within which networks count as equally cheap."""
        return 0.0 if self.weights is not None and self.weights.accuracy else self.near

    def _bound(self, trial: Trial, odds: Mapping[int, FloorOdds]) -> float:
        """The accuracy that the trial has with the probability `confidence`, else the measured."""
        found = odds.get(trial.number)
        if found is None or self.confidence is None:
            return trial.accuracy or 0.0
        return found.accuracy - NormalDist().inv_cdf(self.confidence) * found.deviation

    @property
    def floor_is_distance(self) -> bool:
        """True if the floor is a distance to the float network, not a value of its own."""
        return self.floor is not None and self.floor.kind != "absolute"

    def odds(self, trials: Iterable[Trial]) -> Mapping[int, FloorOdds]:
        """The odds of keeping the floor, by number of those trials that have figures by halves."""
        from hil.objective.decision import floor_odds  # NumPy: options become goals without it

        full = [t for t in trials if t.measurement is not None]
        return floor_odds(full, self.accuracy, self.floor_is_distance)

    def _sure(self, feasible: list[Trial], odds: Mapping[int, FloorOdds]) -> list[Trial]:
        """Those that keep the floor probably enough, else the most probable; all if unknown."""
        if self.confidence is None:
            return feasible
        known = [t for t in feasible if t.number in odds]
        sure = [t for t in known if odds[t.number].probability >= self.confidence]
        most = sorted(known, key=lambda t: -odds[t.number].probability)[:1]
        return sure or most or feasible

    def to_json(self) -> dict[str, Any]:
        """The limits and weights, without the board, as `from_json` reads them."""
        asked = {name: getattr(self, name) for name in _ASKED}
        return {
            **asked,
            "weights": None if self.weights is None else asdict(self.weights),
            "floor": None if self.floor is None else str(self.floor),
            "confidence": self.confidence,
            "near": self.near,
        }

    @classmethod
    def from_json(cls, board: Board, asked: Mapping[str, Any]) -> Goal:
        """The goal from the output of `to_json`; older ones have no floor, confidence and nearness.

        Raises KeyError or TypeError for anything else.
        """
        weights = None if asked["weights"] is None else ObjectiveWeights(**asked["weights"])
        floor = None if asked.get("floor") is None else parse_floor(asked["floor"])
        limits = {name: asked[name] for name in _ASKED}
        confidence, near = asked.get("confidence"), asked.get("near", 0.0)
        return cls(board, **limits, weights=weights, floor=floor, confidence=confidence, near=near)

    def _limited(self, costs: Costs) -> Iterator[tuple[float | None, float]]:
        """(used, limit) of every cost that has a limit; used is None if it is unknown."""
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
    """The goal with the user's limits (bytes, ms, microjoules an inference), else the board's.

    Raises UserError for a limit that the board does not support: more memory than its own limit, a
    latency where only instructions are counted, an energy (or its weight) without a power figure.
    """
    energy_asked = max_energy is not None or (weights is not None and weights.energy > 0)
    if max_latency is not None and not knows_cycles(board):
        raise UserError(
            f"a limit on latency: board {board.name} counts instructions, which are not time; "
            "choose a board whose cycles are counted or modelled (hil boards: cycles)"
        )
    if energy_asked and (board.energy is None or not knows_cycles(board)):
        raise UserError(
            f"a limit or weight on energy: no power figure is known for board {board.name}; "
            "limit or weigh latency instead, choose a board that has one (hil boards: mW), or "
            "measure the power of a real board (hil calibrate)"
        )
    return Goal(
        board=board,
        accuracy=accuracy,
        flash_bytes=_within("flash", max_flash, board.flash_limit_bytes, board),
        ram_bytes=_within("RAM", max_ram, board.ram_limit_bytes, board),
        latency_ms=max_latency,
        energy_uj=max_energy,
        weights=weights,
    )


def _within(memory: str, wanted: int | None, limit: int, board: Board) -> int:
    if wanted is not None and wanted > limit:
        raise UserError(
            f"a limit of {wanted} bytes of {memory}: board {board.name} allows {limit} bytes; "
            "set a smaller limit, or none for the board's own"
        )
    return limit if wanted is None else wanted


def _work_ratio(mine: Measurement, theirs: Measurement, board: Board) -> float:
    """The ratio of cycles of one inference, or of instructions if either's cycles are unknown."""
    pair = cycles_of(mine, board), cycles_of(theirs, board)
    if pair[0] is None or pair[1] is None:
        return mine.count / theirs.count
    return pair[0] / pair[1]
