"""What the float network of each task reaches, three seeds, beside published figures, as Markdown.

    python benchmarks/baselines.py [--tasks fashion,motion] [--seeds 3] [--write docs/baselines.md]

Each training is one file in the folder (--folder, runs/baselines); an interrupted call goes on from
a checkpoint, and only what is missing is trained. A changed recipe, network or data set is trained
anew.
`motion` is trained once for each fold and seed, so that every subject is tested once. Tasks whose
data are not there are named, and left out.
"""

import json
import platform
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import typer
from torch import Tensor

from compress.cache import content_hash
from compress.errors import UserError
from compress.files import write_atomically
from compress.metrics.judge import value_of
from compress.metrics.registry import metric_of
from compress.task_types.registry import rules_of
from compress.tasks import get_task, motion
from compress.training.checkpoint import Checkpoint
from compress.training.data_check import data_sha256
from compress.training.train import Schedule, fit, predict, seed_torch
from compress.types import Dataset, Split, Task
from hil.terminal import training_progress


@dataclass(frozen=True, slots=True)
class Published:
    """A figure that others report, and where; `how` says what differs from ours."""

    value: str
    how: str
    source: str


_FASHION = "README of the data set (github.com/zalandoresearch/fashion-mnist)"
_RULES = "MLPerf Tiny rules and reference (github.com/mlcommons/tiny)"
PUBLISHED: dict[str, tuple[Published, ...]] = {
    "digits": (
        Published(
            "97 %",
            "support vector machine, half of the images for test",
            "scikit-learn, Recognizing hand-written digits",
        ),
    ),
    "fashion": (
        Published("91.6 %", "2 convolutions and pooling, 3.3 million weights", _FASHION),
        Published("92.5 %", "2 convolutions, fewer than 100,000 weights", _FASHION),
        Published("93.4 %", "2 convolutions, pooling, batch norm", _FASHION),
    ),
    "fashion_resnet": (
        Published("94.9 %", "ResNet-18, with augmentation; none for ResNet-8", _FASHION),
    ),
    "motion": (
        Published(
            "88.9 %",
            "convolutional recurrent network, 20 subjects, 5-fold by subject",
            "arXiv:1802.01489v2",
        ),
        Published(
            "87.3 %",
            "random forest, best of four, 10 subjects, 5-fold by subject",
            "arXiv:1802.01489v1",
        ),
    ),
    "anomaly": (),
    "kws": (),
    "speech_commands": (
        Published("90 %", "quality target; reference trained for 36 epochs", _RULES),
    ),
    "cifar10": (
        Published("85 %", "quality target; reference trained for 500 epochs, augmented", _RULES),
    ),
    "vww": (
        Published(
            "80 %", "quality target; reference trained for 50 epochs on all pictures", _RULES
        ),
    ),
    "toycar": (
        Published(
            "0.85", "quality target, AUC over files; reference trained for 100 epochs", _RULES
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Result:
    """One training: values of the metric, CPU seconds on one thread, and test values by group.

    `groups` are the accuracies by subject of `motion`, empty for other tasks.
    """

    val: float
    test: float
    epochs: int
    cpu_s: float
    train_samples: int
    test_samples: int
    groups: dict[str, float]


def main(
    tasks: str = ",".join(PUBLISHED),
    seeds: int = 3,
    folder: Path = Path("runs/baselines"),
    write: Path | None = None,
) -> None:
    """Train what is missing, then print (or write) the page of all that the folder has."""
    for name in tasks.split(","):
        try:
            for seed in range(seeds):
                for fold in _folds(name):
                    _result_of(get_task(name), fold, seed, folder, train=True)
        except UserError as error:
            typer.echo(f"{name}: left out: {error}", err=True)
    text = page(folder, seeds)
    if write is None:
        typer.echo(text)
    else:
        write_atomically(write, text.encode())


def _folds(name: str) -> tuple[int, ...]:
    return tuple(range(motion.FOLDS)) if name == "motion" else (0,)


def _result_of(task: Task, fold: int, seed: int, folder: Path, train: bool) -> Result | None:
    """The result in the folder; trains for one that is missing with `train`, else None."""
    data, groups = _data(task, fold)
    key = content_hash([repr(task.recipe), repr(task.net()), _data_hash(task.name, fold)])
    path = folder / f"{task.name}-{fold}-{seed}-{key[:12]}.json"
    if path.is_file():
        return Result(**json.loads(path.read_text("utf-8")))
    if not train:
        return None
    result = _train(task, data, groups, seed, f"fold {fold}, seed {seed}", path)
    write_atomically(path, json.dumps(asdict(result), indent=1).encode())
    return result


@cache
def _data_hash(name: str, fold: int) -> str:
    return data_sha256(_data(get_task(name), fold)[0])


def _data(task: Task, fold: int) -> tuple[Dataset, np.ndarray | None]:
    if task.name == "motion":
        return motion.load_fold(fold)
    return task.load(), None


def _train(
    task: Task,
    data: Dataset,
    groups: np.ndarray | None,
    seed: int,
    what: str,
    path: Path,
) -> Result:
    rules, recipe = rules_of(task), task.recipe
    seed_torch(seed)
    module = task.net()
    checkpoint, spent = Checkpoint(path.with_suffix(".checkpoint")), _Clock(path)

    def loss(outputs: Tensor, targets: Tensor, _: Tensor) -> Tensor:
        return rules.loss(outputs, targets, "mean")

    with training_progress(f"{task.name}, {what}") as tick, spent:
        split = rules.training_split(data.train)
        schedule = Schedule(recipe, recipe.epochs, seed)
        fit(module, split, schedule, loss, tick=tick, checkpoint=checkpoint)
    val, test = (predict(module, part.x).numpy() for part in (data.val, data.test))
    by_group = {}
    for group in [] if groups is None else np.unique(groups):
        own = groups == group
        by_group[str(group)] = _value(task, test[own], Split(data.test.x[own], data.test.y[own]))
    checkpoint.path.unlink(missing_ok=True)
    return Result(
        val=_value(task, val, data.val),
        test=_value(task, test, data.test),
        epochs=recipe.epochs,
        cpu_s=spent.total_s,
        train_samples=len(data.train),
        test_samples=len(data.test),
        groups=by_group,
    )


def _value(task: Task, outputs: np.ndarray, split: Split) -> float:
    return value_of(metric_of(task), outputs, split.y, split.x)


class _Clock:
    """CPU seconds of a training, those of interrupted calls included."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_suffix(".seconds")
        self.total_s = float(self.path.read_text()) if self.path.is_file() else 0.0

    def __enter__(self) -> None:
        self.began_s = time.process_time()

    def __exit__(self, *failed: object) -> None:
        self.total_s += time.process_time() - self.began_s
        if failed[0] is None:
            self.path.unlink(missing_ok=True)
        else:
            write_atomically(self.path, repr(self.total_s).encode())


def page(folder: Path, seeds: int) -> str:
    """The Markdown page of all results in the folder."""
    found = {name: list(_results(name, folder, seeds)) for name in PUBLISHED}
    lines = [_HEAD.format(seeds=seeds)]
    lines += ["| task | metric | test | validation | epochs | CPU s | samples | runs |"]
    lines += ["|---|---|---:|---:|---:|---:|---:|---:|"]
    lines += [_row(name, results) for name, results in found.items() if results]
    lines += [
        "",
        "## Beside published figures",
        "",
        "| task | ours, test | published | how | source |",
    ]
    lines += ["|---|---:|---:|---|---|"]
    for name, figures in PUBLISHED.items():
        ours = (
            _mean_and_spread(name, [r.test for r in found[name]]) if found[name] else "not trained"
        )
        for figure in figures:
            lines.append(f"| `{name}` | {ours} | {figure.value} | {figure.how} | {figure.source} |")
    lines += ["", *_subjects(found.get("motion", [])), *_foot(found)]
    return "\n".join(lines) + "\n"


def _results(name: str, folder: Path, seeds: int) -> Iterator[Result]:
    if not any(folder.glob(f"{name}-*.json")):
        return  # data would be made or read for nothing
    for seed in range(seeds):
        for fold in _folds(name):
            try:
                result = _result_of(get_task(name), fold, seed, folder, train=False)
            except UserError:
                return  # its data are not there
            if result is not None:
                yield result


def _row(name: str, results: list[Result]) -> str:
    values = [
        _mean_and_spread(name, [getattr(r, part) for r in results]) for part in ("test", "val")
    ]
    first = results[0]
    seconds = statistics.mean(result.cpu_s for result in results)
    return (
        f"| `{name}` | {metric_of(get_task(name)).name} | {values[0]} | {values[1]} | "
        f"{first.epochs} | {seconds:.0f} | {first.train_samples:,} | {len(results)} |"
    )


def _mean_and_spread(name: str, values: list[float]) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else float("nan")
    if metric_of(get_task(name)).name == "accuracy":
        return f"{100 * statistics.mean(values):.2f} ± {100 * spread:.2f} %"
    return f"{statistics.mean(values):.3f} ± {spread:.3f}"


def _subjects(results: list[Result]) -> list[str]:
    """The accuracy of each subject of `motion` in the fold where it is tested, over the seeds."""
    values: dict[int, list[float]] = {}
    for result in results:
        for subject, value in result.groups.items():
            values.setdefault(int(subject), []).append(value)
    if not values:
        return []
    means = {subject: statistics.mean(values[subject]) for subject in sorted(values)}
    spread = statistics.stdev(means.values()) if len(means) > 1 else float("nan")
    return [
        "## `motion`, by subject",
        "",
        "Test accuracy in the fold where the subject is tested, mean over seeds, %.",
        "",
        "| subject | " + " | ".join(map(str, means)) + " | mean | spread |",
        "|---|" + "---:|" * (len(means) + 2),
        "| accuracy | "
        + " | ".join(f"{100 * value:.1f}" for value in means.values())
        + f" | {100 * statistics.mean(means.values()):.1f} | {100 * spread:.1f} |",
        "",
    ]


def _foot(found: dict[str, list[Result]]) -> list[str]:
    names = ("torch", "numpy", "scikit-learn")
    missing = [f"`{name}`" for name, results in found.items() if not results]
    lines = [f"Python {platform.python_version()}, "
             + ", ".join(f"{name} {version(name)}" for name in names)
             + f"; {platform.machine()}, one thread."]  # fmt: skip
    if missing:
        lines += ["", f"Not trained here: {', '.join(missing)}."]
    return lines


_HEAD = """# What the tasks' networks reach before compression

Made by `benchmarks/baselines.py`: float networks, trained by each task's `recipe` with {seeds}
seeds; mean ± standard deviation over runs. `motion` has a run for each of its five folds and each
seed, so its spread is that of subjects more than of seeds; other tasks have fixed splits. CPU
seconds are of one training, on a machine that did other work, too. Data, splits and licenses:
[tasks.md](tasks.md).
`kws` is synthesized speech, to which no published figure compares.
"""


if __name__ == "__main__":
    typer.run(main)
