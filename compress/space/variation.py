"""Variation of genomes: mutation and cross-over.

All randomness comes from the `random.Random` passed in. Results are in canonical form.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from random import Random
from typing import TypeVar

from compress.genome import Distill, Elastic, Genome, Pick, Prune, Quantize, Stage
from compress.space.canonical import canonical
from compress.space.space import (
    LAYER_BITS,
    MAX_STAGES,
    STAGE_PROBABILITY,
    UNIFORM_BITS,
    Space,
    gene_choices,
    keep_ratio_near,
    nearest_keep_index,
    random_stage,
    stage_kinds,
)

_Gene = TypeVar("_Gene", int, float)


def mutate(rng: Random, space: Space, genome: Genome) -> Genome:
    """Mutation: vary one stage, insert one (its kind may be present), delete one, or swap two.

    An `Elastic` is not varied, as its network would have to be trained again.
    """
    stages = list(genome.stages)
    ways = ["vary"] * 5 + ["insert"] * (len(stages) < MAX_STAGES)
    ways += ["delete", "swap"] if len(stages) > 1 else []
    match rng.choice(ways):
        case "vary":
            varied = [i for i, stage in enumerate(stages) if not isinstance(stage, Elastic)]
            if varied:
                index = rng.choice(varied)
                stages[index:] = _varied(rng, space, stages, index)
        case "insert":
            kinds = stage_kinds(space)
            (kind,) = rng.choices(kinds, [STAGE_PROBABILITY[kind] for kind in kinds])
            stages.insert(rng.randint(0, len(stages)), random_stage(rng, space, kind))
        case "delete":
            del stages[rng.randrange(len(stages))]
        case "swap":
            i, j = rng.sample(range(len(stages)), 2)
            stages[i], stages[j] = stages[j], stages[i]
    return canonical(Genome(tuple(stages)))


def crossover(rng: Random, first: Genome, second: Genome) -> tuple[Genome, Genome]:
    """Cross-over: each child has one parent's order; stages of the same kind mix their genes."""
    return _mix(rng, first, second), _mix(rng, second, first)


def _varied(rng: Random, space: Space, stages: Sequence[Stage], index: int) -> list[Stage]:
    """The stages from `index` on, the first of them varied.

    A `Pick` with bits may get others of its `Elastic`, and then a `Quantize` right after it that
    had the same bits gets them, too.
    """
    stage, after = stages[index], list(stages[index + 1 :])
    trained = [one.bits for one in stages[:index] if isinstance(one, Elastic)]
    if not (isinstance(stage, Pick) and stage.bits and trained and rng.random() < 0.4):
        return [_vary(rng, space, stage), *after]
    bits = _step_bits(rng, space, stage.bits, trained[-1] or stage.bits)
    if after and isinstance(after[0], Quantize) and after[0].weight_bits == stage.bits:
        after[0] = replace(after[0], weight_bits=bits)
    return [replace(stage, bits=bits), *after]


def _vary(rng: Random, space: Space, stage: Stage) -> Stage:
    """The stage with one gene changed; `keep` and bit widths mostly move by one step."""
    if isinstance(stage, Pick):
        drops = space.blocks > 0 and (space.groups == 0 or rng.random() < 0.2)
        if drops:
            return replace(stage, drop=_toggled(rng, space, stage.drop))
        return replace(stage, keep=_moved(rng, stage.keep)) if stage.keep else stage
    if isinstance(stage, Prune) and space.groups and rng.random() < 0.6:
        return _step_keep(rng, space, stage)
    if isinstance(stage, Distill) and space.groups > 1 and rng.random() < 0.3:
        return _step_width(rng, space, stage)
    if isinstance(stage, Prune) and space.blocks and rng.random() < 0.3:
        return replace(stage, drop=_toggled(rng, space, stage.drop))
    if isinstance(stage, Quantize) and rng.random() < 0.3:
        return replace(stage, weight_bits=_step_bits(rng, space, stage.weight_bits))
    choices = gene_choices(space, type(stage))
    name = rng.choice(sorted(choices))
    others = [value for value in choices[name] if value != getattr(stage, name)]
    varied = replace(stage, **{name: rng.choice(others)}) if others else stage
    if isinstance(varied, Distill) and name == "width":
        return replace(varied, keep=())
    if isinstance(varied, Prune) and varied.scope == "group" and len(varied.keep) == 1:
        return replace(varied, keep=varied.keep * space.groups)
    return varied


