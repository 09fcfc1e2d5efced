"""The interface of targets, which run an image, and the layout of a run's data in memory.

`QemuTarget` and `ProbeTarget` implement it on the common base `PyocdTarget`; nothing above this
room depends on which one it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from compress.errors import OverBudget
from hil.target.link import Port
from hil.target.wire import HelloReply, RunRequest
from hil.types import Board, Image, Region, RunReply

_LABEL_BYTES = 2
_COUNT_BYTES = 16  # u64 of the counter, u64 of modeled cycles
_ALIGNMENT_BYTES = 16


class Target(Protocol):
    """An opened board that runs programs. After a BenchError, close it and open another target.

    All methods raise ProbeLost, FlashFailed or NoReply (the bench failed) and FirmwareFault (our
    program crashed). `run_until` and `resume` are for finding the first differing layer.
    """

    board: Board

    def load(self, image: Image) -> HelloReply:
        """Write the image, verify it by reading it back, start it and return its HELLO reply."""
        ...

    def start(self, image: Image) -> Port:
        """As `load`, for an image of another protocol; returns the port that it answers on."""
        ...

    def write(self, address: int, data: bytes) -> None:
        """Write memory through the debug probe."""
        ...

    def read(self, address: int, size_bytes: int) -> bytes:
        """Read memory through the debug probe."""
        ...

    def run(self, request: RunRequest, timeout_s: float) -> RunReply:
        """Run the samples in memory and wait for the reply."""
        ...

    def run_until(self, request: RunRequest, address: int, timeout_s: float) -> None:
        """Start a run and wait until the core halts before the instruction at `address`."""
        ...

    def resume(self, timeout_s: float) -> RunReply:
        """Continue the run that `run_until` halted and wait for the reply."""
        ...

    def close(self) -> None:
        """Release the board; may be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Layout:
    """The memory regions of a run: inputs, labels (u16), outputs, counts (two u64 per sample)."""

    samples: int
    inputs: Region
    labels: Region
    outputs: Region
    counts: Region

    @classmethod
    def within(cls, staging: Region, samples: int, input_bytes: int, output_bytes: int) -> Layout:
        """The layout of `samples` samples from the start of `staging`. Raises OverBudget."""
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
        """The RUN request for this layout."""
        return RunRequest(
            samples=self.samples,
            inputs_address=self.inputs.origin,
            labels_address=self.labels.origin,
            outputs_address=self.outputs.origin,
            counts_address=self.counts.origin,
        )


def staging_capacity(staging: Region, input_bytes: int, output_bytes: int) -> int:
    """The number of samples that certainly fit into the staging memory at once; may be 0."""
    sizes = _sample_bytes(input_bytes, output_bytes)
    return max(0, (staging.length_bytes - len(sizes) * _ALIGNMENT_BYTES) // sum(sizes))


def _sample_bytes(input_bytes: int, output_bytes: int) -> tuple[int, int, int, int]:
    return input_bytes, _LABEL_BYTES, output_bytes, _COUNT_BYTES


def _align(address: int) -> int:
    return -(-address // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
