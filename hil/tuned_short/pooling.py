"""The mean of each channel, as an AveragePool2D over all pixels: average_pool_short.c."""

from __future__ import annotations

from collections.abc import Iterator

from compress.arithmetic.fixedpoint import INT8_MAX, INT8_MIN, clamp_range
from compress.ops import AveragePool2D
from compress.types import Graph
from hil.kernel_interface.call import Call, size_text
from hil.kernel_interface.limits import activation_types
from hil.kernel_interface.operator_kernels import Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import has_dsp
from hil.types import Board, Step

_NAME = "average_pool_short"
_MOST_PIXELS = 255  # their sum of int8 stays within int16
_MOST = 2**16 - 1  # the record counts in uint16_t
_AT_ONCE = 4  # channels


def _kernels(graph: Graph, op: AveragePool2D, board: Board) -> Iterator[Kernel]:
    """Means on uint8 round ties upwards: they are left to other kernels."""
    if not has_dsp(board) or set(activation_types(graph, op)) != {"int8"} or graph.uint8:
        return
    _, height, width, channels = graph.tensors[op.input].shape
    covers_all = graph.tensors[op.output].shape[1:3] == (1, 1) and op.filter == (height, width)
    if not covers_all or height * width > _MOST_PIXELS:
        return
    if channels % _AT_ONCE == 0 and channels <= _MOST:
        # Four means are written when their inputs were read: they end at the next ones.
        yield Kernel(_NAME, lead_bytes=0)


def _call(graph: Graph, step: Step, op: AveragePool2D) -> Call:
    _, height, width, channels = graph.tensors[op.input].shape
    limits = clamp_range(graph.tensors[op.output], op.activation)
    return job_call(
        graph,
        step,
        op,
        function=_NAME,
        fields=(Field("pixels", height * width), Field("channels", channels)),
        clamp=None if limits == (INT8_MIN, INT8_MAX) else limits,
        window=(f"window {size_text(op.filter)}",),
    )


def _weight_bytes(graph: Graph, op: AveragePool2D) -> int:
    return 0


KERNELS = (
    TunedKernel(
        name=_NAME, kernels=_kernels, call=_call, weight_bytes=_weight_bytes, saves_flash=True
    ),
)
