"""Importance scores of the channels of dependency groups, by criterion; larger is more important.

Scores are comparable within a group. Those of criteria that measure the loss (`LOSS_CRITERIA`) are
comparable across groups too. The module is not changed: forward passes run on a copy in evaluation
mode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

import numpy as np
import torch
from torch import Tensor, fx, nn

from compress.errors import Infeasible
from compress.frontend.capture import capture, trace_module
from compress.frontend.fuse import fuse
from compress.frontend.layers import Layer
from compress.frontend.layout import is_own, own_order, row_order
from compress.genome import Criterion
from compress.inputs import shape_of_samples
from compress.pruning.channel_ties import Side
from compress.pruning.groups import Group, remove_channels
from compress.recurrent_layers.layer import RecurrentLayer
from compress.task_types.classification import cross_entropy
from compress.task_types.rules import TargetLoss
from compress.tracing.answers import joined
from compress.tracing.batches import tensors_of
from compress.tracing.normalize import copied
from compress.tracing.trace import shape_of
from compress.training.train import predict
from compress.types import Array, Split

LOSS_CRITERIA: tuple[Criterion, ...] = ("taylor", "sensitivity")

_BATCH = 64
_WEIGHTED = ("conv", "depthwise", "linear", "recurrent")
_PASSING = (
    "add", "mul", "minimum", "maximum", "affine", "activation", "clip", "lookup", "table", "prelu",
)  # fmt: skip
# Least rise of the loss, far below any measured one: it keeps the scores of a group that
# can be halved without loss ordered by magnitude.
_SMALLEST_RISE = 1e-9


def scores(
    module: nn.Module,
    groups: Sequence[Group],
    criterion: Criterion,
    probe: Split | None = None,
    loss: TargetLoss = cross_entropy,
) -> tuple[Tensor, ...]:
    """Importance scores of each group's channels, float32 (channels,).

    `groups` are groups of `module` (`find_groups`). With weights w and activations a of a channel:

    - l1, l2: sum of |w| or w**2, averaged over the layers of the group.
    - batch_norm: mean |gamma| of the group's batch-norms (arXiv:1708.06519).
    - activation: mean |a| after the non-linearity.
    - apoz: share of nonzero a after the non-linearity, 1 - APoZ (arXiv:1607.03250).
    - taylor: first-order estimate of the change of a sample's loss without the channel,
      |sum of a * dloss/da|, averaged over the samples (gates of arXiv:1906.10771, equation 8, with
      the magnitude instead of the square).
    - sensitivity: l2 divided by its mean in the group, times the rise of the mean loss when the
      half of the group with the smaller l2 is removed, and only that.

    The last four are measured on the samples `probe`, whose y are the targets of `loss`. Raises
    Infeasible if they get no samples, and for batch_norm if a group has no batch-norm with a scale.
    """
    match criterion:
        case "l1":
            return tuple(_magnitude(module, group, 1) for group in groups)
        case "l2":
            return tuple(_magnitude(module, group, 2) for group in groups)
        case "batch_norm":
            return tuple(_gamma(module, group) for group in groups)
        case "activation" | "apoz" | "taylor":
            return _observed(module, groups, criterion, _given(probe, criterion), loss)
        case "sensitivity":
            return _sensitivity(module, groups, _given(probe, criterion), loss)
        case _:
            assert_never(criterion)


def _given(probe: Split | None, criterion: Criterion) -> Split:
    if probe is None or len(probe) == 0:
        raise Infeasible(f"criterion {criterion} is measured on samples, and there are none given")
    return probe


def _magnitude(module: nn.Module, group: Group, power: int) -> Tensor:
    """Sum of |w|**power over each channel's weights, averaged over the layers: (channels,)."""
    sums = []
    for member in group.members:
        rows = _rows(module.get_submodule(member.layer), member.side)
        if rows is not None:
            slices = rows.abs().pow(power).reshape(len(rows), -1).sum(1)
            sums.append(slices[torch.from_numpy(member.slices)].sum(1))
    return torch.stack(sums).mean(0)


def _rows(layer: nn.Module, side: Side) -> Tensor | None:
    """The weights of each slice of one side; None for a batch-norm without weights."""
    if isinstance(layer, RecurrentLayer):
        return layer.slices(side)
    weight = layer.weight
    if not isinstance(weight, Tensor):
        return None
    return weight.detach() if side == "out" else weight.detach().transpose(0, 1)


def _gamma(module: nn.Module, group: Group) -> Tensor:
    gammas = []
    for member in group.members:
        layer = module.get_submodule(member.layer)
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.affine:
            gammas.append(layer.weight.detach().abs()[torch.from_numpy(member.slices)].sum(1))
    if not gammas:
        raise Infeasible(f"criterion batch_norm: group {group.name} has no batch-norm with a scale")
    return torch.stack(gammas).mean(0)


