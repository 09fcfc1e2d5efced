"""Measure one int8 network on one board, in total and per layer."""

from __future__ import annotations

import shutil
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from compress.errors import OverBudget
from compress.integer.cost import nonzero_weights, total_macs
from compress.metrics.scale import ACCURACY, MetricScale
from compress.pipeline.diagnosis import Remark
from compress.scratch import scratch_folder
from compress.types import Samples
from hil.benchmark.float_models import FloatComparison
from hil.benchmark.front import FrontPoint
from hil.benchmark.mlperf_runner import RunnerTrial
from hil.benchmark.models import BenchmarkModel
from hil.benchmark.samples import scores
from hil.board import without_limits, without_waits
from hil.codegen.arena import alignment_bytes, lower_bound_bytes
from hil.codegen.build import build
from hil.codegen.plan import KernelChoice
from hil.codegen.render import render
from hil.energy.calibration import calibrated
from hil.energy.energy import Energy, inference_energy
from hil.features.measure import FeatureCosts
from hil.files import file_errors
from hil.measure.effort import Effort, Tick, no_tick
from hil.measure.measure import BoardRunner, over_limits
from hil.measure.oracle_check import check_oracle
from hil.measure.profile import measure_layers
from hil.measure.provenance import provenance
from hil.objective.costs import cycles_of, latency_ms
from hil.types import (
    Board,
    Image,
    LayerCount,
    Measurement,
    OracleCheck,
    Plan,
    Provenance,
    Sizes,
)

_LISTED = KernelChoice()


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """The result of one network on one board.

    `measurement` is that of the build without per-layer counters. `counts` holds the median count
    of each repeat. `layers` comes from a second build that reads the counter between layers; it is
    empty if that build does not fit the board. `ram` splits `measurement.ram` by use. `oracle` says
    which oracles the reference was compared with, too. `accuracy` (0..1) is None without labels,
    `energy` is None if the board's power is unknown. `whole_macs` are the MACs before dead channels
    were eliminated, None if that was not asked for; `macs` and all measurements are after the
    elimination. On the whole validation split this network has `val_accuracy`, the float network
    that it was made from `float_accuracy`, as shares of `metric`, None if unknown; `value` is the
    metric of the compared samples in its unit, None if unknown; `others` and `float_others` are
    the other metrics of several outputs on the split, in their units; `remarks` are warnings about
    both.
    `dropped_weights` counts the weights other than zero that went with dead channels, None as
    `whole_macs`. `runner` is the trial of MLPerf Tiny's runner firmware, if that was asked for.
    `front` are the plans between the fastest and that of least RAM, if they were asked for.
    `comparison` is that with the outputs of the float file that the network was made from.
    `features` are the costs of the task's front end, None if it has none.
    """

    model: str
    board: Board
    measurement: Measurement
    counts: tuple[int, ...]
    layers: tuple[LayerCount, ...]
    macs: int
    ram: Sizes
    compared: int
    oracle: OracleCheck
    accuracy: float | None
    energy: Energy | None
    provenance: Provenance
    whole_macs: int | None = None
    dropped_weights: int | None = None
    val_accuracy: float | None = None
    float_accuracy: float | None = None
    remarks: tuple[Remark, ...] = ()
    runner: RunnerTrial | None = None
    metric: MetricScale = ACCURACY
    value: float | None = None
    others: tuple[tuple[str, float], ...] = ()
    float_others: tuple[tuple[str, float], ...] = ()
    comparison: FloatComparison | None = None
    front: tuple[FrontPoint, ...] = ()
    features: FeatureCosts | None = None

    @property
    def latency_ms(self) -> float | None:
        """The time of one inference at `board.time_clock_hz`; None without cycles."""
        return latency_ms(self.cycles, self.board)

    @property
    def cycles(self) -> int | None:
        """Core cycles of one inference, modeled ones with wait states; None if unknown."""
        return cycles_of(self.measurement, self.board)

    @property
    def spread(self) -> float:
        """The relative spread of the repeats' counts: (largest - smallest) / median."""
        return (max(self.counts) - min(self.counts)) / statistics.median(self.counts)


