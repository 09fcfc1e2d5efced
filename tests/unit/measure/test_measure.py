"""Measurements that are rejected, on a fake target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compress.types import Graph
from helpers.fake_target import Failure, FakeTarget, image_in_memory
from helpers.graph_builder import GraphBuilder
from helpers.graph_examples import tiny_conv
from hil.benchmark.samples import random_samples, samples_of
from hil.board import load_board
from hil.codegen.plan import make_plan
from hil.errors import BenchError, Mismatch
from hil.measure.measure import BoardRunner, measure
from hil.target.wire import HelloReply
from hil.types import Board, Image, Plan

BOARD = load_board("m3")


def made(graph: Graph) -> tuple[Plan, Image]:
    return make_plan(graph, BOARD), image_in_memory(BOARD, len(graph.ops))


class _Still(FakeTarget):
    """A target whose firmware reports that its counter does not run."""

    def load(self, image: Image) -> HelloReply:
        return replace(super().load(image), counter=None)


def test_a_counter_that_does_not_run_is_no_measurement() -> None:
    graph = tiny_conv()
    plan, image = made(graph)
    samples = random_samples(graph, 2)
    assert measure(FakeTarget(BOARD, plan), image, plan, samples).count == 1000
    with pytest.raises(BenchError, match=r"m3: the firmware's counter is none, .* says insn"):
        measure(_Still(BOARD, plan, count=0), image, plan, samples)


@pytest.mark.parametrize("inputs", [1, 2, 5])
def test_wait_states_are_those_of_a_second_target(inputs: int) -> None:
    graph = tiny_conv()
    plan, image = made(graph)
    samples = random_samples(graph, inputs)
    waiting = replace(BOARD, memory=load_board("m4").memory)
    slow = [
        FakeTarget(BOARD, plan, model_cycles=1800, run_failures=[failure])
        for failure in (Failure.HANG, Failure.NONE)
    ]
    opened = iter(slow)

    def fast(board: Board) -> FakeTarget:
        return FakeTarget(board, plan, model_cycles=1500)

    with BoardRunner(waiting, fast, lambda board: next(opened)) as runner:
        measured = runner.measure(image, plan, samples)
        assert [target.closed for target in slow] == [True, False]  # opened again
    assert slow[1].closed
    assert (measured.total, measured.model_cycles, measured.wait_cycles) == (inputs, 1500, 300)
    assert measured.memory_timing == waiting.memory.key
    for board, second in ((waiting, None), (BOARD, lambda board: next(opened))):
        with BoardRunner(board, fast, second) as runner:
            assert runner.measure(image, plan, samples).wait_cycles is None


def test_a_profile_build_that_is_wrong_says_where() -> None:
    """A profile build has no layer ends for breakpoints: the output is named."""
    graph = tiny_conv()
    plan, image = made(graph)
    target = FakeTarget(BOARD, plan, run_failures=[Failure.WRONG])
    with pytest.raises(Mismatch, match="layer output: sample 0, element 0: device computed"):
        measure(target, replace(image, layer_ends=()), plan, random_samples(graph, 2))


def test_the_largest_of_many_outputs_may_be_beyond_16_bits() -> None:
    b = GraphBuilder()
    graph = b.finish(b.requantize(b.input((256, 256, 2))))
    plan, image = made(graph)
    inputs = np.zeros((1, 256, 256, 2), np.int8)
    inputs[0, -1, -1, -1] = 100
    samples = samples_of(graph, inputs, None)
    assert samples.labels.tolist() == [2**17 - 1]
    assert measure(FakeTarget(BOARD, plan), image, plan, samples).total == 1
