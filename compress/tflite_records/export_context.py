"""The records of one .tflite file while a graph is exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from compress.ops import Op, inputs_of, outputs_of
from compress.tflite_records.file import FileOperator, FileTensor, TensorType
from compress.tflite_records.tensor import raw_bytes, to_file
from compress.types import Array, Graph


class ExportContext:
    """Collects the records of one file: the graph's tensors first, then those that are added.

    `tensors` begins with the graph's own, by the graph's indices; an export may replace them.
    `own_states` are the states, by the tensor that is read, that an operator keeps itself.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors = [to_file(tensor) for tensor in graph.tensors]
        self.operators: list[FileOperator] = []
        self.own_states: set[int] = set()

    def add(
        self,
        code: int,
        inputs: tuple[int, ...],
        output: int,
        options: Mapping[str, Any] | None = None,
        intermediates: tuple[int, ...] = (),
    ) -> None:
        """Append an operator of builtin operator `code`, without a name."""
        self.operators.append(
            FileOperator(code, inputs, (output,), options or {}, intermediates=intermediates)
        )

    def keep_state(self, read: int) -> int:
        """Store the state `read` as a variable tensor, which its operator changes; its index."""
        self.own_states.add(read)
        self.tensors[read] = replace(self.tensors[read], variable=True)
        return read

    def add_tensor(self, tensor: FileTensor) -> int:
        """Append a tensor; returns its index."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def add_constant(self, name: str, values: Array) -> int:
        """Append an int32 constant without quantization; returns its index."""
        data = raw_bytes(values)
        return self.add_tensor(FileTensor(name, values.shape, TensorType.INT32, data=data))

    def output_name(self, op: Op) -> str:
        return self.tensors[outputs_of(op)[0]].name

    def reads_int16(self, op: Op) -> bool:
        """True if the operator reads int16 activations."""
        return self.graph.tensors[inputs_of(op)[0]].dtype == "int16"
