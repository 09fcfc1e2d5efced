"""Tails: the stages after a sub-network was picked, which quantize it and train it on.

A tail is a genome of its own, of the stages `Sparsify`, `Quantize` and `Distill` in any order. It
keeps the shape of the network. It is varied by the operators of the whole search space, through
DEAP's toolbox, and lengthened by training its last student on: what was trained is not trained
again (the stages before are a prefix in the cache).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

from deap import base

from compress.genome import Distill, Features, Genome, Quantize, Sparsify, Stage
from compress.space.canonical import canonical
from compress.space.space import Space
from compress.space.variation import crossover, mutate

# Training of a tail after each rung, as multiples of the task's fine-tuning: 2, 4, 8.
RUNGS = (2, 4, 8)
_MOST_STAGES = 4


def starting_tails(length: float, features: Features) -> tuple[Genome, ...]:
    """The tails to begin with; `length` is that of the task's fine-tuning, in epochs.

    `features` are those that teacher and student are compared by in one of them. Distilling under
    quantization comes first: it was better than the other order in all pairs compared on kws
    (docs/decisions/0033).
    """
    taught = Distill(epochs=RUNGS[0] * length)
    four = Quantize((4,), weight_range="mse", learn_ranges=True)
    return tuple(
        kept_shape(Genome(stages), length)
        for stages in (
            (Quantize(learn_ranges=True), taught),
            (four, taught),
            (taught, Quantize()),
            (taught, replace(four, epochs=length / 2, rate=0.3)),
            (four, replace(taught, features=features)),
            (Quantize(), replace(taught, teacher="both", rate=0.3)),
            (Sparsify(0.5, scope="global", epochs=length / 2), four, taught),
        )
    )


def kept_shape(tail: Genome, length: float) -> Genome:
    """The tail with only stages that keep the shape, and a student that trains for the first rung.

    Stages beyond `_MOST_STAGES` are cut off; other training takes at most `length` epochs.
    """
    stages = [_kept(stage, length) for stage in tail.stages][:_MOST_STAGES]
    taught = [index for index, stage in enumerate(stages) if isinstance(stage, Distill)]
    for index in reversed(taught[:-1]):
        del stages[index]
    if not taught:
        stages = [*stages[: _MOST_STAGES - 1], Distill(epochs=RUNGS[0] * length)]
    return canonical(Genome(tuple(stages)))


def at_bits(tail: Genome, bits: tuple[int, ...]) -> Genome:
    """The tail with weights of these bits in all its schemes."""
    return canonical(
        Genome(
            tuple(
                replace(stage, weight_bits=bits) if isinstance(stage, Quantize) else stage
                for stage in tail.stages
            )
        )
    )


def lengthened(tail: Genome, rung: int) -> Genome:
    """The tail whose student has trained until `rung`: the same stage again, each time longer."""
    at = max(i for i, stage in enumerate(tail.stages) if isinstance(stage, Distill))
    taught, more = tail.stages[at], []
    for before, after in pairwise(RUNGS[: rung + 1]):
        share = (after - before) / RUNGS[0]
        more.append(replace(taught, epochs=taught.epochs * share))
    return Genome((*tail.stages[: at + 1], *more, *tail.stages[at + 1 :]))


def tail_space(space: Space) -> Space:
    """The search space of tails: a network without groups and blocks is not pruned."""
    return replace(space, groups=0, blocks=0)


def tail_toolbox(space: Space, length: float) -> Any:
    """DEAP's toolbox: `mate(rng, a, b)` and `mutate(rng, a)` make tails of tails."""
    toolbox = base.Toolbox()
    narrow = tail_space(space)

    def mate(rng: Random, mother: Genome, father: Genome) -> Genome:
        return kept_shape(crossover(rng, mother, father)[0], length)

    def mutated(rng: Random, tail: Genome) -> Genome:
        return kept_shape(mutate(rng, narrow, tail), length)

    toolbox.register("mate", mate)
    toolbox.register("mutate", mutated)
    return toolbox


def children(rng: Random, toolbox: Any, parents: Sequence[Genome], count: int) -> list[Genome]:
    """So many new tails of these: crossed with probability 0.5, then mutated."""
    made = []
    for _ in range(count):
        mother, father = rng.choice(parents), rng.choice(parents)
        child = toolbox.mate(rng, mother, father) if rng.random() < 0.5 else mother
        made.append(toolbox.mutate(rng, child))
    return made


def mean_bits(tail: Genome) -> float:
    """The mean width of weights in bits over the layers, under the last scheme."""
    specs = [stage for stage in tail.stages if isinstance(stage, Quantize)]
    bits = specs[-1].weight_bits if specs else (8,)
    return sum(bits) / len(bits)


def _kept(stage: Stage, length: float) -> Stage:
    if isinstance(stage, Distill):
        return replace(
            stage,
            width=1.0,
            depth=1.0,
            kernel=0,
            separable=False,
            fresh=False,
            epochs=RUNGS[0] * length,
        )
    return replace(stage, epochs=min(stage.epochs, length))
