"""Softmax: our own kernels, from int8 to int8 or int16 and, with tables in flash, on int16."""

from __future__ import annotations

from collections.abc import Iterator

from compress.arithmetic.softmax_int16 import exponentials, reciprocals
from compress.errors import UnsupportedLayer
from compress.operators.softmax import exponent_multiplier, softmax_parameters
from compress.ops import Softmax
from compress.types import Graph
from hil.kernel_interface.call import Call, array, factor
from hil.kernel_interface.operator_kernels import Kernel, OperatorKernels, always
from hil.types import Board, Step

# Each exponential adds up to 2**19 to a sum in int32.
MOST_COLUMNS = 2**12 - 1


def _check(graph: Graph, op: Softmax) -> None:
    out = graph.tensors[op.output]
    if out.dtype == "int8" and (out.scales, out.zero_point) != ((1 / 256,), -128):
        raise UnsupportedLayer(f"{op.name}: output must have scale 1/256, zero point -128")
    if out.shape[-1] > MOST_COLUMNS:
        raise UnsupportedLayer(
            f"{op.name}: softmax over {out.shape[-1]} values, at most "
            f"{MOST_COLUMNS} stay within int32"
        )


def _int16_kernels(graph: Graph, op: Softmax, board: Board) -> Iterator[Kernel]:
    yield Kernel("softmax_s16" if _reads_int16(graph, op) else "softmax_s8_s16")


def _reads_int16(graph: Graph, op: Softmax) -> bool:
    return graph.tensors[op.input].dtype == "int16"


def _call(graph: Graph, step: Step, op: Softmax) -> Call:
    out = graph.tensors[op.output]
    columns = out.shape[-1]
    size = {"rows": out.elements // columns, "columns": columns}
    if _reads_int16(graph, op):
        # One pair of tables for all layers.
        tables = (
            array("exponentials", "int16_t", exponentials(), "exp(i * 10 / 512 - 10) * 32768"),
            array("reciprocals", "int16_t", reciprocals(), "1 / (1 + i / 512) * 32768"),
        )
        values = {
            "exponentials": tables[0].name,
            "reciprocals": tables[1].name,
            **factor(*exponent_multiplier(graph, op)),
            **size,
        }
        return Call("softmax_s16", values, constants=tables)
    s = softmax_parameters(graph, op)
    values = {
        "multiplier": s.multiplier,
        "left_shift": s.left_shift,
        "diff_min": s.diff_min,
        **size,
    }
    return Call("softmax", values)


OPERATORS = (
    OperatorKernels(
        op=Softmax,
        check=_check,
        kernels=always("softmax_s8"),
        int16_kernels=_int16_kernels,
        call=_call,
    ),
)
