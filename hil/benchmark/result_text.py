"""What `hil bench` prints: a headline, the layers, flash and RAM by part, and notes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hil import formatting
from hil.benchmark.metric_lines import metric_lines
from hil.features.words import feature_words, features_to_json
from hil.types import LayerCount, Measurement

if TYPE_CHECKING:
    from hil.benchmark.benchmark import BenchmarkResult
    from hil.benchmark.front import FrontPoint
    from hil.benchmark.mlperf_runner import RunnerTrial


def warn_unjudged(result: BenchmarkResult, console: Console) -> None:
    """Say that only the integer reference was compared with the board, and why."""
    why = "; ".join(result.oracle.remarks)
    console.print(f"no oracle judged {result.model}: {why}", markup=False, soft_wrap=True)


def print_result(result: BenchmarkResult, console: Console) -> None:
    """Print a headline, the layers, flash and RAM by part, and notes on the numbers."""
    measured = result.measurement
    counted = formatting.COUNT_NOUNS[measured.counter]
    console.print(
        Text.assemble(
            (result.model, "bold"),
            " on ",
            (result.board.name, "bold"),
            f" ({result.board.core}): "
            f"{formatting.short_count(measured.count)} {counted}, {_time(result)}, "
            f"{formatting.kib(measured.flash.total)} KiB flash, "
            f"{formatting.kib(measured.ram.total)} KiB RAM",
        )
    )
    console.print(_layers(result, counted, wide=console.width >= 110))
    console.print(_bytes(result))
    if result.front:
        console.print(_front(result.front, counted))
    for line in _notes(result):
        console.print(line, style="dim", markup=False, highlight=False)


def _front(points: Sequence[FrontPoint], counted: str) -> Table:
    """RAM against cycles, the fastest plan first."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("arena", "RAM", "flash", counted, "cycles"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("row by row")
    for point in points:
        cycles = "" if point.cycles is None else f"{point.cycles:,}"
        sizes = (point.arena_bytes, point.ram_bytes, point.flash_bytes, point.count)
        segments = ", ".join(f"{first} to {last}" for first, last in point.by_rows)
        table.add_row(*(f"{size:,}" for size in sizes), cycles, Text(segments))
    return table


def _time(result: BenchmarkResult) -> str:
    if result.latency_ms is None:
        return "time unknown (only instructions are counted)"
    time = f"{result.latency_ms:.3g} ms at {formatting.time_clock(result.board)}"
    if result.measurement.counter in ("dwt", "systick"):
        return time
    error = result.measurement.model_error
    return (
        f"{time}, modelled, {'of unknown error' if error is None else formatting.plus_minus(error)}"
    )


