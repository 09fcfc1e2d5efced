"""FullyConnected and Conv2D of one window on cores without DSP: dense_scalar.c."""

from __future__ import annotations

from typing import Any

import numpy as np

from compress.ops import Conv2D, FullyConnected
from compress.types import Graph
from hil.kernel_interface.call import Call, Words
from hil.kernel_interface.limits import round_up
from hil.kernel_interface.operator_kernels import Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import is_scalar
from hil.tuned.panels import PANEL_CHANNELS, panel_rows
from hil.tuned.requantize import Channels, Int64Array, channels_of
from hil.tuned_scalar.pairs import channel_parameters, even_taps, fit_pairs
from hil.types import Board, Step

_NAME = "dense_scalar"


def _is_dense(graph: Graph, op: FullyConnected | Conv2D) -> bool:
    """True for a FullyConnected, and for a Conv2D whose only window is its whole input."""
    if isinstance(op, FullyConnected):
        return True
    whole = graph.tensors[op.weights].shape[1:] == graph.tensors[op.input].shape[1:]
    plain = op.dilation == (1, 1) and op.padding.top == op.padding.left == 0
    return whole and plain and graph.tensors[op.output].shape[1:3] == (1, 1)


def _channels(graph: Graph, op: FullyConnected | Conv2D) -> Channels | None:
    """The units of a layer that is computed exactly; None for another.

    Of an odd number of inputs the kernel reads one beyond, which the arena has, and multiplies it
    by 0.
    """
    data = graph.tensors[op.weights].data
    if data is None or graph.tensors[op.weights].dtype != "int8" or not _is_dense(graph, op):
        return None
    matrix = data.reshape(len(data), -1).astype(np.int64)
    units, depth = matrix.shape
    if units < PANEL_CHANNELS or (depth % 2 and graph.tensors[op.input].elements > depth):
        return None
    channels = channels_of(graph, op, matrix)
    return channels if channels is not None and fit_pairs(channels) else None


def pack_units(weights: Int64Array) -> Words:
    """(panels, inputs) words from (units, inputs): weights of four units, each with 128 added.

    An odd number of inputs gets one more, with weights of 0.
    """
    rows = (even_taps(weights)[panel_rows(len(weights))] + 128).astype(np.uint32)
    four = rows.reshape(-1, PANEL_CHANNELS, rows.shape[1])
    words: Words = (four << np.arange(0, 32, 8, dtype=np.uint32)[:, None]).sum(1, np.uint32)
    return words


def unpack_units(words: Words, units: int, inputs: int) -> Int64Array:
    """The inverse of `pack_units`: (units, inputs)."""
    shifts = np.arange(0, 32, 8, dtype=np.uint32)[:, None]
    rows = ((words[:, None] >> shifts) & 255).astype(np.int64) - 128
    weights = np.empty((units, words.shape[1]), np.int64)
    weights[panel_rows(units)] = rows.reshape(-1, words.shape[1])
    return weights[:, :inputs]


def _kernels(graph: Graph, op: FullyConnected | Conv2D, board: Board) -> tuple[Kernel, ...]:
    if not is_scalar(board) or _channels(graph, op) is None:
        return ()
    return (Kernel(_NAME),)


def _call(graph: Graph, step: Step, op: FullyConnected | Conv2D) -> Call:
    channels = _channels(graph, op)
    assert channels is not None, "only layers of its kernel are called"
    units, depth = channels.weights.shape
    rows, scales = panel_rows(units), channel_parameters(channels)[:, 1:]
    one_scale = bool((scales == scales[0]).all())
    return job_call(
        graph,
        step,
        op,
        function=_NAME,
        fields=(
            Field("scale_step", 0 if one_scale else 4 * scales.shape[1]),
            Field("rows", graph.tensors[op.input].elements // depth),
            Field("pairs", -(-depth // 2)),
            Field("units", units),
        ),
        arrays=(
            ("weights", "uint32_t", pack_units(channels.weights)),
            ("biases", "int32_t", channels.bias[rows]),
            ("scales", "int32_t", scales[:1] if one_scale else scales[rows]),
        ),
        clamp=channels.clamp,
    )


def _weight_bytes(graph: Graph, op: FullyConnected | Conv2D) -> int:
    weights = graph.tensors[op.weights]
    units = weights.shape[0]
    per_unit = round_up(weights.elements // units, 2) + (4 if len(weights.scales) == 1 else 16)
    return len(panel_rows(units)) * per_unit


DENSE_KERNEL: TunedKernel[Any] = TunedKernel(
    name=_NAME, kernels=_kernels, call=_call, weight_bytes=_weight_bytes
)
