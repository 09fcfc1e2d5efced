"""Blocks that sub-networks of an elastic network may leave out."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from compress.errors import Infeasible
from compress.pruning.blocks import block_names, drop_blocks
from compress.pruning.groups import Group, find_groups
from compress.types import InputShape


def optional_blocks(module: nn.Module, input_shape: InputShape) -> tuple[str, ...]:
    """Names of removable blocks without which, one or all, the other groups are what they were.

    A residual unit is one: its input and its output are channels of the same group. A block from
    one group to another is not, since without it the two would be one group: channels that are
    sorted for one of them would be in any order for the other.
    """
    groups = find_groups(module, input_shape)
    found: tuple[str, ...] = ()
    for name in block_names(module, input_shape):
        chosen = (*found, name)
        try:
            smaller = drop_blocks(module, input_shape, chosen)
        except Infeasible:  # an addition would add a value to itself
            continue
        if _without(groups, chosen) == _without(find_groups(smaller, input_shape), chosen):
            found = chosen
    return found


def _without(groups: Sequence[Group], blocks: Sequence[str]) -> dict[str, object]:
    """What the groups are outside of the blocks, by name: channels, and slices of each layer."""
    left: dict[str, object] = {}
    for group in groups:
        members = {
            (member.layer, member.side): member.slices.tolist()
            for member in group.members
            if not any(member.layer.startswith(f"{block}.") for block in blocks)
        }
        if members:
            left[group.name] = group.channels, members
    return left
