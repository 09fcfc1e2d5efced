"""Genomes: every one the space can make is well-formed, and travels through JSON unchanged."""

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.errors import UserError
from compress.genome import Distill, Genome, Prune, Quantize
from compress.space import Space, baseline, canonical, crossover, mutate, random_genome, recipes

SPACE = Space(groups=3, epochs=(1, 2))
seeds = st.integers(0, 2**32)


def _well_formed(genome: Genome) -> None:
    kinds = [type(stage) for stage in genome.stages]
    assert kinds.count(Quantize) == 1
    assert len(kinds) == len(set(kinds))
    for stage in genome.stages:
        if isinstance(stage, Prune):
            assert len(stage.keep) == SPACE.groups
            assert all(0 < ratio <= 1 for ratio in stage.keep)
        if isinstance(stage, Distill):
            assert 0 < stage.width <= 1
    assert canonical(genome) == genome


@given(seeds)
def test_random_genomes_and_their_offspring_are_well_formed(seed: int) -> None:
    rng = Random(seed)
    first, second = random_genome(rng, SPACE), random_genome(rng, SPACE)
    for genome in (first, second, *crossover(rng, first, second), mutate(rng, SPACE, first)):
        _well_formed(genome)


@given(seeds)
def test_the_seed_fixes_every_variation(seed: int) -> None:
    def walk() -> list[str]:
        rng = Random(seed)
        genome, keys = baseline(), []
        for _ in range(10):
            genome = mutate(rng, SPACE, genome)
            keys.append(genome.key)
        return keys

    assert walk() == walk()


@given(seeds)
def test_json_round_trip_keeps_the_key(seed: int) -> None:
    genome = random_genome(Random(seed), SPACE)
    again = Genome.from_json(json.loads(json.dumps(genome.to_json())))
    assert again == genome
    assert again.key == genome.key


def test_variation_reaches_every_subset_and_order() -> None:
    rng, genome, seen = Random(0), baseline(), set()
    for _ in range(3000):
        genome = mutate(rng, SPACE, genome)
        seen.add(genome.order)
    three = {"PQD", "PDQ", "QPD", "QDP", "DPQ", "DQP"}
    assert seen == three | {"PQ", "QP", "DQ", "QD", "Q"}


def test_recipes_are_distinct_and_well_formed() -> None:
    genomes = recipes(SPACE)
    for genome in genomes:
        _well_formed(genome)
    assert len({genome.key for genome in genomes}) == len(genomes)


def test_order_matters_to_the_key() -> None:
    p, q = Prune((0.5, 0.5, 0.5)), Quantize()
    assert Genome((p, q)).key != Genome((q, p)).key


@pytest.mark.parametrize(
    "stages", [[{"stage": "shrink"}], [{"stage": "prune", "depth": 3}], [{"percentile": 1.0}]]
)
def test_foreign_genomes_are_refused(stages: list[dict[str, object]]) -> None:
    with pytest.raises(UserError, match="genome stage"):
        Genome.from_json(stages)
