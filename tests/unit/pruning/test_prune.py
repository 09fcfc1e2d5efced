"""Structured pruning: group by group or ranked across groups; the rest of the network stays."""

import pytest
import torch
from torch import nn

from compress.errors import Infeasible
from compress.genome import Scope
from compress.pruning.prune import group_names, keep_ratios_by_round, kept_channels, prune
from compress.tasks.digits import net
from helpers.networks import Mobile, Perceptron, Skip, probe


def _weights(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_groups_follow_skips_and_depthwise() -> None:
    assert group_names(Skip(), (1, 6, 6)) == ("stem", "expand")
    assert group_names(Mobile(), (1, 8, 8)) == ("conv", "block.pointwise")
    assert group_names(net(), (1, 8, 8)) == ("conv1.conv", "conv2.conv", "conv3.conv")


@pytest.mark.parametrize("keep", [(0.5, 1.0), (1.0, 0.5), (0.5, 0.5), (0.01, 0.01)])
def test_pruning_shrinks_the_network_and_keeps_it_whole(keep: tuple[float, float]) -> None:
    module = Skip()
    pruned = prune(module, (1, 6, 6), keep, "l2")
    assert _weights(pruned) < _weights(module)
    assert pruned(torch.zeros(2, 1, 6, 6)).shape == (2, 3)
    sizes = dict(zip(group_names(module, (1, 6, 6)), keep, strict=True))
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


def test_removing_zero_channels_keeps_the_output() -> None:
    """Removing channels whose weights are all zero does not change the output."""
    torch.manual_seed(0)
    module = Skip()
    with torch.no_grad():
        for layer in (module.expand, module.depthwise):
            layer.weight[8:] = 0
            layer.bias[8:] = 0
        module.reduce.weight[:, 8:] = 0
    x = torch.randn(4, 1, 6, 6)
    keep = [0.5 if name == "expand" else 1.0 for name in group_names(module, (1, 6, 6))]
    pruned = prune(module, (1, 6, 6), keep, "l2")
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


@pytest.mark.parametrize("scope", ["uniform", "global"])
@pytest.mark.parametrize("keep", [(), (0.5, 0.5)])
def test_these_scopes_have_one_ratio(scope: Scope, keep: tuple[float, ...]) -> None:
    with pytest.raises(Infeasible, match=f"{len(keep)} keep ratios in scope {scope}"):
        prune(net(), (1, 8, 8), keep, "l2", scope)


def test_a_uniform_ratio_is_that_of_every_group() -> None:
    module = net()
    one, each = (
        prune(module, (1, 8, 8), keep, "l2", scope)
        for keep, scope in (((0.5,), "uniform"), ((0.5,) * 3, "group"))
    )
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), each.parameters(), strict=True))


def test_a_global_ratio_removes_the_weakest_channels_of_all_groups() -> None:
    """Scores count relative to their group's mean.

    Eight channels of the second layer are weak there, though as large as the largest of the first.
    """
    first = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7]
    second = [100.0] * 4 + [1.7] * 3 + [100.0] * 4 + [1.7] * 5
    module = nn.Sequential(
        nn.Conv2d(1, 8, 1), nn.BatchNorm2d(8), nn.Conv2d(8, 16, 1), nn.BatchNorm2d(16),
        nn.Flatten(), nn.Linear(16, 2),
    )  # fmt: skip
    with torch.no_grad():
        module[1].weight[:] = torch.tensor(first)
        module[3].weight[:] = torch.tensor(second)
    pruned = prune(module, (1, 1, 1), (16 / 24,), "batch_norm", "global")
    assert pruned[1].weight.tolist() == pytest.approx(first)
    assert pruned[3].weight.tolist() == [100.0] * 8
    fewer = prune(module, (1, 1, 1), (12 / 24,), "batch_norm", "global")
    assert fewer[1].weight.tolist() == pytest.approx(first[4:])
    assert fewer[3].weight.tolist() == [100.0] * 8


def test_a_global_ratio_leaves_four_of_each_group() -> None:
    pruned = prune(net(), (1, 8, 8), (0.01,), "l2", "global")
    assert [pruned.get_submodule(f"conv{i}.conv").weight.shape[0] for i in (1, 2, 3)] == [4, 4, 4]


@pytest.mark.parametrize(("ratio", "widths"), [(1.0, 25), (0.8, 20), (0.5, 12), (0.1, 8)])
def test_odd_widths_become_multiples_of_four_or_stay_whole(ratio: float, widths: int) -> None:
    module = Perceptron()  # groups of 18 and 7 channels
    pruned = prune(module, (1, 4, 4), (ratio,), "l2", "global")
    assert pruned[1].out_features + pruned[4].out_features == widths
    for layer, whole in ((pruned[1], 18), (pruned[4], 7)):
        assert layer.out_features % 4 == 0 or layer.out_features == whole


def test_channels_tied_to_the_input_or_to_a_grouped_layer_stay() -> None:
    class OverInput(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.same = nn.Conv2d(4, 4, 3, padding=1)
            self.conv = nn.Conv2d(4, 8, 1)
            self.spread = nn.Conv2d(8, 16, 3, groups=8)
            self.out = nn.Linear(16, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.spread(self.conv(x + self.same(x))).mean((2, 3)))

    assert group_names(OverInput(), (4, 5, 5)) == ()
    same = prune(OverInput(), (4, 5, 5), (0.5,), "l2", "uniform")
    assert _weights(same) == _weights(OverInput())


def test_a_width_stated_in_the_networks_code_stays() -> None:
    class Stubborn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(1, 8, 3, padding=1)
            self.conv = nn.Conv2d(8, 8, 3)
            self.out = nn.Linear(32, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.conv(self.stem(x)).view(-1, 32))

    assert group_names(Stubborn(), (1, 4, 4)) == ("stem",)


def test_a_network_that_does_not_run_with_fewer_channels_is_infeasible() -> None:
    class Counted(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.out_channels != 8:
                raise RuntimeError("eight channels are wanted")
            return super().forward(x)

    module = nn.Sequential(Counted(1, 8, 3), nn.Flatten(), nn.Linear(32, 2))
    with pytest.raises(Infeasible, match="does not run with fewer channels"):
        prune(module, (1, 4, 4), (0.5,), "l2")


def test_a_removal_that_removes_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compress.pruning.prune.remove_channels", lambda *_: None)
    with pytest.raises(RuntimeError, match="left 7514 of 7514 parameters"):
        prune(net(), (1, 8, 8), (1.0, 0.5, 1.0), "l2")


@pytest.mark.parametrize("scope", ["uniform", "global"])
def test_samples_reach_the_criterion(scope: Scope) -> None:
    data = probe((1, 8, 8), 10)
    pruned = prune(net(), (1, 8, 8), (0.5,), "taylor", scope, data)
    assert _weights(pruned) < _weights(net())
    with pytest.raises(Infeasible, match="samples"):
        prune(net(), (1, 8, 8), (0.5,), "taylor", scope)


def test_rounds_fall_geometrically_and_end_where_one_pruning_would() -> None:
    assert keep_ratios_by_round((64,), (0.25,), 2) == ((0.5,), (0.5,))
    widths, keep = (12, 64, 18, 3), (0.75, 0.3, 0.4, 0.5)
    present = widths
    for ratios in keep_ratios_by_round(widths, keep, 3):
        left = tuple(map(kept_channels, present, ratios))
        assert all(new <= old for new, old in zip(left, present, strict=True))
        present = left
    assert present == tuple(map(kept_channels, widths, keep))
