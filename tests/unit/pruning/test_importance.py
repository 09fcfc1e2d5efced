"""Importance scores, compared with hand-counted values and with measured losses."""

import copy
from typing import get_args

import numpy as np
import pytest
import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.nn import functional

from compress.errors import Infeasible
from compress.genome import Criterion
from compress.pruning.groups import Group, find_groups
from compress.pruning.importance import scores
from compress.tasks.digits import load, net
from compress.training.train import Schedule, fit
from compress.types import Recipe, Split
from helpers.networks import Mobile, Skip, probe

SHAPE = (1, 8, 8)
CRITERIA = get_args(Criterion)


def _settled(module: nn.Module, x: np.ndarray) -> nn.Module:
    """`module` with random batch-norm scales and with the statistics of x."""
    torch.manual_seed(5)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.2, 2.0)
            nn.init.normal_(layer.bias)
    module.train()
    with torch.no_grad():
        for _ in range(20):
            module(torch.from_numpy(x))
    return module.eval()


def _small() -> tuple[nn.Module, tuple[Group, ...]]:
    module = nn.Sequential(
        nn.Conv2d(1, 2, (1, 2)), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(4, 2)
    )
    with torch.no_grad():
        module[0].weight[:] = torch.tensor([[1.0, -2.0], [3.0, 0.0]]).reshape(2, 1, 1, 2)
        module[1].weight[:] = torch.tensor([0.5, -4.0])
        # The first two inputs belong to channel 0, the others to channel 1.
        module[3].weight[:] = torch.tensor([[1.0, 1.0, 2.0, 0.0], [-1.0, 0.0, 0.0, 1.0]])
    return module, find_groups(module, (1, 2, 2))


def test_magnitudes_are_those_counted_by_hand() -> None:
    module, groups = _small()
    (l1,), (l2,), (gamma,) = (scores(module, groups, c) for c in ("l1", "l2", "batch_norm"))
    torch.testing.assert_close(l1, torch.tensor([3 + 0.5 + 3, 3 + 4 + 3]) / 3)
    torch.testing.assert_close(l2, torch.tensor([5 + 0.25 + 3, 9 + 16 + 5]) / 3)
    assert gamma.tolist() == [0.5, 4.0]


def test_a_depthwise_convolution_counts_like_any_layer() -> None:
    module = Mobile()
    (score, _) = scores(module, find_groups(module, SHAPE), "l1")
    held = (
        module.conv.weight.abs().sum((1, 2, 3)),
        module.norm.weight.abs(),
        module.block.depthwise.weight.abs().sum((1, 2, 3)),
        module.block.norm1.weight.abs(),
        module.block.pointwise.weight.abs().sum((0, 2, 3)),
    )
    torch.testing.assert_close(score, (sum(held) / 5).detach())


@pytest.mark.parametrize(("criterion", "power"), [("l1", 1), ("l2", 2)])
def test_magnitudes_are_torch_prunings(criterion: Criterion, power: int) -> None:
    module = _settled(net(), probe(SHAPE, 10).x)
    groups = find_groups(module, SHAPE)
    graph = tp.DependencyGraph().build_dependency(module, torch.zeros(1, *SHAPE))
    importance = tp.importance.GroupMagnitudeImportance(p=power, normalizer=None)
    for group, score in zip(groups, scores(module, groups, criterion), strict=True):
        layer = module.get_submodule(group.name)
        every = list(range(group.channels))
        whole = graph.get_pruning_group(layer, tp.prune_conv_out_channels, every)
        torch.testing.assert_close(score, importance(whole))


def test_activations_are_taken_after_the_non_linearity() -> None:
    data = probe(SHAPE, 10)
    module = _settled(net(), data.x)
    groups = find_groups(module, SHAPE)
    first = module[0](torch.from_numpy(data.x))
    last = module[3](module[2](module[1](first)))
    activation, apoz = (scores(module, groups, c, data) for c in ("activation", "apoz"))
    for index, value in ((0, first), (2, last)):
        torch.testing.assert_close(activation[index], value.detach().abs().mean((0, 2, 3)))
        torch.testing.assert_close(apoz[index], (value > 0).float().mean((0, 2, 3)))
        assert len(set(apoz[index].tolist())) > 3


def test_a_value_that_only_a_sum_reads_is_scored_as_part_of_it() -> None:
    """The stem's output has a reader of its own, the branch's output is read in the sum only."""
    data = probe((1, 6, 6), 3)
    torch.manual_seed(1)
    module = Skip()
    with torch.no_grad():
        stem = module.stem(torch.from_numpy(data.x)).relu()
        total = (stem + module.reduce(module.depthwise(module.expand(stem)).relu())).relu()
    (group, _) = find_groups(module, (1, 6, 6))
    assert group.name == "stem"
    (score,) = scores(module, [group], "activation", data)
    torch.testing.assert_close(score, (stem.mean((0, 2, 3)) + total.mean((0, 2, 3))) / 2)


