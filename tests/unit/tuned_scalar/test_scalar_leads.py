"""Outputs over inputs: the lead of each kernel without DSP is enough, and no less would be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from compress.ops import Conv2D, DepthwiseConv2D, FullyConnected, Padding
from compress.types import Graph
from helpers.graph_builder import GraphBuilder
from hil.board import load_board
from hil.kernel_interface.operator_kernels import Kernel
from hil.tuned_scalar.convolution import CONVOLUTION_KERNEL
from hil.tuned_scalar.dense import DENSE_KERNEL
from hil.tuned_scalar.depthwise import DEPTHWISE_KERNEL
from hil.types import Board

M3, M4 = load_board("m3"), load_board("m4")
FINE = {"weight_scale": 0.004, "gain": 0.5}
NO_PADDING, ONE_AROUND = Padding(), Padding(1, 1, 1, 1)


def kernel(graph: Graph, board: Board = M3) -> Kernel | None:
    op = graph.ops[-1]
    if isinstance(op, Conv2D):
        return next(iter(CONVOLUTION_KERNEL.kernels(graph, op, board)), None)
    if isinstance(op, DepthwiseConv2D):
        return next(iter(DEPTHWISE_KERNEL.kernels(graph, op, board)), None)
    assert isinstance(op, FullyConnected)
    return next(iter(DENSE_KERNEL.kernels(graph, op, board)), None)


def pieces(graph: Graph) -> Iterator[tuple[set[int], set[int]]]:
    """Bytes of the input that the kernel reads, then bytes of the output that it writes, in turn.

    A convolution takes two pixels at a time, a depthwise one a row, whose inputs it copies.
    """
    op = graph.ops[-1]
    assert isinstance(op, Conv2D | DepthwiseConv2D)
    _, height, width, depth = graph.tensors[op.input].shape
    _, rows, columns, units = graph.tensors[op.output].shape
    _, tall, wide, _ = graph.tensors[op.weights].shape

    def read(pixel: int) -> Iterator[int]:
        top = pixel // columns * op.stride[0] - op.padding.top
        left = pixel % columns * op.stride[1] - op.padding.left
        for i in range(top, top + tall * op.dilation[0], op.dilation[0]):
            for j in range(left, left + wide * op.dilation[1], op.dilation[1]):
                if 0 <= i < height and 0 <= j < width:
                    yield from range((i * width + j) * depth, (i * width + j + 1) * depth)

    if isinstance(op, Conv2D):
        for pixel in range(0, rows * columns, 2):
            both = range(pixel, min(pixel + 2, rows * columns))
            reads = {at for one in both for at in read(one)}
            yield reads, set(range(pixel * units, (both[-1] + 1) * units))
        return
    copied: set[int] = set()
    for row in range(rows):
        last = row * op.stride[0] - op.padding.top + (tall - 1) * op.dilation[0]
        wanted = set(range(min(last + 1, height) * width * depth))
        yield wanted - copied, set(range(row * columns * units, (row + 1) * columns * units))
        copied |= wanted


def works(graph: Graph, lead: int) -> bool:
    """True if no byte is read that was written before, the output `lead` bytes ahead."""
    written: set[int] = set()
    for reads, writes in pieces(graph):
        if reads & written:
            return False
        written |= {at - lead for at in writes}
    return True


CONVOLUTIONS = [
    (4, (1, 1), (1, 1), (1, 1), NO_PADDING),
    (7, (1, 1), (1, 1), (1, 1), NO_PADDING),
    (3, (1, 1), (2, 2), (1, 1), NO_PADDING),
    (4, (3, 3), (1, 1), (1, 1), ONE_AROUND),
    (9, (3, 3), (2, 2), (1, 1), Padding(0, 1, 0, 1)),
    (5, (2, 3), (1, 2), (2, 1), Padding(2, 0, 1, 3)),
]


@pytest.mark.parametrize(("units", "filter_", "stride", "dilation", "padding"), CONVOLUTIONS)
def test_lead_of_a_convolution_is_the_least(
    units: int,
    filter_: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: Padding,
) -> None:
    b = GraphBuilder(seed=1)
    x = b.conv(b.input((5, 7, 4)), units, filter_, stride, dilation, padding, **FINE)
    check(b.finish(x))


DEPTHWISE = [
    (1, (3, 3), (1, 1), (1, 1), ONE_AROUND),
    (1, (3, 3), (2, 2), (1, 1), Padding(0, 1, 0, 1)),
    (2, (3, 3), (1, 1), (1, 1), ONE_AROUND),
    (3, (2, 3), (1, 2), (2, 1), Padding(2, 0, 1, 3)),
    (1, (1, 2), (3, 1), (1, 2), NO_PADDING),
]


@pytest.mark.parametrize(("times", "filter_", "stride", "dilation", "padding"), DEPTHWISE)
def test_lead_of_a_depthwise_convolution_is_the_least(
    times: int,
    filter_: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: Padding,
) -> None:
    b = GraphBuilder(seed=1)
    x = b.depthwise(b.input((6, 7, 4)), times, filter_, stride, dilation, padding, **FINE)
    check(b.finish(x))


def check(graph: Graph) -> None:
    found = kernel(graph)
    assert found is not None
    assert found.lead_bytes is not None
    assert works(graph, found.lead_bytes)
    assert works(graph, found.lead_bytes + 3)
    assert found.lead_bytes == 0 or not works(graph, found.lead_bytes - 1)
    assert kernel(graph, M4) is None


def conv(units: int = 4, **options: object) -> Graph:
    b = GraphBuilder(seed=1)
    return b.finish(b.conv(b.input((5, 7, 4)), units, (1, 1), **{**FINE, **options}))  # type: ignore[arg-type]


def depthwise(width: int, **options: object) -> Graph:
    b = GraphBuilder(seed=1)
    return b.finish(b.depthwise(b.input((5, width, 4)), 1, (2, 3), **{**FINE, **options}))  # type: ignore[arg-type]


def dense(inputs: int, units: int, rows: int = 1, **options: object) -> Graph:
    b = GraphBuilder(seed=1)
    x = b.input((rows, inputs))
    return b.finish(b.fully_connected(x, units, by_row=True, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("graph", "taken"),
    [
        (conv(), True),
        (conv(1), False),  # there are two channels in a word
        (conv(weight_bits=4), False),
        (conv(groups=2), False),
        (conv(gain=0.001), False),  # a shift to the left
        (depthwise(5), True),
        (depthwise(4), False),  # two outputs in a row
        (depthwise(5, weight_bits=4), False),
        (depthwise(5, gain=0.001), False),
        (dense(6, 5), True),
        (dense(7, 5), True),
        (dense(7, 5, rows=2), False),  # rows of an odd length
        (dense(6, 5, rows=2), True),
        (dense(6, 3), False),  # there are four units in a word
        (dense(6, 5, weight_bits=4), False),
    ],
)
def test_others_are_left_to_other_kernels(graph: Graph, taken: bool) -> None:
    assert (kernel(graph) is not None) is taken


def test_a_convolution_of_one_window_is_dense() -> None:
    b = GraphBuilder(seed=1)
    x = b.conv(b.input((2, 3, 4)), 6, (2, 3), **FINE)
    graph = b.finish(x)
    assert list(DENSE_KERNEL.kernels(graph, graph.ops[0], M3)) == [Kernel("dense_scalar")]
    b = GraphBuilder(seed=1)
    x = b.conv(b.input((2, 3, 4)), 6, (2, 3), (3, 3), padding=Padding(1, 1, 0, 0), **FINE)
    graph = b.finish(x)
    assert not list(DENSE_KERNEL.kernels(graph, graph.ops[0], M3))
