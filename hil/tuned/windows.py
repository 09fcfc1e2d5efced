"""Conv2D that expands the inputs of a few windows at a time, on cores with DSP: conv_windows.c.

It keeps no rows beside its input, so that it needs least scratch; each input is expanded once for
each window it lies in.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compress.ops import Conv2D
from compress.types import Graph
from hil.kernel_interface.limits import round_up
from hil.tuned.calls import Field
from hil.tuned.panel_kernel import PAIRS_KERNEL
from hil.tuned.panels import swapped_order
from hil.tuned.requantize import Channels, channels_of
from hil.tuned.weight_panels import PanelLayer, even_groups, panel_kernels, weight_bits

# Pixels whose windows are expanded at a time.
_GROUP_PIXELS = (24, 8, 4, 2)


def window_channels(graph: Graph, op: Conv2D) -> Channels | None:
    """The channels, each row of a filter filled up with weights of 0 to a multiple of 4 taps."""
    data = graph.tensors[op.weights].data
    if data is None:
        return None
    units, rows, columns, depth = data.shape
    has_gaps = (op.dilation[0] > 1 and rows > 1) or (op.dilation[1] > 1 and columns > 1)
    if has_gaps or depth != graph.tensors[op.input].shape[3]:
        return None
    runs = data.reshape(units, rows, columns * depth).astype(np.int64)
    even = np.pad(runs, ((0, 0), (0, 0), (0, -(columns * depth) % 4)))
    return channels_of(graph, op, even.reshape(units, -1))


def windows_lead_bytes(graph: Graph, op: Conv2D, group: int) -> int:
    """How far the output starts before the input that it may lie over.

    The outputs of a group are written when its windows were read: they end before the first byte
    of all windows that follow.
    """
    _, height, width, depth = graph.tensors[op.input].shape
    _, out_height, out_width, units = graph.tensors[op.output].shape
    rows = np.clip(np.arange(out_height) * op.stride[0] - op.padding.top, 0, height)
    columns = np.clip(np.arange(out_width) * op.stride[1] - op.padding.left, 0, width)
    starts = ((rows[:, None] * width + columns) * depth).reshape(-1)
    following = np.minimum.accumulate(starts[::-1])[::-1]
    ends = np.arange(group, len(starts), group)
    return int(max((0, *(ends * units - following[ends]))))


def _layers(graph: Graph, op: Conv2D, in_ram: bool) -> Iterator[PanelLayer]:
    channels = window_channels(graph, op)
    bits = weight_bits(graph, op)
    if channels is None or bits is None:
        return
    _, height, width, depth = graph.tensors[op.input].shape
    _, out_height, out_width, _ = graph.tensors[op.output].shape
    _, rows, columns, _ = graph.tensors[op.weights].shape
    taps = rows * round_up(columns * depth, 4)
    members = {
        "height": height,
        "width": width,
        "depth": depth,
        "out_height": out_height,
        "out_width": out_width,
        "filter_rows": rows,
        "filter_columns": columns,
        "stride_y": op.stride[0],
        "stride_x": op.stride[1],
        "top": op.padding.top,
        "left": op.padding.left,
        "padding": graph.tensors[op.input].zero_point,
    }
    for group in even_groups(_GROUP_PIXELS, out_height * out_width):
        yield PanelLayer(
            function="conv_windows",
            channels=channels,
            order=swapped_order(taps),
            micro_kernel=PAIRS_KERNEL,
            fields=(
                *(Field(name, value) for name, value in members.items()),
                Field("group", group),
            ),
            pairs=group // 2,
            scratch_bytes=2 * group * taps,
            lead_bytes=windows_lead_bytes(graph, op, group),
            bits=bits,
        )


KERNELS = panel_kernels("conv_windows", _layers, saves_ram=True)
