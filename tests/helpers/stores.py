"""Small stores of one synthetic run, and their tables."""

from __future__ import annotations

import csv
from pathlib import Path

from helpers.trials import BASELINE, infeasible, measured, pruned
from hil.store.store import Final, RunIdentity, Store
from hil.store.table import export_store
from hil.types import Trial

IDENTITY = RunIdentity(task="digits", board="m4", seed=1, board_sha256="5e" * 32)
FINAL = Final(number=1, split="test", correct=190, total=200, accuracy=0.1 + 0.2)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def make_store(folder: Path, *stored: Trial) -> None:
    with Store.open(folder, IDENTITY) as store:
        for trial in stored:
            store.add(trial)


def exported(folder: Path, name: str = "run.csv") -> Path:
    with Store.read(folder) as store:
        export_store(store, folder / name)
    return folder / name


def example(folder: Path) -> None:
    with Store.open(folder, IDENTITY) as store:
        store.add(measured(1, BASELINE))
        store.add(infeasible(2, pruned(0.5), reason='too "big",\r\nby far'))
        store.add(measured(3, pruned(0.5), fidelity=0.25, state="screened", measurement=None))
        store.add_final(FINAL)
        store.set_original_accuracy("test", 0.96)


def change(table: Path, changes: dict[int, dict[str, str]], without: str = "") -> None:
    """Overwrite cells by row; leave out a column."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for index, cells in changes.items():
        rows[index] |= cells
    with table.open("w", newline="", encoding="utf-8") as file:
        columns = [name for name in rows[0] if name != without]
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
