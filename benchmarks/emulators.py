"""Counts of the same networks in several versions of QEMU, as Markdown: docs/emulators.md.

    python benchmarks/emulators.py FOLDER [QEMU ...] [--boards m3,m4] [--write docs/emulators.md]

FOLDER holds kws_ref_model.tflite and ad01_int8.tflite of the MLPerf Tiny benchmark. Each QEMU is a
folder that holds a program qemu-system-arm; the one on PATH is the first. A script is such a
program, too: it may start the emulator of another system with that system's libraries, and has to
`exec` it, because sockets are inherited. Limits of the parts that the boards stand for are lifted.
"""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from compress.errors import OverBudget
from compress.types import Samples
from hil.benchmark.benchmark import BenchmarkResult, benchmark
from hil.benchmark.models import BenchmarkModel, load_model
from hil.benchmark.samples import random_samples
from hil.board import load_board, without_limits
from hil.emulator.plugin import qemu_version
from hil.errors import BenchError
from hil.measure.measure import BoardRunner
from hil.target.open import open_target, open_waiting_target

MODELS = ("kws_ref_model", "ad01_int8", "digits")  # the last fits on every board
BOARDS = "m0,m3,m4,m7,m33,m55,stm32f405"
SAMPLES = 2
TOO_LARGE = "does not fit"
TEMPLATE = Path(__file__).with_name("emulators.template.md")


def main(
    folder: Path,
    emulators: Annotated[list[Path] | None, typer.Argument()] = None,
    boards: str = BOARDS,
    write: Path | None = None,
) -> None:
    """Measure each network on each board in each emulator and print (or write) the tables."""
    path = os.environ["PATH"]
    searched = [path, *(f"{emulator.resolve()}:{path}" for emulator in emulators or [])]
    versions = []
    for os.environ["PATH"] in searched:
        versions.append(qemu_version())
    rows = []
    for board in boards.split(","):
        for model in MODELS:
            results = []
            for os.environ["PATH"] in searched:
                print(f"{model} on {board} in QEMU {qemu_version()}", file=sys.stderr)
                results.append(_measured(folder, model, board))
            rows += _rows(board, model, results)
    text = TEMPLATE.read_text(encoding="utf-8").replace("TABLE", _table(versions, rows))
    if write:
        write.write_text(text, encoding="utf-8")
    else:
        print(text)


def _measured(folder: Path, model_name: str, board_name: str) -> BenchmarkResult | str:
    """The result, or why there is none."""
    model, samples = _network(folder, model_name)
    board = without_limits(load_board(board_name))
    try:
        with BoardRunner(board, open_target, open_waiting_target) as runner:
            return benchmark(model, board, runner, samples, 1, False)
    except OverBudget:
        return TOO_LARGE
    except BenchError as error:
        return str(error)


@cache
def _network(folder: Path, name: str) -> tuple[BenchmarkModel, Samples]:
    file = folder / f"{name}.tflite"
    model = load_model(str(file) if file.exists() else name, Path())
    return model, random_samples(model.graph, SAMPLES)


def _table(versions: list[str], rows: list[str]) -> str:
    first, *others = versions
    head = f"| board | network | {first}: instructions | cycles | wait cycles |"
    head += "".join(f" {version} |" for version in others)
    return "\n".join([head, "|---|---|---:|---:|---:|" + "---|" * len(others), *rows])


def _rows(board: str, model: str, results: list[BenchmarkResult | str]) -> list[str]:
    """The row of one network on one board; none if it does not fit."""
    first = results[0]
    if first == TOO_LARGE:
        return []
    if isinstance(first, str):
        raise BenchError(f"{model} on {board}: {first}")
    cells = [_cell(first, result) for result in results[1:]]
    return [f"| `{board}` | {model} | {_counts(first)} | {' | '.join(cells)} |"]


def _counts(result: BenchmarkResult) -> str:
    measured = result.measurement
    numbers = (measured.count, measured.model_cycles, measured.wait_cycles)
    return " | ".join("-" if number is None else f"{number:,}" for number in numbers)


def _cell(first: BenchmarkResult, other: BenchmarkResult | str) -> str:
    """ "equal", or what another emulator counted, or why it counted nothing."""
    if isinstance(other, str):
        return f"**{other}**"
    same = (first.measurement, first.layers) == (other.measurement, other.layers)
    return "equal" if same else f"**{_counts(other).replace(' | ', ', ')}**"


if __name__ == "__main__":
    typer.run(main)
