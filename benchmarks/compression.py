"""What each compression method does to one task's network on one board: a table, with seeds.

    python benchmarks/compression.py [--task kws] [--board m4] [--seeds 3] [--budget 6]
        [--write docs/results/compression.md]

Every arm (`compression_arms.py`) is compressed, built, run on the board and compared bit for bit
like any candidate; trained arms all have the same budget of epochs. Networks are chosen by nobody:
the test split is looked at once per arm and seed. What is done is kept in runs/compression-*/ and
the same command goes on where it stopped. The raw figures go to a .csv beside the Markdown.
"""

import csv
import resource
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import TypeVar

import typer
from compression_arms import QUESTIONS, Arm, Question, arms

from compress.network import train_original
from compress.ops import Conv2D
from compress.pipeline import preview
from compress.tasks import get_task
from hil import words
from hil.board import board_sha256, load_board
from hil.candidate import final_figures, try_genome
from hil.evolve import Settings, open_context
from hil.progress import Line, training_progress
from hil.store import Final, RunIdentity, Store
from hil.types import Trial
from hil.workers import Workers, result_of

T = TypeVar("T")

PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Result:
    """One arm with one seed: its trial, and its figures on the test split if it was measured."""

    arm: Arm
    seed: int
    trial: Trial
    final: Final | None


def main(
    task: str = "kws",
    board: str = "m4",
    seeds: int = 3,
    budget: int = 6,
    write: Path | None = None,
    runs: Path = Path("runs"),
) -> None:
    """Run what is missing, then print (or write) the tables. `budget` is in fine-tuning lengths."""
    facts = load_board(board)
    folder = runs / f"compression-{task}-{board}-{budget}"
    results: list[Result] = []
    with Progress(seeds) as progress:
        for seed in range(seeds):
            settings = Settings(task, board, folder / f"seed{seed}", 0.0, 1, 1.0, seed)
            settings.folder.mkdir(parents=True, exist_ok=True)
            compared = _arms(settings, budget)
            identity = RunIdentity(task, board, seed, board_sha256(facts))
            with Store.open(settings.folder, identity) as store:
                store.begin_session(settings.accuracy)
                with Workers(PROCESSES, partial(open_context, settings, facts)) as workers:
                    run_missing(compared, store, workers, partial(progress.show, seed))
                store.end_session("trials")
                finals = {final.number: final for final in store.finals()}
                for arm in compared:
                    trial = store.find(arm.genome)
                    if trial is not None:
                        results.append(Result(arm, seed, trial, finals.get(trial.number)))
    text = report(results, task, board, budget)
    if write is None:
        print(text)
        return
    write.parent.mkdir(parents=True, exist_ok=True)
    write.write_text(text, encoding="utf-8")
    write_csv(results, write.with_suffix(".csv"))


def _arms(settings: Settings, budget: int) -> tuple[Arm, ...]:
    """The arms for this task's network, budget in epochs."""
    task = get_task(settings.task)
    with training_progress(f"training {task.name}, seed {settings.seed}") as tick:
        weights = settings.folder / "original.pt"
        original = train_original(task, task.load(), settings.seed, weights, tick)
    graph = preview(arms(6, (True,) * len(original.layers))[0].genome, original)
    kernels = {
        op.name: graph.tensors[op.weights].shape[1:3] for op in graph.ops if isinstance(op, Conv2D)
    }
    pointwise = tuple(kernels.get(name) == (1, 1) for name in original.layers)
    return arms(budget * task.fine_tune.epochs, pointwise)


