"""Requantize: our own kernels, also between int8 and int16; they may write over their input."""

from __future__ import annotations

from collections.abc import Iterator

from compress.operators.requantize import requantize_parameters
from compress.ops import Requantize
from compress.types import Graph
from hil.kernel_interface.call import Call, factor
from hil.kernel_interface.limits import activation_types
from hil.kernel_interface.operator_kernels import Kernel, OperatorKernels, always
from hil.types import Board, Step


def _int16_kernels(graph: Graph, op: Requantize, board: Board) -> Iterator[Kernel]:
    source, out = activation_types(graph, op)
    names = {
        ("int16", "int16"): "requantize_s16",
        ("int8", "int16"): "requantize_s8_s16",
        ("int16", "int8"): "requantize_s16_s8",
    }
    yield Kernel(names[source, out])


def _call(graph: Graph, step: Step, op: Requantize) -> Call:
    r = requantize_parameters(graph, op)
    values = {
        "input_offset": r.input_offset,
        "output_offset": r.output_offset,
        **factor(r.multiplier, r.shift),
        "range": (r.lo, r.hi),
        "elements": graph.tensors[op.output].elements,
    }
    return Call("requantize", values)


OPERATORS = (
    OperatorKernels(
        op=Requantize,
        kernels=always("requantize_s8"),
        int16_kernels=_int16_kernels,
        call=_call,
    ),
)
