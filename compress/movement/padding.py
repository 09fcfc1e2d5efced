"""Pad, and the padding of convolutions and pools, which a file may store as a PAD before them.

Explicit padding that is neither SAME nor VALID is exported as a PAD (of the zero point) or, before
a maximum, as a PADV2 (of the lowest value). The import fuses it into its reader again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, replace

import numpy as np
import tflite

from compress.arithmetic.fixedpoint import value_range
from compress.arithmetic.intervals import rising
from compress.arithmetic.tables import Kernel
from compress.errors import UnsupportedLayer, UserError
from compress.operator_interface.channels import Channels, CutConstants, Kept, Tie
from compress.operator_interface.checks import check_same_scale, require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import AveragePool2D, Conv2D, DepthwiseConv2D, MaxPool2D, Pad, Padding
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode, Padded
from compress.tflite_records.tensor import to_file
from compress.types import Graph, Tensor


def _check(graph: Graph, op: Pad) -> None:
    x, out = graph.tensors[op.input], graph.tensors[op.output]
    check_same_scale(op.name, x, out)
    require(len(op.before) == len(op.after) == len(x.shape), op.name, "sides")
    require(min(*op.before, *op.after) >= 0, op.name, "sides")
    padded = tuple(map(sum, zip(op.before, x.shape, op.after, strict=True)))
    require(out.shape == padded, op.name, f"output {out.shape}, must be {padded}")
    low, high = value_range(x.dtype)
    require(low <= op.value <= high, op.name, f"value {op.value}")


def _kernel(graph: Graph, op: Pad) -> Kernel:
    sides, value = tuple(zip(op.before, op.after, strict=True)), op.value
    return lambda x: np.pad(x, sides, constant_values=value)


def _ties(graph: Graph, op: Pad, channels: Channels) -> Iterator[Tie]:
    x = channels[op.input]
    yield channels[op.output][op.before[-1] : op.before[-1] + len(x)], x


def _cut(graph: Graph, op: Pad, kept: Kept, constants: CutConstants) -> Pad:
    """Padding along the channels loses the channels that are not kept."""
    out = kept[op.output]
    before, after = out[: op.before[-1]], out[len(out) - op.after[-1] :]
    return replace(
        op,
        before=(*op.before[:-1], int(before.sum())),
        after=(*op.after[:-1], int(after.sum())),
    )


def _import(node: ImportNode) -> Pad:
    x = node.tensors[node.input]
    sides = node.int_constant(1)
    if sides.shape != (len(x.shape), 2):
        raise UserError(f"{node.label}: paddings {sides.tolist()} of {x.shape}")
    value = x.zero_point
    if node.stored.code == BuiltinOperator.PADV2:
        value = int(node.int_constant(2).reshape(-1)[0])
    pairs: list[list[int]] = sides.tolist()
    # A PAD with a name was exported as an operator of its own and stays one; one that changes the
    # scale is refused by the check.
    out = node.tensors[node.output]
    same = (x.scales, x.zero_point, x.dtype) == (out.scales, out.zero_point, out.dtype)
    if not node.stored.name and _is_spatial(pairs) and same:
        (top, bottom), (left, right) = pairs[1:3]
        padding = Padding(top, bottom, left, right)
        node.padded[node.output] = Padded(node.input, padding, value)
    before, after = zip(*pairs, strict=True)
    return Pad(node.label, node.input, node.output, before, after, value)


def _is_spatial(sides: Sequence[Sequence[int]]) -> bool:
    """True for non-negative (before, after) pairs along height and width of NHWC alone."""
    return len(sides) == 4 and not any((*sides[0], *sides[3])) and min(map(min, sides)) >= 0


def with_padding_before(
    node: ImportNode,
    padding: Padding,
    neutral: Callable[[Tensor], int],
    largest: tuple[int, int],
) -> tuple[int, Padding]:
    """(tensor to read, padding) of a window, which takes over the PAD before it if it can.

    The PAD's value must be the `neutral` one of the tensor it pads, and the padding of both at
    most `largest`, rows and columns: no window of a maximum may lie wholly in the padding.
    """
    pad = node.padded.get(node.input)
    if pad is None:
        return node.input, padding
    both = Padding(*map(sum, zip(astuple(pad.padding), astuple(padding), strict=True)))
    fits = max(both.top, both.bottom) <= largest[0] and max(both.left, both.right) <= largest[1]
    if not fits or pad.value != neutral(node.tensors[pad.source]):
        return node.input, padding
    return pad.source, both


def padded_input(
    context: ExportContext,
    op: Conv2D | DepthwiseConv2D | AveragePool2D | MaxPool2D,
    same: Padding,
    value: int,
) -> tuple[int, int]:
    """(tensor to read, TFLite's padding code) for `op.padding` filled with `value`.

    Padding that is neither VALID nor `same` adds a PAD. Raises UnsupportedLayer for that of an
    average pool.
    """
    p = op.padding
    if p == Padding():
        return op.input, tflite.Padding.VALID
    if p == same:
        return op.input, tflite.Padding.SAME
    if isinstance(op, AveragePool2D):
        raise UnsupportedLayer(f"{op.name}: an average pool with {p} has no TFLite form")
    x, name = context.graph.tensors[op.input], context.output_name(op)
    _, height, width, channels = x.shape
    shape = (1, height + p.top + p.bottom, width + p.left + p.right, channels)
    padded = replace(x, name=f"{name}_padded", shape=shape)
    output = context.add_tensor(to_file(padded))
    before, after = (0, p.top, p.left, 0), (0, p.bottom, p.right, 0)
    _export(context, Pad(name, op.input, output, before, after, value))
    return output, tflite.Padding.VALID


def _export(context: ExportContext, op: Pad) -> None:
    """A PAD where the value is the zero point, otherwise a PADV2."""
    x, name = context.graph.tensors[op.input], context.output_name(op)
    sides = np.array(list(zip(op.before, op.after, strict=True)), np.int32)
    inputs = [op.input, context.add_constant(f"{name}_sides", sides)]
    code = BuiltinOperator.PAD
    if op.value != x.zero_point:
        code = BuiltinOperator.PADV2
        fill = np.array([op.value], x.item)
        stored = to_file(replace(x, name=f"{name}_fill", shape=(1,), data=fill))
        inputs.append(context.add_tensor(stored))
    context.add(code, tuple(inputs), op.output)


FAMILY = Family(
    operators=(
        Operator(
            op=Pad,
            check=_check,
            kernel=_kernel,
            export=_export,
            bounds=rising(_kernel),
            ties=_ties,
            cut=_cut,
            on_int16=True,
        ),
    ),
    builtins=(
        Builtin(BuiltinOperator.PAD, 2, _import),
        Builtin(BuiltinOperator.PADV2, 2, _import),
    ),
    limits=("At most three padded axes that are not neighbors; on int16 the value is 0 or -1."),
)
