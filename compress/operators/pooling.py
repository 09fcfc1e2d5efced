"""AveragePool2D and MaxPool2D, on int8 and int16.

Source of the kernels: tensorflow/lite/kernels/internal/reference/integer_ops/pooling.h of
release 2.14.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from compress.arithmetic.fixedpoint import clamp_range, value_range
from compress.arithmetic.intervals import rising
from compress.arithmetic.tables import Kernel
from compress.arithmetic.windows import pad, same_padding, taps
from compress.errors import UnsupportedLayer
from compress.movement.padding import padded_input, with_padding_before
from compress.operator_interface.channels import channel_by_channel
from compress.operator_interface.checks import check_same_scale, check_window, require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import AveragePool2D, MaxPool2D
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.tflite_records.options import activation_option
from compress.types import Graph, IntArray

_LARGEST_INT16_WINDOW = 2**16 - 1  # elements of int16 whose sum stays within int32
_FIELDS = (
    "Padding",
    "StrideW",
    "StrideH",
    "FilterWidth",
    "FilterHeight",
    "FusedActivationFunction",
)


def _check(graph: Graph, op: AveragePool2D | MaxPool2D) -> None:
    x, out = graph.tensors[op.input], graph.tensors[op.output]
    check_same_scale(op.name, x, out)
    check_window(op, x, out, op.filter)
    p, (height, width) = op.padding, op.filter
    # Outside of the input a mean or maximum has no meaning.
    if max(p.top, p.bottom) >= height or max(p.left, p.right) >= width:
        raise UnsupportedLayer(f"{op.name}: a window wholly in the padding")
    require(x.shape[-1] == out.shape[-1], op.name, "channels")
    clamp_range(out, op.activation)
    if out.dtype == "int16" and math.prod(op.filter) > _LARGEST_INT16_WINDOW:
        raise UnsupportedLayer(f"{op.name}: a pool on int16 beyond {_LARGEST_INT16_WINDOW}")


def _average_kernel(graph: Graph, op: AveragePool2D) -> Kernel:
    """The mean of in-bounds elements, rounded to nearest.

    Ties round away from zero, (sum +- count / 2) / count; in `Graph.uint8` they round upwards.
    """
    out = graph.tensors[op.output]
    shape, lo_hi = out.shape, clamp_range(out, op.activation)

    def window_sums(x: IntArray) -> npt.NDArray[np.int32]:
        padded = pad(x, op.padding, 0).astype(np.int32)
        sums = np.zeros((len(x), *shape[1:3], x.shape[3]), np.int32)
        for tap in taps(padded, op.filter, op.stride, (1, 1), shape):
            sums += tap
        return sums

    counts = window_sums(np.ones((1, *graph.tensors[op.input].shape[1:3], 1), np.int8))

    def run_op(x: IntArray) -> IntArray:
        sums = window_sums(x)
        if graph.uint8:
            return np.clip((sums + counts // 2) // counts, *lo_hi).astype(out.item)
        means: npt.NDArray[np.int32] = (np.abs(sums) + counts // 2) // counts
        return np.clip(np.where(sums < 0, -means, means), *lo_hi).astype(out.item)

    return run_op


def _max_kernel(graph: Graph, op: MaxPool2D) -> Kernel:
    """Maximum over in-bounds elements."""
    out = graph.tensors[op.output]
    shape, lo_hi = out.shape, clamp_range(out, op.activation)
    lowest = value_range(out.dtype)[0]

    def run_op(x: IntArray) -> IntArray:
        highest = np.full((len(x), *shape[1:]), lowest, x.dtype)
        padded = pad(x, op.padding, lowest)
        for tap in taps(padded, op.filter, op.stride, (1, 1), shape):
            np.maximum(highest, tap, out=highest)
        return np.clip(highest, *lo_hi, out=highest)

    return run_op


def _import(node: ImportNode) -> AveragePool2D | MaxPool2D:
    window = node.pair("FilterHeight", "FilterWidth")
    stride = node.pair("StrideH", "StrideW")
    source, padding = node.input, node.padding(window, stride)
    maximum = node.stored.code == BuiltinOperator.MAX_POOL_2D
    if maximum:
        source, padding = with_padding_before(
            node,
            padding,
            neutral=lambda x: value_range(x.dtype)[0],
            largest=(window[0] - 1, window[1] - 1),
        )
    return (MaxPool2D if maximum else AveragePool2D)(
        name=node.label,
        input=source,
        output=node.output,
        filter=window,
        stride=stride,
        padding=padding,
        activation=node.activation(),
    )


def _export(context: ExportContext, op: AveragePool2D | MaxPool2D) -> None:
    x = context.graph.tensors[op.input]
    same = same_padding((x.shape[1], x.shape[2]), op.filter, op.stride)
    source, padding = padded_input(context, op, same, value_range(x.dtype)[0])
    options = {
        "Padding": padding,
        "StrideH": op.stride[0],
        "StrideW": op.stride[1],
        "FilterHeight": op.filter[0],
        "FilterWidth": op.filter[1],
        **activation_option(op.activation),
    }
    maximum = isinstance(op, MaxPool2D)
    code = BuiltinOperator.MAX_POOL_2D if maximum else BuiltinOperator.AVERAGE_POOL_2D
    context.add(code, (source,), op.output, options)


FAMILY = Family(
    operators=(
        Operator(
            op=AveragePool2D,
            check=_check,
            kernel=_average_kernel,
            export=_export,
            bounds=rising(_average_kernel),
            ties=channel_by_channel,
            on_int16=True,
        ),
        Operator(
            op=MaxPool2D,
            check=_check,
            kernel=_max_kernel,
            export=_export,
            bounds=rising(_max_kernel),
            ties=channel_by_channel,
            on_int16=True,
        ),
    ),
    builtins=(
        Builtin(BuiltinOperator.AVERAGE_POOL_2D, 2, _import, "Pool2DOptions", _FIELDS),
        Builtin(BuiltinOperator.MAX_POOL_2D, 2, _import, "Pool2DOptions", _FIELDS),
    ),
    limits=("No window may lie wholly in the padding."),
)
