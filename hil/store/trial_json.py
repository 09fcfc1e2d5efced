"""JSON of trials and measurements, for the store's columns and for `--json`.

`from_json(to_json(x)) == x` holds for every value here. Sizes are objects with the bytes of each
part and their `total`, which is dropped again on reading. Keys are only added, never renamed:
scripts rely on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from compress.genome import Genome
from compress.types import StageCost
from hil.figures import HalfFigures, LayerFigures
from hil.types import Estimate, Measurement, Provenance, Sizes, Trial

Json = dict[str, Any]


def sizes_to_json(sizes: Sizes) -> dict[str, int]:
    """The bytes of each part, and their `total`."""
    return {**sizes.parts, "total": sizes.total}


def sizes_from_json(parts: Mapping[str, int]) -> Sizes:
    """The inverse of `sizes_to_json`."""
    return Sizes({part: size for part, size in parts.items() if part != "total"})


def measurement_to_json(measurement: Measurement) -> Json:
    """All fields of a measurement, and the device's accuracy (0..1)."""
    return {
        "counter": measurement.counter,
        "count": measurement.count,
        "count_min": measurement.count_min,
        "count_max": measurement.count_max,
        "flash_bytes": sizes_to_json(measurement.flash),
        "ram_bytes": sizes_to_json(measurement.ram),
        "correct": measurement.correct,
        "total": measurement.total,
        "accuracy": measurement.accuracy,
        "outputs_sha256": measurement.outputs_sha256,
        "model_cycles": measurement.model_cycles,
        "model_error": measurement.model_error,
        "wait_cycles": measurement.wait_cycles,
        "memory_timing": measurement.memory_timing,
        "right_by_class": list(measurement.right),
        "value": measurement.value,
        "other_values": dict(measurement.others),
        "drop_error": measurement.drop_error,
        "halves": [asdict(half) for half in measurement.halves],
        "layers": [asdict(layer) for layer in measurement.layers],
    }


def measurement_from_json(fields: Mapping[str, Any]) -> Measurement:
    """The inverse of `measurement_to_json`.

    Older ones have no modelled cycles, wait states, right answers by class, values, halves or
    layers. Raises KeyError for any other missing field.
    """
    return Measurement(
        counter=fields["counter"],
        count=fields["count"],
        count_min=fields["count_min"],
        count_max=fields["count_max"],
        flash=sizes_from_json(fields["flash_bytes"]),
        ram=sizes_from_json(fields["ram_bytes"]),
        correct=fields["correct"],
        total=fields["total"],
        outputs_sha256=fields["outputs_sha256"],
        model_cycles=fields.get("model_cycles"),
        model_error=fields.get("model_error"),
        wait_cycles=fields.get("wait_cycles"),
        memory_timing=fields.get("memory_timing", ""),
        right=tuple(fields.get("right_by_class", ())),
        value=fields.get("value"),
        others=tuple(fields.get("other_values", {}).items()),
        drop_error=fields.get("drop_error"),
        halves=tuple(HalfFigures(**half) for half in fields.get("halves", ())),
        layers=tuple(LayerFigures(**layer) for layer in fields.get("layers", ())),
    )


def trial_to_json(trial: Trial) -> Json:
    """All fields of a trial, and the genome's `key` and `order`."""
    return {
        "number": trial.number,
        "key": trial.genome.key,
        "order": trial.genome.order,
        "genome": trial.genome.to_json(),
        "state": trial.state,
        "accuracy": trial.accuracy,
        "measurement": trial.measurement and measurement_to_json(trial.measurement),
        "reason": trial.reason,
        "violation": trial.violation,
        "epochs": trial.epochs,
        "seconds": dict(trial.seconds),
        "program_sha256": trial.program_sha256,
        "provenance": asdict(trial.provenance),
        "costs": [asdict(cost) for cost in trial.costs],
        "fidelity": trial.fidelity,
        "estimate": trial.estimate and asdict(trial.estimate),
        "repeat": trial.repeat,
    }


def trial_from_json(fields: Mapping[str, Any]) -> Trial:
    """The inverse of `trial_to_json`.

    Raises KeyError for a missing field, TypeError for an unknown one.
    """
    measurement, estimate = fields["measurement"], fields["estimate"]
    return Trial(
        number=fields["number"],
        genome=Genome.from_json(fields["genome"]),
        state=fields["state"],
        accuracy=fields["accuracy"],
        measurement=None if measurement is None else measurement_from_json(measurement),
        reason=fields["reason"],
        violation=fields["violation"],
        epochs=fields["epochs"],
        seconds=fields["seconds"],
        program_sha256=fields["program_sha256"],
        provenance=Provenance(**fields["provenance"]),
        costs=tuple(StageCost(**cost) for cost in fields["costs"]),
        fidelity=fields["fidelity"],
        estimate=None if estimate is None else Estimate(**estimate),
        repeat=fields.get("repeat", 0),
    )