def _layers(result: BenchmarkResult, counted: str, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("#", justify="right")
    table.add_column("layer", no_wrap=True)
    if wide:
        table.add_column("kernel", style="dim", no_wrap=True)
    for name in ("MACs", counted, "per MAC", "cycles", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    if wide:
        table.add_column("")
    total = sum(layer.count for layer in result.layers)
    for layer in result.layers:
        share = layer.count / total if total else 0.0
        cells = [
            f"{layer.macs:,}" if layer.macs else "",
            f"{layer.count:,}",
            f"{layer.count / layer.macs:.2f}" if layer.macs else "",
            _cycles(layer),
            f"{100 * share:.1f} %",
        ]
        extra = ([layer.kernel], ["█" * round(24 * share)]) if wide else ([], [])
        table.add_row(str(layer.index), Text(layer.name), *extra[0], *cells, *extra[1])
    count = result.measurement.count
    whole = [
        f"{result.macs:,}",
        f"{count:,}",
        f"{count / result.macs:.2f}" if result.macs else "",
        _cycles(result.measurement),
    ]
    table.add_section()
    table.add_row("", "whole network", *([""] if wide else []), *whole)
    return table


def _cycles(counted: LayerCount | Measurement) -> str:
    """Modeled cycles with the wait states that were modeled."""
    cycles = counted.model_cycles
    return "" if cycles is None else f"{cycles + (counted.wait_cycles or 0):,}"


def _bytes(result: BenchmarkResult) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("flash", "bytes", "RAM", "bytes"):
        table.add_column(name, justify="right" if name == "bytes" else "left")
    flash = [*result.measurement.flash.parts.items(), ("total", result.measurement.flash.total)]
    ram = [*result.ram.parts.items(), ("total", result.ram.total)]
    for row in range(max(len(flash), len(ram))):
        cells: list[str] = []
        for parts in (flash, ram):
            name, size = parts[row] if row < len(parts) else ("", None)
            cells += [name, "" if size is None else f"{size:,}"]
        table.add_row(*cells)
    return table


def _notes(result: BenchmarkResult) -> list[str]:
    measured, source, judges = result.measurement, result.provenance, result.oracle.oracles
    references = " and ".join(
        ", ".join(names)
        for names in (("the integer reference", *judges[:-1]), judges[-1:])
        if names
    )
    lines = [
        f"bit-equal on {formatting.number_of(result.compared, 'input')} to {references}",
        f"whole network: median of {len(result.counts)} x {result.compared} inferences, "
        f"{measured.count_min:,} to {measured.count_max:,}, in a build without per-layer counters",
        f"{source.compiler}; {source.kernels}; {source.flags}",
        f"{source.probe}{f'; QEMU {source.emulator}' if source.emulator else ''}",
        *_cycles_note(result),
    ]
    if result.oracle.oracles:  # otherwise stderr says it
        lines[1:1] = [f"oracles: {remark}" for remark in result.oracle.remarks]
    if not result.layers:
        lines.append(
            "no counts per layer: the build with per-layer counters does not fit the board"
        )
    if result.whole_macs is not None:
        gone, whole = result.whole_macs - result.macs, result.whole_macs
        lines.insert(
            0, f"without dead channels: {gone:,} of {whole:,} MACs removed, outputs unchanged"
        )
    if result.dropped_weights is not None:
        lines.insert(1, _closed_division(result.dropped_weights))
    if result.features is not None:
        lines.append(f"features: {feature_words(features_to_json(result.features))}")
    if result.runner is not None:
        lines.append(_runner_note(result.runner))
    if result.energy is not None:
        energy = result.energy
        lines.append(
            f"energy {formatting.three_digits(energy.microjoules)} µJ per inference "
            f"({formatting.three_digits(energy.low)} to {formatting.three_digits(energy.high)}): "
            f"{energy.source}"
        )
    lines[1:1] = metric_lines(result)
    return lines


def _closed_division(dropped: int) -> str:
    """What MLPerf Tiny's closed division says of the elimination of dead channels."""
    if dropped == 0:
        return "all removed weights are 0, as MLPerf Tiny's closed division demands"
    return (
        f"{dropped:,} of the removed weights are not 0: MLPerf Tiny's closed division allows dead "
        "code elimination, but not the discarding of weights other than 0"
    )


def _runner_note(trial: RunnerTrial) -> str:
    """What the trial of MLPerf Tiny's runner firmware showed."""
    return (
        f"MLPerf Tiny runner firmware ({trial.benchmark.name}): answered "
        f"{formatting.number_of(trial.samples, 'input')} with the reference's results, "
        f"{trial.inferences_per_s:.3f} inferences/s by its own timestamps"
    )


def _cycles_note(result: BenchmarkResult) -> list[str]:
    """Whose cycles they are, and with which memory."""
    measured, core = result.measurement, result.board.core
    if result.board.backend != "qemu":
        return ["caches: as the port sets them"]
    if measured.model_cycles is None:
        return []
    waits = f", {measured.wait_cycles:,} of them waiting" if measured.wait_cycles else ""
    memory = formatting.memory_timing(result.board.memory)
    return [f"cycles: modelled, not measured, for a {core}{waits}: {memory}"]
