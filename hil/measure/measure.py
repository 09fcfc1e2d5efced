"""Measurement of an image on a target: counts are accepted only if every output is bit-exact."""

import hashlib
import struct
import zlib
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from compress.errors import OverBudget
from compress.integer import reference
from compress.types import Int8Array, IntArray, Samples
from hil.cycle_model import stated_error
from hil.errors import BenchError, Mismatch, NoReply
from hil.target.target import Layout, Target, staging_capacity
from hil.target.wire import HelloReply
from hil.types import Board, Image, Measurement, Plan, RunReply, Sizes

_T = TypeVar("_T")

_ATTEMPTS = 3
# Time limit of a run: generous for a Cortex-M at 25 MHz or an emulator on a busy host.
_START_S = 10.0
_SECONDS_PER_MILLION_MACS = 2.0


class BoardRunner:
    """Opens a board's target when first needed; opens it again and retries after a BenchError."""

    def __init__(self, board: Board, open_target: Callable[[Board], Target]) -> None:
        self.board = board
        self._open = open_target
        self._target: Target | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._target is not None:
            self._target.close()
            self._target = None

    def measure(self, image: Image, plan: Plan, samples: Samples) -> Measurement:
        """Measure `image` on `samples`: counts, sizes and accuracy.

        Raises Mismatch, naming the layer, if an output differs from the reference, and BenchError
        as `run` does.
        """
        return self.run(lambda target: measure(target, image, plan, samples))

    def run(self, job: Callable[[Target], _T]) -> _T:
        """Do `job`, again on a freshly opened target where the bench fails.

        A real board is let go of afterwards: other processes may be waiting for it. Raises the last
        BenchError after three attempts.
        """
        try:
            return self._attempt(job)
        finally:
            if self.board.backend != "qemu":
                self.close()

    def _attempt(self, job: Callable[[Target], _T]) -> _T:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                if self._target is None:
                    self._target = self._open(self.board)
                return job(self._target)
            except BenchError:
                self.close()
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")


def measure(target: Target, image: Image, plan: Plan, samples: Samples) -> Measurement:
    """Load `image` and run all samples, in batches that fit the staging memory; no retries.

    Raises Mismatch if an output differs from the reference, and BenchError, also if the board's
    counter does not run: every count would be 0.
    """
    _check_counter(target.load(image), image.board)
    total = len(samples.labels)
    room = _capacity(image, plan)
    counts: list[int] = []
    model_cycles: list[int] = []
    correct, stack_bytes = 0, 0
    digest = hashlib.sha256()
    for start in range(0, total, room):
        batch = subset(samples, slice(start, start + room))
        reply, outputs, pairs = _run(target, image, plan, batch)
        if not np.array_equal(outputs, batch.outputs):
            first = int(np.flatnonzero((outputs != batch.outputs).any(1))[0])
            one = subset(batch, slice(first, first + 1))
            raise find_mismatch(target, image, plan, one, start + first, outputs[first])
        _check_argmax(reply, batch, start)
        digest.update(outputs.tobytes())
        counts += [count for count, _ in pairs]
        model_cycles += [cycles for _, cycles in pairs]
        correct += reply.correct
        stack_bytes = max(stack_bytes, reply.stack_peak_bytes)
    modeled = max(model_cycles) > 0
    return Measurement(
        counter=image.board.counter,
        count=int(np.median(counts)),
        count_min=min(counts),
        count_max=max(counts),
        flash=image.flash,
        ram=Sizes({**image.ram.parts, "stack": stack_bytes}),
        correct=correct,
        total=total,
        outputs_sha256=digest.hexdigest(),
        model_cycles=int(np.median(model_cycles)) if modeled else None,
        model_error=stated_error(image.board.core) if modeled else None,
    )


def over_limits(measurement: Measurement, board: Board) -> tuple[str, float]:
    """The exceeded limits of the board in words ('' if none), and the sum of relative excesses."""
    used = {
        "flash": (measurement.flash.total, board.flash_limit_bytes),
        "RAM": (measurement.ram.total, board.ram_limit_bytes),
    }
    over = {memory: pair for memory, pair in used.items() if pair[0] > pair[1]}
    words = [f"{bytes_} bytes of {memory}, limit {most}" for memory, (bytes_, most) in over.items()]
    return "; ".join(words), sum(bytes_ / most - 1.0 for bytes_, most in over.values())


