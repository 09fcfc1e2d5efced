"""Structured pruning: removal of the least important channels, by dependency group."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean

import torch
from torch import Tensor, nn

from compress.errors import Infeasible
from compress.genome import Criterion, Scope
from compress.pruning.groups import Group, find_groups, remove_channels
from compress.pruning.importance import LOSS_CRITERIA, scores
from compress.task_types.classification import cross_entropy
from compress.task_types.rules import TargetLoss
from compress.tracing.answers import parts_of_answer
from compress.tracing.batches import made_batch
from compress.tracing.normalize import copied
from compress.types import InputShape, Split

# CMSIS-NN kernels process four channels at a time; other widths are far slower per channel.
CHANNEL_MULTIPLE = 4
_Shape = tuple[int, ...]


def group_names(module: nn.Module, input_shape: InputShape) -> tuple[str, ...]:
    """Names of the prunable dependency groups, in the order of the network's layers.

    A group is named after the first layer that produces its channels. The groups of output
    layers are not prunable, as their channels are the classes.
    """
    return tuple(group.name for group in find_groups(module, input_shape))


def prune(
    module: nn.Module,
    input_shape: InputShape,
    keep: Sequence[float],
    criterion: Criterion,
    scope: Scope = "group",
    probe: Split | None = None,
    loss: TargetLoss = cross_entropy,
) -> nn.Module:
    """A copy of `module` with only its most important channels; the tensors are smaller.

    `keep` are ratios in (0, 1]: one per group in scope "group", a single one in scope "uniform"
    (for every group) and "global" (of all channels together). The number of channels kept is a
    multiple of 4, at least 4; narrower groups stay whole. Importance is that of `criterion`
    (`compress.pruning.importance.scores`), measured by `loss` on the samples `probe` where it needs
    samples.

    Raises Infeasible for other ratios, for a criterion that does not apply to this network, and
    for a network that does not run with fewer channels.
    """
    pruned = copied(module)
    groups = find_groups(pruned, input_shape)
    _check_ratios(keep, scope, groups)
    if scope == "global":
        gone = _weakest_of_all(pruned, groups, keep[0], criterion, probe, loss)
    else:
        ratios = keep if scope == "group" else [keep[0]] * len(groups)
        gone = _weakest_of_each(pruned, groups, ratios, criterion, probe, loss)
    if gone:
        before = _size(pruned, input_shape)
        remove_channels(pruned, groups, gone)
        _check_smaller(before, _size(pruned, input_shape), gone)
    return pruned


def kept_channels(channels: int, ratio: float) -> int:
    """The number of channels kept of `channels`: `ratio` of them, rounded to a multiple of 4.

    At least 4, and at most `channels`.
    """
    rounded = CHANNEL_MULTIPLE * round(channels * ratio / CHANNEL_MULTIPLE)
    return min(channels, max(CHANNEL_MULTIPLE, rounded))


def ratios_of(
    present: Sequence[str], groups: Sequence[str], keep: Sequence[float]
) -> tuple[float, ...]:
    """Keep ratios of the groups `present` in a network, by the names of the original's `groups`.

    A group that the original did not have gets the ratio of the layer that it was made from, or
    the mean of all ratios if there is none. Raises Infeasible for another number of ratios than
    the original has groups.
    """
    if len(keep) != len(groups):
        raise Infeasible(f"{len(keep)} keep ratios for {len(groups)} groups: {', '.join(groups)}")
    by_name = dict(zip(groups, keep, strict=True))

    def ratio(name: str) -> float:
        sources = [known for known in by_name if name == known or name.startswith(f"{known}.")]
        return by_name[max(sources, key=len)] if sources else fmean(keep)

    return tuple(map(ratio, present))


def keep_ratios_by_round(
    widths: Sequence[int], keep: Sequence[float], rounds: int
) -> tuple[tuple[float, ...], ...]:
    """Keep ratios for each of `rounds` prunings that together narrow groups of `widths` to `keep`.

    A round's ratios are relative to the widths after the round before. Widths fall geometrically,
    width * keep**(round / rounds), and are rounded from the first width, so that the last round
    ends at the width of a single pruning. Rounding from round to round would not get there: 12
    channels at 0.75 become 8, but at 0.75**0.5 they stay 12 in every round.
    """
    steps, present = [], list(widths)
    for step in range(1, rounds + 1):
        wanted = [kept_channels(n, r ** (step / rounds)) for n, r in zip(widths, keep, strict=True)]
        steps.append(tuple(new / old for new, old in zip(wanted, present, strict=True)))
        present = wanted
    return tuple(steps)


def _check_ratios(keep: Sequence[float], scope: Scope, groups: Sequence[Group]) -> None:
    if scope != "group" and len(keep) != 1:
        raise Infeasible(f"{len(keep)} keep ratios in scope {scope}: exactly one is allowed")
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
    loss: TargetLoss,
) -> dict[str, list[int]]:
    surplus = {
        group.name: group.channels - kept_channels(group.channels, ratio)
        for group, ratio in zip(groups, ratios, strict=True)
    }
    chosen = [group for group in groups if surplus[group.name] > 0]
    return {
        group.name: _ascending(score)[: surplus[group.name]]
        for group, score in zip(chosen, scores(module, chosen, criterion, probe, loss), strict=True)
    }


def _weakest_of_all(
    module: nn.Module,
    groups: Sequence[Group],
    ratio: float,
    criterion: Criterion,
    probe: Split | None,
    loss: TargetLoss,
) -> dict[str, list[int]]:
    """Channels to remove by group name: the weakest of all groups together, down to `ratio`.

    Channels are ranked in bundles of four, by the mean score of a bundle, so that every width stays
    a multiple of four. Scores are first divided by their group's mean, since magnitudes and
    activations depend on a layer's fan-in and depth more than on its importance (arXiv:1611.06440,
    section 2.2, divides by the layer's l2 norm, which would favor narrow groups). Scores in units
    of loss are compared as they are (arXiv:1906.10771).
    """
    wide = [group for group in groups if group.channels > CHANNEL_MULTIPLE]
    total = sum(group.channels for group in wide)
    surplus = total - kept_channels(total, ratio)
    if surplus <= 0:
        return {}
    bundles: list[tuple[float, str, list[int]]] = []
    for group, score in zip(wide, scores(module, wide, criterion, probe, loss), strict=True):
        mean = float(score.mean())
        fair = score if criterion in LOSS_CRITERIA or mean == 0 else score / mean
        weakest_first = _ascending(score)[: group.channels - CHANNEL_MULTIPLE]
        # The first bundle is the excess over a multiple of four, so that the rest is a multiple.
        odd = group.channels % CHANNEL_MULTIPLE
        cuts = [0, *range(odd or CHANNEL_MULTIPLE, len(weakest_first) + 1, CHANNEL_MULTIPLE)]
        for start, end in pairwise(cuts):
            bundle = weakest_first[start:end]
            bundles.append((float(fair[bundle].mean()), group.name, bundle))
    gone: dict[str, list[int]] = {}
    for _, name, bundle in sorted(bundles, key=lambda ranked: ranked[0]):
        if len(bundle) > surplus:
            break
        gone.setdefault(name, []).extend(bundle)
        surplus -= len(bundle)
    return gone


def _ascending(score: Tensor) -> list[int]:
    """Channel indices from the least to the most important; ties in the order of the channels."""
    order: list[int] = torch.argsort(score, stable=True).tolist()
    return order


def _size(module: nn.Module, input_shape: InputShape) -> tuple[int, int, tuple[_Shape, ...]]:
    """Number of parameters and multiply-accumulates, and output shapes, for one sample."""
    macs = 0

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal macs
        macs += output.numel() * layer.weight[0].numel()  # type: ignore[index]

    weighted = (nn.Conv2d, nn.Conv1d, nn.Linear)
    layers = [layer for layer in module.modules() if isinstance(layer, weighted)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.no_grad():
            outputs = parts_of_answer(module(*made_batch(torch.zeros, 1, input_shape)))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise Infeasible(f"the network does not run with fewer channels: {reason}") from error
    finally:
        for hook in hooks:
            hook.remove()
    shapes = tuple(tuple(output.shape) for output in outputs)
    return sum(value.numel() for value in module.parameters()), macs, shapes


def _check_smaller(
    before: tuple[int, int, tuple[_Shape, ...]],
    after: tuple[int, int, tuple[_Shape, ...]],
    gone: dict[str, list[int]],
) -> None:
    if after[2] != before[2]:
        raise Infeasible(
            f"without channels of {', '.join(gone)} the output shape is "
            f"{', '.join(map(str, after[2]))} instead of {', '.join(map(str, before[2]))}"
        )
    if not (after[0] < before[0] and after[1] < before[1]):
        raise RuntimeError(
            f"removing channels of {', '.join(gone)} left {after[0]} of {before[0]} parameters "
            f"and {after[1]} of {before[1]} multiply-accumulates"
        )
