"""A synthetic network of three groups for the elastic engine: no training, no board."""

from __future__ import annotations

from dataclasses import replace

from compress.genome import Distill, Genome, Pick, Prune, Quantize
from compress.space.space import Space
from helpers.trials import measured
from hil.board import load_board
from hil.elastic.engine import ShapesFirst
from hil.elastic.lattice import Lattice
from hil.figures import HalfFigures, LayerFigures
from hil.objective.goal import Goal
from hil.search.engine import Proposal
from hil.types import Estimate, Sizes, Trial

CHANNELS = (16, 32, 32)
LATTICE = Lattice(CHANNELS, 0.25)
SPACE = Space(groups=3, layers=4, epochs=(1, 2, 4))
GOAL = Goal(load_board("m4"), accuracy=0.9, flash_bytes=60_000, ram_bytes=20_000)
FLOAT = 0.97
# The same with weights of 8 or 4 bits for each unit: the layers of a group, and the classifier.
UNITS = (("one", 0), ("two", 1), ("three", 2), ("classify", 3))
BIT_LATTICE = Lattice(CHANNELS, 0.25, bits=(8, 4), units=UNITS)
# What a layer of these bits takes, relative to int8.
UNPACKING = {8: 1.0, 4: 1.25}
EXPANDED = 0.5  # of its int8 weights are in memory


def widths(genome: Genome) -> tuple[int, ...]:
    keep: tuple[float, ...] = (1.0, 1.0, 1.0)
    for stage in genome.stages:
        if isinstance(stage, Prune | Pick):
            keep = stage.keep * 3 if len(stage.keep) == 1 else stage.keep
    return tuple(round(share * most) for share, most in zip(keep, CHANNELS, strict=True))


def answer(number: int, proposal: Proposal, by_layer: bool = False) -> Trial:
    """A trial whose costs are sums over layers; training removes most of what narrowing loses.

    All weights have the fewest bits of the scheme, or, `by_layer`, each layer its own.
    """
    genome = proposal.genome
    a, b, c = widths(genome)
    shapes = {"one": (1, a), "two": (a, b), "three": (b, c), "classify": (c, 10)}
    spec = [stage for stage in genome.stages if isinstance(stage, Quantize)][-1]
    bits = (min(spec.weight_bits),) * 4
    if by_layer:
        bits = spec.weight_bits * 4 if len(spec.weight_bits) == 1 else spec.weight_bits
    layers = tuple(
        LayerFigures(
            name=name,
            inputs=i,
            outputs=o,
            macs=90 * i * o,
            count=round((900 + 300 * i * o) * (UNPACKING[width] if by_layer else 1.0)),
            weight_bytes=(9 * i * o + 12 * o) * width // 8,
            live_bytes=80 * (i + o)
            + round(EXPANDED * (9 * i * o + 12 * o)) * (by_layer and width < 8),
        )
        for (name, (i, o)), width in zip(shapes.items(), bits, strict=True)
    )
    weights = sum(layer.weight_bytes for layer in layers)
    arena = max(layer.live_bytes for layer in layers)
    lost = 0.3 * (1 - a / 16) ** 2 + 0.3 * (1 - b / 32) ** 2 + 0.1 * (1 - c / 32) ** 2
    trained = sum(s.epochs for s in genome.stages if isinstance(s, Distill)) * proposal.fidelity
    accuracy = FLOAT - 0.0025 * sum(width < 8 for width in bits) - lost / (1 + trained)
    trial = measured(
        number,
        genome,
        accuracy=accuracy,
        flash=10_000 + weights,
        ram=1_500 + arena,
        count=5_000 + sum(layer.count for layer in layers),
        fidelity=proposal.fidelity,
        repeat=proposal.repeat,
        estimate=Estimate(sum(layer.macs for layer in layers), 0, weights, arena, 4),
    )
    if proposal.fidelity < 1.0:
        return replace(trial, state="screened", measurement=None, estimate=None)
    assert trial.measurement is not None
    half = HalfFigures(accuracy, 0.004, FLOAT - accuracy, 0.003)
    board = replace(
        trial.measurement,
        flash=Sizes({"weights": weights, "kernels": 10_000}),
        halves=(half, half),
        layers=layers if proposal.profile else (),
    )
    return replace(trial, measurement=board)


def search(
    engine: ShapesFirst, batches: int, told: int = 10**9, by_layer: bool = False
) -> list[Trial]:
    """The trials of so many batches, at most `told` in all: the last batch may be cut off."""
    trials: list[Trial] = []
    for _ in range(batches):
        batch = engine.ask()[: told - len(trials)]
        new = [answer(len(trials) + i + 1, one, by_layer) for i, one in enumerate(batch)]
        engine.tell(new)
        trials += new
    return trials
