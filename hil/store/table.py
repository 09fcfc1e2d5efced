"""Export of a run to a table with one row per trial, and import: a format for the long term.

The first columns are for people. A trial is read back from the columns `_TEXTS`, `_NUMBERS` and
`_AS_JSON` (cells in JSON). Final figures are in `<split>_accuracy`, `<split>_correct`,
`<split>_total`, `<split>_samples` and `<split>_drop_error`; the original network's accuracies are
in `original_<split>` of every row. Accuracies are shares where more is better of the metric in
`metric`, JSON of `compress.metrics.scale.MetricScale`, empty if it is not known; then it is
accuracy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from compress.errors import UserError
from compress.genome import Genome
from compress.metrics.scale import ACCURACY
from hil.store.merge import MergeResult, merge_trials
from hil.store.run_folder import read_diagnosis
from hil.store.store import Final, RunIdentity, Store, check_same_run
from hil.store.table_file import Cell, read_table, write_table
from hil.store.table_row import Row
from hil.store.trial_json import trial_from_json, trial_to_json
from hil.store.value_types import require_types
from hil.types import Trial

_IDENTITY = ("task", "board", "seed", "board_sha256")
_TEXTS = ("state", "reason", "program_sha256")
_NUMBERS = ("accuracy", "fidelity", "epochs", "violation")
_AS_JSON = ("genome", "measurement", "estimate", "costs", "seconds", "provenance")
_FIGURES = ("measurement", "estimate", "costs", "seconds")
_NEEDED = ("number", *_IDENTITY, *_TEXTS, *_NUMBERS, *_AS_JSON)
_STATES = ("measured", "screened", "infeasible")
IMPORT_ELSEWHERE = "import it into a run of its own"
_ORIGINAL = "original_"
_METRIC = "metric"


def export_store(store: Store, path: Path) -> int:
    """Write the run to `path` (`hil.store.table_file`); return the number of trials.

    Raises UserError for an unknown suffix, and if the file cannot be written.
    """
    identity = asdict(store.identity)
    trials, finals, originals = store.trials(), store.finals(), store.original_accuracies()
    splits = sorted({"test", *(final.split for final in finals)})
    names = sorted({"val", "test", *originals})
    by_trial = {(final.number, final.split): final for final in finals}
    diagnosis = read_diagnosis(store.folder)
    metric = "" if diagnosis is None else json.dumps(diagnosis.metric.to_json())
    found = {_ORIGINAL + name: originals.get(name) for name in names}
    same: dict[str, Cell] = {**identity, **found, _METRIC: metric}
    rows = []
    for trial in trials:
        results: dict[str, Cell] = {}
        for split in splits:
            results |= _final_cells(split, by_trial.get((trial.number, split)))
        rows.append({**_cells(trial), **results, **same, **_json_cells(trial)})
    columns = [
        *("number", "key", "repeat", "order", "fidelity", "state", "accuracy"),
        *("flash_bytes", "ram_bytes"),
        *("count", "counter", "model_cycles", "epochs", "total_seconds", "reason", "violation"),
        *(cell for split in splits for cell in _final_cells(split, None)),
        *same,
        *("git_sha", "dirty", "program_sha256"),
        *_AS_JSON,
    ]
    write_table(path, columns, rows)
    return len(trials)


@dataclass(frozen=True, slots=True)
class RunTable:
    """The content of a table that `export_store` wrote; `identity` is None without any trial."""

    path: Path
    identity: RunIdentity | None
    trials: tuple[Trial, ...]
    finals: tuple[Final, ...]
    originals: Mapping[str, float]


def read_run_table(path: Path) -> RunTable:
    """Read and check a table, row by row.

    Raises UserError if it is not a table of a run; the error names the row and column.
    """
    identity: RunIdentity | None = None
    trials: list[Trial] = []
    finals: list[Final] = []
    originals: dict[str, float] = {}
    for line, cells in enumerate(read_table(path), start=2):
        row = Row(path, line, cells)
        if identity is None:
            _check_columns(row, _NEEDED)
            identity = _identity(row)
        elif _identity(row) != identity:
            raise UserError(f"{path}, row {line}: from another run than the rows before")
        trials.append(_trial(row))
        finals += _finals(row, trials[-1].number)
        originals |= _originals(row)
    numbers = {trial.number for trial in trials}
    proposals = {(trial.genome.key, trial.fidelity, trial.repeat) for trial in trials}
    if not len(numbers) == len(proposals) == len(trials):
        raise UserError(f"{path}: it contains a trial twice; export the run again")
    return RunTable(path, identity, tuple(trials), tuple(finals), originals)


def import_table(store: Store, table: RunTable) -> MergeResult:
    """Add the trials that `store` lacks. Raises UserError, with nothing added, for another run."""
    if table.identity is not None:
        check_same_run(table.path, table.identity, store.identity, IMPORT_ELSEWHERE)
    return merge_trials(store, table.trials, table.finals, table.originals)


def import_file(store: Store, path: Path) -> int:
    """Read a table and add the trials that `store` lacks; return how many. Raises UserError."""
    return import_table(store, read_run_table(path)).added


def _cells(trial: Trial) -> dict[str, Cell]:
    measured = trial.measurement
    return {
        "number": trial.number,
        "key": trial.genome.key,
        "repeat": trial.repeat,
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
        f"{split}_samples": final.samples if final else None,
        f"{split}_drop_error": final.drop_error if final else None,
    }


def _check_columns(row: Row, names: Iterable[str]) -> None:
    missing = [name for name in names if name not in row.cells]
    if missing:
        raise UserError(
            f"{row.path} is not a table of a run: it has no column {', '.join(missing)}; "
            "hil trials export writes such tables"
        )


def _identity(row: Row) -> RunIdentity:
    cells = row.cells
    return RunIdentity(cells["task"], cells["board"], row.whole("seed"), cells["board_sha256"])


def _trial(row: Row) -> Trial:
    state = row.choice("state", _STATES)
    if state == "measured" and row.json("measurement") is None:
        raise row.error("measurement", "a measurement, which a measured trial must have")
    has_accuracy = state != "infeasible" or row.cells["accuracy"] != ""
    fields = {
        "number": row.whole("number"),
        **{name: row.cells[name] for name in _TEXTS},
        "accuracy": _accuracy(row, "accuracy") if has_accuracy else None,
        "fidelity": row.share("fidelity"),
        "epochs": row.number("epochs"),
        "violation": row.number("violation"),
        "repeat": row.whole("repeat") if "repeat" in row.cells else 0,
        **{name: row.figures(name) for name in _FIGURES},
        **{name: row.json(name) for name in ("genome", "provenance")},
    }
    try:
        trial = trial_from_json(fields)
        require_types(trial, skipped=(Genome,))
        _check_counts(trial)
        return trial
    except (ValueError, KeyError, TypeError, AttributeError, UserError) as error:
        raise UserError(
            f"{row.path}, row {row.line}: not a trial as hil trials export writes it: {error}"
        ) from None


def _check_counts(trial: Trial) -> None:
    measured = trial.measurement
    if measured is not None and not 0 <= measured.correct <= measured.total > 0:
        raise ValueError(
            f"measurement.correct is {measured.correct}, measurement.total {measured.total}"
        )


def _finals(row: Row, number: int) -> list[Final]:
    splits = [name.removesuffix("_correct") for name in row.cells if name.endswith("_correct")]
    finals = []
    for split in splits:
        if row.cells[f"{split}_correct"]:
            _check_columns(row, (f"{split}_total", f"{split}_accuracy"))
            correct, total = row.whole(f"{split}_correct"), row.whole(f"{split}_total")
            if correct > total:
                raise row.error(f"{split}_correct", f"at most the {total} of {split}_total")
            accuracy = _accuracy(row, f"{split}_accuracy")
            finals.append(Final(number, split, correct, total, accuracy, *_precision(row, split)))
    return finals


def _precision(row: Row, split: str) -> tuple[int | None, float | None]:
    """The samples of final figures and the error of their drop; older tables have neither."""
    samples, error = f"{split}_samples", f"{split}_drop_error"
    return (
        row.whole(samples) if row.cells.get(samples) else None,
        row.number(error) if row.cells.get(error) else None,
    )


def _originals(row: Row) -> dict[str, float]:
    return {
        name.removeprefix(_ORIGINAL): _accuracy(row, name)
        for name, cell in row.cells.items()
        if name.startswith(_ORIGINAL) and cell
    }


def _accuracy(row: Row, column: str) -> float:
    """An accuracy: a share from 0 to 1, of another metric any finite number."""
    metric = row.json(_METRIC) if row.cells.get(_METRIC) else None
    if isinstance(metric, dict) and metric.get("name") != ACCURACY.name:
        return row.metric(column)
    return row.share(column)
