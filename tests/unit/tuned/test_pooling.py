"""Average pools of our own: which they are, and where their output may lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compress.ops import AveragePool2D
from compress.types import Graph
from helpers.graph_builder import GraphBuilder, Padding
from hil.board import load_board
from hil.kernels.choice import choose
from hil.tuned.pooling import pool_lead_bytes

NO_PADDING = Padding()


def pool(
    shape: tuple[int, int, int],
    window: tuple[int, int],
    stride: tuple[int, int] | None = None,
    padding: Padding = NO_PADDING,
) -> tuple[Graph, AveragePool2D]:
    b = GraphBuilder()
    graph = b.finish(b.average_pool(b.input(shape), window, stride, padding))
    op = graph.ops[0]
    assert isinstance(op, AveragePool2D)
    return graph, op


def test_sums_of_more_than_255_pixels_are_refused() -> None:
    for shape, name in (((15, 17, 4), "average_pool_s8"), ((16, 16, 4), "arm_avgpool_s8")):
        graph, op = pool(shape, shape[:2])
        assert choose(graph, op, load_board("m4"), "nothing").name == name


def test_means_on_uint8_and_other_cores_are_left_to_other_kernels() -> None:
    graph, op = pool((8, 8, 4), (2, 2))
    assert choose(replace(graph, uint8=True), op, load_board("m4")).name == "average_pool_up_s8"
    assert choose(graph, op, load_board("m3")).name == "arm_avgpool_s8"


@pytest.mark.parametrize(
    ("shape", "window", "stride", "padding"),
    [
        ((8, 8, 4), (8, 8), None, Padding()),
        ((9, 7, 3), (3, 2), (2, 1), Padding()),
        ((6, 5, 2), (3, 3), (1, 1), Padding(1, 1, 1, 1)),
        ((5, 6, 1), (4, 4), (1, 2), Padding(3, 0, 2, 1)),
    ],
)
def test_the_lead_is_the_least_at_which_no_input_is_lost(
    shape: tuple[int, int, int],
    window: tuple[int, int],
    stride: tuple[int, int] | None,
    padding: Padding,
) -> None:
    """Played through in one memory, byte by byte, in the order of average_pool_s8.c."""
    graph, op = pool(shape, window, stride, padding)
    lead = pool_lead_bytes(graph, op)
    assert plays(graph, op, lead)
    assert lead == 0 or not plays(graph, op, lead - 1)


def plays(graph: Graph, op: AveragePool2D, lead: int) -> bool:
    """True if every byte of the input is still there whenever it is read."""
    _, height, width, channels = graph.tensors[op.input].shape
    _, out_height, out_width, _ = graph.tensors[op.output].shape
    size = height * width * channels
    memory = np.full(lead + size + graph.tensors[op.output].elements, -1)
    memory[lead : lead + size] = np.arange(size)
    written = 0
    for y in range(out_height):
        for x in range(out_width):
            top, left = y * op.stride[0] - op.padding.top, x * op.stride[1] - op.padding.left
            rows = range(max(top, 0), min(top + op.filter[0], height))
            columns = range(max(left, 0), min(left + op.filter[1], width))
            for channel in range(channels):
                for row in rows:
                    for column in columns:
                        at = (row * width + column) * channels + channel
                        if memory[lead + at] != at:
                            return False
                memory[written] = -1
                written += 1
    return True
