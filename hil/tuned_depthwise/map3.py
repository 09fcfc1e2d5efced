"""DepthwiseConv2D with a filter of 3x3, stride 1 and padding 1, of maps of 3x3, on cores with DSP.

For maps this small what a channel costs besides its sums counts: depthwise_map3.S keeps one in
registers and leaves out the products with padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from compress.ops import DepthwiseConv2D, Padding
from compress.types import Graph
from hil.kernel_interface.call import Call
from hil.kernel_interface.operator_kernels import SAME_BYTE, Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import has_dsp
from hil.tuned.requantize import Channels
from hil.tuned_depthwise.records import (
    LARGEST_SUM,
    depthwise_channels,
    pack_records,
    record_bytes,
    rises_from_least,
)
from hil.types import Board, Step

_NAME = "depthwise_map3"


def _channels(graph: Graph, op: DepthwiseConv2D) -> Channels | None:
    """The channels, biases without the input's zero point; None for another layer.

    The kernel subtracts it from the inputs instead, which then reach 255.
    """
    if graph.tensors[op.weights].shape[1:3] != (3, 3) or op.stride != (1, 1):
        return None
    if graph.tensors[op.input].shape[1:3] != (3, 3) or op.padding != Padding(1, 1, 1, 1):
        return None
    channels = depthwise_channels(graph, op)
    if channels is None:
        return None
    zero_point = graph.tensors[op.input].zero_point
    bias = channels.bias + zero_point * channels.weights.sum(1)
    sums = np.abs(bias) + 255 * np.abs(channels.weights).sum(1)
    return replace(channels, bias=bias) if sums.max() < LARGEST_SUM else None


def _kernels(graph: Graph, op: DepthwiseConv2D, board: Board) -> Iterator[Kernel]:
    if has_dsp(board) and _channels(graph, op) is not None:
        # All inputs of a channel are read before its outputs are written.
        yield Kernel(_NAME, lead_bytes=SAME_BYTE)


def _call(graph: Graph, step: Step, op: DepthwiseConv2D) -> Call:
    channels = _channels(graph, op)
    assert channels is not None, "only layers of its kernel are called"
    kind = "relu" if rises_from_least(graph, op, channels) else "any"
    return job_call(
        graph,
        step,
        op,
        function=_NAME,
        fields=(
            Field("kernel", f"depthwise_map3_{kind}"),
            Field("channels", len(channels.bias)),
            Field("padding", graph.tensors[op.input].zero_point),
        ),
        arrays=(("records", "uint32_t", pack_records(channels)),),
        clamp=channels.clamp,
        window=("filter 3x3",),
    )


KERNELS = (TunedKernel(name=_NAME, kernels=_kernels, call=_call, weight_bytes=record_bytes),)
