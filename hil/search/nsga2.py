"""NSGA-II over genomes with constraint domination, through DEAP.

Deb et al. 2002, doi:10.1109/4235.996017. Its random numbers depend on the seed and the generation
number only (see `hil.search.engine`).
"""

import random
from collections.abc import Sequence

import moocore
import numpy as np
from deap import base, tools

from compress.genome import Genome
from compress.space.recipes import baseline, recipes
from compress.space.space import Space
from hil.objective.goal import Goal
from hil.objective.pareto import costs
from hil.search.breeder import Breeder
from hil.search.engine import Proposal
from hil.types import Trial


class ConstrainedFitness(base.Fitness):  # type: ignore[misc]
    """Accuracy (maximized), then flash, RAM and count (minimized), and a constraint violation.

    If either individual violates a constraint, the one with the smaller violation dominates
    (constraint domination, Deb et al. 2002, section VI).
    """

    weights = (1.0, -1.0, -1.0, -1.0)

    def __init__(self, values: Sequence[float], violation: float) -> None:
        super().__init__(values)
        self.violation = violation
        self.crowding_dist = 0.0

    def dominates(self, other: "ConstrainedFitness", obj: slice = slice(None)) -> bool:
        if self.violation or other.violation:
            return self.violation < other.violation
        return bool(super().dominates(other, obj))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConstrainedFitness):
            return NotImplemented
        return (self.wvalues, self.violation) == (other.wvalues, other.violation)

    def __hash__(self) -> int:
        return hash((self.wvalues, self.violation))


class Individual:
    """A measured trial with the `fitness` attribute that DEAP's operators read.

    Raises ValueError for a trial that was not measured.
    """

    def __init__(self, trial: Trial, goal: Goal) -> None:
        measurement = trial.measurement
        if measurement is None or trial.accuracy is None:
            raise ValueError(f"trial {trial.number} was not measured")
        values = (
            trial.accuracy,
            measurement.flash.total,
            measurement.ram.total,
            measurement.count,
        )
        self.genome = trial.genome
        self.trial = trial
        self.fitness = ConstrainedFitness(values, goal.violation(trial))


class Nsga2:
    """NSGA-II with `population` genomes a generation.

    The first generation is the baseline, the fixed recipes if `warm`, and random genomes.
    """

    def __init__(
        self, space: Space, goal: Goal, seed: int, population: int = 12, warm: bool = False
    ) -> None:
        self.breeder = Breeder(space)
        self.goal = goal
        self.seed = seed
        self.size = population
        self.drawn = 0 if warm else population
        self.first = (baseline(), *(recipes(space.epochs[-1]) if warm else ()))
        self.generation = 0
        self.population: list[Individual] = []

    def ask(self) -> list[Proposal]:
        """The next generation: genomes that were never asked for before, trained in full."""
        # DEAP's operators draw from Python's global generator. Seeding it for each generation makes
        # the proposals depend on (seed, generation, trials told) only.
        random.seed(f"{self.seed}:{self.generation}")
        rng = random.Random(random.random())
        genomes: list[Genome] = []
        if self.generation == 0:
            genomes += filter(self.breeder.is_new, self.first[: self.size])
        else:
            parents = self._parents()
            while parents and len(genomes) < self.size:
                mother, father = rng.sample(parents, 2)
                genomes += self.breeder.children(rng, mother.genome, father.genome)
        while len(genomes) < self.size:
            genomes.append(self.breeder.random(rng))
        self.generation += 1
        return [Proposal(genome) for genome in genomes[: self.size]]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Select the survivors from the population and the measured ones of these trials."""
        self.breeder.known.update(trial.genome.key for trial in trials)
        measured = [Individual(t, self.goal) for t in trials if t.measurement is not None]
        self.population = tools.selNSGA2(self.population + measured, self.size)

    def _parents(self) -> list[Individual]:
        if len(self.population) < 4:
            return []
        # selTournamentDCD takes a multiple of four, and uses the crowding distances that selNSGA2
        # assigned in `tell`.
        count = 4 * (len(self.population) // 4)
        chosen: list[Individual] = tools.selTournamentDCD(self.population, count)
        return chosen


def growth(before: Sequence[Trial], after: Sequence[Trial]) -> float:
    """Relative growth of the hypervolume from front `before` to front `after`; 0 if it shrank.

    The objectives are error (1 - accuracy), flash, RAM and count, each divided by its worst value
    in both fronts. The reference point is 1.1 in every objective.
    """
    if not before or not after:
        return 1.0 if after else 0.0
    points = np.array([(1.0 + accuracy, *rest) for accuracy, *rest in map(costs, after)])
    old = np.array([(1.0 + accuracy, *rest) for accuracy, *rest in map(costs, before)])
    worst = np.maximum(np.vstack([points, old]).max(axis=0), 1e-9)
    corner = np.full(len(worst), 1.1)
    volume, old_volume = (moocore.hypervolume(p / worst, ref=corner) for p in (points, old))
    return max(0.0, float(volume / old_volume) - 1.0)
