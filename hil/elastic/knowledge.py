"""What a search on elastic networks knows: trials told, costs of shapes, what shapes inherit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from compress.genome import Genome
from compress.space.recipes import baseline
from hil.elastic.bit_factors import BitFactors, factors_of, measured_factors
from hil.elastic.fine_tuning import Candidate, FineTuning, Inherited, cost_factors
from hil.elastic.lattice import Lattice, Shape
from hil.elastic.shape_search import ShapeCosts, ShapeIndividual
from hil.objective.decision import margin
from hil.objective.goal import Goal
from hil.objective.pareto import measurement_of
from hil.search.cost_tables import CostTable, PredictedCosts, Profiled, table_error
from hil.search.gate import Gate
from hil.types import Floats, Measurement, Trial

_FEWEST_PROFILED = 4


class Knowledge:
    """The trials told so far, and the costs that follow from them.

    `designed` are the networks to profile, by genome. `full` are the trials at fidelity 1, without
    repeats, by genome; `second` the accuracies inherited from a second elastic network, by shape.
    """

    def __init__(self, goal: Goal, designed: Mapping[Genome, Shape], lattice: Lattice) -> None:
        self.goal = goal
        self.designed = designed
        self.lattice = lattice
        self.trials: list[Trial] = []
        self.full: dict[Genome, Trial] = {}
        self.second: dict[Shape, float] = {}
        self._table: CostTable | None = None
        self._factors: BitFactors = {}
        self._gate = Gate(goal)

    def add(self, trials: Sequence[Trial]) -> None:
        """Take in the trials of a batch."""
        self.trials += trials
        self.full.update({t.genome: t for t in trials if t.fidelity == 1.0 and t.repeat == 0})

    def make_table(self) -> tuple[bool, str]:
        """Make the cost table of the networks profiled so far: if there are enough, and a line."""
        seen = [
            (Profiled(shape.widths, shape.drop, m.layers, m.count), shape)
            for genome, shape in self.designed.items()
            if (m := self._measurement(genome)) is not None and m.layers
        ]
        profiled = [one for one, shape in seen if set(shape.bits) <= {8}]
        if len(profiled) < _FEWEST_PROFILED or not any(not one.drop for one in profiled):
            return False, (
                f"{len(profiled)} networks could be profiled on the board, {_FEWEST_PROFILED} are "
                "needed to predict costs: use --engine adaptive"
            )
        self._table = CostTable.of(profiled)
        mixed = [(one, self.lattice.bits_by_name(shape)) for one, shape in seen]
        self._factors = measured_factors(self._table, mixed)
        self._gate = Gate.calibrated(self.goal, self.trials)
        layers = len(self._table.layers)
        return True, (
            f"costs of shapes: {layers} layers measured on the board in {len(seen)} networks"
        )

    def predicted(self, shape: Shape) -> PredictedCosts:
        """The costs of a shape by the table. Raises ValueError before it was made."""
        if self._table is None:
            raise ValueError("no cost table yet")
        factors = factors_of(self._factors, self.lattice.bits_by_name(shape))
        return self._table.predict(shape.widths, shape.drop, factors)

    def shape_costs(self, shape: Shape) -> ShapeCosts:
        """The predicted costs of a shape at its bits, or in int8 if it has none.

        The excess of one without bits is that with half of the weights: a tail may have 4 bits, and
        a shape that keeps the limits with them is worth looking at.
        """
        predicted = self.predicted(shape)
        scheme = Genome((self.lattice.scheme(shape),))
        costs = self._gate.predict(predicted.estimate, scheme)
        least = predicted.estimate
        if not shape.bits:
            least = replace(least, weight_bytes=least.weight_bytes // 2)
        return ShapeCosts(
            flash_bytes=costs.flash_bytes,
            ram_bytes=costs.ram_bytes,
            count=predicted.count,
            excess=self._gate.excess(least, scheme),
        )

    def inherited(
        self, found: Iterable[tuple[ShapeIndividual, Genome]]
    ) -> dict[tuple[int, Shape], Inherited]:
        """Shapes within the limits, by network and shape; `found` has each one's int8 genome.

        Costs that were measured replace predicted ones.
        """
        known = {}
        for one, genome in found:
            costs = one.costs
            if self._measurement(genome) is not None:
                flash, ram, count = map(float, costs_of_trial(self.full[genome]))
                costs = replace(costs, flash_bytes=flash, ram_bytes=ram, count=count)
            if costs.excess > 0.0:
                continue
            estimate = self.predicted(one.shape).estimate
            known[0, one.shape] = Inherited(one.accuracy, costs, estimate)
            if one.shape in self.second:
                known[1, one.shape] = Inherited(self.second[one.shape], costs, estimate)
        return known

    def fine_tuning(
        self,
        shapes: Mapping[tuple[int, Shape], Inherited],
        candidates: Mapping[Genome, Candidate],
    ) -> FineTuning:
        """The choice among candidates for these shapes; `candidates` are those asked for so far."""
        trained, built = {}, []
        for genome, candidate in candidates.items():
            trial = self.full.get(genome)
            if trial is None or trial.accuracy is None:
                continue
            trained[candidate] = trial.accuracy
            if trial.measurement is not None:
                known = shapes[candidate.network, candidate.shape]
                built.append((known, candidate.tail, costs_of_trial(trial)))
        measured = [t for t in self.full.values() if t.measurement is not None]
        base = [t for t in measured if t.genome == baseline()] or measured
        return FineTuning(
            goal=self.goal,
            shapes=shapes,
            trained=trained,
            started=frozenset(candidates.values()),
            others=[
                (t.accuracy or 0.0, costs_of_trial(t))
                for t in measured
                if t.genome not in candidates and self.goal.violation(t) == 0.0
            ],
            reference=np.array([costs_of_trial(t) for t in base]).max(axis=0),
            reference_accuracy=max(t.accuracy or 0.0 for t in base),
            least_accuracy=self._least_accuracy(),
            factors=cost_factors(built),
        )

    def best(self) -> Trial | None:
        """The network that would be chosen now."""
        full = [trial for trial in self.trials if trial.fidelity == 1.0]
        return self.goal.best(full, self.full.get(baseline()))

    def table_errors(self, built: Iterable[tuple[ShapeIndividual, Genome]]) -> str:
        """How well the table predicted networks built after it, in a line; "" if none was."""
        pairs = [
            (one.costs, costs_of_trial(self.full[genome]))
            for one, genome in built
            if self._measurement(genome) is not None
        ]
        if not pairs:
            return ""
        measured = np.array([costs for _, costs in pairs])
        said = np.array([(c.flash_bytes, c.ram_bytes, c.count) for c, _ in pairs])
        flash, ram, count = (table_error(said[:, i], measured[:, i]) for i in range(3))
        return (
            f"fit error of the cost table: count {count.text}; flash "
            f"{100 * flash.root_mean_square:.1f} % rms, RAM {100 * ram.root_mean_square:.1f} % rms"
        )

    def _measurement(self, genome: Genome) -> Measurement | None:
        trial = self.full.get(genome)
        return None if trial is None else trial.measurement

    def _least_accuracy(self) -> float:
        """The floor, and above it what a network needs to keep it with the goal's confidence."""
        asked = self.goal.confidence
        if asked is None:
            return self.goal.accuracy
        full = [trial for trial in self.trials if trial.measurement is not None]
        return self.goal.accuracy + margin(full, asked, self.goal.floor_is_distance)


def costs_of_trial(trial: Trial) -> Floats:
    """Flash, RAM and count of a measured trial, float64 (3,). Raises ValueError for another."""
    m = measurement_of(trial)
    return np.array((m.flash.total, m.ram.total, m.count), np.float64)
