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


def widths(genome: Genome) -> tuple[int, ...]:
    keep: tuple[float, ...] = (1.0, 1.0, 1.0)
    for stage in genome.stages:
        if isinstance(stage, Prune | Pick):
            keep = stage.keep * 3 if len(stage.keep) == 1 else stage.keep
    return tuple(round(share * most) for share, most in zip(keep, CHANNELS, strict=True))


def answer(number: int, proposal: Proposal) -> Trial:
    """A trial whose costs are sums over layers; training removes most of what narrowing loses."""
    genome = proposal.genome
    a, b, c = widths(genome)
    shapes = {"one": (1, a), "two": (a, b), "three": (b, c), "classify": (c, 10)}
    spec = [stage for stage in genome.stages if isinstance(stage, Quantize)][-1]
    bits = min(spec.weight_bits)
    layers = tuple(
        LayerFigures(name, i, o, 90 * i * o, 900 + 300 * i * o, 9 * i * o + 12 * o, 80 * (i + o))
        for name, (i, o) in shapes.items()
    )
    weights = sum(layer.weight_bytes for layer in layers) * bits // 8
    arena = max(layer.live_bytes for layer in layers)
    lost = 0.3 * (1 - a / 16) ** 2 + 0.3 * (1 - b / 32) ** 2 + 0.1 * (1 - c / 32) ** 2
    trained = sum(s.epochs for s in genome.stages if isinstance(s, Distill)) * proposal.fidelity
    accuracy = FLOAT - 0.01 * (bits < 8) - lost / (1 + trained)
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


def search(engine: ShapesFirst, batches: int, told: int = 10**9) -> list[Trial]:
    """The trials of so many batches, at most `told` in all: the last batch may be cut off."""
    trials: list[Trial] = []
    for _ in range(batches):
        batch = engine.ask()[: told - len(trials)]
        new = [answer(len(trials) + i + 1, one) for i, one in enumerate(batch)]
        engine.tell(new)
        trials += new
    return trials
