"""One batch of samples on a target: what is written, run and read back."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from compress.errors import OverBudget
from compress.types import Int8Array, Samples
from hil.errors import NoReply
from hil.target.target import Layout, Target, staging_capacity
from hil.types import Image, Plan, RunReply

# Time limit of a run: generous for a Cortex-M at 25 MHz or an emulator on a busy host.
_START_S = 10.0
_SECONDS_PER_MILLION_MACS = 2.0
# A batch takes seconds at most, so that one can tell how far a measurement is; in so many samples,
# the first one with its cold caches is an exception.
_MACS_AT_ONCE = 200e6
_FEWEST_AT_ONCE = 8


def infer_batch(
    target: Target, image: Image, plan: Plan, batch: Samples, continues: bool = False
) -> tuple[RunReply, Int8Array, list[tuple[int, int]]]:
    """Run one batch: outputs int8 (N, bytes), and (count, modeled cycles) of each sample.

    The network starts with its first state or, with `continues`, in that of the last run.
    """
    layout = place_batch(target, image, plan, batch)
    reply = target.run(
        replace(layout.request, continues=continues), timeout_s(plan, layout.samples)
    )
    data = target.read(layout.outputs.origin, layout.outputs.length_bytes)
    if zlib.crc32(data) != reply.outputs_crc32:
        raise NoReply("outputs read over the debug probe differ from the CRC-32 the firmware sent")
    counts = target.read(layout.counts.origin, layout.counts.length_bytes)
    outputs: Int8Array = np.frombuffer(data, np.int8).reshape(batch.outputs.shape)
    return reply, outputs, [*struct.iter_unpack("<QQ", counts)]


def place_batch(target: Target, image: Image, plan: Plan, batch: Samples) -> Layout:
    """Write the inputs and labels of a batch into the staging memory; returns its layout."""
    layout = Layout.within(image.staging, len(batch.labels), *_sample_bytes(plan))
    target.write(layout.inputs.origin, batch.inputs.tobytes())
    target.write(layout.labels.origin, label_words(batch.labels).tobytes())
    return layout


def label_words(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.uint16]:
    """Labels as the firmware reads them, u16: modulo 65,536 for an output map of more values."""
    return labels.astype("<u2")


def subset(samples: Samples, chosen: slice | npt.NDArray[np.intp]) -> Samples:
    """The samples of a slice, or those with these indices."""
    return Samples(samples.inputs[chosen], samples.labels[chosen], samples.outputs[chosen])


def first_samples(plan: Plan, samples: Samples, count: int) -> npt.NDArray[np.intp]:
    """The indices of the first `count` samples, which repeat if there are fewer.

    Those of a network with states do not repeat: the outputs of a sample are valid once only.
    """
    there = len(samples.labels)
    return np.arange(min(count, there) if plan.graph.variables else count) % there


def capacity(image: Image, plan: Plan) -> int:
    """The number of samples that fit into a batch. Raises OverBudget if none does."""
    room = staging_capacity(image.staging, *_sample_bytes(plan))
    if room == 0:
        raise OverBudget(f"no room for one sample in {image.staging.length_bytes} bytes of staging")
    return room


def samples_at_once(image: Image, plan: Plan) -> int:
    """The number of samples that a batch has when all are measured. Raises as `capacity`."""
    macs = max(1, sum(step.macs for step in plan.steps))
    return min(capacity(image, plan), max(_FEWEST_AT_ONCE, int(_MACS_AT_ONCE // macs)))


def timeout_s(plan: Plan, samples: int) -> float:
    """The time limit of a run of `samples` samples."""
    macs = sum(step.macs for step in plan.steps)
    return _START_S + samples * max(0.01, macs / 1e6 * _SECONDS_PER_MILLION_MACS)


def _sample_bytes(plan: Plan) -> tuple[int, int]:
    """Bytes of all inputs and of all outputs."""
    graph = plan.graph
    inputs, outputs = graph.input_tensors, graph.output_tensors
    return sum(t.size_bytes for t in inputs), sum(t.size_bytes for t in outputs)
