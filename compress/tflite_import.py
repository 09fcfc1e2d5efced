"""Import an int8 .tflite file as a `Graph`.

PAD and PADV2 are fused into the convolutions and pools that read them; missing biases become
zeros; constants and tensors nothing refers to are dropped. What the operators of `compress.ops`
cannot say is an UnsupportedLayer that names the operator; a damaged file is a UserError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass

import numpy as np

from compress.check import LARGEST_WINDOW, check_graph
from compress.errors import UnsupportedLayer, UserError
from compress.fixedpoint import INT8_MIN
from compress.ops import (
    Activation,
    Add,
    AveragePool2D,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool2D,
    Op,
    Padding,
    Requantize,
    Reshape,
    Softmax,
)
from compress.tflite import REQUANTIZE_CODES, referenced_only
from compress.tflite_file import (
    BuiltinOperator,
    File,
    FileOperator,
)
from compress.tflite_operator import activation_of, checked_label, padding_of, pair_of
from compress.tflite_read import read
from compress.tflite_tensor import from_file
from compress.types import Array, Graph, Tensor

_REQUANTIZE = {code: activation for activation, code in REQUANTIZE_CODES.items()}
_WINDOWED = frozenset(
    (
        BuiltinOperator.CONV_2D,
        BuiltinOperator.DEPTHWISE_CONV_2D,
        BuiltinOperator.AVERAGE_POOL_2D,
        BuiltinOperator.MAX_POOL_2D,
    )
)


def import_tflite(data: bytes, name: str) -> Graph:
    """The graph in a .tflite file, checked.

    Operators have the names they were exported with; those of other files get kind and position.

    Raises UserError for a file that is damaged or inconsistent, UnsupportedLayer for an operator,
    type or parameter outside of `compress.ops`.
    """
    return _Importer(read(data), name).graph()


@dataclass(frozen=True, slots=True)
class _Padded:
    """What a PAD's output stands for: its input, with `padding` of the given value around."""

    source: int
    padding: Padding
    value: int
    label: str


