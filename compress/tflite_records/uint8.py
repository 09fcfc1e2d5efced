"""Models in the uint8 quantization of TensorFlow 1, as int8 ones and back.

A value of uint8 less 128 is the value of int8 with the same real value, if the zero point is 128
less, too. TFLite's uint8 kernels then compute what those of int8 do, apart from what
`Graph.uint8` stands for and from the operators that are not in `UINT8_OPERATORS`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compress.tflite_records.file import BuiltinOperator, File, FileTensor, TensorType
from compress.tflite_records.tensor import raw_bytes
from compress.types import Array

SHIFT = 128  # from int8's values and zero points to those of uint8

_CONVERSIONS = (BuiltinOperator.QUANTIZE, BuiltinOperator.DEQUANTIZE)
_WEIGHTED = (
    BuiltinOperator.CONV_2D,
    BuiltinOperator.DEPTHWISE_CONV_2D,
    BuiltinOperator.FULLY_CONNECTED,
    BuiltinOperator.TRANSPOSE_CONV,
)
# Operators whose uint8 kernels are computed exactly. RESIZE_BILINEAR, for one, interpolates in
# float32 on uint8; others, such as ELU, ABS and EXP, do not exist there.
UINT8_OPERATORS = frozenset(
    {
        *_WEIGHTED,
        BuiltinOperator.ADD,
        BuiltinOperator.SUB,
        BuiltinOperator.MUL,
        BuiltinOperator.AVERAGE_POOL_2D,
        BuiltinOperator.MAX_POOL_2D,
        BuiltinOperator.RESHAPE,
        BuiltinOperator.SQUEEZE,
        BuiltinOperator.EXPAND_DIMS,
        BuiltinOperator.CONCATENATION,
        BuiltinOperator.PACK,
        BuiltinOperator.UNPACK,
        BuiltinOperator.SPLIT,
        BuiltinOperator.SPLIT_V,
        BuiltinOperator.SLICE,
        BuiltinOperator.STRIDED_SLICE,
        BuiltinOperator.TRANSPOSE,
        BuiltinOperator.GATHER,
        BuiltinOperator.BROADCAST_TO,
        BuiltinOperator.TILE,
        BuiltinOperator.DEPTH_TO_SPACE,
        BuiltinOperator.SPACE_TO_DEPTH,
        BuiltinOperator.PAD,
        BuiltinOperator.PADV2,
        BuiltinOperator.MINIMUM,
        BuiltinOperator.MAXIMUM,
        BuiltinOperator.MEAN,
        BuiltinOperator.SUM,
        BuiltinOperator.REDUCE_MAX,
        BuiltinOperator.REDUCE_MIN,
        BuiltinOperator.RESIZE_NEAREST_NEIGHBOR,
        BuiltinOperator.SOFTMAX,
        BuiltinOperator.LOGISTIC,
        BuiltinOperator.TANH,
        BuiltinOperator.HARD_SWISH,
        BuiltinOperator.LEAKY_RELU,
        BuiltinOperator.PRELU,
        BuiltinOperator.RELU,
        BuiltinOperator.RELU6,
        BuiltinOperator.RELU_N1_TO_1,
        BuiltinOperator.QUANTIZE,
    }
)


def is_uint8(file: File) -> bool:
    """True if operators compute on uint8, and none on int8 or int16.

    A model that only converts uint8 at its edges is not one, nor is one that keeps states.
    """
    computes, types = False, set[int]()
    for operator in file.operators:
        operands = (*operator.inputs, *operator.outputs)
        tensors = [file.tensors[index] for index in operands if index >= 0]
        own = {tensor.type for tensor in tensors}
        if operator.code not in _CONVERSIONS or len(own) == 1:
            types |= own
            computes |= any(t.type == TensorType.UINT8 and t.data is None for t in tensors)
    return computes and not file.states and not types & {TensorType.INT8, TensorType.INT16}


def as_int8(file: File) -> File:
    """A uint8 model with all of its uint8 tensors as int8; the same object for another model.

    Weights that fit int8 without a zero point get none.
    """
    if not is_uint8(file):
        return file
    weights = {o.inputs[1] for o in file.operators if o.code in _WEIGHTED and len(o.inputs) > 1}
    tensors = (
        _lowered(tensor, index in weights) if tensor.type == TensorType.UINT8 else tensor
        for index, tensor in enumerate(file.tensors)
    )
    return replace(file, tensors=tuple(tensors))


def as_uint8(file: File) -> File:
    """The inverse of `as_int8`: all int8 tensors as uint8.

    The operands of a shape or a permutation are int32: they stay.
    """
    tensors = (
        _moved(tensor, TensorType.UINT8, SHIFT) if tensor.type == TensorType.INT8 else tensor
        for tensor in file.tensors
    )
    return replace(file, tensors=tuple(tensors))


def from_uint8(values: Array) -> Array:
    """Values of uint8 as those of int8; values of another type stay as they are."""
    if values.dtype != np.uint8:
        return values
    return (values.astype(np.int16) - np.int16(SHIFT)).astype(np.int8)


def _lowered(tensor: FileTensor, weights: bool) -> FileTensor:
    """A uint8 tensor as int8. One without quantization gets the zero point of its value 0."""
    zero_points = tensor.zero_points or (0,)
    shift = -SHIFT
    if weights and tensor.data is not None and tensor.data.size and len(zero_points) == 1:
        (zero_point,) = zero_points
        lowest, highest = int(tensor.data.min()) - zero_point, int(tensor.data.max()) - zero_point
        if lowest >= -SHIFT and highest < SHIFT:
            shift = -zero_point
    return _moved(replace(tensor, zero_points=zero_points), TensorType.INT8, shift)


def _moved(tensor: FileTensor, type_: int, shift: int) -> FileTensor:
    """`tensor` of another type, with `shift` added to its values and zero points."""
    data = tensor.data
    if data is not None:
        stored = data if type_ == TensorType.INT8 else data.view(np.int8)
        values: Array = stored.astype(np.int16) + np.int16(shift)
        data = raw_bytes(values.astype(np.int8 if type_ == TensorType.INT8 else np.uint8))
    zero_points = tuple(zero_point + shift for zero_point in tensor.zero_points)
    return replace(tensor, type=type_, zero_points=zero_points, data=data)
