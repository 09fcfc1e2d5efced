"""How much each channel of a dependency group matters: one score per channel and criterion.

Larger is more important. Scores of one group compare with each other; those of criteria that
measure the loss (`LOSS_CRITERIA`) also compare across groups. The module is left as it was:
what has to run, runs on a copy in evaluation mode.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import assert_never

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from compress.errors import Infeasible
from compress.frontend.capture import capture, trace_module
from compress.frontend.fuse import fuse
from compress.frontend.layers import Layer
from compress.genome import Criterion
from compress.pruning.groups import Group, remove
from compress.training.train import predict
from compress.types import Split

LOSS_CRITERIA: tuple[Criterion, ...] = ("taylor", "sensitivity")

_BATCH = 64
_WEIGHTED = ("conv", "depthwise", "linear")
_PASSING = ("add", "activation")
# A group that can be halved without loss keeps an order of its own: nats, far below any rise.
_SMALLEST_RISE = 1e-9


def scores(
    module: nn.Module,
    groups: Sequence[Group],
    criterion: Criterion,
    probe: Split | None = None,
) -> tuple[Tensor, ...]:
    """Scores float32 (channels,) of each of `groups`, which are the module's (`find_groups`).

    - l1, l2: the group's layers' mean of the sum of |w| or w**2 over a channel's weights.
    - batch_norm: mean |gamma| of the group's batch-norms (arXiv:1708.06519).
    - activation: mean |a| of the channel's values after the non-linearity.
    - apoz: share of them that is not zero, 1 - APoZ (arXiv:1607.03250).
    - taylor: first-order change of a sample's loss when the channel is taken away, as the mean
      over samples of |sum of a * dloss/da| (gates of arXiv:1906.10771, equation 8, with the
      magnitude instead of the square).
    - sensitivity: l2 divided by its mean in the group, times the rise of the mean loss when the
      weaker half of this group alone is removed.

    The last four are measured on `probe`. Raises Infeasible where they have none, or a group has
    no batch-norm to judge by.
    """
    match criterion:
        case "l1":
            return tuple(_magnitude(module, group, 1) for group in groups)
        case "l2":
            return tuple(_magnitude(module, group, 2) for group in groups)
        case "batch_norm":
            return tuple(_gamma(module, group) for group in groups)
        case "activation" | "apoz" | "taylor":
            return _observed(module, groups, criterion, _given(probe, criterion))
        case "sensitivity":
            return _sensitivity(module, groups, _given(probe, criterion))
        case _:
            assert_never(criterion)


def _given(probe: Split | None, criterion: Criterion) -> Split:
    if probe is None or len(probe) == 0:
        raise Infeasible(f"criterion {criterion} is measured on samples, and there are none")
    return probe


def _magnitude(module: nn.Module, group: Group, power: int) -> Tensor:
    sums = []
    for member in group.members:
        weight = module.get_submodule(member.layer).weight
        if isinstance(weight, Tensor):  # a batch-norm may have none
            along = weight.detach() if member.side == "out" else weight.detach().transpose(0, 1)
            each = along.abs().pow(power).reshape(len(along), -1).sum(1)
            sums.append(each[torch.from_numpy(member.slices)].sum(1))
    return torch.stack(sums).mean(0)


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
    module: nn.Module, groups: Sequence[Group], criterion: Criterion, probe: Split
) -> tuple[Tensor, ...]:
    traced = trace_module(copy.deepcopy(module), probe.x.shape[1:])
    layers, _, output = capture(traced)
    fused = fuse(layers, output)
    values = [_values(group, fused) for group in groups]
    watcher = _Watcher(traced, {name for names in values for name in names})
    totals = [torch.zeros(group.channels) for group in groups]
    for start in range(0, len(probe), _BATCH):
        seen = watcher.watch(probe, slice(start, start + _BATCH), criterion == "taylor")
        for total, names in zip(totals, values, strict=True):
            total += _score([seen[name] for name in names], criterion).sum(0)
    return tuple(total / len(probe) for total in totals)


def _score(seen: Sequence[Tensor], criterion: Criterion) -> Tensor:
    """Of each sample and channel (N, channels), from values (N, channels, positions)."""
    if criterion == "taylor":
        changes = [(value * value.grad).sum(2) for value in seen if value.grad is not None]
        return torch.stack(changes).sum(0).detach().abs()
    parts = [(value.abs() if criterion == "activation" else (value != 0).float()) for value in seen]
    return torch.stack([part.mean(2) for part in parts]).mean(0).detach()


def _values(group: Group, layers: Sequence[Layer]) -> tuple[str, ...]:
    """Traced values that hold the group's channels, as whoever computes with them reads them.

    They are what its layers make and sums of that, each after its non-linearity; what only an
    addition or a non-linearity reads is part of a later one.
    """
    makers = {member.layer for member in group.members if member.side == "out"}
    made: list[str] = []
    for layer in layers:
        makes = layer.kind in _WEIGHTED and layer.name in makers
        if makes or (layer.kind in _PASSING and not set(made).isdisjoint(layer.inputs)):
            made.append(layer.output)
    read = {value for layer in layers if layer.kind not in _PASSING for value in layer.inputs}
    return tuple(value for value in made if value in read)


class _Watcher(fx.Interpreter):
    """Runs a traced network and keeps some of its values, as (N, channels, positions)."""

    def __init__(self, traced: fx.GraphModule, names: set[str]) -> None:
        super().__init__(traced)
        self.names = names
        self.seen: dict[str, Tensor] = {}

    def watch(self, probe: Split, part: slice, gradients: bool) -> dict[str, Tensor]:
        """The values on a part of the samples; `grad` is that of their samples' summed loss."""
        self.seen = {}
        with torch.set_grad_enabled(gradients):
            x = torch.from_numpy(probe.x[part]).requires_grad_(gradients)
            logits = self.run(x)
            if gradients:
                labels = torch.from_numpy(probe.y[part])
                functional.cross_entropy(logits, labels, reduction="sum").backward()
        return self.seen

    def run_node(self, n: fx.Node) -> object:
        value = super().run_node(n)
        if n.name not in self.names or not isinstance(value, Tensor):
            return value
        kept = value.reshape(*value.shape[:2], -1)
        if kept.requires_grad:
            kept.retain_grad()
        self.seen[n.name] = kept
        # A copy goes on: operations in place must not change what was seen.
        return kept.reshape(value.shape).clone()


def _sensitivity(module: nn.Module, groups: Sequence[Group], probe: Split) -> tuple[Tensor, ...]:
    whole = copy.deepcopy(module).eval()
    loss = _loss(whole, probe)
    weighed = []
    for group in groups:
        magnitude = _magnitude(module, group, 2)
        weaker = torch.argsort(magnitude, stable=True)[: group.channels // 2].tolist()
        halved = copy.deepcopy(whole)
        remove(halved, groups, {group.name: weaker})
        rise = max(_loss(halved, probe) - loss, _SMALLEST_RISE)
        mean = magnitude.mean()
        weighed.append(rise * (magnitude / mean if mean > 0 else magnitude))
    return tuple(weighed)


def _loss(module: nn.Module, probe: Split) -> float:
    """Mean cross entropy in nats, summed in float64: differences of it are taken."""
    logits = predict(module, probe.x).double()
    return float(functional.cross_entropy(logits, torch.from_numpy(probe.y)))
