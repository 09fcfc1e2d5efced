"""The search space: random genomes, and the variations evolution makes of them.

All randomness comes from the `random.Random` passed in, so that a seed fixes a search. Every
genome made here is in canonical form (`compress.space.canonical`): equal networks have equal keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from random import Random
from typing import Any, get_args

from compress.genome import Criterion, Distill, Genome, Prune, Quantize, Sparsify, Stage
from compress.space.canonical import canonical

MOST_STAGES = 5
# What of a group's channels a pruning may keep; bits of a layer's weights, of all layers' alike.
KEEP = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
LAYER_BITS = (8, 4, 2)
UNIFORM_BITS = (8, 4)
# A student in another shape may train so many times as long as a stage that mends. On kws (seed 0,
# half the channels, attention maps) 4, 8 and 16 epochs, where others have 2 at most, ended 0.97 and
# 0.49 points below and 0.14 above the original.
STUDENT_LENGTHS = 4
_RATES = (0.1, 0.3, 1.0)
_KINDS: tuple[type[Stage], ...] = (Prune, Sparsify, Quantize, Distill)
# How likely a stage is in a random genome, and how much it weighs when one is inserted.
_PRESENCE: dict[type[Stage], float] = {Prune: 0.7, Sparsify: 0.15, Quantize: 1.0, Distill: 0.6}

# What stands here more than once is drawn more often: what rarely helps is tried rarely.
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
        "width": KEEP[1:],
        "depth": (1.0, 1.0, 1.0, 0.75, 0.5),
        "kernel": (0, 0, 0, 0, 3, 5),
        "separable": (False, False, False, True),
        "fresh": (False, False, True),
    },
}


@dataclass(frozen=True, slots=True)
class Space:
    """What may vary for one network, and how long a stage may train.

    `groups` prunable dependency groups, `layers` weighted layers, `blocks` removable blocks, the
    `criteria` that apply to it; `epochs` of training that a stage may have, in rising order: a
    `Distill` up to `STUDENT_LENGTHS` times the longest.
    """

    groups: int
    layers: int
    epochs: tuple[float, ...]
    blocks: int = 0
    criteria: tuple[Criterion, ...] = get_args(Criterion)


def kinds_of(space: Space) -> tuple[type[Stage], ...]:
    """The kinds of stages that do anything: without groups and blocks, pruning does not."""
    prunable = space.groups > 0 or space.blocks > 0
    return tuple(kind for kind in _KINDS if kind is not Prune or prunable)


def random_genome(rng: Random, space: Space) -> Genome:
    """A subset of the stages in any order, each with random parameters."""
    kinds = [kind for kind in kinds_of(space) if rng.random() < _PRESENCE[kind]]
    stages = [_random_stage(rng, space, kind) for kind in kinds]
    rng.shuffle(stages)
    return canonical(Genome(tuple(stages)))


def mutate(rng: Random, space: Space, genome: Genome) -> Genome:
    """Vary one stage, insert one (a second of its kind, perhaps), delete one, or swap two."""
    stages = list(genome.stages)
    ways = ["vary"] * 5 + ["insert"] * (len(stages) < MOST_STAGES)
    ways += ["delete", "swap"] if len(stages) > 1 else []
    match rng.choice(ways):
        case "vary":
            index = rng.randrange(len(stages))
            stages[index] = _vary(rng, space, stages[index])
        case "insert":
            kinds = kinds_of(space)
            (kind,) = rng.choices(kinds, [_PRESENCE[kind] for kind in kinds])
            stages.insert(rng.randint(0, len(stages)), _random_stage(rng, space, kind))
        case "delete":
            del stages[rng.randrange(len(stages))]
        case "swap":
            i, j = rng.sample(range(len(stages)), 2)
            stages[i], stages[j] = stages[j], stages[i]
    return canonical(Genome(tuple(stages)))


def crossover(rng: Random, first: Genome, second: Genome) -> tuple[Genome, Genome]:
    """Each child keeps one parent's order; stages both have mix their genes, field by field."""
    return _mix(rng, first, second), _mix(rng, second, first)


def genes_of(space: Space, kind: type[Stage]) -> dict[str, tuple[Any, ...]]:
    """The values that each gene of a stage may have, but for ratios, blocks and weights' bits.

    What stands there more than once is to be drawn more often.
    """
    choices = {**_CHOICES[kind], "epochs": space.epochs, "rate": _RATES}
    if kind is Quantize:
        choices["epochs"] = (0, *space.epochs)
    if kind is Prune:
        choices["criterion"] = space.criteria
        if space.groups == 0:
            choices["scope"] = ("uniform",)  # only blocks can be removed
    if kind is Distill:
        longer = (STUDENT_LENGTHS * epochs for epochs in space.epochs)
        choices["epochs"] = tuple(sorted({*space.epochs, *longer}))
        if space.blocks < 2:
            choices["depth"] = (1.0,)  # one block of a student stays in any case
    return choices


