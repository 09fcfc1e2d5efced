"""The baseline genome and fixed recipes from the literature."""

from compress.genome import Distill, Genome, Prune, Quantize, Stage
from compress.space.canonical import canonical
from compress.space.space import STUDENT_LENGTH_FACTOR


def baseline() -> Genome:
    """The genome of the plain int8 network: post-training quantization with min/max ranges."""
    return Genome((Quantize(),))


def recipes(epochs: float) -> tuple[Genome, ...]:
    """Fixed recipes with a half and three quarters of the channels; `epochs` of training per stage.

    They are: prune, quantize; distill, quantize; prune, quantize, distill from the compressed
    network; distill, prune, quantize (arXiv:2403.17447); prune, quantize to 4-bit weights. A
    student trains `STUDENT_LENGTH_FACTOR` times as long.
    """
    made: list[tuple[Stage, ...]] = []
    for ratio in (0.75, 0.5):
        p = Prune((ratio,), scope="uniform", epochs=epochs)
        d = Distill(width=ratio, epochs=STUDENT_LENGTH_FACTOR * epochs)
        polish = Distill(teacher="compressed", rate=0.3, epochs=epochs)
        four_bits = Quantize(weight_bits=(4,), weight_range="mse", learn_ranges=True, epochs=epochs)
        made += [(p, Quantize()), (d, Quantize()), (p, Quantize(), polish), (d, p, Quantize())]
        made.append((p, four_bits))
    return tuple(canonical(Genome(stages)) for stages in made)
