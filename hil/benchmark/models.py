"""The models that `hil bench` measures: a model's file, a task's network, a trial of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from compress.cache import content_hash, source_files
from compress.errors import HilError, UserError
from compress.integer.eliminate import eliminate
from compress.metrics.scale import ACCURACY, MetricScale
from compress.ops import CustomOperator
from compress.pipeline.diagnosis import (
    Diagnosis,
    Remark,
    baseline_remarks,
    early_remarks,
    recall_remarks,
)
from compress.projects.find import TaskRef, find_task, label_of, task_ref
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.training.data_check import data_sha256
from compress.types import Dataset, Graph, Task
from hil.benchmark.float_models import FloatComparison, QuantizedFile, is_float_file, quantized
from hil.benchmark.named_model import TrialName, named_model
from hil.cache import cached
from hil.store.project_files import run_task
from hil.store.run_folder import network_path, read_diagnosis, save_diagnosis
from hil.store.store import Store
from hil.types import Board


@dataclass(frozen=True, slots=True, eq=False)
class BenchmarkModel:
    """A network to measure: its name, .tflite, graph, and its task if known.

    After the elimination of dead channels, `graph` is the reduced graph and `whole` that of the
    .tflite; otherwise `whole` is None. `diagnosis` is that of the float network it was made from,
    `right` its own right answers by class on the whole validation split, `share` its metric there
    as a share where more is better; None and empty if they are not known, as for a file. `others`
    are the other metrics of several outputs there, in their units.
    `is_baseline` is true for the int8 baseline of a task. `quantized` has the samples of a float
    model's file that was quantized here.
    """

    name: str
    tflite: bytes
    graph: Graph
    task: TaskRef | None = None
    whole: Graph | None = None
    diagnosis: Diagnosis | None = None
    right: tuple[int, ...] = ()
    is_baseline: bool = False
    share: float | None = None
    others: tuple[tuple[str, float], ...] = ()
    quantized: QuantizedFile | None = None

    @property
    def comparison(self) -> FloatComparison | None:
        """How the outputs compare with those of the float file; None for other models."""
        return None if self.quantized is None else self.quantized.comparison

    @property
    def accuracy(self) -> float | None:
        """The metric on the whole validation split as a share; None if it is not known."""
        if self.share is not None or self.diagnosis is None or not self.right:
            return self.share
        return sum(self.right) / sum(self.diagnosis.samples)

    @property
    def metric(self) -> MetricScale:
        """The scale by which people read its accuracies."""
        return ACCURACY if self.diagnosis is None else self.diagnosis.metric

    @property
    def has_classes(self) -> bool:
        """True if its samples have labels: a task's, if that is not known to have none."""
        return self.task is not None and (self.diagnosis is None or bool(self.diagnosis.samples))

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """Warnings about the float network, its inputs, and what this network lost."""
        if self.diagnosis is None:
            return ()
        found = early_remarks(self.diagnosis)
        if self.is_baseline and self.accuracy is not None:
            return found + baseline_remarks(self.diagnosis, self.right, self.accuracy)
        if self.right:
            found += recall_remarks(self.diagnosis, self.name, self.right)
        return found


def load_model(
    text: str,
    runs: Path,
    customs: Mapping[str, CustomOperator] | None = None,
    board: Board | None = None,
    data: Path | None = None,
) -> BenchmarkModel:
    """The model that `text` names. Raises UserError as `named_model` for any other text.

    `text` is FILE.tflite, FILE.lite or FILE.onnx, a float one being quantized with the samples of
    `data`; a task's name, project or file (its int8 baseline, trained if necessary); or RUN:NUMBER
    for a trial of a run, which is a folder in `runs` or a path. `customs` are definitions of a
    file's custom operators, by code. Before a task's network is trained, a first look at its data
    is printed, and at the untrained network on `board`.
    """
    named = named_model(text, runs)
    if isinstance(named, str):
        return task_model(task_ref(named), board)
    if isinstance(named, TrialName):
        return _trial_model(text, named.run, named.number)
    content = _read(named)
    if is_float_file(named, content):
        return _quantized_model(named, data)
    return _model(named.stem, content, path=text, customs=customs)


def without_dead_channels(model: BenchmarkModel) -> BenchmarkModel:
    """The model without channels that cannot change its outputs (`compress.integer.eliminate`)."""
    return replace(model, graph=eliminate(model.graph), whole=model.graph)


def _trial_model(text: str, run: Path, number: int) -> BenchmarkModel:
    with Store.read(run) as store:
        task, trials = store.identity.task, {trial.number: trial for trial in store.trials()}
    if number not in trials:
        there = f"it has trials 1 to {max(trials)}" if trials else "it has no trials yet"
        raise UserError(f"no trial {number} in {run}: {there}")
    path, trial = network_path(run, number), trials[number]
    if not path.is_file():
        why = {
            "screened": "it was screened only, not trained in full",
            "infeasible": f"it was infeasible: {trial.reason}",
            "measured": f"{path.name} is missing, as in a run imported from a table; continuing "
            "the search there (hil evolve) trains the networks of the front again",
        }[trial.state]
        raise UserError(f"no network of trial {number} in {run}: {why}")
    model, measured = _model(text, _read(path), run_task(run, task)), trial.measurement
    return replace(
        model,
        diagnosis=read_diagnosis(run),
        right=() if measured is None else measured.right,
        share=trial.accuracy,
        others=() if measured is None else measured.others,
    )


def _model(
    name: str,
    tflite: bytes,
    task: TaskRef | None = None,
    path: str = "",
    customs: Mapping[str, CustomOperator] | None = None,
) -> BenchmarkModel:
    try:
        return BenchmarkModel(name, tflite, import_tflite(tflite, name, customs or {}), task)
    except HilError as error:
        raise type(error)(f"{path or name}: {error}") from error


def _quantized_model(path: Path, data: Path | None) -> BenchmarkModel:
    """A float file's network in int8. Raises as `quantized`."""
    made = quantized(path, data)
    return BenchmarkModel(path.stem, export_tflite(made.graph), made.graph, quantized=made)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def task_model(ref: TaskRef, board: Board | None = None) -> BenchmarkModel:
    """A task's int8 baseline with seed 0; trained once, then read from the cache."""
    from compress.pipeline.diagnose import diagnose  # torch: only where it is needed
    from compress.pipeline.network import train_original
    from compress.pipeline.pipeline import compress
    from compress.space.recipes import baseline
    from hil.benchmark.first_look import show_first_look
    from hil.terminal import training_progress

    task, name = find_task(ref), label_of(ref)
    data = task.load()

    def make(folder: Path) -> None:
        show_first_look(task, data, board)
        with training_progress(f"training {task.name}") as tick:
            original = train_original(task, data, 0, folder / "original.pt", tick)
        model = compress(baseline(), original)
        (folder / "model.tflite").write_bytes(export_tflite(model.graph))
        save_diagnosis(folder, diagnose(original))
        figures = {"right": model.right, "share": model.accuracy, "others": model.others}
        (folder / "figures.json").write_text(json.dumps(figures), encoding="utf-8")

    folder = cached("networks", f"{name}-{_key(task, data)}", make)
    model = _model(name, (folder / "model.tflite").read_bytes(), ref)
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    return replace(
        model,
        diagnosis=read_diagnosis(folder),
        right=tuple(figures["right"]),
        share=figures["share"],
        others=tuple((name, value) for name, value in figures["others"]),
        is_baseline=True,
    )


def _key(task: Task, data: Dataset) -> str:
    """Cache key of a task's network: a hash of its file, its data and the sources of `compress`."""
    return content_hash([task.source, data_sha256(data)], source_files())
