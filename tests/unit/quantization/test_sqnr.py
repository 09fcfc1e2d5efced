"""Noise by layer: judged by the bits it should cost."""

import numpy as np
import torch
from torch import nn

from compress.genome import Quantize
from compress.quantization.lower import lower
from compress.quantization.sqnr import layer_sqnr_db
from compress.types import Array


def _net() -> nn.Sequential:
    torch.manual_seed(11)
    return nn.Sequential(
        nn.Conv2d(2, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 5),
    )


def _samples() -> Array:
    return np.random.default_rng(0).normal(0, 1, (100, 2, 6, 5)).astype(np.float32)


def _sqnr_db(spec: Quantize) -> dict[str, float]:
    module = _net()
    return layer_sqnr_db(lower(module, spec, _samples(), "test"), module, _samples())


def test_each_operator_has_its_noise() -> None:
    found = _sqnr_db(Quantize())
    assert list(found) == ["0", "2", "4", "5", "6"]
    assert all(25 < value < 60 for value in found.values())


def test_four_bits_of_one_layer_are_heard_from_there_on() -> None:
    all_eight, one_four = _sqnr_db(Quantize()), _sqnr_db(Quantize(weight_bits=(8, 4, 8)))
    assert one_four["0"] == all_eight["0"]
    # 4 bits less: 4 * 6.02 dB more noise of the weights, which was not all there was
    assert 10 < all_eight["2"] - one_four["2"] < 24
    assert one_four["6"] < all_eight["6"] - 5


def test_wider_activations_are_not_an_operator_and_have_less_noise() -> None:
    eight, sixteen = _sqnr_db(Quantize()), _sqnr_db(Quantize(activation_bits=(16,)))
    assert list(sixteen) == ["0", "2", "4", "5", "6"]
    assert all(sixteen[name] > eight[name] for name in ("0", "2"))


def test_the_figure_is_the_definition() -> None:
    # y = x exactly representable but for the output's own rounding, which is known
    identity = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False)).eval()
    identity[0].weight.data[:] = 1.0
    x = np.array([0.0, 255.0, 0.3, 10.4], np.float32).reshape(4, 1, 1, 1)
    graph = lower(identity, Quantize(), x, "test")
    (found,) = layer_sqnr_db(graph, identity, x).values()
    wanted = 10 * np.log10(np.sum(x.astype(float) ** 2) / (0.3**2 + 0.4**2))
    assert abs(found - wanted) < 1e-3
