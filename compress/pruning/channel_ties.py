"""Which channels of a network's layers can only be removed together, from its captured layers.

Each channel of each value, and each slice of a layer's weights, has a number. Layers tie the
numbers of what they combine: an addition those of its operands, a concatenation each part of its
output to an input, a depthwise convolution outputs to inputs, a flattened map all features of one
channel. What is tied is one class. The class `IMMOVABLE` holds what cannot be removed: the channels
of the network's inputs and outputs, and those that the network's code or a constant counts on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import fx, nn

from compress.frontend.capture import capture
from compress.frontend.layers import Layer, Movement
from compress.types import Array

Side = Literal["out", "in"]
# Classes by layer and side, int64 (slices,): the class of each slice in torch's order.
Sides = dict[tuple[str, Side], Array]

IMMOVABLE = 0
# ChannelShuffle reads its channels in groups of a stated number.
_COUNTING = (nn.Unflatten, nn.ChannelShuffle)
_RESHAPES = (torch.reshape, "reshape", "view")
_UNFLATTENS = (torch.unflatten, "unflatten")


def tied_slices(traced: fx.GraphModule) -> Sides:
    """The classes of the slices of each layer with weights and batch-norm, by name of the call.

    Raises UnsupportedLayer for a network that cannot be captured.
    """
    layers, sources, outputs = capture(traced)
    channels = {layer.output: layer.shape[-1] for layer in layers}
    inputs = [node for node in traced.graph.nodes if node.op == "placeholder"]
    channels.update((node.name, node.meta["shape"][1]) for node in inputs)
    ties = _Ties(channels)
    for value in (*sources, *outputs):
        ties.fix(ties.values[value])
    for layer in layers:
        ties.add(layer)
    for node in traced.graph.nodes:
        for value in _counted_on(traced, node):
            ties.fix(ties.values[value])
    return {key: ties.classes(nodes) for key, nodes in ties.sides.items()}


class _Ties:
    """A union-find over the channels of values (`values`) and the slices of layers (`sides`)."""

    def __init__(self, channels: Mapping[str, int]) -> None:
        self._parents = [IMMOVABLE]
        self.values = {name: self._new(count) for name, count in channels.items()}
        self.sides: Sides = {}

    def classes(self, nodes: Array) -> Array:
        """The class of each of these numbers."""
        return np.array([self._root(node) for node in nodes.tolist()], np.int64)

    def fix(self, nodes: Array) -> None:
        """Tie the channels to `IMMOVABLE`."""
        self._tie(nodes, np.full(len(nodes), IMMOVABLE))

    def add(self, layer: Layer) -> None:
        """Tie what the layer combines."""
        out = self.values[layer.output]
        inputs = [self.values[value] for value in layer.inputs]
        match layer.kind:
            case "conv" | "linear" | "transposed" | "recurrent":
                self._note(layer, "in", _in_torch(inputs[0], layer))
                self._note(layer, "out", out)
            case "depthwise":
                self._tie(out, np.repeat(inputs[0], len(out) // len(inputs[0])))
                self._note(layer, "out", out)
                if len(out) != len(inputs[0]):
                    self.fix(out)  # several filters per channel
            case "batch_norm" | "prelu":
                self._tie(out, inputs[0])
                self._note(layer, "out", _in_torch(out, layer))
            case "concat":
                along = layer.axis == len(layer.shape) - 1
                ends = np.cumsum([len(part) for part in inputs])[:-1] if along else ()
                parts = np.split(out, ends) if along else [out] * len(inputs)
                for whole, part in zip(parts, inputs, strict=True):
                    self._tie(whole, part)
            case "reshape":
                element = np.arange(np.lcm(len(inputs[0]), len(out)))
                self._tie(out[element % len(out)], inputs[0][element % len(inputs[0])])
            case "transpose" if layer.movement is not None:
                self._move(layer.movement, inputs[0], out)
            case "matmul":
                for part in (*inputs, out):
                    self.fix(part)
            case "slice" | "gather" | "pad" if _counts_channels(layer, len(inputs[0])):
                self.fix(inputs[0])
                self.fix(out)
            case _:
                for part in inputs:
                    if len(part) == len(out):
                        self._tie(out, part)
                    else:
                        self.fix(part)  # one channel that repeats over all
                if layer.constant:
                    self.fix(out)

    def _move(self, movement: Movement, source: Array, out: Array) -> None:
        """Tie what a transposition moves, if channels stay whole or several make one; else fix."""
        elements = np.arange(math.prod(movement.extents)).reshape(movement.extents)
        read = elements.transpose(movement.axes).ravel() % len(source)
        written = np.arange(len(read)) % len(out)
        pairs = np.unique(np.stack([read, written], axis=1), axis=0)
        if len(pairs) > max(len(source), len(out)):
            self.fix(source)
            self.fix(out)
        else:
            self._tie(out[pairs[:, 1]], source[pairs[:, 0]])

    def _note(self, layer: Layer, side: Side, nodes: Array) -> None:
        """Let `nodes` stand for the slices of a layer; a layer that runs twice ties both."""
        known = self.sides.setdefault((layer.name, side), nodes)
        self._tie(nodes, known)

    def _new(self, count: int) -> Array:
        first = len(self._parents)
        self._parents += range(first, first + count)
        return np.arange(first, first + count)

    def _root(self, node: int) -> int:
        parents = self._parents
        while parents[node] != node:
            parents[node] = node = parents[parents[node]]
        return node

    def _tie(self, left: Array, right: Array) -> None:
        for a, b in zip(left.tolist(), right.tolist(), strict=True):
            a, b = self._root(a), self._root(b)
            self._parents[max(a, b)] = min(a, b)  # IMMOVABLE is the lowest number: it stays a root


def _counts_channels(layer: Layer, channels: int) -> bool:
    """True if the layer adds channels or takes a part of them: the network's code counts them."""
    if layer.kind == "gather":
        return layer.axis == len(layer.shape) - 1
    return layer.shape[-1] != channels or layer.step[-1:] == (-1,)


def _in_torch(channels: Array, layer: Layer) -> Array:
    """`channels`, in the order in which they lie in memory, in that of the layer's torch weight."""
    if layer.order is None:
        return channels
    ordered = np.empty_like(channels)
    ordered[layer.order] = channels
    return ordered


def _counted_on(traced: fx.GraphModule, node: fx.Node) -> list[str]:
    """Values whose number of channels the operation `node` counts on.

    They are those that a reshape to a stated number of channels reads, and those that operations
    read which do not contribute to the output and so are not captured.
    """
    read = [source.meta["value"] for source in node.all_input_nodes if "value" in source.meta]
    if "value" in node.meta:
        return read if _states_channels(traced, node) else []
    return [] if node.op == "output" or "constant" in node.meta else read


def _states_channels(traced: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(traced.get_submodule(str(node.target)), _COUNTING)
    if node.target in _UNFLATTENS:
        return True
    if node.target not in _RESHAPES:
        return False
    shape: Any = node.args[1:] or tuple(node.kwargs.values())
    sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], list | tuple) else shape
    return any(isinstance(size, int) and size > 1 for size in sizes[1:2])
