"""The raw figures of a study as compressed CSV, one row for each trial of each trace."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path

from hil.files import write_file
from hil.objective.costs import costs_of
from hil.study.result import ArmTrace, StudyResult
from hil.types import Trial

_PARTS = ("weights", "model", "kernels", "harness", "libc")
COLUMNS = (
    "arm", "kind", "seed", "step", "number", "key", "order", "fidelity", "state", "accuracy",
    "float_accuracy", "test_accuracy", "float_test_accuracy", "counter", "count", "model_cycles",
    *(f"flash_{part}_bytes" for part in _PARTS), "flash_bytes", "ram_bytes", "energy_uj", "epochs",
    "seconds", "violation", "reason", "genome",
)  # fmt: skip


def write_csv(result: StudyResult, path: Path) -> None:
    """Write one row per trial in the order told; accuracies are shares of 1, unknown cells empty.

    The same study gives the same bytes.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for trace in result.traces:
        writer.writerows(_rows(result, trace))
    write_file(path, gzip.compress(text.getvalue().encode("utf-8"), mtime=0))


def _rows(result: StudyResult, trace: ArmTrace) -> Iterator[dict[str, object]]:
    original = result.originals.get(trace.seed, {})
    for step, trial in enumerate(trace.trials, 1):
        final = result.finals.get(trace.seed, {}).get(trial.number)
        yield {
            "arm": trace.arm,
            "kind": trace.kind,
            "seed": trace.seed,
            "step": step,
            "number": trial.number,
            "key": trial.genome.key,
            "order": trial.genome.order,
            "fidelity": trial.fidelity,
            "state": trial.state,
            "accuracy": trial.accuracy,
            "float_accuracy": original.get("val"),
            "test_accuracy": final and final.accuracy,
            "float_test_accuracy": original.get("test"),
            "epochs": float(trial.epochs),  # may be an int; from a store it is a float
            "seconds": round(sum(trial.seconds.values()), 3),
            "violation": float(trial.violation),
            "reason": trial.reason,
            "genome": json.dumps(trial.genome.to_json(), separators=(",", ":")),
            **_measured(result, trial),
        }


def _measured(result: StudyResult, trial: Trial) -> dict[str, object]:
    measurement = trial.measurement
    if measurement is None:
        return {}
    parts = {f"flash_{part}_bytes": measurement.flash.parts.get(part) for part in _PARTS}
    return {
        "counter": measurement.counter,
        "count": measurement.count,
        "model_cycles": measurement.model_cycles,
        **parts,
        "flash_bytes": measurement.flash.total,
        "ram_bytes": measurement.ram.total,
        "energy_uj": costs_of(measurement, result.board).energy_uj,
    }
