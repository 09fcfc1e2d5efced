"""AveragePool2D and MaxPool2D: CMSIS-NN's kernels on int8, ours on int16.

CMSIS-NN rounds averages as TensorFlow Lite's int8 reference does. On uint8 that rounds ties
upwards, which makes a difference where a window has an even number of elements.
"""

from __future__ import annotations

from collections.abc import Iterator

from compress.arithmetic.fixedpoint import clamp_range
from compress.errors import UnsupportedLayer
from compress.ops import AveragePool2D, MaxPool2D
from compress.types import Graph
from hil.kernel_interface.call import Call, Dims, size_text, stride_text
from hil.kernel_interface.limits import check_scale_kept, touches
from hil.kernel_interface.operator_kernels import Kernel, OperatorKernels, always
from hil.types import Board, Step

_Pool = AveragePool2D | MaxPool2D


def _check(graph: Graph, op: _Pool) -> None:
    check_scale_kept(graph, op)
    _, height, width, _ = graph.tensors[op.input].shape
    _, out_height, out_width, _ = graph.tensors[op.output].shape
    rows, columns = op.filter
    if not (
        touches(height, rows, op.stride[0], op.padding.top, out_height)
        and touches(width, columns, op.stride[1], op.padding.left, out_width)
    ):
        raise UnsupportedLayer(f"{op.name}: a window lies wholly in the padding")


def _average_kernels(graph: Graph, op: AveragePool2D, board: Board) -> Iterator[Kernel]:
    """Scratch as in arm_avgpool_s8_get_buffer_size: with DSP int32 sums of a pixel's channels."""
    p, (rows, columns) = op.padding, op.filter
    if graph.uint8 and (rows * columns % 2 == 0 or any((p.top, p.bottom, p.left, p.right))):
        yield Kernel("average_pool_up_s8")
        return
    sums = "dsp" in board.features and "mve" not in board.features
    channels = graph.tensors[op.input].shape[3]
    yield Kernel("arm_avgpool_s8", channels * 4 if sums else 0)


def _call(graph: Graph, step: Step, op: _Pool) -> Call:
    source, out = graph.tensors[op.input], graph.tensors[op.output]
    return Call(
        macro="pool",
        values={
            "stride": op.stride,
            "padding": (op.padding.top, op.padding.left),
            "range": clamp_range(out, op.activation),
        },
        input_dims=Dims(*source.shape),
        filter_dims=Dims(1, *op.filter, 1),
        output_dims=Dims(*out.shape),
        window=(f"window {size_text(op.filter)}", *stride_text(op.stride)),
    )


OPERATORS = (
    OperatorKernels(
        op=AveragePool2D,
        check=_check,
        kernels=_average_kernels,
        int16_kernels=always("average_pool_s16"),
        call=_call,
    ),
    OperatorKernels(
        op=MaxPool2D,
        check=_check,
        kernels=always("arm_max_pool_s8"),
        int16_kernels=always("max_pool_s16"),
        call=_call,
    ),
)
