"""Equalization: outputs stay, channel ranges match, and per-tensor quantization loses less."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from compress.frontend.capture import capture, trace_module
from compress.frontend.fuse import fuse
from compress.genome import Quantize
from compress.integer import reference
from compress.quantization.equalize import equalize
from compress.quantization.lower import lower, quantize_input
from compress.types import Array

SHAPE = (2, 9, 7)


class Chain(nn.Module):
    """Sequence of a convolution, a depthwise-separable pair, pools and Linear layers."""

    def __init__(self, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(2, 6, 3, padding=1, bias=False),
            nn.BatchNorm2d(6),
            activation(),
            nn.ZeroPad2d((1, 1, 1, 1)),
            nn.Conv2d(6, 12, 3, groups=6),
            activation(),
            nn.Conv2d(12, 8, 1, bias=False),
            nn.BatchNorm2d(8),
            activation(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.1),
            nn.Linear(8 * 4 * 3, 10),
            activation(),
        )
        self.out = nn.Linear(10, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.body(x)
        return self.out(x)


class Branches(nn.Module):
    """Network with values that have two readers, and one pair to equalize inside a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 5, 3, padding=1)
        self.first = nn.Conv2d(5, 5, 3, padding=1)
        self.norm = nn.BatchNorm2d(5, affine=False)
        self.second = nn.Conv2d(5, 5, 1)
        self.third = nn.Conv2d(5, 5, 1)
        self.out = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        y = self.third(torch.relu(self.second(torch.relu(self.norm(self.first(x))))))
        return self.out((x + y).mean((2, 3)))


def _uneven(module: nn.Module) -> nn.Module:
    """`module` with non-trivial batch-norms whose scales differ by up to a factor of 1000."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_var, 0.3, 3.0)  # type: ignore[arg-type]
            nn.init.normal_(layer.running_mean)  # type: ignore[arg-type]
        if isinstance(layer, nn.BatchNorm2d) and layer.affine:
            layer.weight.data *= torch.logspace(-2, 1, len(layer.weight))
            nn.init.normal_(layer.bias, 0.0, 0.1)
            layer.bias.data *= layer.weight.data
    return module.eval()


def _samples(count: int = 64) -> Array:
    return np.random.default_rng(1).normal(0, 1, (count, *SHAPE)).astype(np.float32)


def _ranges(module: nn.Module) -> list[Array]:
    """The largest folded weights of the six channels between body.0 and body.4.

    Those of the layer that writes the channels, then those of the layer that reads them.
    """
    layers, _, outputs = capture(trace_module(module, SHAPE))
    first, second = fuse(layers, outputs)[:2]
    assert first.weight is not None
    assert second.weight is not None
    written = np.abs(first.weight).max(axis=(1, 2, 3))
    return [written, np.abs(second.weight).max(axis=(0, 1, 2)).reshape(6, 2).max(1)]


@pytest.mark.parametrize("net", [Chain, Branches])
def test_outputs_stay_as_they_were(net: type[nn.Module]) -> None:
    torch.manual_seed(4)
    module, x = _uneven(net()), torch.from_numpy(_samples())
    before = {name: value.clone() for name, value in module.state_dict().items()}
    equalized = equalize(module, SHAPE)
    wanted, got = module(x).detach(), equalized(x).detach()
    assert (wanted - got).abs().max() < 1e-5 * wanted.abs().max()
    changed = equalized.state_dict()
    assert any(not torch.equal(changed[name], value) for name, value in before.items())
    assert all(torch.equal(module.state_dict()[name], value) for name, value in before.items())


def test_both_sides_of_a_channel_get_one_range() -> None:
    torch.manual_seed(5)
    module = _uneven(Chain())
    written, read = _ranges(module)
    assert np.abs(np.log(written / read)).max() > 3
    written, read = _ranges(equalize(module, SHAPE))
    np.testing.assert_allclose(written, read, rtol=1e-2)


def test_relu6_and_values_with_two_readers_are_left_alone() -> None:
    torch.manual_seed(6)
    clipped = Chain(nn.ReLU6)
    untouched = equalize(clipped, SHAPE).state_dict()
    assert all(torch.equal(untouched[name], value) for name, value in clipped.state_dict().items())
    branches = Branches()
    equalized = equalize(branches, SHAPE).state_dict()
    changed = {
        name.split(".")[0]
        for name, value in branches.state_dict().items()
        if not torch.equal(equalized[name], value)
    }
    # `stem` has two readers, the batch-norm of `first` no scale, and an addition reads `third`.
    assert changed == {"second", "third"}


def test_equalization_restores_accuracy_with_one_scale_per_tensor() -> None:
    torch.manual_seed(7)
    even, x, spec = Chain().eval(), _samples(), Quantize(granularity="tensor")
    wanted = even(torch.from_numpy(x)).detach().numpy()
    # The same function with skewed ranges: up to a factor of 100 in one layer, undone in the next.
    skewed, factors = copy.deepcopy(even), torch.logspace(-2, 2, 6)
    norm, depthwise = skewed.body[1], skewed.body[4]
    assert isinstance(norm, nn.BatchNorm2d)
    assert isinstance(depthwise, nn.Conv2d)
    norm.weight.data *= factors
    norm.bias.data *= factors
    depthwise.weight.data /= factors.repeat_interleave(2).reshape(-1, 1, 1, 1)

    def signal_to_noise_db(module: nn.Module) -> float:
        graph = lower(module, spec, x, "test")
        outputs = reference.run(graph, quantize_input(graph, x)).reshape(len(x), -1)
        real = (outputs - float(graph.output_tensor.zero_point)) * graph.output_tensor.scale
        return float(10 * np.log10(np.var(wanted) / np.mean((real - wanted) ** 2)))

    before, after = signal_to_noise_db(skewed), signal_to_noise_db(equalize(skewed, SHAPE))
    assert after > before + 10
    assert after > signal_to_noise_db(even) - 3
