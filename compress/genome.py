"""Genomes: the compression methods applied to a network, their parameters and their order.

A genome is a tuple of stages. A stage is a frozen value without behavior; the module named in its
docstring carries it out. Every stage may train: for `epochs` of the task's fine-tuning, at `rate`
times its learning rate. A network carries its quantization scheme: `Quantize` sets it, later
stages train with fake quantization under it, and whatever the order, the pipeline ends by lowering
with it.

In short (`Genome.order`) stages are their initials: P, S, Q, D, E for `Elastic` and I for `Pick`. A
`Pick` right after its `Elastic` is not written, since the two are one method: E-Pick-Q-D is "EQD",
E-Q-Pick-D is "EQID".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from compress.errors import UserError

Criterion = Literal["l1", "l2", "batch_norm", "activation", "apoz", "taylor", "sensitivity"]
Scope = Literal["group", "uniform", "global"]
Pattern = Literal["element", "1:4", "2:4"]
Granularity = Literal["channel", "tensor"]
Calibration = Literal["minmax", "percentile", "mse", "kl"]
Teacher = Literal["original", "compressed", "both"]
Features = Literal["none", "hints", "attention"]


@dataclass(frozen=True, slots=True)
class Prune:
    """Structured pruning: remove whole blocks and the weakest channels (`compress.pruning.prune`).

    `keep` holds ratios of channels (0 < keep <= 1, rounded to a multiple of 4 channels): one per
    dependency group in scope "group", a single one in scope "uniform" (the same for every group)
    and "global" (of all channels together, ranked across the groups). `drop` holds indices of
    removable blocks (`compress.pruning.blocks`), which are removed first. Channels are removed in
    `rounds` steps, each followed by an equal share of `epochs` of fine-tuning; with `reestimate`
    the batch-norm statistics are estimated again after each step.
    """

    keep: tuple[float, ...]
    criterion: Criterion = "l2"
    scope: Scope = "group"
    drop: tuple[int, ...] = ()
    rounds: int = 1
    reestimate: bool = False
    epochs: float = 1
    rate: float = 1.0


@dataclass(frozen=True, slots=True)
class Sparsify:
    """Unstructured pruning (`compress.pruning.sparsify`): fix the smallest weights at zero.

    Pattern "element" zeroes a `share` (0 <= share < 1) of the weights of each layer, or of all
    layers together in scope "global"; pattern "n:m" zeroes all but the n largest of every m
    consecutive weights, and `share` is then 1 - n/m. Zeros are set in `rounds` steps, each followed
    by an equal share of `epochs` of fine-tuning.
    """

    share: float = 0.5
    pattern: Pattern = "element"
    scope: Literal["layer", "global"] = "layer"
    rounds: int = 1
    epochs: float = 1
    rate: float = 1.0


@dataclass(frozen=True, slots=True)
class Quantize:
    """The integer scheme that the network is lowered with (`compress.quantization.scheme`).

    `weight_bits` (8, 4, 2) and `activation_bits` (8, 16) hold one width for all layers, or one per
    weighted layer of the original network in the order of execution. Weights are symmetric, with a
    scale per output channel or per tensor; activations are asymmetric unless `symmetric`.
    `calibration` is the method that chooses activation ranges, `percentile` the percentage of
    values that "percentile" covers. `weight_range` sets a weight scale by the largest weight or by
    the least squared error. `equalize`, `correct_bias` and `rounding` are cross-layer equalization,
    bias correction and AdaRound of arXiv:2106.08295. `learn_ranges` trains the ranges along with
    the weights (LSQ, arXiv:1902.08153), in this stage and later ones. `epochs` of
    quantization-aware training follow, by default at a tenth of the learning rate, as in the LSQ
    paper.
    """

    weight_bits: tuple[int, ...] = (8,)
    activation_bits: tuple[int, ...] = (8,)
    granularity: Granularity = "channel"
    symmetric: bool = False
    calibration: Calibration = "minmax"
    percentile: float = 99.99
    weight_range: Literal["max", "mse"] = "max"
    equalize: bool = False
    correct_bias: bool = False
    rounding: Literal["nearest", "adaround"] = "nearest"
    learn_ranges: bool = False
    epochs: float = 0
    rate: float = 0.1


@dataclass(frozen=True, slots=True)
class Distill:
    """Knowledge distillation into a student (`compress.distillation`; arXiv:1503.02531).

    Loss = (1 - weight) * cross entropy + weight * temperature**2 * KL(teacher || student), plus
    `feature_weight` times the distance of intermediate features: "hints" (FitNets,
    arXiv:1412.6550) or "attention" maps (arXiv:1612.03928). The teacher is the original network,
    the network as compressed so far, or the mean of both. The student is a copy of the network as
    compressed so far, with every group narrowed to the share `width` of its channels, or, if there
    are any, to its own share of `keep` (one per dependency group, as in `Prune`), the share `depth`
    of its removable blocks, square kernels of size `kernel` (0: unchanged), and, if
    `separable`, full convolutions replaced by depthwise-separable ones. It inherits the weights
    that fit, or starts from `fresh` ones. Weight 0 with fresh weights is training from scratch.
    """

    teacher: Teacher = "original"
    temperature: float = 4.0
    weight: float = 0.5
    features: Features = "none"
    feature_weight: float = 1.0
    width: float = 1.0
    keep: tuple[float, ...] = ()
    depth: float = 1.0
    kernel: int = 0
    separable: bool = False
    fresh: bool = False
    epochs: float = 1
    rate: float = 1.0

    @property
    def narrowest(self) -> float:
        """The smallest share of a group's channels that the student has."""
        return min(self.keep, default=self.width)

    @property
    def reshapes(self) -> bool:
        """True if layers of the student get new weights, not a selection of the former ones."""
        return self.fresh or self.separable or self.kernel > 0


