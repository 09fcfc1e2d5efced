"""Sub-networks of an elastic network against the whole network with its other channels masked."""

import copy
from random import Random

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from compress.elastic.sandwich import random_shape
from compress.elastic.slices import SharedNetwork
from compress.elastic.sort import sort_channels
from compress.tracing.normalize import normalized
from helpers.networks import NETWORKS, probe


class Recurrent(nn.Module):
    """A GRU between two layers that can be narrowed."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(6, 12)
        self.recur = nn.GRU(12, 16, batch_first=True)
        self.leave = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.recur(torch.relu(self.enter(x)))
        return self.leave(states[:, -1])


CASES = {**NETWORKS, "recurrent": (Recurrent, (5, 6), 3)}


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(list(CASES)), st.integers(0, 2**32))
def test_a_sub_network_is_the_network_with_its_other_channels_masked(kind: str, seed: int) -> None:
    """With the same batch-norm statistics, in evaluation mode.

    Masked are the parameters that make a channel: all of what its layers would put out is zero.
    """
    make, shape, classes = CASES[kind]
    torch.manual_seed(seed)
    module = make()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.uniform_(layer.weight, 0.2, 2.0)
            nn.init.normal_(layer.bias)
    data = probe(shape, classes, 16)
    with torch.no_grad():
        module.train()(torch.from_numpy(data.x))
    plain = normalized(module)
    network = sort_channels(plain, shape)
    shared = SharedNetwork(network, shape)
    wanted = random_shape(Random(seed), shared.widest, shared.narrowest(0.25))
    masked = copy.deepcopy(network)
    with torch.no_grad():
        for group, width in zip(shared.groups, wanted.widths, strict=True):
            for member in group.members:
                layer = masked.get_submodule(member.layer)
                rows = torch.from_numpy(member.slices[width:].ravel())
                for value in layer.parameters():
                    if member.side == "out" and hasattr(layer, "gates"):
                        value.unflatten(0, (layer.gates, layer.units))[:, rows] = 0
                    elif member.side == "out":
                        value[rows] = 0
        x = torch.from_numpy(data.x)
        torch.testing.assert_close(shared.sub_network(wanted)(x), masked(x), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network(x), plain(x), rtol=1e-4, atol=1e-5)
