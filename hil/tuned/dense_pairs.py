"""FullyConnected by pairs of units, on cores with DSP: fc_pairs.S, slow and short."""

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
from hil.tuned.dense import row_lead_bytes
from hil.tuned.requantize import Channels, Int64Array, channels_of
from hil.types import Board, Step

_NAME = "fully_connected_pairs_s8"
_SCALE_BYTES = 24  # factor, constant and right shift of both units of a pair
_MOST = 2**16 - 1  # the record counts in uint16_t


def _channels(graph: Graph, op: FullyConnected) -> Channels | None:
    """The units of a layer of int8 weights; None if the requantization is not exact."""
    weights = graph.tensors[op.weights]
    if weights.data is None or weights.dtype != "int8":
        return None
    return channels_of(graph, op, weights.data.astype(np.int64))


def _rows(units: int) -> Int64Array:
    """The unit of each row of the pairs: the last is there twice if they are odd."""
    return np.minimum(np.arange(round_up(units, 2)), units - 1)


def _scales(channels: Channels) -> tuple[Int64Array, int]:
    """As `hil.tuned.dense.unit_scales`, for pairs."""
    scales = np.stack([channels.factor, channels.constant, channels.right_shift], axis=1)
    if (scales == scales[0]).all():
        return np.repeat(scales[:1], 2, axis=0), -_SCALE_BYTES
    return scales[_rows(len(scales))], 0


def pack_paired_units(channels: Channels) -> Words:
    """(pairs, words): two biases, then words of four weights of the first unit and of the second.

    Weights of inputs that do not exist are 0.
    """
    rows = _rows(len(channels.bias))
    biases = channels.bias[rows].astype(np.int32).view(np.uint32).reshape(-1, 2)
    depth = channels.weights.shape[1]
    padded = np.pad(channels.weights[rows], ((0, 0), (0, -depth % 4))).astype(np.int8)
    words = np.ascontiguousarray(padded).view("<u4").reshape(len(rows) // 2, 2, -1)
    weights = words.transpose(0, 2, 1).reshape(len(words), -1)
    return np.concatenate([biases, weights], axis=1)


def unpack_paired_units(words: Words, units: int, inputs: int) -> tuple[Int64Array, Int64Array]:
    """The inverse of `pack_paired_units`: weights (units, inputs) and biases."""
    biases = np.ascontiguousarray(words[:, :2]).view(np.int32).astype(np.int64).reshape(-1)
    by_unit = words[:, 2:].reshape(len(words), -1, 2).transpose(0, 2, 1)
    weights = np.ascontiguousarray(by_unit).view(np.int8).reshape(2 * len(words), -1)
    return weights[:units, :inputs].astype(np.int64), biases[:units]


def _kernels(graph: Graph, op: FullyConnected, board: Board) -> Iterator[Kernel]:
    if not has_dsp(board):
        return
    units, depth = graph.tensors[op.weights].shape
    rows = graph.tensors[op.input].elements // depth
    if max(units, depth, rows) <= _MOST and _channels(graph, op) is not None:
        yield Kernel(_NAME, lead_bytes=row_lead_bytes(graph, op))


def _call(graph: Graph, step: Step, op: FullyConnected) -> Call:
    channels = _channels(graph, op)
    assert channels is not None, "only layers of its kernel are called"
    units, depth = graph.tensors[op.weights].shape
    scales, scale_step = _scales(channels)
    words = (scales.astype(np.int32).view(np.uint32), pack_paired_units(channels))
    return job_call(
        graph,
        step,
        op,
        function=_NAME,
        fields=(
            Field("inputs", depth),
            Field("units", units),
            Field("scale_step", scale_step),
            Field("rows", graph.tensors[op.input].elements // depth),
        ),
        arrays=(("panels", "uint32_t", np.concatenate([one.reshape(-1) for one in words])),),
        clamp=channels.clamp,
    )


def _weight_bytes(graph: Graph, op: FullyConnected) -> int:
    channels = _channels(graph, op)
    assert channels is not None, "only layers of its kernel are asked"
    return 4 * (_scales(channels)[0].size + pack_paired_units(channels).size)


KERNELS = (TunedKernel(name=_NAME, kernels=_kernels, call=_call, weight_bytes=_weight_bytes),)
