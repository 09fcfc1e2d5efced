"""Every genome of the search space is well-formed and unchanged by a JSON round trip."""

import csv
import gzip
import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.errors import UserError
from compress.genome import Distill, Genome, Prune, Quantize, Sparsify
from compress.space.canonical import canonical
from compress.space.recipes import baseline, recipes
from compress.space.space import MAX_STAGES, Space, random_genome, student_lengths
from compress.space.variation import crossover, mutate

SPACE = Space(groups=3, layers=4, epochs=(1, 2), blocks=2)
seeds = st.integers(0, 2**32)


def _well_formed(genome: Genome) -> None:
    kinds = [type(stage) for stage in genome.stages]
    assert Quantize in kinds
    assert len(kinds) <= MAX_STAGES + 1
    for stage in genome.stages:
        if isinstance(stage, Prune):
            assert len(stage.keep) == (SPACE.groups if stage.scope == "group" else 1)
            assert all(0 < ratio <= 1 for ratio in stage.keep)
            assert set(stage.drop) <= {0, 1}
        if isinstance(stage, Quantize):
            assert len(stage.weight_bits) in (1, SPACE.layers)
            assert set(stage.weight_bits) <= {8, 4, 2}
        if isinstance(stage, Distill):
            assert 0 < stage.width <= 1
            assert len(stage.keep) in (0, SPACE.groups)
            assert not stage.keep or stage.width == 1
            assert all(0 < ratio <= 1 for ratio in stage.keep)
    assert canonical(genome) == genome


@settings(deadline=None)
@given(seeds)
def test_random_genomes_and_their_offspring_are_well_formed(seed: int) -> None:
    rng = Random(seed)
    first, second = random_genome(rng, SPACE), random_genome(rng, SPACE)
    for genome in (first, second, *crossover(rng, first, second), mutate(rng, SPACE, first)):
        _well_formed(genome)
    walked = first
    for _ in range(20):
        walked = mutate(rng, SPACE, walked)
        _well_formed(walked)


@settings(deadline=None)
@given(seeds, st.integers(0, 2))
def test_a_network_without_groups_has_a_space_too(seed: int, blocks: int) -> None:
    """A single convolution, or blocks that can only be removed as a whole."""
    rng, space = Random(seed), Space(groups=0, layers=1, epochs=(1, 2), blocks=blocks)
    first, second = random_genome(rng, space), random_genome(rng, space)
    walked = [first, second, *crossover(rng, first, second)]
    for _ in range(10):
        walked.append(mutate(rng, space, walked[-1]))
    prunes = [s for genome in walked for s in genome.stages if isinstance(s, Prune)]
    assert all(stage.keep == (1.0,) for stage in prunes)
    assert blocks or not prunes


@settings(deadline=None)
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


@settings(deadline=None)
@given(seeds)
def test_json_round_trip_keeps_the_key(seed: int) -> None:
    genome = random_genome(Random(seed), SPACE)
    again = Genome.from_json(json.loads(json.dumps(genome.to_json())))
    assert again == genome
    assert again.key == genome.key


def test_variation_reaches_every_subset_order_and_repeats() -> None:
    rng, genome, seen = Random(0), baseline(), set()
    for _ in range(6000):
        genome = mutate(rng, SPACE, genome)
        seen.add(genome.order)
    three = {"PQD", "PDQ", "QPD", "QDP", "DPQ", "DQP"}
    assert seen >= three | {"PQ", "QP", "DQ", "QD", "Q", "SQ", "PSQ", "PDPQ"}


def test_recipes_are_distinct_and_well_formed() -> None:
    genomes = recipes(2)
    for genome in genomes:
        _well_formed(genome)
    assert len({genome.key for genome in genomes}) == len(genomes)


def test_students_of_any_widths_are_reached() -> None:
    rng, genome = Random(0), baseline()
    widths = set()
    for _ in range(3000):
        genome = mutate(rng, SPACE, genome)
        widths |= {stage.keep for stage in genome.stages if isinstance(stage, Distill)}
    assert len(widths) > 50
    assert () in widths


