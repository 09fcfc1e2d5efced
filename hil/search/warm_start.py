"""The warm start of the adaptive engine: the baseline, guided genomes, and the fixed recipes.

A quick sensitivity analysis of the trained network measures which dependency groups lose accuracy
when pruned and which layers when quantized to few bits. In the guided genomes, sensitive ones keep
more channels or bits. The warm start is a prior: the search is free to find other genomes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

from compress.genome import Distill, Features, Genome, Prune, Quantize
from compress.pipeline.network import Original
from compress.pipeline.pipeline import compress, evenly_spaced, prefix_cache
from compress.space.canonical import canonical
from compress.space.recipes import baseline, recipes
from compress.space.space import KEEP_RATIOS, STUDENT_LENGTH_FACTOR, nearest_keep_index
from hil.cache import cached

# Validation samples: a loss of five points is visible, and the analysis takes seconds.
SAMPLES = 200
_FILE_NAME = "sensitivity.json"
# Shares of the channels that students and pruned networks keep. Each pair is tried in alternation,
# the more promising pair first (docs/decisions/0020).
_LEVELS = ((0.625, 0.5), (0.75, 0.375))
# The largest loss (share of 1) at which a layer is tried with 2 bits.
_HARMLESS = 0.02


@dataclass(frozen=True, slots=True)
class QuickSensitivity:
    """Accuracy losses (shares of 1) without retraining, with re-estimated batch-norm statistics.

    `groups` has the loss with half the channels of each dependency group, `layers` with 2-bit
    weights in each layer.
    """

    groups: tuple[float, ...]
    layers: tuple[float, ...]


def quick_sensitivity(original: Original, samples: int = SAMPLES) -> QuickSensitivity:
    """Measure the losses on `samples` of the validation split, at most 0.5 s a group or layer."""
    val = evenly_spaced(original.data.val, samples)
    judged = replace(original, data=replace(original.data, val=val))
    groups, layers = len(original.groups), len(original.layers)

    def accuracy(genome: Genome) -> float:
        return compress(genome, judged, fidelity=0.0).accuracy

    def narrowed(group: int) -> Genome:
        keep = tuple(0.5 if i == group else 1.0 for i in range(groups))
        return Genome((Prune(keep, epochs=0), Quantize()))

    def coarser(layer: int) -> Genome:
        bits = tuple(2 if i == layer else 8 for i in range(layers))
        return Genome((Quantize(bits, weight_range="mse"),))

    whole = accuracy(baseline())
    return QuickSensitivity(
        tuple(whole - accuracy(narrowed(i)) for i in range(groups)),
        tuple(whole - accuracy(coarser(i)) for i in range(layers)),
    )


def cached_sensitivity(original: Original) -> QuickSensitivity:
    """The original's `quick_sensitivity`, from the cache if it was measured before."""
    found = json.loads(sensitivity_file(original).read_text())
    return QuickSensitivity(tuple(found["groups"]), tuple(found["layers"]))


def sensitivity_file(original: Original) -> Path:
    """The path of the original's `QuickSensitivity` in the cache, as JSON, measured if missing.

    The values may differ on another machine, where torch may round float sums differently. To
    continue a search that began elsewhere, its file is copied to this path.
    """

    def measure(folder: Path) -> None:
        (folder / _FILE_NAME).write_text(json.dumps(asdict(quick_sensitivity(original))))

    return cached("sensitivity", prefix_cache(original).identity, measure) / _FILE_NAME


def guided_keep(losses: Sequence[float], level: float) -> tuple[float, ...]:
    """Keep ratios of the groups with these losses: `level`, one step more or less at the extremes.

    The third of the groups with the largest losses keeps the next larger ratio of `KEEP_RATIOS`,
    the third with the smallest losses the next smaller one.
    """
    middle = nearest_keep_index(level)
    order = sorted(range(len(losses)), key=lambda i: (losses[i], i))
    third = max(1, len(losses) // 3) if len(losses) > 1 else 0
    steps = dict.fromkeys(order[:third], -1) | dict.fromkeys(order[len(order) - third :], 1)
    last = len(KEEP_RATIOS) - 1
    return tuple(
        KEEP_RATIOS[min(max(middle + steps.get(i, 0), 0), last)] for i in range(len(losses))
    )


def guided_bits(losses: Sequence[float]) -> tuple[int, ...]:
    """Weight bits of the layers with these losses: 2 where the loss is at most 0.02, else 4."""
    # A loss is a difference of two float accuracies: the tolerance keeps rounding from deciding a
    # loss of exactly 0.02, 4 of 200 samples.
    return tuple(2 if loss <= _HARMLESS + 1e-9 else 4 for loss in losses)


def warm_start(
    sensitivity: QuickSensitivity, epochs: float, features: Features = "attention"
) -> tuple[Genome, ...]:
    """The genomes to try first, in order, without repeats; each stage trains for `epochs`.

    `features` are those that students and their teachers are compared by.

    Students of another shape train `STUDENT_LENGTH_FACTOR` times as long.
    """
    four = Quantize((4,), weight_range="mse", learn_ranges=True, epochs=epochs)
    mixed = replace(four, weight_bits=guided_bits(sensitivity.layers))
    polish = Distill(features=features, rate=0.3, epochs=epochs)

    def narrower(level: float) -> tuple[Genome, ...]:
        """Genomes with about `level` of the channels, by distillation, by pruning, or both."""
        student = Distill(features=features, width=level, epochs=STUDENT_LENGTH_FACTOR * epochs)
        keep = guided_keep(sensitivity.groups, level)
        narrow = Prune(keep, "taylor", reestimate=True, epochs=epochs)
        uniform = Prune((level,), scope="uniform", reestimate=True, epochs=epochs)
        return (
            Genome((student, Quantize())),
            Genome((student, four)),
            Genome((narrow, polish, four)),
            Genome((uniform, polish, Quantize())),
            Genome((narrow, four)),
            Genome((narrow, polish, mixed)),
            Genome((uniform, four)),
        )

    made: list[Genome] = [baseline(), Genome((four,))]
    for levels in _LEVELS if sensitivity.groups else ():
        made += chain.from_iterable(zip(*map(narrower, levels), strict=True))
    made += recipes(epochs)
    return tuple(dict.fromkeys(canonical(genome) for genome in made))
