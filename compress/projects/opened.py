"""Open a project: run its code, read its data, and put both together as a `Task`."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compress.errors import UserError
from compress.features.front_end import Spectra
from compress.inputs import names_of, shape_of_samples, shapes_of
from compress.metrics.registry import metric_named, metric_of, output_metric_named
from compress.projects.arrays import ProjectData, arrays_of, npz_data
from compress.projects.code_files import call_project_function, project_function
from compress.projects.defaults import (
    device_samples_of,
    fine_tune_of,
    recipe_of,
    training_note,
)
from compress.projects.folders import read_folder
from compress.projects.keys import CodeRef
from compress.projects.names import with_names, with_output_names
from compress.projects.networks import check_network, in_layout, network_of
from compress.projects.output_values import is_by_output, kind_words
from compress.projects.project import Project, ProjectSettings, sha256_of_data
from compress.projects.scaling import scaled
from compress.tasks.mfcc import (
    CLIP_SAMPLES,
    COEFFICIENTS,
    SAMPLE_RATE_HZ,
    mfcc_front_end,
    mfcc_settings,
)
from compress.training.answer_check import check_outputs
from compress.types import InputShape, Metric, Output, Task

# Of a metric with values up to 1; for others the user has to say what is good enough.
_FLOOR = 0.9
_PIXEL_MEAN, _PIXEL_STD = (0.5,), (0.5,)  # of pixels 0..1: to -1..1

_lock = threading.Lock()
_opened: dict[str, OpenedProject] = {}


@dataclass(frozen=True, slots=True, eq=False)
class OpenedProject:
    """A project's task, what to tell of it, and the facts that a device needs beside the network.

    `facts` is JSON: names of the outputs, scaling of the inputs and settings of the features.
    """

    task: Task
    notes: tuple[str, ...]
    facts: Mapping[str, Any]


def open_project(project: Project) -> OpenedProject:
    """The opened project; its code runs and its data are read once in a process.

    Raises UserError for anything that is wrong with them.
    """
    with _lock:
        if project.source not in _opened:
            _opened[project.source] = _open(project)
        return _opened[project.source]


def _open(project: Project) -> OpenedProject:
    found = _read_data(project)
    settings = project.settings
    if found.images and settings.mean is None and settings.std is None:
        settings = replace(settings, mean=_PIXEL_MEAN, std=_PIXEL_STD)
    network = network_of(project)
    named = _named(found, settings)
    data = scaled(in_layout(named.data, network), settings)
    recipe = recipe_of(settings, len(data.train))
    fine_tune = fine_tune_of(settings, recipe, len(data.train))
    outputs = _weighted(named.outputs, settings)
    shape = shape_of_samples(data.train.x)
    task = Task(
        name=project.name,
        title=settings.title or _title(project.name, shape),
        input_shape=shape,
        classes=named.classes,
        net=network.make,
        load=lambda: data,
        recipe=recipe,
        fine_tune=fine_tune,
        accuracy_floor=_FLOOR,
        device_samples=device_samples_of(settings, len(data.val)),
        source=project.source,
        type=settings.type if isinstance(settings.type, str) else "classification",
        metric=_metric(project, outputs),
        pretrained=network.pretrained,
        outputs=outputs,
        front_end=(lambda: _mfcc(settings)) if found.features == "mfcc" else None,
    )
    check_outputs(task)
    task = replace(task, accuracy_floor=_floor(settings, metric_of(task)))
    check_network(project, task)
    is_trained = network.pretrained is not None
    training = training_note(settings, recipe, fine_tune, len(data.train), is_trained)
    notes = (*found.notes, *network.notes, *((training,) if training else ()))
    return OpenedProject(task, notes, _facts(settings, found))


def _mfcc(settings: ProjectSettings) -> Spectra:
    """The MFCC with the project's scaling, which has one number of each for all coefficients."""
    (mean,), (std,) = settings.mean or (0.0,), settings.std or (1.0,)
    return mfcc_front_end(np.full(COEFFICIENTS, mean), np.full(COEFFICIENTS, std))


