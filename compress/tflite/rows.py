"""Tensors without a batch dimension as activations of batch 1.

A Dense layer on a sequence is often stored as RESHAPE to (rows, K), FULLY_CONNECTED, RESHAPE. The
rows are no batch: with one more dimension, (1, rows, K), the same operators compute the same. So
do they with vectors and scalars, which have no batch at all.
"""

from __future__ import annotations

from dataclasses import replace

from compress.tflite_records.file import BuiltinOperator, File, FileOperator

# Operators that treat each row by itself, or do not look at rows.
_BY_ROW = (
    BuiltinOperator.RESHAPE,
    BuiltinOperator.FULLY_CONNECTED,
    BuiltinOperator.ADD,
    BuiltinOperator.SUB,
    BuiltinOperator.MUL,
    BuiltinOperator.QUANTIZE,
    BuiltinOperator.RELU,
    BuiltinOperator.RELU6,
    BuiltinOperator.RELU_N1_TO_1,
    BuiltinOperator.LEAKY_RELU,
    BuiltinOperator.HARD_SWISH,
    BuiltinOperator.LOGISTIC,
    BuiltinOperator.TANH,
    BuiltinOperator.SOFTMAX,
    BuiltinOperator.ABS,
    BuiltinOperator.ELU,
    BuiltinOperator.EXP,
    BuiltinOperator.RSQRT,
    BuiltinOperator.MAXIMUM,
    BuiltinOperator.MINIMUM,
)
# Operators whose output has all elements of the input, whatever their shapes are.
_OF_ANY_SHAPE = (
    BuiltinOperator.RESHAPE,
    BuiltinOperator.SQUEEZE,
    BuiltinOperator.EXPAND_DIMS,
)
# Operators on axes of the input, whose output may have any shape.
_SLICES = (
    BuiltinOperator.SLICE,
    BuiltinOperator.STRIDED_SLICE,
    BuiltinOperator.SPLIT,
    BuiltinOperator.SPLIT_V,
    BuiltinOperator.UNPACK,
)


def rows_of_one_batch(file: File) -> File:
    """`file` with (rows, K) as (1, rows, K) for activations that only such operators use.

    Inputs and outputs of several rows stay as they are if all have as many: these are a batch.
    """
    edges = {*file.inputs, *file.outputs}
    states = {index for state in file.states for index in (state.read, state.written)}
    is_batch = len({file.tensors[index].shape[:1] for index in edges}) == 1
    moved = {
        index
        for index, tensor in enumerate(file.tensors)
        if tensor.data is None
        and not tensor.variable
        and index not in states
        and (tensor.shape == () or tensor.shape[0] > 1)
        and (len(tensor.shape) < 2 or index not in edges or not is_batch)
    }
    while staying := {
        index for operator in file.operators for index in _held_back(file, operator, moved)
    }:
        moved -= staying
    if not moved:
        return file
    tensors = [
        replace(tensor, shape=(1, *tensor.shape)) if index in moved else tensor
        for index, tensor in enumerate(file.tensors)
    ]
    operators = [
        replace(operator, inputs=operator.inputs[:1])  # the shape that it states is another
        if operator.code == BuiltinOperator.RESHAPE and moved.intersection(operator.outputs)
        else operator
        for operator in file.operators
    ]
    return replace(file, tensors=tuple(tensors), operators=tuple(operators))


def _held_back(file: File, operator: FileOperator, moved: set[int]) -> set[int]:
    """Those of `moved` that the operator does not let become (1, rows, K)."""
    operands = {*operator.inputs, *operator.outputs}
    own = operands & moved
    if operator.code in _SLICES:
        return own.intersection(operator.inputs)
    if not own or operator.code in _OF_ANY_SHAPE:
        return set()
    others = {
        index
        for index in operands - moved
        if index >= 0 and file.tensors[index].data is None and file.tensors[index].shape[:1] != (1,)
    }
    return own if operator.code not in _BY_ROW or others else set()
