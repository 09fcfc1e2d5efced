"""FullyConnected with int8 weights, on cores with DSP: fully_connected_s8.c."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compress.ops import FullyConnected
from compress.types import Graph
from hil.kernel_interface.call import Call
from hil.kernel_interface.limits import round_up
from hil.kernel_interface.operator_kernels import Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import has_dsp
from hil.tuned.panels import PANEL_CHANNELS, fit_panels, pack_panels, swapped_order
from hil.tuned.requantize import Channels, Int64Array, channels_of
from hil.types import Board, Step

NAME = "fully_connected_s8"

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


def lead_bytes(graph: Graph, op: FullyConnected) -> int:
    """How far the output starts before the input that it may lie over.

    While row r of the output is written, rows from r on of the input are still to be read: with
    rows of u and i bytes, (r + 1) u <= lead + r i. For one row that is no byte in common.
    """
    units, depth = graph.tensors[op.weights].shape
    rows = graph.tensors[op.input].elements // depth
    return units + max(0, (rows - 1) * (units - depth))


def _channels(graph: Graph, op: FullyConnected) -> Channels | None:
    if graph.tensors[op.weights].dtype != "int8":
        return None
    channels = unit_channels(graph, op)
    return channels if channels is not None and fit_panels(channels) else None


def _kernels(graph: Graph, op: FullyConnected, board: Board) -> Iterator[Kernel]:
    if has_dsp(board) and _channels(graph, op) is not None:
        yield Kernel(NAME, lead_bytes=lead_bytes(graph, op))


def _call(graph: Graph, step: Step, op: FullyConnected) -> Call:
    channels = _channels(graph, op)
    assert channels is not None, "only layers of its kernel are called"
    units, depth = graph.tensors[op.weights].shape
    scales, scale_step = unit_scales(channels)
    weights = pack_panels(channels.weights, swapped_order(channels.weights.shape[1]))
    return job_call(
        graph,
        step,
        op,
        function=NAME,
        fields=(
            Field("scale_step", scale_step),
            Field("rows", graph.tensors[op.input].elements // depth),
            Field("inputs", depth),
            Field("units", units),
        ),
        arrays=(
            ("weights", "uint32_t", weights),
            ("biases", "int32_t", channels.bias),
            ("scales", "int32_t", scales),
        ),
        clamp=channels.clamp,
    )


def _weight_bytes(graph: Graph, op: FullyConnected) -> int:
    channels = _channels(graph, op)
    assert channels is not None, "only layers of its kernel are asked"
    return channels.weights.size + 4 * (channels.bias.size + unit_scales(channels)[0].size)


KERNELS = (TunedKernel(name=NAME, kernels=_kernels, call=_call, weight_bytes=_weight_bytes),)
