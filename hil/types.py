"""The value types of `hil`: plan -> program -> image -> measurement -> trial.

All are frozen; units are in the names. `compress.types` has the types of the steps before (task,
graph, quantized model). This module depends on no torch, no pyOCD and no file format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from compress.genome import Genome
from compress.types import Graph, StageCost
from hil.cycle_model import NO_WAITS, MemoryTiming
from hil.figures import HalfFigures, LayerFigures
from hil.segment import Segment

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from compress.ops import Op

    Floats = npt.NDArray[np.float64]
else:
    Floats = Any  # for annotations only: see compress.types

NO_ORACLE = "none"  # OracleCheck.text and Provenance.oracles of a network that none judged

CounterKind = Literal["insn", "dwt", "systick"]
# The memory that the form of stored weights saves; "nothing": they are stored for speed.
Memory = Literal["flash", "ram", "nothing"]
# Whose kernels run where both can: those of hil/tuned, or CMSIS-NN's.
KernelSet = Literal["tuned", "cmsis-nn"]
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
    """The power of a board while it computes and, if known, while it sleeps.

    It holds at `supply_v` volts and a core clock of `clock_hz` (for an emulated board, the clock of
    the part that it stands for). `source` cites the publication or describes the calibration;
    `error` is the relative error.
    """

    active_mw: float
    idle_mw: float | None
    supply_v: float
    clock_hz: int
    source: str
    error: float = 0.20  # of a published figure: hil/energy/energy.py


@dataclass(frozen=True, slots=True)
class Part:
    """The part that an emulated board stands for, and its core clock."""

    name: str
    clock_hz: int


@dataclass(frozen=True, slots=True)
class Board:
    """Facts about one board, read from `boards/<name>.toml`.

    `flash` and `ram` are the regions for the linker; `flash_limit_bytes` and `ram_limit_bytes` are
    the limits of a candidate (an emulated core that stands for a real part has small limits in
    large memories). `staging` is the region of test inputs and outputs; None: the RAM between the
    image and the stack. `energy` is None if no figure is published. The port configures the flash
    for `flash_wait_states`; `port_settings` become macros for the port's C code. `part` is None for
    a real board and for an emulated one that stands for nothing else; `memory` are the wait states
    of the part's memories, as the cycle model takes them.
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
    part: Part | None = None
    memory: MemoryTiming = NO_WAITS

    @property
    def time_clock_hz(self) -> int:
        """The clock that turns cycles into time: the part's, or the board's own without a part."""
        return self.clock_hz if self.part is None else self.part.clock_hz


@dataclass(frozen=True, slots=True)
class Buffer:
    """A range of the arena for a tensor or a scratch buffer; its lifetime is ops first..last."""

    name: str
    offset_bytes: int
    size_bytes: int
    first_op: int
    last_op: int


