"""Draws operators that compute on maps (`map_operators`) with random parameters."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from compress.ops import Activation
from helpers.map_operators import MapOperators

MAP_KINDS = (
    "resize_nearest",
    "resize_bilinear",
    "sum",
    "reduce_max",
    "reduce_min",
    "transpose_conv",
    "prelu",
    "table",
    "matmul",
)
_INT8_KINDS = ("prelu", "table", "matmul")
REDUCTION_KINDS = ("mean", "sum", "reduce_max", "reduce_min")  # the output may lose axes
MAP_INT16_KINDS = (*(kind for kind in MAP_KINDS if kind not in _INT8_KINDS), "mean")


def append_map_op(draw: st.DrawFn, b: MapOperators, source: int, kind: str) -> int:
    """Draw one operator of `kind` reading `source` (1, H, W, C) and append it."""
    match kind:
        case "resize_nearest":
            return b.resize_nearest(source, draw(sizes), draw(st.booleans()), draw(st.booleans()))
        case "resize_bilinear":
            options = draw(st.sampled_from([(False, False), (True, False), (False, True)]))
            return b.resize_bilinear(source, draw(sizes), *options)
        case "sum":
            axes, keep = draw(reductions)
            scale = b.tensors[source].scale * draw(
                st.sampled_from([2.0, 1.0]) | st.floats(0.1, 300)
            )
            return b.sum(source, axes, keep, scale, draw(st.integers(-128, 127)))
        case "prelu":
            x = b.tensors[source]
            shape = draw(st.sampled_from([x.shape[1:], x.shape[3:], (1, 1, x.shape[3]), (1,)]))
            alpha = b.constant(shape, draw(st.floats(0.001, 0.1)), draw(st.integers(-128, 127)))
            scale = x.scale * draw(st.sampled_from([0.5, 1.0]) | st.floats(0.1, 10))
            return b.prelu(source, alpha, scale, draw(st.integers(-128, 127)))
        case "table":
            return b.table(source, draw(st.floats(0.001, 1)), draw(st.integers(-128, 127)))
        case "matmul":
            x = b.tensors[source]
            transposed = draw(st.booleans())
            other = b.requantize(source, x.scale * draw(st.floats(0.1, 10)), draw(zero_points))
            if not transposed:
                _, height, width, channels = x.shape
                other = b.reshape(other, (height, channels, width))
            gain = draw(st.sampled_from([0.3, 1.0, 5.0]))
            return b.matmul(source, other, transposed, gain, draw(zero_points))
        case "reduce_max":
            return b.reduce_max(source, *draw(reductions))
        case "reduce_min":
            return b.reduce_min(source, *draw(reductions))
        case "transpose_conv":
            stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
            kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
            same = draw(st.booleans())
            _, height, width, _ = b.tensors[source].shape
            size = (
                _transposed_extent(draw, height, kernel[0], stride[0], same),
                _transposed_extent(draw, width, kernel[1], stride[1], same),
            )
            return b.transpose_conv(
                source,
                draw(st.integers(1, 7)),
                size,
                kernel,
                stride,
                same,
                draw(st.sampled_from(Activation)),
                draw(st.integers(-128, 127)),
                draw(st.sampled_from([0.3, 1.0, 30.0])),
                per_channel=draw(st.booleans()),
                weight_bits=draw(st.sampled_from([8, 4])),
            )
        case _:
            raise ValueError(kind)


def _transposed_extent(draw: st.DrawFn, size: int, window: int, stride: int, same: bool) -> int:
    """An output extent from which a convolution would lead back to `size`."""
    if same:
        return draw(st.integers((size - 1) * stride + 1, size * stride))
    least = (size - 1) * stride + window
    return draw(st.integers(least, least + stride - 1))


# Axes of a map and whether the output keeps them. An output begins with the batch of 1.
every_axes = [axes for n in range(1, 4) for axes in itertools.combinations((1, 2, 3), n)]
reductions = st.tuples(st.sampled_from(every_axes), st.booleans()) | st.tuples(
    st.sampled_from(every_axes).map(lambda axes: (0, *axes)), st.just(True)
)
zero_points = st.integers(-128, 127)
sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))
