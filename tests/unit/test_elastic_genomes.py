"""Genomes with `Elastic` and `Pick`: text, order, effort, canonical form, variation."""

from dataclasses import replace
from random import Random

import pytest

from compress.errors import UserError
from compress.genome import Distill, Elastic, Genome, Pick, Prune, Quantize, Stage
from compress.space.canonical import canonical
from compress.space.space import Space
from compress.space.variation import crossover, mutate

E, K, Q, D = Elastic(), Pick((0.5, 0.75), (1,)), Quantize((4,), epochs=2), Distill(epochs=8)
P = Prune((0.5,), scope="uniform", epochs=4)
SPACE = Space(groups=2, layers=3, epochs=(0.5, 1, 2), blocks=2)


@pytest.mark.parametrize(
    ("stages", "order"),
    [
        ((Q, E, K, D), "QED"),
        ((P, E, K, Q, D), "PEQD"),
        ((E, K, Q, D), "EQD"),
        ((E, Q, K, D), "EQID"),
        ((E, K, K, Q), "EIQ"),
        ((E, Q), "EQ"),
        ((K,), "I"),
        ((Elastic(bits=(8, 4)), Pick((0.5, 0.75), bits=(8, 4, 4)), Q), "EQ"),
    ],
)
def test_orders_and_text(stages: tuple[Stage, ...], order: str) -> None:
    genome = Genome(stages)
    assert genome.order == order
    again = Genome.from_json(genome.to_json())
    assert again == genome
    assert again.key == genome.key


def test_a_pick_does_not_train() -> None:
    text = Genome((K,)).to_json()
    with pytest.raises(UserError, match="a pick does not train"):
        Genome.from_json([{**text[0], "epochs": 2}])
    with pytest.raises(UserError, match="a pick does not train"):
        replace(K, rate=0.1)


def test_what_leads_to_a_picked_elastic_network_keeps_its_effort() -> None:
    genome = Genome((Q, E, K, D))
    for share in (0.0, 0.5):
        assert genome.with_effort(share).stages == (Q, E, K, replace(D, epochs=8 * share))
    assert Genome((E, Q, K, D)).with_effort(0.5).stages[:2] == (E, replace(Q, epochs=1))
    assert Genome((E, Q)).with_effort(0.5).epochs == 9  # nothing is picked
    assert Genome((K, E)).with_effort(0.5).epochs == 8
    assert genome.untrained.epochs == 0
    assert genome.epochs == 26


def test_the_prefix_of_all_efforts_has_one_key() -> None:
    genome = Genome((Q, E, K, D))
    keys = {Genome(genome.with_effort(share).stages[:2]).key for share in (0.0, 0.25, 1.0)}
    assert len(keys) == 1


def test_canonical_form() -> None:
    untrained = Elastic(narrowest=0.5, temperature=2.0, depth=True, epochs=0, rate=0.1)
    assert canonical(Genome((untrained, K, Q))).stages == (Elastic(epochs=0), K, Q)
    assert canonical(Genome((untrained, Q))).stages == (Q,)
    assert canonical(Genome((K, untrained, Q))).stages == (K, Q)
    silent = Elastic(temperature=2.0, weight=0.0)
    assert canonical(Genome((silent, K))).stages[0] == Elastic(weight=0.0)
    spelled = Pick((0.5, 0.75), (1, 0, 1))
    assert canonical(Genome((E, spelled, Q))).stages[1] == Pick((0.5, 0.75), (0, 1))
    bits = Elastic(bits=(2, 8))
    assert canonical(Genome((bits, Pick(bits=(4, 4)), Q))).stages[:2] == (
        Elastic(bits=(8, 2)),
        Pick(bits=(4,)),
    )
    idle, kept = Elastic(epochs=0), Elastic(epochs=0, bits=(8, 4))
    assert canonical(Genome((kept, K, Q))).stages[0] == idle
    assert canonical(Genome((kept, Pick(bits=(4,)), Q))).stages[0] == kept
    whole = Pick((1.0, 1.0))
    assert canonical(Genome((E, whole, Q))).stages[1] == whole
    once = canonical(Genome((E, K, D, Q)))
    assert canonical(once) == once


def test_variation_moves_picks_and_leaves_elastic_alone() -> None:
    rng, genome = Random(0), canonical(Genome((E, K, Q, D)))
    keeps, drops = set(), set()
    for _ in range(1000):
        child = mutate(rng, SPACE, genome)
        child, _ = crossover(rng, child, genome)
        assert {stage for stage in child.stages if isinstance(stage, Elastic)} <= {E}
        for stage in child.stages:
            if isinstance(stage, Pick):
                keeps.add(stage.keep)
                drops.add(stage.drop)
    assert {(0.5, 0.75), (0.625, 0.75), (0.5, 0.875), (0.375, 0.625)} <= keeps
    assert {(), (1,), (0, 1)} <= drops


def test_without_bits_genomes_have_the_keys_and_the_variation_that_they_had() -> None:
    """Figures of the release before stages had this gene."""
    genome = canonical(Genome((E, K, Q, D)))
    assert "bits" not in {gene for stage in genome.to_json()[:2] for gene in stage}
    rng = Random(3)
    child = genome
    for _ in range(40):
        child = crossover(rng, mutate(rng, SPACE, child), genome)[0]
    assert (genome.key, child.key, rng.random()) == (
        "ad907667bc70c21f",
        "b46da786e5655512",
        0.7497058096814536,
    )


def test_bits_of_a_pick_are_varied_together_with_those_of_the_scheme_after_it() -> None:
    rng = Random(0)
    trained, same = Elastic(bits=(8, 4)), Quantize((4,), learn_ranges=True)
    genome = canonical(Genome((trained, Pick((0.5, 0.75), bits=(4,)), same, D)))
    seen = set()
    for _ in range(300):
        stages = crossover(rng, mutate(rng, SPACE, genome), genome)[0].stages
        if [type(stage) for stage in stages] == [Elastic, Pick, Quantize, Distill]:
            assert isinstance(stages[1], Pick)
            assert isinstance(stages[2], Quantize)
            assert set(stages[1].bits) <= {8, 4}
            if stages[1].bits != (4,):
                assert stages[2].weight_bits in (stages[1].bits, (4,))
                seen.add(stages[1].bits)
    assert {(8,), (8, 4, 4), (4, 8, 4), (4, 4, 8)} <= seen
