"""Dependency groups: layers that must lose the same channels together, and how they lose them.

A depthwise convolution follows its producer, an addition ties its operands, a Linear after a
flattened map loses a whole stretch of inputs. torch-pruning finds the groups (DepGraph,
arXiv:2301.12900); here they become plain values, found once and valid for any removal.
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
    """What one layer holds of a group: `slices[c]` of its outputs or inputs belong to channel c.

    int64 (channels, slices per channel): one slice each, or H * W where a flattened map is read.
    """

    layer: str
    side: Side
    slices: Array


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Channels that stay or go together, named after the first layer that makes them."""

    name: str
    channels: int
    members: tuple[Member, ...]


def find_groups(module: nn.Module, input_shape: tuple[int, int, int]) -> tuple[Group, ...]:
    """The prunable groups, in the order of the network's layers. Sets evaluation mode.

    Not among them: the output's (its channels are the classes), those tied to the network's
    input, and those with a layer other than Conv2d (depthwise or ungrouped), Linear, batch-norm.
    """
    ends: list[torch.Tensor] = []

    def see_output(output: torch.Tensor) -> torch.Tensor:
        ends.append(output)
        return output

    module.eval()
    with torch.enable_grad():
        # A copy is an operation, and so the input a node that channels can be tied to.
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


def remove(
    module: nn.Module, groups: Sequence[Group], channels: Mapping[str, Sequence[int]]
) -> None:
    """Remove `channels[name]` of the groups named there, in place; `groups` are the module's."""
    lost: dict[tuple[str, Side], list[Array]] = {}
    for group in groups:
        gone = np.array(channels.get(group.name, ()), np.int64)
        for member in group.members if len(gone) else ():
            slices = member.slices[gone].ravel()
            lost.setdefault((member.layer, member.side), []).append(slices)
    for (name, side), parts in lost.items():
        _remove(module.get_submodule(name), side, np.concatenate(parts))


def is_depthwise(layer: nn.Module) -> bool:
    """A convolution with one filter for each channel."""
    return (
        isinstance(layer, nn.Conv2d) and 1 < layer.groups == layer.in_channels == layer.out_channels
    )


def _group(
    graph: tp.DependencyGraph, found: Any, names: dict[nn.Module, str], fixed: set[Any]
) -> Group | None:
    """None where the group has to stay whole."""
    members, makers = [], []
    for item in found.items:
        node = item.dep.target
        side: Side = "out" if graph.is_out_channel_pruning_fn(item.dep.handler) else "in"
        if (side == "out" and node.grad_fn in fixed) or isinstance(node.module, nn.Parameter):
            return None
        if node.module not in names:
            continue  # an operation without weights
        if not _is_divisible(node.module):
            return None
        slices = np.array(item.idxs)[np.argsort(item.root_idxs, kind="stable")]
        members.append(Member(names[node.module], side, slices.reshape(len(found[0].idxs), -1)))
        if side == "out" and isinstance(node.module, _PRODUCERS) and not is_depthwise(node.module):
            makers.append(names[node.module])
    first = next((name for name in names.values() if name in makers), None)
    return Group(first, len(found[0].idxs), tuple(members)) if first else None


def _is_divisible(layer: nn.Module) -> bool:
    ungrouped = isinstance(layer, nn.Conv2d) and layer.groups == 1
    return ungrouped or is_depthwise(layer) or isinstance(layer, (nn.Linear, *_NORMS))


def _remove(layer: nn.Module, side: Side, gone: Array) -> None:
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
