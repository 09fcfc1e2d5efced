"""Svdf: a filter over features and time, which keeps the last products of its features.

Sources: tensorflow/lite/micro/kernels/svdf_common.cc of TensorFlow Lite for Microcontrollers, and
of release 2.14 tensorflow/lite/kernels/svdf.cc and internal/reference/svdf.h. Sums over time wrap
at 32 bits, as theirs do; they ignore the fused activation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from compress.arithmetic.fixedpoint import (
    INT8_MAX,
    INT8_MIN,
    Int64Array,
    multiply_by_quantized_multiplier,
    named_multiplier,
    scale_ratio,
    value_range,
)
from compress.arithmetic.tables import Kernel
from compress.errors import UnsupportedLayer
from compress.operator_interface.checks import check_state, require
from compress.operator_interface.operator import Builtin, Family, Operator
from compress.ops import Activation, Svdf
from compress.tflite_records.export_context import ExportContext
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.import_node import ImportNode
from compress.tflite_records.options import activation_option
from compress.types import Array, DType, Graph, IntArray, Tensor

_BIAS, _STATE = 3, 4  # positions of operands


@dataclass(frozen=True, slots=True, eq=False)
class SvdfParameters:
    """The integers of an Svdf; factors are pairs of `quantize_multiplier`.

    A product that enters the state is state_offset + clamp(M(input @ feature_weights.T +
    feature_offsets)), an output clamp(output_offset + M'(sums over time + output_offsets)).
    Offsets are int64, (F,) and (U,), those of the outputs with the bias.
    """

    feature_offsets: Int64Array
    feature: tuple[int, int]
    state_offset: int
    output_offsets: Int64Array
    output: tuple[int, int]
    output_offset: int


def svdf_parameters(graph: Graph, op: Svdf) -> SvdfParameters:
    """The parameters. Raises UnsupportedLayer where a sum over features could leave int32."""
    x, state, out = (graph.tensors[index] for index in (op.input, op.state, op.output))
    features, time = graph.tensors[op.feature_weights], graph.tensors[op.time_weights]
    feature_values, time_values = _data(op, features), _data(op, time)
    feature_offsets = -x.zero_point * feature_values.sum(axis=1, dtype=np.int64)
    products = -INT8_MIN * np.abs(feature_values.astype(np.int64)).sum(axis=1)
    reach = int((products + np.abs(feature_offsets)).max())
    if reach >= 2**31:
        raise UnsupportedLayer(f"{op.name}: accumulators may reach {reach}, beyond int32")
    by_unit = time_values.reshape(out.shape[1], -1).sum(axis=1, dtype=np.int64)
    first = scale_ratio(graph, (x.scale, features.scale), state.scale)
    second = scale_ratio(graph, (state.scale, time.scale), out.scale)
    return SvdfParameters(
        feature_offsets=feature_offsets,
        feature=named_multiplier(op.name, first),
        state_offset=state.zero_point,
        output_offsets=_data(op, graph.tensors[op.bias]) - state.zero_point * by_unit,
        output=named_multiplier(op.name, second),
        output_offset=out.zero_point,
    )


def _data(op: Svdf, tensor: Tensor) -> Array:
    if tensor.data is None:
        raise UnsupportedLayer(f"{op.name}: {tensor.name} must be a constant")
    return tensor.data


def _check(graph: Graph, op: Svdf) -> None:
    x, state, out = (graph.tensors[index] for index in (op.input, op.state, op.output))
    features, time = graph.tensors[op.feature_weights], graph.tensors[op.time_weights]
    if (x.dtype, out.dtype) != ("int8", "int8"):
        raise UnsupportedLayer(f"{op.name}: there is no Svdf of {x.dtype} to {out.dtype}")
    require(len(x.shape) == len(out.shape) == 2, op.name, f"{x.shape} to {out.shape}")
    require(len(time.shape) == 2 and op.rank >= 1, op.name, f"rank {op.rank}, {time.shape}")
    filters, memory = out.shape[1] * op.rank, time.shape[1]
    _check_constant(op, features, (filters, x.shape[1]), "int8")
    _check_constant(op, time, (filters, memory), state.dtype)
    _check_constant(op, graph.tensors[op.bias], (out.shape[1],), "int32")
    require(memory >= 1 and state.shape == (1, filters * memory), op.name, f"{state.shape}")
    check_state(graph, op, op.state, op.next_state)
    svdf_parameters(graph, op)


def _check_constant(op: Svdf, tensor: Tensor, shape: tuple[int, ...], dtype: DType) -> None:
    """Require a constant of one scale and zero point 0."""
    if tensor.data is None or tensor.dtype != dtype:
        raise UnsupportedLayer(f"{op.name}: {tensor.name} must be a constant {dtype}")
    require(tensor.shape == tensor.data.shape == shape, op.name, f"{tensor.name} {tensor.shape}")
    if len(tensor.scales) != 1 or tensor.zero_point != 0:
        raise UnsupportedLayer(f"{op.name}: {tensor.name} must have one scale and zero point 0")
    require(math.isfinite(tensor.scale) and tensor.scale > 0, op.name, f"scale {tensor.scale}")


def _kernel(graph: Graph, op: Svdf) -> Kernel:
    p, item = svdf_parameters(graph, op), graph.tensors[op.state].item
    lo_hi = value_range(graph.tensors[op.state].dtype)
    features = _data(op, graph.tensors[op.feature_weights]).astype(np.int64)
    time = _data(op, graph.tensors[op.time_weights]).astype(np.int64)
    units = graph.tensors[op.output].shape[1]

    def run_op(x: IntArray, state: IntArray) -> tuple[IntArray, IntArray]:
        sums = x.astype(np.int64) @ features.T + p.feature_offsets
        newest = np.clip(multiply_by_quantized_multiplier(sums, *p.feature), *lo_hi)
        rows = state.reshape(len(x), *time.shape)
        newest = (newest + p.state_offset).astype(item)[..., np.newaxis]
        rows = np.concatenate([rows[..., 1:], newest], axis=2)
        products = rows.astype(np.int64) * time
        totals = products.reshape(len(x), units, -1).sum(axis=2) + p.output_offsets
        totals = totals.astype(np.int32).astype(np.int64)
        outputs = multiply_by_quantized_multiplier(totals, *p.output) + p.output_offset
        return (
            np.clip(outputs, INT8_MIN, INT8_MAX).astype(np.int8),
            rows.reshape(len(x), -1),
        )

    return run_op


def _macs(graph: Graph, op: Svdf) -> Mapping[int, int]:
    """One multiplication per weight."""
    weights = (op.feature_weights, op.time_weights)
    return {index: graph.tensors[index].elements for index in weights}


def _import(node: ImportNode) -> Svdf:
    """An absent bias is added as zeros."""
    inputs, tensors = node.stored.inputs + (-1,) * 5, node.tensors
    if min(inputs[:3]) < 0:
        raise UnsupportedLayer(f"{node.label}: it lacks weights")
    relu = node.activation() is Activation.RELU and tensors[node.output].zero_point == INT8_MIN
    if node.activation() is not Activation.NONE and not relu:
        raise UnsupportedLayer(
            f"{node.label}: a fused activation that the zero point does not imply is ignored by "
            "TensorFlow Lite"
        )
    state, next_state = node.state(_STATE)
    bias = inputs[_BIAS]
    if bias < 0:
        scale = float(np.float32(tensors[state].scale) * np.float32(tensors[inputs[2]].scale))
        zeros: Array = np.zeros(tensors[node.output].shape[-1:], np.int32)
        name = f"{node.label}_bias"
        bias = node.add_tensor(Tensor(name, zeros.shape, "int32", (scale,), data=zeros))
    rank = int(node.stored.options.get("Rank") or 0)
    return Svdf(
        node.label, node.input, state, inputs[1], inputs[2], bias, node.output, next_state, rank
    )


def _export(context: ExportContext, op: Svdf) -> None:
    """Release 2.14 demands ReLU, without computing it: stored where the zero point implies it."""
    state = context.keep_state(op.state)
    implied = context.graph.tensors[op.output].zero_point == INT8_MIN
    activation = Activation.RELU if implied else Activation.NONE
    operands = (op.input, op.feature_weights, op.time_weights, op.bias, state)
    options = {"Rank": op.rank, **activation_option(activation)}
    context.add(BuiltinOperator.SVDF, operands, op.output, options)


FAMILY = Family(
    operators=(
        Operator(
            op=Svdf,
            check=_check,
            kernel=_kernel,
            export=_export,
            macs=_macs,
            on_int16=True,
            converts=True,
        ),
    ),
    builtins=(
        Builtin(
            BuiltinOperator.SVDF, 3, _import, "SVDFOptions", ("Rank", "FusedActivationFunction")
        ),
    ),
    limits=("State int8 or int16; activation none or RELU (with output zero point -128)."),
)
