"""Add and AveragePool2D on cores with MVE: add_mve.c and average_pool_mve.c."""

from __future__ import annotations

from collections.abc import Iterator

from compress.arithmetic.fixedpoint import clamp_range
from compress.operators.elementwise import AddParameters, add_parameters
from compress.ops import Add, AveragePool2D
from compress.types import Graph
from hil.kernel_interface.call import Call, size_text, stride_text
from hil.kernel_interface.operator_kernels import Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import has_mve
from hil.tuned_mve.windows import SlidingWindows, lead_bytes
from hil.types import Board, Step

_ADD = "add_mve"
_POOL = "average_pool_mve"
_HALF = (2**30, 0)
# The reciprocal of the window's size is exact enough for sums of so many int8: sum * size < 2**32.
_LARGEST_WINDOW = 4096


def _halved(parameters: AddParameters) -> int | None:
    """The operand, 0 or 1, whose factor is exactly 1/2; None if neither is."""
    p = parameters
    factors = ((p.input1_multiplier, p.input1_shift), (p.input2_multiplier, p.input2_shift))
    return factors.index(_HALF) if _HALF in factors else None


def _add_kernels(graph: Graph, op: Add, board: Board) -> Iterator[Kernel]:
    """Sums of two tensors of one shape that are both in the arena."""
    types = {graph.tensors[index].dtype for index in (op.left, op.right, op.output)}
    elements = {graph.tensors[index].elements for index in (op.left, op.right, op.output)}
    if not has_mve(board) or op.constant or types != {"int8"} or len(elements) > 1:
        return
    if _halved(add_parameters(graph, op)) is not None:
        yield Kernel(_ADD, lead_bytes=0)


def _add_call(graph: Graph, step: Step, op: Add) -> Call:
    p = add_parameters(graph, op)
    half = _halved(p)
    offsets = (p.input1_offset, p.input2_offset)
    factors = ((p.input1_multiplier, p.input1_shift), (p.input2_multiplier, p.input2_shift))
    assert half is not None, "only layers of its kernel are called"
    numbers = {
        "elements": graph.tensors[op.output].elements,
        "swapped": half,
        "half_offset": offsets[half],
        "other_offset": offsets[1 - half],
        "other_multiplier": factors[1 - half][0],
        "other_shift": factors[1 - half][1],
        "multiplier": p.output_multiplier,
        "shift": p.output_shift,
        "zero": p.output_offset,
        "lowest": p.lo,
        "highest": p.hi,
    }
    fields = [Field(name, value) for name, value in numbers.items()]
    return job_call(graph, step, op, function=_ADD, fields=fields)


def _windows(graph: Graph, op: AveragePool2D) -> SlidingWindows:
    _, rows, columns, _ = graph.tensors[op.input].shape
    _, out_rows, out_columns, _ = graph.tensors[op.output].shape
    before = (op.padding.top, op.padding.left)
    return SlidingWindows((rows, columns), (out_rows, out_columns), op.filter, op.stride, before)


def _pool_kernels(graph: Graph, op: AveragePool2D, board: Board) -> Iterator[Kernel]:
    """int8, rounded as TensorFlow Lite's int8 reference does: ties away from zero."""
    source = graph.tensors[op.input]
    if not has_mve(board) or source.dtype != "int8" or graph.uint8:
        return
    if op.filter[0] * op.filter[1] > _LARGEST_WINDOW:
        return
    channels = source.shape[3]
    # Of a pixel, four channels at a time are read and then written, in order.
    yield Kernel(_POOL, lead_bytes=lead_bytes(_windows(graph, op), channels, channels))


def _pool_call(graph: Graph, step: Step, op: AveragePool2D) -> Call:
    w, out = _windows(graph, op), graph.tensors[op.output]
    lowest, highest = clamp_range(out, op.activation)
    numbers = {
        "rows": w.inputs[0],
        "columns": w.inputs[1],
        "channels": out.shape[3],
        "filter_rows": w.window[0],
        "filter_columns": w.window[1],
        "row_stride": w.stride[0],
        "column_stride": w.stride[1],
        "top": w.before[0],
        "left": w.before[1],
        "out_rows": w.outputs[0],
        "out_columns": w.outputs[1],
        "lowest": lowest,
        "highest": highest,
    }
    return job_call(
        graph,
        step,
        op,
        function=_POOL,
        fields=[Field(name, value) for name, value in numbers.items()],
        window=(f"window {size_text(w.window)}", *stride_text(w.stride)),
    )


def _no_weights(graph: Graph, op: Add | AveragePool2D) -> int:
    return 0


ADD_KERNELS: tuple[TunedKernel[Add], ...] = (
    TunedKernel(name=_ADD, kernels=_add_kernels, call=_add_call, weight_bytes=_no_weights),
)
AVERAGE_POOL_KERNELS: tuple[TunedKernel[AveragePool2D], ...] = (
    TunedKernel(name=_POOL, kernels=_pool_kernels, call=_pool_call, weight_bytes=_no_weights),
)
