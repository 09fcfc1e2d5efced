"""Channels of an integer graph that must be kept or removed together, and their removal.

The channels of an activation run along its last axis. Operators without weights, and depthwise
convolutions, compute each output channel from one input channel: those two are tied. A channel
that must be kept, such as one of the graph's input, is tied to `FIXED`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from compress.operator_interface.channels import FIXED, CutConstants, Kept
from compress.operators.registry import operator_of
from compress.ops import outputs_of
from compress.types import Array, Graph

Classes = dict[int, npt.NDArray[np.int64]]


def tied_channels(graph: Graph) -> Classes:
    """The class of each channel, int64 (channels,), by the tensor index of the activation.

    Channels of one class are kept or removed together; those of class `FIXED` are kept.
    """
    nodes: Classes = {}
    count = FIXED + 1
    for index in (*graph.sources, *(index for op in graph.ops for index in outputs_of(op))):
        channels = graph.tensors[index].shape[-1]
        nodes[index] = np.arange(count, count + channels)
        count += channels
    parents = list(range(count))  # union-find over the numbered channels

    def root(node: int) -> int:
        while parents[node] != node:
            parents[node] = node = parents[parents[node]]
        return node

    def tie(left: Array, right: Array) -> None:
        for a, b in zip(left.tolist(), np.broadcast_to(right, left.shape).tolist(), strict=True):
            a, b = root(a), root(b)
            parents[max(a, b)] = min(a, b)  # FIXED is the lowest number: it stays a root

    for index in (*graph.sources, *graph.results):
        tie(nodes[index], np.array(FIXED))
    for op in graph.ops:
        for left, right in operator_of(op).ties(graph, op, nodes):
            tie(left, right)
    roots = np.array([root(node) for node in range(count)])
    return {index: roots[own] for index, own in nodes.items()}


def cut(graph: Graph, kept: Kept, biases: Mapping[int, Array]) -> Graph:
    """`graph` with only the channels that `kept` marks, bool (channels,) per activation.

    `biases` has int32 biases, of all channels, by the output index of the operators whose bias
    changes. Each class of `tied_channels` must be kept or removed as a whole.
    """
    tensors = list(graph.tensors)
    for index, mask in kept.items():
        shape = (*tensors[index].shape[:-1], int(mask.sum()))
        tensors[index] = replace(tensors[index], shape=shape)
    constants = CutConstants(graph, tensors, biases)
    ops = tuple(operator_of(op).cut(graph, op, kept, constants) for op in graph.ops)
    return replace(graph, tensors=tuple(tensors), ops=ops)
