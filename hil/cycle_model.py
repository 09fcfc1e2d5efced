"""The cores whose cycles the emulator models, and the error of the modeled cycles.

The model is firmware/emulator/timing.c. `benchmarks/validate_cycle_model.py` compares it with
published silicon results and prints docs/cycle-model.md, which STATED_ERRORS and SAME_CODE_ERRORS
summarize.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

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
    "cortex-m33": 0.17,  # median of 2 systems: microTVM on nRF5340, Renesas on RA6M4 (v0.7 to v1.1)
}


@dataclass(frozen=True, slots=True)
class SameCode:
    """|modeled / silicon - 1| for the same source: median and maximum of this number of figures."""

    median: float
    largest: float
    figures: int


# The error of the model itself: programs with public source, on chips without wait states, with the
# delays of the chip's RAM if it has any. STATED_ERRORS also contains the differences of kernels.
SAME_CODE_ERRORS = {
    "cortex-m0": SameCode(0.002, 0.005, 14),
    "cortex-m0plus": SameCode(0.007, 0.007, 1),
    "cortex-m3": SameCode(0.008, 0.019, 51),
    "cortex-m4": SameCode(0.005, 0.101, 139),
    "cortex-m7": SameCode(0.024, 0.122, 10),
    "cortex-m33": SameCode(0.023, 0.024, 8),
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


@dataclass(frozen=True, slots=True)
class DelayedRam:
    """A RAM that delays each first access by a cycle: one that follows no other access directly.

    All RAMs but the first of an STM32L4R5 and of an STM32F2 do so: docs/cycle-model.md.
    """

    origin: int
    length_bytes: int


@dataclass(frozen=True, slots=True)
class MemoryTiming:
    """The memories in front of which the modeled core waits; None: memory without wait states.

    `source` cites the manual.
    """

    flash: FlashTiming | None = None
    ram: DelayedRam | None = None
    source: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """The plug-in's options, such as `flash=0:4194304:16:5:64:8`; none without wait states."""
        pairs = (("flash", self.flash), ("ram", self.ram))
        return tuple(
            f"{name}={':'.join(map(str, astuple(timing)))}" for name, timing in pairs if timing
        )

    @property
    def key(self) -> str:
        """All parameters as one text, "" without wait states; measurements keep it."""
        return ",".join(self.options)

    @property
    def waits(self) -> bool:
        """True if any memory has wait states."""
        return self.flash is not None or self.ram is not None


NO_WAITS = MemoryTiming()


def stated_error(core: str) -> float | None:
    """The stated relative error of modeled cycles of `core`; None without results of silicon."""
    return STATED_ERRORS.get(core)


def same_code_error(core: str) -> SameCode | None:
    """Error of the model of `core` on the same code as silicon ran; None if it is not known."""
    return SAME_CODE_ERRORS.get(core)
