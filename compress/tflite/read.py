"""Reads a .tflite flatbuffer into records; a damaged one is a UserError.

Fields are read as TensorFlow Lite does (tensorflow/compiler/mlir/lite/schema/schema_utils.cc and
core/api/flatbuffer_conversions.cc): an operator's code is the larger one of two fields, and
options that are absent, or of another operator, are all zero.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
import numpy as np
import tflite

from compress.errors import UnsupportedLayer, UserError
from compress.tflite.option_tables import option_table
from compress.tflite.recognize import foreign_file
from compress.tflite_records.file import (
    IDENTIFIER,
    OPERATOR_NAMES_KEY,
    File,
    FileOperator,
    FileTensor,
    Subgraph,
)
from compress.tflite_records.names import shortened

_LARGEST_COUNT = 4096  # of tensors, operators or buffers: far more than fits a microcontroller
_LARGEST_RANK = 8
_BUILTIN_CODE_SLOT = 10  # of OperatorCode.builtin_code: the fourth field, two bytes each after 4
_tables: Any = tflite  # generated code without types
_numbers: Any = flatbuffers.number_types


def read(data: bytes) -> File:
    """The records of a .tflite file.

    Raises UserError for data that is not one or is damaged.
    """
    if data[4:8] != IDENTIFIER:
        raise UserError(foreign_file(data))
    try:
        return _read(data)
    except (struct.error, ValueError, TypeError, IndexError, OverflowError, AttributeError):
        raise UserError("the .tflite file is damaged: its tables point outside of it") from None


def _read(data: bytes) -> File:
    model = _tables.Model.GetRootAs(data, 0)
    if model.SubgraphsLength() == 0:
        raise UserError("the .tflite file has no subgraph")
    codes = [
        (_builtin_code(code), _text(code.CustomCode()))
        for code in _items(model.OperatorCodesLength(), model.OperatorCodes)
    ]
    buffers = [b.DataAsNumpy() for b in _items(model.BuffersLength(), model.Buffers)]
    graphs = _items(model.SubgraphsLength(), model.Subgraphs)
    main, *others = graphs
    names = _operator_names(model, buffers)
    first = _read_subgraph(main, codes, buffers, names)
    further = tuple(_read_subgraph(graph, codes, buffers, []) for graph in others)
    return File(
        first.name, first.tensors, first.operators, first.inputs, first.outputs, further=further
    )


def _read_subgraph(
    graph: Any, codes: list[tuple[int, str]], buffers: list[Any], names: Sequence[str]
) -> Subgraph:
    """One subgraph; `names` are its operators', or of another count: then they have none."""
    tensors = [_read_tensor(t, buffers) for t in _items(graph.TensorsLength(), graph.Tensors)]
    operators = []
    stored = _items(graph.OperatorsLength(), graph.Operators)
    named = names if len(names) == len(stored) else [""] * len(stored)
    for operator, name in zip(stored, named, strict=True):
        code, custom = codes[operator.OpcodeIndex()]
        inputs, outputs = _ints(operator.InputsAsNumpy()), _ints(operator.OutputsAsNumpy())
        options, own = _read_options(operator, code), _custom_options(operator)
        inner = _ints(operator.IntermediatesAsNumpy())
        operators.append(FileOperator(code, inputs, outputs, options, name, custom, own, inner))
    inputs, outputs = _ints(graph.InputsAsNumpy()), _ints(graph.OutputsAsNumpy())
    consumed = [i for o in operators for i in o.inputs if i != -1]
    produced = [i for o in operators for i in (*o.outputs, *o.intermediates)]
    for index in (*inputs, *outputs, *consumed, *produced):
        if not 0 <= index < len(tensors):
            raise UserError(f"the .tflite file is damaged: it has no tensor {index}")
    return Subgraph(_text(graph.Name()), tuple(tensors), tuple(operators), inputs, outputs)


def _builtin_code(code: Any) -> int:
    """The BuiltinOperator: the larger one of two fields, of which a writer may set only one.

    The accessor of the package `tflite` ignores `builtin_code` below 127.
    """
    slot = _numbers.UOffsetTFlags.py_type(code._tab.Offset(_BUILTIN_CODE_SLOT))
    own = code._tab.Get(_numbers.Int32Flags, slot + code._tab.Pos) if slot else 0
    return max(int(code.DeprecatedBuiltinCode()), int(own))


def _operator_names(model: Any, buffers: list[Any]) -> list[str]:
    """The operators' names from the metadata that `write` adds; none if there are none."""
    for entry in _items(model.MetadataLength(), model.Metadata):
        if _text(entry.Name()) == OPERATOR_NAMES_KEY:
            content = buffers[entry.Buffer()]
            if isinstance(content, np.ndarray):
                return [_text(line) for line in content.tobytes().split(b"\n")]
    return []


def _items(count: int, item: Callable[[int], Any]) -> list[Any]:
    if count > _LARGEST_COUNT:
        raise UserError(
            f"the .tflite file has a table of {count} entries, at most {_LARGEST_COUNT}"
        )
    return [item(i) for i in range(count)]


def _read_tensor(tensor: Any, buffers: list[Any]) -> FileTensor:
    if tensor.ShapeLength() > _LARGEST_RANK:
        raise UserError(f"a tensor of the .tflite file has {tensor.ShapeLength()} dimensions")
    if tensor.Sparsity() is not None:
        raise UnsupportedLayer(
            f"tensor {shortened(_text(tensor.Name()))} is stored sparsely, must be stored whole"
        )
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
        variable=bool(tensor.IsVariable()),
    )


def _custom_options(operator: Any) -> bytes:
    stored = operator.CustomOptionsAsNumpy()
    return stored.tobytes() if isinstance(stored, np.ndarray) else b""


def _read_options(operator: Any, code: int) -> dict[str, Any]:
    table, fields = option_table(code)
    if not table:
        return {}
    stored = operator.BuiltinOptions()
    if stored is None or operator.BuiltinOptionsType() != getattr(_tables.BuiltinOptions, table):
        return dict.fromkeys(fields, 0)
    options = getattr(_tables, table)()
    options.Init(stored.Bytes, stored.Pos)
    values = {name: getattr(options, name)() for name in fields}
    return {name: _text(v) if isinstance(v, bytes) else v for name, v in values.items()}


def _ints(values: Any) -> tuple[int, ...]:
    """A vector of the file, empty if it is absent: the accessors return 0 for it."""
    return tuple(map(int, values)) if isinstance(values, np.ndarray) else ()


def _text(name: bytes | None) -> str:
    """A name of the file; characters that cannot be printed become "?"."""
    text = (name or b"").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in text)
