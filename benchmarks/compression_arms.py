"""What `compression.py` compares: every method alone, combinations, orders; and what it asks."""

from dataclasses import dataclass, replace
from typing import Literal

from compress.genome import Distill, Genome, Prune, Quantize, Sparsify, Stage

_INT8 = Quantize()
_INT4 = Quantize((4,), weight_range="mse")
_INT4_LEARNED = replace(_INT4, learn_ranges=True)
_SECOND = 0.3  # of the learning rate, for training that follows other training
_ROUNDED = replace(_INT4, rounding="adaround")


@dataclass(frozen=True, slots=True)
class Arm:
    """A genome under a name. Trained arms all train for the same number of epochs."""

    name: str
    family: str
    genome: Genome


@dataclass(frozen=True, slots=True)
class Question:
    """Does `arm` do better than `than`, everything else being equal?"""

    text: str
    arm: str
    than: str


def arms(budget: int, pointwise: tuple[bool, ...]) -> tuple[Arm, ...]:
    """All arms; the trained ones have `budget` epochs (a multiple of 6).

    `pointwise` says of each weighted layer whether its kernel is 1x1: those hold most weights.
    """
    if budget % 6:
        raise ValueError(f"a budget of {budget} epochs: must be a multiple of 6")
    half, third = budget // 2, budget // 3
    mixed = tuple(4 if is_pointwise else 8 for is_pointwise in pointwise)
    families: dict[str, dict[str, tuple[Stage, ...]]] = {
        "quantization, untrained": {
            "int8": (_INT8,),
            "int8, symmetric activations": (Quantize(symmetric=True),),
            "int8, activations by MSE": (Quantize(calibration="mse"),),
            "int8, activations by KL": (Quantize(calibration="kl"),),
            "int8, per tensor": (Quantize(granularity="tensor"),),
            "int8, per tensor, equalized": (Quantize(granularity="tensor", equalize=True),),
            "int8 weights, int16 activations": (Quantize(activation_bits=(16,)),),
            "int4, largest weight": (Quantize((4,)),),
            "int4, MSE": (_INT4,),
            "int4, MSE, bias corrected": (replace(_INT4, correct_bias=True),),
            "int4, AdaRound": (_ROUNDED,),
            "int4, AdaRound, bias corrected": (replace(_ROUNDED, correct_bias=True),),
            "int2, AdaRound": (replace(_ROUNDED, weight_bits=(2,)),),
        },
        "quantization, trained": {
            "int8, trained on as float": (replace(_plain(budget), rate=0.1), _INT8),
            "int8 QAT": (replace(_INT8, epochs=budget),),
            "int4 QAT": (replace(_INT4, epochs=budget),),
            "int4 LSQ": (replace(_INT4_LEARNED, epochs=budget),),
            "int4 LSQ, distilled": (_INT4_LEARNED, Distill(epochs=budget, rate=0.1)),
            "int4 1x1 layers, int8 others, LSQ": (
                replace(_INT4_LEARNED, weight_bits=mixed, epochs=budget),
            ),
            "int2 LSQ": (replace(_INT4_LEARNED, weight_bits=(2,), epochs=budget),),
        },
        "structured pruning, int8": {
            "half the channels, untrained": (_half(0), _INT8),
            "half the channels, untrained, re-estimated": (
                replace(_half(0), reestimate=True),
                _INT8,
            ),
            "half the channels": (_half(budget), _INT8),
            "half the channels, Taylor": (replace(_half(budget), criterion="taylor"), _INT8),
            "half the channels, APoZ": (replace(_half(budget), criterion="apoz"), _INT8),
            "half the channels, batch-norm scale": (
                replace(_half(budget), criterion="batch_norm"),
                _INT8,
            ),
            "half the channels, global": (replace(_half(budget), scope="global"), _INT8),
            "half the channels, 3 rounds": (replace(_half(budget), rounds=3), _INT8),
            "two blocks dropped": (
                Prune((1.0,), scope="uniform", drop=(1, 2), epochs=budget),
                _INT8,
            ),
        },
        "unstructured pruning, int8": {
            "80 % zeros": (Sparsify(0.8, epochs=budget), _INT8),
            "80 % zeros, global": (Sparsify(0.8, scope="global", epochs=budget), _INT8),
            "80 % zeros, 3 rounds": (Sparsify(0.8, rounds=3, epochs=budget), _INT8),
            "2:4 zeros": (Sparsify(0.5, "2:4", epochs=budget), _INT8),
        },
        "half-width students, int8": {
            "from scratch": (_student(budget, weight=0.0), _INT8),
            "distilled, fresh": (_student(budget), _INT8),
            "distilled, fresh, hints": (_student(budget, features="hints"), _INT8),
            "distilled, fresh, attention": (_student(budget, features="attention"), _INT8),
            "distilled, inherited": (_student(budget, fresh=False), _INT8),
        },
        "orders, half the channels, int8": {
            "P, Q, then labels": (_half(half), _INT8, replace(_plain(half), rate=_SECOND)),
            "P, Q, D from the original": (_half(half), _INT8, _lesson(half)),
            "P, Q, D from the compressed": (
                _half(half),
                _INT8,
                _lesson(half, "compressed"),
            ),
            "P, Q, D from both": (_half(half), _INT8, _lesson(half, "both")),
            "P, D, Q": (_half(half), _lesson(half), _INT8),
            "D, P, Q": (
                Distill(width=0.75, epochs=half),
                Prune((2 / 3,), scope="uniform", epochs=half, rate=_SECOND),
                _INT8,
            ),
        },
        "combinations": {
            "half the channels, int4 LSQ": (_half(half), replace(_INT4_LEARNED, epochs=half)),
            "half the channels, int4 LSQ, distilled": (
                _half(half),
                _INT4_LEARNED,
                Distill(epochs=half, rate=0.1),
            ),
            "half the channels, int4 AdaRound": (_half(budget), _ROUNDED),
            "three quarters of the channels, int4 LSQ": (
                Prune((0.75,), scope="uniform", epochs=half),
                replace(_INT4_LEARNED, epochs=half),
            ),
            "50 % zeros, int4 LSQ": (
                Sparsify(0.5, epochs=half),
                replace(_INT4_LEARNED, epochs=half),
            ),
            "80 % zeros, int4 LSQ": (
                Sparsify(0.8, epochs=half),
                replace(_INT4_LEARNED, epochs=half),
            ),
            "half the channels, 50 % zeros, int4 LSQ": (
                _half(third),
                Sparsify(0.5, epochs=third),
                replace(_INT4_LEARNED, epochs=third),
            ),
        },
    }
    made = tuple(
        Arm(name, family, Genome(stages))
        for family, named in families.items()
        for name, stages in named.items()
    )
    for arm in made:
        epochs = sum(stage.epochs for stage in arm.genome.stages)
        if epochs not in (0, budget):
            raise ValueError(f"{arm.name}: {epochs} epochs, the budget is {budget}")
    return made


