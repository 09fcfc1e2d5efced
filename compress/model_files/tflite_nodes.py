"""One operator of a float .tflite file on its way into a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compress.errors import UnsupportedLayer, UserError
from compress.model_files import pointwise
from compress.model_files.network_builder import NetworkBuilder
from compress.model_files.values import Constant, Extents, Value, whole_numbers
from compress.model_files.windows import Pads, same_pads
from compress.tflite.fold_functions import constant_values
from compress.tflite_records.file import FileTensor
from compress.types import Array

_SAME = 0  # Padding of the format's schema; VALID is 1
# ActivationFunctionType and its limits. TFLite's kernels have no others.
_FUSED: Mapping[int, tuple[float, float | None]] = {1: (0.0, None), 2: (-1.0, 1.0), 3: (0.0, 6.0)}


@dataclass(frozen=True, slots=True, eq=False)
class FloatOperator:
    """An operator with its options and inputs; None for one left out.

    `shapes` are those of its outputs in the file.
    """

    label: str
    code: int
    options: Mapping[str, Any]
    inputs: Sequence[Value | Constant | None]
    shapes: Sequence[Extents]

    @property
    def x(self) -> Value | Constant:
        """The first input."""
        return self.needed(0)

    def needed(self, position: int) -> Value | Constant:
        """An input. Raises UserError if it is left out."""
        found = self.inputs[position] if position < len(self.inputs) else None
        if found is None:
            raise UserError(f"{self.label}: damaged: it lacks input {position}")
        return found

    def has(self, position: int) -> bool:
        """True if there is such an input."""
        return position < len(self.inputs) and self.inputs[position] is not None

    def constant(self, position: int, what: str) -> Array:
        """An input that must be a constant. Raises UnsupportedLayer otherwise."""
        found = self.needed(position)
        if not isinstance(found, Constant):
            raise UnsupportedLayer(f"{self.label}: its {what} must be a constant of the file")
        return found.data

    def optional(self, position: int, what: str) -> Array | None:
        """`constant`, None for an input that is left out."""
        return self.constant(position, what) if self.has(position) else None

    def integers(self, position: int, what: str) -> list[int]:
        """A constant of whole numbers."""
        return whole_numbers(self.constant(position, what), self.label)

    def option(self, name: str) -> Any:
        """An option; 0 if the file does not say."""
        return self.options.get(name, 0)

    def pair(self, name: str) -> Extents:
        """The two options for height and width whose names begin and end like this."""
        return int(self.option(name.format("H"))), int(self.option(name.format("W")))

    def pads(self, extents: Extents, window: Extents, stride: Extents, dilation: Extents) -> Pads:
        """The padding of height and width."""
        if min(stride) < 1 or min(dilation) < 1:
            raise UserError(f"{self.label}: damaged: stride {stride}, dilation {dilation}")
        if self.option("Padding") == _SAME:
            return same_pads(extents, window, stride, dilation)
        return ((0, 0), (0, 0))

    def activated(self, b: NetworkBuilder, value: Value) -> Value:
        """`value` after the activation that is fused into the operator."""
        code = int(self.option("FusedActivationFunction"))
        if code == 0:
            return value
        if code not in _FUSED:
            raise UnsupportedLayer(
                f"{self.label}: fused activation {code}; allowed are RELU, RELU_N1_TO_1, RELU6"
            )
        return pointwise.clipped(b, value, *_FUSED[code])


def real_constant(tensor: FileTensor, label: str) -> Constant | None:
    """The constant that a tensor holds, as real numbers if it is quantized; None if it has none.

    Raises UserError for data that do not fit the shape.
    """
    if tensor.data is None:
        return None
    values = constant_values(tensor)
    if values is None:
        raise UserError(f"tensor {label}: damaged: its data do not fit its shape and type")
    if tensor.scales:
        shape = [1] * values.ndim
        if len(tensor.scales) > 1:
            if tensor.axis >= values.ndim or len(tensor.scales) != values.shape[tensor.axis]:
                raise UserError(f"tensor {label}: damaged: its scales do not fit its shape")
            shape[tensor.axis] = len(tensor.scales)
        zeros = np.array(tensor.zero_points or (0,), np.float64)
        steps = values.astype(np.float64) - (zeros if zeros.size == 1 else zeros.reshape(shape))
        values = steps * np.array(tensor.scales, np.float64).reshape(shape)
    if values.dtype.kind == "f":
        values = values.astype(np.float32)
    return Constant(values, name=label)
