"""A target: something that runs an image. Four verbs for measuring, two more for tracing.

`QemuTarget`, `PyocdTarget` and `FakeTarget` all implement `Target`; nothing above this module
knows which one it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from compress.errors import OverBudget
from hil.target.wire import HelloReply, RunRequest
from hil.types import Board, Image, Region, RunReply

_LABEL_BYTES = 2
_COUNT_BYTES = 16  # u64 by the counter, u64 modelled cycles
_ALIGNMENT_BYTES = 16


class Target(Protocol):
    """A board with a program. After a BenchError: `close()` it and open another.

    Raises ProbeLost, FlashFailed, NoReply (the bench) and FirmwareFault (our program crashed).
    """

    board: Board

    def load(self, image: Image) -> HelloReply:
        """Write the image, verify it by reading it back, start it and hear who it is."""
        ...

    def write(self, address: int, data: bytes) -> None:
        """Write memory through the debug probe."""
        ...

    def read(self, address: int, size_bytes: int) -> bytes:
        """Read memory through the debug probe."""
        ...

    def run(self, request: RunRequest, timeout_s: float) -> RunReply:
        """Run the samples in memory and wait for the end."""
        ...

    def run_until(self, request: RunRequest, address: int, timeout_s: float) -> None:
        """Start a run and return when the core has halted before the instruction at `address`."""
        ...

    def resume(self, timeout_s: float) -> RunReply:
        """Let the run that `run_until` halted go on to its end."""
        ...

    def close(self) -> None:
        """Let go of the board; may be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Layout:
    """Where inputs, labels (u16 each), outputs and counts (two u64 each) of a run are in memory."""

    samples: int
    inputs: Region
    labels: Region
    outputs: Region
    counts: Region

    @classmethod
    def within(cls, staging: Region, samples: int, input_bytes: int, output_bytes: int) -> Layout:
        """Lay `samples` out from the start of `staging`. Raises OverBudget if they do not fit."""
        sizes = [samples * size_bytes for size_bytes in _sample_bytes(input_bytes, output_bytes)]
        regions, free = [], _align(staging.origin)
        for size_bytes in sizes:
            regions.append(Region(free, size_bytes))
            free = _align(free + size_bytes)
        if regions[-1].end > staging.end:
            raise OverBudget(
                f"{samples} samples need {regions[-1].end - staging.origin} bytes of staging "
                f"memory, there are {staging.length_bytes}"
            )
        return cls(samples, *regions)

    @property
    def request(self) -> RunRequest:
        return RunRequest(
            self.samples,
            self.inputs.origin,
            self.labels.origin,
            self.outputs.origin,
            self.counts.origin,
        )


def staging_capacity(staging: Region, input_bytes: int, output_bytes: int) -> int:
    """How many samples are sure to fit into the staging memory at once; may be 0."""
    sizes = _sample_bytes(input_bytes, output_bytes)
    return max(0, (staging.length_bytes - len(sizes) * _ALIGNMENT_BYTES) // sum(sizes))


def _sample_bytes(input_bytes: int, output_bytes: int) -> tuple[int, int, int, int]:
    return input_bytes, _LABEL_BYTES, output_bytes, _COUNT_BYTES


def _align(address: int) -> int:
    return -(-address // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
