"""FullyConnected on cores with DSP: fully_connected_s8.c and, for int4 weights, _s4.c."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compress.ops import FullyConnected
from compress.types import Graph
from hil.kernel_interface.call import Call, Words
from hil.kernel_interface.limits import round_up
from hil.kernel_interface.operator_kernels import Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import has_dsp
from hil.tuned.nibbles import fit_nibbles, pack_nibbles
from hil.tuned.panels import PANEL_CHANNELS, fit_panels, pack_panels, swapped_order
from hil.tuned.requantize import Channels, Int64Array, channels_of
from hil.types import Board, Step

_MOST = 2**16 - 1  # the record counts in uint16_t
_SCALE_BYTES = 12 * PANEL_CHANNELS  # factor, constant and right shift of each unit of a panel


def unit_channels(graph: Graph, op: FullyConnected) -> Channels | None:
    """The units of a layer, filled up to whole panels with copies of the last.

    Their inputs are filled up to a multiple of 4 with weights of 0. None if the requantization is
    not exact.
    """
    data = graph.tensors[op.weights].data
    if data is None:
        return None
    units, depth = data.shape
    more = ((0, round_up(units, PANEL_CHANNELS) - units), (0, 0))
    channels = channels_of(graph, op, data.astype(np.int64))
    if channels is None:
        return None

    def filled(values: Int64Array) -> Int64Array:
        return np.pad(values, more[: values.ndim], mode="edge")

    inputs = ((0, 0), (0, round_up(depth, 4) - depth))
    return Channels(
        weights=np.pad(filled(channels.weights), inputs),
        bias=filled(channels.bias),
        factor=filled(channels.factor),
        constant=filled(channels.constant),
        right_shift=filled(channels.right_shift),
        clamp=channels.clamp,
    )


def unit_scales(channels: Channels) -> tuple[Int64Array, int]:
    """(factor, constant and right shift of each unit, bytes from a panel's end to the next's).

    Units that all have the same share those of one panel: then the way leads back to them.
    """
    scales = np.stack([channels.factor, channels.constant, channels.right_shift], axis=1)
    if (scales == scales[0]).all():
        return scales[:PANEL_CHANNELS], -_SCALE_BYTES
    return scales, 0


def row_lead_bytes(graph: Graph, op: FullyConnected) -> int:
    """How far the output starts before the input that it may lie over.

    While row r of the output is written, rows from r on of the input are still to be read: with
    rows of u and i bytes, (r + 1) u <= lead + r i. For one row that is no byte in common.
    """
    units, depth = graph.tensors[op.weights].shape
    rows = graph.tensors[op.input].elements // depth
    return units + max(0, (rows - 1) * (units - depth))


def _is_exact(channels: Channels, bits: int) -> bool:
    return fit_panels(channels) if bits == 8 else fit_nibbles(channels)


def _kernels(graph: Graph, op: FullyConnected, board: Board, bits: int) -> Iterator[Kernel]:
    if not has_dsp(board) or graph.tensors[op.weights].dtype != f"int{bits}":
        return
    channels = unit_channels(graph, op)
    units, depth = graph.tensors[op.weights].shape
    rows = graph.tensors[op.input].elements // depth
    if max(units, depth, rows) > _MOST:
        return
    if channels is not None and _is_exact(channels, bits):
        yield Kernel(_name(bits), lead_bytes=row_lead_bytes(graph, op))


def _name(bits: int) -> str:
    return f"fully_connected_s{bits}"


def _call(graph: Graph, step: Step, op: FullyConnected, bits: int) -> Call:
    channels = unit_channels(graph, op)
    assert channels is not None, "only layers of its kernel are called"
    units, depth = graph.tensors[op.weights].shape
    _, scale_step = unit_scales(channels)
    return job_call(
        graph,
        step,
        op,
        function=_name(bits),
        fields=(
            Field("inputs", depth),
            Field("units", units),
            Field("scale_step", scale_step),
            Field("rows", graph.tensors[op.input].elements // depth),
        ),
        arrays=(("panels", "uint32_t", pack_dense_panels(channels, bits, depth)),),
        clamp=channels.clamp,
    )


def pack_dense_panels(channels: Channels, bits: int, depth: int) -> Words:
    """Scales, as `unit_scales`, then for each panel four biases and the weights of `depth` inputs.

    `channels` are those of `unit_channels`: whole panels, with weights of 0 behind a row's inputs.
    """
    order = swapped_order(channels.weights.shape[1])
    if bits == 8:
        weights = pack_panels(channels.weights, order)
    else:  # bytes behind a row are read, too: their half-words are 0
        weights = pack_nibbles(
            channels.weights, order, np.arange(channels.weights.shape[1]) < depth
        )
    biases = channels.bias.astype(np.int32).view(np.uint32).reshape(-1, PANEL_CHANNELS)
    panels = np.concatenate([biases, weights.reshape(len(biases), -1)], axis=1)
    scales = unit_scales(channels)[0].astype(np.int32).view(np.uint32)
    return np.concatenate([scales.reshape(-1), panels.reshape(-1)])


def _weight_bytes(graph: Graph, op: FullyConnected, bits: int) -> int:
    channels = unit_channels(graph, op)
    assert channels is not None, "only layers of its kernel are asked"
    words = channels.bias.size + unit_scales(channels)[0].size
    return channels.weights.size * bits // 8 + 4 * words


def _tuned(bits: int) -> TunedKernel[FullyConnected]:
    return TunedKernel(
        name=_name(bits),
        kernels=lambda graph, op, board: _kernels(graph, op, board, bits),
        call=lambda graph, step, op: _call(graph, step, op, bits),
        weight_bytes=lambda graph, op: _weight_bytes(graph, op, bits),
    )


KERNELS = (_tuned(8), _tuned(4))
