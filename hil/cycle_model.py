"""What the emulator's modelled cycles are worth, core by core.

The model itself is firmware/emulator/timing.c. `benchmarks/validate_cycle_model.py` compares it
with published silicon results; docs/cycle-model.md is what it printed, and STATED_ERRORS its gist.
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

# Median over the four MLPerf Tiny networks of |modelled / silicon - 1|, memory without wait states:
# docs/cycle-model.md has every number behind these and where it was published.
STATED_ERRORS = {
    "cortex-m4": 0.20,  # median of 4 systems with CMSIS-NN: microTVM, ONNC (MLPerf Tiny v1.0, v1.1)
    "cortex-m7": 0.21,  # the same, divided by how much faster other engines are on Cortex-M7
    "cortex-m33": 0.14,  # median of 2 systems: microTVM on nRF5340, Renesas on RA6M4 (v0.7 to v1.1)
}


@dataclass(frozen=True, slots=True)
class FlashTiming:
    """A flash memory's wait states: a read yields `line_bytes`, each time `wait_cycles` late.

    Caches of so many lines stand before it, fully associative; code behind a line that is being
    executed is prefetched.
    """

    origin: int
    length_bytes: int
    line_bytes: int
    wait_cycles: int
    instruction_lines: int
    data_lines: int


def stated_error(core: str) -> float | None:
    """Relative error to state with modelled cycles of `core`; None where silicon gives none."""
    return STATED_ERRORS.get(core)
