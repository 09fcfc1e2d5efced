"""The tuned kernels beside CMSIS-NN's on the MLPerf Tiny reference models, in one run, as Markdown.

    PYTHONPATH=tests python benchmarks/engine.py FOLDER [--names m4,m7] [--write docs/engine.md]

FOLDER holds the int8 .tflite files of the MLPerf Tiny benchmark. Every inference is bit-equal to
the integer reference and to every oracle that is installed, or there is no number. The page is
docs/engine.md: what stands before its first table is written by hand and stays.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import typer

from compress.errors import OverBudget
from compress.files import write_atomically
from hil.benchmark.benchmark import BenchmarkResult, benchmark
from hil.benchmark.models import BenchmarkModel, load_model, without_dead_channels
from hil.benchmark.samples import random_samples
from hil.board import load_board, without_limits, without_waits
from hil.codegen.build import compiler_version
from hil.codegen.plan import KernelChoice
from hil.codegen.selection import select
from hil.cycle_model import FlashTiming
from hil.measure.kernel_costs import time_kernels
from hil.measure.measure import BoardRunner
from hil.target.open import open_target, open_waiting_target
from hil.target.target import Target as OpenTarget
from hil.target.target_qemu import QemuTarget
from hil.types import Board, KernelSet, Memory

START = "<!-- made by benchmarks/engine.py -->\n"
# The flash of the STM32L4R5 at 120 MHz, the board of most published MLPerf Tiny results:
# bytes a read, wait states (ST RM0432, 3.3.3, VOS range 1 boost), lines of its caches (3.3.4).
_L4R5 = (8, 5, 128, 32)


@dataclass(frozen=True, slots=True)
class Target:
    """A board and the memory in front of which it waits; `unit` is what its numbers count."""

    name: str
    title: str
    board: Board
    unit: str
    open: Callable[[Board], OpenTarget] = open_target


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the benchmark, as it is or without its dead channels."""

    title: str
    file: str
    eliminated: bool = False


MODELS = (
    Model("KWS", "kws_ref_model"),
    Model("IC", "pretrainedResnet_quant"),
    Model("VWW", "vww_96_int8"),
    Model("VWW eliminated", "vww_96_int8", eliminated=True),
    Model("AD", "ad01_int8"),
)
KERNEL_SETS: tuple[KernelSet, ...] = get_args(KernelSet)[::-1]
Results = dict[tuple[str, str, KernelSet, Memory], BenchmarkResult]


class M3RunningM0(QemuTarget):
    """The emulated Cortex-M3 with code for a Cortex-M0, whose cycles it models.

    The M3 has all instructions of the M0, and more memory than the emulated M0.
    """

    def _check_core(self, found: str, hint: str) -> None:
        """The other core is meant."""


def m0_on_m3() -> Board:
    """The M3's board, for which the code of an M0 is compiled."""
    m0 = load_board("m0")
    m3 = without_waits(without_limits(load_board("m3")))
    return replace(m3, core=m0.core, features=m0.features, compiler_flags=m0.compiler_flags)


def targets() -> dict[str, Target]:
    """What is measured, by name."""

    def board(name: str) -> Board:
        return without_limits(load_board(name))

    m4 = without_waits(board("m4"))
    line, wait, instructions, data = _L4R5
    flash = FlashTiming(m4.flash.origin, m4.flash.length_bytes, line, wait, instructions, data)
    slow = replace(m4, memory=replace(m4.memory, flash=flash, source="ST RM0432, 3.3"))
    cycles, counts = "kilocycles, modelled", "kilo-instructions"
    known = [
        Target("m4", "M4, memory without waits", m4, cycles),
        Target("m4-l4r5", "M4 with the STM32L4R5's flash at 120 MHz", slow, cycles),
        Target("m7", "M7, memory without waits", without_waits(board("m7")), cycles),
        Target("m33", "M33, memory without waits", without_waits(board("m33")), cycles),
        Target("m3", "M3, memory without waits", without_waits(board("m3")), cycles),
        Target("m0", "M0, memory without waits", m0_on_m3(), cycles, M3RunningM0),
        Target("m55", "M55", board("m55"), counts),
    ]
    return {target.name: target for target in known}


def main(folder: Path, names: str = ",".join(targets()), write: Path | None = None) -> None:
    """Measure every model on every target with both kernel sets and print (or write) the tables."""
    chosen = [targets()[name] for name in names.split(",")]
    results: Results = {}
    for model in MODELS:
        loaded = load_model(str(folder / f"{model.file}.tflite"), Path())
        if model.eliminated:
            loaded = without_dead_channels(loaded)
        for target in chosen:
            for kernel_set in KERNEL_SETS:
                for saves in _purposes(target, kernel_set):
                    print(f"{model.title} on {target.name}: {kernel_set} {saves}", file=sys.stderr)
                    result = _measured(loaded, target, kernel_set, saves)
                    if result is not None:
                        results[model.title, target.name, kernel_set, saves] = result
    text = START + _tables(chosen, results)
    if write:
        before = write.read_text(encoding="utf-8").partition(START)[0] if write.exists() else ""
        write_atomically(write, (before + text).encode())
    else:
        print(text)


def _purposes(target: Target, kernel_set: KernelSet) -> tuple[Memory, ...]:
    """Speed on every target; RAM and size on the first only, where tuned kernels have a choice."""
    if target.name == "m4" and kernel_set == "tuned":
        return ("nothing", "ram", "flash")
    return ("nothing",)


