"""Dependency groups: sets of layers that must lose the same channels together, and their removal.

A depthwise convolution has the channels of the layer before it, an addition or product ties the
channels of its operands, a concatenation has those of each of its inputs, and a Linear after a
flattened map reads H * W inputs per channel (`compress.pruning.channel_ties`; the idea is that of
DepGraph, arXiv:2301.12900). Groups are plain values that hold for any removal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from compress.frontend.capture import trace_module
from compress.pruning.channel_ties import IMMOVABLE, Side, tied_slices
from compress.recurrent_layers.layer import RecurrentLayer
from compress.types import Array, InputShape

_CONVOLUTIONS = (nn.Conv2d, nn.Conv1d)
_PRODUCERS = (*_CONVOLUTIONS, nn.Linear, RecurrentLayer)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One layer's part in a dependency group, on its output or its input side.

    `slices[c]` are the indices along that side that belong to channel c of the group: int64
    (channels, slices per channel), with H * W slices per channel after a flattened map, else one.
    """

    layer: str
    side: Side
    slices: Array


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Channels that can only be removed from all `members` together.

    Named after the first layer that produces them.
    """

    name: str
    channels: int
    members: tuple[Member, ...]


def find_groups(module: nn.Module, input_shape: InputShape) -> tuple[Group, ...]:
    """The prunable dependency groups, in the order of the network's layers. Sets evaluation mode.

    Not prunable are the channels of the network's input and output (the classes), those that the
    network's code states as a number, and those of layers other than Conv2d and Conv1d (depthwise
    or ungrouped), Linear, recurrent layers, PReLU and batch-norm with plain weights of their own.
    Raises UnsupportedLayer for a network that cannot be captured.
    """
    sides = _by_module(module, tied_slices(trace_module(module, input_shape)))
    fixed = {IMMOVABLE}
    for (name, _), classes in sides.items():
        if not _is_prunable(module, name):
            fixed.update(classes.tolist())
    members: dict[int, dict[tuple[str, Side], list[int]]] = defaultdict(dict)
    for key, classes in sides.items():
        for index, found in enumerate(classes.tolist()):
            if found not in fixed:
                members[found].setdefault(key, []).append(index)
    # Channels that have equal numbers of slices in the same layers are removed by the same rule.
    alike: dict[tuple[tuple[str, Side, int], ...], list[dict[tuple[str, Side], list[int]]]]
    alike = defaultdict(list)
    for slices in members.values():
        alike[tuple((*key, len(indices)) for key, indices in slices.items())].append(slices)
    groups: dict[str, Group] = {}
    order = [name for name, _ in module.named_modules()]
    for channels in alike.values():
        producers = [name for name, side in channels[0] if side == "out"]
        free = [n for n in order if n in producers and _produces(module, n) and n not in groups]
        if free:
            parts = (
                Member(name, side, np.array([slices[name, side] for slices in channels], np.int64))
                for name, side in channels[0]
            )
            groups[free[0]] = Group(free[0], len(channels), tuple(parts))
    return tuple(groups[name] for name in order if name in groups)


def remove_channels(
    module: nn.Module, groups: Sequence[Group], channels: Mapping[str, Sequence[int]]
) -> None:
    """Remove channels from `module` in place: `channels[name]` are the indices in group `name`.

    `groups` are all groups of the module (`find_groups`).
    """
    lost: dict[tuple[str, Side], list[Array]] = {}
    for group in groups:
        gone = np.array(channels.get(group.name, ()), np.int64)
        for member in group.members if len(gone) else ():
            slices = member.slices[gone].ravel()
            lost.setdefault((member.layer, member.side), []).append(slices)
    for (name, side), parts in lost.items():
        _remove(module.get_submodule(name), side, np.concatenate(parts))


def permute_channels(
    module: nn.Module, groups: Sequence[Group], orders: Mapping[str, Sequence[int]]
) -> None:
    """Reorder channels of `module` in place: `orders[name]` are those of group `name`, first first.

    `groups` are all groups of the module (`find_groups`), and afterwards as well. The network
    computes the same, since all layers that a channel runs through get the new order.
    """
    moved: dict[tuple[str, Side], list[tuple[Array, Array]]] = {}
    for group in groups:
        order = np.array(orders.get(group.name, range(group.channels)), np.int64)
        if (order == np.arange(group.channels)).all():
            continue
        for member in group.members:
            pair = (member.slices.ravel(), member.slices[order].ravel())
            moved.setdefault((member.layer, member.side), []).append(pair)
    for (name, side), pairs in moved.items():
        layer = module.get_submodule(name)
        kept = np.arange(_slices(layer, side))
        for places, sources in pairs:
            kept[places] = sources
        _keep(layer, side, kept)


def is_depthwise(layer: nn.Module) -> bool:
    """True for a convolution with one filter per channel, and more than one channel."""
    return isinstance(layer, _CONVOLUTIONS) and (
        1 < layer.groups == layer.in_channels == layer.out_channels
    )


def _by_module(
    module: nn.Module, sides: Mapping[tuple[str, Side], Array]
) -> dict[tuple[str, Side], Array]:
    """`sides` by the first name of each module, since a module may have several."""
    names = {layer: name for name, layer in module.named_modules()}
    first = {name: names[layer] for name, layer in module.named_modules(remove_duplicate=False)}
    return {(first.get(name, name), side): classes for (name, side), classes in sides.items()}


def _is_prunable(module: nn.Module, name: str) -> bool:
    """True for a layer that `_remove` can narrow: its weight is its own, and plain."""
    found = dict(module.named_modules())
    layer = found.get(name)
    if isinstance(layer, RecurrentLayer):
        return True
    ungrouped = isinstance(layer, _CONVOLUTIONS) and layer.groups == 1
    if layer is None or not (
        ungrouped or is_depthwise(layer) or isinstance(layer, (nn.Linear, nn.PReLU, *_NORMS))
    ):
        return False
    weight = layer._parameters.get("weight")
    if weight is None:
        return isinstance(layer, _NORMS)  # a norm without scale has statistics alone
    owners = [other for other in found.values() if other._parameters.get("weight") is weight]
    return len(owners) == 1


def _produces(module: nn.Module, name: str) -> bool:
    layer = module.get_submodule(name)
    return isinstance(layer, _PRODUCERS) and not is_depthwise(layer)


def _remove(layer: nn.Module, side: Side, gone: Array) -> None:
    """Remove the slices `gone` from one side of a layer's parameters and buffers, in place."""
    _keep(layer, side, np.setdiff1d(np.arange(_slices(layer, side)), gone))


