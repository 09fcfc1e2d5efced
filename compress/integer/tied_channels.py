"""Which channels of an integer graph have to stay or go together, and how they are cut out.

The channels of an activation run along its last axis. Operators without weights, and depthwise
convolutions, give each channel of their output from one of their input: those are tied. A channel
that cannot go, such as one of the graph's input, is tied to `FIXED`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import assert_never

import numpy as np
import numpy.typing as npt

from compress.ops import (
    Add,
    AveragePool2D,
    Concatenate,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Lookup,
    MaxPool2D,
    Mean,
    Mul,
    Op,
    Pad,
    Requantize,
    Reshape,
    Softmax,
)
from compress.types import Array, Graph, Tensor

FIXED = 0
Classes = dict[int, npt.NDArray[np.int64]]
Kept = Mapping[int, npt.NDArray[np.bool_]]


def tied_channels(graph: Graph) -> Classes:
    """Per activation, by tensor index, the class of each channel: int64 (channels,).

    Channels of one class go together or not at all; those of class `FIXED` stay.
    """
    nodes: Classes = {}
    count = FIXED + 1
    for index in (graph.input, *(op.output for op in graph.ops)):
        channels = graph.tensors[index].shape[-1]
        nodes[index] = np.arange(count, count + channels)
        count += channels
    parents = list(range(count))

    def root(node: int) -> int:
        while parents[node] != node:
            parents[node] = node = parents[parents[node]]
        return node

    def tie(left: Array, right: Array) -> None:
        for a, b in zip(left.tolist(), np.broadcast_to(right, left.shape).tolist(), strict=True):
            a, b = root(a), root(b)
            parents[max(a, b)] = min(a, b)  # FIXED is the lowest: it stays a root

    fixed = np.array(FIXED)
    tie(nodes[graph.input], fixed)
    tie(nodes[graph.output], fixed)
    for op in graph.ops:
        for left, right in _ties(graph, op, nodes, fixed):
            tie(left, right)
    roots = np.array([root(node) for node in range(count)])
    return {index: roots[own] for index, own in nodes.items()}


def _ties(graph: Graph, op: Op, nodes: Classes, fixed: Array) -> Iterator[tuple[Array, Array]]:
    out = nodes[op.output]
    match op:
        case Conv2D() | FullyConnected():
            return
        case DepthwiseConv2D():
            x = nodes[op.input]
            if len(x) > 1:  # else it is a convolution like any other
                yield out, np.repeat(x, len(out) // len(x))
        case Add() | Mul():
            yield out, nodes[op.left]
            if not op.constant:
                right = nodes[op.right]
                yield right, out if len(right) == len(out) else fixed
        case AveragePool2D() | MaxPool2D() | Requantize() | Lookup():
            yield out, nodes[op.input]
        case Reshape():
            # Elements are numbered alike on both sides: element e is in channel e % channels.
            x = nodes[op.input]
            element = np.arange(math.lcm(len(x), len(out)))
            yield out[element % len(out)], x[element % len(x)]
        case Mean():
            x = nodes[op.input]
            if len(graph.tensors[op.input].shape) - 1 in op.axes:
                yield x, fixed
                yield out, fixed
            else:
                yield out, x
        case Pad():
            x = nodes[op.input]
            yield out[op.before[-1] : op.before[-1] + len(x)], x
        case Concatenate():
            start, along = 0, op.axis == len(graph.tensors[op.output].shape) - 1
            for index in op.inputs:
                x = nodes[index]
                yield x, out[start : start + len(x)]
                start += len(x) if along else 0
        case Softmax():
            yield nodes[op.input], fixed
            yield out, fixed
        case _:
            assert_never(op)


def cut(graph: Graph, kept: Kept, biases: Mapping[int, Array]) -> Graph:
    """`graph` with only the channels that `kept` marks, per activation, bool (channels,).

    `biases` has int32 biases, of all channels, by the output index of the operators whose bias
    changes. Classes of `tied_channels` must be kept or not as a whole.
    """
    tensors = list(graph.tensors)
    for index, mask in kept.items():
        shape = (*tensors[index].shape[:-1], int(mask.sum()))
        tensors[index] = replace(tensors[index], shape=shape)
    taken: set[int] = set()

    def place(index: int, tensor: Tensor) -> int:
        """Where a constant goes: operators that share one share it still if they cut it alike."""
        if index in taken and not _equal(tensors[index], tensor):
            tensors.append(tensor)
            return len(tensors) - 1
        tensors[index] = tensor
        taken.add(index)
        return index

    ops: list[Op] = []
    for op in graph.ops:
        out = kept[op.output]
        match op:
            case Conv2D() | DepthwiseConv2D() | FullyConnected():
                x = kept[op.input]
                weights = _cut_weights(op, graph.tensors[op.weights], x, out)
                bias = graph.tensors[op.bias]
                bias = replace(bias, data=biases.get(op.output, bias.data))
                bias = _taken(bias, out, axis=0)
                op = replace(op, weights=place(op.weights, weights), bias=place(op.bias, bias))
            case Add() | Mul() if op.constant:
                right = graph.tensors[op.right]
                if right.shape[-1:] == out.shape:
                    right = _taken(right, out, axis=len(right.shape) - 1)
                op = replace(op, right=place(op.right, right))
            case Pad():
                before, after = out[: op.before[-1]], out[len(out) - op.after[-1] :]
                op = replace(
                    op,
                    before=(*op.before[:-1], int(before.sum())),
                    after=(*op.after[:-1], int(after.sum())),
                )
            case _:
                pass
        ops.append(op)
    return replace(graph, tensors=tuple(tensors), ops=tuple(ops))


def _cut_weights(
    op: Conv2D | DepthwiseConv2D | FullyConnected, weights: Tensor, x: Array, out: Array
) -> Tensor:
    if isinstance(op, DepthwiseConv2D):
        return _taken(weights, out, axis=3)
    per_position = weights.shape[-1] // len(x)
    inputs = np.tile(x, per_position)
    return _taken(_taken(weights, inputs, axis=len(weights.shape) - 1), out, axis=0)


def _taken(tensor: Tensor, kept: Array, axis: int) -> Tensor:
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
