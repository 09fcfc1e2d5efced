"""What the front end of a run's task costs on its board, kept in features.json of the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compress.errors import OverBudget
from hil.features.words import feature_words, features_to_json
from hil.files import write_file
from hil.store.run_folder import network_path

if TYPE_CHECKING:
    from compress.projects.find import TaskRef
    from hil.types import Board, Trial

_FILE = "features.json"


def keep_feature_costs(folder: Path, task: TaskRef, trial: Trial | None, board: Board) -> str:
    """Measure the task's front end for the network of `trial`, once in a run; returns it in words.

    Empty if the task has none, the network is not there, or the board has no room for it. Raises as
    `measure_front_end` otherwise.
    """
    # Imported here: reading what was kept needs none of it.
    from compress.tflite.importer import import_tflite
    from hil.features.measure import measure_front_end
    from hil.features.of_task import front_end_of
    from hil.measure.measure import BoardRunner
    from hil.target.open import open_target, open_waiting_target

    known = read_feature_costs(folder)
    if known or trial is None or not network_path(folder, trial.number).is_file():
        return known
    graph = import_tflite(network_path(folder, trial.number).read_bytes(), "chosen")
    front_end = front_end_of(task, graph)
    if front_end is None:
        return ""
    with BoardRunner(board, open_target, open_waiting_target) as runner:
        try:
            costs = features_to_json(measure_front_end(front_end, runner))
        except OverBudget:
            return ""
    write_file(folder / _FILE, json.dumps(costs, indent=1).encode())
    return feature_words(costs)


def read_feature_costs(folder: Path) -> str:
    """The costs kept in the run, in words; empty if there are none, or the file is no such file."""
    try:
        costs: Mapping[str, Any] = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return feature_words(costs)
    except (OSError, ValueError, KeyError, TypeError):
        return ""
