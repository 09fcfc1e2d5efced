"""Capture, fusing and lowering, compared with the original float network."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from compress.errors import Infeasible, UnsupportedLayer
from compress.frontend.capture import capture, trace_module
from compress.frontend.fuse import fuse
from compress.genome import Calibration, Quantize
from compress.integer import reference
from compress.quantization.fake_quantize import FakeQuantized
from compress.quantization.lower import lower, quantize_input
from compress.quantization.ranges import grid_for_range
from compress.quantization.weight_grids import LayerWeights, integer_bias, safe_scales

torch.set_num_threads(1)  # several threads slow each other down on a shared core


class Residual(nn.Module):
    """Network with a skip connection, a flattened map, uneven padding and a shared value."""

    def __init__(self) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d((1, 2, 0, 1))
        self.stem = nn.Conv2d(2, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 16, 3, padding="same", groups=8)
        self.pointwise = nn.Conv2d(16, 8, 1)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.fc = nn.Linear(8 * 3 * 4, 12)
        self.norm1 = nn.BatchNorm1d(12)
        self.out = nn.Linear(12, 5)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu6(self.norm(self.stem(self.pad(x))))
        y = torch.relu(self.depthwise(x))
        y = self.pointwise(y)
        x = functional.relu(x + y)
        x = self.pool(x)
        x = self.drop(torch.flatten(x, 1))
        return self.out(functional.relu(self.norm1(self.fc(x))))


class Pooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3, dilation=2)
        self.mean = nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)
        self.out = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        x = functional.relu(x) + x  # a value with two readers: the activation must not be fused
        return functional.softmax(self.out(self.mean(x).mean((2, 3))), 1)


class Flattened(nn.Sequential):
    """Ends with the maps of a softmax along rows, flattened as torch orders them."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(2, 4, 3), nn.GELU(), nn.Softmax(-1), nn.Flatten())


def _settled(module: nn.Module, x: torch.Tensor) -> nn.Module:
    """`module` with random batch-norm scales and with the statistics of x."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.uniform_(layer.weight, 0.5, 2.0)
            nn.init.normal_(layer.bias)
    module.train()
    with torch.no_grad():
        for _ in range(60):
            module(x)
    return module.eval()


@pytest.mark.parametrize(
    ("net", "shape"),
    [(Residual, (2, 9, 11)), (Pooled, (2, 10, 8)), (Flattened, (2, 9, 11))],
)
@pytest.mark.parametrize("calibration", ["minmax", "percentile"])
def test_integer_network_follows_the_float_one(
    net: type[nn.Module], shape: tuple[int, int, int], calibration: Calibration
) -> None:
    torch.manual_seed(1)
    x = torch.randn(64, *shape)
    module = _settled(net(), x)
    graph = lower(module, Quantize(calibration=calibration), x.numpy(), "test")
    outputs = reference.run(graph, quantize_input(graph, x.numpy())).reshape(64, -1)
    real = (outputs.astype(float) - graph.output_tensor.zero_point) * graph.output_tensor.scale
    wanted = module(x).detach().numpy()
    noise = np.mean((real - wanted) ** 2)
    assert 10 * np.log10(np.var(wanted) / noise) > 18  # dB; a wrong axis order gives about 0


def test_fake_quantization_predicts_the_integer_network() -> None:
    torch.manual_seed(2)
    x = torch.randn(64, 2, 9, 11)
    module = _settled(Residual(), x)
    graph = lower(module, Quantize(), x.numpy(), "test")
    outputs = reference.run(graph, quantize_input(graph, x.numpy())).reshape(64, -1)
    real = (outputs.astype(float) - graph.output_tensor.zero_point) * graph.output_tensor.scale
    faked = FakeQuantized(module, Quantize(), x.numpy())(x).detach().numpy()
    # In output steps: single values may be rounded to the other neighbor, but not further.
    steps = np.abs(faked - real) / graph.output_tensor.scale
    assert np.mean(steps) < 0.6
    assert np.mean(np.abs(faked - module(x).detach().numpy())) > 0


def test_fake_quantization_trains_the_modules_own_weights() -> None:
    torch.manual_seed(3)
    x = torch.randn(16, 2, 9, 11)
    module = Residual()
    faked = FakeQuantized(module, Quantize(), x.numpy())
    faked(x).sum().backward()
    gradients = [p.grad for p in module.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    assert module.stem.weight.grad is not None
    assert module.stem.weight.grad.abs().sum() > 0


def test_fusing_leaves_one_operator_per_computation() -> None:
    module = Residual()
    layers, _, outputs = capture(trace_module(module, (2, 9, 11)))
    kinds = [layer.kind for layer in fuse(layers, outputs)]
    assert kinds == ["conv", "depthwise", "conv", "add", "max_pool", "reshape", "linear", "linear"]


class _Rows(nn.Module):
    """Softmax along the height, an axis that the integer kernel does not support."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.softmax(x, dim=2)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (nn.Sequential(nn.Conv2d(2, 4, 3), nn.LPPool2d(2, 2)), "LPPool2d"),
        (nn.Sequential(nn.AvgPool2d(3, 2, 1, count_include_pad=False)), "count_include_pad=True"),
        (nn.Sequential(nn.BatchNorm2d(2, track_running_stats=False)), "running statistics"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(3)), "8x8 to 3x3"),
        (nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect")), "padding_mode"),
        (nn.Sequential(nn.AvgPool2d(3, divisor_override=3)), "divisor_override"),
        (_Rows(), "softmax over axis 2"),
        (nn.LSTM(4, 4), "LSTM"),
    ],
)
def test_unsupported_layers_are_named(module: nn.Module, name: str) -> None:
    with pytest.raises(UnsupportedLayer, match=name):
        lower(module, Quantize(), np.zeros((4, 2, 8, 8), np.float32), "test")


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("low", "high"), [(-1.0, 1.0), (0.0, 6.0), (-3.0, -1.0), (2.0, 5.0), (0.0, 0.0)]
)
def test_a_grid_represents_zero_and_both_ends(
    low: float, high: float, bits: int, symmetric: bool
) -> None:
    made = grid_for_range((low, high), bits, symmetric)
    assert made.lowest <= made.zero_point <= made.highest
    assert made.zero_point == 0 or (bits == 8 and not symmetric)
    ends = [(q - made.zero_point) * made.scale for q in (made.lowest, made.highest)]
    assert ends[0] <= min(low, 0.0) + made.scale
    assert ends[1] >= max(high, 0.0) - made.scale


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_that_diverged_is_infeasible(value: float) -> None:
    module = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1))
    module[0].weight.data[1] = value
    x = np.ones((4, 2, 8, 8), np.float32)
    with pytest.raises(Infeasible, match="diverged"):
        lower(module, Quantize(calibration="kl", rounding="adaround"), x, "test")
    with pytest.raises(Infeasible, match="diverged"):
        FakeQuantized(module, Quantize(), x)


