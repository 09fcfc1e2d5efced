"""Plain records of a .tflite file: its tensors and operators as stored, without interpretation.

Schema: tensorflow/compiler/mlir/lite/schema/schema.fbs, version 3. Only what the integer
operators need is kept: one subgraph, builtin operators, no metadata. `compress.tflite.read` and
`compress.tflite.write` turn bytes into these records and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import tflite

from compress.types import Array

BuiltinOperator = tflite.BuiltinOperator
TensorType = tflite.TensorType

IDENTIFIER = b"TFL3"
OPERATOR_NAMES_KEY = "hil-compress.operator_names"  # metadata: one name a line, UTF-8
KIND_NAMES: Mapping[int, str] = {
    code: name for name, code in vars(BuiltinOperator).items() if isinstance(code, int)
}


@dataclass(frozen=True, slots=True, eq=False)
class FileTensor:
    """A stored tensor: `type` is a TensorType, `data` its little-endian bytes (uint8) or None."""

    name: str
    shape: tuple[int, ...]
    type: int
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = 0
    data: Array | None = None


@dataclass(frozen=True, slots=True)
class FileOperator:
    """A stored operator: `code` is a BuiltinOperator, input -1 an absent optional input.

    The format has no names for operators: ours are kept in the file's metadata. Operators of
    other files have an empty name. `custom` is the kind of an operator whose code is CUSTOM.
    """

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    custom: str = ""
    custom_options: bytes = b""


@dataclass(frozen=True, slots=True)
class File:
    """The one subgraph of a .tflite file."""

    name: str
    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
