"""Any scheme that the genes allow becomes a valid integer graph that computes what it should."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from compress.genome import Quantize
from compress.integer import reference
from compress.integer.check import check_graph
from compress.quantization.fake_quantize import FakeQuantized, weighted_layers
from compress.quantization.lower import lower, quantize_input
from compress.tflite.exporter import export_tflite
from compress.types import Array, Graph
from helpers.oracles import assert_oracles_compute, needs_oracle

torch.set_num_threads(1)  # two wait for each other where a core is shared

SHAPE = (2, 8, 6)


class Residual(nn.Module):
    """A value read twice, before and after its activation, and an addition of both branches."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.pointwise = nn.Conv2d(8, 8, 1)
        self.out = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu6(self.norm(self.stem(x)))
        y = self.pointwise(torch.relu(self.depthwise(x)))
        x = torch.relu(x + y) + y
        return self.out(x.mean((2, 3)))


class Pooled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d((0, 1, 1, 2))
        self.conv = nn.Conv2d(2, 6, 3)
        self.most = nn.MaxPool2d(2, 2)
        self.mean = nn.AvgPool2d(2, 1)
        self.hidden = nn.Linear(18, 7)
        self.norm = nn.BatchNorm1d(7)
        self.out = nn.Linear(7, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.mean(self.most(torch.relu(self.conv(self.pad(x)))))
        x = torch.relu(self.norm(self.hidden(torch.flatten(x, 1))))
        return functional.softmax(self.out(x), 1)


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(96, 10)
        self.out = nn.Linear(10, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.hidden(torch.flatten(x, 1))
        return self.out(functional.relu(x) + x)


def _made(net: Callable[[], nn.Module], seed: int) -> nn.Module:
    """With batch-norm statistics and scales that are not the identity."""
    torch.manual_seed(seed)
    module = net()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 2.0)
            nn.init.normal_(layer.bias)
            nn.init.uniform_(layer.running_var, 0.3, 3.0)  # type: ignore[arg-type]
            nn.init.normal_(layer.running_mean)  # type: ignore[arg-type]
    return module.eval()


NETS = {
    "residual": _made(Residual, 0),
    "pooled": _made(Pooled, 1),
    "linear": _made(Linear, 2),
}
X = np.random.default_rng(3).normal(0, 1, (48, *SHAPE)).astype(np.float32)


@st.composite
def cases(draw: st.DrawFn) -> tuple[nn.Module, Quantize]:
    module = NETS[draw(st.sampled_from(sorted(NETS)))]
    layers = len(weighted_layers(module, SHAPE))

    def bits(allowed: tuple[int, ...]) -> tuple[int, ...]:
        count = draw(st.sampled_from((1, layers)))
        return tuple(draw(st.sampled_from(allowed)) for _ in range(count))

    return module, Quantize(
        weight_bits=bits((8, 4, 2)),
        activation_bits=bits((8, 16)),
        granularity=draw(st.sampled_from(("channel", "tensor"))),
        symmetric=draw(st.booleans()),
        calibration=draw(st.sampled_from(("minmax", "percentile", "mse", "kl"))),
        percentile=draw(st.sampled_from((99.99, 99.0))),
        weight_range=draw(st.sampled_from(("max", "mse"))),
        correct_bias=draw(st.booleans()),
        learn_ranges=draw(st.booleans()),
    )


def _real(graph: Graph, x: Array) -> Array:
    outputs = reference.run(graph, quantize_input(graph, x)).reshape(len(x), -1)
    return (outputs.astype(float) - graph.output_tensor.zero_point) * graph.output_tensor.scale


@settings(max_examples=60, deadline=None)
@given(cases())
def test_integers_compute_what_fake_quantization_predicts(case: tuple[nn.Module, Quantize]) -> None:
    module, spec = case
    graph = lower(module, spec, X, "test")
    check_graph(graph)
    assert graph.input_tensor.dtype == graph.output_tensor.dtype == "int8"
    if spec.correct_bias or spec.learn_ranges:
        return
    with torch.no_grad():
        faked = FakeQuantized(module, spec, X)(torch.from_numpy(X)).numpy()
    steps = np.abs(faked - _real(graph, X)) / graph.output_tensor.scale
    # Rounding falls the other way here and there: by a step of the output, or by one of a
    # coarser value: with weights of 2 bits that is some of the output.
    assert np.mean(steps) < 1.2
    assert np.quantile(steps, 0.9) < 4


@needs_oracle
@settings(max_examples=25, deadline=None)
@given(cases())
def test_integers_are_those_of_the_oracle(case: tuple[nn.Module, Quantize]) -> None:
    module, spec = case
    graph = lower(module, spec, X, "test")
    inputs = quantize_input(graph, X[:8])
    assert_oracles_compute(export_tflite(graph), graph, inputs)


@needs_oracle
@pytest.mark.parametrize("net", sorted(NETS))
def test_learned_rounding_is_as_valid(net: str) -> None:
    module = NETS[net]
    bits = tuple((4, 2, 8)[i % 3] for i in range(len(weighted_layers(module, SHAPE))))
    spec = Quantize(
        weight_bits=bits,
        activation_bits=tuple(8 if b == 8 else 16 for b in bits),
        rounding="adaround",
        correct_bias=True,
    )
    graph = lower(module, spec, X, "test")
    check_graph(graph)
    inputs = quantize_input(graph, X[:8])
    assert_oracles_compute(export_tflite(graph), graph, inputs)
