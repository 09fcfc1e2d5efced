"""Bias correction: removes the mean error per channel that rounding the weights causes."""

import numpy as np
import torch
from torch import nn

from compress.genome import Quantize
from compress.integer import reference
from compress.quantization.lower import lower, quantize_input
from compress.types import Array, Graph


class Net(nn.Module):
    """Network of convolutions; on inputs with a mean, rounded weights shift its outputs' means."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 8, 3, padding=1, bias=False)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8)
        self.pointwise = nn.Conv2d(8, 8, 1)
        self.out = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.conv(x))
        y = self.pointwise(torch.relu(self.depthwise(x)))
        return self.out(torch.relu(y).mean((2, 3)))


def _samples(seed: int) -> Array:
    shape = (256, 2, 8, 8)
    return np.random.default_rng(seed).normal(1.0, 0.5, shape).astype(np.float32)


def _real(graph: Graph, value: str, x: Array) -> Array:
    """The real numbers (N, elements) that the tensor called `value` represents."""
    index = next(i for i, tensor in enumerate(graph.tensors) if tensor.name == value)
    tensor = graph.tensors[index]
    integers = reference.trace(graph, quantize_input(graph, x))[index].reshape(len(x), -1)
    return (integers.astype(float) - tensor.zero_point) * tensor.scale


def test_means_of_unseen_data_are_those_of_the_float_network() -> None:
    torch.manual_seed(8)
    module, unseen = Net().eval(), _samples(2)
    wanted = module(torch.from_numpy(unseen)).detach().numpy()

    def errors(correct_bias: bool) -> tuple[float, float]:
        """The largest shift of an output's mean, and the mean squared error.

        Both are in units of the outputs' standard deviation.
        """
        spec = Quantize(weight_bits=(4,), correct_bias=correct_bias)
        graph = lower(module, spec, _samples(1), "test")
        error = (_real(graph, graph.output_tensor.name, unseen) - wanted) / wanted.std()
        return float(np.abs(error.mean(axis=0)).max()), float(np.mean(error**2))

    shift, squared = errors(False)
    corrected_shift, corrected_squared = errors(True)
    assert corrected_shift < shift / 5
    assert corrected_squared < squared / 2


def test_a_known_shift_is_compensated_exactly() -> None:
    # With 4 bits and a largest weight of 1 the scale is 1/7, and a weight of 0.3 is rounded to 2/7.
    # On a constant input of 1 the bias must compensate 0.3 - 2/7 for each of three weights.
    conv = nn.Conv2d(1, 1, 2, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([1.0, 0.3, 0.3, 0.3]).reshape(1, 1, 2, 2))
    x = np.ones((16, 1, 4, 4), np.float32)
    graph = lower(nn.Sequential(conv), Quantize(weight_bits=(4,), correct_bias=True), x, "test")
    bias = next(tensor for tensor in graph.tensors if tensor.name.endswith("bias"))
    assert bias.data is not None
    missing = 3 * (0.3 - 2 / 7)
    assert abs(bias.data[0] * bias.scales[0] - missing) <= 0.501 * bias.scales[0] < missing / 50
