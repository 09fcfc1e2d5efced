"""Structured channel pruning: channels are removed physically, per dependency group.

A group is every layer that must lose the same channels (a depthwise convolution follows its
producer, an addition ties its operands), found by torch-pruning (DepGraph, arXiv:2301.12900).
"""

import copy
from collections.abc import Sequence

import torch
import torch_pruning as tp
from torch import nn

from compress.errors import Infeasible
from compress.genome import Criterion

# CMSIS-NN kernels work on four channels at a time; other widths fall off a cliff.
CHANNEL_MULTIPLE = 4

_ROOTS = (nn.Conv2d, nn.Linear)


def group_names(module: nn.Module, input_shape: tuple[int, int, int]) -> tuple[str, ...]:
    """Names of the prunable dependency groups, in the order of the network's layers.

    Each is named after one layer that makes its channels. The group of the output layer is not
    among them: its channels are the classes.
    """
    names = {layer: name for name, layer in module.named_modules()}
    graph = _dependencies(module, input_shape)
    groups = graph.get_all_groups(
        ignored_layers=[_output_layer(module, input_shape)], root_module_types=_ROOTS
    )
    roots = {names[group[0].dep.target.module] for group in groups}
    return tuple(name for name in names.values() if name in roots)


def prune(
    module: nn.Module,
    input_shape: tuple[int, int, int],
    keep: Sequence[float],
    criterion: Criterion,
) -> nn.Module:
    """A copy of `module` with each group narrowed to `keep[i]` of its channels.

    Channels kept are a multiple of 4, at least 4 (groups narrower than that stay whole): those of
    largest magnitude, averaged over the group's layers. Raises Infeasible where `keep` does not
    have one ratio in (0, 1] per group.
    """
    pruned = copy.deepcopy(module)
    names = group_names(pruned, input_shape)
    if len(keep) != len(names):
        raise Infeasible(f"{len(keep)} keep ratios for {len(names)} groups: {', '.join(names)}")
    if not all(0 < ratio <= 1 for ratio in keep):
        raise Infeasible(f"keep ratios {tuple(keep)}: allowed are 0 < ratio <= 1")
    importance = tp.importance.GroupMagnitudeImportance(p=1 if criterion == "l1" else 2)
    for name, ratio in zip(names, keep, strict=True):
        layer = pruned.get_submodule(name)
        channels = int(layer.weight.shape[0])  # type: ignore[index]
        surplus = channels - kept_channels(channels, ratio)
        if surplus == 0:
            continue
        graph = _dependencies(pruned, input_shape)
        remove = (
            tp.prune_conv_out_channels
            if isinstance(layer, nn.Conv2d)
            else tp.prune_linear_out_channels
        )
        whole = graph.get_pruning_group(layer, remove, list(range(channels)))
        weakest = torch.argsort(importance(whole), stable=True)[:surplus].tolist()
        graph.get_pruning_group(layer, remove, weakest).prune()
    return pruned


def kept_channels(channels: int, ratio: float) -> int:
    """Channels left of `channels` at `ratio`: a multiple of 4, at least 4, at most all."""
    rounded = CHANNEL_MULTIPLE * round(channels * ratio / CHANNEL_MULTIPLE)
    return min(channels, max(CHANNEL_MULTIPLE, rounded))


def _dependencies(module: nn.Module, input_shape: tuple[int, int, int]) -> tp.DependencyGraph:
    module.eval()
    return tp.DependencyGraph().build_dependency(module, torch.zeros(1, *input_shape))


def _output_layer(module: nn.Module, input_shape: tuple[int, int, int]) -> nn.Module:
    """The last layer with weights to run: the one whose channels are the classes."""
    ran: list[nn.Module] = []
    hooks = [
        layer.register_forward_hook(lambda layer, *_: ran.append(layer))
        for layer in module.modules()
        if isinstance(layer, _ROOTS)
    ]
    with torch.no_grad():
        module(torch.zeros(1, *input_shape))
    for hook in hooks:
        hook.remove()
    return ran[-1]
