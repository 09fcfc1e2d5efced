"""Variants of graphs and exported .tflite files: other weights, other converters, damaged files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from compress.ops import Weighted
from compress.tflite.exporter import export_tflite
from compress.tflite.read import read
from compress.tflite.write import write
from compress.tflite_records.file import BuiltinOperator, File, FileOperator, FileTensor, TensorType
from compress.types import DType, Graph, Tensor


def with_weights(graph: Graph, bits: int, zeros: float, dtype: DType = "int8") -> Graph:
    """`graph` with `bits`-bit weights of the same real range, a share `zeros` of them zero."""
    rng = np.random.default_rng(0)
    tensors, highest = list(graph.tensors), 1 << bits - 1
    for op in graph.ops:
        if not isinstance(op, Weighted):
            continue
        weights, bias = tensors[op.weights], tensors[op.bias]
        values = rng.integers(-highest, highest, weights.shape).astype(np.int8)
        values[rng.random(weights.shape) < zeros] = 0
        assert bias.data is not None
        tensors[op.weights] = replace(
            weights,
            dtype=dtype,
            data=values,
            scales=tuple(scale * 128 / highest for scale in weights.scales),
        )
        tensors[op.bias] = replace(
            bias,
            data=bias.data * highest // 128,
            scales=tuple(scale * 128 / highest for scale in bias.scales),
        )
    return replace(graph, tensors=tuple(tensors))


def edited(graph: Graph, edit: Callable[[File], File]) -> bytes:
    """The exported file with its records changed."""
    return write(edit(read(export_tflite(graph))))


def with_operator(index: int, **changes: Any) -> Callable[[File], File]:
    def edit(file: File) -> File:
        operators = list(file.operators)
        operators[index] = replace(operators[index], **changes)
        return replace(file, operators=tuple(operators))

    return edit


def with_tensor(index: int, **changes: Any) -> Callable[[File], File]:
    def edit(file: File) -> File:
        tensors = list(file.tensors)
        tensors[index] = replace(tensors[index], **changes)
        return replace(file, tensors=tuple(tensors))

    return edit


def nameless(file: File) -> File:
    """`file` without operator names."""
    return replace(file, operators=tuple(replace(o, name="") for o in file.operators))


def with_edges(graph: Graph, type_: int) -> bytes:
    """The exported file with FLOAT32 or UINT8 input and output, converted to and from int8."""
    file = nameless(read(export_tflite(graph)))
    count = len(file.tensors)
    tensors = (*file.tensors, _edge(graph.input_tensor, type_), _edge(graph.output_tensor, type_))
    to_int8 = FileOperator(BuiltinOperator.QUANTIZE, (count,), file.inputs)
    is_float = type_ == TensorType.FLOAT32
    code = BuiltinOperator.DEQUANTIZE if is_float else BuiltinOperator.QUANTIZE
    from_int8 = FileOperator(code, file.outputs, (count + 1,))
    operators = (to_int8, *file.operators, from_int8)
    return write(File(file.name, tensors, operators, (count,), (count + 1,)))


def _edge(tensor: Tensor, type_: int) -> FileTensor:
    """A tensor of the same real values: float32, or uint8 with the zero point moved by 128."""
    if type_ == TensorType.FLOAT32:
        return FileTensor(f"{tensor.name}_float", tensor.shape, type_)
    zero_points = (tensor.zero_point + 128,)
    return FileTensor(f"{tensor.name}_uint8", tensor.shape, type_, tensor.scales, zero_points)
