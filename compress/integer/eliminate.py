"""Lossless elimination of dead channels: constant ones, and those that nothing reads.

A channel is constant where its kernel is all zeros, where every sum saturates, or where it is
computed from constant channels. Its contribution to the sums of the operators that read it is
added to their bias, and the channel is cut out. All arithmetic is in exact integers: the output
keeps every bit.
"""

from __future__ import annotations

from typing import TypeGuard

import numpy as np
import numpy.typing as npt

from compress.arithmetic.accumulate import centered_weights
from compress.arithmetic.fixedpoint import Int64Array
from compress.arithmetic.intervals import Bounds
from compress.arithmetic.windows import pad, taps
from compress.errors import UserError
from compress.integer.bounds import bounds
from compress.integer.tied_channels import Classes, cut, tied_channels
from compress.operator_interface.channels import FIXED
from compress.operator_interface.weighted import mixes_all_channels
from compress.ops import Conv2D, FullyConnected, Op, outputs_of
from compress.types import Array, Graph

_LARGEST_BIAS = 2**31 - 1


def eliminate(graph: Graph, multiple: int = 1) -> Graph:
    """`graph` without its dead channels: equal outputs, bit for bit, for every input.

    A channel is removed, with all that are tied to it, if no operator needs it: each reader has
    only zero weights for it, or gets the same contribution from it at every position of its
    output, border pixels included, which then is added to its bias. Every activation keeps at
    least one channel; input and output keep all. With a `multiple`, dead channels are kept where
    their removal would leave a width that is not a multiple of it. It does not pay: MLPerf Tiny's
    visual wake words takes 16,368,706 instructions on m4 with 1 and 16,381,745 with 4, which
    keeps 1,540 bytes more in flash (decision 0013).

    `graph` must have passed `check_graph`; the result passes it, too. Raises UnsupportedLayer as
    `compress.integer.reference` does.
    """
    while (smaller := _narrowed(graph, multiple)) is not None:
        graph = smaller
    return graph


def _narrowed(graph: Graph, multiple: int) -> Graph | None:
    """`graph` after one round, None if no channel can be removed.

    The next round may find more dead channels, in earlier layers.
    """
    found, classes = bounds(graph), tied_channels(graph)
    needed = {FIXED}
    shares: dict[int, Int64Array] = {}
    for op in graph.ops:
        if _adds_up(op, graph):
            constant, share = _shares(graph, op, found[op.input])
            needed.update(classes[op.input][~constant].tolist())
            shares[op.output] = share
    every = np.unique(np.concatenate(list(classes.values())))
    gone = set(every.tolist()) - needed
    gone -= _too_many(graph, classes, gone, multiple)
    if not gone:
        return None
    kept = {index: ~np.isin(own, list(gone)) for index, own in classes.items()}
    biases = {
        op.output: _folded(graph, op, shares[op.output][~kept[op.input]])
        for op in graph.ops
        if _adds_up(op, graph)
    }
    return cut(graph, kept, biases)


def _adds_up(op: Op, graph: Graph) -> TypeGuard[Conv2D | FullyConnected]:
    """True if each output channel of `op` is a sum over all of its input channels."""
    return isinstance(op, Conv2D | FullyConnected) and mixes_all_channels(graph, op)


def _shares(
    graph: Graph, op: Conv2D | FullyConnected, x: Bounds
) -> tuple[npt.NDArray[np.bool_], Int64Array]:
    """(constant, share): the constant contributions of the channels of x to the sums of `op`.

    `constant`, bool (channels,), is True for a channel whose contribution is the same for every
    input and at every position; its row of `share`, int64 (channels, outputs), has it.
    In the padding x has its zero point, so a channel that has another value contributes
    differently at the border, unless the weights in question are zeros.
    """
    channels = graph.tensors[op.input].shape[-1]
    weights = centered_weights(graph, op)
    weights = weights.reshape(len(weights), -1, channels).astype(np.int64)
    values = x.lowest.astype(np.int64) - graph.tensors[op.input].zero_point
    same = np.zeros(channels, np.bool_)
    shares = np.zeros((channels, len(weights)), np.int64)
    for channel in range(channels):
        by_tap = weights[..., channel]
        read = by_tap.any(axis=0)
        seen = _seen(graph, op, values[..., [channel]])[read]
        changing = _seen(graph, op, ~x.known[..., [channel]])[read]
        sums = by_tap[:, read] @ seen
        if not changing.any() and (sums == sums[:, :1]).all():
            same[channel], shares[channel] = True, sums[:, 0]
    bias = np.abs(_data(graph, op.bias).astype(np.int64))
    # Accumulators of int8 stay within int32. On int16 they have 64 bits, and the int32 bias may
    # be too small for the contributions.
    if (bias + np.abs(shares).sum(axis=0) > _LARGEST_BIAS).any():
        same &= ~shares.any(axis=1)
    return same, shares


def _seen(graph: Graph, op: Conv2D | FullyConnected, channel: Array) -> Array:
    """The values that each tap of the window reads: (taps, positions), 0 in the padding.

    `channel` is one channel of the input, (1, ..., 1).
    """
    if isinstance(op, FullyConnected):
        taps_in_row = graph.tensors[op.weights].shape[1] // graph.tensors[op.input].shape[-1]
        rows: Array = channel.reshape(-1, taps_in_row)
        return rows.T
    padded = pad(channel, op.padding, 0)
    window, output = graph.tensors[op.weights].shape[1:3], graph.tensors[op.output].shape
    views = taps(padded, window, op.stride, op.dilation, output)
    return np.stack([view.ravel() for view in views])


def _folded(graph: Graph, op: Conv2D | FullyConnected, shares: Int64Array) -> Array:
    """The bias plus the contributions `shares` (channels, outputs) of the removed channels."""
    folded: Array = _data(graph, op.bias) + shares.sum(axis=0)
    return folded.astype(np.int32)


def _too_many(graph: Graph, classes: Classes, gone: set[int], multiple: int) -> set[int]:
    """The classes in `gone` that must be kept for the widths that their activations need."""
    fewest = {index: _fewest(graph, op) for op in graph.ops for index in outputs_of(op)}
    stay: set[int] = set()
    changed = True
    while changed:
        changed = False
        for index, own in classes.items():
            leaving = [c for c in own.tolist() if c in gone - stay]
            left = len(own) - len(leaving)
            wanted = max(left, fewest.get(index, 1))
            wanted += -wanted % multiple
            if leaving and left < wanted:
                stay.update(leaving[: wanted - left])
                changed = True
    return stay


def _fewest(graph: Graph, op: Op) -> int:
    """The smallest number of channels of an output of `op`.

    A FullyConnected with a scale per unit keeps two: with a single scale its multiplier would be
    computed in another precision (`conv_multipliers`).
    """
    return 2 if isinstance(op, FullyConnected) and len(graph.tensors[op.weights].scales) > 1 else 1


def _data(graph: Graph, index: int) -> Array:
    data = graph.tensors[index].data
    if data is None:
        raise UserError(f"{graph.name}: tensor {graph.tensors[index].name} has no data")
    return data
