"""A second reader of .tflite files, written from the schema alone: no generated code, no package.

Tables of a flatbuffer begin with the distance to their vtable, which has the position of each
field (https://flatbuffers.dev/internals). Numbers of fields and defaults are those of
tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

TEXT = "text"
# Fields of the options: name -> (number, struct format or TEXT, default). The number of a table is
# its place in the union BuiltinOptions.
OPTION_TABLES: dict[int, dict[str, tuple[int, str, Any]]] = {
    1: {  # Conv2DOptions
        "Padding": (0, "b", 0),
        "StrideW": (1, "i", 0),
        "StrideH": (2, "i", 0),
        "FusedActivationFunction": (3, "b", 0),
        "DilationWFactor": (4, "i", 1),
        "DilationHFactor": (5, "i", 1),
    },
    2: {  # DepthwiseConv2DOptions
        "Padding": (0, "b", 0),
        "StrideW": (1, "i", 0),
        "StrideH": (2, "i", 0),
        "DepthMultiplier": (3, "i", 0),
        "FusedActivationFunction": (4, "b", 0),
        "DilationWFactor": (5, "i", 1),
        "DilationHFactor": (6, "i", 1),
    },
    5: {  # Pool2DOptions
        "Padding": (0, "b", 0),
        "StrideW": (1, "i", 0),
        "StrideH": (2, "i", 0),
        "FilterWidth": (3, "i", 0),
        "FilterHeight": (4, "i", 0),
        "FusedActivationFunction": (5, "b", 0),
    },
    6: {"Rank": (0, "i", 0), "FusedActivationFunction": (1, "b", 0)},  # SVDFOptions
    8: {  # FullyConnectedOptions
        "FusedActivationFunction": (0, "b", 0),
        "WeightsFormat": (1, "b", 0),
        "KeepNumDims": (2, "?", False),
    },
    9: {"Beta": (0, "f", 0.0)},  # SoftmaxOptions
    10: {"Axis": (0, "i", 0), "FusedActivationFunction": (1, "b", 0)},  # ConcatenationOptions
    11: {"FusedActivationFunction": (0, "b", 0), "PotScaleInt16": (1, "?", True)},  # AddOptions
    21: {"FusedActivationFunction": (0, "b", 0)},  # MulOptions
    28: {"FusedActivationFunction": (0, "b", 0), "PotScaleInt16": (1, "?", True)},  # SubOptions
    27: {"KeepDims": (0, "?", False)},  # ReducerOptions
    101: {"AdjX": (0, "?", False), "AdjY": (1, "?", False)},  # BatchMatMulOptions
    23: {"Axis": (0, "i", 0), "BatchDims": (1, "i", 0)},  # GatherOptions
    32: {  # StridedSliceOptions
        "BeginMask": (0, "i", 0),
        "EndMask": (1, "i", 0),
        "EllipsisMask": (2, "i", 0),
        "NewAxisMask": (3, "i", 0),
        "ShrinkAxisMask": (4, "i", 0),
        "Offset": (5, "?", False),
    },
    59: {"ValuesCount": (0, "i", 0), "Axis": (1, "i", 0)},  # PackOptions
    15: {"AlignCorners": (2, "?", False), "HalfPixelCenters": (3, "?", False)},  # ResizeBilinear
    49: {  # TransposeConvOptions
        "Padding": (0, "b", 0),
        "StrideW": (1, "i", 0),
        "StrideH": (2, "i", 0),
        "FusedActivationFunction": (3, "b", 0),
    },
    71: {  # UnidirectionalSequenceLSTMOptions
        "FusedActivationFunction": (0, "b", 0),
        "CellClip": (1, "f", 0.0),
        "ProjClip": (2, "f", 0.0),
        "TimeMajor": (3, "?", False),
    },
    74: {"AlignCorners": (0, "?", False), "HalfPixelCenters": (1, "?", False)},  # ResizeNearest
    75: {"Alpha": (0, "f", 0.0)},  # LeakyReluOptions
    103: {"InitSubgraphIndex": (0, "i", 0)},  # CallOnceOptions
    111: {"Container": (0, TEXT, ""), "SharedName": (1, TEXT, "")},  # VarHandleOptions
}


@dataclass(frozen=True)
class Table:
    """A table at byte `at`; its fields by number."""

    data: bytes
    at: int

    def place(self, number: int) -> int:
        """Position of a field, 0 if it is absent."""
        vtable = self.at - struct.unpack_from("<i", self.data, self.at)[0]
        (size,) = struct.unpack_from("<H", self.data, vtable)
        if 4 + 2 * number >= size:
            return 0
        (offset,) = struct.unpack_from("<H", self.data, vtable + 4 + 2 * number)
        return self.at + offset if offset else 0

    def number(self, number: int, form: str, default: Any) -> Any:
        place = self.place(number)
        return struct.unpack_from(f"<{form}", self.data, place)[0] if place else default

    def option(self, number: int, form: str, default: Any) -> Any:
        """A field of OPTION_TABLES."""
        return self.text(number) if form == TEXT else self.number(number, form, default)

    def _target(self, number: int) -> int:
        place = self.place(number)
        return place + struct.unpack_from("<I", self.data, place)[0] if place else 0

    def table(self, number: int) -> Table | None:
        at = self._target(number)
        return Table(self.data, at) if at else None

    def tables(self, number: int) -> list[Table]:
        start, count = self._vector(number)
        places = range(start, start + 4 * count, 4)
        return [Table(self.data, p + struct.unpack_from("<I", self.data, p)[0]) for p in places]

    def numbers(self, number: int, form: str) -> tuple[Any, ...]:
        start, count = self._vector(number)
        return struct.unpack_from(f"<{count}{form}", self.data, start)

    def text(self, number: int) -> str:
        return bytes(self.numbers(number, "B")).decode("utf-8", "replace")

    def _vector(self, number: int) -> tuple[int, int]:
        at = self._target(number)
        return (at + 4, struct.unpack_from("<I", self.data, at)[0]) if at else (4, 0)


def root(data: bytes) -> Table:
    """The file's Model."""
    return Table(data, struct.unpack_from("<I", data)[0])
