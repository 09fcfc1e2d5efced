"""A single-objective genetic algorithm (DEAP) for the user's weighted mean of cost ratios.

Its random numbers depend on the seed and the generation number only (see `hil.search.engine`).
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


class WeightedFitness(base.Fitness):  # type: ignore[misc]
    """The constraint violation, then the weighted mean of cost ratios; both are minimized.

    DEAP compares fitnesses lexicographically. With one objective that is constraint domination
    (Deb 2000, doi:10.1016/S0045-7825(99)00389-8): a feasible individual beats an infeasible one,
    the smaller mean wins among feasible ones, the smaller violation among infeasible ones.
    """

    weights = (-1.0, -1.0)


class WeightedIndividual:
    """A measured trial with the `fitness` attribute that DEAP's operators read."""

    def __init__(self, trial: Trial, goal: Goal, reference: Trial) -> None:
        self.genome = trial.genome
        self.trial = trial
        values = (goal.violation(trial), goal.weighted_mean(trial, reference))
        self.fitness = WeightedFitness(values)


class WeightedSum:
    """An elitist genetic algorithm: the best `population` trials so far are the parents.

    Cost ratios are to the int8 baseline, or to the first measured trial if the baseline was not
    measured.
    """

    def __init__(self, space: Space, goal: Goal, seed: int, population: int = 12) -> None:
        self.breeder = Breeder(space)
        self.goal = goal
        self.seed = seed
        self.size = population
        self.generation = 0
        self.reference: Trial | None = None
        self.population: list[WeightedIndividual] = []

    def ask(self) -> list[Proposal]:
        """The next generation: genomes that were never asked for before, trained in full."""
        # DEAP's tournament draws from Python's global generator (see hil.search.nsga2).
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
            told = [WeightedIndividual(trial, self.goal, self.reference) for trial in measured]
            self.population = tools.selBest(self.population + told, self.size)

    def _parents(self) -> tuple[Genome, Genome]:
        mother, father = tools.selTournament(self.population, 2, _TOURNAMENT)
        return mother.genome, father.genome
