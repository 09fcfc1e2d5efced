"""The canonical form of genomes: genes without effect are set to their defaults.

Genomes of equal networks then have equal keys, so that a search does not try a network twice, and
equal seeds, because the seed of a stage is a hash of the stages up to it.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from compress.genome import (
    Distill,
    Elastic,
    Genome,
    Pattern,
    Pick,
    Prune,
    Quantize,
    Sparsify,
    Stage,
)

_PATTERN_SHARES: dict[Pattern, float] = {"1:4": 0.75, "2:4": 0.5}


def canonical(genome: Genome) -> Genome:
    """The canonical genome of the same network.

    The default `Quantize` is appended to a genome without one, which is lowered with it. Stages
    that change nothing are removed, among them a `Quantize` that another one replaces before
    anything is trained under it.
    """
    stages = [_without_idle_rate(_without_idle_genes(stage)) for stage in genome.stages]
    if not any(isinstance(stage, Quantize) for stage in stages):
        stages.append(Quantize())
    if not any(isinstance(stage, Pick) and stage.bits for stage in stages):
        stages = [_without_idle_steps(stage) for stage in stages]
    kept = [stage for i, stage in enumerate(stages) if not _idle(stage, stages[i + 1 :])]
    return Genome(
        tuple(
            replace(stage, learn_ranges=False)
            if isinstance(stage, Quantize) and not _trained_under(stage, kept[i + 1 :])
            else stage
            for i, stage in enumerate(kept)
        )
    )


def _without_idle_rate(stage: Stage) -> Stage:
    """The stage with the default learning rate if it does not train."""
    if stage.epochs > 0:
        return stage
    return replace(stage, rate=Quantize().rate if isinstance(stage, Quantize) else 1.0)


def _without_idle_genes(stage: Stage) -> Stage:
    """The stage with the default for each gene that has no effect beside its other genes."""
    match stage:
        case Prune():
            return _prune(stage)
        case Sparsify():
            share = _PATTERN_SHARES.get(stage.pattern, stage.share)
            scope = stage.scope if stage.pattern == "element" else "layer"
            rounds = _rounds(stage) if stage.pattern == "element" else 1
            return replace(stage, share=share, scope=scope, rounds=rounds)
        case Quantize():
            defaults = Quantize()
            percentile = stage.calibration == "percentile"
            return replace(
                stage,
                weight_bits=_shortest(stage.weight_bits),
                activation_bits=_shortest(stage.activation_bits),
                percentile=stage.percentile if percentile else defaults.percentile,
            )
        case Distill():
            return _distill(stage)
        case Elastic():
            return _elastic(stage)
        case Pick():
            drop = tuple(sorted(set(stage.drop)))
            return replace(stage, drop=drop, bits=_shortest(stage.bits))


def _prune(stage: Prune) -> Prune:
    """Equal ratios become scope "uniform"; "sensitivity" ranks like "l2" within a group."""
    keep, scope, criterion = stage.keep, stage.scope, stage.criterion
    if scope != "group":
        keep = (fmean(keep),) if len(keep) > 1 else keep
    elif len(set(keep)) == 1:
        keep, scope = keep[:1], "uniform"
    if max(keep) == min(keep) == 1.0:
        scope, criterion = "uniform", "l2"
    if criterion == "sensitivity" and scope != "global":
        criterion = "l2"
    drop = tuple(sorted(set(stage.drop)))
    rounds = _rounds(stage) if min(keep) < 1.0 else 1
    return replace(stage, keep=keep, scope=scope, criterion=criterion, drop=drop, rounds=rounds)


def _distill(stage: Distill) -> Distill:
    """Parameters of loss terms with weight 0 are set to their defaults, the unused teacher too.

    Equal ratios of the groups become the `width` that means the same.
    """
    defaults = Distill()
    if stage.keep:
        alike = len(set(stage.keep)) == 1
        width, keep = (stage.keep[0], ()) if alike else (defaults.width, stage.keep)
        stage = replace(stage, width=width, keep=keep)
    if stage.features == "none":
        stage = replace(stage, feature_weight=defaults.feature_weight)
        if stage.weight == 0.0:
            stage = replace(stage, teacher=defaults.teacher)
    if stage.weight == 0.0:
        stage = replace(stage, temperature=defaults.temperature)
    return stage


def _elastic(stage: Elastic) -> Elastic:
    """Without a teacher's say there is no T.

    Without training an `Elastic` only sorts channels, and chooses step sizes for its bits.
    """
    defaults = Elastic()
    stage = replace(stage, bits=tuple(sorted(set(stage.bits), reverse=True)))
    if stage.epochs == 0:
        return replace(defaults, epochs=0, bits=stage.bits)
    if stage.weight == 0.0:
        return replace(stage, temperature=defaults.temperature)
    return stage


def _without_idle_steps(stage: Stage) -> Stage:
    """An untrained `Elastic` without its bits, whose step sizes no `Pick` takes."""
    return replace(stage, bits=()) if isinstance(stage, Elastic) and stage.epochs == 0 else stage


def _rounds(stage: Prune | Sparsify) -> int:
    return stage.rounds if stage.epochs > 0 else 1


def _shortest(bits: tuple[int, ...]) -> tuple[int, ...]:
    return bits[:1] if len(set(bits)) == 1 else bits


def _idle(stage: Stage, later: Sequence[Stage]) -> bool:
    """True if `stage`, followed by `later`, has no effect on the network."""
    match stage:
        case Prune():
            unchanged = min(stage.keep) == 1.0 and not stage.drop and not stage.reestimate
            return unchanged and stage.epochs == 0
        case Sparsify():
            return stage.share == 0.0 and stage.epochs == 0
        case Quantize():
            replaced = next((s for s in later if isinstance(s, Quantize) or s.epochs > 0), None)
            return stage.epochs == 0 and isinstance(replaced, Quantize) and not stage.equalize
        case Distill():
            shape = (stage.narrowest, stage.depth, stage.kernel, stage.separable, stage.fresh)
            return stage.epochs == 0 and shape == (1.0, 1.0, 0, False, False)
        case Elastic():
            return stage.epochs == 0 and not any(isinstance(s, Pick) for s in later)
        case Pick():
            return False  # it estimates batch-norm statistics again


def _trained_under(stage: Quantize, later: Sequence[Stage]) -> bool:
    """True if a stage trains before the scheme is replaced or the genome ends."""
    if stage.epochs > 0:
        return True
    for following in later:
        if isinstance(following, Quantize):
            return False
        if following.epochs > 0:
            return True
    return False
