"""Reads a .tflite flatbuffer into records; a damaged one is a UserError."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import tflite

from compress.errors import UserError
from compress.operators.registry import BUILTINS
from compress.tflite_records.file import (
    IDENTIFIER,
    KIND_NAMES,
    OPERATOR_NAMES_KEY,
    File,
    FileOperator,
    FileTensor,
)

_LARGEST_COUNT = 4096  # of tensors, operators or buffers: far more than fits a microcontroller
_LARGEST_RANK = 8
_tables: Any = tflite  # generated code without types


def read(data: bytes) -> File:
    """The records of a .tflite file.

    Raises UserError for data that is not one, is damaged, or has several subgraphs.
    """
    if data[4:8] != IDENTIFIER:
        raise UserError("not a .tflite file: it lacks the identifier TFL3 at byte 4")
    try:
        return _read(data)
    except (struct.error, ValueError, TypeError, IndexError, OverflowError, AttributeError):
        raise UserError("the .tflite file is damaged: its tables point outside of it") from None


def _read(data: bytes) -> File:
    model = _tables.Model.GetRootAs(data, 0)
    if model.SubgraphsLength() != 1:
        raise UserError(f"the .tflite file has {model.SubgraphsLength()} subgraphs, must be 1")
    graph = model.Subgraphs(0)
    codes = [
        max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
        for code in _items(model.OperatorCodesLength(), model.OperatorCodes)
    ]
    buffers = [b.DataAsNumpy() for b in _items(model.BuffersLength(), model.Buffers)]
    tensors = [_read_tensor(t, buffers) for t in _items(graph.TensorsLength(), graph.Tensors)]
    operators = []
    stored = _items(graph.OperatorsLength(), graph.Operators)
    for operator, name in zip(stored, _operator_names(model, buffers, len(stored)), strict=True):
        code = codes[operator.OpcodeIndex()]
        inputs, outputs = _ints(operator.InputsAsNumpy()), _ints(operator.OutputsAsNumpy())
        operators.append(FileOperator(code, inputs, outputs, _read_options(operator, code), name))
    inputs, outputs = _ints(graph.InputsAsNumpy()), _ints(graph.OutputsAsNumpy())
    consumed = [i for o in operators for i in o.inputs if i != -1]
    produced = [i for o in operators for i in o.outputs]
    for index in (*inputs, *outputs, *consumed, *produced):
        if not 0 <= index < len(tensors):
            raise UserError(f"the .tflite file is damaged: it has no tensor {index}")
    return File(_text(graph.Name()), tuple(tensors), tuple(operators), inputs, outputs)


def _operator_names(model: Any, buffers: list[Any], count: int) -> list[str]:
    """The operators' names from the metadata that `write` adds, or empty names."""
    for entry in _items(model.MetadataLength(), model.Metadata):
        if _text(entry.Name()) == OPERATOR_NAMES_KEY:
            content = buffers[entry.Buffer()]
            lines = content.tobytes().split(b"\n") if isinstance(content, np.ndarray) else []
            if len(lines) == count:
                return [_text(line) for line in lines]
    return [""] * count


def _items(count: int, item: Callable[[int], Any]) -> list[Any]:
    if count > _LARGEST_COUNT:
        raise UserError(
            f"the .tflite file has a table of {count} entries, at most {_LARGEST_COUNT}"
        )
    return [item(i) for i in range(count)]


def _read_tensor(tensor: Any, buffers: list[Any]) -> FileTensor:
    if tensor.ShapeLength() > _LARGEST_RANK:
        raise UserError(f"a tensor of the .tflite file has {tensor.ShapeLength()} dimensions")
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis, quantization = 0, tensor.Quantization()
    if quantization is not None and quantization.ScaleLength():
        scales = tuple(map(float, quantization.ScaleAsNumpy()))
        axis = quantization.QuantizedDimension()
        zero_points = _ints(quantization.ZeroPointAsNumpy()) or (0,)
    content = buffers[tensor.Buffer()]
    return FileTensor(
        name=_text(tensor.Name()),
        shape=_ints(tensor.ShapeAsNumpy()),
        type=tensor.Type(),
        scales=scales,
        zero_points=zero_points,
        axis=axis,
        data=content if isinstance(content, np.ndarray) and content.size else None,
    )


def _read_options(operator: Any, code: int) -> dict[str, Any]:
    builtin = BUILTINS.get(code)
    table = operator.BuiltinOptions()
    if builtin is None or not builtin.table or table is None:
        return {}
    if operator.BuiltinOptionsType() != getattr(_tables.BuiltinOptions, builtin.table):
        raise UserError(f"the .tflite file is damaged: {KIND_NAMES[code]} has other options")
    options = getattr(_tables, builtin.table)()
    options.Init(table.Bytes, table.Pos)
    return {name: getattr(options, name)() for name in builtin.fields}


def _ints(values: Any) -> tuple[int, ...]:
    """A vector of the file, empty if it is absent: the accessors return 0 for it."""
    return tuple(map(int, values)) if isinstance(values, np.ndarray) else ()


def _text(name: bytes | None) -> str:
    """A name of the file; characters that cannot be printed become "?"."""
    text = (name or b"").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in text)
