"""The cores whose cycles the emulator models, and the error of the modeled cycles.

The model is firmware/emulator/timing.c. `benchmarks/validate_cycle_model.py` compares it with
published silicon results and prints docs/cycle-model.md, which STATED_ERRORS summarizes.
"""

from __future__ import annotations

from dataclasses import dataclass

MODELED_CORES = (
    "cortex-m0",
    "cortex-m0plus",
    "cortex-m3",
    "cortex-m4",
    "cortex-m7",
    "cortex-m33",
)

# Median over the four MLPerf Tiny networks of |modeled / silicon - 1|, memory without wait states.
# docs/cycle-model.md has each number and its publication.
STATED_ERRORS = {
    "cortex-m4": 0.20,  # median of 4 systems with CMSIS-NN: microTVM, ONNC (MLPerf Tiny v1.0, v1.1)
    "cortex-m7": 0.21,  # the same systems, scaled by the speed-up of other engines on Cortex-M7
    "cortex-m33": 0.14,  # median of 2 systems: microTVM on nRF5340, Renesas on RA6M4 (v0.7 to v1.1)
}


@dataclass(frozen=True, slots=True)
class FlashTiming:
    """A flash memory with wait states: a read of `line_bytes` takes `wait_cycles` more cycles.

    In front of it are fully associative caches of `instruction_lines` and `data_lines` lines. The
    line after the one that is executed is prefetched.
    """

    origin: int
    length_bytes: int
    line_bytes: int
    wait_cycles: int
    instruction_lines: int
    data_lines: int


def stated_error(core: str) -> float | None:
    """The stated relative error of modeled cycles of `core`; None without results of silicon."""
    return STATED_ERRORS.get(core)
