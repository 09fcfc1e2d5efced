"""The network: replace it by your own. Layers that can be compressed: docs/own-network.md."""

from torch import nn


def build() -> nn.Module:
    """A fresh network; it takes (N, 32) and answers with a reconstruction of the same shape."""
    return nn.Sequential(
        nn.Linear(32, 64),
        nn.ReLU(),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, 4),
        nn.Linear(4, 32),
        nn.ReLU(),
        nn.Linear(32, 64),
        nn.ReLU(),
        nn.Linear(64, 32),
    )
