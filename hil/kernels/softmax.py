"""Softmax: our own kernel on int8."""

from __future__ import annotations

from compress.errors import UnsupportedLayer
from compress.operators.softmax import softmax_parameters
from compress.ops import Softmax
from compress.types import Graph
from hil.kernel_interface.call import Call
from hil.kernel_interface.operator_kernels import OperatorKernels, always
from hil.types import Step

# Each exponential adds up to 2**19 to a sum in int32.
MOST_COLUMNS = 2**12 - 1


def _check(graph: Graph, op: Softmax) -> None:
    out = graph.tensors[op.output]
    if (out.scales, out.zero_point) != ((1 / 256,), -128):
        raise UnsupportedLayer(f"{op.name}: output must have scale 1/256, zero point -128")
    if out.shape[-1] > MOST_COLUMNS:
        raise UnsupportedLayer(
            f"{op.name}: softmax over {out.shape[-1]} values, at most "
            f"{MOST_COLUMNS} stay within int32"
        )


def _call(graph: Graph, step: Step, op: Softmax) -> Call:
    s = softmax_parameters(graph, op)
    out = graph.tensors[op.output]
    columns = out.shape[-1]
    values = {
        "multiplier": s.multiplier,
        "left_shift": s.left_shift,
        "diff_min": s.diff_min,
        "rows": out.elements // columns,
        "columns": columns,
    }
    return Call("softmax", values)


OPERATORS = (OperatorKernels(op=Softmax, check=_check, kernels=always("softmax_s8"), call=_call),)
