"""Each form of layer or function is pruned: what is removed together is what belongs together."""

from __future__ import annotations

import copy

import pytest
import torch
import torch_pruning as tp
from torch import Tensor, nn

from compress.distillation.student import student
from compress.genome import Distill, Quantize
from compress.integer.check import check_graph
from compress.pruning.blocks import block_names
from compress.pruning.dead_channels import eliminate_dead_channels
from compress.pruning.groups import Group, find_groups, remove_channels
from compress.pruning.importance import scores
from compress.pruning.prune import prune
from compress.pruning.sparsify import sparsify
from compress.quantization.lower import lower
from compress.types import Split
from helpers.forms import FORMS, Form, conv, end, made

# Channels that constants, norms over a sample or the network's code count on cannot be removed, nor
# can those of transposed convolutions.
_FIXED = {
    "view(-1, 512)", "layer scale", "positional embedding", "product with a window", "F.conv2d",
    "an unused branch", "maximum with constants", "ChannelShuffle", "channel shuffle by view",
    "slices of channels", "chunk", "split", "unbind and stack", "flip and gather",
    "a flattened map that is sliced", "padded channels", "attention over positions",
    "mean of everything", "LayerNorm", "LayerNorm of vectors", "InstanceNorm2d", "GroupNorm(1)",
    "MLP-Mixer", "attention", "attention of two heads", "scaled_dot_product_attention",
    "ConvTranspose2d(2, 2)", "ConvTranspose2d(4, 2, 1)", "ConvTranspose2d(3, 2, 1, 1)",
    "ConvTranspose2d(3, (2, 3))", "ConvTranspose1d",
}  # fmt: skip
_READERS = (nn.Conv2d, nn.Conv1d, nn.Linear)


def _unread(module: nn.Module, groups: tuple[Group, ...], gone: dict[str, list[int]]) -> nn.Module:
    """A copy whose layers have weights of zero for the channels `gone`."""
    same = copy.deepcopy(module)
    for group in groups:
        for member in group.members:
            layer = same.get_submodule(member.layer)
            if member.side == "in" and isinstance(layer, _READERS):
                layer.weight.data[:, member.slices[gone[group.name]].ravel()] = 0.0
    return same


@pytest.mark.parametrize("name", FORMS)
def test_channels_that_nothing_reads_go_without_a_trace(name: str) -> None:
    module, x = made(name)
    groups = find_groups(module, x.shape[1:])
    assert bool(groups) != (name in _FIXED)
    gone = {group.name: [0] for group in groups}
    zeroed = _unread(module, groups, gone)
    smaller = copy.deepcopy(module)
    remove_channels(smaller, groups, gone)
    with torch.no_grad():
        torch.testing.assert_close(smaller(x), zeroed(x), atol=2e-6, rtol=1e-4)
    dead = eliminate_dead_channels(zeroed, x.shape[1:])
    with torch.no_grad():
        torch.testing.assert_close(dead(x), zeroed(x), atol=2e-6, rtol=1e-4)
    for group, left in zip(groups, find_groups(dead, x.shape[1:]), strict=True):
        assert left.channels == max(2, group.channels - 1)


@pytest.mark.parametrize("name", FORMS)
def test_a_pruned_network_lowers(name: str) -> None:
    module, x = made(name)
    shape = x.shape[1:]
    probe = Split(x.numpy(), torch.arange(len(x)).numpy() % 4)
    groups = find_groups(module, shape)
    for criterion in ("l2", "activation", "taylor"):
        for group, score in zip(groups, scores(module, groups, criterion, probe), strict=True):
            assert score.shape == (group.channels,)
            assert score.isfinite().all()
    smaller = prune(module, shape, (0.5,), "activation", "uniform", probe)
    assert smaller(x).shape == module(x).shape
    check_graph(lower(sparsify(smaller, 0.5, "2:4", "layer"), Quantize(), x.numpy(), name))
    made_student = student(module, shape, Distill(width=0.5, depth=0.5, kernel=5, separable=True))
    assert made_student(x).shape == module(x).shape
    check_graph(lower(made_student, Quantize(), x.numpy(), name))


