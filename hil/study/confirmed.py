"""The networks that the decision rule chooses in a study, and what the test split says of them.

The rule is that of a search (`hil.objective.decision`): by the validation split alone, a network
must keep the floor with a probability of at least `CONFIDENCE`. The smallest of these is chosen,
for each arm, seed, floor and cost. The floor counts from the seed's float network, on either split;
the test split, which chose nothing, says whether it is kept (docs/decisions/0034).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from hil.objective.decision import floor_odds
from hil.objective.floor import CONFIDENCE
from hil.study.choices import Cost, choices, drop_on_test, ratios_to, references
from hil.study.result import ArmTrace, StudyResult
from hil.types import Trial

CONFIRMED_FLOORS_POINTS = (1.0, 2.0)
CONFIRMED_COSTS: tuple[Cost, ...] = ("count", "model flash")
# Tolerance for float rounding, in points: far less than one of many thousand samples.
_ROUNDING = 1e-7


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The network of `arm` in `seed` that is smallest in `cost` and sure to keep the floor.

    `ratio` is that of its cost to the seed's int8 network. `drop_points` is its loss on the test
    split, None if it was not tested. Without a sure network `trial` is None and int8 takes its
    place, with ratio 1.
    """

    arm: str
    seed: int
    floor_points: float
    cost: Cost
    trial: Trial | None
    ratio: float
    drop_points: float | None

    @property
    def keeps_floor(self) -> bool | None:
        """True if it keeps the floor on the test split; None if that is not known."""
        if self.drop_points is None:
            return None
        return self.drop_points <= self.floor_points + _ROUNDING

    @property
    def confirmed_ratio(self) -> float:
        """The ratio; 1, that of int8, unless the network keeps the floor on the test split."""
        return self.ratio if self.keeps_floor else 1.0


def sure_trials(trace: ArmTrace, original: float, floor_points: float) -> list[Trial]:
    """The networks within the limits that keep the floor with a probability of `CONFIDENCE`.

    `original` is the float network's validation accuracy, a share of 1.
    """
    measured = [trial for trial in trace.trials if trial.measurement is not None]
    odds = floor_odds(measured, original - floor_points / 100, is_distance=True)
    sure = {number for number, one in odds.items() if one.probability >= CONFIDENCE}
    return [trial for trial in measured if trial.state == "measured" and trial.number in sure]


def confirmed(result: StudyResult) -> tuple[Confirmed, ...]:
    """The choices of every arm, floor and cost, in the seeds that have an int8 network."""
    int8 = references(result)
    found = []
    for trace in result.traces:
        if trace.seed not in int8 or not trace.trials:
            continue
        for floor in CONFIRMED_FLOORS_POINTS:
            sure = sure_trials(trace, result.originals[trace.seed]["val"], floor)
            ratios = {t.number: ratios_to(t, int8[trace.seed], result.board) for t in sure}
            for cost in CONFIRMED_COSTS:
                best = min(sure, key=lambda t: (ratios[t.number][cost], t.number), default=None)
                drop = None if best is None else drop_on_test(result, trace.seed, best)
                found.append(
                    Confirmed(
                        arm=trace.arm,
                        seed=trace.seed,
                        floor_points=floor,
                        cost=cost,
                        trial=best,
                        ratio=1.0 if best is None else ratios[best.number][cost],
                        drop_points=drop,
                    )
                )
    return tuple(found)


def kept(found: tuple[Confirmed, ...]) -> tuple[int, int]:
    """How many different networks of these keep their floor on the test split, of how many."""
    known = {
        (one.seed, one.floor_points, one.trial.number): one.keeps_floor
        for one in found
        if one.trial is not None and one.keeps_floor is not None
    }
    return sum(bool(keeps) for keeps in known.values()), len(known)


def chosen_numbers(result: StudyResult) -> dict[int, set[int]]:
    """The numbers of the trials, by seed, whose test accuracy the report shows."""
    numbers: dict[int, set[int]] = defaultdict(set)
    for seed, trial in references(result).items():
        numbers[seed].add(trial.number)
    chosen = [(one.seed, one.trial) for one in choices(result)]
    for seed, best in (*chosen, *((one.seed, one.trial) for one in confirmed(result))):
        if best is not None:
            numbers[seed].add(best.number)
    return dict(numbers)
