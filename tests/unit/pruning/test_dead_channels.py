"""Dead channels of float networks: which ones are removed, and that the function is the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from compress.pruning.dead_channels import eliminate_dead_channels
from compress.pruning.groups import find_groups
from helpers.networks import Mobile, Perceptron, Resnet, Skip

NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "residual": (Resnet, (1, 8, 8)),
    "depthwise": (Mobile, (1, 8, 8)),
    "flattened": (Skip, (1, 6, 6)),
    "linear": (Perceptron, (1, 4, 4)),
}
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def network(kind: str) -> nn.Module:
    """A network of `NETS` with random batch-norm statistics, scales and shifts."""
    torch.manual_seed(5)
    module = NETS[kind][0]().eval()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.uniform_(layer.weight, 0.2, 2.0)
            nn.init.normal_(layer.bias)
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.2, 2.0)
    return module


def set_to(layer: nn.Module, channels: list[int], **values: float) -> None:
    with torch.no_grad():
        for name, value in values.items():
            getattr(layer, name)[channels] = value


def without_dead(module: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
    """`module` without dead channels.

    Checks that the function and `module` itself stay the same and that no dead channel is left.
    """
    torch.manual_seed(0)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    smaller = eliminate_dead_channels(module, shape)
    x = 2 * torch.randn(16, *shape)
    with torch.no_grad():
        torch.testing.assert_close(smaller(x), module(x), rtol=1e-4, atol=1e-5)
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
    assert sizes(eliminate_dead_channels(smaller, shape)) == sizes(smaller)
    return smaller


def sizes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


@pytest.mark.parametrize("kind", NETS)
def test_without_dead_channels_nothing_changes(kind: str) -> None:
    module = network(kind)
    same = without_dead(module, NETS[kind][1])
    for name, value in same.state_dict().items():
        assert torch.equal(value, module.state_dict()[name])


class Chain(nn.Sequential):
    """Network of two convolutions, batch-norm, ReLUs, a pool and a Linear on the flattened map."""

    def __init__(self, padding: int, bias: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.next = nn.Conv2d(8, 6, 3, padding=padding, bias=bias)
        self.relu2 = nn.ReLU6()
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.out = nn.Linear(6 * (2 + padding) ** 2, 3)


@pytest.mark.parametrize(
    ("shift", "padding", "goes"),
    [(-1.0, 1, True), (0.0, 1, True), (1.5, 1, False), (1.5, 0, True)],
)
@pytest.mark.parametrize("bias", [True, False])
def test_a_constant_folds_unless_zero_padding_replaces_it(
    shift: float, padding: int, goes: bool, bias: bool
) -> None:
    torch.manual_seed(1)
    module = Chain(padding, bias).eval()
    set_to(module.norm, [2, 5], weight=0.0, bias=shift)
    smaller = without_dead(module, (2, 8, 8))
    left = 6 if goes else 8
    assert sizes(smaller)["conv.weight"] == (left, 2, 3, 3)
    assert sizes(smaller)["next.weight"] == (6, left, 3, 3)
    assert ("next.bias" in sizes(smaller)) == (bias or (goes and shift > 0))


def test_a_kernel_of_zeros_leaves_what_batch_norm_makes_of_its_bias() -> None:
    torch.manual_seed(2)
    module = Chain(0).eval()
    set_to(module.conv, [0, 7], weight=0.0, bias=0.7)
    smaller = without_dead(module, (2, 8, 8))
    assert sizes(smaller)["norm.running_mean"] == (6,)
    share = module.next.weight[:, [0, 7]].sum((1, 2, 3)) * 0.7 / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(smaller.get_submodule("next").bias, share)


def test_a_flattened_map_and_what_only_dead_channels_read_go_too() -> None:
    torch.manual_seed(3)
    module = Chain(1).eval()
    set_to(module.next, [1], weight=0.0)
    with torch.no_grad():
        module.next.weight[[0, 2, 3, 4, 5], 6] = 0.0
    smaller = without_dead(module, (2, 8, 8))
    assert sizes(smaller)["out.weight"] == (3, 5 * 9)
    assert sizes(smaller)["conv.weight"] == (7, 2, 3, 3)


@pytest.mark.parametrize(("both", "left"), [(True, 7), (False, 8)])
def test_a_skip_connection_loses_what_is_dead_on_both_sides(both: bool, left: int) -> None:
    module = network("flattened")
    set_to(module.get_submodule("reduce"), [3], weight=0.0, bias=0.0)
    if both:
        set_to(module.get_submodule("stem"), [3], weight=0.0, bias=-1.0)
    smaller = without_dead(module, (1, 6, 6))
    assert sizes(smaller)["stem.weight"][0] == sizes(smaller)["reduce.weight"][0] == left
    assert sizes(smaller)["out.weight"] == (3, left * 36)


def test_a_dead_depthwise_channel_takes_its_producer_along() -> None:
    module = network("depthwise")
    set_to(module.get_submodule("block.norm1"), [1, 6], weight=0.0, bias=-0.5)
    smaller = without_dead(module, (1, 8, 8))
    assert sizes(smaller)["conv.weight"][0] == sizes(smaller)["block.depthwise.weight"][0] == 6
    assert sizes(smaller)["block.pointwise.weight"] == (12, 6, 1, 1)


def test_two_channels_are_left() -> None:
    module = network("linear")
    set_to(module.get_submodule("1"), list(range(18)), weight=0.0)
    smaller = without_dead(module, (1, 4, 4))
    assert sizes(smaller)["1.weight"] == (2, 16)


class Twice(nn.Module):
    """Network with a layer that runs twice, and so reads two values."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 1)
        self.again = nn.Conv2d(4, 4, 1)
        self.out = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.again(self.again(self.stem(x)).relu())
        return self.out(x.mean((2, 3)))


def test_layers_that_run_twice_are_left_alone() -> None:
    torch.manual_seed(4)
    module = Twice().eval()
    set_to(module.stem, [1], weight=0.0)  # `again` reads a constant, but only in its first run
    with torch.no_grad():
        module.out.weight[:, 1] = 0.0
    assert sizes(without_dead(module, (1, 5, 5))) == sizes(module)


@settings(relaxed, max_examples=15)
@given(st.sampled_from(sorted(NETS)), st.integers(0, 2**31), st.sampled_from([-0.7, 0.0, 0.9]))
def test_any_zeroed_channels_leave_the_function_as_it_is(kind: str, seed: int, bias: float) -> None:
    module, shape = network(kind), NETS[kind][1]
    torch.manual_seed(seed)
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in layers[:-1] + norms:
        dead = torch.nonzero(torch.rand(len(layer.weight)) < 0.3).flatten().tolist()
        set_to(layer, dead, weight=0.0)
        if layer.bias is not None:
            set_to(layer, dead, bias=bias)
    smaller = without_dead(module, shape)
    wide, narrow = ({g.name: g.channels for g in find_groups(m, shape)} for m in (module, smaller))
    assert wide.keys() == narrow.keys()
    assert all(1 <= narrow[name] <= wide[name] for name in wide)
