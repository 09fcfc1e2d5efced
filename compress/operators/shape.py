"""Reshape and Concatenate: elements are moved, not computed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from compress.arithmetic.intervals import rising
from compress.arithmetic.tables import Kernel
from compress.errors import UnsupportedLayer, UserError
from compress.operator_interface.channels import Channels, Tie
from compress.operator_interface.checks import check_same_scale, require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import Activation, Concatenate, Reshape
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.tflite_records.options import activation_option
from compress.types import Graph


def _check_reshape(graph: Graph, op: Reshape) -> None:
    x, out = graph.tensors[op.input], graph.tensors[op.output]
    check_same_scale(op.name, x, out)
    require(x.elements == out.elements, op.name, f"{x.shape} to {out.shape}")


def _reshape_kernel(graph: Graph, op: Reshape) -> Kernel:
    shape = graph.tensors[op.output].shape[1:]
    return lambda x: x.reshape(len(x), *shape)


def _reshape_ties(graph: Graph, op: Reshape, channels: Channels) -> Iterator[Tie]:
    """Elements have one order on both sides: element e is in channel e % channels of each."""
    x, out = channels[op.input], channels[op.output]
    element = np.arange(math.lcm(len(x), len(out)))
    yield out[element % len(out)], x[element % len(x)]


def _import_reshape(node: ImportNode) -> Reshape:
    """The output's own shape says it all; a constant that states the new shape must agree."""
    out, stated = node.tensors[node.output], None
    if node.stored.code == BuiltinOperator.RESHAPE and len(node.stored.inputs) > 1:
        index = node.stored.inputs[1]
        stated = node.tensors[index].data if index >= 0 else None
    if stated is not None and stated.ndim == 1 and stated.size:
        agree = len(stated) == len(out.shape) and all(
            n in (-1, extent) for n, extent in zip(stated.tolist(), out.shape, strict=True)
        )
        if not agree:
            raise UserError(f"{node.label}: to {stated.tolist()}, but its output is {out.shape}")
    return Reshape(node.label, node.input, node.output)


def _export_reshape(context: ExportContext, op: Reshape) -> None:
    shape = np.array(context.graph.tensors[op.output].shape, np.int32)
    constant = context.add_constant(f"{context.output_name(op)}_shape", shape)
    context.add(BuiltinOperator.RESHAPE, (op.input, constant), op.output)


def _check_concatenate(graph: Graph, op: Concatenate) -> None:
    out = graph.tensors[op.output]
    require(1 <= op.axis < len(out.shape), op.name, f"axis {op.axis}")
    parts = [graph.tensors[index] for index in op.inputs]
    for x in parts:
        check_same_scale(op.name, x, out)
        require(len(x.shape) == len(out.shape), op.name, f"{x.shape} in {out.shape}")
    extents = [x.shape[op.axis] for x in parts]
    require(sum(extents) == out.shape[op.axis], op.name, f"{extents} along axis {op.axis}")
    for x in parts:
        others = (*x.shape[: op.axis], out.shape[op.axis], *x.shape[op.axis + 1 :])
        require(others == out.shape, op.name, f"{x.shape} in {out.shape}")


def _concatenate_kernel(graph: Graph, op: Concatenate) -> Kernel:
    return lambda *parts: np.concatenate(parts, op.axis)


def _concatenate_ties(graph: Graph, op: Concatenate, channels: Channels) -> Iterator[Tie]:
    start, along = 0, op.axis == len(graph.tensors[op.output].shape) - 1
    for index in op.inputs:
        x = channels[index]
        yield x, channels[op.output][start : start + len(x)]
        start += len(x) if along else 0


def _import_concatenate(node: ImportNode) -> Concatenate:
    if node.activation() is not Activation.NONE:
        raise UnsupportedLayer(f"{node.label}: a concatenation with a fused activation")
    inputs = node.stored.inputs
    if any(index < 0 or node.tensors[index].data is not None for index in inputs):
        raise UnsupportedLayer(f"{node.label}: concatenation of a constant")
    axis = int(node.stored.options.get("Axis", 0))
    axis += len(node.tensors[node.output].shape) if axis < 0 else 0
    return Concatenate(node.label, inputs, node.output, axis)


def _export_concatenate(context: ExportContext, op: Concatenate) -> None:
    options = {"Axis": op.axis, **activation_option(Activation.NONE)}
    context.add(BuiltinOperator.CONCATENATION, op.inputs, op.output, options)


FAMILY = Family(
    operators=(
        Operator(
            op=Reshape,
            check=_check_reshape,
            kernel=_reshape_kernel,
            export=_export_reshape,
            bounds=rising(_reshape_kernel),
            ties=_reshape_ties,
            on_int16=True,
        ),
        Operator(
            op=Concatenate,
            check=_check_concatenate,
            kernel=_concatenate_kernel,
            export=_export_concatenate,
            bounds=rising(_concatenate_kernel),
            ties=_concatenate_ties,
        ),
    ),
    builtins=(
        Builtin(BuiltinOperator.RESHAPE, 1, _import_reshape),
        Builtin(BuiltinOperator.SQUEEZE, 1, _import_reshape),
        Builtin(BuiltinOperator.EXPAND_DIMS, 1, _import_reshape),
        Builtin(
            BuiltinOperator.CONCATENATION,
            2,
            _import_concatenate,
            "ConcatenationOptions",
            ("Axis", "FusedActivationFunction"),
        ),
    ),
)
