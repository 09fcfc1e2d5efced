"""FullyConnected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from compress.arithmetic.accumulate import weighted_kernel
from compress.arithmetic.fixedpoint import conv_multipliers
from compress.errors import UnsupportedLayer
from compress.operator_interface.channels import Channels, CutConstants, Kept, Tie
from compress.operator_interface.checks import require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.operator_interface.weighted import (
    check_constants,
    cut_inputs_and_outputs,
    export_bias,
    export_weights,
    import_constants,
    weighted_bounds,
    weighted_macs,
)
from compress.ops import FullyConnected
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.tflite_records.options import activation_option
from compress.types import Graph


def _check(graph: Graph, op: FullyConnected) -> None:
    x, out, weights = (graph.tensors[index] for index in (op.input, op.output, op.weights))
    check_constants(graph, op, out.shape[-1], axis=0)
    require(len(weights.shape) == 2, op.name, f"weights of shape {weights.shape}")
    units, depth = weights.shape
    whole = depth == x.elements and out.shape == (1, units)
    rows = ((*x.shape[:-1], units), (1, x.elements // max(depth, 1), units))
    by_row = depth == x.shape[-1] and out.shape in rows
    shapes = f"{x.shape} with weights {weights.shape} to {out.shape}"
    require(whole or by_row, op.name, shapes)
    conv_multipliers(graph, op)


def _no_ties(graph: Graph, op: FullyConnected, channels: Channels) -> Iterator[Tie]:
    """Every unit reads every input: none is tied to another."""
    return iter(())


def _cut(graph: Graph, op: FullyConnected, kept: Kept, constants: CutConstants) -> FullyConnected:
    weights, bias = cut_inputs_and_outputs(graph, op, kept, constants)
    return replace(op, weights=weights, bias=bias)


def _import(node: ImportNode) -> FullyConnected:
    weights, bias = import_constants(node)
    if node.stored.options.get("WeightsFormat", 0) != 0:
        raise UnsupportedLayer(f"{node.label}: shuffled weights")
    return FullyConnected(node.label, node.input, weights, bias, node.output, node.activation())


def _export(context: ExportContext, op: FullyConnected) -> None:
    # Release 2.14 has no kernel for int4 weights with a scale per unit.
    one_scale = len(context.graph.tensors[op.weights].scales) == 1
    inputs = (op.input, export_weights(context, op, int4=one_scale), export_bias(context, op))
    keeps = len(context.graph.tensors[op.output].shape) != 2
    options = {**activation_option(op.activation), "WeightsFormat": 0, "KeepNumDims": keeps}
    context.add(BuiltinOperator.FULLY_CONNECTED, inputs, op.output, options)


FAMILY = Family(
    operators=(
        Operator(
            op=FullyConnected,
            check=_check,
            kernel=weighted_kernel,
            export=_export,
            macs=weighted_macs,
            bounds=weighted_bounds,
            ties=_no_ties,
            cut=_cut,
            on_int16=True,
        ),
    ),
    builtins=(
        Builtin(
            BuiltinOperator.FULLY_CONNECTED,
            4,
            _import,
            "FullyConnectedOptions",
            ("FusedActivationFunction", "WeightsFormat", "KeepNumDims"),
        ),
    ),
    limits=(
        "Weights int8 or int4, per unit or per tensor; an input of several rows gives as many "
        "rows. No shuffled weights."
    ),
)
