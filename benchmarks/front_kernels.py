"""What the tuned kernels do to a search's front: its networks measured with both sets of kernels.

    python benchmarks/front_kernels.py RUN

RUN is the folder of a run. Prints a table as Markdown: for each network of the front, and the int8
network, instructions and modelled cycles with CMSIS-NN's kernels and with tuned ones (in the order
in which they are listed, as a search takes them), and their ratios to the int8 network that runs
the same kernels. Outputs are bit-equal to the integer reference, or there is no number.
"""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import typer

from hil.benchmark.benchmark import benchmark
from hil.benchmark.models import load_model
from hil.benchmark.samples import random_samples
from hil.board import without_limits
from hil.codegen.plan import KernelChoice
from hil.measure.measure import BoardRunner
from hil.report.summary import summarize
from hil.store.run_folder import board_of
from hil.store.store import Store
from hil.target.open import open_target, open_waiting_target
from hil.types import Board, KernelSet, Measurement

KERNEL_SETS: tuple[KernelSet, ...] = get_args(KernelSet)[::-1]


def main(run: Path) -> None:
    """Measure the networks of the front of `run` and print the table."""
    with Store.read(run) as store:
        summary = summarize(store)
    board = replace(without_limits(board_of(run, summary.board)), name=summary.board)
    assert summary.baseline is not None, "a finished run has its int8 network"
    numbers = sorted({trial.number for trial in (*summary.front, summary.baseline)})
    found = {number: _measured(run, number, board) for number in numbers}
    base = found[summary.baseline.number]
    print(f"{summary.task} on {summary.board}: {len(numbers)} networks\n")
    heads = " | ".join(f"{name}: kilo-instructions | of int8 | kilocycles" for name in KERNEL_SETS)
    print(f"| trial | accuracy | {heads} |")
    print("|---|---:|" + "---:|" * 3 * len(KERNEL_SETS))
    accuracies = {trial.number: trial.accuracy for trial in summary.trials}
    for number, measured in found.items():
        cells = [
            f"{one.count / 1000:,.1f} | {one.count / of.count:.3f} | {_kilocycles(one)}"
            for one, of in zip(measured, base, strict=True)
        ]
        name = f"{number}, int8" if number == summary.baseline.number else str(number)
        print(f"| {name} | {100 * (accuracies[number] or 0):.2f} % | {' | '.join(cells)} |")


def _kilocycles(measured: Measurement) -> str:
    if measured.model_cycles is None:
        return ""
    return f"{(measured.model_cycles + (measured.wait_cycles or 0)) / 1000:,.1f}"


def _measured(run: Path, number: int, board: Board) -> list[Measurement]:
    """The measurements of a trial's network, one with each of `KERNEL_SETS`."""
    model = load_model(f"{run}:{number}", run.parent)
    samples = random_samples(model.graph, 2)
    measured = []
    for kernel_set in KERNEL_SETS:
        with BoardRunner(board, open_target, open_waiting_target) as runner:
            choice = KernelChoice("flash", kernel_set)
            result = benchmark(model, board, runner, samples, 1, False, choice=choice)
        measured.append(result.measurement)
    return measured


if __name__ == "__main__":
    typer.run(main)
