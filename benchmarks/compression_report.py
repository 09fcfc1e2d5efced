"""The tables of `compression.py`: Markdown for people, .csv for everything else."""

import csv
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from compression_arms import QUESTIONS, Arm, Question

from compress.tasks import get_task
from hil import formatting
from hil.store.store import Final
from hil.types import Trial

HELPS, HURTS, UNDECIDED = "helps", "hurts", "undecided"


@dataclass(frozen=True, slots=True)
class Result:
    """One arm with one seed: its trial, and its figures on the test split if it was measured."""

    arm: Arm
    seed: int
    trial: Trial
    final: Final | None


def grouped(results: list[Result]) -> dict[str, list[Result]]:
    """Results by the name of their arm, in the order of the arms."""
    by_arm: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_arm[result.arm.name].append(result)
    return by_arm


def report(
    results: list[Result], task: str, board: str, budget: int, name: str, peak_mib: float
) -> str:
    """All as Markdown; picture and raw figures beside it are called `name`.

    `peak_mib` is the memory of the largest process that took part.
    """
    by_arm = grouped(results)
    baseline = by_arm["int8"]
    families = list(dict.fromkeys(result.arm.family for result in results))
    sections = [_family(name, by_arm, baseline) for name in families]
    first = results[0].trial.provenance
    length = get_task(task).fine_tune
    samples = "all" if length.samples_per_epoch is None else f"{length.samples_per_epoch:,}"
    slowest = max(results, key=_seconds)
    slowest_s = _seconds(slowest)
    head = f"""# What each compression method does: {get_task(task).title}

Made by `python benchmarks/compression.py --task {task} --board {board} --seeds {len(baseline)}
--budget {budget}`; raw figures: [{name}.csv]({name}.csv).

- Every row is a network that ran on `{board}` ({first.core}, emulated), its outputs equal bit for
  bit to the integer reference and to tflite-runtime. Instructions are the emulator's exact count,
  not time. Flash is the whole image; weights are its part for weights, biases and scales.
- Mean ± standard deviation over {len(baseline)} seeds of training; each seed trains an original
  of its own. Accuracy is the reference's on the whole test split, which nothing was chosen by;
  "to int8" is the difference to the same seed's int8 network.
- Budget: every trained row has {budget * length.epochs} epochs of {samples} samples after the
  original's training, however it divides them among its stages; rows without training have none.
  Training that follows other training is at 0.3 of the usual learning rate, quantization-aware
  training at 0.1. Seconds are those of all stages and of the lowering on one thread, two processes
  at a time on two cores: elapsed time, so too long wherever the machine had other work.
- The slowest pipeline ({slowest.arm.name}) took {slowest_s:.0f} s; the largest process of this
  command had {peak_mib:,.0f} MiB.
- {first.compiler}; {first.kernels}; torch {first.torch}; git {first.git_sha[:9]}.
"""
    picture = (
        f"![Accuracy against weights and instructions]({name}.png)\n\n"
        "What lost more than eight points is drawn at the lower edge.\n"
    )
    return "\n".join([head, picture, _in_short(by_arm), *sections, _answers(by_arm)])


def _in_short(by_arm: dict[str, list[Result]]) -> str:
    """The questions by their answers, and what became of the claim about teachers."""
    said: dict[str, list[str]] = {HELPS: [], HURTS: [], UNDECIDED: []}
    for question in QUESTIONS:
        points = differences(by_arm[question.arm], by_arm[question.than])
        if len(points) > 1:
            mean = f"{fmean(points):+.1f}"
            said[_verdict(points)].append(f"{question.text} ({mean})")
    lines = ["## In short\n"]
    lines += [
        f"- **{verdict[0].upper()}{verdict[1:]}**: {'; '.join(said[verdict])}." for verdict in said
    ]
    claims = {
        "than training on the labels": "P, Q, then labels",
        "than the original network as teacher": "P, Q, D from the original",
    }
    for words_, than in claims.items():
        points = differences(by_arm["P, Q, D from the compressed"], by_arm[than])
        if len(points) > 1:
            verdict = {
                HELPS: "holds",
                HURTS: "is contradicted",
                UNDECIDED: "is neither seen nor refuted",
            }
            lines.append(
                f"- The compressed network teaches better {words_}, after pruning and quantizing: "
                f"the claim {verdict[_verdict(points)]} here "
                f"({fmean(points):+.2f} points, {_each(points)})."
            )
    return "\n".join(lines) + "\n"


def _each(points: list[float]) -> str:
    return " ".join(f"{d:+.2f}" for d in points)


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
            f"| {_spread(differences(measured, baseline), sign=True)} "
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
        "standard errors from zero; with so few seeds that is a hint and no proof. “Undecided” is "
        "everything else, be it no difference or seeds that differ.\n",
        "| | seeds | mean | |",
        "|---|---|---:|---|",
    ]
    for question in QUESTIONS:
        points = differences(by_arm[question.arm], by_arm[question.than])
        if points:
            mean, verdict = fmean(points), _verdict(points)
            lines.append(f"| {_asked(question)} | {_each(points)} | {mean:+.2f} | {verdict} |")
    return "\n".join(lines) + "\n"


def _asked(question: Question) -> str:
    return f"{question.text} (*{question.arm}* against *{question.than}*)"


def _verdict(points: list[float]) -> str:
    """One seed decides nothing."""
    if len(points) < 2:
        return UNDECIDED
    error = stdev(points) / len(points) ** 0.5
    agree = min(points) > 0 or max(points) < 0
    if agree and abs(fmean(points)) > 2 * error:
        return HELPS if points[0] > 0 else HURTS
    return UNDECIDED


def _seconds(result: Result) -> float:
    return sum(cost.seconds for cost in result.trial.costs)


def _accuracy(result: Result) -> float:
    if result.final is None:
        raise ValueError(f"{result.arm.name} has no figures on the test split")
    return result.final.accuracy


def differences(results: list[Result], others: list[Result]) -> list[float]:
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
    value = f"{mean:,.0f}" if mean < 1e6 else formatting.short_count(mean)
    return f"{value} ({formatting.ratio(mean / reference)})"


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
