"""Conv2D and DepthwiseConv2D."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from compress.arithmetic.accumulate import weighted_kernel
from compress.arithmetic.fixedpoint import conv_multipliers
from compress.arithmetic.windows import LARGEST_WINDOW, same_padding
from compress.errors import UserError
from compress.movement.padding import padded_input, with_padding_before
from compress.operator_interface.channels import (
    Channels,
    CutConstants,
    Kept,
    Tie,
    all_fixed,
    sliced,
)
from compress.operator_interface.checks import check_window, require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.operator_interface.weighted import (
    check_constants,
    cut_inputs_and_outputs,
    export_bias,
    export_weights,
    import_constants,
    mixes_all_channels,
    weighted_bounds,
    weighted_macs,
)
from compress.ops import Conv2D, DepthwiseConv2D
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.tflite_records.options import activation_option
from compress.types import Graph

_WINDOW_FIELDS = ("Padding", "StrideW", "StrideH", "DilationWFactor", "DilationHFactor")


def _check_conv(graph: Graph, op: Conv2D) -> None:
    channels_in, channels_out = _checked_channels(graph, op)
    check_constants(graph, op, channels_out, axis=0)
    depth = graph.tensors[op.weights].shape[3]
    whole = channels_in % depth == 0 and channels_out % (channels_in // depth) == 0
    groups = f"{channels_in}->{channels_out} channels by filters over {depth}"
    require(whole, op.name, groups)
    _check_geometry(graph, op, (channels_out, *_window(graph, op), depth))


def _check_depthwise(graph: Graph, op: DepthwiseConv2D) -> None:
    channels_in, channels_out = _checked_channels(graph, op)
    check_constants(graph, op, channels_out, axis=3)
    require(channels_out % channels_in == 0, op.name, f"{channels_in}->{channels_out}")
    _check_geometry(graph, op, (1, *_window(graph, op), channels_out))


def _checked_channels(graph: Graph, op: Conv2D | DepthwiseConv2D) -> tuple[int, int]:
    """Channels of the input and the output, both NHWC."""
    x, out, weights = (graph.tensors[index] for index in (op.input, op.output, op.weights))
    require(len(weights.shape) == 4, op.name, f"weights of shape {weights.shape}")
    require(len(x.shape) == len(out.shape) == 4, op.name, f"{x.shape} to {out.shape}")
    return x.shape[3], out.shape[3]


def _check_geometry(
    graph: Graph, op: Conv2D | DepthwiseConv2D, weights_shape: tuple[int, ...]
) -> None:
    weights = graph.tensors[op.weights]
    require(
        weights.shape == weights_shape, op.name, f"weights {weights.shape}, must be {weights_shape}"
    )
    x, out = graph.tensors[op.input], graph.tensors[op.output]
    check_window(op, x, out, _window(graph, op), op.dilation)
    conv_multipliers(graph, op)


def _window(graph: Graph, op: Conv2D | DepthwiseConv2D) -> tuple[int, int]:
    """Height and width of the kernel."""
    shape = graph.tensors[op.weights].shape
    return shape[1], shape[2]


def _conv_ties(graph: Graph, op: Conv2D, channels: Channels) -> Iterator[Tie]:
    """None is tied where every output channel reads every input channel. Groups are kept whole."""
    return iter(()) if mixes_all_channels(graph, op) else all_fixed(graph, op, channels)


def _depthwise_ties(graph: Graph, op: DepthwiseConv2D, channels: Channels) -> Iterator[Tie]:
    x, out = channels[op.input], channels[op.output]
    if len(x) > 1:  # with one input channel it is a convolution like any other
        yield out, np.repeat(x, len(out) // len(x))


def _cut_conv(graph: Graph, op: Conv2D, kept: Kept, constants: CutConstants) -> Conv2D:
    if not mixes_all_channels(graph, op):
        return op
    weights, bias = cut_inputs_and_outputs(graph, op, kept, constants)
    return replace(op, weights=weights, bias=bias)


def _cut_depthwise(
    graph: Graph, op: DepthwiseConv2D, kept: Kept, constants: CutConstants
) -> DepthwiseConv2D:
    weights = sliced(graph.tensors[op.weights], kept[op.output], axis=3)
    bias = sliced(constants.bias_of(op), kept[op.output], axis=0)
    return replace(
        op, weights=constants.place(op.weights, weights), bias=constants.place(op.bias, bias)
    )


def _import(node: ImportNode) -> Conv2D | DepthwiseConv2D:
    weights, bias = import_constants(node)
    shape = node.rank_4(weights)
    window = (shape[1], shape[2])
    stride = node.pair("StrideH", "StrideW")
    dilation = node.pair("DilationHFactor", "DilationWFactor")
    source, padding = with_padding_before(
        node,
        node.padding(window, stride, dilation),
        neutral=lambda x: x.zero_point,
        largest=(LARGEST_WINDOW, LARGEST_WINDOW),
    )
    depthwise = node.stored.code == BuiltinOperator.DEPTHWISE_CONV_2D
    if depthwise:
        _check_multiplier(node, shape[3])
    return (DepthwiseConv2D if depthwise else Conv2D)(
        name=node.label,
        input=source,
        weights=weights,
        bias=bias,
        output=node.output,
        stride=stride,
        dilation=dilation,
        padding=padding,
        activation=node.activation(),
    )


def _check_multiplier(node: ImportNode, channels: int) -> None:
    """Raise UserError for a multiplier that is not the weights': TFLite's kernels obey it."""
    stated, inputs = int(node.stored.options.get("DepthMultiplier", 0)), node.rank_4(node.input)[3]
    if channels != stated * inputs:
        raise UserError(
            f"{node.label}: depth multiplier {stated}, must be output channels / input channels = "
            f"{channels} / {inputs}"
        )


def _export(context: ExportContext, op: Conv2D | DepthwiseConv2D) -> None:
    graph = context.graph
    weights, x = graph.tensors[op.weights], graph.tensors[op.input]
    same = same_padding((x.shape[1], x.shape[2]), _window(graph, op), op.stride, op.dilation)
    source, padding = padded_input(context, op, same, x.zero_point)
    options = {
        "Padding": padding,
        "StrideH": op.stride[0],
        "StrideW": op.stride[1],
        "DilationHFactor": op.dilation[0],
        "DilationWFactor": op.dilation[1],
        **activation_option(op.activation),
    }
    code = BuiltinOperator.CONV_2D
    if isinstance(op, DepthwiseConv2D):
        code = BuiltinOperator.DEPTHWISE_CONV_2D
        options["DepthMultiplier"] = weights.shape[3] // x.shape[3]
    inputs = (source, export_weights(context, op), export_bias(context, op))
    context.add(code, inputs, op.output, options)


FAMILY = Family(
    operators=(
        Operator(
            op=Conv2D,
            check=_check_conv,
            kernel=weighted_kernel,
            export=_export,
            macs=weighted_macs,
            bounds=weighted_bounds,
            ties=_conv_ties,
            cut=_cut_conv,
            on_int16=True,
        ),
        Operator(
            op=DepthwiseConv2D,
            check=_check_depthwise,
            kernel=weighted_kernel,
            export=_export,
            macs=weighted_macs,
            bounds=weighted_bounds,
            ties=_depthwise_ties,
            cut=_cut_depthwise,
            on_int16=True,
        ),
    ),
    builtins=(
        Builtin(
            BuiltinOperator.CONV_2D,
            3,
            _import,
            "Conv2DOptions",
            (*_WINDOW_FIELDS, "FusedActivationFunction"),
        ),
        Builtin(
            BuiltinOperator.DEPTHWISE_CONV_2D,
            3,
            _import,
            "DepthwiseConv2DOptions",
            (*_WINDOW_FIELDS, "DepthMultiplier", "FusedActivationFunction"),
        ),
        # `compress.tflite.dilated` takes them out of a file before the import.
        Builtin(BuiltinOperator.SPACE_TO_BATCH_ND, 2, None),
        Builtin(BuiltinOperator.BATCH_TO_SPACE_ND, 2, None),
    ),
    limits=(
        "Weights int8 or int4, per channel or per tensor; groups; dilation and any padding. "
        "On int16 the bias has 64 bits and a depthwise filter at most 511 taps."
    ),
)