QUESTIONS = (
    Question("symmetric instead of asymmetric activations", "int8, symmetric activations", "int8"),
    Question("activation ranges by MSE instead of min/max", "int8, activations by MSE", "int8"),
    Question("activation ranges by KL instead of min/max", "int8, activations by KL", "int8"),
    Question("int16 activations", "int8 weights, int16 activations", "int8"),
    Question("a scale per channel", "int8", "int8, per tensor"),
    Question(
        "equalization where scales are per tensor",
        "int8, per tensor, equalized",
        "int8, per tensor",
    ),
    Question("weight scales by MSE at 4 bits", "int4, MSE", "int4, largest weight"),
    Question("bias correction at 4 bits", "int4, MSE, bias corrected", "int4, MSE"),
    Question("AdaRound at 4 bits", "int4, AdaRound", "int4, MSE"),
    Question("QAT at 8 bits", "int8 QAT", "int8, trained on as float"),
    Question("QAT at 4 bits", "int4 QAT", "int4, MSE"),
    Question("learned ranges in QAT at 4 bits", "int4 LSQ", "int4 QAT"),
    Question("distilling during 4-bit QAT", "int4 LSQ, distilled", "int4 LSQ"),
    Question("4-bit QAT instead of AdaRound", "int4 LSQ", "int4, AdaRound"),
    Question(
        "batch-norm re-estimation after pruning",
        "half the channels, untrained, re-estimated",
        "half the channels, untrained",
    ),
    Question("Taylor instead of L2", "half the channels, Taylor", "half the channels"),
    Question("APoZ instead of L2", "half the channels, APoZ", "half the channels"),
    Question(
        "batch-norm scale instead of L2", "half the channels, batch-norm scale", "half the channels"
    ),
    Question("global instead of uniform ranking", "half the channels, global", "half the channels"),
    Question(
        "three rounds instead of one shot", "half the channels, 3 rounds", "half the channels"
    ),
    Question("pruning instead of the same size from scratch", "half the channels", "from scratch"),
    Question("gradual instead of one-shot zeros", "80 % zeros, 3 rounds", "80 % zeros"),
    Question("global instead of layer-wise zeros", "80 % zeros, global", "80 % zeros"),
    Question("distilling a fresh student", "distilled, fresh", "from scratch"),
    Question("hints beside logits", "distilled, fresh, hints", "distilled, fresh"),
    Question("attention maps beside logits", "distilled, fresh, attention", "distilled, fresh"),
    Question("inheriting weights", "distilled, inherited", "distilled, fresh"),
    Question(
        "the original as teacher after P, Q", "P, Q, D from the original", "P, Q, then labels"
    ),
    Question(
        "the compressed network as teacher after P, Q",
        "P, Q, D from the compressed",
        "P, Q, then labels",
    ),
    Question(
        "the compressed network instead of the original as teacher",
        "P, Q, D from the compressed",
        "P, Q, D from the original",
    ),
    Question(
        "both teachers instead of the original", "P, Q, D from both", "P, Q, D from the original"
    ),
    Question("P, D, Q instead of P, Q, D", "P, D, Q", "P, Q, D from the original"),
    Question("D, P, Q instead of P, Q, D", "D, P, Q", "P, Q, D from the original"),
    Question(
        "distilling a pruned 4-bit network",
        "half the channels, int4 LSQ, distilled",
        "half the channels, int4 LSQ",
    ),
)


def _plain(epochs: int) -> Distill:
    """Training on labels alone, in the same shape."""
    return Distill(weight=0.0, epochs=epochs)


def _lesson(
    epochs: int, teacher: Literal["original", "compressed", "both"] = "original"
) -> Distill:
    """What comes after pruning, without starting over: at a lower learning rate."""
    return Distill(teacher, epochs=epochs, rate=_SECOND)


def _half(epochs: int) -> Prune:
    return Prune((0.5,), scope="uniform", epochs=epochs)


def _student(epochs: int, **genes: object) -> Distill:
    return replace(Distill(width=0.5, fresh=True, epochs=epochs), **genes)  # type: ignore[arg-type]
