"""A copy of a .tflite file with the one field mended that tflite-runtime is stricter about.

TensorFlow Lite Micro ignores the quantized dimension of a tensor of one dimension, which can only
be 0; TensorFlow Lite refuses any other. Early converters stored that of the weights for the bias,
such as the one that made TFLM's `person_detect.tflite`.
"""

from __future__ import annotations

import struct
from typing import Any

import flatbuffers
import tflite

_QUANTIZED_DIMENSION_SLOT = 16  # QuantizationParameters' seventh field, two bytes each after 4
_tables: Any = tflite  # generated code without types
_numbers: Any = flatbuffers.number_types


def with_valid_dimensions(data: bytes) -> tuple[bytes, int]:
    """(copy, count): quantized dimensions beyond a tensor's rank set to 0; `data` itself if none.

    `data` must have been read by `compress.tflite.read`.
    """
    graph = _tables.Model.GetRootAs(data, 0).Subgraphs(0)
    mended = bytearray(data)
    count = 0
    for tensor in (graph.Tensors(i) for i in range(graph.TensorsLength())):
        quantization = tensor.Quantization()
        if quantization is None or quantization.QuantizedDimension() < max(1, tensor.ShapeLength()):
            continue
        slot = _numbers.UOffsetTFlags.py_type(quantization._tab.Offset(_QUANTIZED_DIMENSION_SLOT))
        struct.pack_into("<i", mended, slot + quantization._tab.Pos, 0)
        count += 1
    return (bytes(mended), count) if count else (data, 0)
