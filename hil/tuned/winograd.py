"""Conv2D with filters of 3x3 and stride 1 by Winograd's F(2x2, 3x3), on cores with DSP.

Exact: with twice Winograd's filter matrix G, transformed filters are integers, and the outputs four
times the sums (Lavin and Gray, arXiv:1509.09308). Transformed inputs are at most 4 * 128. Weights
take 32 bytes for each 9 of int8, and scratch holds the transformed inputs of a row of tiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from compress.ops import Conv2D
from compress.types import Graph
from hil.kernel_interface.call import Call, Words, size_text
from hil.kernel_interface.limits import round_up
from hil.kernel_interface.operator_kernels import Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import has_dsp
from hil.tuned.panels import PANEL_CHANNELS, panel_parameters, panel_rows, swapped_order
from hil.tuned.requantize import Channels, Int64Array
from hil.tuned.row_ring import RowRing, ring_channels, ring_of
from hil.types import Board, Step

_NAME = "conv_winograd"
_TWICE_G = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]])
_POSITIONS = 16
_CHANNELS_STEP = 16  # winograd_products.S: eight words at a time
_PARAMETERS_BYTES = 16  # of a channel: bias, factor, constant, shift


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """A layer as conv_winograd.c runs it. `filters` are (channels, 16 positions, inputs)."""

    ring: RowRing  # with the columns of all tiles
    channels: Channels
    filters: Int64Array
    tiles: int
    lead_bytes: int

    @property
    def scratch_bytes(self) -> int:
        """The ring and its rows' addresses, transformed inputs, sums of a panel."""
        ring, depth = self.ring, self.ring.channels_in
        words = self.tiles * (_POSITIONS * depth // 2 + _POSITIONS * PANEL_CHANNELS)
        return 4 * (ring.slots(2) * (ring.slot_words + 1) + words)


def transformed_filters(weights: Int64Array) -> Int64Array:
    """4 G k G^T of (channels, 3, 3, inputs): (channels, 16, inputs), rows of positions in order."""
    both: Int64Array = np.einsum("ai,oijc,bj->oabc", _TWICE_G, weights, _TWICE_G)
    return both.reshape(len(weights), _POSITIONS, -1)


def pack_filters(filters: Int64Array) -> Words:
    """(panels, 16, inputs / 2, 4) words: two inputs of each of a panel's channels."""
    channels, positions, depth = filters.shape
    halves = filters[panel_rows(channels)].astype(np.int16).astype(np.uint16).astype(np.uint32)
    first, second = np.array(swapped_order(depth), np.int64).T
    words = halves[:, :, first] | halves[:, :, second] << 16
    panels = words.reshape(-1, PANEL_CHANNELS, positions, depth // 2)
    return np.ascontiguousarray(panels.transpose(0, 2, 3, 1))


def unpack_filters(words: Words, channels: int) -> Int64Array:
    """The inverse of `pack_filters`: (channels, 16, inputs)."""
    panels, positions, pairs, _ = words.shape
    by_row = words.transpose(0, 3, 1, 2).reshape(panels * PANEL_CHANNELS, positions, pairs)
    first, second = np.array(swapped_order(2 * pairs), np.int64).T
    rows = np.empty((len(by_row), positions, 2 * pairs), np.int64)
    rows[:, :, first] = (by_row & 0xFFFF).astype(np.uint16).astype(np.int16)
    rows[:, :, second] = (by_row >> 16).astype(np.uint16).astype(np.int16)
    filters = np.empty((channels, positions, 2 * pairs), np.int64)
    filters[panel_rows(channels)] = rows
    return filters


def _layer(graph: Graph, op: Conv2D) -> _Layer | None:
    ring = ring_of(graph, op)
    weights = graph.tensors[op.weights]
    if ring is None or weights.shape[1:3] != (3, 3) or op.stride != (1, 1):
        return None
    if weights.dtype != "int8":  # they would take eight times as much flash
        return None
    if ring.channels_in % _CHANNELS_STEP:
        return None
    channels = ring_channels(graph, op, ring)
    if channels is None or ring.channels_out < PANEL_CHANNELS:
        return None
    filters = transformed_filters(channels.weights.reshape(-1, 3, 3, ring.channels_in))
    reach = np.abs(channels.bias) + 128 * np.abs(channels.weights).sum(1)
    if reach.max() >= 2**29:  # outputs are four times sums; filters, at most 9 * 128, are int16
        return None
    wide = replace(ring, out_columns=round_up(ring.out_columns, 4))  # an even number of tiles
    if not wide.is_countable(2):
        return None
    ends = [min(row + 2, ring.out_rows) for row in range(0, ring.out_rows, 2)]
    return _Layer(
        ring=wide,
        channels=channels,
        filters=filters,
        tiles=wide.out_columns // 2,
        lead_bytes=ring.lead_bytes((end - 1, end * ring.out_columns) for end in ends),
    )


def _kernels(graph: Graph, op: Conv2D, board: Board) -> Iterator[Kernel]:
    layer = _layer(graph, op) if has_dsp(board) else None
    if layer is not None:
        yield Kernel(_NAME, layer.scratch_bytes, lead_bytes=layer.lead_bytes)


def _call(graph: Graph, step: Step, op: Conv2D) -> Call:
    layer = _layer(graph, op)
    assert layer is not None, "only layers of its kernel are called"
    depth = layer.ring.channels_in
    _, out_rows, out_columns, units = graph.tensors[op.output].shape
    return job_call(
        graph,
        step,
        op,
        function=_NAME,
        fields=(
            *layer.ring.ring_fields(layer.ring.slots(2)),
            Field("out_rows", out_rows),
            Field("out_columns", out_columns),
            Field("tiles", layer.tiles),
            Field("inputs", depth),
            Field("channels", units),
        ),
        arrays=(
            ("weights", "uint32_t", pack_filters(layer.filters)),
            ("parameters", "int32_t", panel_parameters(layer.channels)),
        ),
        clamp=layer.channels.clamp,
        window=(f"filter {size_text((3, 3))}",),
    )


def _weight_bytes(graph: Graph, op: Conv2D) -> int:
    units, _, _, depth = graph.tensors[op.weights].shape
    return len(panel_rows(units)) * (2 * _POSITIONS * depth + _PARAMETERS_BYTES)


KERNELS = (
    TunedKernel(
        name=_NAME,
        kernels=_kernels,
        call=_call,
        weight_bytes=_weight_bytes,
        enlarges_weights=True,
    ),
)
