"""Ties between the channels of an operator's activations, and the cutting of its constants.

The channels of an activation run along its last axis. Channels that are tied are kept or removed
together; `FIXED` stands for a channel that is always kept, so tying to it keeps a channel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from compress.ops import Op, Weighted, activations_of, inputs_of, outputs_of
from compress.types import Array, Graph, Tensor

_OpT = TypeVar("_OpT", bound=Op)

FIXED = 0
Channels = Mapping[int, npt.NDArray[np.int64]]  # numbers of an activation's channels, by its index
Kept = Mapping[int, npt.NDArray[np.bool_]]  # channels to keep, by the activation's index
# Two arrays of channel numbers, tied element by element; the second may be a single one.
Tie = tuple[Array, Array]


def all_fixed(graph: Graph, op: Op, channels: Channels) -> Iterator[Tie]:
    """Ties that keep all channels of the operator's inputs and outputs: valid for any operator."""
    for index in activations_of(op):
        yield channels[index], np.array(FIXED)


def channel_by_channel(graph: Graph, op: Op, channels: Channels) -> Iterator[Tie]:
    """Ties of an operator whose output channels each come from that channel of the one input."""
    (x,), (out,) = inputs_of(op), outputs_of(op)
    yield channels[out], channels[x]


class CutConstants:
    """The constants of a graph that is losing channels.

    `biases` has new biases, int32 of all channels, by the output index of their operators.
    """

    def __init__(self, graph: Graph, tensors: list[Tensor], biases: Mapping[int, Array]) -> None:
        self._graph = graph
        self._tensors = tensors
        self._biases = biases
        self._placed: set[int] = set()

    def bias_of(self, op: Weighted) -> Tensor:
        """The bias of `op`, of all channels, with its new values if it has any."""
        bias = self._graph.tensors[op.bias]
        return replace(bias, data=self._biases.get(op.output, bias.data))

    def place(self, index: int, tensor: Tensor) -> int:
        """Put the cut form of constant `index` into the graph; returns its index there.

        Operators that share a constant still share it if they cut it alike.
        """
        if index in self._placed and not _equal(self._tensors[index], tensor):
            self._tensors.append(tensor)
            return len(self._tensors) - 1
        self._tensors[index] = tensor
        self._placed.add(index)
        return index


def uncut(graph: Graph, op: _OpT, kept: Kept, constants: CutConstants) -> _OpT:
    """`op` itself, for an operator without constants or extents along the channels."""
    return op


def sliced(tensor: Tensor, kept: Array, axis: int) -> Tensor:
    """The slices of a constant that `kept` marks, and their scales if it has one for each."""
    if tensor.data is None:
        return tensor
    data = np.compress(kept, tensor.data, axis)
    scales = tensor.scales
    if len(scales) == len(kept) > 1 and (tensor.axis or 0) == axis:
        scales = tuple(scale for scale, stays in zip(scales, kept, strict=True) if stays)
    return replace(tensor, shape=data.shape, data=data, scales=scales)


def _equal(left: Tensor, right: Tensor) -> bool:
    if left.data is None or right.data is None:
        return left is right
    return left.scales == right.scales and np.array_equal(left.data, right.data)
