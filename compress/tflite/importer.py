"""Import an int8 .tflite file as a `Graph`.

PAD and PADV2 are fused into the convolutions and pools that read them, where these can say so;
missing biases become zeros; conversions from and to other types at the edges, and constants and
tensors nothing refers to, are dropped. What the operators of `compress.ops` cannot say is an
UnsupportedLayer that names the operator; a damaged file is a UserError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from compress.errors import UnsupportedLayer, UserError
from compress.integer.check import check_graph
from compress.integer.fixedpoint import value_range
from compress.ops import (
    Activation,
    Add,
    AveragePool2D,
    Concatenate,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
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
from compress.tflite.edges import int8_core, without_floats
from compress.tflite.exporter import FUNCTION_CODES, REQUANTIZE_CODES
from compress.tflite.graph import referenced_only
from compress.tflite.operators import activation_of, checked_label, padding_of, pair_of
from compress.tflite.pads import Padded, fused, pad_of, without_fused
from compress.tflite.read import read
from compress.tflite.records import BuiltinOperator, File, FileOperator, TensorType
from compress.tflite.tensor import from_file, type_name
from compress.types import Array, Graph, Tensor

_REQUANTIZE = {code: activation for activation, code in REQUANTIZE_CODES.items()}
_UNUSED = Tensor("unused", (), "int8", (1.0,))  # of any type: nothing refers to it
_FUNCTIONS = {code: function for function, code in FUNCTION_CODES.items()}


def import_tflite(data: bytes, name: str) -> Graph:
    """The graph in a .tflite file, checked.

    Operators have the names they were exported with; those of other files get kind and position.
    Where input or output are not int8 and the model converts them, the graph is what is between
    the conversions and its name says so: "NAME (int8 core)".

    Raises UserError for a file that is damaged or inconsistent, UnsupportedLayer for an operator,
    type or parameter outside of `compress.ops`.
    """
    file = read(data)
    core = int8_core(file)
    named = name if core is file else f"{name} (int8 core)"
    return _Importer(without_floats(core), named).graph()


class _Importer:
    """Translates operators over the file's own tensor indices, then drops what is not used."""

    def __init__(self, file: File, name: str) -> None:
        self.file = file
        self.name = name
        self.tensors: list[Tensor] = []
        self.padded: dict[int, Padded] = {}
        self.builders: Mapping[int, Callable[[FileOperator, str], Op]] = {
            BuiltinOperator.CONV_2D: self._convolution,
            BuiltinOperator.DEPTHWISE_CONV_2D: self._convolution,
            BuiltinOperator.FULLY_CONNECTED: self._fully_connected,
            BuiltinOperator.ADD: self._binary,
            BuiltinOperator.SUB: self._binary,
            BuiltinOperator.MUL: self._binary,
            BuiltinOperator.AVERAGE_POOL_2D: self._pool,
            BuiltinOperator.MAX_POOL_2D: self._pool,
            BuiltinOperator.RESHAPE: self._reshape,
            BuiltinOperator.SQUEEZE: self._reshape,
            BuiltinOperator.EXPAND_DIMS: self._reshape,
            BuiltinOperator.SOFTMAX: self._softmax,
            BuiltinOperator.MEAN: self._mean,
            BuiltinOperator.PAD: self._pad,
            BuiltinOperator.PADV2: self._pad,
            BuiltinOperator.CONCATENATION: self._concatenate,
            **dict.fromkeys(_REQUANTIZE, self._requantize),
            **dict.fromkeys(_FUNCTIONS, self._lookup),
        }

    def graph(self) -> Graph:
        file = self.file
        if len(file.inputs) != 1 or len(file.outputs) != 1:
            counts = f"{len(file.inputs)} inputs and {len(file.outputs)} outputs"
            raise UnsupportedLayer(f"{self.name}: {counts}, must be one each")
        labels = [checked_label(file, n, self.builders) for n in range(len(file.operators))]
        used = {*file.inputs, *file.outputs}.union(
            *((*o.inputs, *o.outputs) for o in file.operators)
        )
        self.tensors.extend(
            from_file(tensor) if index in used else _UNUSED
            for index, tensor in enumerate(file.tensors)
        )
        pairs = zip(file.operators, labels, strict=True)
        ops = [self.builders[stored.code](stored, label) for stored, label in pairs]
        ops = without_fused(ops, file.outputs[0])
        graph = Graph(self.name, tuple(self.tensors), tuple(ops), file.inputs[0], file.outputs[0])
        graph = referenced_only(graph)
        check_graph(graph)
        return graph

    def _convolution(self, stored: FileOperator, label: str) -> Op:
        source, weights, bias = self._weighted_inputs(stored, label)
        shape = self._rank_4(weights, label)
        stride = pair_of(stored, "StrideH", "StrideW", label)
        dilation = pair_of(stored, "DilationHFactor", "DilationWFactor", label)
        source, padding = self._source(stored, (shape[1], shape[2]), stride, dilation, label)
        kind = DepthwiseConv2D if stored.code == BuiltinOperator.DEPTHWISE_CONV_2D else Conv2D
        activation = activation_of(stored, label)
        output = stored.outputs[0]
        return kind(label, source, weights, bias, output, stride, dilation, padding, activation)

    def _fully_connected(self, stored: FileOperator, label: str) -> Op:
        source, weights, bias = self._weighted_inputs(stored, label)
        if stored.options.get("WeightsFormat", 0) != 0:
            raise UnsupportedLayer(f"{label}: shuffled weights")
        activation = activation_of(stored, label)
        return FullyConnected(label, source, weights, bias, stored.outputs[0], activation)

    def _weighted_inputs(self, stored: FileOperator, label: str) -> tuple[int, int, int]:
        """(input, weights, bias); an absent bias is added as zeros."""
        if len(stored.inputs) < 2:
            raise UserError(f"{label}: it lacks weights")
        source, weights, bias = (*stored.inputs, -1)[:3]
        if bias < 0:
            channels = self.tensors[stored.outputs[0]].shape[-1:]
            if not channels or not 0 < channels[0] <= self.tensors[weights].elements:
                raise UserError(f"{label}: output of {channels} channels")
            scales = tuple(
                float(np.float32(self.tensors[source].scales[0]) * np.float32(scale))
                for scale in self.tensors[weights].scales
            )
            zeros: Array = np.zeros(channels, np.int32)
            bias = len(self.tensors)
            self.tensors.append(Tensor(f"{label}_bias", channels, "int32", scales, 0, None, zeros))
        elif (self._type(bias) == TensorType.INT64) != (self._type(source) == TensorType.INT16):
            raise UnsupportedLayer(
                f"{label}: bias of {type_name(self._type(bias))} on {type_name(self._type(source))}"
            )
        return source, weights, bias

    def _type(self, index: int) -> int:
        return self.file.tensors[index].type

    def _binary(self, stored: FileOperator, label: str) -> Op:
        """Sum, difference or product; the operand that repeats or is constant comes second."""
        if len(stored.inputs) != 2:
            raise UserError(f"{label}: {len(stored.inputs)} inputs, must be 2")
        left, right = stored.inputs
        shape, subtract = self.tensors[stored.outputs[0]].shape, stored.code == BuiltinOperator.SUB
        second = self.tensors[left].data is not None or self.tensors[left].shape != shape
        if second and not subtract:
            left, right = right, left
        if self.tensors[left].data is not None:
            raise UnsupportedLayer(f"{label}: {self.tensors[left].name} is a constant")
        output, activation = stored.outputs[0], activation_of(stored, label)
        constant = self.tensors[right].data is not None
        if self._type(output) == TensorType.INT16 and stored.options.get("PotScaleInt16", True):
            raise UnsupportedLayer(f"{label}: int16 arithmetic for scales of powers of two")
        if stored.code == BuiltinOperator.MUL:
            return Mul(label, left, right, output, activation, constant)
        return Add(label, left, right, output, activation, subtract, constant)

    def _pool(self, stored: FileOperator, label: str) -> Op:
        window = pair_of(stored, "FilterHeight", "FilterWidth", label)
        stride = pair_of(stored, "StrideH", "StrideW", label)
        activation = activation_of(stored, label)
        source, padding = self._source(stored, window, stride, (1, 1), label)
        kind = MaxPool2D if stored.code == BuiltinOperator.MAX_POOL_2D else AveragePool2D
        return kind(label, source, stored.outputs[0], window, stride, padding, activation)

    def _reshape(self, stored: FileOperator, label: str) -> Op:
        return Reshape(label, stored.inputs[0], stored.outputs[0])

    def _softmax(self, stored: FileOperator, label: str) -> Op:
        if stored.options.get("Beta", 1.0) != 1.0:
            raise UnsupportedLayer(f"{label}: beta {stored.options['Beta']}, must be 1")
        return Softmax(label, stored.inputs[0], stored.outputs[0])

    def _requantize(self, stored: FileOperator, label: str) -> Op:
        activation = _REQUANTIZE[stored.code]
        return Requantize(label, stored.inputs[0], stored.outputs[0], activation)

    def _lookup(self, stored: FileOperator, label: str) -> Op:
        alpha = float(stored.options.get("Alpha", 0.0))
        function = _FUNCTIONS[stored.code]
        return Lookup(label, stored.inputs[0], stored.outputs[0], function, alpha)

    def _mean(self, stored: FileOperator, label: str) -> Op:
        rank = len(self.tensors[stored.inputs[0]].shape)
        stated = [int(axis) for axis in self._int_constant(stored, 1, label).reshape(-1)]
        if not all(-rank <= axis < rank for axis in stated):
            raise UserError(f"{label}: mean over axes {stated} of {rank}")
        axes = tuple(sorted({axis % rank for axis in stated}))
        if axes[0] == 0 or axes[-1] - axes[0] != len(axes) - 1:
            raise UnsupportedLayer(f"{label}: mean over axes {stated}, must be consecutive, not 0")
        return Mean(label, stored.inputs[0], stored.outputs[0], axes)

    def _concatenate(self, stored: FileOperator, label: str) -> Op:
        if activation_of(stored, label) is not Activation.NONE:
            raise UnsupportedLayer(f"{label}: a concatenation with a fused activation")
        for index in stored.inputs:
            if index < 0 or self.tensors[index].data is not None:
                raise UnsupportedLayer(f"{label}: concatenation of a constant")
        axis = int(stored.options.get("Axis", 0))
        axis += len(self.tensors[stored.outputs[0]].shape) if axis < 0 else 0
        return Concatenate(label, stored.inputs, stored.outputs[0], axis)

    def _pad(self, stored: FileOperator, label: str) -> Op:
        source, output = stored.inputs[0], stored.outputs[0]
        x = self.tensors[source]
        sides = self._int_constant(stored, 1, label)
        if sides.shape != (len(x.shape), 2):
            raise UserError(f"{label}: paddings {sides.tolist()} of {x.shape}")
        value = x.zero_point
        if stored.code == BuiltinOperator.PADV2:
            value = int(self._int_constant(stored, 2, label).reshape(-1)[0])
        pad = pad_of(source, sides, value)
        # A PAD with a name is one that we exported as an operator of its own.
        if pad is not None and not stored.name:
            self.padded[output] = pad
        before, after = (tuple(map(int, side)) for side in sides.T)
        return Pad(label, source, output, before, after, value)

    def _source(
        self,
        stored: FileOperator,
        window: tuple[int, int],
        stride: tuple[int, int],
        dilation: tuple[int, int],
        label: str,
    ) -> tuple[int, Padding]:
        """(tensor to read, explicit padding), with a preceding PAD fused where that is the same."""
        index = stored.inputs[0]
        shape = self._rank_4(index, label)
        padding = padding_of(stored, (shape[1], shape[2]), window, stride, dilation, label)
        pad = self.padded.get(index)
        if pad is None or stored.code == BuiltinOperator.AVERAGE_POOL_2D:
            return index, padding
        pool = window if stored.code == BuiltinOperator.MAX_POOL_2D else None
        x = self.tensors[pad.source]
        neutral = x.zero_point if pool is None else value_range(x.dtype)[0]
        both = fused(pad, padding, neutral, pool)
        return (index, padding) if both is None else (pad.source, both)

    def _rank_4(self, index: int, label: str) -> tuple[int, ...]:
        shape = self.tensors[index].shape
        if len(shape) != 4 or min(shape) < 1:
            raise UserError(f"{label}: tensor of shape {shape}, must be NHWC")
        return shape

    def _int_constant(self, stored: FileOperator, position: int, label: str) -> Array:
        index = stored.inputs[position] if position < len(stored.inputs) else -1
        data = self.tensors[index].data if index >= 0 else None
        if data is None or data.size == 0:
            raise UnsupportedLayer(f"{label}: operand {position} must be constant int8 or int32")
        return data
