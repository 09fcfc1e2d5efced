"""Operators with constant weights: checks, bounds, import and export of weights and bias."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from compress.arithmetic.accumulate import accumulator, accumulator_offset, rescaling
from compress.arithmetic.fixedpoint import (
    INT4_MAX,
    INT4_MIN,
    Int64Array,
    clamp_range,
    conv_multipliers,
)
from compress.arithmetic.intervals import Bounds
from compress.errors import UnsupportedLayer, UserError
from compress.operator_interface.channels import CutConstants, Kept, sliced
from compress.operator_interface.checks import require
from compress.ops import Conv2D, FullyConnected, TransposeConv2D, Weighted
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import TensorType
from compress.tflite_records.import_node import ImportNode
from compress.tflite_records.tensor import raw_bytes, type_name
from compress.types import Array, Graph, Tensor


def check_constants(graph: Graph, op: Weighted, channels: int, axis: int) -> None:
    """Require int8 or int4 weights, symmetric, of one scale or one per channel; an int32 bias.

    Those of `Graph.uint8` are int8 of one scale and, but for transposed convolutions, any zero
    point.
    """
    weights, bias = graph.tensors[op.weights], graph.tensors[op.bias]
    for tensor, dtypes in ((weights, ("int8", "int4")), (bias, ("int32",))):
        data = tensor.data
        require(data is not None, op.name, f"{tensor.name} has no data")
        if tensor.dtype not in dtypes or (data is not None and data.dtype != tensor.item):
            raise UnsupportedLayer(
                f"{op.name}: {tensor.name} is {tensor.dtype}, must be {' or '.join(dtypes)}"
            )
        require(data is not None and data.shape == tensor.shape, op.name, f"{tensor.name} shape")
        require(all(math.isfinite(s) and s > 0 for s in tensor.scales), op.name, "scales")
    require(min(weights.shape, default=0) >= 1, op.name, f"weights of shape {weights.shape}")
    if weights.dtype == "int4" and weights.data is not None:
        lowest, highest = int(weights.data.min()), int(weights.data.max())
        in_range = lowest >= INT4_MIN and highest <= INT4_MAX
        require(in_range, op.name, f"int4 weights of {lowest} .. {highest}")
    require(weights.shape[axis : axis + 1] == (channels,), op.name, "weights' shape")
    require(bias.shape == (channels,), op.name, f"bias of shape {bias.shape}")
    symmetric = not graph.uint8 or isinstance(op, TransposeConv2D)
    if (weights.zero_point != 0 and symmetric) or bias.zero_point != 0:
        raise UnsupportedLayer(f"{op.name}: weights must be symmetric (zero point 0)")
    if graph.uint8:
        require(-128 <= weights.zero_point <= 127, op.name, f"zero point {weights.zero_point}")
        if weights.dtype != "int8" or len(weights.scales) != 1:
            raise UnsupportedLayer(f"{op.name}: weights must be uint8 of one scale")
    if len(weights.scales) != 1 and (len(weights.scales) != channels or weights.axis != axis):
        allowed = f"one scale, or {channels} along axis {axis}"
        raise UnsupportedLayer(f"{op.name}: weights have {len(weights.scales)} scales: {allowed}")
    accumulator_offset(graph, op)


def mixes_all_channels(graph: Graph, op: Conv2D | FullyConnected) -> bool:
    """True unless `op` is a convolution in groups."""
    weights, x = graph.tensors[op.weights], graph.tensors[op.input]
    return isinstance(op, FullyConnected) or weights.shape[3] == x.shape[3]


def weighted_macs(graph: Graph, op: Weighted) -> Mapping[int, int]:
    """Each output element takes one multiplication per weight of its channel, padding included."""
    weights, out = graph.tensors[op.weights], graph.tensors[op.output]
    return {op.weights: out.elements * (weights.elements // out.shape[-1])}


def weighted_bounds(graph: Graph, op: Weighted, operands: Sequence[Bounds]) -> Bounds:
    """Positive weights take the input's bound of the same side, negative weights the other."""
    (x,) = operands
    offset = accumulator_offset(graph, op)
    rising, falling = (
        accumulator(_with_clipped_weights(graph, op, clip), op) for clip in (np.maximum, np.minimum)
    )
    sums = [
        rising(up).astype(np.int64) + falling(down).astype(np.int64) + offset
        for up, down in ((x.lowest, x.highest), (x.highest, x.lowest))
    ]
    rescale, out = rescaling(graph, op), graph.tensors[op.output]
    lowest, highest = (rescale(values) for values in sums)
    wraps = _wraps(graph, op, sums) if out.dtype == "int8" else np.zeros(out.shape, np.bool_)
    lo, hi = clamp_range(out, op.activation)
    return Bounds(
        np.where(wraps, lo, lowest).astype(out.item), np.where(wraps, hi, highest).astype(out.item)
    )


