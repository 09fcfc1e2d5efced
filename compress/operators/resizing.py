"""ResizeNearest and ResizeBilinear, on int8 and int16.

Sources, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/internal/reference/
resize_nearest_neighbor.h (positions in float32) and resize_bilinear.h (positions in fixed point).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compress.arithmetic.fixedpoint import Int64Array
from compress.arithmetic.intervals import rising
from compress.arithmetic.tables import Kernel
from compress.errors import UnsupportedLayer, UserError
from compress.operator_interface.channels import channel_by_channel
from compress.operator_interface.checks import check_same_scale, require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import ResizeBilinear, ResizeNearest
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.types import Graph, IntArray

FRACTION_BITS = 10  # of positions along an axis
_ONE = 1 << FRACTION_BITS
_LARGEST_EXTENT = 2**15 - 1  # positions stay within int32
_FIELDS = ("AlignCorners", "HalfPixelCenters")


@dataclass(frozen=True, slots=True)
class Interpolation:
    """Positions in the input along one axis, in 1/1024 of a pixel: max(0, i * step + start).

    Output i lies between the input's pixel floor(position) and the next one, or is the last.
    """

    step: int
    start: int


def source_indices(graph: Graph, op: ResizeNearest) -> tuple[Int64Array, Int64Array]:
    """Row of the input for each row of the output, and column for each column."""
    rows, columns = (_nearest(*extents, op) for extents in _extents(graph, op))
    return rows, columns


def interpolations(graph: Graph, op: ResizeBilinear) -> tuple[Interpolation, Interpolation]:
    """How rows and columns are interpolated.

    Raises UnsupportedLayer for extents at which TFLite reads beyond the input.
    """
    rows, columns = (_interpolation(*extents, op) for extents in _extents(graph, op))
    return rows, columns


def _extents(graph: Graph, op: ResizeNearest | ResizeBilinear) -> tuple[tuple[int, int], ...]:
    """(input's extent, output's extent) of the rows and of the columns."""
    x, out = graph.tensors[op.input].shape, graph.tensors[op.output].shape
    return tuple(zip(x[1:3], out[1:3], strict=True))


def _nearest(size: int, outputs: int, op: ResizeNearest) -> Int64Array:
    """The pixel of each output along one axis; every step is rounded to float32."""
    scale = np.float32(size) / np.float32(outputs)
    if op.align_corners and outputs > 1:
        scale = np.float32(size - 1) / np.float32(outputs - 1)
    offset = np.float32(0.5 if op.half_pixel_centers else 0.0)
    position = (np.arange(outputs).astype(np.float32) + offset) * scale
    # std::round takes ties away from zero. Adding half in float64 is exact.
    half = 0.5 if op.align_corners else 0.0
    index: Int64Array = np.floor(position.astype(np.float64) + half).astype(np.int64)
    return np.minimum(index, size - 1)


def _interpolation(size: int, outputs: int, op: ResizeBilinear) -> Interpolation:
    inputs = size
    if op.align_corners and outputs > 1:
        inputs, outputs = size - 1, outputs - 1
        last = outputs
    else:
        last = outputs - 1
    step = (_ONE * inputs + outputs // 2) // outputs
    start = step // 2 - _ONE // 2 if op.half_pixel_centers else 0
    if last * step + start >= size * _ONE:
        raise UnsupportedLayer(
            f"{op.name}: resized from {size} to {last + 1}, TFLite reads beyond the input"
        )
    return Interpolation(step, start)


def _check(graph: Graph, op: ResizeNearest | ResizeBilinear) -> None:
    x, out = graph.tensors[op.input], graph.tensors[op.output]
    require(len(x.shape) == len(out.shape) == 4, op.name, f"{x.shape} to {out.shape}")
    require(x.shape[3] == out.shape[3], op.name, f"{x.shape} to {out.shape}")
    check_same_scale(op.name, x, out)
    if max(*x.shape, *out.shape) > _LARGEST_EXTENT:
        raise UnsupportedLayer(
            f"{op.name}: {x.shape} to {out.shape}, extents may be up to {_LARGEST_EXTENT}"
        )
    if isinstance(op, ResizeBilinear):
        if op.align_corners and op.half_pixel_centers:
            raise UnsupportedLayer(f"{op.name}: align_corners together with half_pixel_centers")
        interpolations(graph, op)


def _nearest_kernel(graph: Graph, op: ResizeNearest) -> Kernel:
    rows, columns = source_indices(graph, op)
    return lambda x: x[:, rows[:, np.newaxis], columns]


def _bilinear_kernel(graph: Graph, op: ResizeBilinear) -> Kernel:
    (rows, columns), out = interpolations(graph, op), graph.tensors[op.output]
    vertical, horizontal = (
        _between(axis, *extents)
        for axis, extents in zip((rows, columns), _extents(graph, op), strict=True)
    )

    def run_op(x: IntArray) -> IntArray:
        sums = _blend(_blend(x.astype(np.int64), vertical, axis=1), horizontal, axis=2)
        # To nearest, ties away from zero.
        rounded = (np.abs(sums) + _ONE * _ONE // 2) >> 2 * FRACTION_BITS
        result: IntArray = (np.sign(sums) * rounded).astype(out.item)
        return result

    return run_op


def _between(
    axis: Interpolation, size: int, outputs: int
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """(pixel before, pixel after, weight of the latter in 1/1024) of each output."""
    position = np.maximum(np.arange(outputs) * axis.step + axis.start, 0)
    before = position >> FRACTION_BITS
    after = np.minimum((position + _ONE - 1) >> FRACTION_BITS, size - 1)
    return before, after, position & (_ONE - 1)


def _blend(
    x: Int64Array, between: tuple[Int64Array, Int64Array, Int64Array], axis: int
) -> Int64Array:
    """1024 times the interpolated values along an axis of x (N, H, W, C)."""
    before, after, weight = between
    shape = [1] * x.ndim
    shape[axis] = -1
    w: npt.NDArray[np.int64] = weight.reshape(shape)
    blended: Int64Array = np.take(x, before, axis) * (_ONE - w) + np.take(x, after, axis) * w
    return blended


def _import(node: ImportNode) -> ResizeNearest | ResizeBilinear:
    size = tuple(map(int, node.int_constant(1).reshape(-1)))
    shape = node.rank_4(node.output)
    if size != shape[1:3]:
        raise UserError(f"{node.label}: resized to {size}, but its output is {shape}")
    nearest = node.stored.code == BuiltinOperator.RESIZE_NEAREST_NEIGHBOR
    align_corners, half_pixel_centers = (bool(node.stored.options.get(f)) for f in _FIELDS)
    return (ResizeNearest if nearest else ResizeBilinear)(
        node.label, node.input, node.output, align_corners, half_pixel_centers
    )


def _export(context: ExportContext, op: ResizeNearest | ResizeBilinear) -> None:
    size = np.array(context.graph.tensors[op.output].shape[1:3], np.int32)
    constant = context.add_constant(f"{context.output_name(op)}_size", size)
    nearest = isinstance(op, ResizeNearest)
    code = BuiltinOperator.RESIZE_NEAREST_NEIGHBOR if nearest else BuiltinOperator.RESIZE_BILINEAR
    options = dict(zip(_FIELDS, (op.align_corners, op.half_pixel_centers), strict=True))
    context.add(code, (op.input, constant), op.output, options)


FAMILY = Family(
    operators=(
        Operator(
            op=ResizeNearest,
            check=_check,
            kernel=_nearest_kernel,
            export=_export,
            bounds=rising(_nearest_kernel),
            ties=channel_by_channel,
            on_int16=True,
        ),
        Operator(
            op=ResizeBilinear,
            check=_check,
            kernel=_bilinear_kernel,
            export=_export,
            bounds=rising(_bilinear_kernel),
            ties=channel_by_channel,
            on_int16=True,
        ),
    ),
    builtins=(
        Builtin(
            BuiltinOperator.RESIZE_NEAREST_NEIGHBOR,
            2,
            _import,
            "ResizeNearestNeighborOptions",
            _FIELDS,
        ),
        Builtin(BuiltinOperator.RESIZE_BILINEAR, 2, _import, "ResizeBilinearOptions", _FIELDS),
    ),
    limits=(
        "Extents up to 32,767; BILINEAR not with both `align_corners` and "
        "`half_pixel_centers`, nor where TensorFlow Lite reads beyond the input."
    ),
)
