"""Layers at limits of the tuned kernels that random ones seldom meet, each of one shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from compress.ops import Padding
from compress.types import Graph
from helpers.graph_builder import RELU, GraphBuilder

Make = Callable[[GraphBuilder, int], int]
Shape = tuple[int, ...]

_ONES = Padding(1, 1, 1, 1)


def rare_layers() -> Iterator[Graph]:
    """Graphs of one layer, after one that changes the scale in some."""
    for shape, make in (*_convolutions(), *_depthwise(), *_others()):
        b = GraphBuilder(seed=41)
        yield b.finish(make(b, b.input(shape, 0.03, zero_point=-9)), "layer")


def fragile_layers() -> Iterator[Graph]:
    """Those whose proofs depend on their numbers: one for each proof, to be changed."""
    makes: tuple[tuple[Shape, Make], ...] = (
        ((5, 4, 16), lambda b, x: b.conv(x, 4, padding=_ONES)),
        ((5, 4, 16), lambda b, x: b.conv(x, 5, padding=_ONES, weight_bits=4)),
        ((3, 3, 128), lambda b, x: b.conv(x, 4, padding=_ONES, weight_bits=4)),
        ((6, 5, 1), lambda b, x: b.conv(x, 32, padding=_ONES)),
        ((3, 3, 2), lambda b, x: b.depthwise(x, padding=_ONES, per_channel=False)),
        ((7, 6, 5), lambda b, x: b.depthwise(x, stride=(2, 2), padding=_ONES)),
        ((1, 700), lambda b, x: b.fully_connected(x, 8)),
        ((1, 33), lambda b, x: b.fully_connected(x, 5, weight_bits=4)),
    )
    for shape, make in makes:
        b = GraphBuilder(seed=42)
        yield b.finish(make(b, b.input(shape, 0.03, zero_point=-128)), "layer")


def _convolutions() -> tuple[tuple[Shape, Make], ...]:
    return (
        ((5, 4, 8), lambda b, x: b.conv(x, 7, (1, 1))),
        # Fewer channels than a panel has; groups; gaps in filters.
        ((5, 4, 16), lambda b, x: b.conv(x, 3, padding=_ONES)),
        ((5, 4, 16), lambda b, x: b.conv(x, 3, padding=_ONES, weight_bits=4)),
        ((4, 3, 8), lambda b, x: b.conv(x, 4, (1, 1), groups=2)),
        ((5, 6, 3), lambda b, x: b.conv(x, 5, (2, 2), dilation=(2, 1))),
        # Short rows of filters, many channels: copied together.
        ((6, 5, 1), lambda b, x: b.conv(x, 32, padding=_ONES)),
        # Few weights of four bits.
        ((6, 5, 1), lambda b, x: b.conv(x, 32, padding=_ONES, weight_bits=4)),
        ((5, 4, 8), lambda b, x: b.conv(x, 8, (1, 1), weight_bits=4)),
        # Rows, windows and panels that uint16_t does not count, offsets that no LDR reaches.
        ((3, 3400, 40), lambda b, x: b.conv(x, 4, padding=_ONES)),
        ((3, 8200, 16), lambda b, x: b.conv(x, 4, padding=_ONES)),
        ((3, 2500, 1), lambda b, x: b.conv(x, 7, padding=_ONES)),
        ((3, 1, 22000), lambda b, x: b.conv(x, 4, (3, 1))),
    )


def _depthwise() -> tuple[tuple[Shape, Make], ...]:
    small_and_wide = (
        *((3, 3, 5), (3, 3, 1), (1, 41, 3), (4, 41, 2), (1, 9, 4), (30, 4, 3)),
        *((2, 2, 700), (40, 7, 1), (2, 520, 4), (3, 2500, 1)),
    )

    def plain(b: GraphBuilder, x: int) -> int:
        return b.depthwise(x, padding=_ONES)

    def halving(b: GraphBuilder, x: int) -> int:
        return b.depthwise(x, stride=(2, 2), padding=_ONES)

    return (
        *((shape, plain) for shape in small_and_wide),
        # Several outputs of a channel; filters that are large; few outputs in a row.
        ((5, 6, 3), lambda b, x: b.depthwise(x, 2)),
        ((7, 7, 3), lambda b, x: b.depthwise(x, 1, (5, 3))),
        ((4, 3, 2), lambda b, x: b.depthwise(x, 1, (2, 2))),
        # A row of outputs, as a layer is streamed.
        ((3, 7, 4), lambda b, x: b.depthwise(x, padding=Padding(0, 0, 1, 1))),
        # Stride 2 with rows that are too far from each other, and with one; gaps in filters.
        ((3, 520, 4), halving),
        ((1, 9, 4), halving),
        ((5, 6, 3), lambda b, x: b.depthwise(x, stride=(2, 2), padding=Padding(2, 2, 2, 2))),
        ((5, 6, 3), lambda b, x: b.depthwise(x, 1, (2, 2), dilation=(1, 2))),
        # More outputs than inputs, by rows and by columns.
        ((5, 6, 3), lambda b, x: b.depthwise(x, 1, (2, 2), padding=_ONES)),
        ((5, 6, 3), lambda b, x: b.depthwise(x, padding=Padding(2, 2, 2, 2))),
        ((5, 6, 3), lambda b, x: b.depthwise(x, 1, (2, 3), padding=Padding(1, 1, 2, 2))),
    )


def _others() -> tuple[tuple[Shape, Make], ...]:
    return (
        # More rows than uint16_t counts.
        ((260, 260, 1), lambda b, x: b.fully_connected(x, 4, by_row=True)),
        ((17, 16, 3), lambda b, x: b.average_pool(x, (17, 16))),
        ((64, 65, 1), lambda b, x: b.average_pool(x, (64, 65))),
        ((2, 3, 4), lambda b, x: b.add(x, x, RELU)),
        # Factors that leave few bits for a fraction, and scales in ratios that have many ties.
        ((2, 3, 4), _sum(0.03, 3e-4)),
        ((2, 3, 4), _sum(0.03, 3e-6)),
        ((2, 3, 4), _sum(0.045, 0.02)),
        ((2, 3, 4), _sum(0.06, 0.04)),
        # The operand of the larger scale is subtracted.
        ((2, 3, 4), lambda b, x: b.add(x, b.requantize(x, 0.07), subtract=True)),
    )


def _sum(scale: float, out_scale: float) -> Make:
    """A sum with an operand of another scale, with that scale of its result."""

    def make(b: GraphBuilder, x: int) -> int:
        y = b.requantize(x, scale)
        return b.add(x, y, gain=out_scale / math.hypot(b.tensors[x].scale, b.tensors[y].scale))

    return make
