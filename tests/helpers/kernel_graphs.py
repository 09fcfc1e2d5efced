"""Small graphs whose layers reach every function of `firmware/tuned`, at shapes that are awkward.

Numbers of pixels, rows and channels are odd or no multiples of what the kernels take at a time.
Activations, zero points and bits of weights vary.
"""

from __future__ import annotations

from compress.ops import Padding
from compress.types import Graph
from helpers.graph_builder import RELU, RELU6, RELU_N1_TO_1, GraphBuilder, same_padding

FINE = {"weight_scale": 0.004, "gain": 0.5}


def convolutions() -> Graph:
    """Filters of every kind over 1, 3, 8 and 16 channels, weights of 8 and 4 bits and many 0s."""
    b = GraphBuilder(seed=31)
    x = b.input((9, 7, 1), 0.03, zero_point=83)
    b.conv(x, 67, (5, 4), (2, 1), padding=Padding(2, 2, 1, 2), activation=RELU6)
    b.conv(x, 66, (9, 7))
    x = b.conv(x, 3, (2, 3), padding=Padding(0, 1, 1, 1), zero_point=-128, activation=RELU)
    b.conv(x, 5, (4, 3), (2, 1), padding=Padding(1, 2, 0, 1))
    b.conv(x, 6, (3, 4), (1, 2), padding=Padding(2, 0, 3, 0), weight_bits=4)
    y = b.conv(x, 7, (1, 1), zero_point=-3)
    b.conv(y, 2, (3, 3), (1, 1), (2, 2), padding=Padding(2, 2, 2, 2), **FINE)
    x = b.conv(x, 8, (1, 1), activation=RELU_N1_TO_1, weight_bits=4)
    b.conv(x, 9, (3, 3), padding=Padding(1, 1, 1, 1), weight_bits=4)
    b.conv(x, 5, (2, 2), (3, 3), zero_point=90)
    b.conv(x, 13, (1, 1), (2, 2))
    x = b.conv(x, 16, (1, 1), activation=RELU, zero_point=-128)
    b.conv(x, 1, (1, 1), **FINE)
    x = b.conv(x, 7, (3, 3), padding=Padding(1, 1, 1, 1), gain=0.7)
    graph = b.finish(b.conv(x, 5, (7, 1), **FINE), "convolutions")
    few = graph.tensors[graph.ops[-2].weights].data  # type: ignore[union-attr]
    assert few is not None
    few[..., ::2] = 0
    return graph


def depthwise_layers() -> Graph:
    """3x3 with strides 1 and 2 on maps of all widths, wide ones too, and other filters."""
    b = GraphBuilder(seed=32)
    x = b.input((12, 13, 5), 0.02, zero_point=-7)
    ones = Padding(1, 1, 1, 1)
    b.depthwise(x, padding=ones, activation=RELU, zero_point=-128, gain=0.5)
    b.depthwise(x, padding=ones, activation=RELU6, gain=0.5, per_channel=False)
    b.depthwise(x, 1, (5, 4), padding=Padding(2, 2, 1, 2), zero_point=40, gain=0.5)
    b.depthwise(x, 1, (2, 7), (2, 1), padding=Padding(0, 1, 3, 3), zero_point=-128, gain=0.5)
    b.depthwise(x, 1, (4, 1), padding=Padding(2, 1, 0, 0), activation=RELU_N1_TO_1, gain=0.5)
    b.depthwise(x, 1, (2, 2), (3, 3), padding=Padding(0, 0, 1, 1), gain=0.5)
    b.depthwise(x, 2, (2, 3), (1, 1), (2, 1), padding=Padding(1, 1, 1, 1), **FINE)
    narrow = b.conv(x, 5, (1, 6))
    b.depthwise(narrow, padding=ones, activation=RELU, zero_point=-128, gain=0.5)
    b.depthwise(narrow, padding=ones, gain=0.5)
    relu = RELU
    while b.tensors[x].shape[1] > 1:
        _, height, width, _ = b.tensors[x].shape
        same = Padding(*same_padding(height, 3, 2), *same_padding(width, 3, 2))
        b.depthwise(x, stride=(2, 2), padding=ones, zero_point=7, gain=0.4)
        if (height, width) == (3, 4):
            square = b.conv(x, 3, (1, 2))
            b.depthwise(square, padding=ones, activation=RELU, zero_point=-128, gain=0.5)
            b.depthwise(square, padding=ones, zero_point=3, gain=0.5)
        x = b.depthwise(x, stride=(2, 2), padding=same, activation=relu, zero_point=-128, gain=0.4)
        relu = RELU6 if relu == RELU else RELU
    return b.finish(x, "depthwise_layers")


