"""Genomes that were never asked for before: random ones, variations, children of two parents."""

from __future__ import annotations

from random import Random

from compress.genome import Genome
from compress.space.space import Space, crossover, mutate, random_genome

_CROSSOVER_PROBABILITY = 0.6
# How often a variation that is already known is varied again before a random genome is drawn.
_FRESH_ATTEMPTS = 40


class Breeder:
    """Makes genomes of one space and hands out each only once; `known` are their keys."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.known: set[str] = set()

    def is_new(self, genome: Genome) -> bool:
        """True once per genome: what is asked about counts as known."""
        key = genome.key
        if key in self.known:
            return False
        self.known.add(key)
        return True

    def forget(self, genome: Genome) -> None:
        """It was not asked about after all, and may be another time."""
        self.known.discard(genome.key)

    def random(self, rng: Random) -> Genome:
        """A random genome that is new."""
        while not self.is_new(genome := random_genome(rng, self.space)):
            pass
        return genome

    def fresh(self, rng: Random, genome: Genome) -> Genome:
        """`genome` if it is new, else a variation that is, else a random one."""
        for _ in range(_FRESH_ATTEMPTS):
            if self.is_new(genome):
                return genome
            genome = mutate(rng, self.space, genome)
        return self.random(rng)

    def children(self, rng: Random, mother: Genome, father: Genome) -> list[Genome]:
        """Two new genomes: the parents crossed (mostly), and varied."""
        pair = (mother, father)
        if rng.random() < _CROSSOVER_PROBABILITY:
            pair = crossover(rng, *pair)
        return [self.fresh(rng, mutate(rng, self.space, genome)) for genome in pair]
