"""Export of the chosen network for the user: C sources, ELF, .tflite."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compress.errors import UserError
from compress.projects.find import find_task
from compress.tflite.importer import import_tflite
from hil.board import without_limits
from hil.codegen.build import build
from hil.codegen.fitting import plan_of_trial
from hil.codegen.render import render
from hil.files import file_errors
from hil.report.model_facts import model_facts, write_model_json
from hil.report.summary import Summary
from hil.store.project_files import run_task
from hil.store.run_folder import network_path
from hil.types import Board, Trial


def export_chosen(
    folder: Path,
    trial: Trial | None,
    board: Board,
    name: str,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write the sources, the ELF and the .tflite of `trial` to `folder`/chosen.

    With `facts` (`hil.report.model_facts`), model.json has them and those of the network's inputs
    and outputs.

    The sources are rendered again from the stored network; the same network gives the same bytes.
    The former folder stays until the new one is complete. It is removed if `trial` is None or its
    network is missing. Raises UserError if the network is missing or files cannot be written.
    """
    chosen, part = folder / "chosen", folder / "chosen.part"
    with file_errors(chosen):
        _remove(part)
        try:
            if trial is not None and network_path(folder, trial.number).is_file():
                part.mkdir()
                network = network_path(folder, trial.number)
                _build(network, board, name, part, trial)
                if facts is not None:
                    write_model_json(part / "model.json", network, name, facts)
            _remove(chosen)
            if part.is_dir():
                part.rename(chosen)
            elif trial is not None:
                raise UserError(
                    f"{network_path(folder, trial.number)} is missing, so {chosen} is not written: "
                    f"trial {trial.number} came from a table, and training it again on this "
                    "machine gave a different network; merge the run that it comes from "
                    "(hil trials merge), or search in another run folder"
                )
        finally:
            _remove(part)


def write_chosen(summary: Summary, folder: Path) -> None:
    """Write `folder`/chosen of the run whose `summary` it is. Raises as `export_chosen`."""
    task, board = find_task(run_task(folder, summary.task)), summary.goal.board
    facts = model_facts(task, folder, summary.chosen, board)
    export_chosen(folder, summary.chosen, board, task.name, facts)


def _build(tflite: Path, board: Board, name: str, folder: Path, trial: Trial) -> None:
    graph = import_tflite(tflite.read_bytes(), name)
    build(render(plan_of_trial(graph, board, trial), board), without_limits(board), folder)
    shutil.copyfile(tflite, folder / "model.tflite")


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
