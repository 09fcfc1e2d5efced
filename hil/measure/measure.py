"""Measurement of an image on a target: counts are accepted only if every output is bit-exact."""

import hashlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from compress.errors import OverBudget
from compress.integer import reference
from compress.types import Int8Array, IntArray, Samples
from hil.cycle_model import MODELED_CORES, stated_error
from hil.errors import BenchError, Mismatch, NoReply
from hil.target.target import Layout, Target, staging_capacity
from hil.target.wire import HelloReply
from hil.types import Board, Image, Measurement, Plan, RunReply, Sizes

_T = TypeVar("_T")

_ATTEMPTS = 3
# Time limit of a run: generous for a Cortex-M at 25 MHz or an emulator on a busy host.
_START_S = 10.0
_SECONDS_PER_MILLION_MACS = 2.0
# Inferences with wait states, which are slow to emulate. The first has cold caches; the median of
# three leaves it out.
_WAITING_INFERENCES = 3


class BoardRunner:
    """Opens a board's target when first needed; opens it again and retries after a BenchError.

    `open_waiting` opens an emulated board's second target, which models the wait states of the
    part's memories; without it, or for a board without such memories, they are not modeled.
    """

    def __init__(
        self,
        board: Board,
        open_target: Callable[[Board], Target],
        open_waiting: Callable[[Board], Target] | None = None,
    ) -> None:
        self.board = board
        self.models_waits = (
            open_waiting is not None and board.memory.waits and board.core in MODELED_CORES
        )
        self._open = {False: open_target, True: open_waiting or open_target}
        self._targets: dict[bool, Target] = {}

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
        for waiting in [*self._targets]:
            self._close(waiting)

    def measure(self, image: Image, plan: Plan, samples: Samples) -> Measurement:
        """Measure `image` on `samples`: counts, sizes and accuracy, and wait states where modeled.

        Wait states are modeled in three inferences only; `wait_cycles` is the median of what they
        add to the same inferences without them. Raises Mismatch, naming the layer, if an output
        differs from the reference, and BenchError as `run` does.
        """
        plain = self.run(lambda target: _count(target, image, plan, samples))
        measurement = _measurement(image, plain)
        if not self.models_waits:
            return measurement
        few = np.arange(_WAITING_INFERENCES) % len(samples.labels)
        waiting = self.run(
            lambda target: _count(target, image, plan, subset(samples, few)), waiting=True
        )
        waits = np.array(waiting.model_cycles) - np.array(plain.model_cycles)[few]
        return replace(
            measurement,
            wait_cycles=int(np.median(waits)),
            memory_timing=self.board.memory.key,
        )

    def run(self, job: Callable[[Target], _T], waiting: bool = False) -> _T:
        """Do `job`, again on a freshly opened target where the bench fails.

        With `waiting`, on the target that models wait states. A real board is let go of afterwards:
        other processes may be waiting for it. Raises the last BenchError after three attempts.
        """
        try:
            return self._attempt(job, waiting)
        finally:
            if self.board.backend != "qemu":
                self.close()

    def _attempt(self, job: Callable[[Target], _T], waiting: bool) -> _T:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                if waiting not in self._targets:
                    self._targets[waiting] = self._open[waiting](self.board)
                return job(self._targets[waiting])
            except BenchError:
                self._close(waiting)
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _close(self, waiting: bool) -> None:
        target = self._targets.pop(waiting, None)
        if target is not None:
            target.close()


@dataclass(frozen=True, slots=True)
class _Counted:
    """The counts and modeled cycles of each sample, and what the firmware said of all of them."""

    counts: tuple[int, ...]
    model_cycles: tuple[int, ...]
    correct: int
    stack_bytes: int
    outputs_sha256: str


def measure(target: Target, image: Image, plan: Plan, samples: Samples) -> Measurement:
    """Load `image` and run all samples, in batches that fit the staging memory; no retries.

    Raises Mismatch if an output differs from the reference, and BenchError, also if the board's
    counter does not run: every count would be 0.
    """
    return _measurement(image, _count(target, image, plan, samples))


def _count(target: Target, image: Image, plan: Plan, samples: Samples) -> _Counted:
    """Load `image` and run all samples, with the errors of `measure`."""
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
    return _Counted(tuple(counts), tuple(model_cycles), correct, stack_bytes, digest.hexdigest())


def _measurement(image: Image, counted: _Counted) -> Measurement:
    modeled = max(counted.model_cycles) > 0
    return Measurement(
        counter=image.board.counter,
        count=int(np.median(counted.counts)),
        count_min=min(counted.counts),
        count_max=max(counted.counts),
        flash=image.flash,
        ram=Sizes({**image.ram.parts, "stack": counted.stack_bytes}),
        correct=counted.correct,
        total=len(counted.counts),
        outputs_sha256=counted.outputs_sha256,
        model_cycles=int(np.median(counted.model_cycles)) if modeled else None,
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


def subset(samples: Samples, chosen: slice | npt.NDArray[np.intp]) -> Samples:
    """The samples of a slice, or those with these indices."""
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
