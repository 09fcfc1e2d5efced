"""A layer that runs twice has its weights rounded for each run, with the norm that follows it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compress.genome import Quantize
from compress.integer import reference
from compress.quantization.equalize import equalize
from compress.quantization.fake_quantize import FakeQuantized
from compress.quantization.lower import lower, quantize_input

X = np.random.default_rng(0).standard_normal((48, 1, 6, 6)).astype(np.float32)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.conv = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        for norm, variance in ((self.norm1, (0.05, 0.2)), (self.norm2, (0.001, 0.5))):
            nn.init.uniform_(norm.running_var, *variance)  # type: ignore[arg-type]
        self.out = nn.Linear(8 * 36, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = self.norm1(self.conv(x)).relu()
        x = self.norm2(self.conv(x)).relu()
        return self.out(x.flatten(1))


@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize("granularity", ["channel", "tensor"])
def test_fake_quantization_predicts_the_integers(granularity: Any, learn: bool) -> None:
    module = Twice().eval()
    spec = Quantize((4,), granularity=granularity, learn_ranges=learn)
    faked = FakeQuantized(module, spec, X)
    learned = faked.learned()
    if learn:
        with torch.no_grad():
            for ratio in faked.parameters_to_learn[-4:]:
                ratio.add_(0.1 * torch.randn_like(ratio))
        learned = faked.learned()
        assert set(learned.peaks) == {"stem", "conv", "conv:2", "out"}
        assert not np.allclose(learned.peaks["conv"], learned.peaks["conv:2"], rtol=0.01)
    graph = lower(module, spec, X, "twice", learned=learned)
    output = graph.output_tensor
    integers = reference.run(graph, quantize_input(graph, X)).reshape(len(X), -1).astype(float)
    with torch.no_grad():
        predicted = faked(torch.from_numpy(X)).numpy()
    steps = np.abs((integers - output.zero_point) * output.scale - predicted) / output.scale
    assert np.mean(steps) < 1.0


def test_a_norm_that_follows_two_layers_is_not_equalized() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.a, self.b = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
            self.norm, self.out = nn.BatchNorm2d(8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.norm(self.a(x)).relu()
            return self.out(self.norm(self.b(x)).relu().mean((2, 3)))

    module, x = Shared().eval(), torch.from_numpy(X)
    with torch.no_grad():
        torch.testing.assert_close(equalize(module, X.shape[1:])(x), module(x))
