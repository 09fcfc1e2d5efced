"""The search space: what genomes may hold, and random ones (`variation` changes genomes).

All randomness comes from the `random.Random` passed in, so that a seed determines a search. Every
genome made here is in canonical form (`compress.space.canonical`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, get_args

from compress.genome import Criterion, Distill, Genome, Prune, Quantize, Sparsify, Stage
from compress.space.canonical import canonical

MAX_STAGES = 5
# Ratios of a group's channels that a `Prune` may keep.
KEEP_RATIOS = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
# Widths of weights: of a single layer, and of all layers alike.
LAYER_BITS = (8, 4, 2)
UNIFORM_BITS = (8, 4)
# A student of another shape may train this many times as long as other stages. On kws (seed 0, half
# the channels, attention maps) its accuracy after 4, 8 and 16 epochs, where other stages have at
# most 2, was 0.97 and 0.49 points below and 0.14 points above the original's.
STUDENT_LENGTH_FACTOR = 4
# Students may train 8 and 16 times as long, too, up to this number of epochs: by the figures above
# 8 epochs are too few on kws. Where an epoch is short, as on digits, the factor above is as long.
_LONGER_FACTORS = (8, 16)
_LONGEST_STUDENT = 32
_RATES = (0.1, 0.3, 1.0)
_KINDS: tuple[type[Stage], ...] = (Prune, Sparsify, Quantize, Distill)
# Probability of each stage in a random genome, and its weight in the choice of one to insert.
STAGE_PROBABILITY: dict[type[Stage], float] = {
    Prune: 0.7,
    Sparsify: 0.15,
    Quantize: 1.0,
    Distill: 0.6,
}

# Choices are drawn uniformly; a repeated one is drawn more often, one that rarely helps less often.
_CHOICES: dict[type[Stage], dict[str, tuple[Any, ...]]] = {
    Prune: {
        "scope": ("group", "group", "group", "uniform", "global"),
        "rounds": (1, 1, 1, 2),
        "reestimate": (False, True),
    },
    Sparsify: {
        "share": (0.5, 0.6, 0.7, 0.8, 0.9),
        "pattern": ("element", "element", "element", "2:4", "1:4"),
        "scope": ("layer", "global"),
        "rounds": (1, 1, 2),
    },
    Quantize: {
        "activation_bits": ((8,),) * 9 + ((16,),),
        "granularity": ("channel",) * 5 + ("tensor",),
        "symmetric": (False, False, False, True),
        "calibration": ("minmax", "minmax", "percentile", "mse", "kl"),
        "percentile": (99.99, 99.9, 99.5),
        "weight_range": ("max", "mse"),
        "equalize": (False, False, False, True),
        "correct_bias": (False, False, True),
        "rounding": ("nearest",) * 7 + ("adaround",),
        "learn_ranges": (False, True),
    },
    Distill: {
        "teacher": ("original", "original", "compressed", "compressed", "both"),
        "temperature": (2.0, 4.0, 8.0),
        "weight": (0.3, 0.5, 0.7, 0.9),
        "features": ("none", "none", "none", "hints", "attention"),
        "feature_weight": (0.3, 1.0, 3.0),
        "width": KEEP_RATIOS[1:],
        "depth": (1.0, 1.0, 1.0, 0.75, 0.5),
        "kernel": (0, 0, 0, 0, 3, 5),
        "separable": (False, False, False, True),
        "fresh": (False, False, True),
    },
}


@dataclass(frozen=True, slots=True)
class Space:
    """The dimensions of the search space of one network.

    `groups`, `layers` and `blocks` are the numbers of its prunable dependency groups, weighted
    layers and removable blocks, `criteria` the pruning criteria that apply to it. `epochs` are the
    lengths of training that a stage may have, in rising order; a `Distill` may also have those of
    `student_lengths`. Only networks that have convolutions have features to compare, kernels to
    shrink and convolutions to separate.
    """

    groups: int
    layers: int
    epochs: tuple[float, ...]
    blocks: int = 0
    criteria: tuple[Criterion, ...] = get_args(Criterion)
    has_convolutions: bool = True


def stage_kinds(space: Space) -> tuple[type[Stage], ...]:
    """The kinds of stages that can have an effect; `Prune` needs groups or blocks."""
    prunable = space.groups > 0 or space.blocks > 0
    return tuple(kind for kind in _KINDS if kind is not Prune or prunable)


def random_genome(rng: Random, space: Space) -> Genome:
    """A random subset of the stages in random order, each with random parameters."""
    kinds = [kind for kind in stage_kinds(space) if rng.random() < STAGE_PROBABILITY[kind]]
    stages = [random_stage(rng, space, kind) for kind in kinds]
    rng.shuffle(stages)
    return canonical(Genome(tuple(stages)))


def gene_choices(space: Space, kind: type[Stage]) -> dict[str, tuple[Any, ...]]:
    """The choices for each gene of a stage, except `keep`, `drop` and `weight_bits`.

    Choices are to be drawn uniformly; a repeated one is meant to be drawn more often.
    """
    choices = {**_CHOICES[kind], "epochs": space.epochs, "rate": _RATES}
    if kind is Quantize:
        choices["epochs"] = (0, *space.epochs)
    if kind is Prune:
        choices["criterion"] = space.criteria
        if space.groups == 0:
            choices["scope"] = ("uniform",)  # only blocks can be removed
    if kind is Distill:
        if not space.has_convolutions:
            choices |= {"features": ("none",), "kernel": (0,), "separable": (False,)}
        choices["epochs"] = tuple(sorted({*space.epochs, *student_lengths(space.epochs)}))
        if space.blocks < 2:
            choices["depth"] = (1.0,)  # a student keeps at least one block
    return choices


def random_stage(rng: Random, space: Space, kind: type[Stage]) -> Stage:
    genes = {name: rng.choice(values) for name, values in gene_choices(space, kind).items()}
    if kind is Prune:
        center = rng.randrange(len(KEEP_RATIOS))
        near = _ratios_near(rng, space, center)
        genes["keep"] = near if genes["scope"] == "group" else (KEEP_RATIOS[center],)
        if space.groups == 0:
            genes["keep"] = (1.0,)
        genes["drop"] = _random_drop(rng, space)
    if kind is Quantize:
        genes["weight_bits"] = _random_bits(rng, space)
    if kind is Distill and space.groups > 1 and rng.random() < 0.5:
        genes["keep"] = _ratios_near(rng, space, nearest_keep_index(genes["width"]))
    return kind(**genes)


def student_lengths(epochs: Sequence[float]) -> tuple[float, ...]:
    """How long students of another shape may train, in rising order, if other stages have `epochs`.

    `STUDENT_LENGTH_FACTOR` times each of them, or 8 or 16 times where that is 32 epochs at most.
    """
    usual = {STUDENT_LENGTH_FACTOR * one for one in epochs}
    longer = {factor * one for factor in _LONGER_FACTORS for one in epochs}
    return tuple(sorted(usual | {one for one in longer if one <= _LONGEST_STUDENT}))


def _ratios_near(rng: Random, space: Space, center: int) -> tuple[float, ...]:
    """A ratio for each group near the one at `center` of `KEEP_RATIOS`.

    With independent ratios all genomes would be of medium size.
    """
    steps = (rng.choice((-1, 0, 0, 1)) for _ in range(space.groups))
    return tuple(keep_ratio_near(center + step) for step in steps)


def _random_drop(rng: Random, space: Space) -> tuple[int, ...]:
    if space.blocks == 0 or rng.random() < 0.8:
        return ()
    return tuple(sorted(rng.sample(range(space.blocks), rng.randint(1, space.blocks))))


def _random_bits(rng: Random, space: Space) -> tuple[int, ...]:
    """8 bits for all layers, 4 bits for all, or a random width per layer."""
    kind = rng.random()
    if kind < 0.8:
        return (8,) if kind < 0.4 else (4,)
    return tuple(rng.choice((8, 4, 4, 2)) for _ in range(space.layers))


def nearest_keep_index(ratio: float) -> int:
    """Index of the ratio in `KEEP_RATIOS` that is nearest to `ratio`."""
    return min(range(len(KEEP_RATIOS)), key=lambda i: abs(KEEP_RATIOS[i] - ratio))


def keep_ratio_near(index: int) -> float:
    """The ratio at `index` of `KEEP_RATIOS`; beyond its ends the first or the last."""
    return KEEP_RATIOS[min(max(index, 0), len(KEEP_RATIOS) - 1)]
