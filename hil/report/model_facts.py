"""What a program needs to use the chosen network: model.json beside its sources.

It says how an input is made of raw data, how reals become the integers of the network, and what its
outputs mean, so that nothing of the training has to be looked up.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compress.inputs import names_of, shapes_of
from compress.metrics.registry import metric_of
from compress.tflite.importer import import_tflite
from compress.types import InputShape, Task, Tensor
from hil.store.project_files import kept_facts, kept_project
from hil.types import Board, Trial

_FORMULA = "real = scale * (integer - zero_point)"


def model_facts(task: Task, folder: Path, trial: Trial | None, board: Board) -> dict[str, Any]:
    """The facts of the task and the run, as JSON; `trial` is the chosen one.

    Scaling and features are those of the project kept with the run; null for another task, whose
    code has them.
    """
    from compress.task_types.registry import rules_of  # imports torch

    kept, project = kept_facts(folder) or {}, kept_project(folder)
    metric = metric_of(task)
    return {
        "name": task.name,
        "title": task.title,
        "board": board.name,
        "trial": None if trial is None else trial.number,
        **_answers(task),
        "metric": {"name": metric.name, "better": metric.better},
        "output": rules_of(task).output_words,
        "output_names": [output.name for output in task.outputs],
        "input_shape_in_torch": _in_torch(task.input_shape),
        "preprocessing": {key: kept.get(key) for key in ("pixels", "mean", "std", "features")},
        "preprocessing_order": "features or pixels, then (x - mean) / std for each channel, then "
        "the integers of the input",
        "sha256": {file.key: file.sha256 for file in project.files} if project else {},
    }


def _answers(task: Task) -> dict[str, Any]:
    """The type and the names of the output; of several outputs those of each, by its name."""
    if not task.outputs:
        return {"type": task.type, "classes": list(task.classes)}
    return {
        "type": {output.name: output.type for output in task.outputs},
        "classes": {output.name: list(output.classes) for output in task.outputs},
    }


def _in_torch(shape: InputShape) -> list[int] | dict[str, list[int]]:
    """A shape as JSON; the shapes of several inputs by name, in the order of the network's."""
    names, shapes = names_of(shape), [list(one) for one in shapes_of(shape)]
    return dict(zip(names, shapes, strict=True)) if names else shapes[0]


def write_model_json(path: Path, tflite: Path, name: str, facts: Mapping[str, Any]) -> None:
    """Write the facts with those of the network in the file `tflite`. Raises OSError."""
    content = tflite.read_bytes()
    graph = import_tflite(content, name)
    names = facts.get("output_names") or [None] * len(graph.outputs)
    pairs = zip(names, graph.output_tensors, strict=True)
    whole = {
        **facts,
        "inputs": [_tensor(one) for one in graph.input_tensors],
        "outputs": [({"output": of} if of else {}) | _tensor(one) for of, one in pairs],
        "quantization": _FORMULA,
        "sha256": {**facts["sha256"], "model.tflite": hashlib.sha256(content).hexdigest()},
    }
    path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "scale": float(tensor.scale),
        "zero_point": tensor.zero_point,
    }
