"""The adaptive engine (the default): screens many candidates, trains and measures few.

One generation:

1. vary the best trials (`hil.search.breeder`), and screen the variations without training (rung 0
   of `hil.search.ladder`);
2. reject what cannot keep the limits (`hil.search.gate`);
3. predict the accuracy that training would give (`hil.search.surrogate`);
4. train and measure those with the largest expected improvement (`hil.search.acquisition`).

A share of the candidates to train is random, so that the predictions are also checked against a
sample that they did not choose. docs/decisions/0020 has the reasons and measurements.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from deap import tools

from compress.genome import Features, Genome
from compress.pipeline.network import Original, space_of
from compress.space.recipes import baseline
from compress.space.space import Space
from hil.objective.goal import Goal
from hil.objective.pareto import measurement_of
from hil.search.acquisition import (
    HypervolumeMerit,
    Merit,
    WeightedMeanMerit,
    choose_candidates,
)
from hil.search.breeder import Breeder
from hil.search.engine import Proposal
from hil.search.gate import Gate
from hil.search.ladder import Ladder
from hil.search.nsga2 import Individual
from hil.search.surrogate import Surrogate, features
from hil.search.warm_start import cached_sensitivity, warm_start
from hil.types import Estimate, Floats, Trial

_RANDOM_SHARE = 0.1  # of the variations, and of the candidates that are trained
_PARENTS = 24
_KEPT_GENERATIONS = 4  # a screened candidate may be promoted for so many generations
_FEWEST_TO_FIT = 8  # trials trained in full, before the surrogate is used
# The search ends after so many generations in a row without a candidate that could be trained.
_MOST_BARREN = 20


@dataclass(frozen=True, slots=True)
class ScreenedGenome:
    """A genome with its estimate and its accuracies at the rungs it passed, in rising order."""

    genome: Genome
    estimate: Estimate
    accuracies: tuple[float, ...]

    @property
    def features(self) -> tuple[float, ...]:
        return features(self.genome, self.estimate, self.accuracies)

    def passes(self, gate: Gate) -> bool:
        return not gate.rejects(self.estimate, self.genome)

    def costs(self, gate: Gate) -> tuple[float, float, float]:
        """Predicted flash and RAM in bytes, and count (0 if it is unknown)."""
        predicted = gate.predict(self.estimate, self.genome)
        return predicted.flash_bytes, predicted.ram_bytes, predicted.count or 0.0


class LadderSearch:
    """The adaptive engine over any search space; the genomes `warm` are tried first, in order."""

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
        """The next batch: new variations to screen, or the candidates promoted to the next rung.

        Empty after `_MOST_BARREN` generations in a row without a candidate that might keep the
        limits.
        """
        # DEAP's operators draw from Python's global generator; see `hil.search.nsga2`.
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
        """Store the trials; `ask` derives everything else from them."""
        self.told += trials

    def _variations(self, rng: random.Random, count: int) -> list[Genome]:
        """`count` new genomes: first the warm start, then children and a share of random ones."""
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
        """The genomes to try at `fidelity`: at first the warm start, then by expected improvement.

        The random share is drawn from all candidates that the proven bounds allow, so that the
        gate's predictions are checked, too. If the gate rejects every candidate, those with the
        smallest predicted excess are tried.
        """
        done = {t.genome for t in self.told if t.fidelity in (fidelity, 1.0)}
        screened = self._screened(fidelity)
        gate, proven = Gate.calibrated(self.goal, self.told), Gate(self.goal)
        climbing = [g for age in self._climbing for g in age if g in screened and g not in done]
        possible = [screened[genome] for genome in climbing if screened[genome].passes(proven)]
        passed = [one for one in possible if one.passes(gate)]
        if not any(t.fidelity == 1.0 for t in self.told):
            chosen = [genome for genome in self.warm if genome in screened][:count]
        elif passed:
            chosen = self._best(gate, passed, screened, count - round(_RANDOM_SHARE * count))
        else:
            nearest = sorted(possible, key=lambda one: gate.excess(one.estimate, one.genome))
            chosen = [one.genome for one in nearest[:count]]
        newest = set(self._climbing[-1]) - set(chosen)
        drawable = [one.genome for one in possible if one.genome in newest]
        return chosen + rng.sample(drawable, min(count - len(chosen), len(drawable)))

    def _screened(self, fidelity: float) -> dict[Genome, ScreenedGenome]:
        """The genomes that passed every rung in use below `fidelity`."""
        rungs = [rung for rung, _ in self.ladder.in_use(self.told) if rung < fidelity]
        tried = {rung: {t.genome: t for t in self.told if t.fidelity == rung} for rung in rungs}
        return {
            genome: ScreenedGenome(genome, trial.estimate, climbed)
            for genome, trial in tried[0.0].items()
            if trial.estimate is not None
            and len(climbed := _accuracies(genome, tried.values())) == len(rungs)
        }

    def _best(
        self,
        gate: Gate,
        passed: list[ScreenedGenome],
        screened: dict[Genome, ScreenedGenome],
        count: int,
    ) -> list[Genome]:
        """The `count` genomes of `passed` with the largest expected improvement, best first.

        Empty while there are too few trials to predict counts and accuracies from.
        """
        full = [
            (screened[t.genome].features, t.accuracy)
            for t in self.told
            if t.fidelity == 1.0 and t.accuracy is not None and t.genome in screened
        ]
        reference = self._reference()
        if gate.count is None or reference is None or len(full) < _FEWEST_TO_FIT or not passed:
            return []
        surrogate = Surrogate([row for row, _ in full], [a for _, a in full], self.goal.accuracy)
        accuracies, spreads = surrogate.predict([one.features for one in passed])
        costs = np.array([one.costs(gate) for one in passed])
        chosen = choose_candidates(
            self._merit(reference, gate, screened), accuracies, spreads, costs / reference, count
        )
        return [passed[index].genome for index in chosen]

    def _reference(self) -> Floats | None:
        """The costs that ratios are taken to: the baseline's, or the largest ones measured."""
        base = self._base()
        if not base:
            return None
        largest: Floats = np.array([_costs(t) for t in base]).max(axis=0)
        return largest

    def _base(self) -> list[Trial]:
        measured = [t for t in self.told if t.measurement is not None]
        return [t for t in measured if t.genome == baseline()] or measured

    def _merit(
        self, reference: Floats, gate: Gate, screened: dict[Genome, ScreenedGenome]
    ) -> Merit:
        """The merit of the feasible trials, at their predicted costs.

        Candidates have predicted costs, too: with measured costs here, an error of the prediction
        would count as an improvement.
        """
        points = []
        for trial in self.told:
            if trial.measurement and self.goal.violation(trial) == 0.0:
                one = screened.get(trial.genome)
                costs = np.array(one.costs(gate)) if one else _costs(trial)
                points.append((1.0 - (trial.accuracy or 0.0), *(costs / reference)))
        front = np.array(points).reshape(-1, 4)
        most_error = 1.0 - self.goal.accuracy + 1e-6
        if self.goal.weights is None:
            return HypervolumeMerit(front, most_error)
        error = 1.0 - max(trial.accuracy or 0.0 for trial in self._base())
        mean = WeightedMeanMerit(self.goal.weights, error, most_error)
        return reduce(WeightedMeanMerit.with_point, front, mean)


class Adaptive(LadderSearch):
    """The adaptive engine over an original network's space, warm-started by its sensitivity."""

    def __init__(
        self, original: Original, goal: Goal, seed: int, ladder: Ladder | None = None
    ) -> None:
        space = space_of(original)
        features: Features = "attention" if space.has_convolutions else "none"
        warm = warm_start(cached_sensitivity(original), space.epochs[-1], features)
        super().__init__(space, goal, seed, warm, ladder)


def _costs(trial: Trial) -> Floats:
    """Flash, RAM and count of a measured trial, float64 (3,)."""
    m = measurement_of(trial)
    return np.array((m.flash.total, m.ram.total, m.count), np.float64)


def _accuracies(genome: Genome, rungs: Iterable[Mapping[Genome, Trial]]) -> tuple[float, ...]:
    """The accuracies of `genome` at the rungs that have one."""
    found = (rung[genome].accuracy for rung in rungs if genome in rung)
    return tuple(accuracy for accuracy in found if accuracy is not None)
