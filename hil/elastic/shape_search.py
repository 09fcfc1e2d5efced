"""NSGA-II over the shapes of an elastic network, through DEAP (Deb et al. 2002).

A shape is judged by the accuracy that it inherits and by costs that are known without building it,
so that thousands can be looked at. Random numbers depend on the seed and the generation only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deap import tools

from hil.elastic.lattice import Lattice, Shape
from hil.objective.goal import Goal
from hil.search.nsga2 import ConstrainedFitness

POPULATION = 64
_MOST_GENERATIONS = 40
_MOST_JUDGED = 64  # shapes that are built without training; of a small lattice a quarter
_FEWEST_JUDGED = 12
# The search ends after so many generations without a new shape on the front.
_PATIENCE = 4
# Shapes whose inherited accuracy is so far below the floor (share of 1) are violations: training
# gains a few points on what is inherited, not more.
ALLOWANCE = 0.08
_ATTEMPTS = 30  # mutations in a row that may give a known shape


@dataclass(frozen=True, slots=True)
class ShapeCosts:
    """Predicted costs of a shape: bytes, the board's count, and the excess over the limits.

    They are those at the shape's bits, int8 if it has none. `excess` is the sum of the relative
    excesses over the limits of the goal that no tail avoids, 0 if all can be kept.
    """

    flash_bytes: float
    ram_bytes: float
    count: float
    excess: float = 0.0


class ShapeIndividual:
    """A shape with its inherited accuracy and the `fitness` that DEAP's operators read."""

    def __init__(self, shape: Shape, accuracy: float, costs: ShapeCosts, goal: Goal) -> None:
        self.shape = shape
        self.accuracy = accuracy
        self.costs = costs
        short = max(0.0, goal.accuracy - ALLOWANCE - accuracy) / (abs(goal.accuracy) or 1.0)
        excess = costs.excess + short
        values = (accuracy, costs.flash_bytes, costs.ram_bytes, costs.count)
        self.fitness = ConstrainedFitness(values, excess / (1.0 + excess))


def judged_count(lattice: Lattice) -> int:
    """The number of shapes that are built without training."""
    return max(_FEWEST_JUDGED, min(_MOST_JUDGED, lattice.size // 4))


class ShapeSearch:
    """The search: `ask` for the shapes of a generation, `tell` their inherited accuracies.

    `costs_of` predicts a shape's costs. All shapes told are in `told`, by shape.
    """

    def __init__(
        self,
        lattice: Lattice,
        goal: Goal,
        seed: int,
        costs_of: Callable[[Shape], ShapeCosts],
        population: int = POPULATION,
    ) -> None:
        self.lattice = lattice
        self.goal = goal
        self.seed = seed
        self.size = population
        self.generation = 0
        self.told: dict[Shape, ShapeIndividual] = {}
        self.population: list[ShapeIndividual] = []
        self._costs_of = costs_of
        self._idle = 0
        self._asked: set[Shape] = set()

    @property
    def is_over(self) -> bool:
        """True if all shapes are known, or new ones no longer reach the front."""
        batches = self.batches_a_generation
        ended = self.generation >= _MOST_GENERATIONS * batches or self._idle >= _PATIENCE * batches
        return ended or len(self._asked) >= self.lattice.size

    @property
    def batches_a_generation(self) -> int:
        """The batches in which as many shapes are looked at as in a generation."""
        return 1

    def ask(self) -> list[Shape]:
        """The next generation: shapes that were never asked for before."""
        # DEAP's operators draw from Python's global generator (see hil.search.nsga2).
        random.seed(f"shapes:{self.seed}:{self.generation}")
        rng = random.Random(random.random())
        first = self.generation == 0
        self.generation += 1
        shapes = self._uniform() if first else []
        parents = [] if first else self._parents()
        while len(shapes) < self.size and len(self._asked) < self.lattice.size:
            shape = self._child(rng, parents) if len(parents) > 1 else self.lattice.random(rng)
            self._asked.add(shape)
            shapes.append(shape)
        return list(dict.fromkeys(shapes))

    def tell(self, found: Sequence[tuple[Shape, float]]) -> None:
        """Select the survivors from the population and these shapes with their accuracies."""
        new = [ShapeIndividual(s, accuracy, self._costs_of(s), self.goal) for s, accuracy in found]
        self.told.update({one.shape: one for one in new})
        self.population = tools.selNSGA2(self.population + new, self.size)
        fresh = {one.shape for one in new}
        best = tools.sortNondominated(self.population, len(self.population), True)[0]
        self._idle = 0 if any(one.shape in fresh for one in best) else self._idle + 1

    def promising(self, count: int) -> list[ShapeIndividual]:
        """So many shapes that are worth building: from the best fronts, diverse in shape."""
        best: list[ShapeIndividual] = tools.selNSGA2(list(self.told.values()), 4 * count)
        possible = [one for one in best if one.fitness.violation == 0.0] or best
        chosen = self.lattice.spread([one.shape for one in possible], count)
        return [self.told[shape] for shape in chosen]

    def _uniform(self) -> list[Shape]:
        """The shapes with the same share of all groups and the same bits, the widest among them."""
        least = self.lattice.narrowest
        steps = [least + (1.0 - least) * step / 12 for step in range(12, -1, -1)]
        alike = (
            self.lattice.uniform(share, bits)
            for bits in self.lattice.bits or (None,)
            for share in steps
        )
        shapes = list(dict.fromkeys(alike))[: self.size]
        self._asked.update(shapes)
        return shapes

    def _child(self, rng: random.Random, parents: Sequence[ShapeIndividual]) -> Shape:
        mother, father = rng.sample(list(parents), 2)
        child = self.lattice.mutated(rng, self.lattice.crossed(rng, mother.shape, father.shape))
        for _ in range(_ATTEMPTS):
            if child not in self._asked:
                return child
            child = self.lattice.mutated(rng, child)
        while child in self._asked:  # the caller has checked that some shape is left
            child = self.lattice.random(rng)
            if child in self._asked:
                child = self.lattice.mutated(rng, child)
        return child

    def _parents(self) -> list[ShapeIndividual]:
        count = 4 * (len(self.population) // 4)
        if count == 0:
            return []
        chosen: list[ShapeIndividual] = tools.selTournamentDCD(self.population, count)
        return chosen
