"""Measurement of a front end on a board: what a frame costs, bit-equal to the reference or nothing.

The front end runs in the network's place in the firmware: an input are the samples from one frame
to the next, an output is the newest frame. So the counter, its overhead and the check of the stack
are those of networks.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from compress.errors import OverBudget
from compress.features.golden import golden_samples
from compress.features.integer import IntegerFrontEnd
from compress.features.reference import frames_of
from compress.scratch import scratch_folder
from compress.types import Array
from hil.codegen.build import build
from hil.codegen.render import template
from hil.errors import Mismatch, NoReply
from hil.features.files import features_scratch_bytes, front_end_files
from hil.kernel_interface.limits import round_up
from hil.measure.measure import BoardRunner, check_counter
from hil.objective.costs import latency_ms
from hil.target.target import Layout, Target, staging_capacity
from hil.types import Board, CounterKind, Image, Program

_PREFIX = "signal"
_TIMEOUT_S = 30.0
_WAITING_FRAMES = 4  # with wait states, which are slow to emulate; the first are left out
_ALIGNMENT_BYTES = 16


@dataclass(frozen=True, slots=True)
class FeatureCosts:
    """What a front end costs on a board.

    `count` is the median of the counter for one new frame, `model_cycles` the modeled cycles with
    memory that never waits, `wait_cycles` what the part's memories add; None if they are not
    modeled. `frames` of them are an input of the network. `flash_bytes` are code and tables,
    `state_bytes` the memory that lasts, `scratch_bytes` that of a call, which the network's arena
    may be, `stack_bytes` the deepest stack.
    """

    board: Board
    counter: CounterKind
    count: int
    model_cycles: int | None
    wait_cycles: int | None
    frames: int
    flash_bytes: int
    state_bytes: int
    scratch_bytes: int
    stack_bytes: int

    @property
    def cycles(self) -> int | None:
        """Core cycles of a frame, modeled ones with wait states; None if unknown."""
        if self.counter != "insn":
            return self.count
        return None if self.model_cycles is None else self.model_cycles + (self.wait_cycles or 0)

    @property
    def frame_ms(self) -> float | None:
        """The time of a frame at the board's clock, or at that of its part; None if unknown."""
        return latency_ms(self.cycles, self.board)


def measure_front_end(front_end: IntegerFrontEnd, runner: BoardRunner) -> FeatureCosts:
    """The costs of `front_end` on the runner's board, of the frames of the known signal.

    Raises Mismatch if a frame differs from the reference, OverBudget if the board has no room for
    the samples of a frame, and as `BoardRunner.run`.
    """
    board = runner.board
    program = front_end_program(front_end, board)
    chunks, expected = _chunks(front_end)
    with scratch_folder() as folder:
        image = build(program, board, Path(folder))
        counts, cycles, stack = runner.run(lambda t: _frames(t, image, chunks, expected))
        waits = None
        if runner.models_waits:
            few = slice(0, _WAITING_FRAMES)
            _, waiting, _ = runner.run(
                lambda t: _frames(t, image, chunks[few], expected[few]), waiting=True
            )
            # The first inputs complete no frame, and their caches are cold.
            waits = int(np.median((waiting - cycles[few])[2:]))
        flash = image.flash.parts["model"]
    quiet = front_end.window_samples // front_end.stride_samples  # inputs that complete no frame
    modeled = int(np.median(cycles[quiet:]))
    return FeatureCosts(
        board=board,
        counter=board.counter,
        count=int(np.median(counts[quiet:])),
        model_cycles=modeled or None,
        wait_cycles=waits,
        frames=front_end.frames,
        flash_bytes=flash,
        state_bytes=_state_bytes(front_end),
        scratch_bytes=features_scratch_bytes(front_end),
        stack_bytes=stack,
    )


