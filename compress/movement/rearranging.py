"""Transpose and Gather: the elements in another order; Table, which is stored as a GATHER, too.

DEPTH_TO_SPACE and SPACE_TO_DEPTH are imported as Transposes between Reshapes, MIRROR_PAD as a
Gather along each padded axis.

Source, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/internal/reference.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tflite

from compress.arithmetic.intervals import rising
from compress.arithmetic.tables import Kernel
from compress.errors import UnsupportedLayer, UserError
from compress.movement import table
from compress.movement.slicing import slice_and_reshape, whole
from compress.operator_interface.channels import Channels, Tie, all_fixed
from compress.operator_interface.checks import check_same_scale, require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import Gather, Op, Reshape, Table, Transpose
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.types import Graph


def _check_transpose(graph: Graph, op: Transpose) -> None:
    x, out = graph.tensors[op.input], graph.tensors[op.output]
    check_same_scale(op.name, x, out)
    axes = list(range(len(x.shape)))
    require(sorted(op.permutation) == axes, op.name, f"permutation {op.permutation}")
    require(op.permutation[0] == 0, op.name, "the axis of the batch is moved")
    permuted = tuple(x.shape[axis] for axis in op.permutation)
    require(out.shape == permuted, op.name, f"output {out.shape}, must be {permuted}")


def _transpose_kernel(graph: Graph, op: Transpose) -> Kernel:
    return lambda x: np.ascontiguousarray(x.transpose(op.permutation))


def _transpose_ties(graph: Graph, op: Transpose, channels: Channels) -> Iterator[Tie]:
    """Channels stay channels if the last axis does; otherwise all are kept."""
    if op.permutation[-1] == len(op.permutation) - 1:
        yield channels[op.output], channels[op.input]
    else:
        yield from all_fixed(graph, op, channels)


def transposed(node: ImportNode, source: int, output: int, permutation: tuple[int, ...]) -> Op:
    """A Transpose, or a Reshape where no axes move but those of extent 1."""
    shape = node.tensors[source].shape
    moving = [axis for axis in permutation if shape[axis] != 1]
    if moving == sorted(moving):
        return Reshape(node.label, source, output)
    if permutation[0] != 0:
        raise UnsupportedLayer(f"{node.label}: permutation {permutation} moves the batch")
    return Transpose(node.label, source, output, permutation)


def _import_transpose(node: ImportNode) -> Op:
    rank = len(node.tensors[node.input].shape)
    axes = [node.axis(axis, rank) for axis in node.int_constant(1).reshape(-1).tolist()]
    if sorted(axes) != list(range(rank)):
        raise UserError(f"{node.label}: permutation {axes} of {rank} axes")
    return transposed(node, node.input, node.output, tuple(axes))


def _export_transpose(context: ExportContext, op: Transpose) -> None:
    axes = np.array(op.permutation, np.int32)
    constant = context.add_constant(f"{context.output_name(op)}_axes", axes)
    context.add(BuiltinOperator.TRANSPOSE, (op.input, constant), op.output)


def _import_blocks(node: ImportNode) -> tuple[Op, ...]:
    """DEPTH_TO_SPACE and SPACE_TO_DEPTH.

    Row h * block + i of the space is row h of the depth; the part of a block's row i has the same
    order on both sides, so only the axes of i and of the columns change places.
    """
    block = int(node.stored.options.get("BlockSize", 0))
    deep_input = node.stored.code == BuiltinOperator.DEPTH_TO_SPACE
    shape = node.rank_4(node.input)
    deep = shape if deep_input else node.rank_4(node.output)
    _, rows, columns, depth = deep
    if block < 1 or depth % (block * block):
        raise UserError(f"{node.label}: blocks of {block} x {block} in {deep}")
    part = depth // block
    by_column, by_row = (1, rows, columns, block, part), (1, rows, block, columns, part)
    split, joined = (by_column, by_row) if deep_input else (by_row, by_column)
    first = node.reshaped(node.input, split, "split")
    second = node.reshaped(node.input, joined, "moved")
    return (
        Reshape(f"{node.label}_split", node.input, first),
        transposed(node, first, second, (0, 1, 3, 2, 4)),
        Reshape(f"{node.label}_join", second, node.output),
    )


def _check_gather(graph: Graph, op: Gather) -> None:
    x, out = graph.tensors[op.input], graph.tensors[op.output]
    check_same_scale(op.name, x, out)
    require(1 <= op.axis < len(x.shape), op.name, f"axis {op.axis}")
    gathered = (*x.shape[: op.axis], len(op.indices), *x.shape[op.axis + 1 :])
    require(out.shape == gathered, op.name, f"output {out.shape}, must be {gathered}")
    inside = min(op.indices) >= 0 and max(op.indices) < x.shape[op.axis]
    require(inside, op.name, f"indices beyond {x.shape[op.axis]} elements")


def _gather_kernel(graph: Graph, op: Gather) -> Kernel:
    indices = np.array(op.indices)
    return lambda x: x.take(indices, op.axis)


def _gather_ties(graph: Graph, op: Gather, channels: Channels) -> Iterator[Tie]:
    if op.axis < len(graph.tensors[op.output].shape) - 1:
        yield channels[op.output], channels[op.input]
    else:
        yield from all_fixed(graph, op, channels)


def _import_gather(node: ImportNode) -> tuple[Op, ...]:
    """GATHER with constant indices of any shape, which may also be a single one.

    From a constant table, indexed by int8 (`compress.tflite.tables`), it is a Table.
    """
    if node.tensors[node.input].data is not None and len(node.stored.inputs) == 2:
        return (Table(node.label, node.stored.inputs[1], node.input, node.output),)
    shape = node.tensors[node.input].shape
    axis = node.axis(int(node.stored.options.get("Axis", 0)), len(shape))
    if node.stored.options.get("BatchDims", 0):
        raise UnsupportedLayer(f"{node.label}: a GATHER with batch dimensions")
    constant = node.int_constant(1)
    indices = tuple(constant.reshape(-1).tolist())
    if not 0 <= min(indices) <= max(indices) < shape[axis]:
        raise UserError(f"{node.label}: indices beyond {shape[axis]} elements")
    if constant.ndim == 0:
        parts = whole(shape)
        parts[axis] = (indices[0], 1, 1)
        return slice_and_reshape(node, node.input, node.output, parts)
    gathered = (*shape[:axis], len(indices), *shape[axis + 1 :])
    if constant.ndim == 1:
        return (Gather(node.label, node.input, node.output, axis, indices),)
    flat = node.reshaped(node.input, gathered, "gathered")
    return (
        Gather(node.label, node.input, flat, axis, indices),
        Reshape(f"{node.label}_reshape", flat, node.output),
    )


def _export_gather(context: ExportContext, op: Gather) -> None:
    indices = np.array(op.indices, np.int32)
    constant = context.add_constant(f"{context.output_name(op)}_indices", indices)
    options = {"Axis": op.axis, "BatchDims": 0}
    context.add(BuiltinOperator.GATHER, (op.input, constant), op.output, options)


def _import_mirror_pad(node: ImportNode) -> tuple[Op, ...]:
    """MIRROR_PAD: without (REFLECT) or with (SYMMETRIC) a second copy of the elements at the edge.

    Raises UnsupportedLayer for sides that are longer than the input.
    """
    shape = node.tensors[node.input].shape
    sides = node.int_constant(1)
    if sides.shape != (len(shape), 2) or sides.min() < 0:
        raise UserError(f"{node.label}: paddings {sides.tolist()} of {shape}")
    twice = node.stored.options.get("Mode") == tflite.MirrorPadMode.SYMMETRIC
    ops: list[Op] = []
    source, padded = node.input, list(shape)
    axes = [axis for axis, pair in enumerate(sides.tolist()) if any(pair)]
    for axis in axes:
        before, after = sides[axis].tolist()
        last = shape[axis] - 1
        if max(before, after) > last + twice:
            raise UnsupportedLayer(f"{node.label}: paddings {sides.tolist()} beyond {shape}")
        indices = [
            *range(before - twice, -twice, -1),
            *range(shape[axis]),
            *range(last - 1 + twice, last - 1 + twice - after, -1),
        ]
        padded[axis] = len(indices)
        output = node.output
        if axis != axes[-1]:
            output = node.reshaped(node.input, tuple(padded), f"axis_{axis}")
        ops.append(Gather(f"{node.label}_axis_{axis}", source, output, axis, tuple(indices)))
        source = output
    return tuple(ops) or (Reshape(node.label, node.input, node.output),)


FAMILY = Family(
    operators=(
        Operator(
            op=Transpose,
            check=_check_transpose,
            kernel=_transpose_kernel,
            export=_export_transpose,
            bounds=rising(_transpose_kernel),
            ties=_transpose_ties,
            on_int16=True,
        ),
        Operator(
            op=Gather,
            check=_check_gather,
            kernel=_gather_kernel,
            export=_export_gather,
            bounds=rising(_gather_kernel),
            ties=_gather_ties,
            on_int16=True,
        ),
        table.OPERATOR,
    ),
    builtins=(
        Builtin(BuiltinOperator.TRANSPOSE, 2, _import_transpose),
        Builtin(BuiltinOperator.GATHER, 2, _import_gather, "GatherOptions", ("Axis", "BatchDims")),
        Builtin(
            BuiltinOperator.DEPTH_TO_SPACE,
            1,
            _import_blocks,
            "DepthToSpaceOptions",
            ("BlockSize",),
        ),
        Builtin(
            BuiltinOperator.SPACE_TO_DEPTH,
            1,
            _import_blocks,
            "SpaceToDepthOptions",
            ("BlockSize",),
        ),
        # Of a table's positions: `compress.tflite.tables` takes it out before the import.
        Builtin(BuiltinOperator.CAST, 1, None),
        Builtin(BuiltinOperator.MIRROR_PAD, 2, _import_mirror_pad, "MirrorPadOptions", ("Mode",)),
    ),
    limits=(
        "Permutations that leave the batch in front; constant indices of GATHER, without "
        "batch dimensions; a GATHER from a constant of 256 values, of an int8 plus 128, is a table."
    ),
)
