"""Writes records as a .tflite flatbuffer; equal records give equal bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flatbuffers
import numpy as np
import tflite

from compress.operators.registry import BUILTINS
from compress.tflite.option_tables import option_table
from compress.tflite_records.file import (
    IDENTIFIER,
    OPERATOR_NAMES_KEY,
    File,
    FileOperator,
    FileTensor,
    Subgraph,
)
from compress.types import Array

_ALIGNMENT = 16
_builders: Any = flatbuffers  # neither package has types
_tables: Any = tflite


def write(file: File) -> bytes:
    """The .tflite file of these records."""
    b = _builders.Builder(1 << 16)
    graphs: tuple[Subgraph, ...] = (file, *file.further)
    contents: list[Array | None] = [None]  # buffer 0 is empty by definition
    indices = []
    for tensor in (tensor for graph in graphs for tensor in graph.tensors):
        indices.append(0 if tensor.data is None else len(contents))
        if tensor.data is not None:
            contents.append(tensor.data)
    names = "\n".join(operator.name for operator in file.operators).encode()
    metadata = {}
    if names.strip():
        name = b.CreateString(OPERATOR_NAMES_KEY)
        entry = _table(b, "Metadata", Name=name, Buffer=len(contents))
        metadata["Metadata"] = _table_vector(b, [entry])
        contents.append(np.frombuffer(names, np.uint8))
    buffers = _table_vector(b, [_write_buffer(b, content) for content in contents])
    codes = list(dict.fromkeys((o.code, o.custom) for graph in graphs for o in graph.operators))
    index = iter(indices)
    subgraphs = [_write_subgraph(b, graph, index, codes) for graph in graphs]
    written_codes = [_write_code(b, code, custom) for code, custom in codes]
    model = _table(
        b,
        "Model",
        Version=3,
        OperatorCodes=_table_vector(b, written_codes),
        Subgraphs=_table_vector(b, subgraphs),
        Description=b.CreateString("hil-compress"),
        Buffers=buffers,
        **metadata,
    )
    b.Finish(model, IDENTIFIER)
    return bytes(b.Output())


def _write_subgraph(
    b: Any, graph: Subgraph, buffers: Iterator[int], codes: list[tuple[int, str]]
) -> int:
    """One subgraph; `buffers` yields the buffer of each tensor."""
    tensors = _table_vector(
        b, [_write_tensor(b, tensor, next(buffers)) for tensor in graph.tensors]
    )
    operators = _table_vector(
        b, [_write_operator(b, o, codes.index((o.code, o.custom))) for o in graph.operators]
    )
    return _table(
        b,
        "SubGraph",
        Tensors=tensors,
        Operators=operators,
        Inputs=_numbers(b, graph.inputs, np.int32),
        Outputs=_numbers(b, graph.outputs, np.int32),
        Name=b.CreateString(graph.name),
    )


def _write_buffer(b: Any, content: Array | None) -> int:
    if content is None:
        return _table(b, "Buffer")
    b.StartVector(1, content.size, _ALIGNMENT)
    b.head -= content.size
    b.Bytes[b.head : b.head + content.size] = content.tobytes()
    return _table(b, "Buffer", Data=b.EndVector())


def _write_tensor(b: Any, tensor: FileTensor, buffer: int) -> int:
    quantization = {}
    if tensor.scales:
        quantization["Quantization"] = _table(
            b,
            "QuantizationParameters",
            Scale=_numbers(b, tensor.scales, np.float32),
            ZeroPoint=_numbers(b, tensor.zero_points, np.int64),
            QuantizedDimension=tensor.axis,
        )
    return _table(
        b,
        "Tensor",
        Shape=_numbers(b, tensor.shape, np.int32),
        Type=tensor.type,
        Buffer=buffer,
        Name=b.CreateString(tensor.name),
        **quantization,
        **({"IsVariable": True} if tensor.variable else {}),
    )


def _write_code(b: Any, code: int, custom: str) -> int:
    name = {"CustomCode": b.CreateString(custom)} if custom else {}
    version = BUILTINS[code].version if code in BUILTINS else 1
    return _table(
        b,
        "OperatorCode",
        DeprecatedBuiltinCode=min(code, 127),
        BuiltinCode=code,
        Version=version,
        **name,
    )


def _write_operator(b: Any, operator: FileOperator, code_index: int) -> int:
    table, _ = option_table(operator.code)
    options = {}
    if table:
        values = {
            name: b.CreateString(value) if isinstance(value, str) else value
            for name, value in operator.options.items()
        }
        options = {
            "BuiltinOptionsType": getattr(_tables.BuiltinOptions, table),
            "BuiltinOptions": _table(b, table, **values),
        }
    if operator.custom_options:
        options["CustomOptions"] = _numbers(b, tuple(operator.custom_options), np.uint8)
    inner = {}
    if operator.intermediates:
        inner = {"Intermediates": _numbers(b, operator.intermediates, np.int32)}
    return _table(
        b,
        "Operator",
        OpcodeIndex=code_index,
        Inputs=_numbers(b, operator.inputs, np.int32),
        Outputs=_numbers(b, operator.outputs, np.int32),
        **options,
        **inner,
    )


def _table(b: Any, table: str, **fields: Any) -> int:
    """Write a table, after its children: flatbuffers demands that order."""
    getattr(_tables, f"{table}Start")(b)
    for name, value in fields.items():
        getattr(_tables, f"{table}Add{name}")(b, value)
    end: int = getattr(_tables, f"{table}End")(b)
    return end


def _table_vector(b: Any, offsets: list[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    end: int = b.EndVector()
    return end


def _numbers(b: Any, values: tuple[float, ...], dtype: Any) -> int:
    end: int = b.CreateNumpyVector(np.asarray(values, dtype))
    return end
