"""ResizeNearest and ResizeBilinear: our own kernels on int8 and int16."""

from __future__ import annotations

import numpy as np

from compress.operators.resizing import interpolations, source_indices
from compress.ops import ResizeBilinear, ResizeNearest
from compress.types import Graph
from hil.kernel_interface.call import Call, constant
from hil.kernel_interface.limits import check_scale_kept
from hil.kernel_interface.operator_kernels import OperatorKernels, always
from hil.types import Step


def _nearest_call(graph: Graph, step: Step, op: ResizeNearest) -> Call:
    """The rows and columns to copy are tables in flash: their float32 positions stay here."""
    rows, columns = source_indices(graph, op)
    x = graph.tensors[op.input]
    row_bytes = x.size_bytes // x.shape[1]
    tables = (
        constant(step, "rows", "int16_t", rows.astype(np.int16)),
        constant(step, "columns", "int16_t", columns.astype(np.int16)),
    )
    values = {
        "rows": len(rows),
        "columns": len(columns),
        "row_bytes": row_bytes,
        "pixel_bytes": row_bytes // x.shape[2],
        "source_rows": tables[0].name,
        "source_columns": tables[1].name,
    }
    return Call("resize_nearest", values, constants=tables)


def _bilinear_call(graph: Graph, step: Step, op: ResizeBilinear) -> Call:
    x, out = graph.tensors[op.input].shape, graph.tensors[op.output].shape
    rows, columns = interpolations(graph, op)
    values = {
        "axes": [
            {"inputs": inputs, "outputs": outputs, "step": axis.step, "start": axis.start}
            for inputs, outputs, axis in zip(x[1:3], out[1:3], (rows, columns), strict=True)
        ],
        "channels": x[3],
    }
    return Call("resize_bilinear", values)


OPERATORS = (
    OperatorKernels(
        op=ResizeNearest,
        check=check_scale_kept,
        kernels=always("resize_nearest"),
        int16_kernels=always("resize_nearest"),
        call=_nearest_call,
    ),
    OperatorKernels(
        op=ResizeBilinear,
        check=check_scale_kept,
        kernels=always("resize_bilinear_s8"),
        int16_kernels=always("resize_bilinear_s16"),
        call=_bilinear_call,
    ),
)
