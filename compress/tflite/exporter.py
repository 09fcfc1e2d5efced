"""Export a `Graph` as a .tflite file that any TensorFlow Lite runtime executes.

Explicit padding that is neither SAME nor VALID becomes a PAD (zero point) or, before a maximum, a
PADV2 (-128); `compress.tflite.importer` fuses it back. int4 weights stay int4 where TensorFlow Lite
2.14 has a kernel for them and become int8 of the same values elsewhere. Equal graphs give equal
bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, assert_never

import numpy as np
import tflite

from compress.errors import UnsupportedLayer
from compress.integer.fixedpoint import value_range
from compress.integer.windows import same_padding
from compress.ops import (
    Activation,
    Add,
    AveragePool2D,
    Concatenate,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Function,
    Lookup,
    MaxPool2D,
    Mean,
    Mul,
    Op,
    Pad,
    Padding,
    Requantize,
    Reshape,
    Softmax,
)
from compress.tflite.graph import on_int16, referenced_only, with_known_weights
from compress.tflite.records import BuiltinOperator, File, FileOperator, FileTensor, TensorType
from compress.tflite.tensor import raw_bytes, to_file
from compress.tflite.write import write
from compress.types import Array, Graph

ACTIVATION_CODES: Mapping[Activation, int] = {
    Activation.NONE: tflite.ActivationFunctionType.NONE,
    Activation.RELU: tflite.ActivationFunctionType.RELU,
    Activation.RELU6: tflite.ActivationFunctionType.RELU6,
    Activation.RELU_N1_TO_1: tflite.ActivationFunctionType.RELU_N1_TO_1,
}
REQUANTIZE_CODES: Mapping[Activation, int] = {
    Activation.NONE: BuiltinOperator.QUANTIZE,
    Activation.RELU: BuiltinOperator.RELU,
    Activation.RELU6: BuiltinOperator.RELU6,
    Activation.RELU_N1_TO_1: BuiltinOperator.RELU_N1_TO_1,
}
FUNCTION_CODES: Mapping[Function, int] = {
    Function.LEAKY_RELU: BuiltinOperator.LEAKY_RELU,
    Function.HARD_SWISH: BuiltinOperator.HARD_SWISH,
    Function.LOGISTIC: BuiltinOperator.LOGISTIC,
    Function.TANH: BuiltinOperator.TANH,
}


def export_tflite(graph: Graph) -> bytes:
    """The .tflite file. Raises UnsupportedLayer for an average pool that is padded explicitly."""
    return write(_Exporter(with_known_weights(referenced_only(graph))).file())


class _Exporter:
    """Collects the records of one file: the graph's tensors first, then those it must add."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors = [to_file(tensor) for tensor in graph.tensors]
        self.operators: list[FileOperator] = []

    def file(self) -> File:
        for op in self.graph.ops:
            self._operator(op)
            # The last record is the operator's own; a PAD before it stays nameless, to be fused.
            self.operators[-1] = dataclasses.replace(self.operators[-1], name=op.name)
        g = self.graph
        return File(g.name, tuple(self.tensors), tuple(self.operators), (g.input,), (g.output,))

    def _operator(self, op: Op) -> None:
        match op:
            case Conv2D() | DepthwiseConv2D():
                self._convolution(op)
            case FullyConnected():
                options = {**_activation(op.activation), "WeightsFormat": 0}
                inputs = (op.input, op.weights, self._bias(op))
                self._add(BuiltinOperator.FULLY_CONNECTED, inputs, op.output, options)
            case Add() | Mul():
                code = BuiltinOperator.MUL
                if isinstance(op, Add):
                    code = BuiltinOperator.SUB if op.subtract else BuiltinOperator.ADD
                options = _activation(op.activation)
                if isinstance(op, Add) and on_int16(self.graph, op):
                    options["PotScaleInt16"] = False
                self._add(code, (op.left, op.right), op.output, options)
            case AveragePool2D() | MaxPool2D():
                self._pool(op)
            case Reshape():
                shape = np.array(self.graph.tensors[op.output].shape, np.int32)
                constant = self._constant(f"{self._output_name(op)}_shape", shape)
                self._add(BuiltinOperator.RESHAPE, (op.input, constant), op.output)
            case Softmax():
                self._add(BuiltinOperator.SOFTMAX, (op.input,), op.output, {"Beta": 1.0})
            case Requantize():
                self._requantize(op)
            case Lookup():
                options = {"Alpha": op.alpha} if op.function is Function.LEAKY_RELU else {}
                self._add(FUNCTION_CODES[op.function], (op.input,), op.output, options)
            case Mean():
                axes = self._constant(f"{self._output_name(op)}_axes", np.array(op.axes, np.int32))
                x, out = self.graph.tensors[op.input], self.graph.tensors[op.output]
                options = {"KeepDims": len(x.shape) == len(out.shape)}
                self._add(BuiltinOperator.MEAN, (op.input, axes), op.output, options)
            case Pad():
                self._pad(op)
            case Concatenate():
                options = {"Axis": op.axis, **_activation(Activation.NONE)}
                self._add(BuiltinOperator.CONCATENATION, op.inputs, op.output, options)
            case _:
                assert_never(op)

    def _bias(self, op: Conv2D | DepthwiseConv2D | FullyConnected) -> int:
        """The bias, of 64 bits for an operator on int16."""
        bias = self.graph.tensors[op.bias]
        if bias.data is not None and on_int16(self.graph, op):
            wide = bias.data.astype(np.int64)
            self.tensors[op.bias] = dataclasses.replace(
                self.tensors[op.bias], type=TensorType.INT64, data=raw_bytes(wide)
            )
        return op.bias

    def _requantize(self, op: Requantize) -> None:
        """From int8 to int16 by way of float32: release 2.14 has no other."""
        source, out = op.input, self.graph.tensors[op.output]
        if out.dtype == "int16" and not on_int16(self.graph, op):
            source = self._tensor(FileTensor(f"{out.name}_float", out.shape, TensorType.FLOAT32))
            self._add(BuiltinOperator.DEQUANTIZE, (op.input,), source)
        self._add(REQUANTIZE_CODES[op.activation], (source,), op.output)

    def _convolution(self, op: Conv2D | DepthwiseConv2D) -> None:
        weights, x = self.graph.tensors[op.weights], self.graph.tensors[op.input]
        window = (weights.shape[1], weights.shape[2])
        same = same_padding((x.shape[1], x.shape[2]), window, op.stride, op.dilation)
        source, padding = self._padded(op, same, x.zero_point)
        options = {
            "Padding": padding,
            "StrideH": op.stride[0],
            "StrideW": op.stride[1],
            "DilationHFactor": op.dilation[0],
            "DilationWFactor": op.dilation[1],
            **_activation(op.activation),
        }
        code = BuiltinOperator.CONV_2D
        if isinstance(op, DepthwiseConv2D):
            code = BuiltinOperator.DEPTHWISE_CONV_2D
            options["DepthMultiplier"] = weights.shape[3] // x.shape[3]
        self._add(code, (source, op.weights, self._bias(op)), op.output, options)

    def _pool(self, op: AveragePool2D | MaxPool2D) -> None:
        x = self.graph.tensors[op.input]
        same = same_padding((x.shape[1], x.shape[2]), op.filter, op.stride)
        source, padding = self._padded(op, same, value_range(x.dtype)[0])
        options = {
            "Padding": padding,
            "StrideH": op.stride[0],
            "StrideW": op.stride[1],
            "FilterHeight": op.filter[0],
            "FilterWidth": op.filter[1],
            **_activation(op.activation),
        }
        maximum = isinstance(op, MaxPool2D)
        code = BuiltinOperator.MAX_POOL_2D if maximum else BuiltinOperator.AVERAGE_POOL_2D
        self._add(code, (source,), op.output, options)

    def _padded(
        self, op: Conv2D | DepthwiseConv2D | AveragePool2D | MaxPool2D, same: Padding, value: int
    ) -> tuple[int, int]:
        """(tensor to read, TFLite's padding code) for op.padding filled with `value`."""
        p = op.padding
        if p == Padding():
            return op.input, tflite.Padding.VALID
        if p == same:
            return op.input, tflite.Padding.SAME
        if isinstance(op, AveragePool2D):
            raise UnsupportedLayer(f"{op.name}: an average pool with {p} has no TFLite form")
        x, name = self.graph.tensors[op.input], self._output_name(op)
        _, height, width, channels = x.shape
        shape = (1, height + p.top + p.bottom, width + p.left + p.right, channels)
        padded = dataclasses.replace(x, name=f"{name}_padded", shape=shape)
        output = self._tensor(to_file(padded))
        before, after = (0, p.top, p.left, 0), (0, p.bottom, p.right, 0)
        self._pad(Pad(name, op.input, output, before, after, value))
        return output, tflite.Padding.VALID

    def _pad(self, op: Pad) -> None:
        """A PAD where the value is the zero point, otherwise a PADV2."""
        x, name = self.graph.tensors[op.input], self.tensors[op.output].name
        sides = np.array(list(zip(op.before, op.after, strict=True)), np.int32)
        inputs = [op.input, self._constant(f"{name}_sides", sides)]
        code = BuiltinOperator.PAD
        if op.value != x.zero_point:
            code = BuiltinOperator.PADV2
            fill = dataclasses.replace(
                x, name=f"{name}_fill", shape=(1,), data=np.array([op.value], x.item)
            )
            inputs.append(self._tensor(to_file(fill)))
        self._add(code, tuple(inputs), op.output)

    def _output_name(self, op: Op) -> str:
        return self.graph.tensors[op.output].name

    def _tensor(self, tensor: FileTensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _constant(self, name: str, values: Array) -> int:
        raw = raw_bytes(values)
        return self._tensor(FileTensor(name, values.shape, TensorType.INT32, data=raw))

    def _add(
        self,
        code: int,
        inputs: tuple[int, ...],
        output: int,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.operators.append(FileOperator(code, inputs, (output,), options or {}))


def _activation(activation: Activation) -> dict[str, Any]:
    return {"FusedActivationFunction": ACTIVATION_CODES[activation]}
