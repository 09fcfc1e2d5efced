"""A genetic algorithm (through DEAP) for one number: the user's weighted sum of cost ratios.

All its randomness comes from the seed and the generation number (see `hil.search.engine`).
"""

import random
from collections.abc import Sequence

from deap import base, tools

from compress.genome import Genome
from compress.space.recipes import baseline
from compress.space.space import Space
from hil.objective.goal import Goal
from hil.search.breeder import Breeder
from hil.search.engine import Proposal
from hil.types import Trial

_TOURNAMENT = 3


class WeighedFitness(base.Fitness):  # type: ignore[misc]
    """First the violation, then the weighted sum, both down.

    DEAP compares fitnesses lexicographically, which with a single objective is constraint
    domination (Deb 2000, doi:10.1016/S0045-7825(99)00389-8): feasible before violating, the
    smaller sum among the feasible, the lesser violation among the others.
    """

    weights = (-1.0, -1.0)


class WeighedIndividual:
    """A measured trial with its fitness, as DEAP wants it."""

    def __init__(self, trial: Trial, goal: Goal, reference: Trial) -> None:
        self.genome = trial.genome
        self.trial = trial
        values = (goal.violation(trial), goal.weighed(trial, reference))
        self.fitness = WeighedFitness(values)


class WeightedSum:
    """Generations of `population` genomes; the best ever measured survive and have children.

    Ratios are to the int8 baseline; if that was not measured, to the first trial that was.
    """

    def __init__(self, space: Space, goal: Goal, seed: int, population: int = 12) -> None:
        self.breeder = Breeder(space)
        self.goal = goal
        self.seed = seed
        self.size = population
        self.generation = 0
        self.reference: Trial | None = None
        self.population: list[WeighedIndividual] = []

    def ask(self) -> list[Proposal]:
        """The next generation: genomes that were never asked for before, trained in full."""
        # DEAP's tournament draws from the global generator (see hil.search.nsga2).
        random.seed(f"{self.seed}:{self.generation}")
        rng = random.Random(random.random())
        self.generation += 1
        genomes = [baseline()] if self.breeder.is_new(baseline()) else []
        while len(self.population) > 1 and len(genomes) < self.size:
            genomes += self.breeder.children(rng, *self._parents())
        while len(genomes) < self.size:
            genomes.append(self.breeder.random(rng))
        return [Proposal(genome) for genome in genomes[: self.size]]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Keep the best of the population and these trials."""
        self.breeder.known.update(trial.genome.key for trial in trials)
        measured = [trial for trial in trials if trial.measurement is not None]
        if self.reference is None:
            ranked = sorted(measured, key=lambda trial: trial.genome != baseline())
            self.reference = ranked[0] if ranked else None
        if self.reference is not None:
            told = [WeighedIndividual(trial, self.goal, self.reference) for trial in measured]
            self.population = tools.selBest(self.population + told, self.size)

    def _parents(self) -> tuple[Genome, Genome]:
        mother, father = tools.selTournament(self.population, 2, _TOURNAMENT)
        return mother.genome, father.genome
