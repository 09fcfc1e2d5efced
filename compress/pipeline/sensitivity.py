"""The sensitivity of a network to compression, layer by layer.

Each cell of the tables is one genome, compressed and evaluated like any candidate. The first table
narrows a single dependency group, without training but with new batch-norm statistics. The second
sets a single layer's weights to fewer bits. The others show how the kind of pruning changes the
accuracy and the signal-to-quantization-noise ratio (SQNR) of each layer after the same training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from compress.genome import Genome, Prune, Quantize, Sparsify, Stage
from compress.metrics.scale import ACCURACY, MetricScale
from compress.pipeline.diagnose import diagnose
from compress.pipeline.diagnosis import Remark, baseline_remarks, early_remarks
from compress.pipeline.network import Original
from compress.pipeline.pipeline import compress, lower_network, run_stages
from compress.pipeline.prefix_cache import PrefixCache
from compress.quantization.sqnr import layer_sqnr_db
from compress.training.train import Tick
from compress.types import LabeledMatrix, Split

R = TypeVar("R", float, int)

RATIOS = (0.75, 0.5, 0.25)
BITS = (4, 2)
_WIDTHS = (8, 4)
_BITS_NAMES = tuple(f"{width} bit" for width in _WIDTHS)
_KINDS: tuple[tuple[str, tuple[Stage, ...]], ...] = (
    ("unpruned", ()),
    ("half the channels", (Prune((0.5,), scope="uniform", reestimate=True),)),
    ("50 % zeros", (Sparsify(0.5),)),
    ("80 % zeros", (Sparsify(0.8),)),
    ("2:4 zeros", (Sparsify(0.5, "2:4"),)),
)


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The tables of one trained network, by the integer reference.

    Accuracies are the task's `metric` as shares where more is better (`compress.metrics.scale`).

    `baseline` is the accuracy of the plain int8 network on the same number of validation samples,
    `samples`, `float_accuracy` that of the float network; `remarks` are warnings about the two.
    `keep` is accuracy by group and keep ratio, `bits` by layer and weight bits, `pruned` by kind of
    pruning and weight bits; `sqnr_db` holds, for each width of weights in `pruned`, a table of
    decibels by layer and kind of pruning.
    """

    task: str
    seed: int
    samples: int
    baseline: float
    keep: LabeledMatrix
    bits: LabeledMatrix
    pruned: LabeledMatrix
    sqnr_db: tuple[LabeledMatrix, ...]
    float_accuracy: float
    remarks: tuple[Remark, ...] = ()
    metric: MetricScale = ACCURACY


def measure_sensitivity(
    original: Original, samples: int, epochs: int, cache: PrefixCache | None, tick: Tick
) -> Sensitivity:
    """All tables of the original, evaluated on the first `samples` of the validation split.

    The pruned networks are fine-tuned for `epochs`. `tick` is called with the share done, 0..1.
    """
    whole = original.data.val
    val = Split(whole.x[:samples], whole.y[:samples])
    shortened = replace(original, data=replace(original.data, val=val))
    groups, layers = original.groups, original.layers
    total = len(groups) * len(RATIOS) + len(layers) * len(BITS) + len(_WIDTHS) * len(_KINDS)
    done = 0

    def accuracy(*stages: Stage) -> float:
        nonlocal done
        done += 1
        tick(done / total)
        return compress(Genome(stages), shortened, cache).accuracy

    def narrowed(group: int, ratio: float) -> float:
        keep = tuple(ratio if i == group else 1.0 for i in range(len(groups)))
        return accuracy(Prune(keep, reestimate=True, epochs=0), Quantize())

    def quantized(layer: int, bits: int) -> float:
        each = tuple(bits if i == layer else 8 for i in range(len(layers)))
        return accuracy(Quantize(each, weight_range="mse"))

    baseline, diagnosis = compress(Genome((Quantize(),)), shortened), diagnose(shortened)
    title = diagnosis.metric.title
    keep = _grid(f"{title} by keep ratio", groups, RATIOS, narrowed)
    bits = _grid(f"{title} by weight bits", layers, BITS, quantized)
    kinds = tuple(kind for kind, _ in _KINDS)
    sqnr_db: dict[int, list[dict[str, float]]] = {width: [] for width in _WIDTHS}
    accuracies = []
    for _, stages in _KINDS:
        trained = tuple(replace(stage, epochs=epochs) for stage in stages)
        row = []
        for width in _WIDTHS:
            spec = Quantize((width,), weight_range="mse")
            row.append(accuracy(*trained, spec))
            network = run_stages((*trained, spec), shortened, cache).network
            graph = lower_network(network, shortened)
            sqnr_db[width].append(layer_sqnr_db(graph, network.module, shortened.calibration))
        accuracies.append(tuple(row))
    return Sensitivity(
        task=original.task.name,
        seed=original.seed,
        samples=len(val),
        baseline=baseline.accuracy,
        keep=keep,
        bits=bits,
        pruned=LabeledMatrix(
            f"{title} by pruning and weight bits", kinds, _BITS_NAMES, tuple(accuracies)
        ),
        sqnr_db=tuple(
            LabeledMatrix(
                f"SQNR in dB, {width}-bit weights",
                layers,
                kinds,
                tuple(tuple(column.get(layer) for column in columns) for layer in layers),
            )
            for width, columns in sqnr_db.items()
        ),
        float_accuracy=diagnosis.accuracy,
        remarks=early_remarks(diagnosis)
        + baseline_remarks(diagnosis, baseline.right, baseline.accuracy),
        metric=diagnosis.metric,
    )


def _grid(
    title: str, rows: Sequence[str], columns: Sequence[R], value: Callable[[int, R], float]
) -> LabeledMatrix:
    """The table of `value` (of the row's index and the column) for all rows and columns."""
    values = tuple(tuple(value(i, column) for column in columns) for i in range(len(rows)))
    return LabeledMatrix(title, tuple(rows), tuple(map(str, columns)), values)
