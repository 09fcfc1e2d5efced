"""Measurement of an image on a target: counts are accepted only if every output is bit-exact."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, TypeVar

import numpy as np

from compress.integer.rows import unpack_rows
from compress.types import Samples
from hil.cycle_model import MODELED_CORES, stated_error
from hil.errors import BenchError, Mismatch
from hil.measure.batch import first_samples, infer_batch, label_words, samples_at_once, subset
from hil.measure.effort import Effort, no_tick
from hil.measure.mismatch import find_mismatch
from hil.target.target import Target
from hil.target.wire import HelloReply
from hil.types import Board, Image, Measurement, Plan, RunReply, Sizes

_T = TypeVar("_T")

_ATTEMPTS = 3
# Inferences with wait states, which are slow to emulate. The first has cold caches; the median of
# three leaves it out.
_WAITING_INFERENCES = 3
_UNTOLD = Effort(1, no_tick)  # whoever counts in it, nobody reads it


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

    def effort_of(self, samples: int) -> int:
        """What `measure` tells of an `Effort` for so many samples, and not more of them."""
        return samples + self.models_waits * _WAITING_INFERENCES * Effort.WAITING

    def measure(
        self, image: Image, plan: Plan, samples: Samples, effort: Effort = _UNTOLD
    ) -> Measurement:
        """Measure `image` on `samples`: counts, sizes and accuracy, and wait states where modeled.

        Wait states are modeled in three inferences only; `wait_cycles` is the median of what they
        add to the same inferences without them. Raises Mismatch, naming the layer, if an output
        differs from the reference, and BenchError as `run` does.
        """
        plain = self.run(lambda target: _count(target, image, plan, samples, effort))
        measurement = _measurement(image, plain)
        if not self.models_waits:
            return measurement
        few = first_samples(plan, samples, _WAITING_INFERENCES)
        waiting = self.run(
            lambda target: _count(target, image, plan, subset(samples, few)), waiting=True
        )
        effort.ran(_WAITING_INFERENCES, waiting=True)
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


def _count(
    target: Target, image: Image, plan: Plan, samples: Samples, effort: Effort = _UNTOLD
) -> _Counted:
    """Load `image` and run all samples, with the errors of `measure`."""
    check_counter(target.load(image), image.board)
    total = len(samples.labels)
    room = samples_at_once(image, plan)
    counts: list[int] = []
    model_cycles: list[int] = []
    correct, stack_bytes = 0, 0
    digest = hashlib.sha256()
    for start in range(0, total, room):
        batch = subset(samples, slice(start, start + room))
        continues = start > 0 and bool(plan.graph.variables)
        reply, outputs, pairs = infer_batch(target, image, plan, batch, continues)
        if not np.array_equal(outputs, batch.outputs):
            first = int(np.flatnonzero((outputs != batch.outputs).any(1))[0])
            raise find_mismatch(target, image, plan, samples, start + first, outputs[first])
        _check_argmax(reply, plan, batch, start)
        effort.ran(len(batch.labels))
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


def check_counter(hello: HelloReply, board: Board) -> None:
    if hello.counter != board.counter:
        raise BenchError(
            f"board {board.name}: the firmware's counter is {hello.counter or 'none'}, the board's "
            f"file says {board.counter}: that counter does not run here"
        )


def _check_argmax(reply: RunReply, plan: Plan, batch: Samples, start: int) -> None:
    """Raises Mismatch if the firmware's count of right answers contradicts its outputs."""
    scores = unpack_rows(plan.graph.output_tensors, batch.outputs)[0].reshape(len(batch.labels), -1)
    right = int(np.sum(scores.argmax(1) == label_words(batch.labels)))
    if reply.correct != right:
        raise Mismatch("argmax (counted over a batch)", start, 0, right, reply.correct)
