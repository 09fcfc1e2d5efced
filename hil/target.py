"""A target: something that runs an image. Four verbs for measuring, two more for tracing.

`QemuTarget`, `PyocdTarget` and `FakeTarget` all implement `Target`; nothing above this module
knows which one it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from compress.errors import OverBudget
from hil.types import Board, Image, Plan, Region, RunReply
from hil.wire import HelloReply, RunRequest

_LABEL_BYTES = 2
_COUNT_BYTES = 8
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

    def run(self, layout: Layout, timeout_s: float) -> RunReply:
        """Run the samples in memory and wait for the end."""
        ...

    def run_until(self, layout: Layout, address: int, timeout_s: float) -> None:
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
    """Where a run's inputs, labels (u16), outputs and counts (u64) lie in the staging memory."""

    samples: int
    input_bytes: int
    output_bytes: int
    inputs_address: int
    labels_address: int
    outputs_address: int
    counts_address: int

    @classmethod
    def fit(cls, staging: Region, plan: Plan, samples: int) -> Layout:
        """Up to `samples` samples, as many as fit. Raises OverBudget if not even one does."""
        input_bytes = plan.graph.input_tensor.size_bytes
        output_bytes = plan.graph.output_tensor.size_bytes
        sample_bytes = input_bytes + _LABEL_BYTES + output_bytes + _COUNT_BYTES
        room_bytes = staging.length_bytes - 4 * (_ALIGNMENT_BYTES - 1)
        fitting = min(samples, room_bytes // sample_bytes)
        if fitting < 1:
            raise OverBudget(
                f"the staging memory of {staging.length_bytes} bytes has no room for one sample "
                f"of {sample_bytes} bytes"
            )
        addresses, free = [], staging.origin
        for item_bytes in (input_bytes, _LABEL_BYTES, output_bytes, _COUNT_BYTES):
            addresses.append(_align(free))
            free = addresses[-1] + fitting * item_bytes
        return cls(fitting, input_bytes, output_bytes, *addresses)

    @property
    def inputs_bytes(self) -> int:
        return self.samples * self.input_bytes

    @property
    def labels_bytes(self) -> int:
        return self.samples * _LABEL_BYTES

    @property
    def outputs_bytes(self) -> int:
        return self.samples * self.output_bytes

    @property
    def counts_bytes(self) -> int:
        return self.samples * _COUNT_BYTES

    @property
    def request(self) -> RunRequest:
        return RunRequest(
            self.samples,
            self.inputs_address,
            self.labels_address,
            self.outputs_address,
            self.counts_address,
        )


def _align(address: int) -> int:
    return -(-address // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
