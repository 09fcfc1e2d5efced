"""The models that `hil bench` measures: a .tflite file, a task's network, a trial of a run."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from compress.cache import content_hash, source_files
from compress.errors import HilError, UserError
from compress.integer import reference
from compress.integer.eliminate import eliminate
from compress.tasks import TASK_NAMES, full_task_name, get_task, is_task_file, task_label
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.training.data_check import data_sha256
from compress.types import Array, Dataset, Graph, Int8Array, Samples, Task
from hil.cache import cached
from hil.store.run_folder import network_path
from hil.store.store import Store

_TRIAL = re.compile(r"(?P<run>.+):(?P<number>\d+)")


@dataclass(frozen=True, slots=True, eq=False)
class BenchmarkModel:
    """A network to measure: its name, .tflite, graph, and its task if known.

    After the elimination of dead channels, `graph` is the reduced graph and `whole` that of the
    .tflite; otherwise `whole` is None.
    """

    name: str
    tflite: bytes
    graph: Graph
    task: str | None = None
    whole: Graph | None = None


def load_model(text: str, runs: Path) -> BenchmarkModel:
    """The model that `text` names. Raises UserError, with the allowed forms, for any other text.

    `text` is FILE.tflite; a task's name or file (its int8 baseline, trained if necessary); or
    RUN:NUMBER for a trial of a run, which is a folder in `runs` or a path.
    """
    trial = _TRIAL.fullmatch(text)
    if text in TASK_NAMES or is_task_file(text):
        task = full_task_name(text)
        return _model(task_label(task), _task_network(task), task)
    if text.endswith(".tflite"):
        return _model(Path(text).stem, _read(Path(text)), path=text)
    if trial:
        run = Path(trial["run"]) if Path(trial["run"]).is_dir() else runs / trial["run"]
        return _trial_model(text, run, int(trial["number"]))
    raise UserError(
        f"model {text!r}: allowed are a FILE.tflite, a task ({', '.join(TASK_NAMES)}, "
        "or a Python file that defines TASK), or RUN:NUMBER for a trial of a run"
    )


def without_dead_channels(model: BenchmarkModel) -> BenchmarkModel:
    """The model without channels that cannot change its outputs (`compress.integer.eliminate`)."""
    return replace(model, graph=eliminate(model.graph), whole=model.graph)


def random_samples(graph: Graph, count: int, seed: int = 0) -> Samples:
    """Samples with random inputs, labeled by the reference's outputs.

    Every second input is uniform noise, which saturates most networks; the others are waves of
    random frequency and phase, which do not.
    """
    rng = np.random.default_rng(seed)
    shape = (count, *graph.input_tensor.shape[1:])
    noise = rng.integers(-128, 128, shape)
    positions = np.indices(shape[1:]).reshape(len(shape) - 1, -1)
    frequencies = rng.uniform(0.02, 1.0, (count, len(shape) - 1))
    phases = rng.uniform(0, 2 * np.pi, (count, 1))
    waves = 100 * np.sin(frequencies @ positions + phases)
    smooth = waves.reshape(shape) + rng.normal(0, 8, shape)
    odd = (np.arange(count) % 2 == 1).reshape(-1, *[1] * (len(shape) - 1))
    inputs = np.clip(np.round(np.where(odd, noise, smooth)), -128, 127).astype(np.int8)
    return samples_of(graph, inputs, None)


def file_samples(graph: Graph, path: Path, count: int) -> Samples:
    """The first `count` samples of an .npz: `x` int8 (N, *input shape) and labels `y` (N,).

    Raises UserError for another file, shape or type.
    """
    try:
        with np.load(path) as arrays:
            x, y = arrays["x"], arrays["y"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"--data {path}: an .npz with arrays x and y: {error}") from error
    shape = graph.input_tensor.shape[1:]
    if x.dtype != np.int8 or x.shape[1:] != shape or y.shape != x.shape[:1] or len(x) == 0:
        raise UserError(
            f"--data {path}: x is {x.dtype} {x.shape}, y is {y.shape}; "
            f"needed are x int8 (N, {', '.join(map(str, shape))}) and y (N,)"
        )
    return samples_of(graph, x[:count], y[:count].astype(np.int64))


def task_samples(graph: Graph, task: str, count: int) -> Samples:
    """`count` samples of the task's validation split, evenly spaced, with their labels."""
    from compress.pipeline.pipeline import evaluate  # torch: only where it is needed

    return evaluate(graph, get_task(task).load().val, count)[1]


def samples_of(graph: Graph, inputs: Int8Array, labels: Array | None) -> Samples:
    """Samples with the reference's outputs for `inputs`; without labels, their argmax is used."""
    outputs = reference.run(graph, inputs).reshape(len(inputs), -1)
    return Samples(inputs, outputs.argmax(1) if labels is None else labels, outputs)


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
    return _model(text, _read(path), task)


def _model(name: str, tflite: bytes, task: str | None = None, path: str = "") -> BenchmarkModel:
    try:
        return BenchmarkModel(name, tflite, import_tflite(tflite, name), task)
    except HilError as error:
        raise type(error)(f"{path or name}: {error}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def _task_network(name: str) -> bytes:
    """The .tflite of a task's int8 baseline with seed 0; trained once, then read from the cache."""
    from compress.pipeline.network import train_original  # torch: only where it is needed
    from compress.pipeline.pipeline import compress
    from compress.space.recipes import baseline
    from hil.terminal import training_progress

    task = get_task(name)
    data = task.load()

    def make(folder: Path) -> None:
        with training_progress(f"training {task.name}") as tick:
            original = train_original(task, data, 0, folder / "original.pt", tick)
        graph = compress(baseline(), original).graph
        (folder / "model.tflite").write_bytes(export_tflite(graph))

    folder = cached("networks", f"{task_label(name)}-{_key(task, data)}", make)
    return (folder / "model.tflite").read_bytes()


def _key(task: Task, data: Dataset) -> str:
    """Cache key of a task's network: a hash of its file, its data and the sources of `compress`."""
    return content_hash([task.source, data_sha256(data)], source_files())
