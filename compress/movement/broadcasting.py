"""BroadcastTo: axes of extent 1 repeated; TILE is imported as BroadcastTo between Reshapes.

Source, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/internal/reference/broadcast_to.h.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compress.arithmetic.intervals import rising
from compress.arithmetic.tables import Kernel
from compress.errors import UserError
from compress.operator_interface.channels import Channels, Tie, all_fixed
from compress.operator_interface.checks import check_same_scale, require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import BroadcastTo, Op, Reshape
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.types import Graph


def _check(graph: Graph, op: BroadcastTo) -> None:
    x, out = graph.tensors[op.input], graph.tensors[op.output]
    check_same_scale(op.name, x, out)
    same_rank = len(x.shape) == len(out.shape)
    require(same_rank and can_repeat(x.shape, out.shape), op.name, f"{x.shape} to {out.shape}")


def can_repeat(given: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """True if extents are equal where the given one is not 1; missing ones in front count as 1."""
    pairs = zip(reversed(given), reversed(wanted), strict=False)
    return len(given) <= len(wanted) and all(n in (1, m) for n, m in pairs)


def _kernel(graph: Graph, op: BroadcastTo) -> Kernel:
    shape = graph.tensors[op.output].shape[1:]
    return lambda x: np.broadcast_to(x, (len(x), *shape)).copy()


def _ties(graph: Graph, op: BroadcastTo, channels: Channels) -> Iterator[Tie]:
    x, out = channels[op.input], channels[op.output]
    if len(x) == len(out):
        yield out, x
    else:
        yield from all_fixed(graph, op, channels)


def broadcast(node: ImportNode, source: int, output: int, label: str) -> list[Op]:
    """The operators, named after `label`, that repeat axes of `source` to the shape of `output`.

    Axes that `source` lacks in front count as 1. Raises UserError for shapes that do not allow it.
    """
    given, wanted = node.tensors[source].shape, node.tensors[output].shape
    aligned = (*(1,) * (len(wanted) - len(given)), *given)
    if not can_repeat(given, wanted):
        raise UserError(f"{label}: {given} cannot be repeated to {wanted}")
    if aligned == wanted:
        return [Reshape(label, source, output)]
    ops: list[Op] = []
    if aligned != given:
        reshaped = node.reshaped(source, aligned, f"aligned_{source}")
        ops.append(Reshape(f"{label}_aligned", source, reshaped))
        source = reshaped
    return [*ops, BroadcastTo(label, source, output)]


def _import_broadcast(node: ImportNode) -> tuple[Op, ...]:
    return tuple(broadcast(node, node.input, node.output, node.label))


def _import_tile(node: ImportNode) -> tuple[Op, ...]:
    """TILE: an axis that is repeated and has several elements gets one of extent 1 before it."""
    shape = node.tensors[node.input].shape
    times = node.int_constant(1).reshape(-1).tolist()
    if len(times) != len(shape) or min(times) < 1:
        raise UserError(f"{node.label}: multiples {times} of {shape}")
    split: list[int] = []
    repeated: list[int] = []
    for extent, count in zip(shape, times, strict=True):
        new = [1] if count > 1 and extent > 1 else []
        split += [*new, extent]
        repeated += [count, extent] if new else [count * extent]
    if tuple(split) == shape:
        return tuple(broadcast(node, node.input, node.output, node.label))
    first = node.reshaped(node.input, tuple(split), "split")
    second = node.reshaped(node.input, tuple(repeated), "repeated")
    return (
        Reshape(f"{node.label}_split", node.input, first),
        BroadcastTo(node.label, first, second),
        Reshape(f"{node.label}_join", second, node.output),
    )


def _export(context: ExportContext, op: BroadcastTo) -> None:
    shape = np.array(context.graph.tensors[op.output].shape, np.int32)
    constant = context.add_constant(f"{context.output_name(op)}_shape", shape)
    context.add(BuiltinOperator.BROADCAST_TO, (op.input, constant), op.output)


FAMILY = Family(
    operators=(
        Operator(
            op=BroadcastTo,
            check=_check,
            kernel=_kernel,
            export=_export,
            bounds=rising(_kernel),
            ties=_ties,
            on_int16=True,
        ),
    ),
    builtins=(
        Builtin(BuiltinOperator.BROADCAST_TO, 2, _import_broadcast),
        Builtin(BuiltinOperator.TILE, 2, _import_tile),
    ),
    limits=("Constant shapes and multiples."),
)
