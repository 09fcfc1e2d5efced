"""Hypothesis strategies that draw layers for the tuned kernels, those that they refuse included.

Extents are near the limits of the kernels: a panel of channels, rows of their own instances.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from compress.ops import Padding
from compress.types import Graph
from helpers.graph_builder import NONE, RELU, RELU6, GraphBuilder, same_padding

Draw = st.DrawFn


@st.composite
def layers(draw: Draw, kind: str) -> Graph:
    """A layer of one of `KINDS`."""
    b = GraphBuilder(seed=draw(st.integers(0, 9999)))
    shape, make = KINDS[kind]
    x = b.input(shape(draw), 0.03, draw(st.sampled_from((-128, -9, 0, 83, 127))))
    return b.finish(make(draw, b, x), kind.replace(" ", "_"))


def _options(draw: Draw) -> dict[str, Any]:
    return {
        "activation": draw(st.sampled_from((NONE, RELU, RELU6))),
        "zero_point": draw(st.sampled_from((-128, -100, 0, 9))),
        "gain": draw(st.sampled_from((0.3, 0.7, 1.5))),
        "per_channel": draw(st.booleans()),
    }


def _map(draw: Draw) -> tuple[int, int, int]:
    depth = draw(st.sampled_from((1, 2, 3, 4, 5, 8, 16, 32)))
    return draw(st.integers(1, 9)), draw(st.integers(1, 9)), depth


def _padding(
    draw: Draw, b: GraphBuilder, x: int, kernel: tuple[int, int], stride: tuple[int, int]
) -> Padding:
    _, height, width, _ = b.tensors[x].shape
    same = same_padding(height, kernel[0], stride[0]), same_padding(width, kernel[1], stride[1])
    if draw(st.booleans()):
        return Padding(*same[0], *same[1])
    sides = [draw(st.integers(0, taps - 1)) for taps in kernel]
    short = [max(0, t - e - s) for t, e, s in zip(kernel, (height, width), sides, strict=True)]
    return Padding(sides[0], min(short[0], kernel[0] - 1), sides[1], min(short[1], kernel[1] - 1))


def _conv(draw: Draw, b: GraphBuilder, x: int) -> int:
    kernel = draw(st.sampled_from(((1, 1), (1, 1), (3, 3), (3, 3), (2, 3), (5, 4), (1, 4))))
    stride = draw(st.sampled_from(((1, 1), (1, 1), (1, 1), (2, 2), (2, 1), (1, 3))))
    units = draw(st.sampled_from((1, 2, 3, 4, 5, 8, 13, 67)))
    padding = _padding(draw, b, x, kernel, stride)
    depth = b.tensors[x].shape[3]
    groups = 2 if depth % 2 == 0 and units % 2 == 0 and draw(st.integers(0, 7)) == 0 else 1
    bits = draw(st.sampled_from((8, 8, 8, 4, 2)))
    return b.conv(
        x, units, kernel, stride, padding=padding, groups=groups, weight_bits=bits, **_options(draw)
    )


def _square(draw: Draw, b: GraphBuilder, x: int) -> int:
    """3x3 with stride 1 and padding 1."""
    padding, bits = Padding(1, 1, 1, 1), draw(st.sampled_from((8, 8, 8, 4)))
    units = draw(st.sampled_from((3, 4, 7)))
    return b.conv(x, units, padding=padding, weight_bits=bits, **_options(draw))


def _halving(draw: Draw, b: GraphBuilder, x: int) -> int:
    """3x3 with stride 2, padded as TensorFlow and as PyTorch do, and with more."""
    _, height, width, _ = b.tensors[x].shape
    same = Padding(*same_padding(height, 3, 2), *same_padding(width, 3, 2))
    padding = draw(st.sampled_from((Padding(1, 1, 1, 1), same, Padding(2, 2, 2, 2))))
    return b.depthwise(x, stride=(2, 2), padding=padding, **_options(draw))


def _dilated(draw: Draw, b: GraphBuilder, x: int) -> int:
    dilation = draw(st.sampled_from(((2, 2), (1, 2), (2, 1))))
    sides = Padding(2, 2, 2, 2)
    if draw(st.booleans()):
        return b.conv(x, 5, (2, 2), (1, 1), dilation, sides, **_options(draw))
    return b.depthwise(x, 1, (2, 2), (1, 1), dilation, sides, **_options(draw))


def _whole(draw: Draw, b: GraphBuilder, x: int) -> int:
    _, height, width, _ = b.tensors[x].shape
    return b.conv(x, draw(st.sampled_from((3, 4, 9))), (height, width), **_options(draw))


def _depthwise(draw: Draw, b: GraphBuilder, x: int) -> int:
    kernel = draw(st.sampled_from(((3, 3), (3, 3), (3, 3), (2, 2), (5, 3), (1, 4), (4, 1))))
    stride = draw(st.sampled_from(((1, 1), (1, 1), (2, 2), (2, 2), (1, 2))))
    times = draw(st.sampled_from((1, 1, 1, 1, 2)))
    padding = _padding(draw, b, x, kernel, stride)
    if kernel == (3, 3) and draw(st.booleans()):
        padding = Padding(1, 1, 1, 1)
    bits = draw(st.sampled_from((8, 8, 8, 8, 4)))
    return b.depthwise(
        x, times, kernel, stride, padding=padding, weight_bits=bits, **_options(draw)
    )


def _fully_connected(draw: Draw, b: GraphBuilder, x: int) -> int:
    units = draw(st.sampled_from((1, 3, 4, 7, 8, 33)))
    bits = draw(st.sampled_from((8, 8, 4, 2)))
    by_row = draw(st.booleans())
    return b.fully_connected(x, units, weight_bits=bits, by_row=by_row, **_options(draw))


def _add(draw: Draw, b: GraphBuilder, x: int) -> int:
    scale = b.tensors[x].scale * draw(st.sampled_from((1.0, 0.6, 1.5, 2.0, 3.0, 0.01)))
    shape = b.tensors[x].shape[1:]
    how = draw(st.sampled_from(("tensor", "channel", "constant")))
    if how == "tensor":
        y = b.requantize(x, scale, zero_point=draw(st.sampled_from((-128, 5))))
    else:
        y = b.constant(shape[-1:] if how == "channel" else shape, scale, 4)
    gain = draw(st.sampled_from((0.5, 0.7071, 1.0, 0.05, 1e-4)))
    activation = draw(st.sampled_from((NONE, RELU)))
    return b.add(x, y, activation, gain=gain, subtract=draw(st.booleans()))


def _pool(draw: Draw, b: GraphBuilder, x: int) -> int:
    _, height, width, _ = b.tensors[x].shape
    window = draw(st.sampled_from(((height, width), (min(3, height), min(2, width)))))
    stride = draw(st.sampled_from(((1, 1), (2, 1))))
    return b.average_pool(x, window, stride, activation=draw(st.sampled_from((NONE, RELU))))


def _vector(draw: Draw) -> tuple[int, int]:
    return draw(st.sampled_from((1, 1, 3))), draw(st.sampled_from((1, 2, 7, 16, 33)))


Shape = Callable[[Draw], tuple[int, ...]]
KINDS: dict[str, tuple[Shape, Callable[[Draw, GraphBuilder, int], int]]] = {
    "convolution": (_map, _conv),
    "square": (lambda draw: (5, 4, draw(st.sampled_from((16, 32, 12, 128)))), _square),
    "dilated": (lambda draw: (5, 6, draw(st.sampled_from((3, 8)))), _dilated),
    "whole": (lambda draw: draw(st.sampled_from(((3, 2, 3), (2, 2, 8)))), _whole),
    "depthwise": (_map, _depthwise),
    "halving": (lambda draw: (7, 6, draw(st.sampled_from((1, 5)))), _halving),
    "fully connected": (_vector, _fully_connected),
    "add": (_map, _add),
    "pool": (_map, _pool),
}
