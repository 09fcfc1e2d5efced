"""The mapping between genomes and Optuna's parameters, in both directions.

The parameters form a tree: which kinds of stages there are, then their order (one of the
permutations of these kinds), then the genes of each stage. Most genes without effect, given the
values of others (`compress.space.canonical`), are not asked for: a model must not learn from them.
The value of a parameter is an index into its choices: an integer where the choices are
numbers, sorted, since neighbors are alike; categorical otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from typing import Any, Protocol

from compress.genome import Distill, Genome, Prune, Quantize, Sparsify, Stage
from compress.space.canonical import canonical
from compress.space.space import (
    KEEP_RATIOS,
    LAYER_BITS,
    UNIFORM_BITS,
    Space,
    gene_choices,
    stage_kinds,
)

_KINDS: dict[str, type[Stage]] = {
    "prune": Prune,
    "sparsify": Sparsify,
    "quantize": Quantize,
    "distill": Distill,
}
_EACH_LAYER = "each layer"
_EACH_GROUP = "each group"
_Choose = Callable[[str, Sequence[Any]], Any]
_Genes = Mapping[str, Any]

# Genes that have an effect only with certain values of another gene, which is chosen before them.
_NEEDS: dict[str, Callable[[_Genes], bool]] = {
    "sparsify.share": lambda genes: genes["pattern"] == "element",
    "sparsify.scope": lambda genes: genes["pattern"] == "element",
    "sparsify.rounds": lambda genes: genes["pattern"] == "element",
    "quantize.percentile": lambda genes: genes["calibration"] == "percentile",
    "quantize.rate": lambda genes: genes["epochs"] > 0,
    "distill.feature_weight": lambda genes: genes["features"] != "none",
    "distill.width": lambda genes: not genes[_EACH_GROUP],
}


class Suggests(Protocol):
    """The methods of `optuna.Trial` that `suggest` calls."""

    def suggest_int(self, name: str, low: int, high: int) -> int: ...
    def suggest_categorical(self, name: str, choices: Sequence[int]) -> int: ...


def suggest(trial: Suggests, space: Space) -> Genome:
    """The genome of a trial's parameters, in canonical form, each kind of stage at most once."""

    def choose(name: str, choices: Sequence[Any]) -> Any:
        if _are_numbers(choices):
            place = trial.suggest_int(name, 0, len(choices) - 1)
        else:
            place = trial.suggest_categorical(name, tuple(range(len(choices))))
        return choices[place]

    return _chosen(choose, space)


def parameters(genome: Genome, space: Space) -> dict[str, int]:
    """The parameters, index by name, from which `suggest` makes `genome`.

    Raises ValueError for a genome that `suggest` cannot make: one that is not canonical, repeats a
    kind of stage, or has a gene that is not among the space's choices.
    """
    values, places = _values(genome, space), dict[str, int]()

    def choose(name: str, choices: Sequence[Any]) -> Any:
        if values.get(name) not in choices:
            raise ValueError(f"genome {genome.key}: {name} {values.get(name)!r} not in {choices}")
        places[name] = choices.index(values[name])
        return values[name]

    if _chosen(choose, space) != genome:
        raise ValueError(f"genome {genome.key} is not one that parameters can express")
    return places


def _chosen(choose: _Choose, space: Space) -> Genome:
    """The genome whose parameters are the values of `choose(name, choices)`."""
    possible = [kind for kind, stage in _KINDS.items() if stage in stage_kinds(space)]
    kinds = [kind for kind in possible if kind == "quantize" or choose(kind, (False, True))]
    if len(kinds) > 1:
        orders = [" ".join(order) for order in permutations(kinds)]
        kinds = choose(_order(kinds), orders).split()
    return canonical(Genome(tuple(_stage(choose, space, kind) for kind in kinds)))


def _order(kinds: Sequence[str]) -> str:
    return f"order of {' '.join(sorted(kinds))}"


