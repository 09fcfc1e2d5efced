"""Controls for the engine "elastic": the same elastic network, searched in other ways.

A study compares the engine with these (docs/decisions/0045). All begin like it, with the baseline,
the networks that are profiled for the cost table, and the same `Elastic` stage, so that one
training in the cache serves them all. `RandomShapes`, `UniformShapes` and `TpeShapes` take the
place of its shape search and leave the rest as it is: building, tails, successive halving. In
`PlainShapes` that rest is missing, too.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

import optuna
from optuna.trial import TrialState, create_trial

from compress.pipeline.network import Original
from hil.elastic.engine import ShapesFirst, elastic_search
from hil.elastic.lattice import Lattice, Shape
from hil.elastic.shape_search import (
    POPULATION,
    ShapeCosts,
    ShapeIndividual,
    ShapeSearch,
    judged_count,
)
from hil.elastic.tails import RUNGS, lengthened
from hil.objective.goal import Goal
from hil.search.engine import Engine, Proposal
from hil.search.optuna_model import OBJECTIVES, tpe

_SHARES = 192  # of a uniform sweep, so many that no shape is left out
_TPE_BATCH = 16  # as many as one job looks at: TPE learns more often than a generation of NSGA-II
_SUGGESTIONS = 8  # in a row that may be known, before a random shape is drawn
_CONSTRAINT = "violation"
_PLAIN_TAILS = 2  # of `starting_tails`: int8, then 4 bits, each distilled under quantization
_PLAIN_BATCH = 4


class RandomShapes(ShapeSearch):
    """As many random shapes as are built: what they inherit chooses none of them."""

    @property
    def is_over(self) -> bool:
        return len(self._asked) >= judged_count(self.lattice)

    def ask(self) -> list[Shape]:
        """All of them, as the first generation of the search draws its random ones."""
        rng = random.Random(f"random shapes:{self.seed}")
        self.generation += 1
        while not self.is_over:
            self._asked.add(self.lattice.random(rng))
        return sorted(self._asked, key=lambda shape: (shape.widths, shape.drop))

    def promising(self, count: int) -> list[ShapeIndividual]:
        return list(self.told.values())[:count]


class UniformShapes(ShapeSearch):
    """All shapes with one width for all groups, as a share of each group's channels."""

    @property
    def is_over(self) -> bool:
        return self.generation > 0

    def ask(self) -> list[Shape]:
        self.generation += 1
        least = self.lattice.narrowest
        shares = (least + (1.0 - least) * step / _SHARES for step in range(_SHARES, -1, -1))
        return list(dict.fromkeys(self.lattice.uniform(share) for share in shares))

    def promising(self, count: int) -> list[ShapeIndividual]:
        """So many of them, evenly spread over the widths."""
        every = list(self.told.values())
        step = max(1.0, len(every) / count)
        return [every[int(place * step)] for place in range(min(count, len(every)))]