def front_end_program(front_end: IntegerFrontEnd, board: Board) -> Program:
    """The firmware's program that computes a frame of features in the place of a network."""
    value_bytes = np.dtype(front_end.quantization.dtype).itemsize
    context = {
        "name": "features",
        "header": "model.h",
        "prefix": _PREFIX,
        "board": board,
        "input_bytes": 2 * front_end.stride_samples * front_end.channels,
        "output_bytes": value_bytes * front_end.values,
        "arena_bytes": round_up(features_scratch_bytes(front_end), _ALIGNMENT_BYTES),
        "scores": front_end.values,
        "score_type": f"{front_end.quantization.dtype}_t",
        "constants": [],
    }
    sources = {name: text.decode() for name, text in front_end_files(front_end, _PREFIX).items()}

    def files(program_id: int) -> dict[str, str]:
        rendered = {"model.c": "features_model.c"} | {n: n for n in ("model.h", "weights.c")}
        rendered["link.ld"] = "link.ld"
        return sources | {
            name: template(of).render(context, program_id=program_id)
            for name, of in rendered.items()
        }

    digest = hashlib.sha256()
    for name, text in sorted(files(0).items()):
        digest.update(f"{name}\0{text}\0".encode())
    program_id = int.from_bytes(digest.digest()[:4], "big")
    return Program(files(program_id), digest.hexdigest(), program_id)


def _chunks(front_end: IntegerFrontEnd) -> tuple[Array, Array]:
    """Inputs int16 (N, stride * channels) and the newest frame (N, values) after each."""
    samples = golden_samples(front_end)
    stride = front_end.stride_samples
    count = len(samples) // stride
    silence = np.zeros((front_end.window_samples, front_end.channels), np.int16)
    made = np.concatenate([frames_of(front_end, silence), frames_of(front_end, samples)])
    # A frame is complete with the input that has its last sample.
    complete = np.maximum(
        0, (np.arange(1, count + 1) * stride - front_end.window_samples) // stride + 1
    )
    return samples[: count * stride].reshape(count, -1), made[complete]


def _frames(
    target: Target, image: Image, chunks: Array, expected: Array
) -> tuple[Array, Array, int]:
    """Counts and modeled cycles of each input, int64 (N,), and the stack's high-water mark."""
    check_counter(target.load(image), image.board)
    sizes = chunks[0].nbytes, expected[0].nbytes
    room = staging_capacity(image.staging, *sizes)
    if room == 0:
        raise OverBudget(
            f"no room for the {sizes[0]} bytes of samples of a frame in "
            f"{image.staging.length_bytes} bytes of staging memory"
        )
    batches = [
        _batch(target, image, chunks[i : i + room], expected[i : i + room], i)
        for i in range(0, len(chunks), room)
    ]
    readings = np.concatenate([counts for counts, _ in batches])
    return readings[:, 0], readings[:, 1], max(stack for _, stack in batches)


def _batch(
    target: Target, image: Image, chunks: Array, expected: Array, start: int
) -> tuple[Array, int]:
    """Counts and modeled cycles, int64 (N, 2), of a batch that begins with input `start`."""
    layout = Layout.within(image.staging, len(chunks), chunks[0].nbytes, expected[0].nbytes)
    target.write(layout.inputs.origin, chunks.tobytes())
    target.write(layout.labels.origin, bytes(layout.labels.length_bytes))
    reply = target.run(replace(layout.request, continues=start > 0), _TIMEOUT_S)
    data = target.read(layout.outputs.origin, layout.outputs.length_bytes)
    if zlib.crc32(data) != reply.outputs_crc32:
        raise NoReply("outputs read over the debug probe differ from the CRC-32 the firmware sent")
    found = np.frombuffer(data, expected.dtype).reshape(expected.shape)
    if not np.array_equal(found, expected):
        sample, index = (int(place) for place in np.argwhere(found != expected)[0])
        values = int(expected[sample, index]), int(found[sample, index])
        raise Mismatch("features", start + sample, index, *values)
    counts = np.frombuffer(target.read(layout.counts.origin, layout.counts.length_bytes), "<u8")
    return counts.reshape(-1, 2).astype(np.int64), reply.stack_peak_bytes


def _state_bytes(front_end: IntegerFrontEnd) -> int:
    """Bytes of `struct PREFIX_features`."""
    value_bytes = np.dtype(front_end.quantization.dtype).itemsize
    samples = round_up(2 * front_end.window_samples * front_end.channels, 4)
    return samples + 4 + round_up(value_bytes * front_end.frames * front_end.values, 4)