def run_missing(
    compared: tuple[Arm, ...], store: Store, workers: Workers, show: Callable[[float, str], None]
) -> None:
    """Try every arm that the store does not have, then the test split of those measured."""
    missing = [arm for arm in compared if store.find(arm.genome) is None]
    number = store.next_number()
    jobs: dict[Future[Trial], str] = {
        workers.submit(try_genome, number + i, arm.genome): arm.name
        for i, arm in enumerate(missing)
    }
    done = len(compared) - len(missing)
    for future in _ended(jobs):
        store.add(result_of(future))
        done += 1
        show(done / len(compared), f"{done}/{len(compared)} arms, last: {jobs[future]}")
    known = {final.number for final in store.finals()}
    measured = [t.number for t in store.trials() if t.measurement and t.number not in known]
    finals = {workers.submit(final_figures, number): str(number) for number in measured}
    for final in _ended(finals):
        store.add_final(result_of(final))
        show(1.0, "test split")


def _ended(jobs: "dict[Future[T], str]") -> "Iterator[Future[T]]":
    running = set(jobs)
    while running:
        ended, running = wait(running, return_when=FIRST_COMPLETED)
        yield from ended


class Progress:
    """One line for all seeds, as a context manager."""

    def __init__(self, seeds: int) -> None:
        self._seeds = seeds
        self._line = Line()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()

    def show(self, seed: int, share: float, text: str) -> None:
        """`share` of this seed is done."""
        self._line.show((seed + share) / self._seeds, f"seed {seed}: {text}")


def report(results: list[Result], task: str, board: str, budget: int) -> str:
    """All as Markdown."""
    by_arm: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_arm[result.arm.name].append(result)
    baseline = by_arm["int8"]
    families = list(dict.fromkeys(result.arm.family for result in results))
    sections = [_family(name, by_arm, baseline) for name in families]
    peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    first = results[0].trial.provenance
    length = get_task(task).fine_tune
    slowest = max(results, key=_seconds)
    slowest_s = _seconds(slowest)
    head = f"""# What each compression method does: {get_task(task).title}

Made by `python benchmarks/compression.py --task {task} --board {board} --seeds {len(baseline)}
--budget {budget}`; raw figures: [compression.csv](compression.csv).

- Every row is a network that ran on `{board}` ({first.core}, emulated), its outputs equal bit for
  bit to the integer reference and to tflite-runtime. Instructions are the emulator's exact count,
  not time. Flash is the whole image; weights are its part for weights, biases and scales.
- Mean ± standard deviation over {len(baseline)} seeds of training; each seed trains an original
  of its own. Accuracy is the reference's on the whole test split, which nothing was chosen by;
  "to int8" is the difference to the same seed's int8 network.
- Budget: every trained row has {budget * length.epochs} epochs of
  {length.samples_per_epoch or "all"} samples after the original's training, however it divides them
  among its stages; rows without training have none. Seconds are those of all stages and of the
  lowering on one thread, two processes at a time on two cores.
- The slowest pipeline ({slowest.arm.name}) took {slowest_s:.0f} s; the largest process of this
  command had {peak_mib:,.0f} MiB.
- {first.compiler}; {first.kernels}; torch {first.torch}.
"""
    return "\n".join([head, *sections, _answers(by_arm)])


