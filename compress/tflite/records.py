"""A .tflite file as plain records: the file format, not what it means.

Schema: tensorflow/compiler/mlir/lite/schema/schema.fbs, version 3. Only what the integer
operators need is kept: one subgraph, builtin operators, no metadata. `compress.tflite.read` and
`compress.tflite.write` turn bytes into these records and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import tflite

from compress.types import Array

BuiltinOperator = tflite.BuiltinOperator
TensorType = tflite.TensorType

IDENTIFIER = b"TFL3"
OPERATOR_NAMES_KEY = "hil-compress.operator_names"  # metadata: one name a line, UTF-8

_WINDOW_FIELDS = ("Padding", "StrideW", "StrideH")
_DILATION_FIELDS = ("DilationWFactor", "DilationHFactor")
_POOL_FIELDS = (*_WINDOW_FIELDS, "FilterWidth", "FilterHeight", "FusedActivationFunction")


@dataclass(frozen=True, slots=True)
class Schema:
    """Version of an int8 operator, its options table and the fields of it that matter.

    A version only tells a runtime whether it is new enough. Those of operators on int16 and int4
    are newer, but release 2.14, which runs them, knows no such version of some.
    """

    version: int
    table: str = ""
    fields: tuple[str, ...] = ()


SCHEMAS: Mapping[int, Schema] = {
    BuiltinOperator.CONV_2D: Schema(
        3, "Conv2DOptions", (*_WINDOW_FIELDS, *_DILATION_FIELDS, "FusedActivationFunction")
    ),
    BuiltinOperator.DEPTHWISE_CONV_2D: Schema(
        3,
        "DepthwiseConv2DOptions",
        (*_WINDOW_FIELDS, *_DILATION_FIELDS, "DepthMultiplier", "FusedActivationFunction"),
    ),
    BuiltinOperator.FULLY_CONNECTED: Schema(
        4, "FullyConnectedOptions", ("FusedActivationFunction", "WeightsFormat")
    ),
    BuiltinOperator.ADD: Schema(2, "AddOptions", ("FusedActivationFunction", "PotScaleInt16")),
    BuiltinOperator.SUB: Schema(2, "SubOptions", ("FusedActivationFunction", "PotScaleInt16")),
    BuiltinOperator.MUL: Schema(2, "MulOptions", ("FusedActivationFunction",)),
    BuiltinOperator.AVERAGE_POOL_2D: Schema(2, "Pool2DOptions", _POOL_FIELDS),
    BuiltinOperator.MAX_POOL_2D: Schema(2, "Pool2DOptions", _POOL_FIELDS),
    BuiltinOperator.RESHAPE: Schema(1),
    BuiltinOperator.SOFTMAX: Schema(2, "SoftmaxOptions", ("Beta",)),
    BuiltinOperator.QUANTIZE: Schema(2),
    BuiltinOperator.RELU: Schema(2),
    BuiltinOperator.DEQUANTIZE: Schema(2),
    BuiltinOperator.RELU6: Schema(2),
    BuiltinOperator.RELU_N1_TO_1: Schema(1),
    BuiltinOperator.LEAKY_RELU: Schema(2, "LeakyReluOptions", ("Alpha",)),
    BuiltinOperator.HARD_SWISH: Schema(1),
    BuiltinOperator.LOGISTIC: Schema(2),
    BuiltinOperator.TANH: Schema(2),
    BuiltinOperator.MEAN: Schema(2, "ReducerOptions", ("KeepDims",)),
    BuiltinOperator.CONCATENATION: Schema(
        2, "ConcatenationOptions", ("Axis", "FusedActivationFunction")
    ),
    BuiltinOperator.SQUEEZE: Schema(1),
    BuiltinOperator.EXPAND_DIMS: Schema(1),
    BuiltinOperator.PAD: Schema(2),
    BuiltinOperator.PADV2: Schema(2),
}
KIND_NAMES: Mapping[int, str] = {
    code: name for name, code in vars(BuiltinOperator).items() if isinstance(code, int)
}


@dataclass(frozen=True, slots=True, eq=False)
class FileTensor:
    """A tensor as stored: `type` of TensorType, `data` its little-endian bytes (uint8) or None."""

    name: str
    shape: tuple[int, ...]
    type: int
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = 0
    data: Array | None = None


@dataclass(frozen=True, slots=True)
class FileOperator:
    """An operator as stored: `code` of BuiltinOperator; input -1 is an absent optional one.

    The format has no names for operators: ours are in the file's metadata, and empty elsewhere.
    """

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """The one subgraph of a .tflite file."""

    name: str
    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
