"""Measurements that are rejected, on a fake target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compress.types import Graph
from helpers.fake_target import Failure, FakeTarget, image_in_memory
from helpers.graph_builder import GraphBuilder
from helpers.graph_examples import tiny_conv
from hil.benchmark.models import random_samples, samples_of
from hil.board import load_board
from hil.codegen.plan import make_plan
from hil.errors import BenchError, Mismatch
from hil.measure.measure import measure
from hil.target.wire import HelloReply
from hil.types import Image, Plan

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
