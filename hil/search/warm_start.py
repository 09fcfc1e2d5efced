"""What a search tries first: the baseline, known recipes, and genomes that sensitivity suggests.

A quick look at the trained network tells which dependency groups and which layers suffer from
being narrowed or coarsened, so that at the same size the sensitive keep more. Priors, not bans:
what is here is tried before anything else, and what is not may still win.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

from compress.genome import Distill, Genome, Prune, Quantize
from compress.pipeline.network import Original
from compress.pipeline.pipeline import compress, evenly, prefix_cache
from compress.space.canonical import canonical
from compress.space.recipes import baseline, recipes
from compress.space.space import KEEP, STUDENT_LENGTHS, nearest_keep
from hil.cache import cached

# Enough to see a loss of five points; the whole look takes seconds.
SAMPLES = 200
_FILE_NAME = "sensitivity.json"
# Channels that students and pruned networks keep: the likeliest pair first, in turn.
_LEVELS = ((0.625, 0.5), (0.75, 0.375))
# Losses (shares of 1) up to which a layer is tried with 2 bits.
_HARMLESS = 0.02


@dataclass(frozen=True, slots=True)
class QuickSensitivity:
    """Accuracy lost (shares of 1) by each group at half its channels, by each layer at 2 bits.

    Untrained, with batch-norm statistics measured anew.
    """

    groups: tuple[float, ...]
    layers: tuple[float, ...]


def quick_sensitivity(original: Original, samples: int = SAMPLES) -> QuickSensitivity:
    """Measured on `samples` of the validation split; half a second a group or layer, or less."""
    val = evenly(original.data.val, samples)
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


def known_sensitivity(original: Original) -> QuickSensitivity:
    """As `quick_sensitivity`, from the cache where this original was looked at before."""
    found = json.loads(sensitivity_file(original).read_text())
    return QuickSensitivity(tuple(found["groups"]), tuple(found["layers"]))


def sensitivity_file(original: Original) -> Path:
    """Where the cache has this original's `QuickSensitivity` as JSON, looked at now if it has not.

    Untrained networks, too, may be rounded differently on another machine: whoever goes on with a
    search that began elsewhere puts here what was seen there.
    """

    def look(folder: Path) -> None:
        (folder / _FILE_NAME).write_text(json.dumps(asdict(quick_sensitivity(original))))

    return cached("sensitivity", prefix_cache(original).identity, look) / _FILE_NAME


def guided_keep(losses: Sequence[float], level: float) -> tuple[float, ...]:
    """Ratios around `level`: a step more for the third that loses most, one less for the least."""
    middle = nearest_keep(level)
    order = sorted(range(len(losses)), key=lambda i: (losses[i], i))
    third = max(1, len(losses) // 3) if len(losses) > 1 else 0
    steps = dict.fromkeys(order[:third], -1) | dict.fromkeys(order[len(order) - third :], 1)
    last = len(KEEP) - 1
    return tuple(KEEP[min(max(middle + steps.get(i, 0), 0), last)] for i in range(len(losses)))


def guided_bits(losses: Sequence[float]) -> tuple[int, ...]:
    """2 bits for layers that hardly notice, 4 for the others."""
    # A difference of two accuracies is rounded: 4 of 200 is not to depend on of which 200.
    return tuple(2 if loss <= _HARMLESS + 1e-9 else 4 for loss in losses)


def warm_start(sensitivity: QuickSensitivity, epochs: float) -> tuple[Genome, ...]:
    """In the order in which they should be tried, `epochs` of training a stage; none twice."""
    four = Quantize((4,), weight_range="mse", learn_ranges=True, epochs=epochs)
    mixed = replace(four, weight_bits=guided_bits(sensitivity.layers))
    polish = Distill(features="attention", rate=0.3, epochs=epochs)

    def narrower(level: float) -> tuple[Genome, ...]:
        """About `level` of the channels, by all means that have worked."""
        student = Distill(features="attention", width=level, epochs=STUDENT_LENGTHS * epochs)
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
