"""Lossless elimination of channels: those that are always the same, and those nobody reads.

A channel is always the same where its kernel is all zeros, where every sum saturates, or where it
is computed from such channels. What it adds to the sums of the operators that read it then goes
into their bias, and it is cut out. All is decided by exact integers: the output keeps every bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from compress.errors import UserError
from compress.integer.bounds import Bounds, bounds
from compress.integer.fixedpoint import Int64Array
from compress.integer.tied_channels import FIXED, Classes, cut, tied_channels
from compress.integer.windows import pad, taps
from compress.ops import Conv2D, FullyConnected, Op
from compress.types import Array, Graph

_LARGEST_BIAS = 2**31 - 1


def eliminate(graph: Graph, multiple: int = 1) -> Graph:
    """`graph` without its dead channels: equal outputs, bit for bit, for every input.

    A channel goes, with all that are tied to it, if no operator needs it any more: each that
    reads it has only zero weights for it, or gets the same from it at every position of its
    output, border pixels included, which then is in its bias. Every activation keeps one channel
    at least; input and output keep all. With a `multiple`, dead channels stay where a width would
    not be one. It does not pay: MLPerf Tiny's visual wake words takes 16,368,706 instructions on
    m4 with 1 and 16,381,745 with 4, which keeps 1,540 bytes more in flash (decision 0013).

    `graph` must have passed `check_graph`; the result passes it, too. Raises UnsupportedLayer as
    `compress.integer.reference` does.
    """
    while (smaller := _narrowed(graph, multiple)) is not None:
        graph = smaller
    return graph


def _narrowed(graph: Graph, multiple: int) -> Graph | None:
    """One round; None where nothing can go. The next may find more, further up."""
    found, classes = bounds(graph), tied_channels(graph)
    needed = {FIXED}
    shares: dict[int, Int64Array] = {}
    for op in graph.ops:
        if isinstance(op, Conv2D | FullyConnected):
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
        if isinstance(op, Conv2D | FullyConnected)
    }
    return cut(graph, kept, biases)


def _shares(
    graph: Graph, op: Conv2D | FullyConnected, x: Bounds
) -> tuple[npt.NDArray[np.bool_], Int64Array]:
    """What each channel of x always adds to the sums of `op`: int64 (channels, outputs).

    With it, bool (channels,): whether that is the same for every input and at every position. In
    the padding x has its zero point, so a channel that has another value does not add the same at
    the border, unless the weights that make the difference are zeros.
    """
    channels = graph.tensors[op.input].shape[-1]
    weights = _data(graph, op.weights)
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
    # Accumulators of int8 keep within their int32; on int16, where they have 64 bits, a bias of
    # 32 may not hold what it is to take up.
    if (bias + np.abs(shares).sum(axis=0) > _LARGEST_BIAS).any():
        same &= ~shares.any(axis=1)
    return same, shares


def _seen(graph: Graph, op: Conv2D | FullyConnected, channel: Array) -> Array:
    """What each tap of the window meets at each position: (taps, positions), 0 in the padding."""
    if isinstance(op, FullyConnected):
        return channel.reshape(-1, 1)
    padded = pad(channel, op.padding, 0)
    window, output = graph.tensors[op.weights].shape[1:3], graph.tensors[op.output].shape
    views = taps(padded, window, op.stride, op.dilation, output)
    return np.stack([view.ravel() for view in views])


def _folded(graph: Graph, op: Conv2D | FullyConnected, shares: Int64Array) -> Array:
    """The bias with what channels that go add to the sums, `shares` (channels, outputs)."""
    folded: Array = _data(graph, op.bias) + shares.sum(axis=0)
    return folded.astype(np.int32)


def _too_many(graph: Graph, classes: Classes, gone: set[int], multiple: int) -> set[int]:
    """Those of the classes in `gone` that stay, for the sake of the widths they leave."""
    fewest = {op.output: _fewest(graph, op) for op in graph.ops}
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
    """Channels that the output of `op` keeps at least.

    With a single scale, the multiplier of a FullyConnected has another precision than with one
    for each unit (`conv_multipliers`): of those, two units stay.
    """
    return 2 if isinstance(op, FullyConnected) and len(graph.tensors[op.weights].scales) > 1 else 1


def _data(graph: Graph, index: int) -> Array:
    data = graph.tensors[index].data
    if data is None:
        raise UserError(f"{graph.name}: tensor {graph.tensors[index].name} has no data")
    return data