@dataclass(frozen=True, slots=True)
class Step:
    """One operator with its kernel, its multiply-accumulates (MACs) and its buffers.

    `scratch` is the kernel's scratch buffer; `expanded` receives weights that are stored smaller
    than int8 and are expanded before the kernel runs. `choice` says what the kernel was preferred
    to and why; empty where there is no other.
    """

    index: int
    op: Op
    kernel: str
    macs: int
    scratch: Buffer | None
    expanded: Buffer | None = None
    choice: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The kernels and the memory layout of a graph. `tensors` maps a tensor's index to its buffer.

    `tensors_bytes` is the peak of the arena with tensors only, `kernels_bytes` with the kernels'
    scratch buffers too, `arena_bytes` with all, expanded weights included. The layers of `segments`
    are computed row by row: the buffer of a tensor between two of them is a ring of its rows.
    """

    graph: Graph
    steps: tuple[Step, ...]
    tensors: Mapping[int, Buffer]
    tensors_bytes: int
    kernels_bytes: int
    arena_bytes: int
    segments: tuple[Segment, ...] = ()

    def segment_of(self, index: int) -> Segment | None:
        """The segment of the operator with this index; None if it runs on whole tensors."""
        return next((s for s in self.segments if s.first <= index <= s.last), None)


@dataclass(frozen=True, slots=True)
class Program:
    """Rendered C sources, headers and linker script by file name; deterministic for a genome.

    `id` is the first 4 bytes of the sha256 over the files; the firmware reports it in HELLO.
    `main` is the file of `firmware/` that has the function main.
    """

    files: Mapping[str, str]
    sha256: str
    id: int
    main: str = "main.c"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes by part, as the linker placed them (flash) or as planned and measured (RAM)."""

    parts: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class Image:
    """A linked ELF file and its sizes. `flash` parts: weights, model, kernels, harness, libc.

    `ram` parts known at link time: arena, static. `layer_ends` are the code addresses right after
    each layer, for breakpoints. `staging` is the region for test data. `layer_counts_address` is
    the address of a profile build's counter readings, None for another build.
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
    """The firmware's reply to a run: right answers, stack high-water mark, outputs' CRC-32."""

    correct: int
    stack_peak_bytes: int
    outputs_crc32: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """The measurement of an image whose outputs equal the reference's bit for bit.

    `count` is the median over the `total` samples of the counter's value for one inference.
    `ram` parts: arena, static, stack (high-water mark). The firmware counts `correct`.
    `model_cycles` is the median of the emulator's modeled cycles with memory that never waits, None
    if they are not modeled; `model_error` is their stated relative error (hil/cycle_model.py), None
    if it is unknown. `wait_cycles` is the median of the cycles that the wait states of the memories
    `memory_timing` (`MemoryTiming.key`) add, None if these were not modeled. `right` are the right
    answers by class on the validation samples that candidates are judged on, by the reference whose
    outputs the device's equaled; empty if they were not counted.

    Where samples have no class, the labels that the firmware counts by are the positions of the
    reference's largest outputs, and `value` is the task's metric, in its unit, of the outputs that
    were read back from the device: they equal the reference's, from which it is computed. It is
    None for accuracy in older runs, and where these samples do not define it. `others` are the
    metrics of several outputs beside the one that decides, by name, by the reference as `right`.
    `drop_error` is the standard error of the difference of the trial's accuracy to the float
    network's, paired by sample (`compress.metrics.intervals`); None where it is not known.

    `halves` are the figures on the screening and on the judging half of the judged samples; empty
    in older runs, and where the metric is not defined on them. `layers` is empty unless the network
    was profiled.
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
    wait_cycles: int | None = None
    memory_timing: str = ""
    right: tuple[int, ...] = ()
    value: float | None = None
    others: tuple[tuple[str, float], ...] = ()
    drop_error: float | None = None
    halves: tuple[HalfFigures, ...] = ()
    layers: tuple[LayerFigures, ...] = ()

    @property
    def accuracy(self) -> float:
        """The share of the samples that the device classified right."""
        return self.correct / self.total


@dataclass(frozen=True, slots=True)
class LayerCount:
    """The count of one layer in one inference of a profile build, without the readings' cost.

    `count` is in the unit of the board's counter; `model_cycles` (memory that never waits) and
    `wait_cycles` (what the part's memories add) are None if they are not modeled. `choice` is that
    of the plan's step.
    """

    index: int
    name: str
    op: str
    kernel: str
    macs: int
    count: int
    model_cycles: int | None
    wait_cycles: int | None = None
    choice: str = ""


@dataclass(frozen=True, slots=True)
class OracleCheck:
    """The names, with versions, of the oracles that judged a network.

    Every value that they computed was equal: a difference raises Mismatch. `remarks` say why other
    oracles did not judge it, and what one computes by another formula.
    """

    oracles: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The names, or "none"."""
        return ", ".join(self.oracles) or NO_ORACLE


@dataclass(frozen=True, slots=True)
class Provenance:
    """The origin of a measurement, enough to reproduce it.

    `processor` is the one that trained the network, since another may round floats otherwise.
    `oracles` names those that the reference was compared with on this network, or is "none". Both
    are empty for trials of versions that did not record them, `oracles` for unmeasured trials too.
    `saves` is the memory that the form of stored weights saves (`hil.codegen.plan`).
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
    oracles: str = ""
    saves: Memory = "flash"


@dataclass(frozen=True, slots=True)
class Estimate:
    """The costs of an integer graph by static analysis, before anything is built or run.

    `weight_bytes` is the stored size of weights, biases and scales, `arena_bytes` the plan's,
    `bops` the number of bit operations (`compress.integer.cost`).
    """

    macs: int
    bops: int
    weight_bytes: int
    arena_bytes: int
    layers: int


@dataclass(frozen=True, slots=True)
class Trial:
    """A genome and its result.

    `accuracy` is the reference's on the validation split: the task's metric as a share where more
    is better (`compress.metrics.scale`).

    `fidelity` is the share of its stages' training that the genome got, 0..1. Only at 1 is it
    measured on the board; at 0 nothing is trained, only batch-norm statistics are recomputed.

    state "measured": `measurement` is set; the device's outputs were bit-exact.
    state "screened": fidelity below 1; `accuracy` (on part of the split) and `estimate` are set.
    state "infeasible": `reason` says why, `violation` by how much (relative, > 0).
    `epochs` and `costs` are the training cost of its stages; `seconds` is the time of this trial,
    by step. `repeat` numbers the trainings of one genome with different seeds, from 0.
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
    repeat: int = 0