def _stage(choose: _Choose, space: Space, kind: str) -> Stage:
    genes: dict[str, Any] = {}
    choices = gene_choices(space, _KINDS[kind])
    if kind == "distill":
        genes[_EACH_GROUP] = space.groups > 1 and choose(f"distill.{_EACH_GROUP}", (False, True))
    for gene in sorted(choices, key=lambda gene: f"{kind}.{gene}" in _NEEDS):
        name = f"{kind}.{gene}"
        if name in _NEEDS and not _NEEDS[name](genes):
            continue
        distinct = _in_order(choices[gene])
        genes[gene] = choose(name, distinct) if len(distinct) > 1 else distinct[0]
    if kind == "prune":
        parts = range(space.groups) if genes["scope"] == "group" else ("all",)
        ratios = KEEP_RATIOS if space.groups else KEEP_RATIOS[-1:]
        genes["keep"] = tuple(choose(f"prune.keep {part}", ratios) for part in parts)
        genes["drop"] = _drop(choose, space)
    if kind == "quantize":
        genes["weight_bits"] = _weight_bits(choose, space)
    if kind == "distill" and genes.pop(_EACH_GROUP):
        parts = range(space.groups)
        genes["keep"] = tuple(choose(f"distill.keep {part}", KEEP_RATIOS) for part in parts)
    return _KINDS[kind](**genes)


def _drop(choose: _Choose, space: Space) -> tuple[int, ...]:
    """The blocks to drop.

    Most genomes drop none: that is a single parameter, not one for each block.
    """
    if space.blocks == 0 or not choose("prune.drop", (False, True)):
        return ()
    return tuple(b for b in range(space.blocks) if choose(f"prune.drop {b}", (False, True)))


def _weight_bits(choose: _Choose, space: Space) -> tuple[int, ...]:
    bits = choose("quantize.weight_bits", (*UNIFORM_BITS, _EACH_LAYER))
    if bits != _EACH_LAYER:
        return (bits,)
    return tuple(choose(f"quantize.bits {i}", LAYER_BITS) for i in range(space.layers))


def _values(genome: Genome, space: Space) -> dict[str, Any]:
    """The value of every parameter that `_chosen` could ask for, by name."""
    kinds = [type(stage).__name__.lower() for stage in genome.stages]
    values: dict[str, Any] = {kind: kind in kinds for kind in _KINDS}
    values[_order(kinds)] = " ".join(kinds)
    for kind, stage in zip(kinds, genome.stages, strict=True):
        values |= {f"{kind}.{gene}": getattr(stage, gene) for gene in stage.__slots__}
        match stage:
            case Prune():
                values |= {f"prune.keep {i}": ratio for i, ratio in enumerate(stage.keep)}
                values["prune.keep all"] = stage.keep[0]
                values["prune.drop"] = bool(stage.drop)
                values |= {f"prune.drop {b}": b in stage.drop for b in range(space.blocks)}
            case Distill():
                values[f"distill.{_EACH_GROUP}"] = bool(stage.keep)
                values |= {f"distill.keep {i}": ratio for i, ratio in enumerate(stage.keep)}
            case Quantize():
                bits = stage.weight_bits
                alike = len(bits) == 1 and bits[0] in UNIFORM_BITS
                values["quantize.weight_bits"] = bits[0] if alike else _EACH_LAYER
                bits = bits * space.layers if len(bits) == 1 else bits
                values |= {f"quantize.bits {i}": width for i, width in enumerate(bits)}
    return values


def _are_numbers(choices: Sequence[Any]) -> bool:
    return not any(isinstance(choice, bool | str | tuple) for choice in choices)


def _in_order(choices: Sequence[Any]) -> tuple[Any, ...]:
    """The distinct choices; numbers sorted."""
    distinct = tuple(dict.fromkeys(choices))
    return tuple(sorted(distinct)) if _are_numbers(distinct) else distinct
