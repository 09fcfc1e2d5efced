"""Hypothesis strategies that draw layers for the tuned kernels, those that they refuse included.

Extents are near the limits of the kernels (a panel of channels, rows of their own instances, maps
of 3x3), scales and biases near those of their proofs (shifts, sums, half-words, constants).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from compress.ops import (
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Padding,
    inputs_of,
    outputs_of,
)
from compress.types import Graph, Tensor
from helpers.graph_builder import NONE, RELU, RELU6, GraphBuilder, float32, same_padding

Draw = st.DrawFn
# How a layer's numbers are changed after it was made: what its proof refuses, or nearly.
TWISTS = (
    "none",
    "none",
    "left shift",
    "left shift that wraps",
    "large shift",
    "zero multiplier",
    "bias at the end of int32",
    "weights of -128",
    "constant channels",
    "large weights",
    "sums of 29.3 bits",
    "sums of 29.7 bits",
    "sums of 30.1 bits",
    "sums of 30.7 bits",
)
# What no graph that is checked has: `hil.kernels` refuses it before.
IMPOSSIBLE = (
    "weights that are computed",
    "a bias that is computed",
    "weights with a zero point",
    "int16",
)


@st.composite
def layers(draw: Draw, kind: str, twist: str, each: int = 1) -> Graph:
    """`each` layers of one input, of one of `KINDS`, the last of which is changed by a twist."""
    b = GraphBuilder(seed=draw(st.integers(0, 9999)))
    shape, make = KINDS[kind]
    x = b.input(shape(draw), 0.03, draw(st.sampled_from((-128, -9, 0, 83, 127))))
    out = x
    for _ in range(each):
        out = make(draw, b, x)
    graph = b.finish(out, kind.replace(" ", "_"))
    return _twisted(graph, twist)


def options(draw: Draw) -> dict[str, object]:
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
        x, units, kernel, stride, padding=padding, groups=groups, weight_bits=bits, **options(draw)
    )  # type: ignore[arg-type]


def _square(draw: Draw, b: GraphBuilder, x: int) -> int:
    """3x3 with stride 1 and padding 1."""
    padding, bits = Padding(1, 1, 1, 1), draw(st.sampled_from((8, 8, 8, 4)))
    units = draw(st.sampled_from((3, 4, 7)))
    return b.conv(x, units, padding=padding, weight_bits=bits, **options(draw))  # type: ignore[arg-type]


def _square_depthwise(draw: Draw, b: GraphBuilder, x: int) -> int:
    return b.depthwise(x, padding=Padding(1, 1, 1, 1), **options(draw))  # type: ignore[arg-type]


def _square_many(draw: Draw, b: GraphBuilder, x: int) -> int:
    """As `_square`, weights of 8 bits."""
    return b.conv(x, 4, padding=Padding(1, 1, 1, 1), **options(draw))  # type: ignore[arg-type]


def _few_units(draw: Draw, b: GraphBuilder, x: int) -> int:
    return b.conv(x, 3, padding=Padding(1, 1, 1, 1), **options(draw))  # type: ignore[arg-type]


def _halving(draw: Draw, b: GraphBuilder, x: int) -> int:
    """3x3 with stride 2, padded as TensorFlow and as PyTorch do, and with more."""
    _, height, width, _ = b.tensors[x].shape
    same = Padding(*same_padding(height, 3, 2), *same_padding(width, 3, 2))
    padding = draw(st.sampled_from((Padding(1, 1, 1, 1), same, Padding(2, 2, 2, 2))))
    return b.depthwise(x, stride=(2, 2), padding=padding, **options(draw))  # type: ignore[arg-type]


def _steep_add(draw: Draw, b: GraphBuilder, x: int) -> int:
    """A sum whose factors leave few bits for a fraction."""
    return b.add(x, b.requantize(x, 0.03), gain=draw(st.sampled_from((1e-2, 1e-4))))


def _tied_add(draw: Draw, b: GraphBuilder, x: int) -> int:
    """Scales in a ratio of small numbers: many ties."""
    return b.add(x, b.requantize(x, float32(0.01)), gain=float32(0.04) / np.hypot(0.03, 0.01))


def _same_add(draw: Draw, b: GraphBuilder, x: int) -> int:
    """Neither operand has a factor of one half but where it has the larger scale."""
    return b.add(x, x, gain=draw(st.sampled_from((0.7, 1.0))))


def _far_padding(draw: Draw, b: GraphBuilder, x: int) -> int:
    """More outputs than inputs."""
    return b.depthwise(x, 1, (2, 3), padding=Padding(3, 2, 2, 4), **options(draw))  # type: ignore[arg-type]


def _dilated(draw: Draw, b: GraphBuilder, x: int) -> int:
    dilation = draw(st.sampled_from(((2, 2), (1, 2), (2, 1))))
    sides = Padding(2, 2, 2, 2)
    if draw(st.booleans()):
        return b.conv(x, 5, (2, 2), (1, 1), dilation, sides, **options(draw))  # type: ignore[arg-type]
    return b.depthwise(x, 1, (2, 2), (1, 1), dilation, sides, **options(draw))  # type: ignore[arg-type]


def _whole(draw: Draw, b: GraphBuilder, x: int) -> int:
    _, height, width, _ = b.tensors[x].shape
    return b.conv(x, draw(st.sampled_from((3, 4, 9))), (height, width), **options(draw))  # type: ignore[arg-type]


def _depthwise(draw: Draw, b: GraphBuilder, x: int) -> int:
    kernel = draw(st.sampled_from(((3, 3), (3, 3), (3, 3), (2, 2), (5, 3), (1, 4), (4, 1))))
    stride = draw(st.sampled_from(((1, 1), (1, 1), (2, 2), (2, 2), (1, 2))))
    times = draw(st.sampled_from((1, 1, 1, 1, 2)))
    padding = _padding(draw, b, x, kernel, stride)
    if kernel == (3, 3) and draw(st.booleans()):
        padding = Padding(1, 1, 1, 1)
    bits = draw(st.sampled_from((8, 8, 8, 8, 4)))
    return b.depthwise(x, times, kernel, stride, padding=padding, weight_bits=bits, **options(draw))  # type: ignore[arg-type]


def _fully_connected(draw: Draw, b: GraphBuilder, x: int) -> int:
    units = draw(st.sampled_from((1, 3, 4, 7, 8, 33)))
    bits = draw(st.sampled_from((8, 8, 4, 2)))
    by_row = draw(st.booleans())
    return b.fully_connected(x, units, weight_bits=bits, by_row=by_row, **options(draw))  # type: ignore[arg-type]


def _add(draw: Draw, b: GraphBuilder, x: int) -> int:
    scale = b.tensors[x].scale * draw(st.sampled_from((1.0, 0.6, 1.5, 2.0, 3.0, 0.01)))
    shape = b.tensors[x].shape[1:]
    how = draw(st.sampled_from(("tensor", "channel", "constant")))
    if how == "tensor":
        y = b.requantize(x, scale, zero_point=draw(st.sampled_from((-128, 5))))
    else:
        y = b.constant(shape[-1:] if how == "channel" else shape, scale, 4)
    gain = draw(st.sampled_from((0.5, 0.7071, 1.0, 0.05, 1e-4)))
    flags = {"subtract": draw(st.booleans()), "gain": gain}
    return b.add(x, y, draw(st.sampled_from((NONE, RELU))), **flags)  # type: ignore[arg-type]


def _pool(draw: Draw, b: GraphBuilder, x: int) -> int:
    _, height, width, _ = b.tensors[x].shape
    window = draw(st.sampled_from(((height, width), (min(3, height), min(2, width)))))
    stride = draw(st.sampled_from(((1, 1), (2, 1))))
    return b.average_pool(x, window, stride, activation=draw(st.sampled_from((NONE, RELU))))


def _small_or_wide_map(draw: Draw) -> tuple[int, int, int]:
    return draw(
        st.sampled_from(((3, 3, 5), (3, 3, 1), (1, 41, 3), (4, 41, 2), (1, 9, 4), (30, 4, 3)))
        | st.sampled_from(((2, 2, 700), (40, 7, 1), (2, 520, 4)))
    )


def _vector(draw: Draw) -> tuple[int, int]:
    return draw(st.sampled_from((1, 1, 3))), draw(st.sampled_from((1, 2, 7, 16, 33)))


Shape = Callable[[Draw], tuple[int, ...]]
KINDS: dict[str, tuple[Shape, Callable[[Draw, GraphBuilder, int], int]]] = {
    "conv": (_map, _conv),
    "square": (
        lambda draw: (5, 4, draw(st.sampled_from((16, 16, 16, 32, 12, 128)))),
        _square,
    ),
    "square of 16": (lambda draw: (5, 4, 16), _square_many),
    "few units": (lambda draw: (5, 4, 16), _few_units),
    "halving": (lambda draw: (7, 6, draw(st.sampled_from((1, 5)))), _halving),
    "halving of large rows": (lambda draw: (3, 520, 4), _halving),
    "halving of a row": (lambda draw: (1, 9, 4), _halving),
    "steep add": (lambda draw: (2, 3, 4), _steep_add),
    "tied add": (lambda draw: (2, 3, 4), _tied_add),
    "same add": (lambda draw: (2, 3, 4), _same_add),
    "map of 3": (lambda draw: (3, 3, 2), _square_depthwise),
    "square depthwise": (_map, _square_depthwise),
    "square depthwise of small maps": (_small_or_wide_map, _square_depthwise),
    "far padding": (lambda draw: (5, 6, 3), _far_padding),
    "wide": (lambda draw: draw(st.sampled_from(((3, 3400, 40), (3, 2500, 1)))), _square),
    "wide depthwise": (lambda draw: (3, 2500, 1), _square_depthwise),
    "long": (lambda draw: (1, 700), _fully_connected),
    "dilated": (lambda draw: (5, 6, draw(st.sampled_from((3, 8)))), _dilated),
    "whole": (lambda draw: draw(st.sampled_from(((3, 2, 3), (2, 2, 8)))), _whole),
    "depthwise": (_map, _depthwise),
    "depthwise of other maps": (_small_or_wide_map, _depthwise),
    "fully connected": (_vector, _fully_connected),
    "add": (_map, _add),
    "pool": (_map, _pool),
    "large pool": (lambda draw: draw(st.sampled_from(((17, 16, 3), (64, 65, 1)))), _pool),
}


def _twisted(graph: Graph, twist: str) -> Graph:
    """The graph with other numbers in its last layer."""
    op = graph.ops[-1]
    tensors = [*graph.tensors]
    if twist == "int16":
        for index in (*inputs_of(op), *outputs_of(op)):
            tensors[index] = replace(tensors[index], dtype="int16")
        return replace(graph, tensors=tuple(tensors))
    if not isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected) or twist == "none":
        return graph
    out, weights, bias = tensors[op.output], tensors[op.weights], tensors[op.bias]
    assert weights.data is not None
    assert bias.data is not None
    scale = {"left shift": 1e-4, "large shift": 1e6, "zero multiplier": 1e11}.get(twist)
    if scale is not None:
        tensors[op.output] = replace(out, scales=(float(np.float32(out.scale * scale)),))
    elif twist.startswith("sums of"):
        tensors[op.bias], tensors[op.output] = _sums_of(
            graph, op, 2 ** float(twist.split()[2]), factor=2**-22.99
        )
    elif twist == "left shift that wraps":
        tensors[op.bias], tensors[op.output] = _sums_of(graph, op, 2.0**24, factor=2.0**10)
    elif twist == "bias at the end of int32":
        tensors[op.bias] = _with(bias, np.full_like(bias.data, 2**31 - 1))
    elif twist == "constant channels":
        some = np.arange(bias.data.size).reshape(bias.data.shape) % 2 == 0
        tensors[op.bias] = _with(bias, np.where(some, 2**26, bias.data))
    elif twist in ("weights of -128", "large weights"):
        low = -8 if weights.dtype == "int4" else -128 if twist == "weights of -128" else 120
        if weights.dtype != "int2":
            tensors[op.weights] = _with(weights, np.full_like(weights.data, low))
    elif twist == "weights that are computed":
        tensors[op.weights] = replace(weights, data=None)
    elif twist == "a bias that is computed":
        tensors[op.bias] = replace(bias, data=None)
    elif twist == "weights with a zero point":
        tensors[op.weights] = replace(weights, zero_point=3)
    return replace(graph, tensors=tuple(tensors))


def _sums_of(
    graph: Graph, op: Conv2D | DepthwiseConv2D | FullyConnected, size: float, factor: float
) -> tuple[Tensor, Tensor]:
    """A bias of about `size` and an output so that sums are multiplied by at most `factor`.

    Results lie near a half, so that they depend on the input.
    """
    bias, out = graph.tensors[op.bias], graph.tensors[op.output]
    source, weights = graph.tensors[op.input], graph.tensors[op.weights]
    assert bias.data is not None
    factors = source.scale * np.asarray(weights.scales)
    scale = float(np.float32(factors.max() / factor))
    by = np.broadcast_to(factors / scale, bias.data.shape)
    values = (np.floor(size * by) + 0.5) / by
    limit = 2**31 - 2**20
    return _with(bias, np.clip(values, -limit, limit)), replace(
        out, scales=(scale,), zero_point=-128
    )


def _with(tensor: Tensor, values: np.ndarray) -> Tensor:
    assert tensor.data is not None
    return replace(tensor, data=values.astype(tensor.data.dtype))
