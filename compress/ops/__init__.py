"""The integer operators that a `Graph` may hold: one frozen dataclass each, by family.

Semantics are those of the TensorFlow Lite int8 quantization specification
(https://ai.google.dev/edge/litert/models/quantization_spec); layouts are NHWC with batch 1. Tensors
are referred to by their index in `Graph.tensors`. `compress.operators` has the check, reference,
TFLite import and export of each operator, `hil.kernels` its C kernels; a test of either registry
asserts that every operator is in it.
"""

from compress.ops.custom import Custom, CustomOperator, Operand
from compress.ops.dense import BatchMatMul, FullyConnected
from compress.ops.elementwise import (
    Add,
    Function,
    Lookup,
    Maximum,
    Minimum,
    Mul,
    Prelu,
    Requantize,
    Softmax,
    Table,
)
from compress.ops.movement import (
    BroadcastTo,
    Concatenate,
    Gather,
    Pad,
    Reshape,
    StridedSlice,
    Transpose,
)
from compress.ops.op import (
    Activation,
    Op,
    activations_of,
    constants_of,
    inputs_of,
    outputs_of,
    renumbered,
    states_of,
)
from compress.ops.recurrent import Lstm, Recurrence, RecurrentKind, Svdf
from compress.ops.reduction import Mean, ReduceMax, ReduceMin, Sum
from compress.ops.resizing import ResizeBilinear, ResizeNearest
from compress.ops.windows import (
    AveragePool2D,
    Conv2D,
    DepthwiseConv2D,
    MaxPool2D,
    Padding,
    TransposeConv2D,
)

# Operators that multiply by constant weights.
Weighted = Conv2D | DepthwiseConv2D | FullyConnected | TransposeConv2D
# Operators that may write their output over an input of the same size with no later reader.
ElementWise = Add | Mul | Minimum | Maximum | Softmax | Requantize | Lookup | Table | Prelu
# All operators.
OP_TYPES: tuple[type[Op], ...] = (
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Add,
    Mul,
    AveragePool2D,
    MaxPool2D,
    Reshape,
    Softmax,
    Requantize,
    Lookup,
    Table,
    Mean,
    Pad,
    Concatenate,
    Custom,
    StridedSlice,
    Transpose,
    Gather,
    BroadcastTo,
    Minimum,
    Maximum,
    ResizeNearest,
    ResizeBilinear,
    Sum,
    ReduceMax,
    ReduceMin,
    TransposeConv2D,
    Prelu,
    BatchMatMul,
    Lstm,
    Svdf,
    Recurrence,
)

__all__ = [
    "OP_TYPES",
    "Activation",
    "Add",
    "AveragePool2D",
    "BatchMatMul",
    "BroadcastTo",
    "Concatenate",
    "Conv2D",
    "Custom",
    "CustomOperator",
    "DepthwiseConv2D",
    "ElementWise",
    "FullyConnected",
    "Function",
    "Gather",
    "Lookup",
    "Lstm",
    "MaxPool2D",
    "Maximum",
    "Mean",
    "Minimum",
    "Mul",
    "Op",
    "Operand",
    "Pad",
    "Padding",
    "Prelu",
    "Recurrence",
    "RecurrentKind",
    "ReduceMax",
    "ReduceMin",
    "Requantize",
    "Reshape",
    "ResizeBilinear",
    "ResizeNearest",
    "Softmax",
    "StridedSlice",
    "Sum",
    "Svdf",
    "Table",
    "Transpose",
    "TransposeConv2D",
    "Weighted",
    "activations_of",
    "constants_of",
    "inputs_of",
    "outputs_of",
    "renumbered",
    "states_of",
]
