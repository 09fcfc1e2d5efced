"""A fixed recipe as an engine: its settings one after the other, in an order the seed draws."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from compress.genome import Genome
from compress.space.canonical import canonical
from hil.search.engine import Proposal
from hil.types import Trial


class Sweep:
    """Every genome once, in canonical form, in batches; then nothing is left."""

    def __init__(self, genomes: Iterable[Genome], seed: int, batch: int = 4) -> None:
        spelled = [canonical(genome) for genome in genomes]
        self.waiting = list({genome.key: genome for genome in spelled}.values())
        random.Random(f"sweep:{seed}").shuffle(self.waiting)
        self.batch = batch

    def ask(self) -> list[Proposal]:
        """The next few settings."""
        asked, self.waiting = self.waiting[: self.batch], self.waiting[self.batch :]
        return [Proposal(genome) for genome in asked]

    def tell(self, trials: Sequence[Trial]) -> None:
        """A recipe learns nothing."""
