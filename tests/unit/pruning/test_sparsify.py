"""Unstructured pruning: number and place of the zeros, which lowering keeps."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from compress.errors import Infeasible
from compress.genome import Quantize
from compress.ops import Conv2D, DepthwiseConv2D, FullyConnected
from compress.pruning.sparsify import sparsify
from compress.quantization.lower import lower
from compress.tasks.digits import net
from compress.training.train import Schedule, fit
from compress.types import Recipe
from helpers.networks import Mobile, Resnet, Skip, probe


def _weights(module: nn.Module) -> list[np.ndarray]:
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    return [layer.weight.detach().numpy() for layer in layers]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.873, 0.999])
@pytest.mark.parametrize("make", [net, Skip, Mobile, Resnet])
def test_each_layer_has_its_share_and_loses_its_smallest(
    share: float, make: type[nn.Module]
) -> None:
    module = make()
    sparse = sparsify(module, share, "element", "layer")
    for before, after in zip(_weights(module), _weights(sparse), strict=True):
        kept = after != 0
        assert np.count_nonzero(~kept) == math.floor(share * before.size)
        assert np.array_equal(after[kept], before[kept])
        assert np.abs(before[~kept]).max(initial=0) <= np.abs(before[kept]).min()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_all_layers_together_have_the_share(share: float) -> None:
    module = Resnet()
    sparse = sparsify(module, share, "element", "global")
    before, after = (np.concatenate([w.ravel() for w in _weights(m)]) for m in (module, sparse))
    kept = after != 0
    assert np.count_nonzero(~kept) == math.floor(share * before.size)
    assert np.array_equal(after[kept], before[kept])
    assert np.abs(before[~kept]).max(initial=0) <= np.abs(before[kept]).min()
    if share:
        assert len({round(float(np.mean(w == 0)), 3) for w in _weights(sparse)}) > 1


@pytest.mark.parametrize(("pattern", "kept"), [("1:4", 1), ("2:4", 2)])
@pytest.mark.parametrize("make", [net, Skip, Mobile])
def test_n_of_m_in_the_order_of_the_device(pattern: str, kept: int, make: type[nn.Module]) -> None:
    module = make()
    sparse = sparsify(module, 0.5, pattern, "layer")
    for before, after in zip(_weights(module), _weights(sparse), strict=True):
        for filter_before, filter_after in zip(before, after, strict=True):
            if filter_before.ndim == 3:
                filter_before, filter_after = (
                    f.transpose(1, 2, 0) for f in (filter_before, filter_after)
                )
            old, new = filter_before.ravel(), filter_after.ravel()
            for start in range(0, len(old) - 3, 4):
                part = old[start : start + 4]
                largest = sorted(range(4), key=lambda i, part=part: -abs(part[i]))[:kept]
                wanted = [value if i in largest else 0 for i, value in enumerate(part)]
                assert new[start : start + 4].tolist() == wanted
            rest = len(old) % 4
            assert np.array_equal(old[len(old) - rest :], new[len(old) - rest :])


def test_existing_zeros_count() -> None:
    module = nn.Sequential(nn.Linear(10, 1))
    with torch.no_grad():
        module[0].weight[:] = torch.tensor([[9, 0, 8, 0, 7, 0, -1, 2, 3, 4.0]])
    for share, wanted in (
        (0.2, [9, 0, 8, 0, 7, 0, -1, 2, 3, 4]),
        (0.3, [9, 0, 8, 0, 7, 0, -1, 2, 3, 4]),
        (0.5, [9, 0, 8, 0, 7, 0, 0, 0, 3, 4]),
    ):
        assert sparsify(module, share, "element", "layer")[0].weight.tolist() == [wanted]


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("pattern", ["element", "1:4", "2:4"])
def test_again_changes_nothing_and_the_original_stays(pattern: str, scope: str) -> None:
    module = Mobile()
    before = copy.deepcopy(module.state_dict())
    once = sparsify(module, 0.7, pattern, scope)
    again = sparsify(once, 0.7, pattern, scope)
    assert all(np.array_equal(a, b) for a, b in zip(_weights(once), _weights(again), strict=True))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("share", [-0.1, 1.0, 1.5])
def test_a_share_out_of_range_is_infeasible(share: float) -> None:
    with pytest.raises(Infeasible, match=f"share {share}"):
        sparsify(net(), share, "element", "layer")


@pytest.mark.parametrize("pattern", ["element", "2:4"])
def test_zeros_survive_training_folding_and_rounding(pattern: str) -> None:
    data = probe((1, 8, 8), 10)
    sparse = sparsify(Mobile(), 0.6, pattern, "layer")
    zeros = [w == 0 for w in _weights(sparse)]
    untrained = copy.deepcopy(sparse)
    fit(sparse, data, Schedule(Recipe(1, 16, 0.01), 1, 0), keep_zeros=True)
    assert not np.array_equal(_weights(sparse)[0], _weights(untrained)[0])
    graph = lower(sparse, Quantize(), data.x, "sparse")
    ops = [op for op in graph.ops if isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected)]
    for op, zero in zip(ops, zeros, strict=True):
        stored = graph.tensors[op.weights].data
        if isinstance(op, DepthwiseConv2D):
            zero = zero.transpose(1, 2, 3, 0)
        elif isinstance(op, Conv2D):
            zero = zero.transpose(0, 2, 3, 1)
        assert zero.any()
        assert np.all(stored[zero] == 0)
        assert np.mean(stored[~zero] != 0) > 0.8
