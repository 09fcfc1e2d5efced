"""Plain records of a .tflite file: its tensors and operators as stored, without interpretation.

Schema: tensorflow/compiler/mlir/lite/schema/schema.fbs, version 3. Only what the integer
operators need is kept: subgraphs and builtin operators, no metadata. `compress.tflite.read` and
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
    """A stored tensor: `type` is a TensorType, `data` its little-endian bytes (uint8) or None.

    A `variable` keeps its value from one inference to the next; its first value is its zero point.
    """

    name: str
    shape: tuple[int, ...]
    type: int
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int = 0
    data: Array | None = None
    variable: bool = False


@dataclass(frozen=True, slots=True)
class FileOperator:
    """A stored operator: `code` is a BuiltinOperator, input -1 an absent optional input.

    The format has no names for operators: ours are kept in the file's metadata. Operators of
    other files have an empty name. `custom` is the kind of an operator whose code is CUSTOM.
    `intermediates` are tensors whose quantization alone matters.
    """

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    custom: str = ""
    custom_options: bytes = b""
    intermediates: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Subgraph:
    """A subgraph of a .tflite file."""

    name: str
    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FileState:
    """A state: tensor `read` has it at the start of an inference, `written` at the end.

    `initial` is the first state, of the shape and type of `read`; None is the zero point.
    """

    read: int
    written: int
    initial: Array | None = None


@dataclass(frozen=True, slots=True)
class File(Subgraph):
    """The main subgraph of a .tflite file, and the `further` ones that its operators refer to.

    `states` is empty in a file as stored: `compress.tflite.variables` finds them.
    """

    further: tuple[Subgraph, ...] = ()
    states: tuple[FileState, ...] = ()

    @property
    def results(self) -> tuple[int, ...]:
        """The tensors that are read after the last operator: outputs and states."""
        return (*self.outputs, *(state.written for state in self.states))
