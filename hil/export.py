"""Put the chosen network where a user can take it: C sources, ELF, .tflite."""

import shutil
from pathlib import Path

from compress.errors import UserError
from compress.tflite_import import import_tflite
from hil.artifacts import kept
from hil.board import without_limits
from hil.build import build
from hil.plan import make_plan
from hil.render import render
from hil.types import Board, Trial


def export_chosen(folder: Path, trial: Trial, board: Board, name: str) -> Path:
    """Write `folder`/chosen anew: what the firmware of `trial` was built from, and the ELF.

    The sources are rendered again from the stored network; the same network gives the same bytes.
    Raises UserError where only the trial is there: what was chosen before is gone even then.
    """
    chosen = folder / "chosen"
    tflite = kept(folder, trial.number)
    shutil.rmtree(chosen, ignore_errors=True)
    if not tflite.is_file():
        raise UserError(
            f"{tflite} is missing, and {chosen} is not written: trial {trial.number} came from a "
            "table, and made again on this machine it is another network; merge the run that it "
            "comes from (hil merge), or search in another run folder"
        )
    graph = import_tflite(tflite.read_bytes(), name)
    chosen.mkdir()
    build(render(make_plan(graph, board), board), without_limits(board), chosen)
    shutil.copyfile(tflite, chosen / "model.tflite")
    return chosen
