"""TransposeConv2D, on int8 and int16.

Sources, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/transpose_conv.cc and
internal/reference/integer_ops/transpose_conv.h.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import tflite

from compress.arithmetic.accumulate import weighted_kernel
from compress.arithmetic.fixedpoint import conv_multipliers
from compress.arithmetic.windows import LARGEST_WINDOW, same_padding
from compress.errors import UnsupportedLayer, UserError
from compress.operator_interface.channels import FIXED, Channels, CutConstants, Kept, Tie
from compress.operator_interface.checks import require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.operator_interface.weighted import (
    check_constants,
    cut_inputs_and_outputs,
    export_bias,
    export_weights,
    import_constants,
    weighted_bounds,
)
from compress.ops import TransposeConv2D
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.tflite_records.options import activation_option
from compress.types import Graph


def _check(graph: Graph, op: TransposeConv2D) -> None:
    x, out, weights = (graph.tensors[index] for index in (op.input, op.output, op.weights))
    require(len(x.shape) == len(out.shape) == 4, op.name, f"{x.shape} to {out.shape}")
    require(len(weights.shape) == 4, op.name, f"weights of shape {weights.shape}")
    check_constants(graph, op, out.shape[3], axis=0)
    wanted = (out.shape[3], *weights.shape[1:3], x.shape[3])
    require(weights.shape == wanted, op.name, f"weights {weights.shape}, must be {wanted}")
    require(min(op.stride) >= 1 and min(op.crop) >= 0, op.name, "window")
    if max(*op.stride, *op.crop, *weights.shape[1:3]) > LARGEST_WINDOW:
        raise UnsupportedLayer(f"{op.name}: a window beyond {LARGEST_WINDOW}")
    window = weights.shape[1:3]
    if op.crop[0] >= window[0] or op.crop[1] >= window[1]:
        raise UnsupportedLayer(f"{op.name}: {op.crop} rows and columns cut off of {window}")
    conv_multipliers(graph, op)


def _macs(graph: Graph, op: TransposeConv2D) -> Mapping[int, int]:
    """Each pixel of the input is multiplied with each weight of its channels."""
    x, weights = graph.tensors[op.input], graph.tensors[op.weights]
    return {op.weights: x.elements // x.shape[3] * weights.elements}


def _ties(graph: Graph, op: TransposeConv2D, channels: Channels) -> Iterator[Tie]:
    """Output channels are free; what an input channel adds depends on the position."""
    yield channels[op.input], np.array(FIXED)


def _cut(graph: Graph, op: TransposeConv2D, kept: Kept, constants: CutConstants) -> TransposeConv2D:
    weights, bias = cut_inputs_and_outputs(graph, op, kept, constants)
    return replace(op, weights=weights, bias=bias)


def _import(node: ImportNode) -> TransposeConv2D:
    """The operands are the output's shape, weights, input and, optionally, a bias."""
    if len(node.stored.inputs) < 3 or node.stored.inputs[2] < 0:
        raise UserError(f"{node.label}: it lacks an input")
    shape = node.rank_4(node.output)
    stated = tuple(map(int, node.int_constant(0).reshape(-1)))
    if stated != shape:
        raise UserError(f"{node.label}: an output of {shape}, but its shape says {stated}")
    _, weights, source, *bias = node.stored.inputs
    as_convolution = replace(node.stored, inputs=(source, weights, *bias))
    weights, bias_index = import_constants(replace(node, stored=as_convolution))
    _, rows, columns, _ = node.rank_4(weights)
    stride = node.pair("StrideH", "StrideW")
    return TransposeConv2D(
        name=node.label,
        input=source,
        weights=weights,
        bias=bias_index,
        output=node.output,
        stride=stride,
        crop=_crop(node, shape, (rows, columns), stride),
        activation=node.activation(),
    )


def _crop(
    node: ImportNode, output: tuple[int, ...], window: tuple[int, int], stride: tuple[int, int]
) -> tuple[int, int]:
    """Rows and columns cut off: the padding of a convolution from the output to the input."""
    match node.stored.options.get("Padding"):
        case tflite.Padding.SAME:
            return _same_crop(output, window, stride)
        case tflite.Padding.VALID:
            return (0, 0)
        case other:
            raise UserError(f"{node.label}: padding code {other}, must be SAME or VALID")


def _same_crop(
    output: tuple[int, ...], window: tuple[int, int], stride: tuple[int, int]
) -> tuple[int, int]:
    padding = same_padding((output[1], output[2]), window, stride)
    return padding.top, padding.left


def _export(context: ExportContext, op: TransposeConv2D) -> None:
    out, weights = context.graph.tensors[op.output], context.graph.tensors[op.weights]
    padding = tflite.Padding.VALID
    if op.crop != (0, 0):
        padding = tflite.Padding.SAME
        if op.crop != _same_crop(out.shape, (weights.shape[1], weights.shape[2]), op.stride):
            raise UnsupportedLayer(f"{op.name}: a crop of {op.crop} has no TFLite form")
    shape = np.array(out.shape, np.int32)
    inputs = (
        context.add_constant(f"{context.output_name(op)}_shape", shape),
        export_weights(context, op, int4=False),
        op.input,
        export_bias(context, op),
    )
    options = {
        "Padding": padding,
        "StrideH": op.stride[0],
        "StrideW": op.stride[1],
        **activation_option(op.activation),
    }
    context.add(BuiltinOperator.TRANSPOSE_CONV, inputs, op.output, options)


FAMILY = Family(
    operators=(
        Operator(
            op=TransposeConv2D,
            check=_check,
            kernel=weighted_kernel,
            export=_export,
            macs=_macs,
            bounds=weighted_bounds,
            ties=_ties,
            cut=_cut,
            on_int16=True,
        ),
    ),
    builtins=(
        Builtin(
            BuiltinOperator.TRANSPOSE_CONV,
            3,
            _import,
            "TransposeConvOptions",
            ("Padding", "StrideW", "StrideH", "FusedActivationFunction"),
        ),
    ),
    limits=(
        "An output shape that is a constant or an input; bias of 32 bits on int8, 64 bits on int16."
    ),
)