class _Importer:
    """Translates operators over the file's own tensor indices, then drops what is not used."""

    def __init__(self, file: File, name: str) -> None:
        self.file = file
        self.name = name
        self.tensors: list[Tensor] = []
        self.padded: dict[int, _Padded] = {}
        self.builders: Mapping[int, Callable[[FileOperator, str], Op | None]] = {
            BuiltinOperator.CONV_2D: self._convolution,
            BuiltinOperator.DEPTHWISE_CONV_2D: self._convolution,
            BuiltinOperator.FULLY_CONNECTED: self._fully_connected,
            BuiltinOperator.ADD: self._add,
            BuiltinOperator.AVERAGE_POOL_2D: self._pool,
            BuiltinOperator.MAX_POOL_2D: self._pool,
            BuiltinOperator.RESHAPE: self._reshape,
            BuiltinOperator.SOFTMAX: self._softmax,
            BuiltinOperator.QUANTIZE: self._requantize,
            BuiltinOperator.RELU: self._requantize,
            BuiltinOperator.RELU6: self._requantize,
            BuiltinOperator.PAD: self._pad,
            BuiltinOperator.PADV2: self._pad,
        }

    def graph(self) -> Graph:
        file = self.file
        if len(file.inputs) != 1 or len(file.outputs) != 1:
            counts = f"{len(file.inputs)} inputs and {len(file.outputs)} outputs"
            raise UnsupportedLayer(f"{self.name}: {counts}, must be one each")
        labels = [checked_label(file, n, self.builders) for n in range(len(file.operators))]
        self.tensors.extend(map(from_file, file.tensors))
        ops = []
        for stored, label in zip(file.operators, labels, strict=True):
            self._check_pads(stored, label)
            op = self.builders[stored.code](stored, label)
            if op is not None:
                ops.append(op)
        graph = Graph(self.name, tuple(self.tensors), tuple(ops), file.inputs[0], file.outputs[0])
        graph = referenced_only(graph)
        check_graph(graph)
        return graph

    def _check_pads(self, stored: FileOperator, label: str) -> None:
        """A PAD may only feed operators that it can be fused into."""
        for index in stored.inputs:
            if index in self.padded and stored.code not in _WINDOWED:
                raise UnsupportedLayer(f"{self.padded[index].label}: cannot be fused into {label}")

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
        return source, weights, bias

    def _add(self, stored: FileOperator, label: str) -> Op:
        if len(stored.inputs) != 2:
            raise UserError(f"{label}: {len(stored.inputs)} inputs, must be 2")
        left, right = stored.inputs
        for index in (left, right):
            if self.tensors[index].data is not None:
                raise UnsupportedLayer(f"{label}: addition of a constant")
        return Add(label, left, right, stored.outputs[0], activation_of(stored, label))

    def _pool(self, stored: FileOperator, label: str) -> Op:
        window = pair_of(stored, "FilterHeight", "FilterWidth", label)
        stride = pair_of(stored, "StrideH", "StrideW", label)
        if activation_of(stored, label) is not Activation.NONE:
            raise UnsupportedLayer(f"{label}: a pool with a fused activation")
        source, padding = self._source(stored, window, stride, (1, 1), label)
        kind = MaxPool2D if stored.code == BuiltinOperator.MAX_POOL_2D else AveragePool2D
        return kind(label, source, stored.outputs[0], window, stride, padding)

    def _reshape(self, stored: FileOperator, label: str) -> Op:
        return Reshape(label, stored.inputs[0], stored.outputs[0])

    def _softmax(self, stored: FileOperator, label: str) -> Op:
        if stored.options.get("Beta", 1.0) != 1.0:
            raise UnsupportedLayer(f"{label}: beta {stored.options['Beta']}, must be 1")
        return Softmax(label, stored.inputs[0], stored.outputs[0])

    def _requantize(self, stored: FileOperator, label: str) -> Op:
        activation = _REQUANTIZE[stored.code]
        return Requantize(label, stored.inputs[0], stored.outputs[0], activation)

    def _pad(self, stored: FileOperator, label: str) -> None:
        source, output = stored.inputs[0], stored.outputs[0]
        before, after = self._rank_4(source, label), self._rank_4(output, label)
        sides = self._int_constant(stored, 1, label)
        if sides.shape != (4, 2) or (sides < 0).any() or (sides > LARGEST_WINDOW).any():
            raise UserError(f"{label}: paddings {sides.tolist()}")
        if sides[0].any() or sides[3].any():
            raise UnsupportedLayer(f"{label}: padding of batch or channels")
        if after != tuple(n + sum(side) for n, side in zip(before, sides.tolist(), strict=True)):
            raise UserError(f"{label}: output {after} does not fit input {before}")
        x, out = self.tensors[source], self.tensors[output]
        if x.scales != out.scales or x.zero_point != out.zero_point:
            raise UnsupportedLayer(f"{label}: output must keep the input's scale and zero point")
        value = self.tensors[source].zero_point
        if stored.code == BuiltinOperator.PADV2:
            value = int(self._int_constant(stored, 2, label).reshape(-1)[0])
        padding = Padding(*(int(n) for n in sides[1:3].reshape(-1)))
        self.padded[output] = _Padded(source, padding, value, label)

    def _source(
        self,
        stored: FileOperator,
        window: tuple[int, int],
        stride: tuple[int, int],
        dilation: tuple[int, int],
        label: str,
    ) -> tuple[int, Padding]:
        """(tensor to read, explicit padding), with a preceding PAD fused."""
        index = stored.inputs[0]
        shape = self._rank_4(index, label)
        padding = padding_of(stored, (shape[1], shape[2]), window, stride, dilation, label)
        pad = self.padded.get(index)
        if pad is None:
            return index, padding
        maximum = stored.code == BuiltinOperator.MAX_POOL_2D
        neutral = INT8_MIN if maximum else self.tensors[pad.source].zero_point
        if stored.code == BuiltinOperator.AVERAGE_POOL_2D or pad.value != neutral:
            raise UnsupportedLayer(f"{pad.label}: cannot be fused into {label}")
        both = zip(astuple(pad.padding), astuple(padding), strict=True)
        return pad.source, Padding(*map(sum, both))

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
