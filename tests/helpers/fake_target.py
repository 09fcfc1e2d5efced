"""A target in memory for unit tests: computes what a device would, and fails on demand."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

import numpy as np

from compress.integer import reference
from compress.ops import outputs_of
from compress.types import Int8Array
from hil.errors import FirmwareFault, FlashFailed, NoReply, ProbeLost
from hil.target.link import Port
from hil.target.wire import HelloReply, RunRequest
from hil.types import Board, Image, Plan, Program, RunReply, Sizes


class Failure(Enum):
    """A failure of a load or a run. With `WRONG` the run succeeds."""

    NONE = "none"
    DIE = "the probe is gone, and stays gone"
    HANG = "the firmware does not answer, until loaded again"
    GARBLE = "the firmware's answer is garbage"
    CRASH = "the firmware runs into a HardFault"
    FLASH = "the image reads back different (load only)"
    WRONG = "the first output of the first sample is one off (run only)"


class FakeTarget:
    """A `Target` that runs the integer reference on the plan's graph and never waits.

    The n-th load fails with the n-th of `load_failures`, the n-th run with the n-th of
    `run_failures`; later ones succeed. For a wrong layer, pass the plan of another graph than the
    one under test. Every sample has the counts `count` and `model_cycles`.
    """

    def __init__(
        self,
        board: Board,
        plan: Plan,
        load_failures: Iterable[Failure] = (),
        run_failures: Iterable[Failure] = (),
        count: int = 1000,
        model_cycles: int = 0,
        stack_peak_bytes: int = 512,
    ) -> None:
        self.board = board
        self.closed = False
        self._plan = plan
        self._load_failures = iter(load_failures)
        self._run_failures = iter(run_failures)
        self._count = count
        self._model_cycles = model_cycles
        self._stack_peak_bytes = stack_peak_bytes
        self._image: Image | None = None
        self._lasting = Failure.NONE  # DIE or HANG
        self._halted: tuple[RunRequest, Failure] | None = None
        regions = [board.ram] if board.staging is None else [board.ram, board.staging]
        self._memory = [(region, bytearray(region.length_bytes)) for region in regions]

    def start(self, image: Image) -> Port:
        """The fake runs no other firmware than ours."""
        raise TypeError(f"the fake does not run {image.program.main}")

    def load(self, image: Image) -> HelloReply:
        self._lasting = Failure.DIE if self._lasting is Failure.DIE else Failure.NONE
        self._fail(next(self._load_failures, Failure.NONE))
        self._image = image
        graph, staging = self._plan.graph, image.staging
        return HelloReply(
            model_id=image.program.id,
            input_bytes=sum(tensor.size_bytes for tensor in graph.input_tensors),
            output_bytes=sum(tensor.size_bytes for tensor in graph.output_tensors),
            staging_address=staging.origin,
            staging_bytes=staging.length_bytes,
            counter=self.board.counter,
        )

    def write(self, address: int, data: bytes) -> None:
        memory, offset = self._place(address, len(data))
        memory[offset : offset + len(data)] = data

    def read(self, address: int, size_bytes: int) -> bytes:
        memory, offset = self._place(address, size_bytes)
        return bytes(memory[offset : offset + size_bytes])

    def run(self, request: RunRequest, timeout_s: float) -> RunReply:
        return self._finish(request, next(self._run_failures, Failure.NONE))

    def run_until(self, request: RunRequest, address: int, timeout_s: float) -> None:
        image = self._loaded_image()
        failure = next(self._run_failures, Failure.NONE)
        self._fail(failure)
        if address not in image.layer_ends:
            raise NoReply("the run ended without reaching it")
        op = self._plan.steps[image.layer_ends.index(address)].op
        values = reference.trace(self._plan.graph, self._inputs(request)[:1])
        for index in outputs_of(op):
            place = image.arena_address + self._plan.tensors[index].offset_bytes
            self.write(place, values[index].tobytes())
        self._halted = request, failure

    def resume(self, timeout_s: float) -> RunReply:
        if self._halted is None:
            raise RuntimeError("resume() needs a run halted by run_until()")
        (request, failure), self._halted = self._halted, None
        return self._finish(request, failure)

    def close(self) -> None:
        self.closed = True

    # ---- inside

    def _finish(self, request: RunRequest, failure: Failure) -> RunReply:
        self._loaded_image()
        self._fail(failure)
        outputs = reference.run(self._plan.graph, self._inputs(request)).reshape(
            request.samples, -1
        )
        if failure is Failure.WRONG:
            outputs = outputs.copy()
            outputs[0, 0] ^= 1
        self.write(request.outputs_address, outputs.tobytes())
        counts = struct.pack("<QQ", self._count, self._model_cycles)
        self.write(request.counts_address, counts * request.samples)
        correct = 0
        if request.labels_address:
            labels = np.frombuffer(self.read(request.labels_address, 2 * request.samples), "<u2")
            correct = int(np.sum(outputs.argmax(1) == labels))
        return RunReply(correct, self._stack_peak_bytes, zlib.crc32(outputs.tobytes()))

    def _inputs(self, request: RunRequest) -> Int8Array:
        size_bytes = sum(tensor.size_bytes for tensor in self._plan.graph.input_tensors)
        data = self.read(request.inputs_address, request.samples * size_bytes)
        return np.frombuffer(data, np.int8).reshape(request.samples, size_bytes)

    def _fail(self, failure: Failure) -> None:
        if failure in (Failure.DIE, Failure.HANG):
            self._lasting = failure
        if self._lasting is Failure.DIE:
            raise ProbeLost("the fake probe is gone", "> 00")
        if self._lasting is Failure.HANG:
            raise NoReply("no reply within the time limit", "> 00")
        if failure is Failure.GARBLE:
            raise NoReply("no reply, only 1 garbled blocks", "< 2a 2a 2a  [no frame]")
        if failure is Failure.CRASH:
            raise FirmwareFault("HardFault at pc 0x00000000", {"pc": 0})
        if failure is Failure.FLASH:
            raise FlashFailed("the image reads back different")

    def _loaded_image(self) -> Image:
        self._fail(Failure.NONE)  # raises a lasting failure
        if self._image is None:
            raise NoReply("no image is loaded")
        return self._image

    def _place(self, address: int, size_bytes: int) -> tuple[bytearray, int]:
        if self._lasting is Failure.DIE:
            self._fail(Failure.NONE)
        for region, memory in self._memory:
            if region.origin <= address and address + size_bytes <= region.end:
                return memory, address - region.origin
        raise ProbeLost(f"no memory at {address:#010x}")


def image_in_memory(board: Board, layers: int) -> Image:
    """An image without an ELF file, sufficient for measuring on a fake target."""
    assert board.staging is not None
    return Image(
        elf=Path("model.elf"),
        sha256="",
        program=Program({}, "", 0xABCD),
        board=board,
        flash=Sizes({}),
        ram=Sizes({}),
        arena_address=board.ram.origin,
        layer_ends=tuple(range(0x100, 0x100 + 4 * layers, 4)),
        staging=board.staging,
    )