def _random_stage(rng: Random, space: Space, kind: type[Stage]) -> Stage:
    genes = {name: rng.choice(values) for name, values in genes_of(space, kind).items()}
    if kind is Prune:
        # Ratios near a common one: independent ones would all lie near the mean.
        center = rng.randrange(len(KEEP))
        near = [KEEP[_clamp(center + rng.choice((-1, 0, 0, 1)))] for _ in range(space.groups)]
        genes["keep"] = tuple(near) if genes["scope"] == "group" else (KEEP[center],)
        if space.groups == 0:
            genes["keep"] = (1.0,)
        genes["drop"] = _random_drop(rng, space)
    if kind is Quantize:
        genes["weight_bits"] = _random_bits(rng, space)
    return kind(**genes)


def _random_drop(rng: Random, space: Space) -> tuple[int, ...]:
    if space.blocks == 0 or rng.random() < 0.8:
        return ()
    return tuple(sorted(rng.sample(range(space.blocks), rng.randint(1, space.blocks))))


def _random_bits(rng: Random, space: Space) -> tuple[int, ...]:
    """8 bits, 4 bits, or some of each."""
    kind = rng.random()
    if kind < 0.8:
        return (8,) if kind < 0.4 else (4,)
    return tuple(rng.choice((8, 4, 4, 2)) for _ in range(space.layers))


def _vary(rng: Random, space: Space, stage: Stage) -> Stage:
    """One gene drawn anew; ratios and bit widths mostly move a step."""
    if isinstance(stage, Prune) and space.groups and rng.random() < 0.6:
        return _step_keep(rng, space, stage)
    if isinstance(stage, Prune) and space.blocks and rng.random() < 0.3:
        return replace(stage, drop=_toggled(rng, space, stage.drop))
    if isinstance(stage, Quantize) and rng.random() < 0.3:
        return replace(stage, weight_bits=_step_bits(rng, space, stage.weight_bits))
    choices = genes_of(space, type(stage))
    name = rng.choice(sorted(choices))
    others = [value for value in choices[name] if value != getattr(stage, name)]
    varied = replace(stage, **{name: rng.choice(others)}) if others else stage
    if isinstance(varied, Prune) and varied.scope == "group" and len(varied.keep) == 1:
        return replace(varied, keep=varied.keep * space.groups)
    return varied


def _step_keep(rng: Random, space: Space, stage: Prune) -> Prune:
    """One ratio or all of them move a step; a uniform one may become one per group."""
    keep, scope = stage.keep, stage.scope
    if scope == "uniform" and rng.random() < 0.5:
        keep, scope = keep * space.groups, "group"
    chosen = range(len(keep)) if rng.random() < 0.3 else (rng.randrange(len(keep)),)
    step = rng.choice((-1, 1))
    moved = tuple(
        KEEP[_clamp(nearest_keep(ratio) + step)] if i in chosen else ratio
        for i, ratio in enumerate(keep)
    )
    return replace(stage, keep=moved, scope=scope)


def _toggled(rng: Random, space: Space, drop: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted(set(drop) ^ {rng.randrange(space.blocks)}))


def _step_bits(rng: Random, space: Space, bits: tuple[int, ...]) -> tuple[int, ...]:
    """All layers to one width, or a single layer to another."""
    if rng.random() < 0.4:
        return (rng.choice(UNIFORM_BITS),)
    each = list(bits) if len(bits) == space.layers else [bits[0]] * space.layers
    each[rng.randrange(space.layers)] = rng.choice(LAYER_BITS)
    return tuple(each)


def _mix(rng: Random, order: Genome, other: Genome) -> Genome:
    stages: list[Stage] = []
    for stage in order.stages:
        mates = [mate for mate in other.stages if type(mate) is type(stage)]
        stages.append(_crossed(rng, stage, rng.choice(mates)) if mates else stage)
    return canonical(Genome(tuple(stages)))


def _crossed(rng: Random, stage: Stage, mate: Stage) -> Stage:
    """Each gene from either; ratios are mixed one by one and keep the scope they belong to."""
    genes = {
        gene.name: getattr(rng.choice((stage, mate)), gene.name)
        for gene in fields(stage)
        if gene.name not in ("keep", "scope")
    }
    if isinstance(stage, Prune) and isinstance(mate, Prune):
        genes |= {"keep": stage.keep, "scope": stage.scope}
        if len(stage.keep) == len(mate.keep) > 1:
            genes["keep"] = tuple(map(rng.choice, zip(stage.keep, mate.keep, strict=True)))
    return replace(stage, **genes)


def nearest_keep(ratio: float) -> int:
    """Index of the ratio of `KEEP` next to this one."""
    return min(range(len(KEEP)), key=lambda i: abs(KEEP[i] - ratio))


def _clamp(index: int) -> int:
    return min(max(index, 0), len(KEEP) - 1)
