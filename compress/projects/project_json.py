"""A project as text: JSON of its settings, and the hil.toml that says all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compress.projects.keys import TASK_KEYS, TRAINING_KEYS, CodeRef
from compress.projects.output_values import is_by_output
from compress.projects.project import ProjectSettings
from compress.types import Recipe


def settings_to_json(settings: ProjectSettings) -> dict[str, Any]:
    """The settings that have a value, with paths as objects."""
    return {name: _to_json(value) for name, value in settings.given().items()}


def settings_from_json(fields: Mapping[str, Any]) -> ProjectSettings:
    """The inverse of `settings_to_json`. Raises KeyError or TypeError for anything else."""
    return ProjectSettings(**{name: _from_json(value) for name, value in fields.items()})


def _to_json(value: Any) -> Any:
    if isinstance(value, CodeRef):
        return {"path": str(value.path), "function": value.function}
    if isinstance(value, Path):
        return {"path": str(value)}
    if is_by_output(value):
        return {"by_output": {name: _to_json(one) for name, one in value}}
    return list(value) if isinstance(value, tuple) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict) and "by_output" in value:
        return tuple((name, _from_json(one)) for name, one in value["by_output"].items())
    if isinstance(value, dict):
        path = Path(value["path"])
        return CodeRef(path, value["function"]) if "function" in value else path
    return tuple(value) if isinstance(value, list) else value


def to_toml(
    settings: ProjectSettings, recipe: Recipe, fine_tune: Recipe, copies: Mapping[str, str]
) -> str:
    """A hil.toml with all settings, also of the training that was derived.

    `copies` has the names of the files beside it, by key; other paths are absolute.
    """
    training = training_of(recipe, fine_tune) | {"loss_weights": settings.loss_weights}
    lines = [
        "# The project as the run has it; its code and model are the copies beside this file.",
        "",
    ]
    for section, keys, values in (
        ("task", TASK_KEYS, settings.given()),
        ("training", TRAINING_KEYS, training),
    ):
        lines.append(f"[{section}]")
        for key in keys:
            value = values.get(key)
            if value is not None:
                lines.append(f"{key} = {_toml(value, copies.get(key))}")
        lines.append("")
    return "\n".join(lines)


def training_of(recipe: Recipe, fine_tune: Recipe) -> dict[str, Any]:
    """The keys of the section [training] that say these recipes."""
    return {
        "epochs": recipe.epochs,
        "batch": recipe.batch,
        "learning_rate": recipe.learning_rate,
        "weight_decay": recipe.weight_decay,
        "samples_per_epoch": recipe.samples_per_epoch,
        "huber_delta": recipe.huber_delta,
        "fine_tune_epochs": fine_tune.epochs,
        "fine_tune_learning_rate": fine_tune.learning_rate,
        "fine_tune_samples_per_epoch": fine_tune.samples_per_epoch,
    }


def _toml(value: Any, copy: str | None) -> str:
    """A value in TOML. Its strings and lists of them are those of JSON."""
    if isinstance(value, CodeRef):
        value = f"{copy or value.path}:{value.function}"
    if isinstance(value, Path):
        value = copy or str(value)
    if is_by_output(value):
        return "{" + ", ".join(f"{name} = {_toml(one, None)}" for name, one in value) + "}"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
