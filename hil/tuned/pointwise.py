"""Conv2D with a filter of 1x1 and stride 1, on cores with DSP: conv_pointwise.c."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compress.ops import Conv2D
from compress.types import Graph
from hil.kernel_interface.call import Call
from hil.kernel_interface.operator_kernels import Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import has_dsp, reads_weights_from_ram
from hil.tuned.panel_kernel import PAIRS_KERNEL
from hil.tuned.panels import (
    fit_panels,
    pack_panels,
    panel_parameters,
    panel_rows,
    swapped_order,
)
from hil.tuned.requantize import Channels, channels_of
from hil.types import Board, Step

# Pixels that are expanded at a time: more would cost RAM and save few calls, fewer cost calls.
GROUP_PIXELS = (24, 8, 4, 2)


def _channels(graph: Graph, op: Conv2D) -> Channels | None:
    """The channels of a 1x1 convolution that a panel computes exactly; None for another."""
    data = graph.tensors[op.weights].data
    if data is None or graph.tensors[op.weights].dtype != "int8":
        return None
    units, rows, columns, depth = data.shape
    pad = op.padding
    if (rows, columns) != (1, 1) or op.stride != (1, 1) or depth % 4:
        return None
    if depth != graph.tensors[op.input].shape[3] or pad.top or pad.bottom or pad.left or pad.right:
        return None
    channels = channels_of(graph, op, data.reshape(units, depth).astype(np.int64))
    return channels if channels is not None and fit_panels(channels) else None


def _groups(graph: Graph, op: Conv2D) -> tuple[int, ...]:
    """Even numbers of pixels that may be expanded at a time, the fastest first."""
    _, height, width, _ = graph.tensors[op.input].shape
    pixels = height * width
    even = pixels + pixels % 2
    return tuple(dict.fromkeys(min(group, even) for group in GROUP_PIXELS))


def _kernels(graph: Graph, op: Conv2D, board: Board, weights_in_ram: bool) -> Iterator[Kernel]:
    if not has_dsp(board) or reads_weights_from_ram(board) != weights_in_ram:
        return
    if _channels(graph, op) is None:
        return
    depth = graph.tensors[op.input].shape[3]
    size_in, size_out = (graph.tensors[i].size_bytes for i in (op.input, op.output))
    for group in _groups(graph, op):
        yield Kernel(
            _name(weights_in_ram),
            scratch_bytes=_scratch_bytes(group, depth, weights_in_ram),
            # Group by group, outputs end before the inputs of the next.
            lead_bytes=max(0, size_out - size_in),
        )


def _scratch_bytes(group: int, depth: int, weights_in_ram: bool) -> int:
    """Expanded pixels, and the last of an odd number twice; a panel of weights."""
    return 2 * (group + 1) * depth + (4 * depth if weights_in_ram else 0)


def _name(weights_in_ram: bool) -> str:
    return "conv_pointwise_ram" if weights_in_ram else "conv_pointwise"


def _call(graph: Graph, step: Step, op: Conv2D) -> Call:
    channels = _channels(graph, op)
    assert channels is not None, "only layers of its kernel are called"
    _, height, width, depth = graph.tensors[op.input].shape
    units = len(channels.bias)
    weights = pack_panels(channels.weights, swapped_order(depth))
    weights_in_ram = step.kernel == _name(True)
    room = 0 if step.scratch is None else step.scratch.size_bytes
    group = next(g for g in _groups(graph, op) if _scratch_bytes(g, depth, weights_in_ram) <= room)
    return job_call(
        graph,
        step,
        op,
        function="conv_pointwise",
        fields=(
            Field("kernel", PAIRS_KERNEL.name),
            Field("pixels", height * width),
            Field("inputs", depth),
            Field("channels", units),
            Field("group", group),
            Field("weights_in_ram", int(weights_in_ram)),
        ),
        arrays=(
            ("weights", "uint32_t", weights),
            ("parameters", "int32_t", panel_parameters(channels)),
        ),
        instances=(PAIRS_KERNEL,),
        clamp=channels.clamp,
    )


def _weight_bytes(graph: Graph, op: Conv2D) -> int:
    units, _, _, depth = graph.tensors[op.weights].shape
    return len(panel_rows(units)) * (depth + 16)


def _tuned(weights_in_ram: bool) -> TunedKernel[Conv2D]:
    return TunedKernel(
        name=_name(weights_in_ram),
        kernels=lambda graph, op, board: _kernels(graph, op, board, weights_in_ram),
        call=_call,
        weight_bytes=_weight_bytes,
    )


KERNELS = (_tuned(False), _tuned(True))
