"""The rules of each type of task."""

from __future__ import annotations

from dataclasses import replace

from compress.task_types.autoencoder import Autoencoder
from compress.task_types.classification import Classification
from compress.task_types.multi_label import MultiLabel
from compress.task_types.regression import Regression
from compress.task_types.rules import Rules
from compress.task_types.segmentation import Segmentation
from compress.task_types.several import Several
from compress.types import Task, TaskType

RULES: dict[TaskType, type[Rules]] = {
    "classification": Classification,
    "multi_label": MultiLabel,
    "regression": Regression,
    "autoencoder": Autoencoder,
    "segmentation": Segmentation,
}


def rules_of(task: Task) -> Rules:
    """The rules of the task's type, or of its outputs' types."""
    if not task.outputs:
        return RULES[task.type](task)
    parts = [
        replace(task, type=output.type, classes=output.classes, outputs=())
        for output in task.outputs
    ]
    return Several(task, [RULES[part.type](part) for part in parts])
