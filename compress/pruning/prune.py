"""Structured channel pruning: channels are removed physically, per dependency group."""

import copy
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from compress.errors import Infeasible
from compress.genome import Criterion, Scope
from compress.pruning.groups import Group, find_groups, remove
from compress.pruning.importance import LOSS_CRITERIA, scores
from compress.types import Split

# CMSIS-NN kernels work on four channels at a time; other widths fall off a cliff.
CHANNEL_MULTIPLE = 4


def group_names(module: nn.Module, input_shape: tuple[int, int, int]) -> tuple[str, ...]:
    """Names of the prunable dependency groups, in the order of the network's layers.

    Each is named after the first layer that makes its channels. The group of the output layer is
    not among them: its channels are the classes.
    """
    return tuple(group.name for group in find_groups(module, input_shape))


def prune(
    module: nn.Module,
    input_shape: tuple[int, int, int],
    keep: Sequence[float],
    criterion: Criterion,
    scope: Scope = "group",
    probe: Split | None = None,
) -> nn.Module:
    """A copy of `module` with only its most important channels, physically smaller.

    `keep` has one ratio in (0, 1] for each group in scope "group", and a single one in scope
    "uniform" (for every group) and "global" (of all channels together). Channels kept are a
    multiple of 4, at least 4; groups narrower than that stay whole. What matters is said by
    `compress.pruning.importance`, on the samples of `probe` where the criterion needs some.

    Raises Infeasible for other ratios, a criterion that cannot judge this network, and a network
    that does not run with fewer channels.
    """
    pruned = copy.deepcopy(module)
    groups = find_groups(pruned, input_shape)
    _check_ratios(keep, scope, groups)
    if scope == "global":
        gone = _weakest_of_all(pruned, groups, keep[0], criterion, probe)
    else:
        ratios = keep if scope == "group" else [keep[0]] * len(groups)
        gone = _weakest_of_each(pruned, groups, ratios, criterion, probe)
    if gone:
        before = _size(pruned, input_shape)
        remove(pruned, groups, gone)
        _check_smaller(before, _size(pruned, input_shape), gone)
    return pruned


def kept_channels(channels: int, ratio: float) -> int:
    """Channels left of `channels` at `ratio`: a multiple of 4, at least 4, at most all."""
    rounded = CHANNEL_MULTIPLE * round(channels * ratio / CHANNEL_MULTIPLE)
    return min(channels, max(CHANNEL_MULTIPLE, rounded))


def keep_ratios_by_round(
    widths: Sequence[int], keep: Sequence[float], rounds: int
) -> tuple[tuple[float, ...], ...]:
    """Ratios for each of `rounds` prunings that together narrow groups of `widths` to `keep`.

    Each is relative to what the round before has left. Widths fall geometrically; they are
    rounded from the first width, so that the last round ends where a single pruning would
    (multiplying ratios would not: 12 channels at 0.75 are 8, at 0.75**0.5 they stay 12).
    """
    steps, present = [], list(widths)
    for step in range(1, rounds + 1):
        wanted = [kept_channels(n, r ** (step / rounds)) for n, r in zip(widths, keep, strict=True)]
        steps.append(tuple(new / old for new, old in zip(wanted, present, strict=True)))
        present = wanted
    return tuple(steps)


def _check_ratios(keep: Sequence[float], scope: Scope, groups: Sequence[Group]) -> None:
    if scope != "group" and len(keep) != 1:
        raise Infeasible(f"{len(keep)} keep ratios in scope {scope}: there must be one")
    if scope == "group" and len(keep) != len(groups):
        names = ", ".join(group.name for group in groups)
        raise Infeasible(f"{len(keep)} keep ratios for {len(groups)} groups: {names}")
    if not all(0 < ratio <= 1 for ratio in keep):
        raise Infeasible(f"keep ratios {tuple(keep)}: allowed are 0 < ratio <= 1")


def _weakest_of_each(
    module: nn.Module,
    groups: Sequence[Group],
    ratios: Sequence[float],
    criterion: Criterion,
    probe: Split | None,
) -> dict[str, list[int]]:
    surplus = {
        group.name: group.channels - kept_channels(group.channels, ratio)
        for group, ratio in zip(groups, ratios, strict=True)
    }
    chosen = [group for group in groups if surplus[group.name] > 0]
    return {
        group.name: _ascending(score)[: surplus[group.name]]
        for group, score in zip(chosen, scores(module, chosen, criterion, probe), strict=True)
    }


def _weakest_of_all(
    module: nn.Module,
    groups: Sequence[Group],
    ratio: float,
    criterion: Criterion,
    probe: Split | None,
) -> dict[str, list[int]]:
    """Rank fours of channels across the groups and take the weakest until `ratio` is left.

    A four is as important as its channels are on average. Scores are divided by their group's
    mean first: magnitudes and activations depend on a layer's fan-in and depth more than on its
    importance (arXiv:1611.06440, section 2.2, which divides by the layer's l2 norm; a mean does
    not favor narrow groups). Those in units of loss compare as they are (arXiv:1906.10771).
    """
    wide = [group for group in groups if group.channels > CHANNEL_MULTIPLE]
    total = sum(group.channels for group in wide)
    surplus = total - kept_channels(total, ratio)
    if surplus <= 0:
        return {}
    fours: list[tuple[float, str, list[int]]] = []
    for group, score in zip(wide, scores(module, wide, criterion, probe), strict=True):
        mean = float(score.mean())
        fair = score if criterion in LOSS_CRITERIA or mean == 0 else score / mean
        weakest_first = _ascending(score)[: group.channels - CHANNEL_MULTIPLE]
        # What exceeds a multiple of four goes first, so that what is left is one.
        odd = group.channels % CHANNEL_MULTIPLE
        cuts = [0, *range(odd or CHANNEL_MULTIPLE, len(weakest_first) + 1, CHANNEL_MULTIPLE)]
        for start, end in pairwise(cuts):
            four = weakest_first[start:end]
            fours.append((float(fair[four].mean()), group.name, four))
    gone: dict[str, list[int]] = {}
    for _, name, four in sorted(fours, key=lambda ranked: ranked[0]):
        if len(four) > surplus:
            break
        gone.setdefault(name, []).extend(four)
        surplus -= len(four)
    return gone


def _ascending(score: Tensor) -> list[int]:
    """Channels from the least important to the most; equal ones in their order."""
    order: list[int] = torch.argsort(score, stable=True).tolist()
    return order


def _size(module: nn.Module, input_shape: tuple[int, int, int]) -> tuple[int, int, tuple[int, ...]]:
    """Parameters, multiply-accumulates, and the shape of the output for one sample."""
    macs = 0

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal macs
        macs += output.numel() * layer.weight[0].numel()  # type: ignore[index]

    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.no_grad():
            output = module(torch.zeros(1, *input_shape))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise Infeasible(f"the network does not run with fewer channels: {reason}") from error
    finally:
        for hook in hooks:
            hook.remove()
    return sum(value.numel() for value in module.parameters()), macs, tuple(output.shape)


def _check_smaller(
    before: tuple[int, int, tuple[int, ...]],
    after: tuple[int, int, tuple[int, ...]],
    gone: dict[str, list[int]],
) -> None:
    if after[2] != before[2]:
        raise Infeasible(f"without channels of {', '.join(gone)} the output is {after[2]}")
    if not (after[0] < before[0] and after[1] < before[1]):
        raise RuntimeError(
            f"removing channels of {', '.join(gone)} left {after[0]} of {before[0]} parameters "
            f"and {after[1]} of {before[1]} multiply-accumulates"
        )
