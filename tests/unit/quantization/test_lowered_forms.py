"""Each form of layer or function becomes integers that follow the float network and the oracles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from compress.genome import Quantize
from compress.integer import reference
from compress.integer.check import check_graph
from compress.integer.eliminate import eliminate
from compress.ops import Concatenate, DepthwiseConv2D, Lookup, Pad, Requantize
from compress.quantization.equalize import equalize
from compress.quantization.fake_quantize import FakeQuantized
from compress.quantization.lower import lower, quantize_input
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.types import Array, Graph
from helpers.forms import FORMS, Form, conv, end, made
from helpers.oracles import assert_oracles_compute

_WIDE = Quantize(activation_bits=(16,), calibration="percentile", granularity="tensor")


def _real(graph: Graph, x: Array) -> Array:
    outputs = reference.run(graph, quantize_input(graph, x)).reshape(len(x), -1)
    return (outputs.astype(float) - graph.output_tensor.zero_point) * graph.output_tensor.scale


@pytest.mark.parametrize("name", FORMS)
def test_integers_follow_the_float_network(name: str) -> None:
    module, x = made(name)
    with torch.no_grad():
        exact = module(x).numpy()
    graph = lower(module, Quantize(), x.numpy(), name)
    check_graph(graph)
    real = _real(graph, x.numpy())
    noise = np.sum((real - exact) ** 2)
    ratio_db = 10 * np.log10(np.sum((exact - exact.mean(0)) ** 2) / noise)
    assert ratio_db > 23
    with torch.no_grad():
        faked = FakeQuantized(module, Quantize(), x.numpy())(x).numpy()
    assert np.mean(np.abs(faked - real)) / graph.output_tensor.scale < 1.5
    inputs = quantize_input(graph, x.numpy()[:8])
    outputs = reference.run(graph, inputs)
    tflite = export_tflite(graph)
    for same in (import_tflite(tflite, name), eliminate(graph)):
        np.testing.assert_array_equal(reference.run(same, inputs), outputs)
    assert_oracles_compute(tflite, graph, inputs)


@pytest.mark.parametrize("name", FORMS)
def test_other_schemes_make_valid_graphs(name: str) -> None:
    """16-bit activations where there are kernels, refined weights, equalized layers."""
    module, x = made(name)
    with torch.no_grad():
        exact = module(x).numpy()
    equal = equalize(module, x.shape[1:])
    with torch.no_grad():
        np.testing.assert_allclose(equal(x).numpy(), exact, atol=2e-4)
    for spec in (_WIDE, Quantize(correct_bias=True, symmetric=True)):
        graph = lower(equal, spec, x.numpy(), name)
        check_graph(graph)
        export_tflite(graph)
        real = _real(graph, x.numpy())
        assert np.sum((exact - exact.mean(0)) ** 2) > 10 * np.sum((real - exact) ** 2)
    faked = FakeQuantized(equal, _WIDE, x.numpy())
    with torch.no_grad():
        wide = faked(x).numpy()
    graph = lower(equal, _WIDE, x.numpy(), name)
    assert np.mean(np.abs(wide - _real(graph, x.numpy()))) / graph.output_tensor.scale < 1.5


@pytest.mark.parametrize("name", FORMS)
def test_training_with_fake_quantization_reaches_all_weights(name: str) -> None:
    module, x = made(name)
    spec = Quantize(weight_bits=(4,), learn_ranges=True)
    faked = FakeQuantized(module, spec, x.numpy()[:16])
    faked(x[:16]).square().sum().backward()
    for key, value in module.named_parameters():
        unread = key.startswith("aux") or (name == "cat with itself" and key.startswith("right"))
        assert unread or (value.grad is not None and value.grad.isfinite().all()), key
    graph = lower(module, spec, x.numpy(), name, learned=faked.learned())
    check_graph(graph)
    module.zero_grad(set_to_none=True)


def _graph(module: nn.Module) -> Graph:
    torch.manual_seed(0)
    return lower(module.eval(), Quantize(), torch.randn(16, 3, 8, 8).numpy(), "test")


def test_inputs_of_a_concatenation_share_its_scale_or_are_converted() -> None:
    graph = lower(*_lowering("DenseNet"))
    joined = [op for op in graph.ops if isinstance(op, Concatenate)]
    assert len(joined) == 2
    for op in joined:
        tensors = [graph.tensors[i] for i in (*op.inputs, op.output)]
        assert len({(t.scales, t.zero_point) for t in tensors}) == 1
    # Only the stem's output, which a norm reads too, is converted.
    assert sum(isinstance(op, Requantize) for op in graph.ops) == 1


def _lowering(name: str) -> tuple[nn.Module, Quantize, Array, str]:
    module, x = made(name)
    return module, Quantize(), x.numpy(), name


def test_tables_have_the_output_scales_of_tflite() -> None:
    graph = _graph(nn.Sequential(conv(), nn.Sigmoid(), conv(8, 8), nn.Tanh(), end(512)))
    grids = [
        (graph.tensors[op.output].scale, graph.tensors[op.output].zero_point)
        for op in graph.ops
        if isinstance(op, Lookup)
    ]
    assert grids == [(1 / 256, -128), (1 / 128, 0)]


def test_limits_cost_no_operator_of_their_own() -> None:
    graph = _graph(nn.Sequential(conv(), nn.Hardsigmoid(), end(512)))
    assert [type(op).__name__ for op in graph.ops] == ["Conv2D", "Reshape", "FullyConnected"]
    made = graph.tensors[graph.ops[0].output]
    assert (made.scale, made.zero_point) == (np.float32(1 / 255), -128)


def test_a_norm_of_its_own_is_exact_to_a_step() -> None:
    module, x = nn.Sequential(nn.BatchNorm2d(3)).eval(), torch.randn(32, 3, 8, 8)
    nn.init.uniform_(module[0].weight, 0.01, 4)
    nn.init.normal_(module[0].bias)
    graph = lower(module, Quantize(), x.numpy(), "norm")
    assert [type(op) for op in graph.ops] == [DepthwiseConv2D]
    inputs = quantize_input(graph, x.numpy())
    start, last = graph.input_tensor, graph.output_tensor
    real = (inputs.astype(np.float32) - start.zero_point) * np.float32(start.scale)
    with torch.no_grad():
        wanted = module(torch.from_numpy(real).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    low, high = ((end - last.zero_point) * last.scale for end in (-128, 127))
    found = (reference.run(graph, inputs).astype(float) - last.zero_point) * last.scale
    assert np.abs(found - wanted.clip(low, high)).max() <= 0.51 * last.scale


def test_padding_with_a_value_is_the_nearest_integer() -> None:
    graph = _graph(nn.Sequential(conv(), nn.ConstantPad2d(1, -0.7), nn.MaxPool2d(2), end(200)))
    (pad,) = [op for op in graph.ops if isinstance(op, Pad)]
    made = graph.tensors[pad.output]
    assert (pad.value - made.zero_point) * made.scale == pytest.approx(-0.7, abs=made.scale / 2)


def test_series_and_vectors_are_laid_out_with_channels_last() -> None:
    series, vector = lower(*_lowering("Conv1d")), lower(*_lowering("vectors"))
    assert series.input_tensor.shape == (1, 1, 32, 3)
    assert vector.input_tensor.shape == (1, 12)
    x = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    one = lower(Form(lambda _, x: x + x).eval(), Quantize(), x, "sum")
    steps = quantize_input(one, x).astype(int) - one.input_tensor.zero_point
    assert np.round(steps * one.input_tensor.scale).ravel().tolist() == [0, 3, 1, 4, 2, 5]


def test_refined_weights_follow_the_float_network_better() -> None:
    module, x = made("convolution in groups")
    with torch.no_grad():
        exact = module(x).numpy()
    plain = Quantize(weight_bits=(4,))
    refined = Quantize(weight_bits=(4,), rounding="adaround", correct_bias=True)
    errors = [
        np.sum((_real(lower(module, spec, x.numpy(), "groups"), x.numpy()) - exact) ** 2)
        for spec in (plain, refined)
    ]
    assert errors[1] < errors[0]