@dataclass(frozen=True, slots=True)
class Elastic:
    """One network trained for many widths: any `Pick` of it works at once (`compress.elastic`).

    The channels of each dependency group are sorted by importance (l2, the most important first),
    which changes nothing but their order. Then all sub-networks that have the first channels of
    each group, at least the share `narrowest` of them (a multiple of 4 channels), are trained
    together: each step sums the gradients of the widest, the narrowest and two random ones
    (sandwich rule, arXiv:1903.05134), with distillation from the original's outputs as in
    `Distill`, by `temperature` and `weight`. With `depth`, random sub-networks also leave out
    blocks whose input and output have the same channels, as residual units. With `bits` (of 8, 4
    and 2), the weights are trained at all of these widths, each with step sizes of its own (LSQ):
    the widest sub-network at the most bits, the narrowest at the fewest, random ones at random bits
    for each layer.
    """

    narrowest: float = 0.25
    temperature: float = 4.0
    weight: float = 0.5
    depth: bool = False
    bits: tuple[int, ...] = ()
    epochs: float = 16
    rate: float = 1.0


@dataclass(frozen=True, slots=True)
class Pick:
    """A sub-network of the network that `Elastic` trained: the first channels of each group.

    `keep` holds one ratio of the present channels for each dependency group of the original,
    rounded as in `Prune`; `drop` holds indices of removable blocks, as in `Prune`. `bits`, of those
    that `Elastic` was trained for, are the widths of the weights, as `Quantize.weight_bits`: a
    `Quantize` with the same bits starts from the step sizes that were trained. Batch-norm
    statistics are estimated again, with weights at these bits; weights themselves stay float. A
    pick does not train: `epochs` and `rate` have no other value.
    """

    keep: tuple[float, ...] = ()
    drop: tuple[int, ...] = ()
    bits: tuple[int, ...] = ()
    epochs: float = 0
    rate: float = 1.0

    def __post_init__(self) -> None:
        if self.epochs != 0 or self.rate != 1.0:
            raise UserError(
                f"genome stage pick: epochs {self.epochs}, rate {self.rate}: a pick does not "
                "train, allowed are 0 and 1.0"
            )


