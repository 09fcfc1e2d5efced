"""AdaRound: smaller error than rounding to nearest on unseen data, and a reproducible result."""

from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn

from compress.genome import Quantize
from compress.integer import reference
from compress.quantization.lower import lower, quantize_input
from compress.types import Array, Graph

torch.set_num_threads(1)  # several threads slow each other down on a shared core

SHAPE = (3, 8, 8)


class Net(nn.Module):
    """Network with every kind of weighted layer.

    With stride, dilation, uneven padding and a depth multiplier of 2.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ZeroPad2d((0, 1, 1, 0)),
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, padding=1, groups=8),
            nn.ReLU(),
            nn.Conv2d(16, 12, 3, padding=2, dilation=2),
            nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(12, 6),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.body(x)
        return made


def _samples(seed: int) -> Array:
    """Random images float32 (128, *SHAPE) whose neighboring pixels are correlated.

    Rounding errors of neighboring weights can then cancel, which is what AdaRound exploits.
    """
    x = np.random.default_rng(seed).normal(0.3, 1.0, (128, *SHAPE))
    x = x + np.roll(x, 1, 2) + np.roll(x, 1, 3) + x.mean((2, 3), keepdims=True) * 4
    return x.astype(np.float32)


def _lowered(module: nn.Module, rounding: Literal["nearest", "adaround"], seed: int = 0) -> Graph:
    spec = Quantize(weight_bits=(4,), granularity="channel", rounding=rounding)
    return lower(module, spec, _samples(1), "test", seed=seed)


def _in_graph_order(features: Array) -> Array:
    """Features of a flattened map, reordered from channels first to channels last."""
    return features.reshape(SHAPE).transpose(1, 2, 0).reshape(-1)


def _weights(graph: Graph) -> dict[str, Array]:
    return {t.name: t.data for t in graph.tensors if t.data is not None and t.dtype == "int4"}


@pytest.fixture(scope="module")
def module() -> nn.Module:
    torch.manual_seed(9)
    made = Net()
    made.train()
    with torch.no_grad():
        for _ in range(30):
            made(torch.from_numpy(_samples(3)))
    return made.eval()


def test_unseen_data_are_reproduced_better_than_by_nearest(module: nn.Module) -> None:
    unseen = _samples(2)
    wanted = module(torch.from_numpy(unseen)).detach().numpy()

    def error(rounding: Literal["nearest", "adaround"]) -> float:
        graph = _lowered(module, rounding)
        outputs = reference.run(graph, quantize_input(graph, unseen)).reshape(len(unseen), -1)
        real = (outputs - float(graph.output_tensor.zero_point)) * graph.output_tensor.scale
        return float(np.mean((real - wanted) ** 2) / np.var(wanted))

    assert error("adaround") < error("nearest") / 2


def test_every_weight_is_rounded_to_a_neighbor_and_the_seed_decides() -> None:
    torch.manual_seed(10)
    linear = nn.Linear(192, 6)
    linear.weight.data[:, ::3] = 0.0
    module = nn.Sequential(nn.Flatten(), linear).eval()
    nearest, learned, again, other = (
        _weights(_lowered(module, *arguments))["1.weight"]
        for arguments in (("nearest", 0), ("adaround", 0), ("adaround", 0), ("adaround", 1))
    )
    assert np.abs(learned.astype(int) - nearest).max() == 1
    assert np.abs(learned).max() <= 7
    # Pruned weights stay zero.
    assert (learned == 0).mean() > 1 / 3
    assert not learned[:, _in_graph_order(np.arange(192) % 3 == 0)].any()
    assert np.array_equal(learned, again)
    assert not np.array_equal(learned, other)
