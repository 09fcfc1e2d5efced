"""What the kernels can take: every operator is checked before one is chosen for it."""

from __future__ import annotations

from typing import assert_never

from compress.errors import UnsupportedLayer
from compress.ops import (
    Add,
    AveragePool2D,
    Concatenate,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Lookup,
    MaxPool2D,
    Mean,
    Mul,
    Op,
    Pad,
    Requantize,
    Reshape,
    Softmax,
    constants_of,
    inputs_of,
)
from compress.types import DType, Graph

# The kernels count extents in (u)int16_t, and arm_convolve_s8 the taps of a filter in uint16_t.
LONGEST_EXTENT = 2**15 - 1
MOST_TAPS = 2**16 - 1

# From 512 equal entries on, TFLite's softmax shifts an int32 by more than 31 bits.
MOST_SOFTMAX_COLUMNS = 511


def check_op(graph: Graph, op: Op) -> None:
    """Raise UnsupportedLayer for what no kernel here computes as the reference does."""
    tensors = graph.tensors
    out = tensors[op.output]
    one_type = len(set(activation_types(graph, op))) == 1 or isinstance(op, Requantize)
    for index in (*inputs_of(op), op.output):
        tensor = tensors[index]
        if tensor.dtype != "int8" and not (tensor.dtype == "int16" and one_type):
            raise UnsupportedLayer(
                f"{op.name}: {tensor.name} is {tensor.dtype}, kernels take int8, or int16 only"
            )
        if max(tensor.shape) > LONGEST_EXTENT and not isinstance(op, Reshape | FullyConnected):
            raise UnsupportedLayer(
                f"{op.name}: {tensor.name} is {tensor.shape}, kernels take extents up to "
                f"{LONGEST_EXTENT}"
            )
        if tensor.shape[0] != 1:
            raise UnsupportedLayer(f"{op.name}: batch of {tensor.shape[0]}, kernels take 1")
    for index in constants_of(op):
        constant = tensors[index]
        operand = isinstance(op, Add | Mul)
        wanted = "int8" if constant.data is not None and constant.data.ndim > 1 else "int32"
        wanted = "int8" if operand else wanted
        shifted = constant.zero_point != 0 and not operand
        fitting = ("int8", "int4") if wanted == "int8" and not operand else (wanted,)
        if constant.data is None or constant.dtype not in fitting or shifted:
            raise UnsupportedLayer(
                f"{op.name}: {constant.name} must be a constant {wanted} with zero point 0"
            )

    match op:
        case Conv2D():
            filters, source = tensors[op.weights], tensors[op.input]
            if filters.shape[3] != source.shape[3]:
                raise UnsupportedLayer(
                    f"{op.name}: grouped convolution ({source.shape[3]} channels, filters over "
                    f"{filters.shape[3]})"
                )
            if filters.elements // filters.shape[0] > MOST_TAPS:
                raise UnsupportedLayer(f"{op.name}: more than {MOST_TAPS} taps in a filter")
        case Pad():
            if len(padded_levels(graph, op)) > 3:
                raise UnsupportedLayer(f"{op.name}: more than 3 padded axes")
        case AveragePool2D() | MaxPool2D() | Reshape():
            source = tensors[op.input]
            if (source.scales, source.zero_point) != (out.scales, out.zero_point):
                raise UnsupportedLayer(f"{op.name}: output must keep the input's scale")
            if not isinstance(op, Reshape) and not _pool_windows_touch(graph, op):
                raise UnsupportedLayer(f"{op.name}: a window lies wholly in the padding")
        case Softmax():
            if (out.scales, out.zero_point) != ((1 / 256,), -128):
                raise UnsupportedLayer(f"{op.name}: output must have scale 1/256, zero point -128")
            if out.shape[-1] > MOST_SOFTMAX_COLUMNS:
                raise UnsupportedLayer(
                    f"{op.name}: softmax over {out.shape[-1]} values, at most "
                    f"{MOST_SOFTMAX_COLUMNS} stay within int32"
                )
        case (
            DepthwiseConv2D()
            | FullyConnected()
            | Add()
            | Mul()
            | Requantize()
            | Lookup()
            | Mean()
            | Concatenate()
        ):
            pass
        case _:
            assert_never(op)


def activation_types(graph: Graph, op: Op) -> tuple[DType, ...]:
    """Of the activations: the inputs' and the output's."""
    return tuple(graph.tensors[index].dtype for index in (*inputs_of(op), op.output))


def touches(size: int, taps: int, stride: int, before: int, outputs: int) -> bool:
    """Whether every window along an axis has at least one tap inside the input."""
    return before < taps and (outputs - 1) * stride - before < size


def padded_levels(graph: Graph, op: Pad) -> list[tuple[int, int, int]]:
    """(extent, bytes before, bytes after) per padded axis, innermost first; others merged.

    The first extent is in bytes, the others are in padded elements of the level below.
    """
    levels, element_bytes = [(1, 0, 0)], 1
    for extent, before, after in reversed(
        list(zip(graph.tensors[op.input].shape, op.before, op.after, strict=True))
    ):
        inner = levels[-1]
        if inner[1:] == (0, 0):
            levels[-1] = (inner[0] * extent, before * element_bytes, after * element_bytes)
        elif (extent, before, after) != (1, 0, 0):
            levels.append((extent, before * element_bytes, after * element_bytes))
        element_bytes *= extent + before + after
    return levels


def _pool_windows_touch(graph: Graph, op: AveragePool2D | MaxPool2D) -> bool:
    _, height, width, _ = graph.tensors[op.input].shape
    _, out_height, out_width, _ = graph.tensors[op.output].shape
    rows, columns = op.filter
    return touches(height, rows, op.stride[0], op.padding.top, out_height) and touches(
        width, columns, op.stride[1], op.padding.left, out_width
    )
