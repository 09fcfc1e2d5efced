"""Variation without repeats: random genomes, and children by `compress.space.variation`."""

from __future__ import annotations

from random import Random

from compress.genome import Genome
from compress.space.space import Space, random_genome
from compress.space.variation import crossover, mutate

_CROSSOVER_PROBABILITY = 0.6
# Mutations in a row that may give a known genome, before a random genome is drawn instead.
_FRESH_ATTEMPTS = 40


class Breeder:
    """A source of genomes of one space that gives each only once.

    `known` holds the keys (`Genome.key`) of the genomes given so far.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.known: set[str] = set()

    def is_new(self, genome: Genome) -> bool:
        """True the first time it is called with a genome, which then counts as known."""
        key = genome.key
        if key in self.known:
            return False
        self.known.add(key)
        return True

    def forget(self, genome: Genome) -> None:
        """Remove `genome` from the known ones, so that it can be given again."""
        self.known.discard(genome.key)

    def random(self, rng: Random) -> Genome:
        """A new random genome."""
        while not self.is_new(genome := random_genome(rng, self.space)):
            pass
        return genome

    def fresh(self, rng: Random, genome: Genome) -> Genome:
        """`genome` if it is new, else a new mutation of it, else a new random genome."""
        for _ in range(_FRESH_ATTEMPTS):
            if self.is_new(genome):
                return genome
            genome = mutate(rng, self.space, genome)
        return self.random(rng)

    def children(self, rng: Random, mother: Genome, father: Genome) -> list[Genome]:
        """Two new genomes: the parents, crossed over with probability 0.6, then mutated."""
        pair = (mother, father)
        if rng.random() < _CROSSOVER_PROBABILITY:
            pair = crossover(rng, *pair)
        return [self.fresh(rng, mutate(rng, self.space, genome)) for genome in pair]