# torch-pruning does not follow these: it removes other channels than a permuted or joined vector
# has, narrows no constant and no code, or sees no channels in a series, in a shuffled map, behind a
# PReLU of one slope or behind a transposed convolution.
_UNLIKE_TORCH_PRUNING = {
    "permute to NHWC and flatten", "cat of flattened maps", "Flatten(2) and flatten", "unflatten",
    "PReLU", "U-Net", "PixelShuffle", "PixelUnshuffle",
} | _FIXED  # fmt: skip


@pytest.mark.parametrize("name", [name for name in FORMS if name not in _UNLIKE_TORCH_PRUNING])
def test_groups_are_torch_prunings(name: str) -> None:
    module, x = made(name)
    names = {layer: key for key, layer in module.named_modules()}
    graph = tp.DependencyGraph().build_dependency(module, x[:2], verbose=False)
    for group in find_groups(module, x.shape[1:]):
        layer = module.get_submodule(group.name)
        remove = tp.prune_linear_out_channels if isinstance(layer, nn.Linear) else (
            tp.prune_conv_out_channels)  # fmt: skip
        found = graph.get_pruning_group(layer, remove, [0])
        theirs: dict[tuple[str, str], set[int]] = {}
        for item in found:
            if item.dep.target.module in names:
                side = "out" if graph.is_out_channel_pruning_fn(item.dep.handler) else "in"
                key = names[item.dep.target.module], side
                theirs.setdefault(key, set()).update(item.idxs)
        ours = {(m.layer, m.side): set(m.slices[0].tolist()) for m in group.members}
        assert ours == theirs


def test_a_weight_of_two_layers_stays_whole() -> None:
    first, second = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
    second.weight = first.weight
    module = nn.Sequential(conv(), first, nn.ReLU(), second, nn.ReLU(), conv(8, 8), end(512))
    assert [group.name for group in find_groups(module, (3, 8, 8))] == ["5.0"]


def test_a_layer_that_runs_twice_ties_what_it_reads_and_writes() -> None:
    def forward(s: nn.Module, x: Tensor) -> Tensor:
        return s.out(torch.relu(s.again(torch.relu(s.again(s.stem(x))))))

    module = Form(forward, stem=nn.Conv2d(3, 8, 1), again=nn.Conv2d(8, 8, 1), out=end(512))
    (group,) = find_groups(module, (3, 8, 8))
    sides = [(member.layer, member.side) for member in group.members]
    assert sides == [("stem", "out"), ("again", "in"), ("again", "out"), ("out.1", "in")]


def test_a_sum_of_a_concatenation_splits_into_two_groups() -> None:
    def forward(s: nn.Module, x: Tensor) -> Tensor:
        return s.out(torch.relu(torch.cat([s.a(x), s.b(x)], 1) + s.c(x)))

    parts = {"a": nn.Conv2d(3, 8, 1), "b": nn.Conv2d(3, 4, 1), "c": nn.Conv2d(3, 12, 1)}
    module, x = Form(forward, **parts, out=end(768)), torch.randn(2, 3, 8, 8)
    groups = find_groups(module, (3, 8, 8))
    assert [(group.name, group.channels) for group in groups] == [("a", 8), ("b", 4)]
    gone = {"a": [1, 5], "b": [3]}
    zeroed = _unread(module, groups, gone)
    remove_channels(module, groups, gone)
    torch.testing.assert_close(module(x), zeroed(x))


def test_no_block_is_dropped_that_leaves_a_product_of_equal_values() -> None:
    class Gate(nn.Module):
        def __init__(self, join: str) -> None:
            super().__init__()
            self.join, self.inner = join, nn.Sequential(nn.Conv2d(8, 8, 1), nn.Sigmoid())

        def forward(self, x: Tensor) -> Tensor:
            gate = self.inner(x)
            return x * gate if self.join == "product" else torch.cat([x, gate], 1)

    for join, width in (("product", 512), ("cat", 1024)):
        module = nn.Sequential(nn.Conv2d(3, 8, 1), Gate(join), end(width))
        assert "1.inner" not in block_names(module, (3, 8, 8))
