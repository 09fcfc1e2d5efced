"""The channels of each dependency group in the order of their importance."""

from __future__ import annotations

import torch
from torch import nn

from compress.pruning.groups import find_groups, permute_channels
from compress.pruning.importance import scores
from compress.tracing.normalize import copied
from compress.types import InputShape


def sort_channels(module: nn.Module, input_shape: InputShape) -> nn.Module:
    """A copy of `module` whose groups have their most important channels first: same function.

    Importance is l2 (`compress.pruning.importance`). Of channels that are equally important the
    later one comes first, since pruning removes the earlier one.
    """
    made = copied(module).eval()
    groups = find_groups(made, input_shape)
    orders = {
        group.name: torch.argsort(score, stable=True).flip(0).tolist()
        for group, score in zip(groups, scores(made, groups, "l2"), strict=True)
    }
    permute_channels(made, groups, orders)
    return made
