"""What silicon took for programs whose source is public, and the model's cycles for that source.

The file, same_code_silicon.csv, has the published figures and what the model said about the same
source; the programs are not here. Its columns: `silicon_cycles` as published; `modeled_cycles`
with memory that never waits; `with_ram_cycles` with the RAM `slow_ram` (origin:length) of the chip
that was measured, which delays first accesses; `before_cycles` of the model before its rules were
looked for in these figures; `set`: "given" are those with which that began; `half`: whether the
figure was looked at on the way.
"""

from __future__ import annotations

import csv
import re
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from hil.cycle_model import SameCode


@dataclass(frozen=True, slots=True)
class Figure:
    """One operation of one program on one chip, in cycles."""

    core: str
    board: str
    given: bool
    seen: bool
    program: str
    operation: str
    silicon: int
    before: int
    never_waits: int
    modeled: int

    @property
    def error(self) -> float:
        return self.modeled / self.silicon - 1

    @property
    def error_never_waits(self) -> float:
        return self.never_waits / self.silicon - 1

    @property
    def error_before(self) -> float:
        return self.before / self.silicon - 1


def read_figures(path: Path) -> list[Figure]:
    with path.open(newline="", encoding="utf-8") as stream:
        return [
            Figure(
                row["core"],
                row["board"],
                row["set"] == "given",
                row["half"] == "seen",
                row["program"],
                row["operation"],
                int(row["silicon_cycles"]),
                int(row["before_cycles"]),
                int(row["modeled_cycles"]),
                int(row["with_ram_cycles"] or row["modeled_cycles"]),
            )
            for row in csv.DictReader(stream)
        ]


def cores(figures: Iterable[Figure]) -> list[str]:
    return list(dict.fromkeys(figure.core for figure in figures))


def summary(figures: list[Figure]) -> dict[str, SameCode]:
    """What hil/cycle_model.py states, by core."""
    found = {}
    for core in cores(figures):
        errors = [abs(figure.error) for figure in figures if figure.core == core]
        median, largest = round(statistics.median(errors), 3), round(max(errors), 3)
        found[core] = SameCode(median, largest, len(errors))
    return found


def percent(share: float) -> str:
    return f"{100 * share:+.1f}"


def spread(figures: list[Figure], error: Callable[[Figure], float]) -> str:
    """Median (lowest to highest) in percent, or a dash where there is nothing."""
    errors = [error(figure) for figure in figures]
    if not errors:
        return "-"
    if len(errors) == 1:
        return percent(errors[0])
    median = statistics.median(errors)
    return f"{percent(median)} ({percent(min(errors))} to {percent(max(errors))})"


def by_core(figures: list[Figure]) -> list[list[str]]:
    """Rows: core, set, figures, half seen, half held out, memory that never waits, before."""
    rows = []
    for core in cores(figures):
        for given in (True, False):
            here = [f for f in figures if f.core == core and f.given == given]
            if not here:
                continue
            rows.append(
                [
                    core,
                    "given" if given else "added",
                    str(len(here)),
                    spread([f for f in here if f.seen], lambda f: f.error),
                    spread([f for f in here if not f.seen], lambda f: f.error),
                    spread(here, lambda f: f.error_never_waits),
                    spread(here, lambda f: f.error_before),
                ]
            )
    return rows


def by_family(figures: list[Figure]) -> list[list[str]]:
    """Rows: core and board, programs of one name, figures, error."""
    families: dict[tuple[str, str, str], list[Figure]] = {}
    for figure in figures:
        name = re.match(r"aes/\w+|[a-z]+(?:-[a-zA-Z]+)?", figure.program)
        scheme = name[0] if name else figure.program
        families.setdefault((figure.core, figure.board, scheme), []).append(figure)
    return [
        [f"{core}, {board}", scheme, str(len(here)), spread(here, lambda f: f.error)]
        for (core, board, scheme), here in families.items()
    ]


def farthest(figures: list[Figure], count: int) -> list[list[str]]:
    worst = sorted(figures, key=lambda f: -abs(f.error))[:count]
    return [[f.core, f"{f.program}, {f.operation}", percent(f.error)] for f in worst]
