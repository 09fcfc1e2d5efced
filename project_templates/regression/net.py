"""The network: replace it by your own. Layers that can be compressed: docs/own-network.md."""

from torch import nn


def build() -> nn.Module:
    """A fresh network; it takes (N, 1, 64) and answers with two numbers."""
    return nn.Sequential(
        nn.Conv1d(1, 16, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Conv1d(16, 32, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Conv1d(32, 32, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 8, 2),
    )
