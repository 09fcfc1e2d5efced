"""Tensors of several rows as activations of batch 1.

A Dense layer on a sequence is often stored as RESHAPE to (rows, K), FULLY_CONNECTED, RESHAPE. The
rows are no batch: with one more dimension, (1, rows, K), the same operators compute the same.
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
)


def rows_of_one_batch(file: File) -> File:
    """`file` with (rows, K) as (1, rows, K) for activations inside that only such operators use."""
    edges = {*file.inputs, *file.results, *(state.read for state in file.states)}
    moved = {
        index
        for index, tensor in enumerate(file.tensors)
        if len(tensor.shape) == 2
        and tensor.shape[0] > 1
        and tensor.data is None
        and index not in edges
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
    if not own or operator.code == BuiltinOperator.RESHAPE:
        return set()
    others = {
        index
        for index in operands - moved
        if index >= 0 and file.tensors[index].data is None and file.tensors[index].shape[:1] != (1,)
    }
    return own if operator.code not in _BY_ROW or others else set()