def wide_depthwise_layers() -> Graph:
    """Rows that are too wide for an instance of their own, and maps that are packed in blocks."""
    b = GraphBuilder(seed=35)
    x = b.input((4, 41, 3), 0.02, zero_point=9)
    ones = Padding(1, 1, 1, 1)
    b.depthwise(x, padding=ones, gain=0.5)
    y = b.depthwise(x, stride=(2, 2), padding=Padding(0, 1, 1, 1), gain=0.5)
    z = b.depthwise(x, stride=(2, 2), padding=ones, activation=RELU, zero_point=-128, gain=0.5)
    b.add(y, z, RELU)
    rows = b.conv(x, 5, (2, 1))  # three
    b.depthwise(rows, padding=Padding(0, 0, 1, 1), zero_point=5, gain=0.5)
    b.depthwise(rows, padding=Padding(0, 0, 1, 1), activation=RELU, zero_point=-128, gain=0.5)
    return b.finish(b.depthwise(x, 1, (3, 3), (1, 2), padding=ones, gain=0.5), "wide_depthwise")


def dense_layers() -> Graph:
    """One row and several, of odd lengths; units that fill no panel; weights of 8 and 4 bits."""
    b = GraphBuilder(seed=33)
    x = b.input((3, 13), 0.03, zero_point=17)
    for bits in (8, 4):
        y = b.fully_connected(x, 6, RELU6, by_row=True, per_channel=True, weight_bits=bits)
        b.fully_connected(x, 9, RELU, weight_scale=0.02, weight_bits=bits)
        b.fully_connected(y, 4, by_row=True, weight_bits=bits, gain=0.7)
        b.fully_connected(y, 7, zero_point=-128, weight_scale=0.02, weight_bits=bits)
    y = b.fully_connected(y, 37, by_row=False, **FINE)
    b.fully_connected(y, 3, **FINE)
    return b.finish(b.fully_connected(y, 21, **FINE), "dense_layers")


def sums_and_pools() -> Graph:
    """Sums of operands that repeat or not, differences, and windows over edges."""
    b = GraphBuilder(seed=34)
    x = b.input((5, 7, 9), 0.05, zero_point=-20)
    y = b.requantize(x, 0.03, zero_point=33)
    z = b.add(y, x, subtract=True)
    z = b.add(z, x, RELU, zero_point=-50)
    z = b.add(z, b.constant((9,), 0.07, 4), gain=0.8)
    z = b.add(z, b.constant((7, 9), 0.02, 4), gain=0.8, subtract=True, reverse=True)
    z = b.add(z, b.mean(z, keep=True, scale=b.tensors[z].scale / 3), subtract=True, gain=0.6)
    b.average_pool(z, (3, 3), (2, 1), Padding(1, 1, 1, 1))
    b.average_pool(z, (2, 3), (1, 2), Padding(0, 1, 0, 1), RELU)
    b.average_pool(z, (1, 1), (2, 1))
    b.average_pool(b.conv(z, 8, (1, 1)), (5, 7), activation=RELU)
    return b.finish(b.average_pool(z, (5, 7)), "sums_and_pools")


GRAPHS = (convolutions, depthwise_layers, wide_depthwise_layers, dense_layers, sums_and_pools)
