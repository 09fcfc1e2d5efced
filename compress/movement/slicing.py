"""StridedSlice: parts of a tensor, also reversed; stored slices and splits are imported as it.

Source, of TensorFlow Lite release 2.14: tensorflow/lite/kernels/strided_slice.cc (masks) and
internal/strided_slice_logic.h (clamping of begin and end).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from compress.arithmetic.intervals import rising
from compress.arithmetic.tables import Kernel
from compress.errors import UnsupportedLayer, UserError
from compress.operator_interface.channels import FIXED, Channels, CutConstants, Kept, Tie
from compress.operator_interface.checks import check_same_scale, require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import Op, Reshape, StridedSlice
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.types import Graph

_MASKS = ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask")
# (begin, stride, extent of the output) along one axis
_Range = tuple[int, int, int]


def _check(graph: Graph, op: StridedSlice) -> None:
    x, out = graph.tensors[op.input], graph.tensors[op.output]
    check_same_scale(op.name, x, out)
    ranks = {len(x.shape), len(out.shape), len(op.begin), len(op.stride)}
    require(len(ranks) == 1, op.name, f"{x.shape} to {out.shape}")
    for extent, begin, stride, size in zip(x.shape, op.begin, op.stride, out.shape, strict=True):
        last = begin + (size - 1) * stride
        inside = min(begin, last) >= 0 and max(begin, last) < extent and stride != 0
        require(inside, op.name, f"elements {begin} to {last} of {extent}")


def _kernel(graph: Graph, op: StridedSlice) -> Kernel:
    sizes = graph.tensors[op.output].shape[1:]
    parts = zip(op.begin[1:], op.stride[1:], sizes, strict=True)
    # An end of -1 would be the last element: None is the one before the first.
    ends = [(begin, begin + size * stride, stride) for begin, stride, size in parts]
    where = tuple(slice(begin, end if end >= 0 else None, stride) for begin, end, stride in ends)
    return lambda x: x[(slice(None), *where)]


def _selected(graph: Graph, op: StridedSlice) -> range:
    """The channels of the input that the output has, in its order."""
    begin, stride = op.begin[-1], op.stride[-1]
    return range(begin, begin + graph.tensors[op.output].shape[-1] * stride, stride)


def _ties(graph: Graph, op: StridedSlice, channels: Channels) -> Iterator[Tie]:
    """The channels that are selected are tied; with gaps between them, all must be kept."""
    x, out = channels[op.input], channels[op.output]
    yield out, x[list(_selected(graph, op))]
    if abs(op.stride[-1]) > 1:
        yield x, np.array(FIXED)


def _cut(graph: Graph, op: StridedSlice, kept: Kept, constants: CutConstants) -> StridedSlice:
    """The kept channels that are selected are neighbors: only their begin moves."""
    x = kept[op.input]
    first = next(channel for channel in _selected(graph, op) if x[channel])
    return replace(op, begin=(*op.begin[:-1], int(x[:first].sum())))


def _sliced_to(
    node: ImportNode, source: int, output: int, parts: Sequence[_Range]
) -> Reshape | StridedSlice:
    """The operator that takes `parts` of `source`: a Reshape if they are all of it."""
    shape = node.tensors[source].shape
    for extent, (begin, stride, size) in zip(shape, parts, strict=True):
        last = begin + (size - 1) * stride
        if size < 1 or stride == 0 or min(begin, last) < 0 or max(begin, last) >= extent:
            raise UserError(f"{node.label}: elements {begin} to {last} of {extent}")
    if all(part == (0, 1, extent) for part, extent in zip(parts, shape, strict=True)):
        return Reshape(node.label, source, output)
    begins, strides = tuple(part[0] for part in parts), tuple(part[1] for part in parts)
    return StridedSlice(node.label, source, output, begins, strides)


def slice_and_reshape(
    node: ImportNode, source: int, output: int, parts: Sequence[_Range], number: int = 0
) -> tuple[Op, ...]:
    """`parts` of `source` as a tensor of the shape of `output`.

    `number` tells the operators of one stored operator apart.
    """
    label = f"{node.label}_{number}" if number else node.label
    node = replace(node, label=label)
    shape = tuple(size for _, _, size in parts)
    if node.tensors[output].shape == shape:
        return (_sliced_to(node, source, output, parts),)
    first = _sliced_to(node, source, output, parts)
    if isinstance(first, Reshape):
        return (first,)
    part = node.reshaped(source, shape, f"part_{number}")
    return replace(first, output=part), Reshape(f"{label}_reshape", part, output)


def whole(shape: tuple[int, ...]) -> list[_Range]:
    """The ranges of all elements."""
    return [(0, 1, extent) for extent in shape]


def _ints(node: ImportNode, position: int, rank: int | None = None) -> list[int]:
    values: list[int] = node.int_constant(position).reshape(-1).tolist()
    if rank is not None and len(values) != rank:
        raise UserError(f"{node.label}: {len(values)} values for {rank} axes")
    return values


def _import_slice(node: ImportNode) -> tuple[Op, ...]:
    """SLICE: begin and size along each axis; a size of -1 is the rest."""
    shape = node.tensors[node.input].shape
    begins, sizes = _ints(node, 1, len(shape)), _ints(node, 2, len(shape))
    parts = [
        (begin, 1, extent - begin if size == -1 else size)
        for extent, begin, size in zip(shape, begins, sizes, strict=True)
    ]
    return slice_and_reshape(node, node.input, node.output, parts)


def _import_strided_slice(node: ImportNode) -> tuple[Op, ...]:
    """STRIDED_SLICE: new axes and those that are dropped are left to a Reshape."""
    if node.stored.options.get("Offset"):
        raise UnsupportedLayer(f"{node.label}: a slice whose end is an offset")
    shape = node.tensors[node.input].shape
    masks = {name: int(node.stored.options.get(name, 0)) for name in _MASKS}
    begins = _ints(node, 1)
    ends, strides = _ints(node, 2, len(begins)), _ints(node, 3, len(begins))
    parts: list[_Range] = []
    for position, (begin, end, stride) in enumerate(zip(begins, ends, strides, strict=True)):
        bits = {name: mask >> position & 1 for name, mask in masks.items()}
        if bits["EllipsisMask"]:
            later = range(position + 1, len(begins))
            new = sum(masks["NewAxisMask"] >> other & 1 for other in later)
            rest = len(shape) - (len(later) - new)
            if rest <= len(parts):
                raise UnsupportedLayer(f"{node.label}: an ellipsis for no axis of {shape}")
            parts += whole(shape)[len(parts) : rest]
        elif not bits["NewAxisMask"]:
            if len(parts) == len(shape) or stride == 0:
                raise UserError(f"{node.label}: slice {begins}, {strides} of {shape}")
            extent = shape[len(parts)]
            if bits["ShrinkAxisMask"]:
                parts.append((begin + (extent if begin < 0 else 0), 1, 1))
            else:
                start = None if bits["BeginMask"] else begin
                stop = None if bits["EndMask"] else end
                # Python clamps begin and end as TFLite does.
                found = range(*slice(start, stop, stride).indices(extent))
                parts.append((found.start, stride, len(found)))
    parts += whole(shape)[len(parts) :]
    return slice_and_reshape(node, node.input, node.output, parts)


def _import_split(node: ImportNode) -> tuple[Op, ...]:
    """SPLIT (axis, input) into equal parts; SPLIT_V (input, sizes, axis), one size may be -1."""
    outputs = node.stored.outputs
    equal = node.stored.code == BuiltinOperator.SPLIT
    source = node.stored.inputs[1 if equal else 0]
    shape = node.tensors[source].shape
    axis = node.axis(_ints(node, 0 if equal else 2, 1)[0], len(shape))
    if equal:
        sizes = [shape[axis] // len(outputs)] * len(outputs)
    else:
        sizes = _ints(node, 1, len(outputs))
        rest = shape[axis] - sum(size for size in sizes if size != -1)
        sizes = [rest if size == -1 else size for size in sizes]
    if sum(sizes) != shape[axis]:
        raise UserError(f"{node.label}: parts of {sizes} elements of {shape[axis]}")
    ops: list[Op] = []
    begin = 0
    for number, (output, size) in enumerate(zip(outputs, sizes, strict=True)):
        parts = whole(shape)
        parts[axis] = (begin, 1, size)
        begin += size
        if node.is_read(output):
            ops += slice_and_reshape(node, source, output, parts, number)
    return tuple(ops)


def _import_unpack(node: ImportNode) -> tuple[Op, ...]:
    """UNPACK: one output per element along an axis, without the axis."""
    shape = node.tensors[node.input].shape
    axis = node.axis(int(node.stored.options.get("Axis", 0)), len(shape))
    stated = int(node.stored.options.get("Num", 0))
    if not len(node.stored.outputs) == shape[axis] == stated:
        outputs = f"{len(node.stored.outputs)} outputs of {shape[axis]}"
        raise UserError(f"{node.label}: {outputs}, stated are {stated}")
    ops: list[Op] = []
    for number, output in enumerate(node.stored.outputs):
        parts = whole(shape)
        parts[axis] = (number, 1, 1)
        if node.is_read(output):
            ops += slice_and_reshape(node, node.input, output, parts, number)
    return tuple(ops)


def _import_reverse(node: ImportNode) -> tuple[Op, ...]:
    """REVERSE_V2: the elements along some axes in the opposite order."""
    shape = node.tensors[node.input].shape
    parts = whole(shape)
    for axis in _ints(node, 1):
        axis = node.axis(axis, len(shape))
        parts[axis] = (shape[axis] - 1, -1, shape[axis])
    return slice_and_reshape(node, node.input, node.output, parts)


def _export(context: ExportContext, op: StridedSlice) -> None:
    """A SLICE, or a STRIDED_SLICE where a stride is not 1.

    An end before the first element has no number: the mask says that the slice goes up to it.
    """
    sizes, name = context.graph.tensors[op.output].shape, context.output_name(op)

    def add_constant(what: str, values: Sequence[int]) -> int:
        return context.add_constant(f"{name}_{what}", np.array(values, np.int32))

    begin = add_constant("begin", op.begin)
    if all(stride == 1 for stride in op.stride):
        inputs = (op.input, begin, add_constant("size", sizes))
        context.add(BuiltinOperator.SLICE, inputs, op.output)
        return
    parts = zip(op.begin, op.stride, sizes, strict=True)
    # With a positive stride the end is right after the last element.
    ends = [
        first + (size - 1) * stride + (1 if stride > 0 else -1) for first, stride, size in parts
    ]
    mask = sum(1 << axis for axis, end in enumerate(ends) if end < 0)
    limits = add_constant("end", ends), add_constant("stride", op.stride)
    options = {**dict.fromkeys(_MASKS, 0), "EndMask": mask}
    context.add(BuiltinOperator.STRIDED_SLICE, (op.input, begin, *limits), op.output, options)


FAMILY = Family(
    operators=(
        Operator(
            op=StridedSlice,
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
        Builtin(
            BuiltinOperator.STRIDED_SLICE,
            2,
            _import_strided_slice,
            "StridedSliceOptions",
            (*_MASKS, "Offset"),
        ),
        Builtin(BuiltinOperator.SLICE, 2, _import_slice),
        Builtin(
            BuiltinOperator.SPLIT, 2, _import_split, "SplitOptions", ("NumSplits",), several=True
        ),
        Builtin(
            BuiltinOperator.SPLIT_V, 2, _import_split, "SplitVOptions", ("NumSplits",), several=True
        ),
        Builtin(
            BuiltinOperator.UNPACK,
            2,
            _import_unpack,
            "UnpackOptions",
            ("Num", "Axis"),
            several=True,
        ),
        Builtin(BuiltinOperator.REVERSE_V2, 2, _import_reverse),
    ),
    limits=("Constant bounds, all masks, negative strides."),
)
