"""A run as a table, one row per trial, and back: the form that outlasts every schema.

The first columns are for people; a trial is read back from those of `_PLAIN` and, as JSON, of
`_AS_JSON`. Finals stand in `<split>_accuracy`, `_correct` and `_total`, the float network's
accuracies in `original_<split>` of every row.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from compress.errors import UserError
from hil.store import Final, Store
from hil.store_merge import Merged, absorb
from hil.table_file import Cell, read_table, write_table
from hil.trial_json import trial_from_json, trial_to_json
from hil.types import Trial

_IDENTITY = ("task", "board", "seed", "board_sha256")
_TEXTS = ("state", "reason", "program_sha256")
_NUMBERS = ("accuracy", "fidelity", "epochs", "violation")
_AS_JSON = ("genome", "measurement", "estimate", "costs", "seconds", "provenance")
_ORIGINAL = "original_"


def export_store(store: Store, path: Path) -> int:
    """Write the run to `path` (`hil.table_file`); return the number of trials.

    Raises UserError for a suffix that names no format, and if the file cannot be written.
    """
    identity = asdict(store.identity)
    trials, finals, originals = store.trials(), store.finals(), store.originals()
    splits = sorted({"test", *(final.split for final in finals)})
    names = sorted({"val", "test", *originals})
    by_trial = {(final.number, final.split): final for final in finals}
    same = {**identity, **{_ORIGINAL + name: originals.get(name) for name in names}}
    rows = []
    for trial in trials:
        results: dict[str, Cell] = {}
        for split in splits:
            results |= _final_cells(split, by_trial.get((trial.number, split)))
        rows.append({**_cells(trial), **results, **same, **_json_cells(trial)})
    columns = [
        *("number", "key", "order", "fidelity", "state", "accuracy", "flash_bytes", "ram_bytes"),
        *("count", "counter", "model_cycles", "epochs", "total_seconds", "reason", "violation"),
        *(cell for split in splits for cell in _final_cells(split, None)),
        *same,
        *("git_sha", "dirty", "program_sha256"),
        *_AS_JSON,
    ]
    write_table(path, columns, rows)
    return len(trials)


def import_rows(store: Store, path: Path) -> int:
    """Add what `export_store` wrote and `store` lacks; return how many trials that were.

    Raises UserError, with nothing added, for a table of another run or one that is damaged.
    """
    return import_table(store, path).added


def import_table(store: Store, path: Path) -> Merged:
    """As `import_rows`, and tells what was known before, and what of that differs."""
    identity = {name: str(value) for name, value in asdict(store.identity).items()}
    trials: list[Trial] = []
    finals: list[Final] = []
    originals: dict[str, float] = {}
    for line, row in enumerate(read_table(path), start=2):
        try:
            _check_identity(row, identity, path)
            trial = _trial(row)
            trials.append(trial)
            finals += _finals(row, trial.number)
            originals |= _originals(row)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path}, row {line}: not a trial as hil exports it: {error}") from None
    numbers = {trial.number for trial in trials}
    proposals = {(trial.genome.key, trial.fidelity) for trial in trials}
    if not len(numbers) == len(proposals) == len(trials):
        raise UserError(f"{path}: a trial is in it twice; export the run anew")
    return absorb(store, trials, finals, originals)


def _cells(trial: Trial) -> dict[str, Cell]:
    measured = trial.measurement
    return {
        "number": trial.number,
        "key": trial.genome.key,
        "order": trial.genome.order,
        **{name: getattr(trial, name) for name in (*_TEXTS, *_NUMBERS)},
        "flash_bytes": measured.flash.total if measured else None,
        "ram_bytes": measured.ram.total if measured else None,
        "count": measured.count if measured else None,
        "counter": measured.counter if measured else None,
        "model_cycles": measured.model_cycles if measured else None,
        "total_seconds": sum(trial.seconds.values()),
        "git_sha": trial.provenance.git_sha,
        "dirty": int(trial.provenance.dirty),
    }


def _json_cells(trial: Trial) -> dict[str, Cell]:
    fields = trial_to_json(trial)
    return {name: json.dumps(fields[name], allow_nan=False) for name in _AS_JSON}


def _final_cells(split: str, final: Final | None) -> dict[str, Cell]:
    return {
        f"{split}_accuracy": final.accuracy if final else None,
        f"{split}_correct": final.correct if final else None,
        f"{split}_total": final.total if final else None,
    }


def _check_identity(row: Mapping[str, str], wanted: Mapping[str, str], path: Path) -> None:
    for name in _IDENTITY:
        if row[name] != wanted[name]:
            raise UserError(
                f"{path} is of a run of {name} {row[name]!r}, not {wanted[name]!r}: "
                f"import it into a run of its own"
            )


def _trial(row: Mapping[str, str]) -> Trial:
    fields = {
        "number": int(row["number"]),
        **{name: row[name] for name in _TEXTS},
        **{name: _number(row[name]) for name in _NUMBERS},
        **{name: json.loads(row[name]) for name in _AS_JSON},
    }
    if fields["state"] not in ("measured", "screened", "infeasible"):
        raise ValueError(f"state {fields['state']!r}")
    if None in (fields["fidelity"], fields["epochs"], fields["violation"]):
        raise ValueError("fidelity, epochs or violation is missing")
    return trial_from_json(fields)


def _finals(row: Mapping[str, str], number: int) -> list[Final]:
    splits = [name.removesuffix("_correct") for name in row if name.endswith("_correct")]
    return [
        Final(
            number=number,
            split=split,
            correct=int(row[f"{split}_correct"]),
            total=int(row[f"{split}_total"]),
            accuracy=float(row[f"{split}_accuracy"]),
        )
        for split in splits
        if row[f"{split}_correct"]
    ]


def _originals(row: Mapping[str, str]) -> dict[str, float]:
    return {
        name.removeprefix(_ORIGINAL): float(cell)
        for name, cell in row.items()
        if name.startswith(_ORIGINAL) and cell
    }


def _number(cell: str) -> float | None:
    if not cell:
        return None
    number = float(cell)
    if not math.isfinite(number):
        raise ValueError(f"{cell} is not finite")
    return number