def _observed(
    module: nn.Module,
    groups: Sequence[Group],
    criterion: Criterion,
    probe: Split,
    loss: TargetLoss,
) -> tuple[Tensor, ...]:
    traced = trace_module(copied(module), shape_of_samples(probe.x))
    layers, _, outputs = capture(traced)
    fused = fuse(layers, outputs)
    values = [_values(group, fused) for group in groups]
    watcher = _Watcher(traced, {name for held in values for name in held})
    totals = [torch.zeros(group.channels) for group in groups]
    for start in range(0, len(probe), _BATCH):
        part = slice(start, start + _BATCH)
        seen = watcher.watch(probe, part, loss if criterion == "taylor" else None)
        for total, held in zip(totals, values, strict=True):
            total += _score(seen, held, criterion).sum(0)
    return tuple(total / len(probe) for total in totals)


def _score(seen: Mapping[str, Tensor], held: Mapping[str, Array], criterion: Criterion) -> Tensor:
    """The scores (N, channels) of each sample, from values (N, slices, positions).

    `held` has the slices of each channel in the values that count (`_values`).
    """

    def by_channel(slices: Tensor, channels: Array) -> Tensor:
        return slices[:, torch.from_numpy(channels)]  # (N, channels, slices per channel)

    if criterion == "taylor":
        changes = [
            by_channel((seen[name] * gradient).sum(2), channels).sum(2)
            for name, channels in held.items()
            if (gradient := seen[name].grad) is not None
        ]
        return torch.stack(changes).sum(0).detach().abs()
    parts = {
        name: (seen[name].abs() if criterion == "activation" else (seen[name] != 0).float())
        for name in held
    }
    means = [by_channel(parts[name].mean(2), held[name]).mean(2) for name in held]
    return torch.stack(means).mean(0).detach()


def _values(group: Group, layers: Sequence[Layer]) -> dict[str, Array]:
    """The traced values that hold the group's channels, as later layers read them.

    By name, with the slices of each channel along the channels' axis, int64 (channels, slices per
    channel).
    They are the outputs of the group's layers and what becomes of them element by element, after
    the non-linearity. A value that only an element-wise layer reads is left out, as it is part of
    a later value.
    """
    producers = {member.layer: member.slices for member in group.members if member.side == "out"}
    made: dict[str, Array] = {}
    for layer in layers:
        if layer.kind in _WEIGHTED and layer.name in producers:
            made[layer.output] = producers[layer.name]
        elif layer.kind in _PASSING:
            found = [made[value] for value in layer.inputs if value in made]
            if found:
                made[layer.output] = found[0]
    read = {value for layer in layers if layer.kind not in _PASSING for value in layer.inputs}
    return {value: slices for value, slices in made.items() if value in read}


class _Watcher(fx.Interpreter):
    """Runs a traced network and keeps some of its values, as (N, channels, positions)."""

    def __init__(self, traced: fx.GraphModule, names: set[str]) -> None:
        super().__init__(traced)
        self.names = names
        self.seen: dict[str, Tensor] = {}

    def watch(self, probe: Split, part: slice, loss: TargetLoss | None) -> dict[str, Tensor]:
        """The values by name for the samples `part`.

        With `loss`, their `grad` is that of the samples' summed loss.
        """
        self.seen, gradients = {}, loss is not None
        with torch.set_grad_enabled(gradients):
            x = [values.requires_grad_(gradients) for values in tensors_of(probe.x[part])]
            outputs = joined(self.run(*x))
            if loss is not None:
                loss(outputs, torch.from_numpy(probe.y[part]), "sum").backward()
        return self.seen

    def run_node(self, n: fx.Node) -> object:
        value = super().run_node(n)
        if n.name not in self.names or not isinstance(value, Tensor):
            return value
        axis = _channel_axis(n)
        moved = value.movedim(axis, 1)
        kept = moved.reshape(*moved.shape[:2], -1)
        if kept.requires_grad:
            kept.retain_grad()
        self.seen[n.name] = kept
        # The network goes on with a copy, since in-place operations must not change the kept value.
        return kept.reshape(moved.shape).movedim(1, axis).clone()


def _channel_axis(node: fx.Node) -> int:
    """The axis of the channels of a captured value: 1, or the last one if it lies in rows."""
    shape = shape_of(node)
    order: Array = node.meta.get("order", own_order(shape))
    rows = len(shape) > 2 and np.array_equal(order, row_order(shape))
    return len(shape) - 1 if rows and not is_own(order, shape) else 1


def _sensitivity(
    module: nn.Module, groups: Sequence[Group], probe: Split, loss: TargetLoss
) -> tuple[Tensor, ...]:
    """The scores of criterion "sensitivity" (`scores`)."""
    whole = copied(module).eval()
    before = _mean_loss(whole, probe, loss)
    found = []
    for group in groups:
        magnitude = _magnitude(module, group, 2)
        weaker = torch.argsort(magnitude, stable=True)[: group.channels // 2].tolist()
        halved = copied(whole)
        remove_channels(halved, groups, {group.name: weaker})
        rise = max(_mean_loss(halved, probe, loss) - before, _SMALLEST_RISE)
        mean = magnitude.mean()
        found.append(rise * (magnitude / mean if mean > 0 else magnitude))
    return tuple(found)


def _mean_loss(module: nn.Module, probe: Split, loss: TargetLoss) -> float:
    """The mean loss, computed in float64 since differences of it are small."""
    outputs = predict(module, probe.x).double()
    return float(loss(outputs, torch.from_numpy(probe.y), "mean"))
