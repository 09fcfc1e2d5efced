"""The fake target returns the reference's outputs, and fails on demand."""

from __future__ import annotations

import dataclasses
import struct
import zlib

import numpy as np
import pytest

from compress.integer import reference
from compress.types import Graph
from helpers.fake_target import Failure, FakeTarget, image_in_memory
from helpers.graph_builder import random_inputs
from helpers.graph_examples import tiny_conv
from hil.board import load_board
from hil.codegen.plan import make_plan
from hil.errors import BenchError, FirmwareFault, FlashFailed, NoReply, ProbeLost
from hil.target.target import Layout, Target
from hil.types import Image

BOARD = load_board("m3")
GRAPH = tiny_conv()
PLAN = make_plan(GRAPH, BOARD)
SAMPLES = 5


def image() -> Image:
    return image_in_memory(BOARD, len(GRAPH.ops))


def prepared(target: Target) -> Layout:
    """Loaded, with inputs and (all zero) labels in place."""
    target.load(image())
    layout = Layout.within(
        image().staging, SAMPLES, GRAPH.input_tensor.elements, GRAPH.output_tensor.elements
    )
    target.write(layout.inputs.origin, random_inputs(GRAPH, SAMPLES).tobytes())
    target.write(layout.labels.origin, bytes(layout.labels.length_bytes))
    return layout


def expected_outputs() -> np.ndarray[tuple[int, int], np.dtype[np.int8]]:
    return reference.run(GRAPH, random_inputs(GRAPH, SAMPLES)).reshape(SAMPLES, -1)


def test_it_computes_what_the_reference_computes() -> None:
    target: Target = FakeTarget(BOARD, PLAN, count=123, model_cycles=150)
    layout = prepared(target)
    reply = target.run(layout.request, 1.0)
    outputs = target.read(layout.outputs.origin, layout.outputs.length_bytes)
    assert outputs == expected_outputs().tobytes()
    assert reply.outputs_crc32 == zlib.crc32(outputs)
    assert reply.correct == int(np.sum(expected_outputs().argmax(1) == 0))
    counts = target.read(layout.counts.origin, layout.counts.length_bytes)
    assert counts == struct.pack("<QQ", 123, 150) * SAMPLES


def test_it_halts_with_a_layer_in_the_arena() -> None:
    target = FakeTarget(BOARD, PLAN)
    layout = prepared(target)
    values = reference.trace(GRAPH, random_inputs(GRAPH, SAMPLES)[:1])
    for step, end in zip(PLAN.steps, image().layer_ends, strict=True):
        target.run_until(layout.request, end, 1.0)
        value = values[step.op.output]
        place = image().arena_address + PLAN.tensors[step.op.output].offset_bytes
        assert target.read(place, value.size) == value.tobytes()
        assert target.resume(1.0).outputs_crc32 == zlib.crc32(expected_outputs().tobytes())
    with pytest.raises(NoReply):
        target.run_until(layout.request, 0x9999, 1.0)


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Failure.DIE, ProbeLost),
        (Failure.HANG, NoReply),
        (Failure.GARBLE, NoReply),
        (Failure.CRASH, FirmwareFault),
    ],
)
def test_a_run_fails_as_told_and_the_next_may_not(failure: Failure, error: type[Exception]) -> None:
    target = FakeTarget(BOARD, PLAN, run_failures=[Failure.NONE, failure])
    layout = prepared(target)
    target.run(layout.request, 1.0)
    with pytest.raises(error) as caught:
        target.run(layout.request, 1.0)
    assert not isinstance(caught.value, BenchError) or caught.value.transcript
    if failure is Failure.DIE:
        with pytest.raises(ProbeLost):
            target.load(image())
        with pytest.raises(ProbeLost):
            target.read(layout.outputs.origin, 1)
    else:
        target.load(image())
        target.run(layout.request, 1.0)


def test_what_hangs_hangs_until_loaded_again() -> None:
    target = FakeTarget(BOARD, PLAN, run_failures=[Failure.HANG])
    layout = prepared(target)
    for _ in range(2):
        with pytest.raises(NoReply):
            target.run(layout.request, 1.0)


def test_a_wrong_answer_looks_like_any_other() -> None:
    target = FakeTarget(BOARD, PLAN, run_failures=[Failure.WRONG])
    layout = prepared(target)
    reply = target.run(layout.request, 1.0)
    data = target.read(layout.outputs.origin, layout.outputs.length_bytes)
    outputs = np.frombuffer(data, np.int8).reshape(SAMPLES, -1)
    assert reply.outputs_crc32 == zlib.crc32(data)
    assert np.argwhere(outputs != expected_outputs()).tolist() == [[0, 0]]


def test_another_graph_on_the_device_gives_another_layer() -> None:
    bias = GRAPH.tensors[GRAPH.ops[0].bias]  # type: ignore[union-attr]
    assert bias.data is not None
    other = dataclasses.replace(bias, data=bias.data + 1000)
    tensors = tuple(other if tensor is bias else tensor for tensor in GRAPH.tensors)
    changed = Graph(GRAPH.name, tensors, GRAPH.ops, GRAPH.inputs, GRAPH.outputs)
    target = FakeTarget(BOARD, make_plan(changed, BOARD))
    layout = prepared(target)
    target.run_until(layout.request, image().layer_ends[0], 1.0)
    first = PLAN.steps[0].op.output
    value = reference.trace(GRAPH, random_inputs(GRAPH, SAMPLES)[:1])[first]
    place = image().arena_address + PLAN.tensors[first].offset_bytes
    assert target.read(place, value.size) != value.tobytes()


def test_loading_fails_as_told() -> None:
    target = FakeTarget(BOARD, PLAN, load_failures=[Failure.FLASH])
    with pytest.raises(FlashFailed):
        target.load(image())
    assert target.load(image()).model_id == 0xABCD


def test_nothing_runs_before_it_is_loaded() -> None:
    target = FakeTarget(BOARD, PLAN)
    with pytest.raises(NoReply):
        target.run(Layout.within(image().staging, 1, 4, 4).request, 1.0)


def test_there_is_no_memory_outside_the_regions() -> None:
    with pytest.raises(ProbeLost, match="0x90000000"):
        FakeTarget(BOARD, PLAN).write(0x9000_0000, b"1")