def _measured(
    model: BenchmarkModel, target: Target, kernel_set: KernelSet, saves: Memory
) -> BenchmarkResult | None:
    """The result, None if the model does not fit the emulated memories."""
    board = target.board
    samples = random_samples(model.graph, 2)
    choice = KernelChoice(saves, kernel_set)
    try:
        with BoardRunner(board, target.open, open_waiting_target) as runner:
            if kernel_set == "tuned":  # as `hil bench` does
                costs = time_kernels(model.graph, board, runner, samples, choice)
                choice = select(model.graph, board, replace(choice, costs=costs))
            return benchmark(model, board, runner, samples, 1, False, choice=choice)
    except OverBudget as error:
        print(f"  does not fit: {error}", file=sys.stderr)
        return None


def _cost(result: BenchmarkResult) -> int:
    """Cycles with the waits of the memory, instructions where cycles are not modeled."""
    measured = result.measurement
    if measured.model_cycles is None:
        return measured.count
    return measured.model_cycles + (measured.wait_cycles or 0)


def _code_bytes(result: BenchmarkResult) -> int:
    """Kernels and the calls of the layers."""
    parts = result.measurement.flash.parts
    return parts["kernels"] + parts["model"]


def _tables(chosen: list[Target], results: Results) -> str:
    first = next(iter(results.values()))
    kernels = next(r for k, r in results.items() if k[2] == "tuned").provenance.kernels
    lines = [
        f"Made by `benchmarks/engine.py` with {compiler_version()}, {kernels}, "
        f"{first.provenance.emulator and 'QEMU ' + first.provenance.emulator}; outputs bit-equal "
        f"to the integer reference and to {first.oracle.text}. Cycles are modelled "
        "([how truly](cycle-model.md)), instructions exact counts of the emulator; nothing here "
        "is silicon. M0: the emulated Cortex-M3, whose memory all models fit, runs code for a "
        "Cortex-M0 and counts that one's cycles.\n"
    ]
    lines += ["## Whole networks\n"]
    for target in chosen:
        lines += _whole(target, results)
    lines += _purposes_table(results)
    for target in chosen:
        if target.name in ("m4", "m3", "m55"):
            lines += _layers(target, results)
    import int4_layers  # which needs tests/helpers; who imports this module may not have them

    lines += ["## Weights of 4 bits (random layers, cycles modelled, memory without waits)\n"]
    lines += int4_layers.table()
    return "\n".join(lines) + "\n"


def _whole(target: Target, results: Results) -> list[str]:
    lines = [
        f"**{target.title}** ({target.unit})\n",
        "| | CMSIS-NN | tuned | ratio | arena, bytes | tuned | kernels + calls, bytes | tuned |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for model in MODELS:
        pair = [results.get((model.title, target.name, s, "nothing")) for s in KERNEL_SETS]
        theirs, ours = pair
        if theirs is None or ours is None:
            continue
        cells = [
            f"{_cost(theirs) / 1000:,.0f}",
            f"{_cost(ours) / 1000:,.0f}",
            f"{_cost(theirs) / _cost(ours):.2f}",
            *(f"{r.measurement.ram.parts['arena']:,}" for r in (theirs, ours)),
            *(f"{_code_bytes(r):,}" for r in (theirs, ours)),
        ]
        lines.append(f"| {model.title} | {' | '.join(cells)} |")
    return [*lines, ""]


def _purposes_table(results: Results) -> list[str]:
    """Speed, RAM and size against each other, on the first target."""
    lines = [
        "## Speed, RAM, size (M4, memory without waits)\n",
        "| | `--optimize` | kilocycles | arena, bytes | kernels + calls, bytes | weights, bytes |",
        "|---|---|---:|---:|---:|---:|",
    ]
    options: dict[Memory, str] = {"nothing": "speed", "ram": "ram", "flash": "size"}
    for model in MODELS:
        for saves, option in options.items():
            result = results.get((model.title, "m4", "tuned", saves))
            if result is None:
                continue
            cells = [
                f"{_cost(result) / 1000:,.0f}",
                f"{result.measurement.ram.parts['arena']:,}",
                f"{_code_bytes(result):,}",
                f"{result.measurement.flash.parts['weights']:,}",
            ]
            lines.append(f"| {model.title} | {option} | {' | '.join(cells)} |")
    return [*lines, ""]


def _layers(target: Target, results: Results) -> list[str]:
    """Cost a MAC (or an output element) of each layer with both kernel sets."""
    lines = [f"## Layer by layer: {target.title}\n"]
    for model in MODELS:
        pair = [results.get((model.title, target.name, s, "nothing")) for s in KERNEL_SETS]
        theirs, ours = pair
        if theirs is None or ours is None:
            continue
        lines += [
            f"**{model.title}**\n",
            f"| layer | MACs | CMSIS-NN, {target.unit.split(',')[0]} | tuned | per MAC | tuned "
            "| kernel |",
            "|---|---:|---:|---:|---:|---:|---|",
        ]
        for a, b in zip(theirs.layers, ours.layers, strict=True):
            costs = [x.count if x.model_cycles is None else x.model_cycles for x in (a, b)]
            cells = [f"{cost / 1000:,.1f}" for cost in costs]
            cells += [f"{cost / a.macs:.2f}" if a.macs else "" for cost in costs]
            lines.append(f"| {a.name} | {a.macs:,} | {' | '.join(cells)} | {b.kernel} |")
        lines.append("")
    return lines


if __name__ == "__main__":
    typer.run(main)
