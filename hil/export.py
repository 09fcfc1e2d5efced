"""Put the chosen network where a user can take it: C sources, ELF, .tflite."""

import shutil
from pathlib import Path

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
    """
    chosen = folder / "chosen"
    tflite = kept(folder, trial.number)
    graph = import_tflite(tflite.read_bytes(), name)
    shutil.rmtree(chosen, ignore_errors=True)
    chosen.mkdir()
    build(render(make_plan(graph, board), board), without_limits(board), chosen)
    shutil.copyfile(tflite, chosen / "model.tflite")
    return chosen