Stage = Prune | Sparsify | Quantize | Distill | Elastic | Pick
_STAGES: dict[str, Callable[..., Stage]] = {
    "prune": Prune,
    "sparsify": Sparsify,
    "quantize": Quantize,
    "distill": Distill,
    "elastic": Elastic,
    "pick": Pick,
}
# Genes that stages got after stores and logs held keys of genomes, with the value without effect.
_LATER: dict[str, object] = {"keep": (), "bits": ()}


def _genes(stage: Stage) -> dict[str, Any]:
    return {name: value for name, value in asdict(stage).items() if _LATER.get(name) != value}


def _check_literals(stage: Stage) -> None:
    """Check the genes of type `Literal`. Raises UserError for a value that is not allowed."""
    for gene, known in get_type_hints(type(stage)).items():
        value = getattr(stage, gene)
        if get_origin(known) is Literal and value not in get_args(known):
            kind = type(stage).__name__.lower()
            allowed = ", ".join(map(str, get_args(known)))
            raise UserError(f"genome stage {kind}: {gene} {value!r}, allowed are {allowed}")


@dataclass(frozen=True, slots=True)
class Genome:
    """A point of the search space: stages in the order in which they are applied."""

    stages: tuple[Stage, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """The stages as dicts of JSON values, each with the name of its kind as "stage".

        A gene of `_LATER` is left out where it has no effect, so that genomes keep their keys.
        """
        return [{"stage": type(s).__name__.lower(), **_genes(s)} for s in self.stages]

    @classmethod
    def from_json(cls, stages: list[dict[str, Any]]) -> Genome:
        """The genome that `to_json` gave `stages` for. Raises UserError for anything else."""
        made: list[Stage] = []
        for fields in stages:
            values = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
            kind = values.pop("stage", None)
            if kind not in _STAGES:
                raise UserError(f"genome stage {kind!r}: allowed are {', '.join(_STAGES)}")
            try:
                stage = _STAGES[kind](**values)
            except TypeError as error:
                raise UserError(f"genome stage {kind}: {error}") from None
            _check_literals(stage)
            made.append(stage)
        return cls(tuple(made))

    def with_effort(self, share: float) -> Genome:
        """The same stages with their epochs multiplied by `share` (0 .. 1).

        The stages up to an `Elastic` that a `Pick` follows keep theirs: that network is trained
        once and all candidates share it, whatever the effort that a candidate of its own gets.
        """
        if share == 1.0:
            return self
        shared = self.stages[: self._shared]
        scaled = (
            stage if isinstance(stage, Pick) else replace(stage, epochs=stage.epochs * share)
            for stage in self.stages[self._shared :]
        )
        return Genome((*shared, *scaled))

    @property
    def untrained(self) -> Genome:
        """The same stages, none of which trains."""
        return Genome(tuple(replace(stage, epochs=0) for stage in self.stages))

    @property
    def _shared(self) -> int:
        """The number of stages up to the last `Elastic` from which a sub-network is picked."""
        picks = [i for i, stage in enumerate(self.stages) if isinstance(stage, Pick)]
        before = self.stages[: picks[-1]] if picks else ()
        return max((i + 1 for i, s in enumerate(before) if isinstance(s, Elastic)), default=0)

    @property
    def epochs(self) -> float:
        """Sum of the epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    @property
    def key(self) -> str:
        """Content hash of `to_json`, the same in every process and on every machine.

        Genomes with the same key are equal. Equal genomes may have two keys, since JSON writes 1
        and 1.0 differently; this stays as it is because stores and logs hold the keys.
        """
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def order(self) -> str:
        """The initials of the stages (P, S, Q, D, E, I), as this module says; '-' for no stage."""
        letters = []
        for before, stage in zip((None, *self.stages), self.stages, strict=False):
            if not isinstance(stage, Pick):
                letters.append(type(stage).__name__[0])
            elif not isinstance(before, Elastic):
                letters.append("I")
        return "".join(letters) or "-"
