"""The evaluations of a study as files that last, one per seed: anyone can go on from them.

`seed-N.csv.gz` has every trial (`hil.store_table`), `seed-N.pt` the weights of the original network
they all started from, `seed-N.json` the sensitivity that the adaptive search was begun with.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from compress.errors import UserError
from compress.network import Original
from hil.artifacts import write_whole
from hil.store import Store
from hil.store_table import export_store, import_rows
from hil.warm_start import sensitivity_file


def adopt_original(log: Path, place: Path, seed: int) -> None:
    """Copy the seed's original network from the log, where `place` has none yet.

    Raises UserError where `place` has another one: its trials would not compare.
    """
    source, target = log / f"seed-{seed}.pt", place / "original.pt"
    if not source.exists():
        return
    if not target.exists():
        shutil.copyfile(source, target)
    elif target.read_bytes() != source.read_bytes():
        raise UserError(
            f"{target} is another network than the logged {source}: "
            "choose another --log, or remove the study's folder to go on from the log"
        )


def adopt_sensitivity(log: Path, original: Original, seed: int) -> None:
    """Let searches begin with the seed's logged sensitivity; log it where it is not yet."""
    logged, known = log / f"seed-{seed}.json", sensitivity_file(original)
    if not logged.exists():
        log.mkdir(parents=True, exist_ok=True)
        write_whole(logged, known.read_bytes())
    elif known.read_bytes() != logged.read_bytes():
        write_whole(known, logged.read_bytes())


def import_log(log: Path, store: Store, seed: int) -> int:
    """Add the logged trials that the store does not have; how many."""
    source = log / f"seed-{seed}.csv.gz"
    return import_rows(store, source) if source.exists() else 0


def export_log(log: Path, store: Store, seed: int) -> None:
    """Write the seed's files anew. Raises UserError if they cannot be written."""
    log.mkdir(parents=True, exist_ok=True)
    export_store(store, log / f"seed-{seed}.csv.gz")
    write_whole(log / f"seed-{seed}.pt", (store.folder / "original.pt").read_bytes())