def test_a_uniform_width_is_one_genome() -> None:
    q = Quantize()
    uniform = Genome((Distill(width=0.5), q))
    assert _same(Genome((Distill(keep=(0.5, 0.5, 0.5)), q)), uniform)
    assert _same(Genome((Distill(width=0.25, keep=(0.5, 0.5, 0.5)), q)), uniform)
    assert not _same(Genome((Distill(keep=(0.5, 0.5, 0.75)), q)), uniform)


@pytest.mark.parametrize(
    ("epochs", "lengths"),
    [((0.5, 1, 2), (2, 4, 8, 16, 32)), ((1, 2, 4), (4, 8, 16, 32)), ((3, 6, 12), (12, 24, 48))],
)
def test_students_train_for_up_to_32_epochs(
    epochs: tuple[float, ...], lengths: tuple[float, ...]
) -> None:
    assert student_lengths(epochs) == lengths


def test_keys_of_published_genomes_stay() -> None:
    """They were written before stages had some of their genes."""
    path = Path(__file__).parents[2] / "docs" / "results" / "study-kws-m4-traces.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    genomes = {row["key"]: Genome.from_json(json.loads(row["genome"])) for row in rows}
    assert len(genomes) > 1000
    assert any(stage == "distill" for row in rows for stage in row["genome"].split('"'))
    assert {genome.key for genome in genomes.values()} == set(genomes)


def test_order_matters_to_the_key() -> None:
    p, q = Prune((0.5, 0.5, 0.5)), Quantize()
    assert Genome((p, q)).key != Genome((q, p)).key


def _same(*genomes: Genome) -> bool:
    return len({canonical(genome).key for genome in genomes}) == 1


def test_genes_without_effect_do_not_make_another_genome() -> None:
    q = Quantize()
    assert _same(Genome(()), Genome((q,)))
    assert _same(Genome((Quantize(percentile=99.5),)), Genome((q,)))
    assert _same(Genome((Quantize(weight_bits=(4,)), q)), Genome((q,)))
    assert _same(Genome((Quantize(learn_ranges=True),)), Genome((q,)))
    assert _same(Genome((Quantize((4, 4, 4, 4)),)), Genome((Quantize((4,)),)))
    assert _same(Genome((Prune((0.5, 0.5, 0.5)), q)), Genome((Prune((0.5,), scope="uniform"), q)))
    assert _same(
        Genome((Prune((0.5, 0.75, 1.0), "sensitivity"), q)), Genome((Prune((0.5, 0.75, 1.0)), q))
    )
    assert _same(Genome((Prune((1.0, 1.0, 1.0), epochs=0), q)), Genome((q,)))
    assert _same(Genome((Sparsify(0.9, "2:4"), q)), Genome((Sparsify(0.5, "2:4"), q)))
    scratch = Distill(weight=0.0, fresh=True)
    assert _same(Genome((Distill("compressed", 8.0, 0.0, fresh=True), q)), Genome((scratch, q)))


def test_genes_with_effect_do() -> None:
    q = Quantize()
    assert not _same(
        Genome((Quantize(learn_ranges=True, epochs=1),)), Genome((Quantize(epochs=1),))
    )
    trained_between = Genome((Quantize((4,)), Prune((0.5,), scope="uniform"), q))
    assert not _same(trained_between, Genome(trained_between.stages[1:]))
    assert not _same(
        Genome((Prune((0.5,), "sensitivity", "global"), q)),
        Genome((Prune((0.5,), "l2", "global"), q)),
    )


@pytest.mark.parametrize(
    "stages",
    [
        [{"stage": "shrink"}],
        [{"stage": "prune", "depth": 3}],
        [{"percentile": 1.0}],
        [{"stage": "prune", "keep": [0.5], "criterion": "luck"}],
        [{"stage": "sparsify", "pattern": "3:4"}],
    ],
)
def test_foreign_genomes_are_refused(stages: list[dict[str, object]]) -> None:
    with pytest.raises(UserError, match="genome stage"):
        Genome.from_json(stages)
