"""A few fixed graphs for tests."""

from __future__ import annotations

from compress.ops import Function, Padding
from compress.types import Graph
from helpers.graph_builder import RELU, RELU6, RELU_N1_TO_1, GraphBuilder, same_padding
from helpers.map_operators import append_every_map_operator
from helpers.recurrent_layers import append_lstm, append_recurrence, append_svdf


def tiny_conv() -> Graph:
    """3x3 convolution with asymmetric padding and stride 2, then a classifier."""
    b = GraphBuilder(seed=1)
    x = b.conv(b.input((9, 7, 3)), 8, stride=(2, 2), padding=Padding(0, 1, 1, 0), activation=RELU)
    x = b.max_pool(x, (2, 2))
    return b.finish(b.fully_connected(x, 5), "tiny_conv")


def ds_cnn(channels: int = 64, blocks: int = 4) -> Graph:
    """The shape of MLPerf Tiny's keyword spotter: 49x10x1, depthwise-separable, 12 classes."""
    b = GraphBuilder(seed=2)
    top, bottom = same_padding(49, 10, 2)
    left, right = same_padding(10, 4, 2)
    x = b.input((49, 10, 1), 0.58, 83)
    x = b.conv(
        x, channels, (10, 4), (2, 2), padding=Padding(top, bottom, left, right), activation=RELU
    )
    for _ in range(blocks):
        x = b.depthwise(x, padding=Padding(1, 1, 1, 1), activation=RELU, zero_point=-128)
        x = b.conv(x, channels, (1, 1), activation=RELU, zero_point=-128)
    x = b.average_pool(x, (25, 5))
    x = b.reshape(x, (channels,))
    return b.finish(b.softmax(b.fully_connected(x, 12, gain=0.5)), "ds_cnn")


def residual() -> Graph:
    """A residual block with a projection, pooling and a classifier, as in ResNet."""
    b = GraphBuilder(seed=3)
    x = b.conv(b.input((8, 8, 3)), 8, padding=Padding(1, 1, 1, 1), activation=RELU)
    y = b.conv(x, 12, stride=(2, 2), padding=Padding(1, 1, 1, 1), activation=RELU)
    y = b.conv(y, 12, padding=Padding(1, 1, 1, 1))
    shortcut = b.conv(x, 12, (1, 1), (2, 2))
    x = b.add(y, shortcut, activation=RELU)
    x = b.average_pool(x, (4, 4))
    x = b.fully_connected(b.reshape(x, (12,)), 10)
    return b.finish(b.softmax(x), "residual")


def every_op() -> Graph:
    """A graph that contains every kind of operator."""
    b = GraphBuilder(seed=4)
    x = b.conv(b.input((12, 10, 2)), 6, (3, 5), padding=Padding(1, 1, 2, 2), activation=RELU6)
    x = b.depthwise(x, 2, padding=Padding(0, 1, 1, 0), stride=(2, 2), activation=RELU)
    x = b.max_pool(x, (3, 3), (1, 1), Padding(1, 1, 1, 1))
    x = b.add(x, b.requantize(x, zero_point=-20), activation=RELU, zero_point=-90, gain=0.4)
    y = b.mul(x, b.constant((12,), 0.01), gain=2.0)
    y = b.lookup(y, Function.LEAKY_RELU, b.tensors[x].scale, b.tensors[x].zero_point, 0.3)
    x = b.concatenate((x, b.pad(y, (0, 0, 0, 0), (0, 0, 0, 1))))
    x = append_every_map_operator(b, b.average_pool(x, (2, 2)))
    x = b.requantize(x, zero_point=-128, activation=RELU)
    channels = b.tensors[x].shape[-1]
    y = b.gather(x, 3, (channels - 1, 3, 3, 10))
    y = b.broadcast_to(b.strided_slice(y, ((2, -1, 3), (1, 1, 1), (0, 2, 2))), (3, 2, 2))
    y = b.minimum(y, b.maximum(y, b.constant((3, 1, 1), b.tensors[y].scale, -128)))
    x = b.mean(b.transpose(b.concatenate((x, y)), (0, 1, 3, 2)), (2,))
    x = append_lstm(b, b.reshape(x, (2, b.tensors[x].elements // 2)), 4)
    x = append_recurrence(b, b.reshape(x, (1, 2, 4)), 3, "gru")
    x = append_recurrence(b, x, 8, "lstm", last_only=True)
    x = append_svdf(b, b.narrow(x), 9, memory=3)
    return b.finish(b.softmax(b.fully_connected(x, 7)), "every_op")


def squeeze_excite() -> Graph:
    """A gated block as in MobileNetV3, with constants, a difference and scales per unit."""
    b = GraphBuilder(seed=6)
    x = b.conv(b.input((7, 6, 3), 0.02), 10, stride=(2, 2), weight_scale=0.005)
    x = b.lookup(x, Function.HARD_SWISH)
    gate = b.fully_connected(b.mean(x), 8, per_channel=True, gain=0.3, weight_scale=0.01)
    gate = b.fully_connected(gate, 10, gain=0.5, weight_scale=0.003)
    gate = b.add(gate, b.constant((), 0.02, -3), RELU6, zero_point=-100)
    gate = b.mul(b.reshape(gate, (1, 1, 10)), b.constant((1,), 0.01, -100))
    y = b.mul(x, gate, gain=2.0)
    x = b.add(x, y, subtract=True)
    x = b.lookup(x, Function.LEAKY_RELU, zero_point=-30, alpha=0.1)
    x = b.lookup(b.mean(x, (3,)), Function.TANH)
    return b.finish(b.fully_connected(x, 5), "squeeze_excite")


def mixed() -> Graph:
    """A graph of int4 and int8 weights, int8 and int16 activations, and every int16 operator."""
    b = GraphBuilder(seed=7)
    x = b.conv(b.input((9, 8, 3)), 6, padding=Padding(1, 1, 1, 1), activation=RELU, weight_bits=4)
    y = x = b.widen(x)
    y = b.depthwise(y, padding=Padding(1, 1, 1, 1), activation=RELU6, weight_bits=2)
    y = b.conv(y, 6, (3, 3), padding=Padding(2, 0, 1, 1), activation=RELU_N1_TO_1)
    x = b.add(x, y, activation=RELU)
    x = b.max_pool(x, (3, 3), (2, 2), Padding(1, 1, 1, 1))
    x = b.average_pool(b.requantize(x, activation=RELU), (2, 2))
    x = b.reshape(x, (b.tensors[x].elements,))
    x = b.fully_connected(x, 10, per_channel=True, weight_bits=4)
    x = b.fully_connected(b.requantize(x, activation=RELU6), 7, weight_bits=4)
    return b.finish(b.softmax(b.fully_connected(b.narrow(x), 5, weight_bits=4)), "mixed")


EXAMPLES = (tiny_conv, residual, every_op, squeeze_excite, mixed)
