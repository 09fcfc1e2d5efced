"""The lattice of shapes of a task's network, from its dependency groups, blocks and layers."""

from __future__ import annotations

from collections.abc import Sequence

from compress.pipeline.network import Original
from compress.pruning.groups import Group, find_groups
from hil.elastic.lattice import Lattice

_NARROWEST = 0.25


def lattice_of(original: Original, bits: tuple[int, ...] = ()) -> Lattice:
    """The shapes of a network's sub-networks: its dependency groups and removable blocks.

    With `bits`, the layers that write a group's channels are a unit, and so is any other layer.
    """
    groups = find_groups(original.lean, original.task.input_shape)
    channels, blocks = (group.channels for group in groups), range(len(original.blocks))
    units = units_of(groups, original.layers) if bits else ()
    return Lattice(tuple(channels), _NARROWEST, tuple(blocks), bits, units)


def units_of(groups: Sequence[Group], layers: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """The unit of each of `layers`, in their order: that of its group, or one of its own."""
    owner = {
        member.layer: group.name
        for group in groups
        for member in group.members
        if member.side == "out"
    }
    names = [owner.get(layer, f"layer {layer}") for layer in layers]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return tuple((layer, numbers[name]) for layer, name in zip(layers, names, strict=True))