def find_mismatch(
    target: Target, image: Image, plan: Plan, one: Samples, sample: int, outputs: Int8Array
) -> Mismatch:
    """The first layer whose output on the device differs, for `one` sample (number `sample`).

    The device runs the sample once per layer; a hardware breakpoint halts it where the layer
    ends, and the layer's output is read from the arena. If every layer's output is right, the
    network's output is named, as for a profile build, whose layer ends are not known.
    """
    if not image.layer_ends:
        return _first_difference("output", sample, one.outputs[0], outputs)
    values = reference.trace(plan.graph, one.inputs)
    layout = _layout(image, plan, 1)
    target.write(layout.inputs.origin, one.inputs.tobytes())
    target.write(layout.labels.origin, _label_words(one.labels).tobytes())
    timeout_s = _timeout_s(plan, 1)
    for step, end in zip(plan.steps, image.layer_ends, strict=True):
        expected = values[step.op.output].reshape(-1)
        target.run_until(layout.request, end, timeout_s)
        address = image.arena_address + plan.tensors[step.op.output].offset_bytes
        got = np.frombuffer(target.read(address, expected.nbytes), expected.dtype)
        target.resume(timeout_s)
        if not np.array_equal(got, expected):
            return _first_difference(step.op.name, sample, expected, got)
    return _first_difference("output", sample, one.outputs[0], outputs)


def _first_difference(name: str, sample: int, expected: IntArray, got: IntArray) -> Mismatch:
    index = int(np.flatnonzero(got != expected)[0])
    return Mismatch(name, sample, index, int(expected[index]), int(got[index]))


def _run(
    target: Target, image: Image, plan: Plan, batch: Samples
) -> tuple[RunReply, Int8Array, list[tuple[int, int]]]:
    """Run one batch: outputs int8 (N, classes), and (count, modeled cycles) of each sample."""
    layout = _layout(image, plan, len(batch.labels))
    target.write(layout.inputs.origin, batch.inputs.tobytes())
    target.write(layout.labels.origin, _label_words(batch.labels).tobytes())
    reply = target.run(layout.request, _timeout_s(plan, layout.samples))
    data = target.read(layout.outputs.origin, layout.outputs.length_bytes)
    if zlib.crc32(data) != reply.outputs_crc32:
        raise NoReply("outputs read over the debug probe differ from the CRC-32 the firmware sent")
    counts = target.read(layout.counts.origin, layout.counts.length_bytes)
    outputs: Int8Array = np.frombuffer(data, np.int8).reshape(batch.outputs.shape)
    return reply, outputs, [*struct.iter_unpack("<QQ", counts)]


def _check_counter(hello: HelloReply, board: Board) -> None:
    if hello.counter != board.counter:
        raise BenchError(
            f"board {board.name}: the firmware's counter is {hello.counter or 'none'}, the board's "
            f"file says {board.counter}: that counter does not run here"
        )


def _check_argmax(reply: RunReply, batch: Samples, start: int) -> None:
    """Raises Mismatch if the firmware's count of right answers contradicts its outputs."""
    right = int(np.sum(batch.outputs.argmax(1) == _label_words(batch.labels)))
    if reply.correct != right:
        raise Mismatch("argmax (counted over a batch)", start, 0, right, reply.correct)


def _label_words(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.uint16]:
    """Labels as the firmware reads them, u16: modulo 65,536 for an output map of more values."""
    return labels.astype("<u2")


def subset(samples: Samples, chosen: slice) -> Samples:
    """The samples of a slice."""
    return Samples(samples.inputs[chosen], samples.labels[chosen], samples.outputs[chosen])


def _capacity(image: Image, plan: Plan) -> int:
    graph = plan.graph
    room = staging_capacity(
        image.staging, graph.input_tensor.elements, graph.output_tensor.elements
    )
    if room == 0:
        raise OverBudget(f"no room for one sample in {image.staging.length_bytes} bytes of staging")
    return room


def _layout(image: Image, plan: Plan, samples: int) -> Layout:
    graph = plan.graph
    input_bytes, output_bytes = graph.input_tensor.elements, graph.output_tensor.elements
    return Layout.within(image.staging, samples, input_bytes, output_bytes)


def _timeout_s(plan: Plan, samples: int) -> float:
    macs = sum(step.macs for step in plan.steps)
    return _START_S + samples * max(0.01, macs / 1e6 * _SECONDS_PER_MILLION_MACS)