def _title(name: str, shape: InputShape) -> str:
    sizes = ["x".join(map(str, one)) for one in shapes_of(shape)]
    names = names_of(shape) or ("input",)
    pairs = zip(names, sizes, strict=True)
    return f"{name}, {', '.join(f'{part} {size}' for part, size in pairs)}"


def _read_data(project: Project) -> ProjectData:
    """The data before scaling. Raises UserError if they changed since the project was read."""
    named, kind = project.settings.data, project.settings.type
    if isinstance(named, CodeRef):
        where = f"data: {named.function} of {named.path}"
        _refuse(project, ("image_size", "color", "features"), "of a folder of images or WAV files")
        return arrays_of(call_project_function(project, "data"), where, kind)
    if sha256_of_data(named) != project.file("data").sha256:
        raise UserError(
            f"data: {named} is not what the search has (its content differs): copy it there "
            "unchanged, or run the command again"
        )
    if named.is_dir():
        if kind != "classification":
            raise UserError(
                f"data: a folder of classes is for type classification, not {kind_words(kind)}"
            )
        return read_folder(project.settings, named, project.file("data").sha256)
    _refuse(project, ("image_size", "color", "features"), "of a folder of images or WAV files")
    return npz_data(named, kind)


def _refuse(project: Project, keys: tuple[str, ...], why: str) -> None:
    for key in keys:
        if getattr(project.settings, key) is not None:
            raise UserError(f"{key} is {why}, but data is {project.file('data').path}")


def _named(found: ProjectData, settings: ProjectSettings) -> ProjectData:
    """The data with the names of its outputs' classes that the project gives."""
    classes: Any = settings.classes
    if bool(found.outputs) != is_by_output(classes) and classes is not None:
        example = "{shape = [...], ...}" if found.outputs else "[...]"
        raise UserError(f"classes: the names must be given as {example} for this type")
    return with_output_names(found, classes) if found.outputs else with_names(found, classes)


def _weighted(outputs: tuple[Output, ...], settings: ProjectSettings) -> tuple[Output, ...]:
    """The outputs with the weights of their losses."""
    weights = dict(settings.loss_weights or ())
    unknown = weights.keys() - {output.name for output in outputs}
    if unknown:
        known = ", ".join(output.name for output in outputs) or "one, which needs none"
        raise UserError(f"loss_weights: {', '.join(sorted(unknown))}: outputs are {known}")
    return tuple(replace(output, weight=weights.get(output.name, 1.0)) for output in outputs)


def _metric(project: Project, outputs: tuple[Output, ...]) -> Metric | None:
    """The metric that the project names; None for the default of its type."""
    settings = project.settings
    if not isinstance(settings.metric, CodeRef):
        if settings.better is not None:
            raise UserError("better is of a metric of your own: metric = FILE.py:FUNCTION")
        if settings.metric is None:
            return None
        if isinstance(settings.type, str):
            return metric_named(settings.metric, settings.type)
        return output_metric_named(settings.metric, outputs)
    compute = project_function(project, "metric")
    return Metric(settings.metric.function, settings.better or "higher", compute)


def _floor(settings: ProjectSettings, judged: Metric) -> float:
    """The goal that the project sets; by default that of a share where more is better.

    One that is relative to the float network is settled by the search; here it is the strictest.
    """
    if isinstance(settings.floor, float):
        return settings.floor
    if settings.floor is not None:
        return 1.0 if judged.better == "higher" else 0.0
    if isinstance(settings.metric, CodeRef) or judged.better == "lower":
        raise UserError(
            f"floor is missing: what {judged.name} is good enough? Give floor in [task], or "
            "--floor, in its own unit"
        )
    return _FLOOR


def _facts(settings: ProjectSettings, found: ProjectData) -> Mapping[str, Any]:
    features: dict[str, dict[str, int | float | str]] = {
        "mfcc": mfcc_settings(),
        "raw": {"sample_rate_hz": SAMPLE_RATE_HZ, "clip_samples": CLIP_SAMPLES},
    }
    return {
        "type": settings.type if isinstance(settings.type, str) else dict(settings.type),
        "pixels": "divided by 255" if found.images else None,
        "mean": settings.mean and list(settings.mean),
        "std": settings.std and list(settings.std),
        "features": found.features and {"name": found.features, **features[found.features]},
    }
