"""Means of maps in which few values are large: a scale of their own keeps the signal."""

import copy
from fractions import Fraction

import numpy as np
import torch
from torch import nn

from compress.genome import Quantize
from compress.integer import reference
from compress.integer.check import check_graph
from compress.integer.eliminate import eliminate
from compress.ops import AveragePool2D, DepthwiseConv2D, Mean
from compress.quantization.fake_quantize import FakeQuantized
from compress.quantization.lower import lower, quantize_input
from compress.quantization.sqnr import layer_sqnr_db
from compress.tflite.exporter import export_tflite
from compress.types import Array, Graph
from helpers.oracles import assert_oracles_compute, needs_oracle

torch.set_num_threads(1)
LENGTH = 256


class MeanOverDims(nn.Module):
    """Without `nn.AdaptiveAvgPool2d`: the mean drops its axes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, (1, 3))
        self.out = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.conv(x)).mean((2, 3)))


def _net(pool: nn.Module, features: int) -> nn.Module:
    torch.manual_seed(0)
    parts = (nn.Conv2d(1, 4, (1, 3)), nn.ReLU(), pool, nn.Flatten(), nn.Linear(features, 3))
    return nn.Sequential(*parts).eval()


def _events(count: int = 48) -> Array:
    """A burst of 6 samples, of many sizes, in 256 samples of little noise."""
    rng = np.random.default_rng(1)
    x = 0.01 * rng.standard_normal((count, 1, 1, LENGTH))
    for i, start in enumerate(rng.integers(0, LENGTH - 6, count)):
        x[i, 0, 0, start : start + 6] += rng.uniform(0.2, 3) * np.sin(np.arange(6) + i)
    return x.astype(np.float32)


def _kinds(graph: Graph) -> list[type]:
    return [type(op) for op in graph.ops]


GLOBAL = _net(nn.AdaptiveAvgPool2d(1), 4)
WINDOWS = _net(nn.AvgPool2d((1, 64), (1, 63)), 4 * 4)


def test_a_mean_of_a_short_event_keeps_its_signal() -> None:
    graph = lower(GLOBAL, Quantize(), _events(), "test")
    check_graph(graph)
    assert Mean in _kinds(graph)
    found = layer_sqnr_db(graph, GLOBAL, _events())
    assert found["2"] > 25  # 10 dB on the scale of the map
    assert found["4"] > 25


def test_the_integers_are_the_exact_means_on_the_new_scale() -> None:
    for net in (GLOBAL, WINDOWS):
        graph = lower(net, Quantize(), _events(), "test")
        values = reference.trace(graph, quantize_input(graph, _events(4)))
        op = next(op for op in graph.ops if isinstance(op, Mean | DepthwiseConv2D))
        x, out = graph.tensors[op.input], graph.tensors[op.output]
        steps = (0,) if isinstance(op, Mean) else (0, 63, 126, 189)
        width = x.shape[2] if isinstance(op, Mean) else 64
        ratio = Fraction(x.scale) / Fraction(out.scale)
        for sample, row in enumerate(values[op.output][:, 0]):
            for position, start in enumerate(steps):
                window = values[op.input][sample, 0, start : start + width].astype(int)
                for channel, total in enumerate((window - x.zero_point).sum(0)):
                    exact = int(total) * ratio / width + out.zero_point
                    wanted = min(max(exact, Fraction(-128)), Fraction(127))
                    # Half a step, and what rounding twice, as TFLite does, can add.
                    assert abs(row[position, channel] - wanted) < Fraction(3, 4)


def test_windows_that_lose_three_bits_are_averaged_by_a_depthwise_convolution() -> None:
    graph = lower(WINDOWS, Quantize(), _events(), "test")
    check_graph(graph)
    assert DepthwiseConv2D in _kinds(graph)
    assert layer_sqnr_db(graph, WINDOWS, _events())["2"] > 25


def test_a_mean_without_kept_axes_has_its_range_too() -> None:
    torch.manual_seed(0)
    module = MeanOverDims().eval()
    graph = lower(module, Quantize(), _events(), "test")
    assert Mean in _kinds(graph)
    assert layer_sqnr_db(graph, module, _events())["mean"] > 25


def test_where_the_map_is_even_the_pool_keeps_its_scale() -> None:
    even = np.random.default_rng(0).uniform(1, 2, (32, 1, 1, 1)) * np.ones((1, 1, 1, LENGTH))
    graph = lower(GLOBAL, Quantize(), even.astype(np.float32), "test")
    assert AveragePool2D in _kinds(graph)
    assert Mean not in _kinds(graph)


def test_on_int16_and_with_padding_the_pool_keeps_its_scale() -> None:
    assert Mean not in _kinds(lower(GLOBAL, Quantize(activation_bits=(16,)), _events(), "test"))
    padded = _net(nn.AvgPool2d((1, 64), (1, 64), (0, 1), count_include_pad=False), 4 * 4)
    assert AveragePool2D in _kinds(lower(padded, Quantize(), _events(), "test"))


def test_a_mean_that_cancels_has_a_step_that_the_sum_can_have() -> None:
    # Calibration alone would see a range of 1e-5 for maps of -3 .. 3.
    waves = np.tile([1.0, -1.0], LENGTH // 2) * np.array([[1.0], [2.0], [3.0]]) + 1e-5
    net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    for parameter in net[0].parameters():
        nn.init.ones_(parameter) if parameter.dim() > 1 else nn.init.zeros_(parameter)
    x = waves.reshape(3, 1, 1, LENGTH).astype(np.float32)
    graph = lower(net.eval(), Quantize(), x, "test")
    check_graph(graph)
    (op,) = (op for op in graph.ops if isinstance(op, Mean))
    finest = graph.tensors[op.input].scale / LENGTH
    assert graph.tensors[op.output].scale >= finest * 0.99


def test_training_sees_the_same_means() -> None:
    for net in (GLOBAL, WINDOWS):
        x = _events()
        graph = lower(net, Quantize(), x, "test")
        with torch.no_grad():
            faked = FakeQuantized(net, Quantize(), x)(torch.from_numpy(x)).numpy()
        outputs = reference.run(graph, quantize_input(graph, x)).reshape(len(x), -1)
        out = graph.output_tensor
        steps = np.abs(faked - (outputs - float(out.zero_point)) * out.scale) / out.scale
        assert np.mean(steps) < 0.6


def test_learned_rounding_and_corrected_biases_reckon_with_the_new_scale() -> None:
    x = _events()
    for net in (GLOBAL, WINDOWS):
        spec = Quantize(rounding="adaround", correct_bias=True)
        assert layer_sqnr_db(lower(net, spec, x, "test"), net, x)["4"] > 25


def test_the_elimination_of_dead_channels_keeps_every_bit() -> None:
    x = _events()
    for net in (GLOBAL, WINDOWS):
        half = copy.deepcopy(net)
        with torch.no_grad():
            half[0].weight[1::2] = 0.0
        graph = lower(half, Quantize(), x, "test")
        lean = eliminate(graph)
        assert max(t.elements for t in lean.tensors) < max(t.elements for t in graph.tensors)
        inputs = quantize_input(graph, x)
        assert np.array_equal(reference.run(graph, inputs), reference.run(lean, inputs))


def test_a_learned_step_of_a_mean_reaches_the_integers() -> None:
    x, spec = _events(), Quantize(learn_ranges=True)
    trained = FakeQuantized(GLOBAL, spec, x)
    with torch.no_grad():
        trained.steps["_2"].log_ratio += 0.25
    graph = lower(GLOBAL, spec, x, "test", learned=trained.learned())
    (op,) = (op for op in graph.ops if isinstance(op, Mean))
    assert graph.tensors[op.output].scale == trained.learned().grids["_2"].scale


@needs_oracle
def test_oracles_compute_the_same_means() -> None:
    for net in (GLOBAL, WINDOWS):
        graph = lower(net, Quantize(), _events(), "test")
        assert_oracles_compute(export_tflite(graph), graph, quantize_input(graph, _events(8)))
