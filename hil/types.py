"""The values that flow through `hil`: plan -> program -> image -> measurement -> trial.

All are frozen; units are in the names. `compress.types` holds what comes before (task, genome,
graph, quantized model). This module knows no torch, no pyOCD, no file formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from compress.genome import Genome
from compress.ops import Op
from compress.types import Graph, StageCost

Floats = npt.NDArray[np.float64]

CounterKind = Literal["insn", "dwt", "systick"]
COUNTER_UNITS: dict[str, str] = {
    "insn": "instructions (emulator, exact)",
    "dwt": "cycles (silicon, DWT)",
    "systick": "cycles (silicon, SysTick)",
}


@dataclass(frozen=True, slots=True)
class Region:
    """A memory region of a board: first address and size."""

    origin: int
    length_bytes: int

    @property
    def end(self) -> int:
        return self.origin + self.length_bytes


@dataclass(frozen=True, slots=True)
class PowerFigure:
    """What a board draws while it computes, and (if known) while it sleeps.

    At `supply_v` volts and a core clock of `clock_hz`: an emulated board's own clock is not that of
    the part it stands for. `source` cites where the figure is published, or tells the calibration;
    `error` is what it may be off by, a share.
    """

    active_mw: float
    idle_mw: float | None
    supply_v: float
    clock_hz: int
    source: str
    error: float = 0.20  # a published one (hil/energy/energy.py)


@dataclass(frozen=True, slots=True)
class Board:
    """Facts about one board, read from `boards/<name>.toml`.

    `flash` and `ram` are what the linker may use; `flash_limit_bytes` and `ram_limit_bytes` are
    what a candidate may use (an emulated core standing for a real part has small limits in large
    memories). `staging` holds test inputs and outputs: its own region where the board has one,
    otherwise the RAM between the image and the stack. `energy` is None where nothing is published.
    `flash_wait_states` is what the port sets up; `port_settings` are macros for the port's C.
    """

    name: str
    title: str
    core: str
    clock_hz: int
    backend: Literal["qemu", "pyocd"]
    machine: str
    pyocd_target: str
    flash: Region
    ram: Region
    staging: Region | None
    flash_limit_bytes: int
    ram_limit_bytes: int
    stack_bytes: int
    compiler_flags: tuple[str, ...]
    features: frozenset[str]
    port: str
    counter: CounterKind
    energy: PowerFigure | None = None
    connect_mode: str = "halt"
    pack: str = ""
    flash_wait_states: int = 0
    limits_stand_for: str = ""
    port_settings: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Buffer:
    """A place in the arena where a tensor or a kernel's scratch lives while ops first..last run."""

    name: str
    offset_bytes: int
    size_bytes: int
    first_op: int
    last_op: int


@dataclass(frozen=True, slots=True)
class Step:
    """One operator with the kernel chosen for it, its work and its buffers.

    `scratch` is the kernel's own; weights stored smaller than int8 are expanded to `expanded`.
    """

    index: int
    op: Op
    kernel: str
    macs: int
    scratch: Buffer | None
    expanded: Buffer | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What runs where: kernel per op, arena offsets. `tensors` maps tensor index to its buffer.

    `tensors_bytes` is the arena's peak without scratch; `arena_bytes` the peak with it.
    """

    graph: Graph
    steps: tuple[Step, ...]
    tensors: Mapping[int, Buffer]
    tensors_bytes: int
    arena_bytes: int


@dataclass(frozen=True, slots=True)
class Program:
    """Rendered text by file name (C sources, headers, linker script); same genome, same bytes.

    `id` is the first 4 bytes of the sha256 over the files, as the firmware reports it in HELLO.
    """

    files: Mapping[str, str]
    sha256: str
    id: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes by part, as the linker placed them (flash) or as planned and measured (RAM)."""

    parts: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class Image:
    """A linked ELF and its sizes. `flash` parts: weights, model, kernels, harness, libc.

    `ram` parts known at link time: arena, static. `layer_ends` are code addresses at which layer i
    has just finished (for the debugger). `staging` is where test data may be written.
    `layer_counts_address` is where a profile build keeps its readings.
    """

    elf: Path
    sha256: str
    program: Program
    board: Board
    flash: Sizes
    ram: Sizes
    arena_address: int
    layer_ends: tuple[int, ...]
    staging: Region
    layer_counts_address: int | None = None


@dataclass(frozen=True, slots=True)
class RunReply:
    """What the firmware answers after running samples."""

    correct: int
    stack_peak_bytes: int
    outputs_crc32: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """Measured on the device, after its outputs equalled the reference's bit for bit.

    `count` is the median over the `total` samples of what `counter` counts in one inference;
    `ram` parts: arena, static, stack (painted peak). `correct` is counted by the firmware.
    `model_cycles` is the median of the emulator's modelled cycles, None where nothing models them;
    `model_error` is their stated relative error (hil/cycle_model.py), None where it is unknown.
    """

    counter: CounterKind
    count: int
    count_min: int
    count_max: int
    flash: Sizes
    ram: Sizes
    correct: int
    total: int
    outputs_sha256: str
    model_cycles: int | None = None
    model_error: float | None = None

    @property
    def accuracy(self) -> float:
        """Share of the samples run on the device that it classified right."""
        return self.correct / self.total


@dataclass(frozen=True, slots=True)
class LayerCount:
    """What one layer took in one inference of a profile build, the readings' own cost taken off.

    `count` is in the board's counter's unit; `model_cycles` is None where no model counts.
    """

    index: int
    name: str
    op: str
    kernel: str
    macs: int
    count: int
    model_cycles: int | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a number comes from: enough to reproduce it.

    `processor` is what trained the network: another may round otherwise. Empty where a trial is
    from before it was noted.
    """

    git_sha: str  # the commit of the checkout, or "v" and the version of an installed wheel
    dirty: bool
    compiler: str
    flags: str
    kernels: str
    board: str
    core: str
    probe: str
    emulator: str
    python: str
    torch: str
    seed: int
    processor: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What analysis says of an integer graph before anything is built or run.

    `weight_bytes` are those of weights, biases and scales as they are stored, `arena_bytes` the
    plan's, `bops` bit operations (`compress.integer.cost`).
    """

    macs: int
    bops: int
    weight_bytes: int
    arena_bytes: int
    layers: int


@dataclass(frozen=True, slots=True)
class Trial:
    """A genome that was tried. `accuracy` is the host's on the validation split.

    `fidelity` is the share of its stages' training that it got: 1 is all of it. Only then does it
    go to the board. 0 is none, with batch-norm statistics measured anew instead.

    state "measured": `measurement` is set; it ran on the board and was bit-equal.
    state "screened": fidelity below 1; `accuracy` (on part of the split) and `estimate` are set.
    state "infeasible": `reason` says why, `violation` by how much (relative, > 0).
    `epochs` and `costs` are the training that its stages need; `seconds` is what this trial took.
    """

    number: int
    genome: Genome
    state: Literal["measured", "screened", "infeasible"]
    accuracy: float | None
    measurement: Measurement | None
    reason: str
    violation: float
    epochs: float
    seconds: Mapping[str, float]
    program_sha256: str
    provenance: Provenance
    costs: tuple[StageCost, ...] = ()
    fidelity: float = 1.0
    estimate: Estimate | None = None
