"""AveragePool2D on cores with DSP: average_pool_s8.c."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compress.arithmetic.fixedpoint import clamp_range
from compress.ops import AveragePool2D
from compress.types import Graph
from hil.kernel_interface.call import Call, size_text, stride_text
from hil.kernel_interface.limits import LONGEST_EXTENT, activation_types
from hil.kernel_interface.operator_kernels import Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import has_dsp
from hil.types import Board, Step

_NAME = "average_pool_s8"
_MOST_PIXELS = 255  # of a window: its sum of int8 stays within int16


def _kernels(graph: Graph, op: AveragePool2D, board: Board) -> Iterator[Kernel]:
    """Means on uint8 round ties upwards: they are left to other kernels."""
    if not has_dsp(board) or set(activation_types(graph, op)) != {"int8"} or graph.uint8:
        return
    _, height, width, _ = graph.tensors[op.input].shape
    countable = max(*op.filter, *op.stride) <= LONGEST_EXTENT
    if countable and min(op.filter[0], height) * min(op.filter[1], width) <= _MOST_PIXELS:
        yield Kernel(_NAME, lead_bytes=pool_lead_bytes(graph, op))


def pool_lead_bytes(graph: Graph, op: AveragePool2D) -> int:
    """How far the output starts before the input that it may lie over.

    A window's outputs are written channel by channel: what lies before the same channel of its
    first pixel is free, and later what lies before the windows that follow.
    """
    _, _, width, channels = graph.tensors[op.input].shape
    _, out_height, out_width, _ = graph.tensors[op.output].shape
    rows = np.maximum(np.arange(out_height) * op.stride[0] - op.padding.top, 0)
    columns = np.maximum(np.arange(out_width) * op.stride[1] - op.padding.left, 0)
    starts = (rows[:, None] * width + columns).reshape(-1)
    pixels = np.arange(len(starts))
    following = np.minimum.accumulate(starts[::-1])[::-1][1:]
    needed = (0, (pixels - starts).max(), *(pixels[1:] - following))
    return int(max(needed)) * channels


def _call(graph: Graph, step: Step, op: AveragePool2D) -> Call:
    _, height, width, channels = graph.tensors[op.input].shape
    _, out_height, out_width, _ = graph.tensors[op.output].shape
    lowest, highest = clamp_range(graph.tensors[op.output], op.activation)
    members = {
        "height": height,
        "width": width,
        "channels": channels,
        "out_height": out_height,
        "out_width": out_width,
        "filter_rows": op.filter[0],
        "filter_columns": op.filter[1],
        "stride_y": op.stride[0],
        "stride_x": op.stride[1],
        "top": op.padding.top,
        "left": op.padding.left,
        "lowest": lowest,
        "highest": highest,
    }
    return job_call(
        graph,
        step,
        op,
        function=_NAME,
        fields=[Field(name, value) for name, value in members.items()],
        window=(f"window {size_text(op.filter)}", *stride_text(op.stride)),
    )


def _weight_bytes(graph: Graph, op: AveragePool2D) -> int:
    return 0


KERNELS = (TunedKernel(name=_NAME, kernels=_kernels, call=_call, weight_bytes=_weight_bytes),)
