"""Random search, the reference for every other engine (Bergstra & Bengio, JMLR 13, 2012)."""

from collections.abc import Sequence
from random import Random

from compress.space.recipes import baseline
from compress.space.space import Space
from hil.objective.goal import Goal
from hil.search.breeder import Breeder
from hil.search.engine import Proposal
from hil.types import Trial


class RandomSearch:
    """The int8 baseline, then random genomes trained in full, `batch` at a time.

    The goal is not used; the constructor takes it because every engine's does.
    """

    def __init__(self, space: Space, _: Goal, seed: int, batch: int = 12) -> None:
        self.breeder = Breeder(space)
        self.rng = Random(seed)
        self.batch = batch

    def ask(self) -> list[Proposal]:
        """The next batch of random genomes, none of them asked for before."""
        genomes = [baseline()] if self.breeder.is_new(baseline()) else []
        while len(genomes) < self.batch:
            genomes.append(self.breeder.random(self.rng))
        return [Proposal(genome) for genome in genomes]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Ignore the trials: random search learns nothing."""
