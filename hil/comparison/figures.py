"""The figures of one network as `hil compare` compares them, from the JSON that hil writes.

`QUANTITIES` names them as the keys of `hil bench --json` do.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from compress.errors import UserError

_COUNTED = ("insn", "model_cycles", "dwt_cycles")
_COUNTED_OF_PART = ("wait_cycles", "energy_uj")  # comparable only for one part and its memories
_SIZES = ("flash_bytes", "ram_bytes")
COMPARED_COSTS = (*_COUNTED, *_COUNTED_OF_PART, *_SIZES)
# Shares where more is better: on the samples that ran on the device, on the validation split.
ACCURACIES = ("accuracy", "val_accuracy")
# What figures must have in common to be comparable.
SAME = ("board", "counter", "compiler")


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one network.

    `values` has those that are known, by `COMPARED_COSTS` and `ACCURACIES`. `facts` has the texts
    of `SAME`, "" where they are not known. Wait states and energies hold for `timed_by`, accuracies
    for `metric`.
    """

    name: str
    values: Mapping[str, float]
    facts: Mapping[str, str]
    timed_by: Any
    metric: Any


def figures_from_json(name: str, value: object) -> Figures:
    """The figures in a result of `hil bench --json`, in that of a run, or in a trial's JSON.

    Of a run they are those of its chosen network. Raises UserError for anything else.
    """
    if isinstance(value, dict) and "chosen" in value and "front" in value:
        if not isinstance(value["chosen"], dict):
            raise UserError(f"{name}: the run has no chosen network yet; nothing to compare")
        return _of_trial(name, value["chosen"], value.get("metric"))
    if isinstance(value, dict) and isinstance(value.get("measurement"), dict):
        return _of_trial(name, value, None)
    if not is_result(value):
        raise UserError(
            f"{name}: not a result of hil bench --json, hil evolve --json or hil report --json"
        )
    return _of_bench(name, value)


def is_result(value: object) -> TypeGuard[dict[str, Any]]:
    """True if a value read from JSON has the costs that are compared, as numbers."""
    if not isinstance(value, dict):
        return False
    totals = [_total(value.get(size)) for size in _SIZES]
    counts = [value.get(name) for name in (*_COUNTED, *_COUNTED_OF_PART, *ACCURACIES)]
    return all(_is_number(total) for total in totals) and all(
        count is None or _is_number(count) for count in counts
    )


def _total(sizes: object) -> object:
    return sizes.get("total") if isinstance(sizes, dict) else None


def _is_number(value: object) -> bool:
    """True for a finite number that a float can hold."""
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max


def _of_bench(name: str, result: Mapping[str, Any]) -> Figures:
    made = result.get("provenance")
    made = made if isinstance(made, dict) else {}
    numbers = {key: result.get(key) for key in (*_COUNTED, *_COUNTED_OF_PART, *ACCURACIES)}
    sizes = {key: result[key]["total"] for key in _SIZES}
    facts = {"board": result.get("board"), "counter": result.get("counter")}
    return Figures(
        name=name,
        values={key: value for key, value in {**numbers, **sizes}.items() if value is not None},
        facts=_texts({**facts, "compiler": made.get("compiler")}),
        timed_by=[result.get(key) for key in ("part", "clock_hz", "flash_timing", "delayed_ram")],
        metric=result.get("metric"),
    )


def _of_trial(name: str, trial: Mapping[str, Any], metric: Any) -> Figures:
    measured, made = trial.get("measurement"), trial.get("provenance")
    made = made if isinstance(made, dict) else {}
    if not isinstance(measured, dict):
        raise UserError(f"{name}: the trial was not measured; nothing to compare")
    silicon = measured.get("counter") in ("dwt", "systick")
    changed = {
        **{key: measured.get(key) for key in ("model_cycles", "wait_cycles", *_SIZES, "accuracy")},
        "insn": None if silicon else measured.get("count"),
        "dwt_cycles": measured.get("count") if silicon else None,
        "val_accuracy": trial.get("accuracy"),
    }
    if not is_result(changed):
        raise UserError(f"{name}: the figures of its trial are damaged")
    found = _of_bench(name, changed)
    facts = {"counter": measured.get("counter"), **{key: made.get(key) for key in made}}
    facts = {key: facts.get(key) for key in SAME}
    return Figures(name, found.values, _texts(facts), measured.get("memory_timing"), metric)


def _texts(facts: Mapping[str, object]) -> dict[str, str]:
    return {key: "" if value is None else str(value) for key, value in facts.items()}
