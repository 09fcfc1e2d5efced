"""Pruning and narrowing remove channels physically, group by group, and keep the rest."""

import numpy as np
import pytest
import torch
from torch import nn

from compress.distill import distillation_loss, narrow
from compress.errors import Infeasible
from compress.prune import group_names, kept_channels, prune
from compress.tasks.digits import net


class Tied(nn.Module):
    """A skip ties stem and out of the branch; the depthwise follows its producer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.expand = nn.Conv2d(8, 16, 1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.reduce = nn.Conv2d(16, 8, 1)
        self.out = nn.Linear(8 * 16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu()
        x = x + self.reduce(self.depthwise(self.expand(x)).relu())
        return self.out(torch.flatten(x, 1))


def _weights(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_groups_follow_skips_and_depthwise() -> None:
    assert len(group_names(Tied(), (1, 4, 4))) == 2
    assert group_names(net(), (1, 8, 8)) == ("conv1.conv", "conv2.conv", "conv3.conv")


@pytest.mark.parametrize("keep", [(0.5, 1.0), (1.0, 0.5), (0.5, 0.5), (0.01, 0.01)])
def test_pruning_shrinks_the_network_and_keeps_it_whole(keep: tuple[float, float]) -> None:
    module = Tied()
    pruned = prune(module, (1, 4, 4), keep, "l2")
    assert _weights(pruned) < _weights(module)
    assert pruned(torch.zeros(2, 1, 4, 4)).shape == (2, 3)
    sizes = dict(zip(group_names(module, (1, 4, 4)), keep, strict=True))
    for name, ratio in sizes.items():
        before, after = module.get_submodule(name), pruned.get_submodule(name)
        assert after.weight.shape[0] == kept_channels(before.weight.shape[0], ratio)


def test_the_weakest_channels_go() -> None:
    module = nn.Sequential(nn.Conv2d(1, 8, 3, bias=False), nn.Flatten(), nn.Linear(8 * 4, 2))
    strong = [1, 3, 4, 6]
    with torch.no_grad():
        module[0].weight.fill_(0.01)
        module[0].weight[strong] = torch.arange(1.0, 5.0).reshape(4, 1, 1, 1)
        module[2].weight.fill_(1.0)
    pruned = prune(module, (1, 4, 4), (0.5,), "l1")
    assert pruned[0].weight[:, 0, 0, 0].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert torch.equal(pruned[2].weight, torch.ones(2, 4 * 4))


def test_what_is_removed_was_not_needed() -> None:
    """Channels that are zero may go without a change in the output."""
    torch.manual_seed(0)
    module = Tied()
    with torch.no_grad():
        for layer in (module.expand, module.depthwise):
            layer.weight[8:] = 0
            layer.bias[8:] = 0
        module.reduce.weight[:, 8:] = 0
    x = torch.randn(4, 1, 4, 4)
    keep = [
        0.5 if name in ("expand", "depthwise") else 1.0 for name in group_names(module, (1, 4, 4))
    ]
    pruned = prune(module, (1, 4, 4), keep, "l2")
    assert pruned.expand.weight.shape[0] == 8
    torch.testing.assert_close(pruned(x), module(x))


@pytest.mark.parametrize(
    ("channels", "ratio", "kept"),
    [
        (64, 0.5, 32),
        (64, 0.01, 4),
        (64, 1.0, 64),
        (6, 0.5, 4),
        (6, 1.0, 6),
        (3, 0.1, 3),
        (64, 0.6, 40),
    ],
)
def test_kept_channels_are_multiples_of_four(channels: int, ratio: float, kept: int) -> None:
    assert kept_channels(channels, ratio) == kept


def test_wrong_ratios_are_refused_with_the_groups() -> None:
    with pytest.raises(Infeasible, match=r"1 keep ratios for 3 groups: conv1\.conv"):
        prune(net(), (1, 8, 8), (0.5,), "l2")
    with pytest.raises(Infeasible, match=r"0 < ratio"):
        prune(net(), (1, 8, 8), (0.5, 0.0, 1.0), "l2")


def test_a_student_inherits_or_starts_afresh() -> None:
    torch.manual_seed(0)
    module = net()
    inherited = narrow(module, (1, 8, 8), 0.5, fresh=False)
    fresh = narrow(module, (1, 8, 8), 0.5, fresh=True)
    assert inherited[0].conv.weight.shape == fresh[0].conv.weight.shape == (8, 1, 3, 3)
    originals = {tuple(w.flatten().tolist()) for w in module[0].conv.weight}
    assert all(tuple(w.flatten().tolist()) in originals for w in inherited[0].conv.weight)
    assert not any(tuple(w.flatten().tolist()) in originals for w in fresh[0].conv.weight)


def test_distillation_loss_is_the_published_formula() -> None:
    """Against the sum written out in NumPy float64, Hinton et al. 2015."""
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(size=(6, 4)), rng.normal(size=(3, 4))
    labels, chosen = np.array([1, 0, 3]), np.array([5, 0, 2])
    temperature, weight = 4.0, 0.7

    def softened(z: np.ndarray, t: float) -> np.ndarray:
        e = np.exp(z / t)
        return e / e.sum(1, keepdims=True)

    p, q = softened(teacher[chosen], temperature), softened(student, temperature)
    divergence = np.mean(np.sum(p * np.log(p / q), axis=1))
    entropy = -np.mean(np.log(softened(student, 1.0)[np.arange(3), labels]))
    wanted = 0.3 * entropy + 0.7 * 16 * divergence
    loss = distillation_loss(torch.tensor(teacher), temperature, weight)
    got = loss(torch.tensor(student), torch.tensor(labels), torch.tensor(chosen))
    assert float(got) == pytest.approx(wanted)