def test_bits_are_those_of_the_layers_that_the_original_had() -> None:
    # Of the original layers "0", "1" and "2", "1" has been dropped and "2.inner" replaces "2".
    parts = nn.Sequential(nn.Conv2d(2, 4, 3))
    inner = nn.Sequential()
    inner.add_module("inner", nn.Conv2d(4, 4, 1))
    parts.add_module("2", inner)
    spec = Quantize(weight_bits=(8, 8, 4), activation_bits=(8, 8, 16))
    x = np.random.default_rng(0).normal(0, 1, (8, 2, 8, 8)).astype(np.float32)
    graph = lower(parts, spec, x, "test", layers=("0", "1", "2"))
    types = {t.name: t.dtype for t in graph.tensors if t.name.endswith("weight")}
    assert types == {"0.weight": "int8", "2.inner.weight": "int4"}
    kinds = [type(op).__name__ for op in graph.ops]
    assert kinds == ["Conv2D", "Requantize", "Conv2D", "Requantize"]
    with pytest.raises(Infeasible, match=r"3 bit widths of weights for 2 layers: 0, 2\.inner"):
        lower(parts, spec, x, "test")


def test_a_dead_channel_keeps_its_bias_inside_int32() -> None:
    bias = np.array([5.0, 0.0, -2.0], np.float32)
    scales = safe_scales(np.array([0.0, 0.0, 0.1 / 127], np.float32), bias, 0.02)
    whole = bias / (np.float32(0.02) * scales)
    assert np.all(scales > 0)
    assert np.all(np.abs(whole) < 2**31)
    assert scales[2] == pytest.approx(0.1 / 127)


def test_a_scale_whose_product_with_the_inputs_vanishes_is_replaced() -> None:
    scales = safe_scales(np.array([1e-40, 1e-37, 0.1], np.float32), np.zeros(3), 0.01)
    assert scales.tolist() == [np.float32(1 / 127), np.float32(1 / 127), np.float32(0.1)]


def test_a_bias_beyond_its_scale_stays_inside_int32_and_one_that_is_no_number_is_refused() -> None:
    def with_bias(*bias: float) -> LayerWeights:
        values = np.zeros((3, 1), np.int8)
        scales = np.full(3, 1e-9, np.float32)
        real = np.zeros((3, 1), np.float32)
        return LayerWeights(real, scales, values, np.array(bias, np.float32), 8, 0)

    whole, _ = integer_bias(with_bias(1.0, -1.0, 0.0), 0.01)
    assert whole.tolist() == [2**30, -(2**30), 0]
    with pytest.raises(Infeasible, match="training diverged"):
        integer_bias(with_bias(float("nan"), 0.0, 0.0), 0.01)
