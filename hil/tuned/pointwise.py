"""Conv2D with a filter of 1x1 and stride 1, on cores with DSP: conv_pointwise.c."""

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

# Pixels that are expanded at a time: more would cost RAM and save few calls, fewer cost calls.
GROUP_PIXELS = (24, 8, 4, 2)
# Weights of four bits: inputs of at least -128 of which int16 holds the sums of every other two.
_MOST_SUMMED = 2 * (2**15 // 128)


def _channels(graph: Graph, op: Conv2D) -> Channels | None:
    """The channels, with weights of 0 up to a multiple of 4 taps; None without a proof."""
    data = graph.tensors[op.weights].data
    if data is None:
        return None
    units, rows, columns, depth = data.shape
    pad = op.padding
    if (rows, columns) != (1, 1) or op.stride != (1, 1):
        return None
    if depth != graph.tensors[op.input].shape[3] or pad.top or pad.bottom or pad.left or pad.right:
        return None
    weights = np.pad(data.reshape(units, depth).astype(np.int64), ((0, 0), (0, -depth % 4)))
    return channels_of(graph, op, weights)


def _layers(graph: Graph, op: Conv2D, in_ram: bool) -> Iterator[PanelLayer]:
    channels = _channels(graph, op)
    bits = weight_bits(graph, op)
    if channels is None or bits is None:
        return
    _, height, width, depth = graph.tensors[op.input].shape
    pixels, taps = height * width, round_up(depth, 4)
    adds_up = bits == 4 and taps <= _MOST_SUMMED
    size_in, size_out = (graph.tensors[i].size_bytes for i in (op.input, op.output))
    for group in even_groups(GROUP_PIXELS, pixels):
        yield PanelLayer(
            function="conv_pointwise_s4" if adds_up else "conv_pointwise",
            channels=channels,
            order=swapped_order(taps),
            micro_kernel=PAIRS_KERNEL,
            fields=(Field("pixels", pixels), Field("inputs", depth), Field("group", group)),
            pairs=group // 2,
            scratch_bytes=2 * (group + 1) * taps,
            # Group by group, outputs end before the inputs of the next.
            lead_bytes=max(0, size_out - size_in),
            bits=bits,
            real=np.ones(taps, bool) if adds_up else None,
        )


KERNELS = panel_kernels("conv_pointwise", _layers)
