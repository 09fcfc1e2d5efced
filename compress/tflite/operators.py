"""What one stored operator says, read with suspicion: its label, types, options and padding."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import tflite

from compress.errors import UnsupportedLayer, UserError
from compress.integer.check import LARGEST_WINDOW
from compress.integer.windows import same_padding
from compress.ops import Activation, Padding
from compress.tflite.exporter import ACTIVATION_CODES
from compress.tflite.records import KIND_NAMES, File, FileOperator, TensorType
from compress.tflite.tensor import FILE_TYPES, type_name

_TYPES = (*FILE_TYPES.values(), TensorType.INT64)
_ACTIVATIONS = {code: activation for activation, code in ACTIVATION_CODES.items()}


def checked_label(file: File, position: int, kinds: Container[int]) -> str:
    """How messages and the graph call the operator, once its kind and operands are acceptable.

    Raises UnsupportedLayer for a kind that is not in `kinds` and for operands of other types
    than those of `compress.tflite.tensor`, UserError for missing operands.
    """
    stored = file.operators[position]
    kind = KIND_NAMES.get(stored.code, f"operator {stored.code}")
    label = stored.name or f"{kind.lower()}_{position}"
    if stored.code not in kinds:
        raise UnsupportedLayer(f"{label}: there is no integer kernel for {kind}")
    if not stored.inputs or min(stored.inputs[:2]) < 0 or len(stored.outputs) != 1:
        raise UserError(f"{label}: damaged: inputs {stored.inputs}, outputs {stored.outputs}")
    for index in (*(i for i in stored.inputs if i >= 0), *stored.outputs):
        tensor = file.tensors[index]
        if tensor.type not in _TYPES:
            found = type_name(tensor.type)
            raise UnsupportedLayer(f"{label}: {tensor.name} is {found}, must be int8")
    return label


def pair_of(stored: FileOperator, vertical: str, horizontal: str, label: str) -> tuple[int, int]:
    """Two extents among the options. Raises UserError unless both are 1 .. LARGEST_WINDOW."""
    options: Mapping[str, Any] = stored.options
    pair = int(options.get(vertical, 0)), int(options.get(horizontal, 0))
    if not 1 <= min(pair) <= max(pair) <= LARGEST_WINDOW:
        raise UserError(f"{label}: {vertical}, {horizontal} = {pair}")
    return pair


def activation_of(stored: FileOperator, label: str) -> Activation:
    """The fused activation. Raises UnsupportedLayer for another than none, ReLU and ReLU6."""
    code = stored.options.get("FusedActivationFunction", 0)
    if code not in _ACTIVATIONS:
        raise UnsupportedLayer(f"{label}: fused activation {code}, must be none, ReLU or ReLU6")
    return _ACTIVATIONS[code]


def padding_of(
    stored: FileOperator,
    size: tuple[int, int],
    window: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    label: str,
) -> Padding:
    """SAME or VALID made explicit for an input of `size` (H, W). Raises UserError for others."""
    match stored.options.get("Padding"):
        case tflite.Padding.SAME:
            return same_padding(size, window, stride, dilation)
        case tflite.Padding.VALID:
            return Padding()
        case other:
            raise UserError(f"{label}: padding code {other}")
