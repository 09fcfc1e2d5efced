"""The network: replace it by your own. Layers that can be compressed: docs/own-network.md."""

from torch import nn


def build() -> nn.Module:
    """A fresh network; it takes (N, 1, 8, 8) and answers with a logit for each of 10 classes."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )
