"""Genomes: which methods compress a network, with which parameters, in which order.

A genome is a tuple of stages. Each is a frozen value without behavior; what it does is the job of
the module named in its docstring. Every stage may train: for `epochs` of the task's fine-tuning, at
`rate` times its learning rate. A network carries its quantization: `Quantize` sets it, later
stages train under it, and whatever the order, the pipeline ends by lowering with it.
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

    `keep` are ratios of channels (0 < keep <= 1, rounded to a multiple of 4 channels): one per
    dependency group in scope "group", a single one in scope "uniform" (the same for every group)
    and "global" (of all channels together, ranked across the groups). `drop` are indices of
    removable blocks (`compress.pruning.blocks`) that go first. The channels go in `rounds` steps,
    each followed by an equal share of `epochs` of fine-tuning; `reestimate` measures the batch-norm
    statistics anew after each step.
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
    """Unstructured pruning (`compress.pruning.sparsify`): the smallest weights stay zero.

    In pattern "element" `share` (0 <= share < 1) of the weights of each layer, or of all layers
    together in scope "global"; in pattern "n:m" all but the n largest of every m consecutive
    weights, and `share` is 1 - n/m. In `rounds` steps, each followed by an equal share of
    `epochs` of fine-tuning.
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

    `weight_bits` (8, 4, 2) and `activation_bits` (8, 16): one for all layers, or one per weighted
    layer of the original network in the order of execution. Weights are symmetric, with a scale
    per output channel or per tensor; activations asymmetric unless `symmetric`. `calibration` is
    how activation ranges are chosen, `percentile` the share (in percent) that "percentile"
    covers; `weight_range` whether the largest weight or the least squared error sets a weight
    scale. `equalize`, `correct_bias` and `rounding` are those of arXiv:2106.08295. `learn_ranges`
    trains the ranges along with the weights (LSQ, arXiv:1902.08153), here and in later stages;
    `epochs` of quantization-aware training follow at once, by default at a tenth of the learning
    rate, as LSQ's authors do.
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
    `feature_weight` times the distance of inner features: "hints" (FitNets, arXiv:1412.6550) or
    "attention" maps (arXiv:1612.03928). The teacher is the original network, the network as
    compressed so far, or the mean of both. The student is a copy of the network as it stands, with
    every group narrowed to `width`, `depth` of its removable blocks, square kernels of size
    `kernel` (0: as they are), and full convolutions made `separable`; it inherits what fits, or
    starts from `fresh` weights. With weight 0 and fresh weights it is training from scratch.
    """

    teacher: Teacher = "original"
    temperature: float = 4.0
    weight: float = 0.5
    features: Features = "none"
    feature_weight: float = 1.0
    width: float = 1.0
    depth: float = 1.0
    kernel: int = 0
    separable: bool = False
    fresh: bool = False
    epochs: float = 1
    rate: float = 1.0

    @property
    def reshapes(self) -> bool:
        """Whether layers get new weights, instead of some of those that they come from."""
        return self.fresh or self.separable or self.kernel > 0


Stage = Prune | Sparsify | Quantize | Distill
_STAGES: dict[str, Callable[..., Stage]] = {
    "prune": Prune,
    "sparsify": Sparsify,
    "quantize": Quantize,
    "distill": Distill,
}


def _check_words(stage: Stage) -> None:
    """Raises UserError for a word that a gene does not know."""
    for gene, known in get_type_hints(type(stage)).items():
        value = getattr(stage, gene)
        if get_origin(known) is Literal and value not in get_args(known):
            kind = type(stage).__name__.lower()
            allowed = ", ".join(map(str, get_args(known)))
            raise UserError(f"genome stage {kind}: {gene} {value!r}, allowed are {allowed}")


@dataclass(frozen=True, slots=True)
class Genome:
    """One point of the search space: stages in the order in which they are applied."""

    stages: tuple[Stage, ...]

    def to_json(self) -> list[dict[str, Any]]:
        return [{"stage": type(s).__name__.lower(), **asdict(s)} for s in self.stages]

    @classmethod
    def from_json(cls, stages: list[dict[str, Any]]) -> Genome:
        """Inverse of `to_json`. Raises UserError for what is not a genome."""
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
            _check_words(stage)
            made.append(stage)
        return cls(tuple(made))

    def with_effort(self, share: float) -> Genome:
        """The same stages with `share` (0 .. 1) of their training; 1 changes nothing."""
        if share == 1.0:
            return self
        return Genome(tuple(replace(s, epochs=s.epochs * share) for s in self.stages))

    @property
    def epochs(self) -> float:
        """Epochs of training of all stages together."""
        return sum(stage.epochs for stage in self.stages)

    @property
    def key(self) -> str:
        """Content hash of `to_json`, the same in every process and on every machine.

        Genomes of one key are equal. Equal ones may have two keys, since 1 and 1.0 are written
        differently; stores and logs hold the keys, which is why they stay as they are.
        """
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def order(self) -> str:
        """The stages' initials, as in the literature: P, S, Q, D; '-' for none."""
        return "".join(type(s).__name__[0] for s in self.stages) or "-"
