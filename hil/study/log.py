"""The log of a study: all evaluations in files, from which a study continues on any machine.

For each seed: `seed-N.csv.gz` has every trial (`hil.store.table`), `seed-N.pt` the weights of the
original network, `seed-N.json` the sensitivity from which the adaptive search was warm-started.
"""

from __future__ import annotations

from pathlib import Path

from compress.errors import UserError
from compress.pipeline.network import Original
from hil.files import write_file
from hil.search.warm_start import sensitivity_file
from hil.store import run_folder
from hil.store.run_folder import original_path
from hil.store.store import Store
from hil.store.table import export_store, import_file


def adopt_logged_original(log: Path, place: Path, seed: int) -> None:
    """Copy the seed's original network from the log to the folder `place`, if it has none yet.

    Raises UserError if `place` has a different one, or if the log has trials but no original: the
    trials would not belong to a newly trained one.
    """
    source, table = log / f"seed-{seed}.pt", log / f"seed-{seed}.csv.gz"
    if source.is_file():
        run_folder.copy_original(
            source, place, f"choose another folder with --results, or remove {place}"
        )
    elif table.is_file() and not original_path(place).is_file():
        raise UserError(
            f"{source} is missing, the original network of the trials in {table.name}: "
            "restore it, or choose another folder with --results"
        )


def adopt_sensitivity(log: Path, original: Original, seed: int) -> None:
    """Copy the seed's logged sensitivity to the cache, or log the cached one if there is none."""
    logged, known = log / f"seed-{seed}.json", sensitivity_file(original)
    if not logged.exists():
        write_file(logged, known.read_bytes())
    elif known.read_bytes() != logged.read_bytes():
        write_file(known, logged.read_bytes())


def import_log(log: Path, store: Store, seed: int) -> int:
    """Add the logged trials that the store does not have; return how many."""
    source = log / f"seed-{seed}.csv.gz"
    return import_file(store, source) if source.exists() else 0


def export_log(log: Path, store: Store, seed: int) -> None:
    """Write the seed's trials and original network. Raises UserError if that fails."""
    export_store(store, log / f"seed-{seed}.csv.gz")
    write_file(log / f"seed-{seed}.pt", original_path(store.folder).read_bytes())