def _step_keep(rng: Random, space: Space, stage: Prune) -> Prune:
    """The stage with one or all ratios moved a step; a uniform one may become one per group."""
    keep, scope = stage.keep, stage.scope
    if scope == "uniform" and rng.random() < 0.5:
        keep, scope = keep * space.groups, "group"
    return replace(stage, keep=_moved(rng, keep), scope=scope)


def _step_width(rng: Random, space: Space, stage: Distill) -> Distill:
    """The student with the ratio of one or all groups moved a step."""
    return replace(stage, keep=_moved(rng, stage.keep or (stage.width,) * space.groups))


def _moved(rng: Random, keep: tuple[float, ...]) -> tuple[float, ...]:
    """The ratios with one or all moved a step along `KEEP_RATIOS`."""
    chosen = range(len(keep)) if rng.random() < 0.3 else (rng.randrange(len(keep)),)
    step = rng.choice((-1, 1))
    return tuple(
        keep_ratio_near(nearest_keep_index(ratio) + step) if i in chosen else ratio
        for i, ratio in enumerate(keep)
    )


def _toggled(rng: Random, space: Space, drop: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted(set(drop) ^ {rng.randrange(space.blocks)}))


def _step_bits(
    rng: Random, space: Space, bits: tuple[int, ...], known: tuple[int, ...] = ()
) -> tuple[int, ...]:
    """One width for all layers, or the same widths with a new one for a single layer.

    New ones are of those `known`, if there are any.
    """
    if rng.random() < 0.4:
        return (rng.choice(known or UNIFORM_BITS),)
    each = list(bits) if len(bits) == space.layers else [bits[0]] * space.layers
    each[rng.randrange(space.layers)] = rng.choice(known or LAYER_BITS)
    return tuple(each)


def _mix(rng: Random, order: Genome, other: Genome) -> Genome:
    stages: list[Stage] = []
    for stage in order.stages:
        mates = [mate for mate in other.stages if type(mate) is type(stage)]
        stages.append(_crossed(rng, stage, rng.choice(mates)) if mates else stage)
    return canonical(Genome(tuple(stages)))


def _crossed(rng: Random, stage: Stage, mate: Stage) -> Stage:
    """Uniform cross-over of two stages: `keep` is mixed element by element and keeps its scope.

    A student's `width` and `keep` are one gene: both are of the same parent, or mixed by group. An
    `Elastic` stays as it is.
    """
    if isinstance(stage, Elastic):
        return stage
    genes = {
        gene.name: getattr(rng.choice((stage, mate)), gene.name)
        for gene in fields(stage)
        if gene.name not in ("keep", "scope", "bits")
    }
    if isinstance(stage, Prune) and isinstance(mate, Prune):
        genes |= {"keep": _mixed(rng, stage.keep, mate.keep), "scope": stage.scope}
    if isinstance(stage, Pick) and isinstance(mate, Pick):
        genes["keep"] = _mixed(rng, stage.keep, mate.keep)
        genes["bits"] = _mixed(rng, stage.bits, mate.bits)
    if isinstance(stage, Distill) and isinstance(mate, Distill):
        widths = rng.choice((stage, mate))
        genes |= {"width": widths.width, "keep": widths.keep}
        if len(stage.keep) == len(mate.keep) > 1:
            genes["keep"] = _mixed(rng, stage.keep, mate.keep)
    return replace(stage, **genes)


def _mixed(rng: Random, genes: tuple[_Gene, ...], other: tuple[_Gene, ...]) -> tuple[_Gene, ...]:
    """`genes` with those of `other` in some places, if there are as many."""
    if not len(genes) == len(other) > 1:
        return genes
    return tuple(map(rng.choice, zip(genes, other, strict=True)))
