"""Dependency groups: sets of layers that must lose the same channels together, and their removal.

A depthwise convolution has the channels of the layer before it, an addition ties the channels of
its operands, and a Linear after a flattened map reads H * W inputs per channel. torch-pruning finds
the groups (DepGraph, arXiv:2301.12900); here they become plain values that hold for any removal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch_pruning as tp
from torch import nn

from compress.types import Array

Side = Literal["out", "in"]

_PRODUCERS = (nn.Conv2d, nn.Linear)
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


def find_groups(module: nn.Module, input_shape: tuple[int, int, int]) -> tuple[Group, ...]:
    """The prunable dependency groups, in the order of the network's layers. Sets evaluation mode.

    Not prunable are the group of the network's output (its channels are the classes), groups tied
    to the network's input, and groups with a layer other than Conv2d (depthwise or ungrouped),
    Linear and batch-norm.
    """
    ends: list[torch.Tensor] = []

    def see_output(output: torch.Tensor) -> torch.Tensor:
        ends.append(output)
        return output

    module.eval()
    with torch.enable_grad():
        # clone() makes the input the output of an operation: its grad_fn then shows which channels
        # are tied to the input.
        ends.append(torch.zeros(1, *input_shape, requires_grad=True).clone())
        graph = tp.DependencyGraph().build_dependency(
            module, ends[0], output_transform=see_output, verbose=False
        )
    names = {layer: name for name, layer in module.named_modules()}
    fixed = {value.grad_fn for value in ends}
    found = [
        _group(graph, candidate, names, fixed)
        for candidate in graph.get_all_groups(root_module_types=_PRODUCERS)
    ]
    order = list(names.values())
    return tuple(
        sorted((group for group in found if group), key=lambda group: order.index(group.name))
    )


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


def is_depthwise(layer: nn.Module) -> bool:
    """True for a convolution with one filter per channel, and more than one channel."""
    return (
        isinstance(layer, nn.Conv2d) and 1 < layer.groups == layer.in_channels == layer.out_channels
    )


def _group(
    graph: tp.DependencyGraph, found: Any, names: dict[nn.Module, str], fixed: set[Any]
) -> Group | None:
    """torch-pruning's group `found` as a `Group`, or None if it is not prunable.

    `fixed` are the grad_fn of the network's input and output, whose channels must stay.
    """
    members, producers = [], []
    for item in found.items:
        node = item.dep.target
        side: Side = "out" if graph.is_out_channel_pruning_fn(item.dep.handler) else "in"
        if (side == "out" and node.grad_fn in fixed) or isinstance(node.module, nn.Parameter):
            return None
        if node.module not in names:
            continue  # an operation without weights
        if not _is_prunable(node.module):
            return None
        slices = np.array(item.idxs)[np.argsort(item.root_idxs, kind="stable")]
        members.append(Member(names[node.module], side, slices.reshape(len(found[0].idxs), -1)))
        if side == "out" and isinstance(node.module, _PRODUCERS) and not is_depthwise(node.module):
            producers.append(names[node.module])
    first = next((name for name in names.values() if name in producers), None)
    return Group(first, len(found[0].idxs), tuple(members)) if first else None


def _is_prunable(layer: nn.Module) -> bool:
    """True for the kinds of layer that `_remove` can narrow."""
    ungrouped = isinstance(layer, nn.Conv2d) and layer.groups == 1
    return ungrouped or is_depthwise(layer) or isinstance(layer, (nn.Linear, *_NORMS))


def _remove(layer: nn.Module, side: Side, gone: Array) -> None:
    """Remove the slices `gone` from one side of a layer's parameters and buffers, in place."""
    depthwise = is_depthwise(layer)
    held = [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
    dimension, kept = (0 if side == "out" else 1), 0
    for name, value in held:
        if value.ndim > dimension:
            rest = torch.from_numpy(np.setdiff1d(np.arange(value.shape[dimension]), gone))
            fewer: torch.Tensor = value.detach().index_select(dimension, rest)
            if isinstance(value, nn.Parameter):
                fewer = nn.Parameter(fewer, value.requires_grad)
            setattr(layer, name, fewer)
            kept = len(rest)
    if isinstance(layer, nn.Conv2d):
        if side == "out":
            layer.out_channels = kept
        if side == "in" or depthwise:
            layer.in_channels = kept
        if depthwise:
            layer.groups = kept
    elif isinstance(layer, nn.Linear):
        setattr(layer, f"{side}_features", kept)
    elif isinstance(layer, _NORMS):
        layer.num_features = kept
