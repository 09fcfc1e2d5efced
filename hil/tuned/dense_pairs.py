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
_PARAMETERS = 4  # of a unit: bias, factor, constant, right shift
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


def pack_pairs(channels: Channels) -> Words:
    """(pairs, words): two biases, factor, constant and right shift of each unit, then the weights.

    Of these, words of four of the first unit and of the second alternate; those of inputs that do
    not exist are 0.
    """
    rows = _rows(len(channels.bias))
    scales = np.stack([channels.factor, channels.constant, channels.right_shift], axis=1)[rows]
    parameters = np.concatenate(
        [channels.bias[rows].reshape(-1, 2), scales.reshape(-1, 6)], axis=1
    ).astype(np.int32)
    depth = channels.weights.shape[1]
    padded = np.pad(channels.weights[rows], ((0, 0), (0, -depth % 4))).astype(np.int8)
    words = np.ascontiguousarray(padded).view("<u4").reshape(len(rows) // 2, 2, -1)
    weights = words.transpose(0, 2, 1).reshape(len(words), -1)
    return np.concatenate([parameters.view(np.uint32), weights], axis=1)


def unpack_pairs(words: Words, units: int, inputs: int) -> tuple[Int64Array, Int64Array]:
    """The inverse of `pack_pairs`: weights (units, inputs), and bias, factor, constant, shift."""
    numbers = np.ascontiguousarray(words[:, :8]).view(np.int32).astype(np.int64)
    biases, scales = numbers[:, :2].reshape(-1, 1), numbers[:, 2:].reshape(-1, 3)
    parameters = np.concatenate([biases, scales], axis=1)
    by_unit = words[:, 8:].reshape(len(words), -1, 2).transpose(0, 2, 1)
    weights = np.ascontiguousarray(by_unit).view(np.int8).reshape(2 * len(words), -1)
    return weights[:units, :inputs].astype(np.int64), parameters[:units]


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
    return job_call(
        graph,
        step,
        op,
        function=_NAME,
        fields=(
            Field("rows", graph.tensors[op.input].elements // depth),
            Field("inputs", depth),
            Field("units", units),
        ),
        arrays=(("pairs", "uint32_t", pack_pairs(channels)),),
        clamp=channels.clamp,
    )


def _weight_bytes(graph: Graph, op: FullyConnected) -> int:
    units, depth = graph.tensors[op.weights].shape
    return round_up(units, 2) * (round_up(depth, 4) + 4 * _PARAMETERS)


KERNELS = (TunedKernel(name=_NAME, kernels=_kernels, call=_call, weight_bytes=_weight_bytes),)
