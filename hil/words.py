"""How numbers and genomes read: in the table, in the HTML report, in the progress line."""

from __future__ import annotations

from typing import assert_never

from compress.genome import Distill, Genome, Prune, Quantize, Sparsify, Stage
from hil.types import CounterKind

COUNTED: dict[CounterKind, str] = {
    "insn": "instructions",
    "model": "modelled cycles",
    "dwt": "cycles",
    "systick": "cycles",
}

_GAP = "\N{NO-BREAK SPACE}"  # between a number and its unit


def percent(share: float) -> str:
    """A share of 1, as `95.13 %`, which does not break across lines."""
    return f"{100 * share:.2f}{_GAP}%"


def kib(size_bytes: float) -> str:
    """Bytes in KiB, without the unit, as `29.30`."""
    kibibytes = size_bytes / 1024
    return f"{kibibytes:.{2 if kibibytes < 100 else 1}f}"


def short_count(count: float) -> str:
    """Instructions or cycles in three to four digits, as `1.234 M`."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= factor:
            value = count / factor
            return f"{value:.{3 if value < 10 else 2 if value < 100 else 1}f}{_GAP}{unit}"
    return f"{count:.0f}"


def times(ratio: float) -> str:
    """A ratio to the baseline, as `0.52x` with a multiplication sign."""
    return f"{ratio:.2f}\N{MULTIPLICATION SIGN}"


def number_of(number: int, noun: str) -> str:
    """As `1 trial`, `2 trials`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """As `42 s`, `3 min 5 s` or `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def stages(genome: Genome) -> str:
    """The order of the stages: `prune → quantize → distill`."""
    return " → ".join(type(stage).__name__.lower() for stage in genome.stages) or "no stage"


def details(genome: Genome) -> str:
    """Every stage with its parameters."""
    return " → ".join(map(_stage, genome.stages)) or "no stage"


def _stage(stage: Stage) -> str:
    match stage:
        case Prune():
            keep = " ".join(f"{share:.2f}" for share in stage.keep)
            return f"prune (keep {keep}, {stage.criterion}, {number_of(stage.epochs, 'epoch')})"
        case Sparsify():
            how = f"{stage.share:.0%} zeros" if stage.pattern == "element" else stage.pattern
            return f"sparsify ({how} {stage.scope}, {number_of(stage.epochs, 'epoch')})"
        case Quantize():
            return f"quantize ({stage.calibration})"
        case Distill():
            start = ", fresh" if stage.fresh else ""
            return (
                f"distill (teacher {stage.teacher}, width {stage.width:.2f}{start}, "
                f"T {stage.temperature:.3g}, weight {stage.weight:.2f}, "
                f"{number_of(stage.epochs, 'epoch')})"
            )
        case _:
            assert_never(stage)
