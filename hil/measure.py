"""Run a candidate's samples on the device and believe the count only if every byte is right."""

import hashlib
import zlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np

from compress import reference
from compress.types import Samples
from hil.errors import BenchError, Mismatch, NoReply
from hil.target import Layout, Target
from hil.types import Board, Image, Measurement, Plan, RunReply, Sizes

_ATTEMPTS = 3
# A Cortex-M at 25 MHz or an emulator on a busy host: generous per sample, but bounded.
_START_S = 10.0
_SECONDS_PER_MILLION_MACS = 2.0


class Bench:
    """A board at hand. Opens its target when first needed; resets and retries when it fails."""

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
        """Counts, sizes and accuracy of `image` on `samples`, outputs equal bit for bit.

        Raises Mismatch, naming the layer, where the device computed something else, and the last
        BenchError after three attempts, each on a freshly opened target.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                if self._target is None:
                    self._target = self._open(self.board)
                return measure(self._target, image, plan, samples)
            except BenchError:
                self.close()
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")


def measure(target: Target, image: Image, plan: Plan, samples: Samples) -> Measurement:
    """One attempt: load, run all samples in as many batches as the staging memory needs."""
    target.load(image)
    timeout_s = _timeout_s(plan, len(samples.labels))
    counts: list[int] = []
    correct, stack_bytes, done = 0, 0, 0
    digest = hashlib.sha256()
    while done < len(samples.labels):
        layout = Layout.fit(image.staging, plan, len(samples.labels) - done)
        batch = slice(done, done + layout.samples)
        reply, outputs, batch_counts = _run(target, layout, samples, batch, timeout_s)
        expected = samples.outputs[batch]
        if not np.array_equal(outputs, expected):
            first = int(np.flatnonzero((outputs != expected).any(1))[0])
            raise find_mismatch(target, image, plan, samples, done + first, outputs[first])
        _check_reply(reply, samples, batch)
        digest.update(outputs.tobytes())
        counts += batch_counts
        correct += reply.correct
        stack_bytes = max(stack_bytes, reply.stack_peak_bytes)
        done += layout.samples
    return Measurement(
        counter=image.board.counter,
        count=int(np.median(counts)),
        count_min=min(counts),
        count_max=max(counts),
        flash=image.flash,
        ram=Sizes({**image.ram.parts, "stack": stack_bytes}),
        correct=correct,
        total=len(samples.labels),
        outputs_sha256=digest.hexdigest(),
    )


def _run(
    target: Target, layout: Layout, samples: Samples, batch: slice, timeout_s: float
) -> tuple[RunReply, np.ndarray[tuple[int, int], np.dtype[np.int8]], list[int]]:
    target.write(layout.inputs_address, samples.inputs[batch].tobytes())
    target.write(layout.labels_address, samples.labels[batch].astype("<u2").tobytes())
    reply = target.run(layout, timeout_s)
    data = target.read(layout.outputs_address, layout.outputs_bytes)
    if zlib.crc32(data) != reply.outputs_crc32:
        raise NoReply("outputs read over the debug probe differ from the CRC-32 the firmware sent")
    outputs = np.frombuffer(data, np.int8).reshape(layout.samples, -1)
    counts = np.frombuffer(target.read(layout.counts_address, layout.counts_bytes), "<u8")
    return reply, outputs, [int(count) for count in counts]


def _check_reply(reply: RunReply, samples: Samples, batch: slice) -> None:
    """The firmware's own count of right answers must follow from outputs known to be equal."""
    right = int(np.sum(samples.outputs[batch].argmax(1) == samples.labels[batch]))
    if reply.correct != right:
        raise Mismatch("argmax", batch.start, 0, right, reply.correct)


def _timeout_s(plan: Plan, samples: int) -> float:
    macs = sum(step.macs for step in plan.steps)
    return _START_S + samples * max(0.01, macs / 1e6 * _SECONDS_PER_MILLION_MACS)


def find_mismatch(
    target: Target,
    image: Image,
    plan: Plan,
    samples: Samples,
    sample: int,
    outputs: np.ndarray[tuple[int], np.dtype[np.int8]],
) -> Mismatch:
    """The first layer at which the device leaves the reference, for one sample.

    The device runs the sample once more per layer and is stopped by a hardware breakpoint where
    the layer ends; its output is read from the arena. If every layer is right when stopped at, the
    network's output is named.
    """
    one = Samples(
        samples.inputs[sample : sample + 1],
        samples.labels[sample : sample + 1],
        samples.outputs[sample : sample + 1],
    )
    values = reference.trace(plan.graph, one.inputs)
    layout = Layout.fit(image.staging, plan, 1)
    target.write(layout.inputs_address, one.inputs.tobytes())
    for step, end in zip(plan.steps, image.layer_ends, strict=True):
        buffer = plan.tensors[step.op.output]
        expected = values[step.op.output].reshape(-1)
        target.run_until(layout, end, _timeout_s(plan, 1))
        data = target.read(image.arena_address + buffer.offset_bytes, expected.size)
        got = np.frombuffer(data, np.int8)
        target.resume(_timeout_s(plan, 1))
        if not np.array_equal(got, expected):
            index = int(np.flatnonzero(got != expected)[0])
            return Mismatch(step.op.name, sample, index, int(expected[index]), int(got[index]))
    index = int(np.flatnonzero(outputs != one.outputs[0])[0])
    return Mismatch("output", sample, index, int(one.outputs[0][index]), int(outputs[index]))
