"""Genomes that a person would try first: the baseline and the fixed recipes of the literature."""

from compress.genome import Distill, Genome, Prune, Quantize, Stage
from compress.space.canonical import canonical
from compress.space.space import STUDENT_LENGTHS


def baseline() -> Genome:
    """The uncompressed int8 network: quantization alone, min/max ranges."""
    return Genome((Quantize(),))


def recipes(epochs: float) -> tuple[Genome, ...]:
    """Fixed recipes, at half and at three quarters of the channels, `epochs` of training a stage.

    Prune then quantize; distill then quantize; prune, quantize, then distill from the compressed
    network; distill, prune, quantize (arXiv:2403.17447); and the first with 4-bit weights. A
    narrower student trains longer (`compress.space.space`).
    """
    made: list[tuple[Stage, ...]] = []
    for ratio in (0.75, 0.5):
        p = Prune((ratio,), scope="uniform", epochs=epochs)
        d = Distill(width=ratio, epochs=STUDENT_LENGTHS * epochs)
        polish = Distill(teacher="compressed", rate=0.3, epochs=epochs)
        four_bits = Quantize(weight_bits=(4,), weight_range="mse", learn_ranges=True, epochs=epochs)
        made += [(p, Quantize()), (d, Quantize()), (p, Quantize(), polish), (d, p, Quantize())]
        made.append((p, four_bits))
    return tuple(canonical(Genome(stages)) for stages in made)
