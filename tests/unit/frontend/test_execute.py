"""Layers executed one by one give the output of the whole torch module."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from compress.frontend.capture import capture, trace_module
from compress.frontend.execute import (
    activated,
    from_torch,
    to_torch,
    unweighted,
    weighted_sum,
    windows,
)
from compress.frontend.fuse import fuse
from compress.frontend.layers import LayerKind

SHAPE = (2, 9, 11)


class Net(nn.Module):
    """Every kind of layer, with padding on all sides, strides, dilation and both reshapes."""

    def __init__(self) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d((1, 2, 0, 1))
        self.stem = nn.Conv2d(2, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 16, 3, padding="same", groups=8)
        self.pointwise = nn.Conv2d(16, 8, 3, padding=2, dilation=2)
        self.most = nn.MaxPool2d(3, 2, padding=1)
        self.mean = nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)
        self.hidden = nn.Linear(8 * 3 * 4, 12)
        self.out = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu6(self.norm(self.stem(self.pad(x))))
        y = self.pointwise(torch.relu(self.depthwise(x)))
        x = functional.relu(x + y) + y
        x = torch.relu(self.mean(self.most(x)))
        x = self.hidden(torch.flatten(x, 1))
        return functional.softmax(self.out(functional.relu(x) + x), 1)


def test_layer_by_layer_is_the_module() -> None:
    torch.manual_seed(12)
    module, x = Net().eval(), torch.randn(6, *SHAPE)
    nn.init.uniform_(module.norm.running_var, 0.5, 2.0)  # type: ignore[arg-type]
    captured, (source,), outputs = capture(trace_module(module, SHAPE))
    values = {source: x}
    with torch.no_grad():
        for layer in fuse(captured, outputs):
            inputs = tuple(values[value] for value in layer.inputs)
            if layer.weight is None:
                values[layer.output] = unweighted(layer, inputs)
            else:
                bias = np.zeros(layer.shape[-1]) if layer.bias is None else layer.bias
                made = weighted_sum(layer, inputs[0], layer.weight, bias)
                values[layer.output] = activated(made, layer)
        np.testing.assert_allclose(values[outputs[0]], module(x), atol=1e-6)


@pytest.mark.parametrize("name", ["stem", "depthwise"])
def test_windows_times_weights_are_the_output_at_their_positions(name: str) -> None:
    torch.manual_seed(13)
    captured, _, outputs = capture(trace_module(Net(), SHAPE))
    layer = next(layer for layer in fuse(captured, outputs) if layer.name == name)
    assert layer.weight is not None
    channels = 2 if name == "stem" else 8
    x = torch.randn(3, channels, *(SHAPE[1:] if name == "stem" else layer.shape[1:3]))
    bias = np.zeros(layer.shape[-1])
    whole = weighted_sum(layer, x, layer.weight, bias).flatten(2)
    rows, positions = windows(layer, x, 7, torch.Generator().manual_seed(0))
    weight = to_torch(layer.weight, layer.kind).flatten(1)
    if name == "stem":
        sums = rows @ weight.T
    else:
        each = rows.reshape(len(rows), channels, -1).repeat_interleave(2, 1)
        sums = (each * weight).sum(2)
    for row, (sample, position) in enumerate((s, p) for s in range(3) for p in positions[s]):
        np.testing.assert_allclose(sums[row], whole[sample, :, position], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "shape"), [("conv", (5, 2, 3, 4)), ("depthwise", (1, 2, 3, 6)), ("linear", (4, 7))]
)
def test_axes_come_back_as_they_were(kind: LayerKind, shape: tuple[int, ...]) -> None:
    weight = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.testing.assert_array_equal(from_torch(to_torch(weight, kind), kind), weight)
