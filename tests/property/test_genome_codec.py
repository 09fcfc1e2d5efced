"""Genomes as Optuna's parameters: what is suggested is in the space, and nothing gets lost."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.genome import Distill, Genome, Prune, Quantize, Sparsify
from compress.space.canonical import canonical
from compress.space.recipes import baseline, recipes
from compress.space.space import KEEP_RATIOS, LAYER_BITS, Space, gene_choices, random_genome
from hil.search.genome_codec import parameters, suggest

spaces = st.builds(
    Space,
    groups=st.integers(0, 4),
    layers=st.integers(1, 5),
    epochs=st.sampled_from([(1, 2), (3,), (2, 4)]),
    blocks=st.integers(0, 3),
)


class Drawn:
    """Suggests what hypothesis draws, and refuses what Optuna would."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.names: list[str] = []

    def suggest_int(self, name: str, low: int, high: int) -> int:
        self.names.append(name)
        return self.data.draw(st.integers(low, high), label=name)

    def suggest_categorical(self, name: str, choices: Sequence[int]) -> int:
        self.names.append(name)
        return self.data.draw(st.sampled_from(choices), label=name)


class Told:
    """Suggests what it was told."""

    def __init__(self, places: dict[str, int]) -> None:
        self.places = places

    def suggest_int(self, name: str, low: int, high: int) -> int:
        assert low <= self.places[name] <= high
        return self.places[name]

    def suggest_categorical(self, name: str, choices: Sequence[int]) -> int:
        assert self.places[name] in choices
        return self.places[name]


def _in_space(genome: Genome, space: Space) -> None:
    kinds = [type(stage) for stage in genome.stages]
    assert Quantize in kinds
    assert len(set(kinds)) == len(kinds)
    for stage in genome.stages:
        for gene, choices in gene_choices(space, type(stage)).items():
            # What a pattern n:m leaves is not a choice (compress.space.canonical).
            of_pattern = isinstance(stage, Sparsify) and stage.pattern != "element"
            assert getattr(stage, gene) in choices or (gene == "share" and of_pattern)
        if isinstance(stage, Prune):
            assert set(stage.keep) <= set(KEEP_RATIOS)
            assert len(stage.keep) == (space.groups if stage.scope == "group" else 1)
            assert set(stage.drop) <= set(range(space.blocks))
        if isinstance(stage, Distill):
            assert set(stage.keep) <= set(KEEP_RATIOS)
            assert len(stage.keep) in (0, space.groups)
        if isinstance(stage, Quantize):
            assert set(stage.weight_bits) <= set(LAYER_BITS)
            assert len(stage.weight_bits) in (1, space.layers)


@settings(deadline=None)
@given(st.data(), spaces)
def test_what_is_suggested_is_canonical_in_the_space_and_comes_back(
    data: st.DataObject, space: Space
) -> None:
    drawn = Drawn(data)
    genome = suggest(drawn, space)
    assert canonical(genome) == genome
    _in_space(genome, space)
    assert len(set(drawn.names)) == len(drawn.names)
    assert suggest(Told(parameters(genome, space)), space) == genome


@settings(deadline=None)
@given(st.integers(0, 2**32), spaces)
def test_random_genomes_can_all_be_suggested(seed: int, space: Space) -> None:
    genome = random_genome(Random(seed), space)
    assert suggest(Told(parameters(genome, space)), space) == genome


def test_genes_without_effect_are_not_asked_for() -> None:
    space = Space(groups=3, layers=4, epochs=(1, 2), blocks=2)
    told = parameters(baseline(), space)
    assert not {"quantize.percentile", "quantize.rate", "quantize.bits 0"} & set(told)
    assert not any(name.startswith(("prune.", "order")) for name in told)


def test_what_cannot_be_suggested_is_refused() -> None:
    space = Space(groups=3, layers=4, epochs=(1, 2), blocks=2)
    twice = next(g for g in recipes(2) if g.order == "PQD").stages
    for genome in (
        Genome((twice[0], *twice)),
        Genome((Prune((0.3,), scope="uniform"), Quantize())),
        Genome((Quantize(epochs=7),)),
        Genome((Quantize(percentile=99.5),)),
    ):
        with pytest.raises(ValueError, match=genome.key):
            parameters(genome, space)