@pytest.mark.parametrize(("make", "layers"), [(net, ["0.relu"]), (Mobile, ["relu", "block.relu1"])])
def test_taylor_is_the_slope_of_a_gate(make: type[nn.Module], layers: list[str]) -> None:
    """Compares with the loss in float64 when the channel is scaled by 1 +- 0.001."""
    data = probe(SHAPE, 10)
    module = _settled(make(), data.x)
    if isinstance(module[0], nn.Sequential):
        layers = ["conv1.relu"]
    (score, *_) = scores(module, find_groups(module, SHAPE), "taylor", data)
    exact = copy.deepcopy(module).double()
    x, y = torch.from_numpy(data.x).double(), torch.from_numpy(data.y)

    def losses(channel: int, step: float) -> Tensor:
        def gate(_layer: nn.Module, _inputs: object, value: Tensor) -> Tensor:
            turned = torch.ones(value.shape[1], 1, 1, dtype=torch.float64)
            turned[channel] += step
            return value * turned

        hooks = [exact.get_submodule(name).register_forward_hook(gate) for name in layers]
        with torch.no_grad():
            each = functional.cross_entropy(exact(x), y, reduction="none")
        for hook in hooks:
            hook.remove()
        return each

    for channel in (0, 3, 7):
        slope = (losses(channel, 1e-3) - losses(channel, -1e-3)) / 2e-3
        assert float(score[channel]) == pytest.approx(float(slope.abs().mean()), rel=1e-3)


def test_taylor_predicts_the_loss_without_a_channel() -> None:
    """Rank correlation with the loss measured without each channel is higher than with l2."""
    train = load().train
    torch.manual_seed(0)
    module = net()
    fit(module, train, Schedule(Recipe(2, 64, 0.01), 2, 0))
    data = Split(train.x[:256], train.y[:256])
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    groups = find_groups(module, SHAPE)
    agreement: dict[Criterion, list[float]] = {"taylor": [], "l2": []}
    for index, reader in ((0, module[1].conv), (1, module[3].conv), (2, module[6])):
        losses = []
        with torch.no_grad():
            for channel in range(groups[index].channels):
                kept = reader.weight[:, channel].clone()
                reader.weight[:, channel] = 0
                losses.append(float(functional.cross_entropy(module(x), y)))
                reader.weight[:, channel] = kept
        measured = np.argsort(np.argsort(losses))
        for criterion, found in agreement.items():
            (score,) = scores(module, [groups[index]], criterion, data)
            ranks = np.argsort(np.argsort(score.numpy()))
            found.append(float(np.corrcoef(ranks, measured)[0, 1]))
    # The trained network depends on how the processor rounds, so that no exact value is expected.
    assert np.mean(agreement["taylor"]) > 0.5
    assert min(agreement["taylor"]) > 0.25
    assert np.mean(agreement["taylor"]) > np.mean(agreement["l2"])


def test_sensitivity_is_the_rise_of_the_loss_without_the_weaker_half() -> None:
    data = probe(SHAPE, 10)
    module = _settled(net(), data.x)
    with torch.no_grad():  # confident answers of every class: removing channels raises the loss
        module[6].weight *= 100
        module[6].bias -= module(torch.from_numpy(data.x)).mean(0)
    data = Split(data.x, module(torch.from_numpy(data.x)).argmax(1).numpy())
    groups = find_groups(module, SHAPE)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y)
    for index, reader in ((0, module[1].conv), (1, module[3].conv), (2, module[6])):
        (magnitude,) = scores(module, [groups[index]], "l2")
        half = magnitude.argsort()[: groups[index].channels // 2]
        kept = reader.weight.detach().clone()
        before = functional.cross_entropy(module(x), y)
        with torch.no_grad():
            reader.weight[:, half] = 0
            rise = functional.cross_entropy(module(x), y) - before
            reader.weight[:] = kept
        assert rise > 0.01
        score = scores(module, groups, "sensitivity", data)[index]
        torch.testing.assert_close(score, rise * magnitude / magnitude.mean(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("training", [True, False])
def test_scoring_leaves_the_network_as_it_was(criterion: Criterion, training: bool) -> None:
    data = probe(SHAPE, 10)
    module = _settled(net(), data.x)
    groups = find_groups(module, SHAPE)
    module.train(training)
    before = copy.deepcopy(module.state_dict())
    first = scores(module, groups, criterion, data)
    again = scores(module, groups, criterion, data)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert all(torch.isfinite(score).all() for score in first)
    assert [score.shape for score in first] == [(group.channels,) for group in groups]
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(value.grad is None for value in module.parameters())
    assert module.training is training
    assert all(len(layer._forward_hooks) == 0 for layer in module.modules())


@pytest.mark.parametrize("criterion", ["activation", "apoz", "taylor"])
def test_a_channel_that_is_always_zero_scores_zero(criterion: Criterion) -> None:
    data = probe(SHAPE, 10)
    module = _settled(net(), data.x)
    with torch.no_grad():
        module[1].norm.weight[5] = 0
        module[1].norm.bias[5] = -1  # below zero, so that ReLU outputs zero whatever the weights
        module[1].conv.weight[5] = 100
    score = scores(module, find_groups(module, SHAPE), criterion, data)[1]
    assert float(score[5]) == 0 < float(score.max())


@pytest.mark.parametrize("criterion", ["activation", "apoz", "taylor", "sensitivity"])
def test_without_samples_nothing_can_be_measured(criterion: Criterion) -> None:
    module, groups = _small()
    nothing = probe((1, 2, 2), 2, 0)
    for data in (None, nothing):
        with pytest.raises(Infeasible, match=f"criterion {criterion} is measured on samples"):
            scores(module, groups, criterion, data)


def test_batch_norm_criterion_needs_a_batch_norm() -> None:
    module = Skip()
    with pytest.raises(Infeasible, match="group stem has no batch-norm"):
        scores(module, find_groups(module, (1, 6, 6)), "batch_norm")