class TpeShapes(ShapeSearch):
    """Optuna's multi-objective TPE (`hil.search.optuna_model.tpe`) over the widths of the groups.

    It minimizes the inherited error and the predicted flash, RAM and count, with the violation as
    its constraint. It begins with the first generation of the search and ends by its rule, counted
    in looks, not in batches.
    """

    def __init__(
        self,
        lattice: Lattice,
        goal: Goal,
        seed: int,
        costs_of: Callable[[Shape], ShapeCosts],
        population: int = POPULATION,
    ) -> None:
        super().__init__(lattice, goal, seed, costs_of, population)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(
            directions=["minimize"] * OBJECTIVES, sampler=tpe(seed, startup=1)
        )
        self._pending: dict[Shape, optuna.Trial] = {}

    @property
    def batches_a_generation(self) -> int:
        return max(1, self.size // _TPE_BATCH)

    def ask(self) -> list[Shape]:
        """The next batch: shapes that were never asked for before."""
        if self.generation == 0:
            return super().ask()
        self.generation += 1
        shapes: list[Shape] = []
        while len(shapes) < _TPE_BATCH and len(self._asked) < self.lattice.size:
            shapes.append(self._suggested() or self._drawn())
            self._asked.add(shapes[-1])
        return shapes

    def tell(self, found: Sequence[tuple[Shape, float]]) -> None:
        """Tell Optuna, too; a shape that was cut off counts as failed, which TPE ignores."""
        super().tell(found)
        for shape, _ in found:
            one, asked = self.told[shape], self._pending.pop(shape, None)
            if asked is None:
                self._study.add_trial(
                    create_trial(
                        values=_objectives(one),
                        params=self._places(shape),
                        distributions=self._distributions(),
                        constraints={_CONSTRAINT: one.fitness.violation},
                    )
                )
            else:
                self._answer(asked, one)
        for asked in self._pending.values():
            self._study.tell(asked, state=TrialState.FAIL)
        self._pending = {}

    def _suggested(self) -> Shape | None:
        """A new shape that TPE suggests; a known one is answered with what is known of it."""
        for _ in range(_SUGGESTIONS):
            asked = self._study.ask(self._distributions())
            shape = self._shape(asked.params)
            if shape not in self._asked:
                self._pending[shape] = asked
                return shape
            if shape in self.told:
                self._answer(asked, self.told[shape])
            else:
                self._study.tell(asked, state=TrialState.FAIL)
        return None

    def _drawn(self) -> Shape:
        rng = random.Random(f"tpe shapes:{self.seed}:{len(self._asked)}")
        shape = self.lattice.random(rng)
        while shape in self._asked:  # the caller has checked that some shape is left
            shape = self.lattice.mutated(rng, self.lattice.random(rng))
        return shape

    def _answer(self, asked: optuna.Trial, one: ShapeIndividual) -> None:
        asked.set_constraint(_CONSTRAINT, one.fitness.violation)
        self._study.tell(asked, _objectives(one))

    def _distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """Places among the options of each group, and the presence of each block."""
        groups = range(len(self.lattice.channels))
        widths: dict[str, optuna.distributions.BaseDistribution] = {
            f"group {group}": optuna.distributions.IntDistribution(
                0, len(self.lattice.options(group)) - 1
            )
            for group in groups
        }
        either = (False, True)
        return widths | {
            f"block {block}": optuna.distributions.CategoricalDistribution(either)
            for block in self.lattice.blocks
        }

    def _places(self, shape: Shape) -> dict[str, int | bool]:
        places: dict[str, int | bool] = {
            f"group {group}": self.lattice.options(group).index(width)
            for group, width in enumerate(shape.widths)
        }
        return places | {f"block {block}": block in shape.drop for block in self.lattice.blocks}

    def _shape(self, params: dict[str, int | bool]) -> Shape:
        groups = range(len(self.lattice.channels))
        widths = tuple(self.lattice.options(group)[params[f"group {group}"]] for group in groups)
        return Shape(widths, tuple(b for b in self.lattice.blocks if params[f"block {b}"]))


class PlainNsga2Shapes(ShapeSearch):
    """NSGA-II as the engine's, but from random shapes alone."""

    def _uniform(self) -> list[Shape]:
        return []


class PlainShapes(ShapesFirst):
    """Plain NSGA-II over the sub-networks; its survivors are trained in full, best first.

    There is no building of diverse shapes, no successive halving, no evolving tail and no repeated
    finalist. Each shape gets the same final training, the longest of the engine's (`RUNGS`): under
    quantization, distilled from the original, once in int8 and once with 4-bit weights.
    """

    def _judge(self, shapes: ShapeSearch) -> list[Proposal]:
        """The first survivors: by front, then by crowding distance; shapes like none other first.

        Survivors that violate a constraint are left out, unless all do.
        """
        kept = [one for one in shapes.population if one.fitness.violation == 0.0]
        self.judged = [one.shape for one in kept or shapes.population]
        tails = [lengthened(tail, len(RUNGS) - 1) for tail in self._tails[:_PLAIN_TAILS]]
        self._final = [self._genome(0, shape, tail) for shape in self.judged for tail in tails]
        return self._tune(shapes, random.Random())

    def _tune(self, shapes: ShapeSearch, rng: random.Random) -> list[Proposal]:
        """The next survivors to train; nothing is drawn."""
        self.activity = "training survivors"
        first = _PLAIN_BATCH * self.batches
        self.batches += 1
        return [Proposal(genome) for genome in self._final[first : first + _PLAIN_BATCH]]


def _objectives(one: ShapeIndividual) -> tuple[float, ...]:
    costs = one.costs
    return 1.0 - one.accuracy, costs.flash_bytes, costs.ram_bytes, costs.count


CONTROL_ENGINES: dict[str, Callable[[Original, Goal, int], Engine]] = {
    "elastic-tpe": partial(elastic_search, source=TpeShapes),
    "elastic-random": partial(elastic_search, source=RandomShapes),
    "elastic-nsga2": partial(elastic_search, engine=PlainShapes, source=PlainNsga2Shapes),
    "elastic-uniform": partial(elastic_search, source=UniformShapes),
}
