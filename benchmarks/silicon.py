"""What silicon took for the MLPerf Tiny networks, as published, and how modeled cycles compare."""

from __future__ import annotations

import csv
import statistics
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

Cycles = dict[str, float]  # by model


@dataclass(frozen=True, slots=True)
class Entry:
    """A system as published, its resubmissions put together: cycles by model."""

    kernels: str
    engine: str
    board: str
    core: str
    cycles: Cycles

    @property
    def name(self) -> str:
        return f"{self.engine}, {self.board}"


@dataclass(frozen=True, slots=True)
class Compared:
    """A model's cycles and those of silicon: the median, and the lowest and highest."""

    modeled: float
    silicon: float
    low: float
    high: float

    @property
    def error(self) -> float:
        return self.modeled / self.silicon - 1

    @property
    def spread(self) -> float:
        return (self.high - self.low) / self.silicon


def read_silicon(path: Path) -> list[Entry]:
    """The systems in a file like silicon.csv."""
    found: dict[tuple[str, str, str, str], dict[str, list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            key = (row["kernels"], row["engine"], row["board"], row["core"])
            cycles = float(row["latency_ms"]) * float(row["clock_mhz"]) * 1e3
            found[key][row["task"]].append(cycles)
    return [
        Entry(
            kernels,
            engine,
            board,
            core,
            {task: statistics.median(values) for task, values in tasks.items()},
        )
        for (kernels, engine, board, core), tasks in found.items()
    ]


def against(modeled: Cycles, entries: list[Entry]) -> dict[str, Compared]:
    """Each model's cycles beside the entries'."""
    compared = {}
    for model, cycles in modeled.items():
        values = [entry.cycles[model] for entry in entries]
        compared[model] = Compared(cycles, statistics.median(values), min(values), max(values))
    return compared


def projected(
    modeled: Cycles, slower: dict[str, Compared], ratios: dict[str, list[float]]
) -> dict[str, Compared]:
    """Against silicon of a slower core, divided by how much faster this one is (sorted ratios)."""
    return {
        model: Compared(
            modeled[model],
            one.silicon / statistics.median(ratios[model]),
            one.low / ratios[model][-1],
            one.high / ratios[model][0],
        )
        for model, one in slower.items()
    }


def median_error(compared: dict[str, Compared]) -> float:
    """Median over the models of the absolute relative error."""
    return statistics.median(abs(one.error) for one in compared.values())


def speed_ratios(entries: list[Entry], model: str) -> list[float]:
    """Cycles on Cortex-M4 by cycles on Cortex-M7, of every engine published for both."""
    own = [entry for entry in entries if entry.kernels == "own"]
    return sorted(
        slow.cycles[model] / fast.cycles[model]
        for slow in own
        for fast in own
        if slow.engine == fast.engine and (slow.core, fast.core) == ("cortex-m4", "cortex-m7")
    )
