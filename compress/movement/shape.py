"""Reshape and Concatenate: elements are moved, not computed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from compress.arithmetic.fixedpoint import value_range
from compress.arithmetic.intervals import rising
from compress.arithmetic.rescaled import rescaled
from compress.arithmetic.tables import Kernel
from compress.errors import UnsupportedLayer, UserError
from compress.operator_interface.channels import FIXED, Channels, CutConstants, Kept, Tie, sliced
from compress.operator_interface.checks import check_same_scale, check_scale, require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import Activation, Concatenate, Function, Lookup, Op, Reshape
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.tflite_records.options import activation_option
from compress.types import Graph, IntArray


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
    require(len(op.fixed) == len(op.places), op.name, "places")
    parts = [graph.tensors[index] for index in op.parts]
    for x in parts:
        check_same_scale(op.name, x, out)
        require(len(x.shape) == len(out.shape), op.name, f"{x.shape} in {out.shape}")
    extents = [x.shape[op.axis] for x in parts]
    require(sum(extents) == out.shape[op.axis], op.name, f"{extents} along axis {op.axis}")
    for x in parts:
        others = (*x.shape[: op.axis], out.shape[op.axis], *x.shape[op.axis + 1 :])
        require(others == out.shape, op.name, f"{x.shape} in {out.shape}")
    for x in (graph.tensors[index] for index in op.fixed):
        if x.dtype != out.dtype:
            raise UnsupportedLayer(f"{op.name}: {x.name} is {x.dtype}, must be {out.dtype}")
        given = x.data is not None and x.data.shape == x.shape
        require(given, op.name, f"{x.name} shape")


def _concatenate_kernel(graph: Graph, op: Concatenate) -> Kernel:
    constants = [graph.tensors[index].data for index in op.fixed]

    def run_op(*inputs: IntArray) -> IntArray:
        parts = list(inputs)
        for place, data in zip(op.places, constants, strict=True):
            parts.insert(place, np.repeat(np.asarray(data), len(inputs[0]), axis=0))
        return np.concatenate(parts, op.axis)

    return run_op


def _concatenate_ties(graph: Graph, op: Concatenate, channels: Channels) -> Iterator[Tie]:
    """Constants along the channels are kept."""
    start, along = 0, op.axis == len(graph.tensors[op.output].shape) - 1
    for place, index in enumerate(op.parts):
        extent = graph.tensors[index].shape[-1]
        out = channels[op.output][start : start + extent]
        if place not in op.places:
            yield channels[index], out
        elif along:
            yield out, np.array(FIXED)
        start += extent if along else 0


def _cut_concatenate(
    graph: Graph, op: Concatenate, kept: Kept, constants: CutConstants
) -> Concatenate:
    """Constants that are not along the channels lose those of the output."""
    if op.axis == len(graph.tensors[op.output].shape) - 1:
        return op
    fixed = tuple(
        constants.place(index, sliced(tensor, kept[op.output], len(tensor.shape) - 1))
        for index, tensor in ((index, graph.tensors[index]) for index in op.fixed)
    )
    return replace(op, fixed=fixed)


def _concatenation(node: ImportNode, parts: Sequence[int], axis: int) -> Concatenate | Reshape:
    """The operator that concatenates tensors, of which some may be constants."""
    if len(parts) == 1:
        return Reshape(node.label, parts[0], node.output)
    places = tuple(i for i, index in enumerate(parts) if node.tensors[index].data is not None)
    inputs = tuple(index for i, index in enumerate(parts) if i not in places)
    fixed = tuple(parts[place] for place in places)
    if not inputs:
        raise UnsupportedLayer(f"{node.label}: concatenation of constants only")
    return Concatenate(node.label, inputs, node.output, axis, fixed, places)


def _import_concatenate(node: ImportNode) -> tuple[Op, ...]:
    """CONCATENATION; on uint8 it converts inputs of other scales, which Lookups do here."""
    if node.activation() is not Activation.NONE:
        raise UnsupportedLayer(f"{node.label}: a concatenation with a fused activation")
    if min(node.stored.inputs) < 0:
        raise UserError(f"{node.label}: damaged: inputs {node.stored.inputs}")
    rank = len(node.tensors[node.output].shape)
    axis = node.axis(int(node.stored.options.get("Axis", 0)), rank)
    ops: list[Op] = []
    parts = list(node.stored.inputs)
    for number, index in enumerate(parts if node.uint8 else ()):
        parts[number] = _on_output_scale(node, index, number, ops)
    if len(parts) == 1 and ops:
        return (Lookup(node.label, node.input, node.output, Function.RESCALE),)
    return (*ops, _concatenation(node, parts, axis))


def _on_output_scale(node: ImportNode, index: int, number: int, ops: list[Op]) -> int:
    """Part `index` of a concatenation in the output's scale; `ops` gets the operator it needs."""
    source, out = node.tensors[index], node.tensors[node.output]
    if (source.scales, source.zero_point) == (out.scales, out.zero_point):
        return index
    for tensor in (source, out):
        require(len(tensor.scales) == 1, node.label, f"{tensor.name} has several scales")
        check_scale(tensor, node.label)
    data = source.data
    if data is not None:
        values = rescaled(data, source, out) + out.zero_point
        data = np.clip(values, *value_range("int8")).astype(np.int8)
    part = replace(
        source,
        name=f"{out.name}_part_{number}",
        scales=out.scales,
        zero_point=out.zero_point,
        data=data,
    )
    converted = node.add_tensor(part)
    if data is None:
        name = f"{node.label}_part_{number}"
        ops.append(Lookup(name, index, converted, Function.RESCALE))
    return converted


def _import_pack(node: ImportNode) -> tuple[Op, ...]:
    """PACK: concatenation along a new axis, which Reshapes insert."""
    if min(node.stored.inputs) < 0:
        raise UserError(f"{node.label}: damaged: inputs {node.stored.inputs}")
    shape = node.tensors[node.input].shape
    axis = node.axis(int(node.stored.options.get("Axis", 0)), len(shape) + 1)
    if len(node.stored.inputs) == 1:
        return (_concatenation(node, node.stored.inputs, axis),)
    ops: list[Op] = []
    parts: list[int] = []
    for number, index in enumerate(node.stored.inputs):
        tensor = node.tensors[index]
        single = (*tensor.shape[:axis], 1, *tensor.shape[axis:])
        data = None if tensor.data is None else tensor.data.reshape(single)
        name = f"{node.tensors[node.output].name}_part_{number}"
        parts.append(node.add_tensor(replace(tensor, name=name, shape=single, data=data)))
        if data is None:
            ops.append(Reshape(f"{node.label}_part_{number}", index, parts[-1]))
    return (*ops, _concatenation(node, parts, axis))


def _export_concatenate(context: ExportContext, op: Concatenate) -> None:
    options = {"Axis": op.axis, **activation_option(Activation.NONE)}
    context.add(BuiltinOperator.CONCATENATION, op.parts, op.output, options)


FAMILY = Family(
    operators=(
        Operator(
            op=Reshape,
            int16_zero_points=True,
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
            cut=_cut_concatenate,
            on_int16=True,
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
        Builtin(BuiltinOperator.PACK, 2, _import_pack, "PackOptions", ("Axis", "ValuesCount")),
    ),
    limits=("One scale for all parts of a concatenation; parts may be constants."),
)
