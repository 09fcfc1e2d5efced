"""Removable blocks: found in the order of execution, and dropped without side effects."""

import pytest
import torch
from torch import fx, nn

from compress.errors import Infeasible
from compress.pruning.blocks import block_names, drop_blocks
from compress.pruning.prune import group_names, prune
from compress.tasks import digits, kws
from helpers.networks import Mobile, Perceptron, Resnet, Skip

MAPS = (1, 8, 8)
KWS = (1, 49, 10)


def _weights(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("module", "shape", "names"),
    [
        (kws.net(), KWS, ("block1", "block2", "block3", "block4")),
        (digits.net(), MAPS, ("conv2",)),
        # Only the parts of `inner`: without all of it, x + inner(x) would become x + x.
        (Resnet(), MAPS, ("unit1", "unit2", "inner.0", "inner.1", "left", "right")),
        (Skip(), (1, 6, 6), ()),
        (Mobile(), MAPS, ()),
        (Perceptron(), (1, 4, 4), ()),
        # The last layer stays even if it keeps the shape: its outputs are the classes.
        (nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(16, 16))), (1, 4, 4), ()),
    ],
)
def test_blocks_are_found(
    module: nn.Module, shape: tuple[int, int, int], names: tuple[str, ...]
) -> None:
    assert block_names(module, shape) == names


def test_the_outermost_unit_counts() -> None:
    inner = nn.Sequential(nn.Sequential(nn.Conv2d(4, 4, 1)), nn.ReLU())
    module = nn.Sequential(nn.Conv2d(1, 4, 1), inner, nn.Flatten(), nn.Linear(4 * 64, 2))
    assert block_names(module, MAPS) == ("1",)


def test_the_order_is_that_of_execution() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(4, 2)
            self.late = nn.Sequential(nn.Conv2d(4, 4, 1))
            self.early = nn.Sequential(nn.Conv2d(4, 4, 1))
            self.twice = nn.Sequential(nn.Conv2d(4, 4, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.twice(self.late(self.early(x)))
            return self.out(self.twice(x).mean((2, 3)))

    assert block_names(Backwards(), (4, 5, 5)) == ("early", "late")


def test_a_dropped_block_is_gone_and_the_rest_as_it_was() -> None:
    torch.manual_seed(0)
    module = kws.net().eval()
    x = torch.randn(2, *KWS)
    dropped = drop_blocks(module, KWS, ("block2", "block4"))
    assert _weights(module) - _weights(dropped) == 2 * (64 * 9 + 64 * 64 + 4 * 64)
    wanted = x
    for name, layer in module.named_children():
        wanted = wanted if name in ("block2", "block4") else layer(wanted)
    torch.testing.assert_close(dropped(x), wanted)
    torch.testing.assert_close(fx.symbolic_trace(dropped)(x), wanted)
    assert block_names(dropped, KWS) == ("block1", "block3")
    assert block_names(module, KWS) == ("block1", "block2", "block3", "block4")


def test_a_residual_unit_passes_its_input_on() -> None:
    torch.manual_seed(0)
    module = Resnet().eval()
    dropped = drop_blocks(module, MAPS, ("unit1", "right", "inner.0"))
    x = torch.randn(2, *MAPS)
    y = module.unit2(module.stem(x))
    y = module.wide(y + module.inner[1](y))
    torch.testing.assert_close(dropped(x), module.out((module.left(y) + y).mean((2, 3))))


def test_channels_can_be_pruned_after_blocks() -> None:
    for names in (("block1",), ("block4",), ("block1", "block2", "block3", "block4")):
        dropped = drop_blocks(kws.net(), KWS, names)
        known = group_names(kws.net(), KWS)
        assert set(group_names(dropped, KWS)) <= set(known)
        pruned = prune(dropped, KWS, (0.5,), "l2", "uniform")
        assert pruned(torch.zeros(2, *KWS)).shape == (2, 12)


@pytest.mark.parametrize("name", ["block9", "", "classify", "relu"])
def test_an_unknown_block_is_refused_by_name(name: str) -> None:
    with pytest.raises(Infeasible, match=f"block '{name}'.*block1, block2, block3, block4 can"):
        drop_blocks(kws.net(), KWS, (name,))


def test_a_block_pruned_to_another_width_stays() -> None:
    keep = [0.5 if name == "conv" else 1.0 for name in group_names(kws.net(), KWS)]
    pruned = prune(kws.net(), KWS, keep, "l2")
    assert block_names(pruned, KWS) == ("block2", "block3", "block4")
    with pytest.raises(Infeasible, match=r"block1 .*\(1, 32, 25, 5\) to \(1, 64, 25, 5\)"):
        drop_blocks(pruned, KWS, ("block1",))


@pytest.mark.parametrize("names", [("inner",), ("left", "right"), ("inner.0", "inner.1")])
def test_dropping_that_would_double_a_value_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(Infeasible, match=r"(inner|left).*add a value to itself"):
        drop_blocks(Resnet(), MAPS, names)


def test_a_block_cannot_be_dropped_twice() -> None:
    dropped = drop_blocks(digits.net(), MAPS, ("conv2",))
    with pytest.raises(Infeasible, match="block 'conv2'"):
        drop_blocks(dropped, MAPS, ("conv2",))
