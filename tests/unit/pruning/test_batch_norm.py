"""Re-estimated batch-norm statistics: equal to NumPy's, and better outputs after pruning."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from compress.errors import Infeasible
from compress.pruning.batch_norm import reestimate
from compress.pruning.prune import prune
from compress.tasks.digits import load, net
from compress.training.train import Schedule, fit, predict
from compress.types import Recipe, Split
from helpers.networks import Mobile, Perceptron, Resnet, probe

MAPS = (1, 8, 8)


def test_statistics_are_those_of_the_batches() -> None:
    """Compares with NumPy, where each layer is normalized with the batch's own statistics."""
    x = probe(MAPS, 10, 80).x
    module = Mobile()
    measured = reestimate(module, x, 40)
    means, variances = [], []
    for part in (x[:40], x[40:]):
        with torch.no_grad():
            value = module.conv(torch.from_numpy(part)).numpy().astype(float)
            means.append([value.mean((0, 2, 3))])
            variances.append([value.var((0, 2, 3), ddof=1)])
            # A new batch-norm has scale 1 and shift 0.
            spread = np.sqrt(value.var((0, 2, 3), keepdims=True) + module.norm.eps)
            value = np.maximum((value - value.mean((0, 2, 3), keepdims=True)) / spread, 0)
            value = module.block.depthwise(torch.from_numpy(value).float()).numpy().astype(float)
            means[-1].append(value.mean((0, 2, 3)))
            variances[-1].append(value.var((0, 2, 3), ddof=1))
    for i, norm in enumerate((measured.norm, measured.block.norm1)):
        wanted = np.mean([m[i] for m in means], 0), np.mean([v[i] for v in variances], 0)
        np.testing.assert_allclose(norm.running_mean.numpy(), wanted[0], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(norm.running_var.numpy(), wanted[1], rtol=1e-4)


@pytest.mark.parametrize("make", [Mobile, Resnet])
def test_nothing_but_statistics_changes(make: type[nn.Module]) -> None:
    module = make()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.3
    before = copy.deepcopy(module.state_dict())
    measured = reestimate(module, probe(MAPS, 3).x)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    for name, value in measured.state_dict().items():
        statistic = "running" in name or "num_batches" in name
        assert torch.equal(value, before[name]) is not statistic
    assert not any(layer.training for layer in measured.modules())
    norms = [layer for layer in measured.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.3}


@pytest.mark.parametrize("samples", [2, 3, 65, 129])
def test_any_number_of_samples_from_two(samples: int) -> None:
    measured = reestimate(Perceptron(), probe((1, 4, 4), 3, samples).x)
    assert all(torch.isfinite(value).all() for value in measured.state_dict().values())


def test_one_sample_has_no_variance() -> None:
    with pytest.raises(Infeasible, match="1 samples"):
        reestimate(Perceptron(), probe((1, 4, 4), 3, 1).x)


def test_a_pruned_network_answers_better() -> None:
    data = load()
    torch.manual_seed(0)
    module = net()
    fit(module, data.train, Schedule(Recipe(4, 64, 0.01), 4, 0))
    wanted = predict(module, data.val.x)
    pruned = prune(module, MAPS, (0.5,), "l2", "uniform")
    measured = reestimate(pruned, data.train.x)
    errors = [float((predict(m, data.val.x) - wanted).square().mean()) for m in (pruned, measured)]
    assert errors[1] < 0.8 * errors[0]
    shares = [_right(m, data.val) for m in (pruned, measured)]
    assert shares[1] > shares[0]


def _right(module: nn.Module, split: Split) -> float:
    return float((predict(module, split.x).argmax(1).numpy() == split.y).mean())
