"""Conv2D of any filter: conv_short.c. Weights of 0 need not be stored: `conv_short_sparse`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compress.ops import Conv2D
from compress.types import Graph
from hil.kernel_interface.call import Call, Words, size_text, stride_text
from hil.kernel_interface.operator_kernels import Kernel, TunedKernel
from hil.tuned.calls import Field, job_call, room_bytes
from hil.tuned.cores import has_dsp
from hil.tuned.panels import (
    PANEL_CHANNELS,
    fit_panels,
    natural_order,
    pack_panels,
    panel_rows,
)
from hil.tuned.requantize import Channels, Int64Array, channels_of
from hil.tuned.weight_panels import even_groups, weight_bits
from hil.tuned.windows import windows_lead_bytes
from hil.tuned_short.scales import odd_zero_point, pack_scales
from hil.types import Board, Step

Bytes = npt.NDArray[np.uint8]

_NAME = "conv_short"
_FUNCTION = "conv_short"
# Pixels whose windows are copied at a time: as many as stay within so many bytes, or a few. A
# panel is read, or filled, once for each group.
_GROUP_PIXELS = (24, 16, 12, 8, 4, 2)
_MOST_WINDOW_BYTES = 4096
_MOST = 2**15 - 1  # the record counts in uint16_t, and where windows begin in int16_t


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """The channels, an even number of taps each, and their scales."""

    channels: Channels
    scales: Words

    @property
    def taps(self) -> int:
        return self.channels.weights.shape[1]


def _layer(graph: Graph, op: Conv2D) -> _Layer | None:
    """None without a proof, or if the record cannot count."""
    data = graph.tensors[op.weights].data
    if data is None or weight_bits(graph, op) != 8:
        return None
    units, rows, columns, depth = data.shape
    has_gaps = (op.dilation[0] > 1 and rows > 1) or (op.dilation[1] > 1 and columns > 1)
    if has_gaps or depth != graph.tensors[op.input].shape[3]:
        return None
    taps = data.reshape(units, -1).astype(np.int64)
    channels = channels_of(graph, op, np.pad(taps, ((0, 0), (0, taps.shape[1] % 2))))
    if channels is None or not fit_panels(channels) or not _is_countable(graph, op):
        return None
    scales = pack_scales(channels, graph.tensors[op.output].zero_point)
    return None if scales is None else _Layer(channels, scales)


def _is_countable(graph: Graph, op: Conv2D) -> bool:
    _, height, width, depth = graph.tensors[op.input].shape
    _, out_height, out_width, units = graph.tensors[op.output].shape
    _, rows, columns, _ = graph.tensors[op.weights].shape
    counted = (
        *(height, width * depth, out_height, out_width, units, op.stride[0], op.padding.top),
        *(op.stride[1] * depth, op.padding.left * depth, 4 * (rows * columns * depth + 1)),
    )
    return max(counted) <= _MOST


def _groups(graph: Graph, op: Conv2D, layer: _Layer) -> Iterator[int]:
    """Numbers of pixels at a time, the fastest first."""
    _, out_height, out_width, _ = graph.tensors[op.output].shape
    pixels = out_height * out_width
    groups = even_groups(_GROUP_PIXELS, pixels)
    fitting = [one for one in groups if 2 * one * layer.taps <= _MOST_WINDOW_BYTES]
    fewest = min(fitting or groups[-1:], key=lambda one: (-(-pixels // one), one))
    yield from dict.fromkeys((fewest, groups[-1]))


def _scratch_bytes(layer: _Layer, group: int, is_sparse: bool) -> int:
    """A panel of bytes, if it is filled; windows of half-words."""
    return (PANEL_CHANNELS * layer.taps if is_sparse else 0) + 2 * group * layer.taps


def sparse_panels(weights: Int64Array) -> tuple[Bytes, npt.NDArray[np.int8]]:
    """(panels, taps / 2) of bits, and the weights that are not 0.

    A panel has a bit for each weight, in the order of the bytes of `pack_panels`, the first one of
    a byte the highest. `weights` is (channels, taps), an even number of taps.
    """
    by_panel = weights[panel_rows(len(weights))].reshape(-1, 2, 2, weights.shape[1] // 2, 2)
    # panel, pair of taps, pair of channels, tap, channel
    values = np.ascontiguousarray(by_panel.transpose(0, 3, 1, 4, 2)).astype(np.int8)
    flat = values.reshape(len(by_panel), -1)
    return np.packbits(flat != 0, axis=1), flat[flat != 0]


def unpack_sparse(bits: Bytes, values: npt.NDArray[np.int8], channels: int) -> Int64Array:
    """The inverse of `sparse_panels`: (channels, taps)."""
    taken = np.unpackbits(bits, axis=1).astype(bool)
    flat = np.zeros(taken.shape, np.int64)
    flat[taken] = values
    by_panel = flat.reshape(len(bits), -1, 2, 2, 2).transpose(0, 2, 4, 1, 3)
    weights = np.empty((channels, taken.shape[1] // PANEL_CHANNELS), np.int64)
    weights[panel_rows(channels)] = by_panel.reshape(-1, weights.shape[1])
    return weights


def _tuned(is_sparse: bool) -> TunedKernel[Conv2D]:
    name = f"{_NAME}_sparse" if is_sparse else _NAME

    def kernels(graph: Graph, op: Conv2D, board: Board) -> Iterator[Kernel]:
        layer = _layer(graph, op) if has_dsp(board) else None
        if layer is None or (is_sparse and not _saves(layer)):
            return
        for group in _groups(graph, op, layer):
            size_bytes = _scratch_bytes(layer, group, is_sparse)
            yield Kernel(name, size_bytes, lead_bytes=windows_lead_bytes(graph, op, group))

    def call(graph: Graph, step: Step, op: Conv2D) -> Call:
        layer = _layer(graph, op)
        assert layer is not None, "only layers of its kernel are called"
        return _call(graph, step, op, layer, is_sparse)

    def weight_bytes(graph: Graph, op: Conv2D) -> int:
        layer = _layer(graph, op)
        assert layer is not None, "only layers of its kernel are asked"
        return sum(one.nbytes for _, _, one in _arrays(layer, is_sparse))

    return TunedKernel(
        name=name,
        kernels=kernels,
        call=call,
        weight_bytes=weight_bytes,
        saves_flash=True,
        is_sparse=is_sparse,
    )


def _saves(layer: _Layer) -> bool:
    """True if weights are fewer bytes without those that are 0."""
    plain, sparse = (
        sum(one.nbytes for _, _, one in _arrays(layer, is_sparse)) for is_sparse in (False, True)
    )
    return sparse < plain


def _arrays(layer: _Layer, is_sparse: bool) -> Sequence[tuple[str, str, npt.NDArray[np.generic]]]:
    scales = ("scales", "int32_t", layer.scales.view(np.int32))
    if is_sparse:
        bits, values = sparse_panels(layer.channels.weights)
        values = values if values.size else np.zeros(1, np.int8)  # C has no empty array
        return (("weights", "uint8_t", bits), ("values", "int8_t", values), scales)
    panels = pack_panels(layer.channels.weights, natural_order(layer.taps))
    return (("weights", "uint32_t", panels), scales)


def _call(graph: Graph, step: Step, op: Conv2D, layer: _Layer, is_sparse: bool) -> Call:
    _, height, width, depth = graph.tensors[op.input].shape
    _, out_height, out_width, units = graph.tensors[op.output].shape
    _, rows, columns, _ = graph.tensors[op.weights].shape
    room = room_bytes(step)
    group = next(
        group
        for group in _groups(graph, op, layer)
        if _scratch_bytes(layer, group, is_sparse) <= room
    )
    members = {
        "height": height,
        "row_bytes": width * depth,
        "out_height": out_height,
        "out_width": out_width,
        "channels": units,
        "filter_rows": rows,
        "run_bytes": columns * depth,
        "stride": op.stride[0],
        "step_bytes": op.stride[1] * depth,
        "top": op.padding.top,
        "panel_words": layer.taps,
        "panel_bytes": layer.taps // 2 if is_sparse else PANEL_CHANNELS * layer.taps,
        "group": group,
        "left": -op.padding.left * depth,
        "padding": graph.tensors[op.input].zero_point,
        "odd": odd_zero_point(graph.tensors[op.output].zero_point),
    }
    fill = (Field("fill", "fill_panel"),) if is_sparse else ()
    return job_call(
        graph,
        step,
        op,
        function=_FUNCTION,
        fields=(*fill, *(Field(name, value) for name, value in members.items())),
        arrays=_arrays(layer, is_sparse),
        clamp=layer.channels.clamp,
        window=(f"filter {size_text((rows, columns))}", *stride_text(op.stride)),
    )


KERNELS = (_tuned(is_sparse=False), _tuned(is_sparse=True))
