"""Any pruning of any network: it runs, lowers, is no larger, and is the same each time."""

import copy
from contextlib import suppress
from functools import cache
from random import Random
from typing import get_args

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from compress.errors import Infeasible
from compress.genome import Criterion, Quantize, Scope
from compress.integer.check import check_graph
from compress.integer.cost import total_macs, weight_bytes
from compress.pruning.blocks import block_names, drop_blocks
from compress.pruning.groups import find_groups, remove_channels
from compress.pruning.prune import kept_channels, prune
from compress.pruning.sparsify import sparsify
from compress.quantization.lower import lower
from compress.tasks.digits import net
from compress.types import Graph
from helpers.networks import Mobile, Perceptron, Resnet, Skip, probe

NETS = {
    "digits": (net, (1, 8, 8), 10),
    "residual": (Resnet, (1, 8, 8), 3),
    "depthwise": (Mobile, (1, 8, 8), 10),
    "flattened": (Skip, (1, 6, 6), 3),
    "linear": (Perceptron, (1, 4, 4), 3),
}
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ratios = st.floats(0.01, 1.0)


@cache
def _network(kind: str) -> nn.Module:
    """With batch-norm statistics and scales that are not the identity."""
    make, shape, classes = NETS[kind]
    torch.manual_seed(11)
    module = make()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.uniform_(layer.weight, 0.2, 2.0)
            nn.init.normal_(layer.bias)
    module.train()
    with torch.no_grad():
        module(torch.from_numpy(probe(shape, classes).x))
    return module.eval()


def _lowered(module: nn.Module, kind: str) -> Graph:
    _, shape, classes = NETS[kind]
    graph = lower(module, Quantize(), probe(shape, classes, 8).x, kind)
    check_graph(graph)
    return graph


@cache
def _original_cost(kind: str) -> tuple[int, int]:
    graph = _lowered(_network(kind), kind)
    return total_macs(graph), weight_bytes(graph)


@settings(relaxed, max_examples=120)
@given(
    st.sampled_from(list(NETS)),
    st.sampled_from(get_args(Criterion)),
    st.sampled_from(get_args(Scope)),
    st.lists(ratios, min_size=8, max_size=8),
)
def test_any_pruning_gives_a_smaller_network_that_works(
    kind: str, criterion: Criterion, scope: Scope, drawn: list[float]
) -> None:
    module = _network(kind)
    before = copy.deepcopy(module.state_dict())
    _, shape, classes = NETS[kind]
    widths = {group.name: group.channels for group in find_groups(module, shape)}
    keep = drawn[: len(widths)] if scope == "group" else drawn[:1]
    data = probe(shape, classes)
    pruned = None
    with suppress(Infeasible):
        pruned = prune(module, shape, keep, criterion, scope, data)
    if pruned is None:  # some of its groups have no batch-norm
        assert (kind in ("flattened", "residual"), criterion) == (True, "batch_norm")
        return
    left = {group.name: group.channels for group in find_groups(pruned, shape)}
    assert list(left) == list(widths)
    assert all(n % 4 == 0 or n == widths[name] for name, n in left.items())
    assert all(n >= min(4, widths[name]) for name, n in left.items())
    if scope == "global":
        wide = {name for name, n in widths.items() if n > 4}
        total, kept = sum(widths[n] for n in wide), sum(left[n] for n in wide)
        wanted = max(kept_channels(total, keep[0]), 4 * len(wide))
        assert wanted <= kept <= wanted + 3
    else:
        each = keep if scope == "group" else keep * len(widths)
        expected = [kept_channels(n, r) for n, r in zip(widths.values(), each, strict=True)]
        assert list(left.values()) == expected
    assert pruned(torch.from_numpy(data.x)).shape == (len(data), classes)
    graph = _lowered(pruned, kind)
    costs = zip((total_macs(graph), weight_bytes(graph)), _original_cost(kind), strict=True)
    assert all(after < full if left != widths else after == full for after, full in costs)
    again = prune(module, shape, keep, criterion, scope, data).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in pruned.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@settings(relaxed, max_examples=60)
@given(st.sampled_from(list(NETS)), st.integers(0, 2**32))
def test_removed_channels_are_as_good_as_silent(kind: str, seed: int) -> None:
    """Against the whole network with whatever makes those channels set to zero."""
    rng, module = Random(seed), _network(kind)
    _, shape, classes = NETS[kind]
    groups = find_groups(module, shape)
    gone = {
        group.name: rng.sample(range(group.channels), rng.randrange(group.channels))
        for group in groups
    }
    silenced, narrowed = copy.deepcopy(module), copy.deepcopy(module)
    with torch.no_grad():
        for group in groups:
            for member in group.members:
                rows = torch.from_numpy(member.slices[gone[group.name]].ravel())
                for value in silenced.get_submodule(member.layer).parameters():
                    if member.side == "out":
                        value[rows] = 0
        remove_channels(narrowed, groups, gone)
        x = torch.from_numpy(probe(shape, classes, 8).x)
        torch.testing.assert_close(narrowed(x), silenced(x), rtol=1e-4, atol=1e-5)


@settings(relaxed, max_examples=40)
@given(st.sampled_from(["digits", "residual"]), st.integers(0, 2**32), ratios)
def test_blocks_channels_and_weights_go_in_any_order(kind: str, seed: int, ratio: float) -> None:
    rng, module = Random(seed), _network(kind)
    shape = NETS[kind][1]
    steps = ["drop", "prune", "sparsify"]
    rng.shuffle(steps)
    for step in steps:
        if step == "drop":
            there = block_names(module, shape)
            chosen = [name for name in there if rng.random() < 0.4]
            pairs = ({"left", "right"}, {"inner.0", "inner.1"})
            if any(pair <= set(chosen) for pair in pairs):
                with pytest.raises(Infeasible, match="add a value to itself"):
                    drop_blocks(module, shape, chosen)
                return
            module = drop_blocks(module, shape, chosen)
        elif step == "prune":
            module = prune(module, shape, (ratio,), "l2", rng.choice(("uniform", "global")))
        else:
            module = sparsify(module, 0.5, rng.choice(("element", "2:4")), "layer")
    graph = _lowered(module, kind)
    macs, size = _original_cost(kind)
    assert total_macs(graph) <= macs
    assert weight_bytes(graph) <= size


@pytest.mark.parametrize("kind", NETS)
def test_every_network_has_something_to_prune(kind: str) -> None:
    groups = find_groups(_network(kind), NETS[kind][1])
    assert len(groups) >= 2
    assert any(group.channels > 4 for group in groups)
