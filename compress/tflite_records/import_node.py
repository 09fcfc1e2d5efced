"""One stored operator on its way into a graph, with checked access to its operands and options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import tflite

from compress.arithmetic.windows import LARGEST_WINDOW, same_padding
from compress.errors import UnsupportedLayer, UserError
from compress.ops import Activation, CustomOperator, Padding
from compress.tflite_records.file import File, FileOperator
from compress.tflite_records.options import ACTIVATIONS
from compress.tflite_records.tensor import first_state
from compress.types import Array, Tensor, Variable


@dataclass(frozen=True, slots=True)
class Padded:
    """The meaning of a PAD's output: tensor `source` with `padding` of `value` around it."""

    source: int
    padding: Padding
    value: int


@dataclass(frozen=True, slots=True)
class ImportNode:
    """A stored operator and the graph that it is imported into.

    `label` names the operator in the graph and in errors. `tensors` are the graph's, by the file's
    own indices; an import may append to them. `padded` has the PADs so far, by output index, that
    a convolution or pool may do itself. `states` gets the states of operators that have some.
    `customs` has the user's definitions of custom operators by code. `uint8` is
    that of the graph.
    """

    stored: FileOperator
    label: str
    file: File
    tensors: list[Tensor]
    padded: dict[int, Padded]
    states: list[Variable]
    customs: Mapping[str, CustomOperator] = field(default_factory=dict)
    uint8: bool = False

    @property
    def input(self) -> int:
        return self.stored.inputs[0]

    @property
    def output(self) -> int:
        return self.stored.outputs[0]

    def type_of(self, index: int) -> int:
        """The stored TensorType of a tensor: int64 biases are int32 in `tensors`."""
        return self.file.tensors[index].type

    def activation(self) -> Activation:
        """The fused activation. Raises UnsupportedLayer for one that is not an `Activation`."""
        code = self.stored.options.get("FusedActivationFunction", 0)
        if code not in ACTIVATIONS:
            raise UnsupportedLayer(
                f"{self.label}: fused activation {code}, must be none, ReLU, ReLU6 or ReLU_N1_TO_1"
            )
        return ACTIVATIONS[code]

    def pair(self, vertical: str, horizontal: str) -> tuple[int, int]:
        """Two extents among the options. Raises UserError unless both are 1 .. LARGEST_WINDOW."""
        options = self.stored.options
        pair = int(options.get(vertical, 0)), int(options.get(horizontal, 0))
        if not 1 <= min(pair) <= max(pair) <= LARGEST_WINDOW:
            raise UserError(
                f"{self.label}: {vertical}, {horizontal} = {pair}, must be 1 .. {LARGEST_WINDOW}"
            )
        return pair

    def padding(
        self,
        window: tuple[int, int],
        stride: tuple[int, int],
        dilation: tuple[int, int] = (1, 1),
    ) -> Padding:
        """SAME or VALID of the first input, in elements. Raises UserError for another code."""
        shape = self.rank_4(self.input)
        match self.stored.options.get("Padding"):
            case tflite.Padding.SAME:
                return same_padding((shape[1], shape[2]), window, stride, dilation)
            case tflite.Padding.VALID:
                return Padding()
            case other:
                raise UserError(f"{self.label}: padding code {other}, must be SAME or VALID")

    def rank_4(self, index: int) -> tuple[int, ...]:
        """The shape of a tensor of four dimensions. Raises UserError for another shape."""
        shape = self.tensors[index].shape
        if len(shape) != 4 or min(shape) < 1:
            raise UserError(f"{self.label}: tensor of shape {shape}, must be NHWC")
        return shape

    def int_constant(self, position: int) -> Array:
        """The values of a constant input. Raises UnsupportedLayer if it is not a constant."""
        inputs = self.stored.inputs
        index = inputs[position] if position < len(inputs) else -1
        data = self.tensors[index].data if index >= 0 else None
        if data is None or data.size == 0:
            raise UnsupportedLayer(
                f"{self.label}: operand {position} must be constant int8 or int32"
            )
        return data

    def axis(self, axis: int, rank: int) -> int:
        """An axis of `rank` dimensions, counted from the last if negative. Raises UserError."""
        if not -rank <= axis < rank:
            raise UserError(f"{self.label}: axis {axis} of {rank} dimensions")
        return axis % rank

    def is_read(self, index: int) -> bool:
        """True if an operator reads the tensor, or it is an output or a next state."""
        return index in self.file.results or any(index in o.inputs for o in self.file.operators)

    def reshaped(self, index: int, shape: tuple[int, ...], what: str) -> int:
        """Append an activation like tensor `index` with another shape; returns its index."""
        tensor = self.tensors[index]
        name = f"{self.tensors[self.output].name}_{what}"
        return self.add_tensor(replace(tensor, name=name, shape=shape, data=None))

    def state(self, position: int) -> tuple[int, int]:
        """(read, written): a variable tensor, an operand that the operator changes, as a state.

        Raises UnsupportedLayer for an operand that is none, or is that of another operator, too.
        """
        inputs = self.stored.inputs
        index = inputs[position] if position < len(inputs) else -1
        if index < 0 or not self.file.tensors[index].variable:
            raise UnsupportedLayer(f"{self.label}: operand {position} must be a variable tensor")
        if sum(operator.inputs.count(index) for operator in self.file.operators) > 1:
            raise UnsupportedLayer(f"{self.label}: operand {position} is read by others, too")
        tensor = self.tensors[index]
        written = self.add_tensor(replace(tensor, name=f"{tensor.name}_next"))
        self.states.append(Variable(index, written, first_state(tensor)))
        return index, written

    def add_tensor(self, tensor: Tensor) -> int:
        """Append a tensor to the graph; returns its index."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1
