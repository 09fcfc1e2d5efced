"""The engine "elastic": one network trained for all widths, thousands looked at, few trained on.

1. Start: the int8 baseline, one elastic network, and networks of other widths that are profiled on
   the board while it trains. They give the cost table (`hil.search.cost_tables`).
2. NSGA-II over the shapes on inherited accuracy (`hil.elastic.shape_search`).
3. The most promising shapes, diverse, are quantized without training, judged and measured.
4. Fine-tuning by successive halving (`hil.elastic.fine_tuning`) with tails that evolve
   (`hil.elastic.tails`); a finalist is trained with three seeds.

With bits (the engine "elastic-bits", docs/decisions/0046), the weights of each unit of layers have
a width of their own in all of this.

Later a second elastic network, trained under quantization, makes Q-E-Pick-D possible for the same
shapes: the order of the stages is a gene. docs/decisions/0033 has the reasons and measurements.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from compress.genome import Distill, Elastic, Features, Genome, Quantize, Stage
from compress.pipeline.network import Original, space_of
from compress.space.canonical import canonical
from compress.space.recipes import baseline
from compress.space.space import STUDENT_LENGTH_FACTOR, Space
from hil.elastic.fine_tuning import Candidate, FineTuning
from hil.elastic.knowledge import Knowledge
from hil.elastic.lattice import Lattice, Shape
from hil.elastic.network_lattice import lattice_of
from hil.elastic.shape_search import ShapeIndividual, ShapeSearch, judged_count
from hil.elastic.tails import at_bits, children, starting_tails, tail_toolbox
from hil.objective.goal import Goal
from hil.search.engine import Proposal
from hil.types import Trial

ELASTIC_LENGTH = 16  # epochs of an elastic network, as a multiple of the task's fine-tuning
# Widths of weights that the engine "elastic-bits" chooses from (docs/decisions/0046).
ELASTIC_BITS = (8, 4)
_SPARE_DESIGNS = 5  # networks profiled beyond one for each group
_COUNTS = (6, 4, 2)  # candidates of a batch, by rung
_TAILS = 10  # the best ones, parents of as many new ones in every batch
_SEEDS = 3  # trainings of a finalist


class ShapesFirst:
    """The engine over any lattice of shapes; `features` are those that students are compared by.

    `befores` are the stages before each elastic network: the first one is trained at the start, the
    second after so many batches of fine-tuning. `judged` are the shapes built without training.
    `source` searches the shapes; `hil.elastic.controls` has others.
    """

    def __init__(
        self,
        lattice: Lattice,
        space: Space,
        goal: Goal,
        seed: int,
        features: Features = "none",
        befores: Sequence[tuple[Stage, ...]] = ((), (Quantize(learn_ranges=True),)),
        second_after: int = 8,
        source: type[ShapeSearch] = ShapeSearch,
    ) -> None:
        self.lattice = lattice
        self.goal = goal
        self.seed = seed
        self.second_after = second_after
        self.length = space.epochs[len(space.epochs) // 2]
        epochs = ELASTIC_LENGTH * self.length
        elastic = Elastic(
            lattice.narrowest, depth=bool(lattice.blocks), bits=lattice.bits, epochs=epochs
        )
        # A network that trains under a scheme has the bits of that scheme.
        used = [before for before in befores if not (lattice.bits and before)]
        self.networks = tuple((*before, elastic) for before in used)
        self.asked = 0
        self.batches = 0  # of fine-tuning
        self.judged: list[Shape] = []
        self.activity = "starting"
        self._source = source
        self._shapes: ShapeSearch | None = None
        self._known = Knowledge(goal, self._designs(), lattice)
        self._shape_of: dict[Genome, Shape] = {}
        self._candidates: dict[Genome, Candidate] = {}
        self._finalist: Genome | None = None
        tails = starting_tails(self.length, features)
        self._tails = list(dict.fromkeys(map(self._plain, tails)))
        self._toolbox: Any = tail_toolbox(space, self.length)
        self._news: list[str] = []

    def ask(self) -> list[Proposal]:
        """The next batch; empty if no network could be profiled, or no candidate is left."""
        # DEAP's operators draw from Python's global generator; see `hil.search.nsga2`.
        random.seed(f"elastic:{self.seed}:{self.asked}")
        rng = random.Random(random.random())
        self.asked += 1
        if self.asked == 1:
            return self._start()
        if self._shapes is None:
            enough, line = self._known.make_table()
            self._news.append(line)
            if not enough:
                return []
            self._shapes = self._source(self.lattice, self.goal, self.seed, self._known.shape_costs)
        if not self._shapes.is_over:
            self.activity = "looking at sub-networks"
            return [self._look(0, shape) for shape in self._shapes.ask()]
        if not self.judged:
            return self._judge(self._shapes)
        return self._tune(self._shapes, rng)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Store the trials, and learn from what sub-networks inherit."""
        self._known.add(trials)
        first = []
        for trial in trials:
            shape = self._shape_of.get(trial.genome)
            if trial.fidelity > 0.0 or trial.accuracy is None or shape is None:
                continue
            if trial.genome.stages[: len(self.networks[0])] == self.networks[0]:
                first.append((shape, trial.accuracy))
            else:
                self._known.second[shape] = trial.accuracy
        if first and self._shapes is not None:
            self._shapes.tell(first)

    def news(self) -> list[str]:
        """What was found out since the last call, a line each."""
        said, self._news = self._news, []
        return said

    def _designs(self) -> dict[Genome, Shape]:
        """The networks to profile by genome: pruned, not trained; the baseline is one of them."""
        count = len(self.lattice.channels) + _SPARE_DESIGNS
        shapes = (self.lattice.widest, *self.lattice.designs(count, seed=0))
        return {
            canonical(Genome((self.lattice.prune(s), self.lattice.scheme(s)))): s for s in shapes
        }

    def _start(self) -> list[Proposal]:
        """The baseline, the elastic network, networks to profile, and two recipes beside it."""
        self.activity = f"training one elastic network for {self.lattice.size:,} shapes"
        half = Distill(width=0.5, epochs=STUDENT_LENGTH_FACTOR * self.length)
        four = Quantize((4,), weight_range="mse", learn_ranges=True, epochs=self.length)
        recipes = [canonical(Genome(stages)) for stages in ((half, Quantize()), (four,))]
        others = [genome for genome in self._known.designed if genome != baseline()]
        return [
            Proposal(baseline(), profile=True),
            Proposal(self._genome(0, self.lattice.widest)),
            *(Proposal(genome, profile=True) for genome in others),
            *map(Proposal, recipes),
        ]

    def _genome(self, network: int, shape: Shape, tail: Genome | None = None) -> Genome:
        """The genome of a sub-network with a tail; without one it is quantized without training.

        A tail that begins with the scheme of the elastic network goes on under it. The schemes of a
        tail get the bits of a shape that has some.
        """
        if tail is not None and shape.bits:
            tail = at_bits(tail, self.lattice.layer_bits(shape))
        before = self.networks[network]
        after = (self.lattice.scheme(shape),) if tail is None else tail.stages
        if after[0] == before[0]:
            after = after[1:]
        genome = canonical(Genome((*before, self.lattice.pick(shape), *after)))
        if tail is None:
            self._shape_of[genome] = shape
        return genome

    def _plain(self, tail: Genome) -> Genome:
        """The tail in int8 where bits are the shapes'."""
        return at_bits(tail, (8,)) if self.lattice.bits else tail

    def _look(self, network: int, shape: Shape) -> Proposal:
        return Proposal(self._genome(network, shape), fidelity=0.0)

    def _judge(self, shapes: ShapeSearch) -> list[Proposal]:
        """The promising shapes, to be quantized, judged and measured."""
        self.judged = [one.shape for one in shapes.promising(judged_count(self.lattice))]
        self.activity = f"measuring {len(self.judged)} promising sub-networks"
        best = max(one.accuracy for one in shapes.told.values())
        self._news.append(
            f"{len(shapes.told):,} sub-networks looked at in {shapes.generation} generations; the "
            f"best inherits {100 * best:.1f} %"
        )
        return [Proposal(self._genome(0, shape)) for shape in self.judged]

    def _tune(self, shapes: ShapeSearch, rng: random.Random) -> list[Proposal]:
        """A batch of fine-tuning, with the repeats of the finalist first."""
        self.batches += 1
        self.activity = "fine-tuning"
        found = self._int8(shapes, [*self.judged, *(one.shape for one in shapes.population)])
        if self.batches == 1 and (line := self._known.table_errors(found)):
            self._news.append(line)
        first = self._repeats()
        if len(self.networks) > 1:
            if self.batches == self.second_after:
                first.append(Proposal(self._genome(1, self.lattice.widest)))
            if self.batches == self.second_after + 1:
                return [self._look(1, shape) for shape in self.judged]
        chooser = self._known.fine_tuning(self._known.inherited(found), self._candidates)
        parents = self._best_tails(chooser)
        fresh = map(self._plain, children(rng, self._toolbox, parents, _TAILS))
        tails = list(dict.fromkeys([*parents, *self._tails, *fresh]))
        proposals = []
        for one in chooser.choose(rng, tails, _COUNTS):
            genome = self._genome(one.network, one.shape, one.stages)
            if genome not in self._candidates:
                self._candidates[genome] = one
                proposals.append(Proposal(genome))
        return [*first, *proposals]

    def _int8(
        self, shapes: ShapeSearch, wanted: Sequence[Shape]
    ) -> list[tuple[ShapeIndividual, Genome]]:
        """Each of these shapes once, as it was looked at, with its genome without training."""
        once = dict.fromkeys(shape for shape in wanted if shape in shapes.told)
        return [(shapes.told[shape], self._genome(0, shape)) for shape in once]

    def _repeats(self) -> list[Proposal]:
        """The other trainings of the finalist: what would be chosen now and a batch before."""
        best = self._known.best()
        genome = None if best is None or best.genome not in self._candidates else best.genome
        before, self._finalist = self._finalist, genome
        if genome is None or genome != before:
            return []
        tried = {t.repeat for t in self._known.trials if t.genome == genome}
        return [Proposal(genome, repeat=n) for n in range(_SEEDS) if n not in tried]

    def _best_tails(self, chooser: FineTuning) -> list[Genome]:
        """The tails whose candidates gained most over what was inherited; at first all."""
        gains: dict[Genome, float] = {}
        for one, accuracy in chooser.trained.items():
            gained = accuracy - chooser.shapes[one.network, one.shape].accuracy
            gains[one.tail] = max(gained, gains.get(one.tail, -1.0))
        return sorted(gains, key=lambda tail: -gains[tail])[:_TAILS] or self._tails


def elastic_search(
    original: Original,
    goal: Goal,
    seed: int,
    engine: type[ShapesFirst] = ShapesFirst,
    source: type[ShapeSearch] = ShapeSearch,
    bits: tuple[int, ...] = (),
) -> ShapesFirst:
    """The engine "elastic" over an original network's shapes, with `bits` those of its weights."""
    space = space_of(original)
    features: Features = "attention" if space.has_convolutions else "none"
    return engine(lattice_of(original, bits), space, goal, seed, features, source=source)


def elastic_bits_search(original: Original, goal: Goal, seed: int) -> ShapesFirst:
    """The engine "elastic-bits": each unit of layers has weights of 8 or 4 bits."""
    return elastic_search(original, goal, seed, bits=ELASTIC_BITS)
