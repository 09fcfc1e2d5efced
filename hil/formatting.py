"""Text of numbers and genomes, for tables, the HTML report and the progress line."""

from __future__ import annotations

import math
from dataclasses import fields

from compress.genome import Genome, Stage
from compress.metrics.scale import MetricScale, number_text
from hil.cycle_model import MemoryTiming
from hil.types import Board, CounterKind

COUNT_NOUNS: dict[CounterKind, str] = {
    "insn": "instructions",
    "dwt": "cycles",
    "systick": "cycles",
}

_GAP = "\N{NO-BREAK SPACE}"  # between a number and its unit


def percent(share: float, decimals: int = 2) -> str:
    """A share of 1 in percent, `95.13 %`, with a no-break space."""
    return f"{100 * share:.{decimals}f}{_GAP}%"


def metric(scale: MetricScale, share: float) -> str:
    """A share as people read the metric, without its name: `95.13 %`, `0.310`."""
    return metric_value(scale, scale.value(share))


def metric_value(scale: MetricScale, value: float) -> str:
    """A value of a metric, without the metric's name: `95.13 %`, `0.310`."""
    return percent(value) if scale.in_percent else number_text(value)


def named_metric(scale: MetricScale, share: float) -> str:
    """A share as people read the metric: `accuracy 95.13 %`, `MAE 0.310`."""
    return f"{scale.title} {metric(scale, share)}"


def kib(size_bytes: float) -> str:
    """Bytes in KiB, without the unit: `29.30`."""
    kibibytes = size_bytes / 1024
    return f"{kibibytes:.{2 if kibibytes < 100 else 1}f}"


def short_count(count: float) -> str:
    """A count of instructions or cycles in three to four digits: `1.234 M`."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= factor:
            value = count / factor
            return f"{value:.{3 if value < 10 else 2 if value < 100 else 1}f}{_GAP}{unit}"
    return f"{count:.0f}"


def three_digits(value: float) -> str:
    """At least three significant digits: `0.0123`, `4.56`, `1234`."""
    decimals = 2 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:.{max(0, decimals)}f}"


def plus_minus(error: float) -> str:
    """A relative error in percent: `±20 %`."""
    return f"±{100 * error:.0f}{_GAP}%"


def plus_minus_points(deviation: float, scale: MetricScale) -> str:
    """A standard error of a metric, given as a share: `± 0.8 points`, `± 0.012`."""
    if scale.in_percent:
        return f"\N{PLUS-MINUS SIGN}{_GAP}{100 * deviation:.1f} points"
    unit = 1.0 if scale.reference is None else scale.reference
    return f"\N{PLUS-MINUS SIGN}{_GAP}{three_digits(deviation * unit)}"


def ratio(value: float) -> str:
    """A ratio to the baseline, `0.52x` with a multiplication sign."""
    return f"{value:.2f}\N{MULTIPLICATION SIGN}"


def time_clock(board: Board) -> str:
    """The clock that times hold for, and whose: `180 MHz`, `180 MHz of the STM32F446RE`."""
    clock = f"{board.time_clock_hz / 1e6:g}{_GAP}MHz"
    return clock if board.part is None else f"{clock} of the {board.part.name}"


def memory_timing(memory: MemoryTiming) -> str:
    """The wait states of modeled cycles in words, with their source."""
    flash, words = memory.flash, []
    if flash is not None:
        words.append(
            f"flash of {flash.line_bytes} bytes a read with {flash.wait_cycles} wait states, "
            f"{flash.instruction_lines} reads of instructions and {flash.data_lines} of data cached"
        )
    if memory.ram is not None:
        end = memory.ram.origin + memory.ram.length_bytes
        words.append(f"RAM from {memory.ram.origin:#x} to {end:#x} that delays first accesses")
    source = f" ({memory.source})" if memory.source else ""
    return f"{', '.join(words)}{source}" if words else "memory without wait states"


def number_of(number: int, noun: str) -> str:
    """A number with its noun in the singular or plural: `1 trial`, `2 trials`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """A duration: `42 s`, `3 min 5 s` or `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def stage_order(genome: Genome) -> str:
    """The order of a genome's stages: `prune → quantize → distill`."""
    return " → ".join(type(stage).__name__.lower() for stage in genome.stages) or "no stage"


def stage_details(genome: Genome) -> str:
    """A genome's stages with the genes that differ from their defaults."""
    return " → ".join(map(_stage, genome.stages)) or "no stage"


def _stage(stage: Stage) -> str:
    """A stage with its non-default genes and its epochs."""
    usual = {field.name: field.default for field in fields(stage)}
    genes = {name: getattr(stage, name) for name in usual}
    named = [
        _gene(name, value)
        for name, value in genes.items()
        if value != usual[name] or (name == "epochs" and value > 0)
    ]
    return f"{type(stage).__name__.lower()} ({', '.join(named) or 'as usual'})"


def _gene(name: str, value: object) -> str:
    title = name.replace("_", " ")
    match value:
        case True:
            return title
        case False:
            return f"no {title}"
        case int() if name == "epochs":
            return number_of(value, "epoch")
        case float():
            return f"{title} {value:.3g}"
        case tuple():
            return f"{title} {' '.join(f'{one:.3g}' for one in value)}"
        case _:
            return f"{title} {value}"