def benchmark(
    model: BenchmarkModel,
    board: Board,
    runner: BoardRunner,
    samples: Samples,
    repeats: int,
    labeled: bool,
    keep: Path | None = None,
    choice: KernelChoice = _LISTED,
    value: float | None = None,
    tick: Tick = no_tick,
) -> BenchmarkResult:
    """Measure `model` on `samples`, `repeats` times, then once more layer by layer.

    The count of a repeat is the median over the samples, which excludes the first inference with
    its cold caches. `labeled` is true if the samples have true labels; `value` is the model's
    metric of the samples' outputs, if it is known. `choice` is how kernels are chosen. The folder
    `keep` gets the C sources and the ELF that were measured, and the .tflite; `tick` the share of
    inferences that have run. Raises OverBudget,
    with the memory and the excess, if the network does not fit; Mismatch if the values of the
    device, the reference and the oracles are not equal bit for bit.
    """
    if not runner.models_waits:
        board = without_waits(board)
    judged = check_oracle(model.tflite, samples)
    plan = choice.plan(model.graph, board)
    with scratch_folder() as folder:
        image = build(render(plan, board), board, folder / "headline")
        effort = Effort(repeats * runner.effort_of(len(samples.labels)), tick)
        effort.ran(0)
        runs = [runner.measure(image, plan, samples, effort) for _ in range(repeats)]
        for run in runs:
            excess, _ = over_limits(run, board)
            if excess:  # the linker cannot check the stack
                raise OverBudget(f"board {board.name}: {excess} (RAM with the measured stack)")
        layers = _layer_counts(plan, board, runner, samples, folder / "layers")
        if keep is not None:
            _keep(model, folder / "headline", keep)
    counts = tuple(run.count for run in runs)
    middle = sorted(runs, key=lambda run: run.count)[len(runs) // 2]
    right = np.mean(scores(model.graph, samples.outputs).argmax(1) == samples.labels)
    return BenchmarkResult(
        model=model.name,
        board=board,
        measurement=replace(
            middle,
            count_min=min(run.count_min for run in runs),
            count_max=max(run.count_max for run in runs),
        ),
        counts=counts,
        layers=layers,
        macs=sum(step.macs for step in plan.steps),
        ram=ram_split(image, plan, middle),
        compared=len(samples.labels),
        oracle=judged,
        accuracy=float(right) if labeled else None,
        energy=inference_energy(
            calibrated(board),
            cycles_of(middle, board),
            cycles_error=middle.model_error or 0.0,
        ),
        provenance=replace(
            provenance(board, 0, choice.saves, choice.kernel_set), oracles=judged.text
        ),
        whole_macs=None if model.whole is None else total_macs(model.whole),
        dropped_weights=None
        if model.whole is None
        else nonzero_weights(model.whole) - nonzero_weights(model.graph),
        val_accuracy=model.accuracy,
        float_accuracy=None if model.diagnosis is None else model.diagnosis.accuracy,
        remarks=model.remarks,
        metric=model.metric,
        value=value,
        others=model.others,
        float_others=() if model.diagnosis is None else model.diagnosis.others,
        comparison=model.comparison,
    )


def _keep(model: BenchmarkModel, built: Path, keep: Path) -> None:
    """Copy what was built to a new folder. Raises UserError if it cannot be written."""
    with file_errors(keep):
        shutil.copytree(built, keep, dirs_exist_ok=True)
        (keep / "model.tflite").write_bytes(model.tflite)


def _layer_counts(
    plan: Plan, board: Board, runner: BoardRunner, samples: Samples, folder: Path
) -> tuple[LayerCount, ...]:
    """The counts per layer; none if the build with counters, which is larger, does not fit."""
    try:
        profile = build(render(plan, board, profile=True), without_limits(board), folder)
    except OverBudget:
        return ()

    def layers(waiting: bool, inferences: int) -> tuple[LayerCount, ...]:
        return runner.run(
            lambda target: measure_layers(target, profile, plan, samples, inferences), waiting
        )

    plain = layers(waiting=False, inferences=1)
    if not runner.models_waits:
        return plain
    waiting = layers(waiting=True, inferences=2)  # the second has warm caches
    return tuple(
        replace(one, wait_cycles=(slow.model_cycles or 0) - (one.model_cycles or 0))
        for one, slow in zip(plain, waiting, strict=True)
    )


def ram_split(image: Image, plan: Plan, measurement: Measurement) -> Sizes:
    """RAM by use, in bytes: activations, input and output, buffers, static data, stack.

    Input and output tensors lie in the arena and share bytes with activations whose lifetimes do
    not overlap. So `arena` is a lower bound for the activations alone, `io` is what input and
    output add to it, `scratch` is what the kernels' scratch buffers add to the peak of all tensors,
    and `expanded` what buffers add to that into which stored weights are expanded.
    """
    graph = plan.graph
    ends = [plan.tensors[index] for index in (*graph.inputs, *graph.outputs)]
    inner = [buffer for buffer in set(plan.tensors.values()) if buffer not in ends]
    apart = lower_bound_bytes(inner, alignment_bytes(image.board)) if inner else 0
    activations = min(apart, plan.tensors_bytes)  # outputs may lie over inputs
    return Sizes(
        {
            "arena": activations,
            "io": plan.tensors_bytes - activations,
            "scratch": plan.kernels_bytes - plan.tensors_bytes,
            "expanded": plan.arena_bytes - plan.kernels_bytes,
            "static": measurement.ram.parts["static"],
            "stack": measurement.ram.parts["stack"],
        }
    )