def _family(name: str, by_arm: dict[str, list[Result]], baseline: list[Result]) -> str:
    lines = [
        f"## {name[0].upper()}{name[1:]}\n",
        "| | accuracy, % | to int8 | flash | weights | RAM | instructions | epochs | s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for arm, results in by_arm.items():
        if results[0].arm.family != name:
            continue
        measured = [r for r in results if r.trial.measurement is not None and r.final is not None]
        if not measured:
            lines.append(f"| {arm} | {results[0].trial.reason} | | | | | | | |")
            continue
        lines.append(
            f"| {arm} | {_spread([100 * _accuracy(r) for r in measured])} "
            f"| {_spread(_differences(measured, baseline), sign=True)} "
            f"| {_ratio(measured, baseline, lambda t: t.flash.total)} "
            f"| {_ratio(measured, baseline, lambda t: t.flash.parts['weights'])} "
            f"| {_ratio(measured, baseline, lambda t: t.ram.total)} "
            f"| {_ratio(measured, baseline, lambda t: t.count)} "
            f"| {measured[0].trial.epochs} | {fmean(map(_seconds, measured)):.0f} |"
        )
    return "\n".join(lines) + "\n"


def _answers(by_arm: dict[str, list[Result]]) -> str:
    lines = [
        "## What helps, and what does not\n",
        "Differences of test accuracy in points, paired by seed, everything else being equal. "
        "“Helps” and “hurts” are said where every seed agrees and the mean is more than two "
        "standard errors from zero; with so few seeds that is a hint and no proof.\n",
        "| | seeds | mean | |",
        "|---|---|---:|---|",
    ]
    for question in QUESTIONS:
        differences = _differences(by_arm[question.arm], by_arm[question.than])
        if differences:
            each = " ".join(f"{d:+.2f}" for d in differences)
            mean = fmean(differences)
            lines.append(f"| {_asked(question)} | {each} | {mean:+.2f} | {_verdict(differences)} |")
    return "\n".join(lines) + "\n"


def _asked(question: Question) -> str:
    return f"{question.text} (*{question.arm}* against *{question.than}*)"


def _verdict(differences: list[float]) -> str:
    if len(differences) < 2:
        return ""
    error = stdev(differences) / len(differences) ** 0.5
    agree = min(differences) > 0 or max(differences) < 0
    if agree and abs(fmean(differences)) > 2 * error:
        return "**helps**" if differences[0] > 0 else "**hurts**"
    return "no difference seen"


def _seconds(result: Result) -> float:
    return sum(cost.seconds for cost in result.trial.costs)


def _accuracy(result: Result) -> float:
    if result.final is None:
        raise ValueError(f"{result.arm.name} has no figures on the test split")
    return result.final.accuracy


def _differences(results: list[Result], others: list[Result]) -> list[float]:
    """Points of test accuracy by seed, where both were measured."""
    theirs = {r.seed: _accuracy(r) for r in others if r.final}
    return [100 * (_accuracy(r) - theirs[r.seed]) for r in results if r.final and r.seed in theirs]


def _spread(values: list[float], *, sign: bool = False) -> str:
    mean = f"{fmean(values):+.2f}" if sign else f"{fmean(values):.2f}"
    return mean if len(values) < 2 else f"{mean} ± {stdev(values):.2f}"


def _ratio(results: list[Result], baseline: list[Result], of: Callable[..., float]) -> str:
    """The mean over seeds, and its ratio to the int8 network's."""
    mean = fmean(of(r.trial.measurement) for r in results)
    reference = fmean(of(r.trial.measurement) for r in baseline)
    value = f"{mean:,.0f}" if mean < 1e6 else words.short_count(mean)
    return f"{value} ({words.times(mean / reference)})"


def write_csv(results: list[Result], path: Path) -> None:
    """One row per arm and seed; sizes in bytes, accuracies as shares of 1."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        parts = ("weights", "model", "kernels", "harness", "libc")
        writer.writerow(
            ["family", "arm", "seed", "state", "val_accuracy", "test_accuracy", "device_correct",
             "device_total", "counter", "count", *(f"flash_{part}_bytes" for part in parts),
             "flash_bytes", "ram_bytes", "epochs", "seconds", "genome"]
        )  # fmt: skip
        for r in results:
            m, f = r.trial.measurement, r.final
            measured = (
                [m.counter, m.count, *(m.flash.parts.get(part, 0) for part in parts), m.flash.total,
                 m.ram.total]
                if m
                else [""] * (len(parts) + 4)
            )  # fmt: skip
            final = [f.accuracy, f.correct, f.total] if f else ["", "", ""]
            writer.writerow(
                [r.arm.family, r.arm.name, r.seed, r.trial.state, r.trial.accuracy, *final,
                 *measured, r.trial.epochs, round(_seconds(r), 1), r.trial.genome.to_json()]
            )  # fmt: skip


if __name__ == "__main__":
    sys.exit(typer.run(main))
