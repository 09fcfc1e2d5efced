"""Per-layer tables of the MLPerf Tiny reference models on emulated cores, as Markdown.

    python benchmarks/mlperf_tiny.py FOLDER [--boards m3,m4,m7] [--write docs/mlperf-tiny.md]

FOLDER holds the int8 .tflite files of the MLPerf Tiny benchmark. Every inference is bit-equal to
the integer reference and to every oracle that is installed, or there is no number.
"""

import sys
from pathlib import Path

import typer

from compress.errors import OverBudget
from hil.benchmark.benchmark import BenchmarkResult, benchmark
from hil.benchmark.models import load_model
from hil.benchmark.samples import random_samples
from hil.board import load_board, without_limits
from hil.codegen.plan import KernelChoice
from hil.formatting import memory_timing, three_digits
from hil.measure.measure import BoardRunner
from hil.target.open import open_target, open_waiting_target

MODELS = ("kws_ref_model", "pretrainedResnet_quant", "ad01_int8", "vww_96_int8")


def main(folder: Path, boards: str = "m3,m4,m7,m33,m55", write: Path | None = None) -> None:
    """Measure every model on every board and print (or write) the tables."""
    names = boards.split(",")
    sections = []
    for model_name in MODELS:
        model = load_model(str(folder / f"{model_name}.tflite"), Path())
        samples = random_samples(model.graph, 2)
        results: dict[str, BenchmarkResult | str] = {}
        for name in names:
            board = without_limits(load_board(name))
            print(f"{model_name} on {name}", file=sys.stderr)
            try:
                with BoardRunner(board, open_target, open_waiting_target) as runner:
                    results[name] = benchmark(
                        model, board, runner, samples, 1, False, choice=KernelChoice("nothing")
                    )
            except OverBudget as error:
                results[name] = str(error)
        sections.append(_section(model_name, results))
    text = _HEAD + _parts(names) + "\n".join(sections)
    if write:
        write.write_text(text, encoding="utf-8")
    else:
        print(text)


_HEAD = """# The MLPerf Tiny reference models, layer by layer

Made by `benchmarks/mlperf_tiny.py`. Instructions are exact counts of the emulator; cycles are
modelled and carry the error stated in [cycle-model.md](cycle-model.md); neither is silicon.
Modelled cycles are those with memory that never waits; wait cycles are what the flash of the part
adds that a board stands for, where the model describes it; times are of both, at the part's clock.
The limits of the parts are lifted. Kernels are [tuned](engine.md), weights stored for speed. Each
count was taken after the outputs of 2 inputs had been found equal, bit for bit, to the integer
reference and to what stands below each model as its oracles.

"""


def _parts(names: list[str]) -> str:
    """What part each board stands for, and how its memory is modeled."""
    boards = [load_board(name) for name in names]
    rows = [
        f"- {board.name}: {board.part.name}, {memory_timing(board.memory)}\n"
        for board in boards
        if board.part is not None
    ]
    return "".join(rows) + "\n"


def _section(name: str, results: dict[str, BenchmarkResult | str]) -> str:
    done = {board: r for board, r in results.items() if isinstance(r, BenchmarkResult)}
    lines = [f"## {name}\n"]
    lines += [f"Oracles: {one.oracle.text}.\n" for one in list(done.values())[:1]]
    lines += [f"{board}: does not fit: {r}\n" for board, r in results.items() if isinstance(r, str)]
    first = next(iter(done.values()))
    lines.append("| instructions | MACs |" + "".join(f" {board} |" for board in done))
    lines.append("|---|---:|" + "---:|" * len(done))
    for index, layer in enumerate(first.layers):
        counts = "".join(f" {r.layers[index].count:,} |" for r in done.values())
        lines.append(f"| {layer.name} | {layer.macs:,} |{counts}")
    totals = "".join(f" **{r.measurement.count:,}** |" for r in done.values())
    lines.append(f"| **whole network** | {first.macs:,} |{totals}")
    rows = {
        "per MAC": [f"{r.measurement.count / r.macs:.2f}" for r in done.values()],
        "modelled cycles": [
            "" if r.measurement.model_cycles is None else f"{r.measurement.model_cycles:,}"
            for r in done.values()
        ],
        "wait cycles": [
            "" if r.measurement.wait_cycles is None else f"{r.measurement.wait_cycles:,}"
            for r in done.values()
        ],
        "at, MHz": [
            "" if r.cycles is None else f"{r.board.time_clock_hz / 1e6:g}" for r in done.values()
        ],
        "ms": ["" if r.latency_ms is None else three_digits(r.latency_ms) for r in done.values()],
        "flash, bytes": [f"{r.measurement.flash.total:,}" for r in done.values()],
        "of it kernels": [f"{r.measurement.flash.parts['kernels']:,}" for r in done.values()],
        "RAM, bytes": [f"{r.ram.total:,}" for r in done.values()],
        "of it scratch": [f"{r.ram.parts['scratch']:,}" for r in done.values()],
        "of it expanded weights": [f"{r.ram.parts['expanded']:,}" for r in done.values()],
    }
    lines += [f"| {title} | | {' | '.join(cells)} |" for title, cells in rows.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(main)
