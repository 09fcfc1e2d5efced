"""The search space: random genomes, and the variations evolution makes of them.

All randomness comes from the `random.Random` passed in, so that a seed fixes a search. Every
genome made here is in canonical form (`canonical`): equal networks have equal keys.
"""

from dataclasses import dataclass, fields, replace
from random import Random
from typing import Any

from compress.genome import Distill, Genome, Prune, Quantize, Stage
from compress.types import Task

_KEEP = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
_CHOICES: dict[type[Stage], dict[str, tuple[Any, ...]]] = {
    Prune: {"criterion": ("l1", "l2")},
    Quantize: {"calibration": ("minmax", "percentile"), "percentile": (99.99, 99.9, 99.5)},
    Distill: {
        "teacher": ("original", "compressed"),
        "temperature": (2.0, 4.0, 8.0),
        "weight": (0.3, 0.5, 0.7, 0.9),
        "width": (0.5, 0.625, 0.75, 0.875, 1.0),
        "fresh": (False, True),
    },
}


@dataclass(frozen=True, slots=True)
class Space:
    """What may vary for one task: `groups` prunable groups, `epochs` of training per stage."""

    groups: int
    epochs: tuple[int, ...]

    @classmethod
    def of(cls, task: Task, groups: int) -> "Space":
        """One or two times the task's fine-tuning length."""
        return cls(groups, (task.fine_tune.epochs, 2 * task.fine_tune.epochs))


def baseline() -> Genome:
    """The uncompressed int8 network: quantization alone, min/max ranges."""
    return Genome((Quantize(),))


def recipes(space: Space) -> tuple[Genome, ...]:
    """Fixed recipes from the literature, at half and at three quarters of the channels."""
    made: list[tuple[Stage, ...]] = []
    for ratio in (0.75, 0.5):
        p = Prune((ratio,) * space.groups, epochs=space.epochs[-1])
        d = Distill(width=ratio, epochs=space.epochs[-1])
        polish = replace(d, width=1.0, teacher="compressed")
        made += [(p, Quantize()), (d, Quantize()), (p, Quantize(), polish), (d, p, Quantize())]
    return tuple(Genome(stages) for stages in made)


def random_genome(rng: Random, space: Space) -> Genome:
    """Any subset of the stages in any order, each with random parameters."""
    stages = [_random_stage(rng, space, kind) for kind in (Prune, Distill) if rng.random() < 0.7]
    stages.insert(rng.randint(0, len(stages)), _random_stage(rng, space, Quantize))
    rng.shuffle(stages)
    return canonical(Genome(tuple(stages)))


def mutate(rng: Random, space: Space, genome: Genome) -> Genome:
    """Vary one stage, insert a missing one, delete one, or swap two."""
    stages = list(genome.stages)
    present = [type(stage) for stage in stages]
    missing = [kind for kind in (Prune, Quantize, Distill) if kind not in present]
    ways = ["vary"] * 4 + ["insert"] * bool(missing)
    ways += ["delete", "swap"] if len(stages) > 1 else []
    match rng.choice(ways):
        case "vary":
            index = rng.randrange(len(stages))
            stages[index] = _vary(rng, space, stages[index])
        case "insert":
            stage = _random_stage(rng, space, rng.choice(missing))
            stages.insert(rng.randint(0, len(stages)), stage)
        case "delete":
            del stages[rng.randrange(len(stages))]
        case "swap":
            i, j = rng.sample(range(len(stages)), 2)
            stages[i], stages[j] = stages[j], stages[i]
    return canonical(Genome(tuple(stages)))


def crossover(rng: Random, first: Genome, second: Genome) -> tuple[Genome, Genome]:
    """Each child keeps one parent's order; stages both have mix their genes, field by field."""
    return _mix(rng, first, second), _mix(rng, second, first)


def canonical(genome: Genome) -> Genome:
    """The same network in one spelling.

    A genome without `Quantize` is lowered with the default one at the end, so that is written
    out; pruning nothing for no epochs is left out.
    """
    stages = [s for s in genome.stages if not (isinstance(s, Prune) and _idle(s))]
    if not any(isinstance(stage, Quantize) for stage in stages):
        stages.append(Quantize())
    return Genome(tuple(stages))


def _idle(stage: Prune) -> bool:
    return stage.epochs == 0 and min(stage.keep) == 1.0


def _choices(space: Space, kind: type[Stage]) -> dict[str, tuple[Any, ...]]:
    trained: dict[str, tuple[Any, ...]] = {} if kind is Quantize else {"epochs": space.epochs}
    return {**_CHOICES[kind], **trained}


def _random_stage(rng: Random, space: Space, kind: type[Stage]) -> Stage:
    genes = {name: rng.choice(values) for name, values in _choices(space, kind).items()}
    if kind is Prune:
        # Ratios near a common one: independent ones would all lie near the mean.
        center = rng.randrange(len(_KEEP))
        genes["keep"] = tuple(
            _KEEP[_clamp(center + rng.choice((-1, 0, 0, 1)))] for _ in range(space.groups)
        )
    return kind(**genes)


def _vary(rng: Random, space: Space, stage: Stage) -> Stage:
    """One gene drawn anew; of the keep ratios, one or all move a step."""
    choices = _choices(space, type(stage))
    if isinstance(stage, Prune) and rng.random() < 0.75:
        step = rng.choice((-1, 1))
        chosen = range(space.groups) if rng.random() < 0.3 else (rng.randrange(space.groups),)
        moved = [
            _KEEP[_clamp(_nearest(ratio) + step * (i in chosen))]
            for i, ratio in enumerate(stage.keep)
        ]
        return replace(stage, keep=tuple(moved))
    name = rng.choice(sorted(choices))
    others = [value for value in choices[name] if value != getattr(stage, name)]
    return replace(stage, **{name: rng.choice(others)}) if others else stage


def _mix(rng: Random, order: Genome, other: Genome) -> Genome:
    theirs = {type(stage): stage for stage in other.stages}
    stages: list[Stage] = []
    for stage in order.stages:
        mate = theirs.get(type(stage), stage)
        genes: dict[str, Any] = {}
        for gene in fields(stage):
            mine, its = getattr(stage, gene.name), getattr(mate, gene.name)
            if gene.name == "keep":
                genes["keep"] = tuple(rng.choice(pair) for pair in zip(mine, its, strict=True))
            else:
                genes[gene.name] = rng.choice((mine, its))
        stages.append(replace(stage, **genes))
    return canonical(Genome(tuple(stages)))


def _nearest(ratio: float) -> int:
    return min(range(len(_KEEP)), key=lambda i: abs(_KEEP[i] - ratio))


def _clamp(index: int) -> int:
    return min(max(index, 0), len(_KEEP) - 1)
