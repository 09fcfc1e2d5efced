"""Put the chosen network where a user can take it: C sources, ELF, .tflite."""

import shutil
from pathlib import Path

from compress.errors import UserError
from compress.tflite.importer import import_tflite
from hil.board import without_limits
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.files import file_errors
from hil.store.run_folder import network_path
from hil.types import Board, Trial


def export_chosen(folder: Path, trial: Trial | None, board: Board, name: str) -> None:
    """Make `folder`/chosen what the firmware of `trial` was built from, and the ELF.

    The sources are rendered again from the stored network; the same network gives the same bytes.
    Without a trial nothing is chosen any more, and the folder goes, as it does where the trial's
    network is missing (UserError). Until the new one is complete the former stays. Raises UserError
    where files cannot be written.
    """
    chosen, part = folder / "chosen", folder / "chosen.part"
    with file_errors(chosen):
        _remove(part)
        try:
            if trial is not None and network_path(folder, trial.number).is_file():
                part.mkdir()
                _build(network_path(folder, trial.number), board, name, part)
            _remove(chosen)
            if part.is_dir():
                part.rename(chosen)
            elif trial is not None:
                raise UserError(
                    f"{network_path(folder, trial.number)} is missing, and {chosen} is not written: trial "
                    f"{trial.number} came from a table, and made again on this machine it is "
                    "another network; merge the run that it comes from (hil merge), or search in "
                    "another run folder"
                )
        finally:
            _remove(part)


def _build(tflite: Path, board: Board, name: str, folder: Path) -> None:
    graph = import_tflite(tflite.read_bytes(), name)
    build(render(make_plan(graph, board), board), without_limits(board), folder)
    shutil.copyfile(tflite, folder / "model.tflite")


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
