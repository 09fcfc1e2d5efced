"""How numbers and genomes read: in the table, in the HTML report, in the progress line."""

from __future__ import annotations

import math
from dataclasses import fields

from compress.genome import Genome, Stage
from hil.types import CounterKind

COUNT_NOUNS: dict[CounterKind, str] = {
    "insn": "instructions",
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


def three_digits(value: float) -> str:
    """Three digits, more before the point if there are, as `0.0123`, `4.56`, `1234`."""
    decimals = 2 - math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:.{max(0, decimals)}f}"


def plus_minus(error: float) -> str:
    """A relative error, as `±20 %`."""
    return f"±{100 * error:.0f}{_GAP}%"


def ratio(value: float) -> str:
    """A ratio to the baseline, as `0.52x` with a multiplication sign."""
    return f"{value:.2f}\N{MULTIPLICATION SIGN}"


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


def stage_order(genome: Genome) -> str:
    """The order of the stages: `prune → quantize → distill`."""
    return " → ".join(type(stage).__name__.lower() for stage in genome.stages) or "no stage"


def stage_details(genome: Genome) -> str:
    """Every stage with its parameters."""
    return " → ".join(map(_stage, genome.stages)) or "no stage"


def _stage(stage: Stage) -> str:
    """The stage, its genes that are not as usual, and how long it trains."""
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