def _slices(layer: nn.Module, side: Side) -> int:
    """The number of slices of one side of a layer's parameters and buffers."""
    if isinstance(layer, RecurrentLayer):
        return layer.units if side == "out" else layer.weight_ih.shape[1]
    dimension = 0 if side == "out" else 1
    return next(value.shape[dimension] for _, value in _held(layer) if value.ndim > dimension)


def _keep(layer: nn.Module, side: Side, kept: Array) -> None:
    """Keep only the slices `kept`, in their order, of one side of a layer, in place."""
    rest = torch.from_numpy(kept)
    if isinstance(layer, RecurrentLayer):
        layer.keep(side, rest)
        return
    depthwise = is_depthwise(layer)
    dimension = 0 if side == "out" else 1
    for name, value in _held(layer):
        if value.ndim > dimension:
            fewer: torch.Tensor = value.detach().index_select(dimension, rest)
            if isinstance(value, nn.Parameter):
                fewer = nn.Parameter(fewer, value.requires_grad)
            setattr(layer, name, fewer)
    if isinstance(layer, _CONVOLUTIONS):
        if side == "out":
            layer.out_channels = len(kept)
        if side == "in" or depthwise:
            layer.in_channels = len(kept)
        if depthwise:
            layer.groups = len(kept)
    elif isinstance(layer, nn.Linear):
        setattr(layer, f"{side}_features", len(kept))
    elif isinstance(layer, _NORMS):
        layer.num_features = len(kept)
    elif isinstance(layer, nn.PReLU):
        layer.num_parameters = len(kept)


def _held(layer: nn.Module) -> tuple[tuple[str, torch.Tensor], ...]:
    """The parameters and buffers of the layer itself, by name."""
    return (*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False))
