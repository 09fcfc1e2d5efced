"""Search for the first layer that a device computes otherwise than the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compress.integer import reference
from compress.integer.rows import unpack_rows
from compress.ops import outputs_of
from compress.types import Int8Array, IntArray, Samples
from hil.errors import Mismatch
from hil.measure.batch import capacity, infer_batch, place_batch, subset, timeout_s
from hil.segment import Segment
from hil.target.target import Target
from hil.types import Image, Plan


def find_mismatch(
    target: Target, image: Image, plan: Plan, samples: Samples, sample: int, outputs: Int8Array
) -> Mismatch:
    """The first layer whose output on the device differs, for the sample with number `sample`.

    The device runs the sample once per layer; a hardware breakpoint halts it where the layer
    ends, and the layer's outputs are read from the arena. Before that, a network with states runs
    the samples that precede it. Layers that are computed row by row have no whole output but the
    last of their segment: all of them are named. If every layer's output is right, the network's
    output is named, as for a profile build, whose layer ends are not known. `outputs` are the
    device's, int8.
    """
    one = subset(samples, slice(sample, sample + 1))
    if not image.layer_ends:
        return _output_difference(plan, sample, one.outputs[0], outputs)
    graph = plan.graph
    upto = sample if graph.variables else 0
    values = reference.trace(graph, samples.inputs[sample - upto : sample + 1])
    limit_s = timeout_s(plan, 1)
    for step, end in zip(plan.steps, image.layer_ends, strict=True):
        segment = plan.segment_of(step.index)
        if segment is not None and step.index != segment.last:
            continue
        _run_all(target, image, plan, subset(samples, slice(0, upto)))
        request = replace(place_batch(target, image, plan, one).request, continues=upto > 0)
        target.run_until(request, end, limit_s)
        found = []
        for index in outputs_of(step.op):
            expected = values[index][-1].reshape(-1)
            address = image.arena_address + plan.tensors[index].offset_bytes
            got = np.frombuffer(target.read(address, expected.nbytes), expected.dtype)
            found.append((expected, got))
        target.resume(limit_s)
        for expected, got in found:
            if not np.array_equal(got, expected):
                name = step.op.name if segment is None else _names(plan, segment)
                return _first_difference(name, sample, expected, got)
    return _output_difference(plan, sample, one.outputs[0], outputs)


def _names(plan: Plan, segment: Segment) -> str:
    """The layers of a segment as text."""
    first, last = (plan.graph.ops[index].name for index in (segment.first, segment.last))
    return f"{first} to {last}, row by row"


def _run_all(target: Target, image: Image, plan: Plan, samples: Samples) -> None:
    """Run samples from the network's first state on, in as many batches as needed."""
    room = capacity(image, plan)
    for start in range(0, len(samples.labels), room):
        batch = subset(samples, slice(start, start + room))
        infer_batch(target, image, plan, batch, continues=start > 0)


def _output_difference(plan: Plan, sample: int, expected: Int8Array, got: Int8Array) -> Mismatch:
    """The first difference between the outputs of a sample, given as bytes."""
    tensors = plan.graph.output_tensors
    pairs = zip(*(unpack_rows(tensors, row[np.newaxis]) for row in (expected, got)), strict=True)
    for tensor, (right, wrong) in zip(tensors, pairs, strict=True):
        if not np.array_equal(right, wrong):
            name = "output" if len(tensors) == 1 else f"output {tensor.name}"
            return _first_difference(name, sample, right.reshape(-1), wrong.reshape(-1))
    raise ValueError("the outputs are equal")


def _first_difference(name: str, sample: int, expected: IntArray, got: IntArray) -> Mismatch:
    index = int(np.flatnonzero(got != expected)[0])
    return Mismatch(name, sample, index, int(expected[index]), int(got[index]))
