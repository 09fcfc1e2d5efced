"""JSON of benchmark results, and the comparison of two. Keys are only added, never renamed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hil.benchmark.benchmark import BenchmarkResult
from hil.comparison.changes import Change, changes
from hil.comparison.figures import COMPARED_COSTS, figures_from_json
from hil.comparison.policy import uniform
from hil.features.words import features_to_json
from hil.types import Sizes


def benchmark_to_json(result: BenchmarkResult) -> dict[str, Any]:
    """The JSON object of `hil bench --json`. Counts that the board does not have are null.

    `latency_ms` is (`model_cycles` + `wait_cycles`) or `dwt_cycles` at `clock_hz`, the clock of
    `part` where an emulated board stands for one. `image_clock_hz` is that of the emulated image.
    """
    measured = result.measurement
    silicon = measured.counter in ("dwt", "systick")
    memory = result.board.memory
    return {
        "model": result.model,
        "board": result.board.name,
        "core": result.board.core,
        "part": None if result.board.part is None else result.board.part.name,
        "clock_hz": result.board.time_clock_hz,
        "image_clock_hz": result.board.clock_hz,
        "bit_exact": True,  # a difference raises Mismatch, so there is no result
        "compared": result.compared,
        "oracle": bool(result.oracle.oracles),
        "oracles": list(result.oracle.oracles),
        "oracle_remarks": list(result.oracle.remarks),  # why others did not judge, and more
        "counter": measured.counter,
        "insn": measured.count if measured.counter == "insn" else None,
        "model_cycles": measured.model_cycles,
        "model_error": measured.model_error,
        "wait_cycles": measured.wait_cycles,
        "flash_timing": memory.flash and asdict(memory.flash),
        "delayed_ram": memory.ram and asdict(memory.ram),
        "memory_timing_source": memory.source or None,
        "dwt_cycles": measured.count if silicon else None,
        "count_min": measured.count_min,
        "count_max": measured.count_max,
        "repeats": list(result.counts),
        "spread": result.spread,
        "latency_ms": result.latency_ms,
        "energy_uj": None if result.energy is None else result.energy.microjoules,
        "energy": None if result.energy is None else asdict(result.energy),
        "macs": result.macs,
        "eliminated_macs": None if result.whole_macs is None else result.whole_macs - result.macs,
        "eliminated_weights": result.dropped_weights,  # other than zero
        "accuracy": result.accuracy,
        "val_accuracy": result.val_accuracy,  # on the whole split; "accuracy" is on `compared`
        "float_accuracy": result.float_accuracy,
        "features": None if result.features is None else features_to_json(result.features),
        "front": [asdict(point) for point in result.front],  # of --front, fastest first
        "mlperf_runner": None
        if result.runner is None
        else {
            "benchmark": result.runner.benchmark.name,
            "samples": result.runner.samples,
            "inferences_per_s": result.runner.inferences_per_s,
            "elf_sha256": result.runner.image.sha256,
        },
        "metric": result.metric.to_json(),
        "value": result.value,  # of the metric, in its unit, on `compared`
        "val_value": _value(result, result.val_accuracy),
        "float_value": _value(result, result.float_accuracy),
        "other_values": dict(result.others),  # of several outputs, on the whole split
        "float_other_values": dict(result.float_others),
        "float_comparison": None if result.comparison is None else asdict(result.comparison),
        "remarks": [asdict(remark) for remark in result.remarks],
        "flash_bytes": _sizes(measured.flash),
        "ram_bytes": _sizes(result.ram),
        "layers": [asdict(layer) for layer in result.layers],
        "provenance": asdict(result.provenance),
    }


def compare_results(old: dict[str, Any], new: dict[str, Any], tolerance: float) -> list[Change]:
    """The change of every cost that both results have; `tolerance` is relative (0.01 is 1 %).

    Results of different compilers compare here. Raises as `hil.comparison.changes.changes`.
    """
    former, latter = figures_from_json("the first", old), figures_from_json("the second", new)
    found = changes(former, latter, uniform(tolerance), across=("compiler",))
    return [one for one in found if one.name in COMPARED_COSTS]


def _value(result: BenchmarkResult, share: float | None) -> float | None:
    return None if share is None else result.metric.value(share)


def _sizes(sizes: Sizes) -> dict[str, int]:
    return {**sizes.parts, "total": sizes.total}
