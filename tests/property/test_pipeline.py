"""Every genome of the search space compresses or is refused with a reason."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.errors import Infeasible
from compress.frontend.layout import layer_shape
from compress.genome import Genome, Quantize, Sparsify
from compress.integer.check import check_graph
from compress.integer.cost import cost
from compress.pipeline.network import Original, space_of
from compress.pipeline.pipeline import compress, preview
from compress.space.space import random_genome
from compress.space.variation import mutate
from compress.tflite.exporter import export_tflite
from compress.types import QuantizedModel
from helpers.networks import NETWORKS, original
from helpers.oracles import assert_oracles_agree


def _quick(genome: Genome) -> Genome:
    """The genome with rounding to nearest: AdaRound takes seconds and has tests of its own."""
    return Genome(
        tuple(
            replace(stage, rounding="nearest") if isinstance(stage, Quantize) else stage
            for stage in genome.stages
        )
    )


def _outcome(genome: Genome, start: Original) -> tuple[QuantizedModel | None, str]:
    try:
        return compress(genome, start), ""
    except Infeasible as refusal:
        return None, str(refusal)


@pytest.mark.parametrize("name", NETWORKS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=5, deadline=None)
def test_any_genome_compresses_or_says_why_not(name: str, seed: int) -> None:
    start, rng = original(name), Random(seed)
    space = space_of(start)
    genome = _quick(mutate(rng, space, random_genome(rng, space)))
    model, refusal = _outcome(genome, start)
    if model is None:
        assert len(refusal) > 10
        return
    check_graph(model.graph)
    assert model.graph.input_tensor.shape == layer_shape((1, *start.task.input_shape))
    assert model.graph.output_tensor.elements == len(start.task.classes)
    assert model.samples.outputs.shape == (8, len(start.task.classes))
    trained = [stage.epochs for stage in genome.stages]
    assert [entry.epochs for entry in model.costs] == [*trained, 0]
    assert_oracles_agree(export_tflite(model.graph), model.samples)


@pytest.mark.parametrize("name", NETWORKS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=4, deadline=None)
def test_costs_are_known_before_training(name: str, seed: int) -> None:
    """Costs are exact except where training decides: global ranking, zeros, dead channels."""
    start, rng = original(name), Random(seed)
    genome = _quick(random_genome(rng, space_of(start)))
    decided_later = [getattr(stage, "scope", "") == "global" for stage in genome.stages]
    try:
        before, after = cost(preview(genome, start)), cost(compress(genome, start).graph)
    except Infeasible:
        return
    if any(decided_later):
        return
    assert after.macs <= before.macs
    assert after.weight_bytes <= before.weight_bytes
    assert after.peak_activation_bytes <= before.peak_activation_bytes
    sparse = any(isinstance(stage, Sparsify) for stage in genome.stages)
    assert sparse or after.macs >= 0.8 * before.macs


@pytest.mark.parametrize("name", NETWORKS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=2, deadline=None)
def test_the_same_genome_gives_the_same_network(name: str, seed: int) -> None:
    start, rng = original(name), Random(seed)
    genome = _quick(random_genome(rng, space_of(start)))
    try:
        first, second = compress(genome, start), compress(genome, start)
    except Infeasible:
        return
    assert export_tflite(first.graph) == export_tflite(second.graph)