def _with_clipped_weights(graph: Graph, op: Weighted, clip: np.ufunc) -> Graph:
    """`graph` with the weights of `op` clipped at their zero point."""
    tensors = list(graph.tensors)
    weights = tensors[op.weights]
    if weights.data is not None:
        tensors[op.weights] = replace(weights, data=clip(weights.data, np.int8(weights.zero_point)))
    return replace(graph, tensors=tuple(tensors))


def _wraps(graph: Graph, op: Weighted, sums: list[Int64Array]) -> npt.NDArray[np.bool_]:
    """True where a multiplication by more than 1 may leave int32, where the kernels wrap around."""
    left = np.array([max(shift, 0) for _, shift in conv_multipliers(graph, op)], np.int64)
    largest = np.maximum(*(np.abs(values) for values in sums))
    wraps: npt.NDArray[np.bool_] = largest >= 2**31 >> left
    return wraps


def cut_inputs_and_outputs(
    graph: Graph, op: Weighted, kept: Kept, constants: CutConstants
) -> tuple[int, int]:
    """(weights, bias) of an operator that sums over input channels, cut to the kept channels."""
    weights, x, out = graph.tensors[op.weights], kept[op.input], kept[op.output]
    inputs = np.tile(x, weights.shape[-1] // len(x))
    weights = sliced(weights, inputs, axis=len(weights.shape) - 1)
    bias = sliced(constants.bias_of(op), out, axis=0)
    return constants.place(op.weights, sliced(weights, out, axis=0)), constants.place(op.bias, bias)


def import_constants(node: ImportNode) -> tuple[int, int]:
    """(weights, bias); an absent bias is added as zeros."""
    stored, tensors, label = node.stored, node.tensors, node.label
    if len(stored.inputs) < 2:
        raise UserError(f"{label}: it lacks weights")
    source, weights, bias = (*stored.inputs, -1)[:3]
    if bias < 0:
        channels = tensors[node.output].shape[-1:]
        if not channels or not 0 < channels[0] <= tensors[weights].elements:
            raise UserError(f"{label}: output of {channels} channels")
        scales = tuple(
            float(np.float32(tensors[source].scales[0]) * np.float32(scale))
            for scale in tensors[weights].scales
        )
        zeros: Array = np.zeros(channels, np.int32)
        bias = node.add_tensor(Tensor(f"{label}_bias", channels, "int32", scales, data=zeros))
    else:
        on, found = node.type_of(source), node.type_of(bias)
        if (found == TensorType.INT64) != (on == TensorType.INT16):
            wanted = "int64" if on == TensorType.INT16 else "int32"
            raise UnsupportedLayer(
                f"{label}: bias of {type_name(found)} on {type_name(on)}, must be {wanted} (the "
                "converter's default)"
            )
    return weights, bias


def export_bias(context: ExportContext, op: Weighted) -> int:
    """The bias, stored with 64 bits for an operator on int16."""
    bias = context.graph.tensors[op.bias]
    if bias.data is not None and context.reads_int16(op):
        context.tensors[op.bias] = replace(
            context.tensors[op.bias],
            type=TensorType.INT64,
            data=raw_bytes(bias.data.astype(np.int64)),
        )
    return op.bias


def export_weights(context: ExportContext, op: Weighted, int4: bool = True) -> int:
    """The weights; int4 is stored as int8 unless release 2.14 has a kernel for it (`int4`).

    There is none for int4 on int16: it would take the packed bytes for int8.
    """
    weights = context.graph.tensors[op.weights]
    has_kernel = int4 and not context.reads_int16(op)
    if weights.dtype == "int4" and weights.data is not None and not has_kernel:
        context.tensors[op.weights] = replace(
            context.tensors[op.weights], type=TensorType.INT8, data=raw_bytes(weights.data)
        )
    return op.weights
