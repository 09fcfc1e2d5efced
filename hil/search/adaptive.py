"""The default engine: many candidates looked at for next to nothing, few trained and measured.

Generation after generation: vary what was best, try the variations without training (rung 0 of
`hil.search.ladder`), turn away what cannot fit (`hil.search.gate`), guess the accuracy that
training would give (`hil.search.surrogate`), and train those that are expected to add most to the
front (`hil.search.acquisition`). A few are taken at random instead, so that what the cheap rungs
claim stays put to the test.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from deap import tools

from compress.genome import Genome
from compress.pipeline.network import Original, space_of
from compress.space.recipes import baseline
from compress.space.space import Space
from hil.objective.goal import Goal
from hil.objective.pareto import measurement_of
from hil.search.acquisition import Merit, Volume, WeighedMean, choose_candidates
from hil.search.breeder import Breeder
from hil.search.engine import Proposal
from hil.search.gate import Gate
from hil.search.ladder import Ladder
from hil.search.nsga2 import Individual
from hil.search.surrogate import Surrogate, features
from hil.search.warm_start import known_sensitivity, warm_start
from hil.types import Estimate, Floats, Trial

_RANDOM_SHARE = 0.1  # of the variations, and of what is trained
_PARENTS = 24
_KEPT_GENERATIONS = 4  # how long a candidate that was not chosen may still be
_FEWEST_TO_FIT = 8
# After so many generations of which none could be trained, nothing is left to try.
_MOST_BARREN = 20


@dataclass(frozen=True, slots=True)
class Look:
    """A genome not trained in full, as the rungs below show it; `accuracies` by rising rung."""

    genome: Genome
    estimate: Estimate
    accuracies: tuple[float, ...]

    @property
    def features(self) -> tuple[float, ...]:
        return features(self.genome, self.estimate, self.accuracies)

    def passes(self, gate: Gate) -> bool:
        return not gate.rejects(self.estimate, self.genome)

    def costs(self, gate: Gate) -> tuple[float, float, float]:
        """Flash, RAM (bytes) and count that its network will need."""
        told = gate.predict(self.estimate, self.genome)
        return told.flash_bytes, told.ram_bytes, told.count or 0.0


class LadderSearch:
    """The engine for any space: `warm` genomes are tried first, in their order."""

    def __init__(
        self,
        space: Space,
        goal: Goal,
        seed: int,
        warm: Sequence[Genome] = (),
        ladder: Ladder | None = None,
    ) -> None:
        self.space = space
        self.goal = goal
        self.seed = seed
        self.warm = tuple(warm) or (baseline(),)
        self.ladder = ladder or Ladder()
        self.told: list[Trial] = []
        self.asked = 0
        self._breeder = Breeder(space)
        self._climbing: list[list[Genome]] = []  # by age, the newest last
        self._pending: list[tuple[float, int]] = []
        self._barren = 0  # generations since one was promoted

    def ask(self) -> list[Proposal]:
        """The next rung's batch: variations to look at, or the chosen ones a rung higher.

        None once many generations in a row had nothing that might keep the limits.
        """
        # DEAP's operators draw from the global generator; see `hil.search.nsga2`.
        random.seed(f"adaptive:{self.seed}:{self.asked}")
        rng = random.Random(random.random())
        self.asked += 1
        while self._pending:
            (fidelity, count), *self._pending = self._pending
            promoted = self._promoted(rng, fidelity, count)
            if promoted:
                self._barren = 0
                return [Proposal(genome, fidelity) for genome in promoted]
        if self._barren == _MOST_BARREN:
            return []
        self._barren += 1
        (fidelity, count), *self._pending = self.ladder.in_use(self.told)
        fresh = self._variations(rng, count)
        self._climbing = [*self._climbing, fresh][-_KEPT_GENERATIONS:]
        return [Proposal(genome, fidelity) for genome in fresh]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Note the trials: everything else is worked out when asked."""
        self.told += trials

    def _variations(self, rng: random.Random, count: int) -> list[Genome]:
        """Of the population and the warm start; a share is drawn at random."""
        first = self.warm if not self._climbing else ()
        genomes = [genome for genome in first if self._breeder.is_new(genome)]
        parents = self._parents()
        while len(genomes) < count:
            if len(parents) < 2 or rng.random() < _RANDOM_SHARE:
                genomes.append(self._breeder.random(rng))
                continue
            mother, father = rng.sample(parents, 2)
            genomes += self._breeder.children(rng, mother.genome, father.genome)
        for cut_off in genomes[count:]:
            self._breeder.forget(cut_off)
        return genomes[:count]

    def _parents(self) -> list[Individual]:
        measured = [Individual(t, self.goal) for t in self.told if t.measurement is not None]
        chosen: list[Individual] = tools.selNSGA2(measured, _PARENTS)
        return chosen

    def _promoted(self, rng: random.Random, fidelity: float, count: int) -> list[Genome]:
        """Who goes on to `fidelity`: the warm start in its order, then by expected gain.

        The random share is drawn from all that analysis does not rule out, so that the gate is
        put to the test, too. Where it lets nothing pass, what exceeds the limits least is built.
        """
        done = {t.genome for t in self.told if t.fidelity in (fidelity, 1.0)}
        looks = self._looks(fidelity)
        gate, proven = Gate.calibrated(self.goal, self.told), Gate(self.goal)
        climbing = [g for age in self._climbing for g in age if g in looks and g not in done]
        possible = [looks[genome] for genome in climbing if looks[genome].passes(proven)]
        passed = [look for look in possible if look.passes(gate)]
        if not any(t.fidelity == 1.0 for t in self.told):
            chosen = [genome for genome in self.warm if genome in looks][:count]
        elif passed:
            chosen = self._best(gate, passed, looks, count - round(_RANDOM_SHARE * count))
        else:
            nearest = sorted(possible, key=lambda look: gate.excess(look.estimate, look.genome))
            chosen = [look.genome for look in nearest[:count]]
        newest = set(self._climbing[-1]) - set(chosen)
        lots = [look.genome for look in possible if look.genome in newest]
        return chosen + rng.sample(lots, min(count - len(chosen), len(lots)))

    def _looks(self, fidelity: float) -> dict[Genome, Look]:
        """What is known of the genomes that climbed every rung in use below `fidelity`."""
        rungs = [rung for rung, _ in self.ladder.in_use(self.told) if rung < fidelity]
        tried = {rung: {t.genome: t for t in self.told if t.fidelity == rung} for rung in rungs}
        return {
            genome: Look(genome, trial.estimate, climbed)
            for genome, trial in tried[0.0].items()
            if trial.estimate is not None
            and len(climbed := _accuracies(genome, tried.values())) == len(rungs)
        }

    def _best(
        self, gate: Gate, passed: list[Look], looks: dict[Genome, Look], count: int
    ) -> list[Genome]:
        """By expected gain, costs as ratios to the baseline's."""
        full = [
            (looks[t.genome].features, t.accuracy)
            for t in self.told
            if t.fidelity == 1.0 and t.accuracy is not None and t.genome in looks
        ]
        reference = self._reference()
        if gate.count is None or reference is None or len(full) < _FEWEST_TO_FIT or not passed:
            return []
        guess = Surrogate([row for row, _ in full], [a for _, a in full], self.goal.accuracy)
        accuracies, spreads = guess.predict([look.features for look in passed])
        costs = np.array([look.costs(gate) for look in passed])
        chosen = choose_candidates(
            self._merit(reference, gate, looks), accuracies, spreads, costs / reference, count
        )
        return [passed[index].genome for index in chosen]

    def _reference(self) -> Floats | None:
        """Costs that ratios are to: the baseline's, or the largest measured without one."""
        base = self._base()
        if not base:
            return None
        largest: Floats = np.array([_costs(t) for t in base]).max(axis=0)
        return largest

    def _base(self) -> list[Trial]:
        measured = [t for t in self.told if t.measurement is not None]
        return [t for t in measured if t.genome == baseline()] or measured

    def _merit(self, reference: Floats, gate: Gate, looks: dict[Genome, Look]) -> Merit:
        """What is feasible, at its predicted costs: an error of the fit must be no gain."""
        points = []
        for trial in self.told:
            if trial.measurement and self.goal.violation(trial) == 0.0:
                look = looks.get(trial.genome)
                costs = np.array(look.costs(gate)) if look else _costs(trial)
                points.append((1.0 - (trial.accuracy or 0.0), *(costs / reference)))
        front = np.array(points).reshape(-1, 4)
        most_error = 1.0 - self.goal.accuracy + 1e-6
        if self.goal.weights is None:
            return Volume(front, most_error)
        error = 1.0 - max(trial.accuracy or 0.0 for trial in self._base())
        mean = WeighedMean(self.goal.weights, error, most_error)
        return reduce(WeighedMean.with_point, front, mean)


class Adaptive(LadderSearch):
    """The search of a network's own space, warm-started with a quick look at its sensitivity."""

    def __init__(
        self, original: Original, goal: Goal, seed: int, ladder: Ladder | None = None
    ) -> None:
        space = space_of(original)
        warm = warm_start(known_sensitivity(original), space.epochs[-1])
        super().__init__(space, goal, seed, warm, ladder)


def _costs(trial: Trial) -> Floats:
    """Flash, RAM and count of a measured trial, float64 (3,)."""
    m = measurement_of(trial)
    return np.array((m.flash.total, m.ram.total, m.count), np.float64)


def _accuracies(genome: Genome, rungs: Iterable[Mapping[Genome, Trial]]) -> tuple[float, ...]:
    """Of `genome` at those of the rungs where it has one."""
    found = (rung[genome].accuracy for rung in rungs if genome in rung)
    return tuple(accuracy for accuracy in found if accuracy is not None)
